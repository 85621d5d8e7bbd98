//! The numbers of a report as one long table, a number a row.

use bertram_core::metric::TaskScores;
use bertram_train::analysis::TaskAnalysis;

use super::group::{Group, Measure};
use super::read::TrainLine;
use super::section::{effect_numbers, pooled};
use super::statistics::Statistic;
use super::{Report, ReportError};

/// A row; what does not apply is empty.
#[derive(Default)]
struct Row<'a> {
    section: &'a str,
    setting: &'a str,
    run: &'a str,
    seed: Option<u64>,
    task: &'a str,
    name: &'a str,
    x: Option<f64>,
    y: Option<f64>,
    value: String,
    low: Option<f64>,
    high: Option<f64>,
    count: Option<u64>,
}

const HEADER: [&str; 12] = [
    "section", "setting", "run", "seed", "task", "name", "x", "y", "value", "low", "high", "count",
];

struct Writer(csv::Writer<Vec<u8>>);

impl Writer {
    fn row(&mut self, row: Row<'_>) -> Result<(), ReportError> {
        let text = |it: Option<f64>| it.map_or_else(String::new, number);
        let whole = |it: Option<u64>| it.map_or_else(String::new, |it| it.to_string());
        self.0
            .write_record([
                row.section,
                row.setting,
                row.run,
                &whole(row.seed),
                row.task,
                row.name,
                &text(row.x),
                &text(row.y),
                &row.value,
                &text(row.low),
                &text(row.high),
                &whole(row.count),
            ])
            .map_err(|error| ReportError::Csv(error.to_string()))
    }
}

/// Six decimals at most: what is beyond is rounding.
fn number(number: f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}

/// The whole table.
pub(super) fn table(report: &Report) -> Result<String, ReportError> {
    let mut out = Writer(csv::Writer::from_writer(Vec::new()));
    out.0
        .write_record(HEADER)
        .map_err(|error| ReportError::Csv(error.to_string()))?;
    for group in &report.groups {
        runs(&mut out, group)?;
        means(&mut out, report, group)?;
        training(&mut out, report, group)?;
        predictions(&mut out, report, group)?;
        for (key, value) in group.keys() {
            out.row(Row {
                section: "setting",
                setting: &group.label,
                name: &key,
                value,
                ..Row::default()
            })?;
        }
    }
    for effect in effect_numbers(report) {
        let name = format!("{}: {}", effect.factors.join(" × "), effect.contrast);
        let mut row = |section, low, high| {
            out.row(Row {
                section,
                task: &effect.response,
                name: &name,
                value: number(effect.estimate),
                low,
                high,
                count: Some(effect.seeds as u64),
                ..Row::default()
            })
        };
        row("effect", effect.low, effect.high)?;
        if let Some(ends) = effect.bootstrap {
            row("effect-bootstrap", Some(ends.low), Some(ends.high))?;
        }
    }
    let bytes = out
        .0
        .into_inner()
        .map_err(|error| ReportError::Csv(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| ReportError::Csv(error.to_string()))
}

/// Every score of every run, and its cost.
fn runs(out: &mut Writer, group: &Group) -> Result<(), ReportError> {
    for run in &group.runs {
        let row = |task: &'static str, name: &'static str, value: f64, count: Option<u64>| Row {
            section: "score",
            setting: &group.label,
            run: &run.name,
            seed: Some(run.settings.train.seed),
            task,
            name,
            value: number(value),
            count,
            ..Row::default()
        };
        for (task, scores) in &run.summary.dev.tasks {
            let rows = Some(scores.rows() as u64);
            for (metric, value) in scores.all() {
                out.row(row(task.name(), metric.name(), value, rows))?;
            }
            if let TaskScores::Classification { majority, .. } = scores {
                out.row(row(task.name(), "majority", *majority, rows))?;
            }
        }
        let summary = &run.summary;
        for (name, value) in [
            ("overall", summary.dev.overall),
            ("mean", summary.dev.mean),
            ("seconds", summary.seconds),
            ("updates", summary.updates as f64),
            ("best-epoch", summary.best_epoch as f64),
            ("tokens-per-second", summary.tokens_per_second),
        ] {
            out.row(row("", name, value, None))?;
        }
        let chosen_by_others = summary.cross_selected.as_ref().map(|it| it.overall);
        for (name, value) in [
            ("overall-cross-selected", chosen_by_others),
            (
                "overall-held-out",
                summary.parts.as_ref().map(|it| it.held_out.overall),
            ),
            (
                "overall-last-weights",
                summary.last_weights.as_ref().map(|it| it.overall),
            ),
        ] {
            if let Some(value) = value {
                out.row(row("", name, value, None))?;
            }
        }
        // Versions before did not count it.
        if !summary.phase_seconds.is_empty() {
            out.row(row("", "wall-seconds", summary.wall_seconds, None))?;
        }
    }
    Ok(())
}

/// Means over seeds (low and high one standard deviation away), the paper's numbers, differences to the baseline.
fn means(out: &mut Writer, report: &Report, group: &Group) -> Result<(), ReportError> {
    for measure in report.measures() {
        let row = |section: &'static str, value: f64| Row {
            section,
            setting: &group.label,
            task: measure.name(),
            name: report.unit(measure),
            value: number(value),
            ..Row::default()
        };
        if let Some(score) = group.statistic(measure) {
            let (low, high) = ends(&score);
            out.row(Row {
                low,
                high,
                count: Some(score.count as u64),
                ..row("mean", score.mean)
            })?;
            if let Some(base) = report.baseline().statistic(measure) {
                out.row(row("difference", score.mean - base.mean))?;
            }
        }
        if let Some(line) = group.reference(measure) {
            out.row(row("reference", line))?;
        }
        if let Some(score) = group.paper().and_then(|paper| measure.paper(&paper)) {
            out.row(row("paper", score))?;
        }
    }
    Ok(())
}

