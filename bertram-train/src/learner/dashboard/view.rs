//! What a dashboard knows of a run: the series' numbers and the run's place.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{MetricState, TrainingProgress};

/// What a series is about, which says where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::learner) enum SeriesKind {
    /// The overall score on dev.
    Overall,
    /// A task's score on dev.
    Score,
    /// Seconds left.
    Left,
    /// Tokens a second.
    Speed,
    /// A task's loss.
    Loss,
    /// The learning rate.
    Rate,
    /// How the tasks' gradients lie to each other, and what regularisers measure.
    Diagnostic,
}

/// A series that a dashboard shows.
#[derive(Clone, Debug)]
pub(in crate::learner) struct ShownSeries {
    /// The name of the series.
    pub(in crate::learner) name: String,
    /// What people call it: of a loss and a score, the task.
    pub(in crate::learner) label: String,
    pub(in crate::learner) kind: SeriesKind,
}

/// A series with its numbers.
pub(super) struct Curve {
    pub(super) series: ShownSeries,
    /// (updates, number), in the order they came.
    pub(super) points: Vec<(f64, f64)>,
    /// The best number of a score, and the epoch it is of.
    pub(super) best: Option<(f64, usize)>,
}

impl Curve {
    pub(super) fn latest(&self) -> Option<f64> {
        self.points.last().map(|(_, number)| *number)
    }
}

/// Most points of a curve: more than a terminal can show.
const MOST_POINTS: usize = 4000;

/// Rows of the dev splits that are scored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evaluation {
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) since: Instant,
}

impl Evaluation {
    /// How long the rest takes, if it goes on so; nothing is known of it before the first rows.
    pub(super) fn left(&self) -> Option<Duration> {
        let rest = self.total.saturating_sub(self.done) as f64;
        let each = self.since.elapsed().as_secs_f64() / self.done as f64;
        Some(Duration::from_secs_f64(rest * each)).filter(|_| self.done > 0)
    }
}

/// See the module.
pub(super) struct View {
    names: HashMap<MetricId, String>,
    pub(super) curves: Vec<Curve>,
    /// Numbers since the last place, as (curve, number).
    pending: Vec<(usize, f64)>,
    pub(super) epoch: usize,
    pub(super) epochs: usize,
    pub(super) update: usize,
    pub(super) updates: usize,
    /// When `left` was last heard of: it has become less since.
    pub(super) left_since: Option<Instant>,
    pub(super) evaluation: Option<Evaluation>,
}

impl View {
    pub(super) fn new(series: Vec<ShownSeries>) -> Self {
        let curves = series.into_iter().map(|series| Curve {
            series,
            points: Vec::new(),
            best: None,
        });
        Self {
            names: HashMap::new(),
            curves: curves.collect(),
            pending: Vec::new(),
            epoch: 0,
            epochs: 0,
            update: 0,
            updates: 0,
            left_since: None,
            evaluation: None,
        }
    }

    pub(super) fn register(&mut self, definition: MetricDefinition) {
        self.names
            .insert(definition.metric_id.clone(), definition.name);
    }

    /// A number of a series. Those that are not there (NaN) are none.
    pub(super) fn collect(&mut self, state: &MetricState) {
        let MetricState::Numeric(entry, NumericEntry::Value(number)) = state else {
            return;
        };
        let name = self.names.get(&entry.metric_id);
        let place = name.and_then(|name| {
            let mut curves = self.curves.iter();
            curves.position(|curve| curve.series.name == *name)
        });
        if let Some(place) = place.filter(|_| !number.is_nan()) {
            self.pending.push((place, *number));
        }
    }

    /// An update was made. Gives whether there were new numbers.
    pub(super) fn trained(&mut self, item: &TrainingProgress) -> bool {
        self.evaluation = None;
        self.place(item);
        if let Some(progress) = &item.progress {
            // Epochs may differ in their updates: those that were made are known, those to come are taken to be like this one.
            let before = self.update.saturating_sub(progress.items_processed);
            let left = (self.epochs + 1).saturating_sub(self.epoch);
            self.updates = before + left * progress.items_total;
        }
        self.take()
    }

