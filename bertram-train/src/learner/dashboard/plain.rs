//! A line every few updates, for logs and pipes.

use std::io::Write;
use std::time::{Duration, Instant};

use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};

use super::view::{SeriesKind, View, short, speed_text};
use crate::phase::duration_for_people;

/// Lines on standard error whenever there are new numbers, and now and then in between.
pub(super) struct PlainRenderer {
    view: View,
    last_line: Instant,
}

/// Lines without new numbers, as during a long evaluation, come this often.
const SILENCE: Duration = Duration::from_secs(10);

/// A line is no wider: what does not fit is left out.
const WIDTH: usize = 100;

impl PlainRenderer {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            last_line: Instant::now(),
        }
    }

    fn is_silent(&self) -> bool {
        self.last_line.elapsed() >= SILENCE
    }

    fn say(&mut self, line: &str) {
        self.last_line = Instant::now();
        // A closed standard error must not end a run.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The words of a line that fit; if some do not, it says how many.
fn fitting(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().collect();
    let mut line = String::new();
    for (index, word) in words.iter().enumerate() {
        let gap = if line.is_empty() { "" } else { "  " };
        // Room for "  +99 more" behind it, unless it is the last.
        let more = if index + 1 == words.len() { 0 } else { 10 };
        if line.chars().count() + gap.len() + word.chars().count() + more > WIDTH {
            line.push_str(&format!("  +{} more", words.len() - index));
            break;
        }
        line.push_str(gap);
        line.push_str(word);
    }
    line
}

impl View {
    fn place_words(&self) -> Vec<String> {
        let mut words = vec![format!("epoch {}/{}", self.epoch, self.epochs)];
        // A run of no epochs has no updates.
        if self.updates > 0 {
            let width = self.updates.to_string().len();
            words.push(format!("update {:>width$}/{}", self.update, self.updates));
        }
        words
    }

    /// `name task number task number`, in words that can be left out from the end.
    fn numbers(&self, name: &str, kind: SeriesKind) -> Vec<String> {
        let numbers = self.of(kind).filter_map(|curve| {
            let number = curve.latest()?;
            Some(format!("{} {}", curve.series.label, short(number)))
        });
        let mut words: Vec<String> = numbers.collect();
        if let Some(first) = words.first_mut().filter(|_| !name.is_empty()) {
            *first = format!("{name} {first}");
        }
        words
    }

    /// `epoch 1/3  update 120/450  12.4k tok/s  left 1m20s  loss sst 1.31  para .620  sts .043`
    fn line_of_training(&self) -> String {
        let mut words = self.place_words();
        words.extend(self.latest(SeriesKind::Speed).map(speed_text));
        let left = self.seconds_left();
        words.extend(left.map(|left| format!("left {}", duration_for_people(left))));
        words.extend(self.numbers("loss", SeriesKind::Loss));
        fitting(words)
    }

    /// `epoch 1/3  update 150/450  dev overall .742  sst .467  para .839  sts .838`
    fn line_of_scores(&self) -> String {
        let mut words = self.place_words();
        words.extend(self.numbers("dev", SeriesKind::Overall));
        words.extend(self.numbers("", SeriesKind::Score));
        fitting(words)
    }

    /// `epoch 1/3  update 150/450  evaluating 1200/22176 rows  left 20s`
    fn line_of_evaluation(&self) -> Option<String> {
        let evaluation = self.evaluation?;
        let mut words = self.place_words();
        words.push(format!(
            "evaluating {}/{} rows",
            evaluation.done, evaluation.total
        ));
        let left = evaluation.left().map(|left| left.as_secs_f64());
        words.extend(left.map(|left| format!("left {}", duration_for_people(left))));
        Some(fitting(words))
    }
}

impl MetricsRendererTraining for PlainRenderer {
    fn update_train(&mut self, state: MetricState) {
        self.view.collect(&state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.view.collect(&state);
    }

    fn render_train(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        if self.view.trained(&item) || self.is_silent() {
            self.say(&self.view.line_of_training());
        }
    }

    fn render_valid(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        if self.view.evaluated(&item) {
            self.say(&self.view.line_of_scores());
        } else if self.is_silent()
            && let Some(line) = self.view.line_of_evaluation()
        {
            self.say(&line);
        }
    }
}

impl MetricsRendererEvaluation for PlainRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for PlainRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.view.register(definition);
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{number, place, view};
    use super::*;

    #[test]
    fn a_line_says_where_it_is_and_fits() {
        let mut view = view();
        for (name, value) in [
            ("sst loss", 1.3111),
            ("sts loss", 0.0432),
            ("tokens/s", 12_400.0),
            ("left", 80.4),
        ] {
            view.collect(&number(name, value));
        }
        view.trained(&place(1, 120, 150, 120));
        assert_eq!(
            view.line_of_training(),
            "epoch 1/3  update 120/450  12.4k tok/s  left 1m20s  loss sst 1.31  sts .043"
        );
        for (name, value) in [
            ("overall", 0.7421),
            ("sst accuracy", 0.4672),
            ("sts pearson", -0.1),
        ] {
            view.collect(&number(name, value));
        }
        assert!(view.evaluated(&place(1, 30, 30, 150)));
        assert_eq!(
            view.line_of_scores(),
            "epoch 1/3  update 150/450  dev overall .742  sst .467  sts -.100"
        );
        let line = view.line_of_evaluation().expect("is evaluated");
        assert!(
            line.starts_with("epoch 1/3  update 150/450  evaluating 30/30 rows"),
            "{line}"
        );
        let many = fitting((0..60).map(|task| format!("task{task} .5")));
        assert!(many.len() <= WIDTH && many.ends_with(" more"), "{many}");
    }
}