fn ends(statistic: &Statistic) -> (Option<f64>, Option<f64>) {
    (
        statistic.sd.map(|sd| statistic.mean - sd),
        statistic.sd.map(|sd| statistic.mean + sd),
    )
}

/// Curves over updates (`x`).
fn training(out: &mut Writer, report: &Report, group: &Group) -> Result<(), ReportError> {
    for measure in report.measures() {
        for point in group.curve(measure) {
            let (low, high) = ends(&point.value);
            out.row(Row {
                section: "curve",
                setting: &group.label,
                task: measure.name(),
                name: report.unit(measure),
                x: Some(point.update as f64),
                value: number(point.value.mean),
                low,
                high,
                count: Some(point.value.count as u64),
                ..Row::default()
            })?;
        }
    }
    let mut logged = |section, task: &str, of: &dyn Fn(&TrainLine) -> Option<f64>| {
        for (update, value) in group.logged(of) {
            out.row(Row {
                section,
                setting: &group.label,
                task,
                x: Some(update),
                value: number(value),
                ..Row::default()
            })?;
        }
        Ok::<(), ReportError>(())
    };
    for measure in report.measures() {
        if let Measure::Task(task) = measure {
            logged("loss", task.name(), &|line| {
                line.loss.get(task.name()).copied()
            })?;
        }
    }
    for pair in group.pairs() {
        logged("gradient-cosine", &pair, &|line| {
            line.gradient_cosine.get(&pair).copied()
        })?;
    }
    logged("conflict-share", "", &|line| line.conflict_share)
}

/// Confusion (`x` gold, `y` predicted), labels (`x` the label, `count` its rows), calibration (`x` mean probability, `y` share of yes), scatter (`x` gold, `y`
/// predicted).
fn predictions(out: &mut Writer, report: &Report, group: &Group) -> Result<(), ReportError> {
    for task in report.tasks() {
        let row = |section: &'static str, x: Option<f64>, y: Option<f64>| Row {
            section,
            setting: &group.label,
            task: task.name(),
            x,
            y,
            ..Row::default()
        };
        match pooled(group, task) {
            Some(TaskAnalysis::Confusion { counts }) => {
                for (gold, counts) in counts.iter().enumerate() {
                    for (predicted, &count) in counts.iter().enumerate() {
                        out.row(Row {
                            count: Some(count),
                            ..row("confusion", Some(gold as f64), Some(predicted as f64))
                        })?;
                    }
                }
            }
            Some(TaskAnalysis::Labels { counts, .. }) => {
                for (label, counts) in counts.iter().enumerate() {
                    for (name, value) in [
                        ("precision", counts.precision()),
                        ("recall", counts.recall()),
                        ("f1", Some(counts.f1())),
                    ] {
                        out.row(Row {
                            name,
                            value: value.map_or_else(String::new, number),
                            count: Some(counts.true_positives + counts.false_negatives),
                            ..row("labels", Some(label as f64), None)
                        })?;
                    }
                }
            }
            Some(TaskAnalysis::Calibration { bins, ece, .. }) => {
                for bin in bins {
                    out.row(Row {
                        low: Some(bin.from),
                        high: Some(bin.to),
                        count: Some(bin.count),
                        ..row("calibration", bin.mean_probability, bin.positives)
                    })?;
                }
                out.row(Row {
                    name: "ece",
                    value: number(ece),
                    ..row("calibration", None, None)
                })?;
            }
            Some(TaskAnalysis::Scatter { points, .. }) => {
                for [gold, predicted] in points {
                    out.row(row("scatter", Some(gold), Some(predicted)))?;
                }
            }
            None => {}
        }
    }
    Ok(())
}