    /// Rows of the dev splits were scored. Gives whether there were new numbers: the scores.
    pub(super) fn evaluated(&mut self, item: &TrainingProgress) -> bool {
        self.place(item);
        if let Some(progress) = &item.progress {
            // Of other rows the time begins anew.
            let before = self.evaluation.filter(|before| {
                before.total == progress.items_total && before.done <= progress.items_processed
            });
            let since = before.map_or_else(Instant::now, |before| before.since);
            self.evaluation = Some(Evaluation {
                done: progress.items_processed,
                total: progress.items_total,
                since,
            });
        }
        self.take()
    }

    fn place(&mut self, item: &TrainingProgress) {
        self.epoch = item.global_progress.items_processed;
        self.epochs = item.global_progress.items_total;
        self.update = item.iteration.unwrap_or(self.update);
    }

    fn take(&mut self) -> bool {
        let new = !self.pending.is_empty();
        let (update, epoch) = (self.update as f64, self.epoch);
        for (place, number) in self.pending.drain(..) {
            let Some(curve) = self.curves.get_mut(place) else {
                continue;
            };
            if curve.points.len() >= MOST_POINTS {
                let mut index = 0;
                curve.points.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
            curve.points.push((update, number));
            match curve.series.kind {
                SeriesKind::Overall | SeriesKind::Score
                    if curve.best.is_none_or(|(best, _)| number > best) =>
                {
                    curve.best = Some((number, epoch));
                }
                SeriesKind::Left => self.left_since = Some(Instant::now()),
                _ => {}
            }
        }
        new
    }

    /// Curves of a kind, in the order they are shown.
    pub(super) fn of(&self, kind: SeriesKind) -> impl Iterator<Item = &Curve> {
        let curves = self.curves.iter();
        curves.filter(move |curve| curve.series.kind == kind)
    }

    /// The latest number of a kind that has one series.
    pub(super) fn latest(&self, kind: SeriesKind) -> Option<f64> {
        self.of(kind).next().and_then(Curve::latest)
    }

    /// Seconds left, by what was last said of them.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        let since = self.left_since?.elapsed().as_secs_f64();
        Some((self.latest(SeriesKind::Left)? - since).max(0.0))
    }
}

/// A speed in tokens a second: `12.4k tok/s`.
pub(super) fn speed_text(tokens_per_second: f64) -> String {
    match tokens_per_second {
        speed if speed < 1000.0 => format!("{speed:.0} tok/s"),
        speed if speed < 99_950.0 => format!("{:.1}k tok/s", speed / 1e3),
        speed if speed < 999_500.0 => format!("{:.0}k tok/s", speed / 1e3),
        speed => format!("{:.1}M tok/s", speed / 1e6),
    }
}

/// A loss or a score in a line with others: three digits, and no zero before the point.
pub(super) fn short(number: f64) -> String {
    let magnitude = number.abs();
    let text = match magnitude {
        size if size >= 99.95 => format!("{number:.0}"),
        size if size >= 9.995 => format!("{number:.1}"),
        size if size >= 0.9995 => format!("{number:.2}"),
        size if size >= 0.0005 || size == 0.0 => format!("{number:.3}"),
        _ => format!("{number:.0e}"),
    };
    match text.strip_prefix("0.") {
        Some(digits) => format!(".{digits}"),
        None => text.replacen("-0.", "-.", 1),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use burn::data::dataloader::Progress;
    use burn::train::metric::{MetricAttributes, MetricEntry, NumericAttributes, SerializedEntry};

    use super::*;

    /// A view of two tasks.
    pub(in crate::learner::dashboard) fn view() -> View {
        let series = [
            ("overall", "overall", SeriesKind::Overall),
            ("sst accuracy", "sst", SeriesKind::Score),
            ("sts pearson", "sts", SeriesKind::Score),
            ("left", "left", SeriesKind::Left),
            ("tokens/s", "tokens/s", SeriesKind::Speed),
            ("sst loss", "sst", SeriesKind::Loss),
            ("sts loss", "sts", SeriesKind::Loss),
            ("learning rate", "learning rate", SeriesKind::Rate),
            ("cosine sst-sts", "cosine sst-sts", SeriesKind::Diagnostic),
        ];
        let mut view = View::new(
            series
                .map(|(name, label, kind)| ShownSeries {
                    name: name.into(),
                    label: label.into(),
                    kind,
                })
                .to_vec(),
        );
        for (name, ..) in series {
            view.register(MetricDefinition {
                metric_id: MetricId::new(Arc::new(name.to_owned())),
                name: name.into(),
                description: None,
                attributes: MetricAttributes::Numeric(NumericAttributes {
                    unit: None,
                    higher_is_better: true,
                }),
            });
        }
        view
    }

    pub(in crate::learner::dashboard) fn number(name: &str, value: f64) -> MetricState {
        MetricState::Numeric(
            MetricEntry::new(
                MetricId::new(Arc::new(name.to_owned())),
                SerializedEntry::new(value.to_string(), value.to_string()),
            ),
            NumericEntry::Value(value),
        )
    }

    pub(in crate::learner::dashboard) fn place(
        epoch: usize,
        done: usize,
        total: usize,
        update: usize,
    ) -> TrainingProgress {
        TrainingProgress {
            progress: Some(Progress::new(done, total)),
            global_progress: Progress::new(epoch, 3),
            iteration: Some(update),
        }
    }

    #[test]
    fn numbers_are_kept_by_series_and_update() {
        let mut view = view();
        view.collect(&number("sst loss", 1.5));
        view.collect(&number("sts loss", f64::NAN));
        assert!(view.trained(&place(1, 10, 150, 10)));
        assert!(!view.trained(&place(1, 11, 150, 11)));
        assert_eq!((view.update, view.updates), (11, 450));
        let losses: Vec<_> = view.of(SeriesKind::Loss).collect();
        assert_eq!(losses[0].points, [(10.0, 1.5)]);
        assert!(losses[1].points.is_empty(), "what is missing is no number");

        for (epoch, score) in [(1, 0.5), (2, 0.6), (3, 0.4)] {
            view.collect(&number("overall", score));
            assert!(view.evaluated(&place(epoch, 20, 20, 150 * epoch)));
        }
        let overall = view.of(SeriesKind::Overall).next().expect("overall");
        assert_eq!(overall.best, Some((0.6, 2)));
        assert_eq!(overall.latest(), Some(0.4));
    }

    #[test]
    fn a_curve_does_not_grow_for_ever() {
        let mut view = view();
        for update in 0..3 * MOST_POINTS {
            view.collect(&number("sst loss", update as f64));
            view.trained(&place(1, update, 10, update));
        }
        let loss = view.of(SeriesKind::Loss).next().expect("a loss");
        assert!(loss.points.len() <= MOST_POINTS);
        assert_eq!(loss.latest(), Some((3 * MOST_POINTS - 1) as f64));
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (1.234, "1.23"),
            (0.6249, ".625"),
            (-0.5, "-.500"),
            (0.0, ".000"),
            (12.34, "12.3"),
            (1234.5, "1234"),
            (0.00002, "2e-5"),
            (0.9999, "1.00"),
        ] {
            assert_eq!(short(number), text);
        }
        for (speed, text) in [
            (853.2, "853 tok/s"),
            (12_400.0, "12.4k tok/s"),
            (297_368.0, "297k tok/s"),
            (1_250_000.0, "1.2M tok/s"),
        ] {
            assert_eq!(speed_text(speed), text);
        }
    }
}
