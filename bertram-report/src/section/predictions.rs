//! Where models are right and wrong on dev: confusion, calibration, scatter.

use bertram_core::metric::{LabelCounts, TaskScores};
use bertram_core::task::{LabelKind, TaskId};
use bertram_train::analysis::{CalibrationBin, TaskAnalysis, evenly, expected_calibration_error};

use crate::chart;
use crate::document::{Block, Figure, Section, Table};
use crate::group::{Group, Measure};
use crate::number;
use crate::{Report, ReportError, Statistic};

/// Points of a drawn scatter plot; more make the page large and the picture no clearer.
const MOST_POINTS: usize = 500;

/// Pictures of one setting: the best and the baseline are shown, the others on demand.
pub(super) fn predictions(report: &Report) -> Result<Option<Section>, ReportError> {
    let best = report.best().map(|group| group.label.as_str());
    let mut open = Vec::new();
    let mut closed = Vec::new();
    let mut others = 0;
    for group in &report.groups {
        let blocks = pictures(report, group)?;
        if Some(group.label.as_str()) == best || group.label == report.baseline().label {
            open.extend(blocks);
        } else if !blocks.is_empty() {
            others += 1;
            closed.extend(blocks);
        }
    }
    if open.is_empty() && closed.is_empty() {
        return Ok(None);
    }
    let mut blocks = vec![Block::text("On dev, all seeds of a setting together.")];
    blocks.append(&mut open);
    if !closed.is_empty() {
        blocks.push(Block::Details {
            summary: format!("The other {}", number::of(others, "setting")),
            blocks: closed,
        });
    }
    Ok(Some(Section {
        id: "predictions",
        heading: "Predictions".into(),
        blocks,
    }))
}

/// The pictures of a setting, and tables of what has none.
fn pictures(report: &Report, group: &Group) -> Result<Vec<Block>, ReportError> {
    let mut figures = Vec::new();
    let mut tables = Vec::new();
    let mut alone = Vec::new();
    for task in report.tasks() {
        let Some(analysis) = pooled(group, task) else {
            continue;
        };
        let title = report.title(Measure::Task(task));
        let name = if report.groups.len() > 1 {
            format!("{}, {title}", group.label)
        } else {
            title.to_owned()
        };
        let (svg, note, table) = picture(group, task, &analysis, &name)?;
        let Some(svg) = svg else {
            alone.push(Block::table(table));
            continue;
        };
        figures.push(Figure {
            title: name,
            note,
            svg,
        });
        tables.push(table);
    }
    let note = "A cell of a confusion matrix is shaded by its share of the gold class. A calibrated model is on the dashed \
                line of the calibration plot, whose grey bars are shares of rows; a perfect one is on that of the scatter \
                plot.";
    let drawn = (!figures.is_empty()).then_some(Block::Figures {
        note: note.into(),
        legend: Vec::new(),
        figures,
        tables,
    });
    Ok(drawn.into_iter().chain(alone).collect())
}

/// The analyses of a group's runs as one.
pub(crate) fn pooled(group: &Group, task: TaskId) -> Option<TaskAnalysis> {
    let analyses = group
        .runs
        .iter()
        .filter_map(|run| run.analysis.as_ref()?.tasks.get(&task));
    analyses.cloned().reduce(|one, other| match (one, other) {
        (TaskAnalysis::Confusion { mut counts }, TaskAnalysis::Confusion { counts: more }) => {
            for (row, more) in counts.iter_mut().zip(more) {
                for (count, more) in row.iter_mut().zip(more) {
                    *count += more;
                }
            }
            TaskAnalysis::Confusion { counts }
        }
        (
            TaskAnalysis::Labels { mut counts, rows },
            TaskAnalysis::Labels {
                counts: more,
                rows: more_rows,
            },
        ) => {
            for (count, more) in counts.iter_mut().zip(more) {
                *count = *count + more;
            }
            TaskAnalysis::Labels {
                counts,
                rows: rows + more_rows,
            }
        }
        (
            TaskAnalysis::Calibration { bins, rows, .. },
            TaskAnalysis::Calibration {
                bins: more,
                rows: more_rows,
                ..
            },
        ) => {
            let bins: Vec<CalibrationBin> = bins
                .into_iter()
                .zip(more)
                .map(|(one, other)| merged(one, other))
                .collect();
            TaskAnalysis::Calibration {
                ece: expected_calibration_error(&bins),
                rows: rows + more_rows,
                bins,
            }
        }
        (
            TaskAnalysis::Scatter { mut points, rows },
            TaskAnalysis::Scatter {
                points: mut more,
                rows: more_rows,
            },
        ) => {
            points.append(&mut more);
            TaskAnalysis::Scatter {
                points,
                rows: rows + more_rows,
            }
        }
        // Runs of one setting have one kind of analysis.
        (one, _) => one,
    })
}

fn merged(one: CalibrationBin, other: CalibrationBin) -> CalibrationBin {
    let count = one.count + other.count;
    let mean = |of: fn(&CalibrationBin) -> Option<f64>| {
        let sum = |bin: &CalibrationBin| of(bin).unwrap_or(0.0) * bin.count as f64;
        (count > 0).then(|| (sum(&one) + sum(&other)) / count as f64)
    };
    CalibrationBin {
        count,
        mean_probability: mean(|bin| bin.mean_probability),
        positives: mean(|bin| bin.positives),
        ..one
    }
}

/// Picture, where there is one, remark and table.
fn picture(
    group: &Group,
    task: TaskId,
    analysis: &TaskAnalysis,
    name: &str,
) -> Result<(Option<String>, String, Table), ReportError> {
    match analysis {
        TaskAnalysis::Confusion { counts } => Ok((
            Some(chart::matrix(&format!("{name}: confusion matrix"), counts)?),
            "Confusion matrix".into(),
            confusion_table(name, counts, &class_names(group, task, counts.len())),
        )),
        TaskAnalysis::Labels { counts, rows } => Ok((
            None,
            String::new(),
            labels_table(name, counts, *rows, &class_names(group, task, counts.len())),
        )),
        TaskAnalysis::Calibration { bins, ece, .. } => Ok((
            Some(chart::calibration(
                &format!("{name}: calibration"),
                bins,
                *ece,
            )?),
            format!(
                "Share of yes by predicted probability; expected calibration error {}",
                number::score(*ece)
            ),
            calibration_table(name, bins, *ece),
        )),
        TaskAnalysis::Scatter { points, rows } => {
            let scale = match group.task(task).map(|spec| spec.label) {
                Some(LabelKind::Score { min, max }) => (f64::from(min), f64::from(max)),
                _ => (0.0, 1.0),
            };
            let r: Vec<f64> = group
                .runs
                .iter()
                .filter_map(|run| match run.summary.dev.tasks.get(&task)? {
                    TaskScores::Regression { pearson, .. } => Some(*pearson),
                    TaskScores::Classification { .. } | TaskScores::MultiLabel { .. } => None,
                })
                .collect();
            let r = Statistic::new(&r).map(|statistic| statistic.mean);
            let shown = evenly(points, MOST_POINTS);
            let note = format!(
                "Predicted by gold score, {} of {} rows; Pearson r {}",
                number::count(shown.len() as u64),
                number::count(*rows),
                number::optional(r)
            );
            Ok((
                Some(chart::scatter(
                    &format!("{name}: predicted by gold scores"),
                    &shown,
                    scale,
                    r,
                )?),
                note,
                scatter_table(name, points),
            ))
        }
    }
}

/// Names of a task's classes for a table; numbers where it has other classes than the run counted.
fn class_names(group: &Group, task: TaskId, classes: usize) -> Vec<String> {
    match group.task(task) {
        Some(spec) if spec.labels.len() == classes => spec.labels.clone(),
        _ => (0..classes).map(|class| class.to_string()).collect(),
    }
}

fn confusion_table(name: &str, counts: &[Vec<u64>], classes: &[String]) -> Table {
    let mut table = Table::new(
        format!("{name}: gold classes down, predicted classes across, counts of rows."),
        ["Gold".to_owned()]
            .into_iter()
            .chain(classes.iter().map(|class| format!("#{class}")))
            .chain(["#Recall".to_owned()]),
    );
    for ((gold, row), class) in counts.iter().enumerate().zip(classes) {
        let rows: u64 = row.iter().sum();
        let right = row.get(gold).copied().unwrap_or(0);
        let recall = (rows > 0).then(|| right as f64 / rows as f64);
        table.row(
            [class.clone()]
                .into_iter()
                .chain(row.iter().map(|&count| number::count(count)))
                .chain([number::optional(recall)]),
        );
    }
    table
}

fn labels_table(name: &str, counts: &[LabelCounts], rows: u64, labels: &[String]) -> Table {
    let mut table = Table::new(
        format!(
            "{name}: each label by itself, in {} rows.",
            number::count(rows)
        ),
        ["Label", "#Rows", "#Precision", "#Recall", "#F1"],
    );
    for (label, counts) in labels.iter().zip(counts) {
        table.row([
            label.clone(),
            number::count(counts.true_positives + counts.false_negatives),
            number::optional(counts.precision()),
            number::optional(counts.recall()),
            number::score(counts.f1()),
        ]);
    }
    table
}

fn calibration_table(name: &str, bins: &[CalibrationBin], ece: f64) -> Table {
    let mut table = Table::new(
        format!(
            "{name}: share of yes by predicted probability; expected calibration error {}.",
            number::score(ece)
        ),
        ["Bin", "#Rows", "#Mean probability", "#Share of yes"],
    );
    for bin in bins {
        table.row([
            format!("{:.1} to {:.1}", bin.from, bin.to),
            number::count(bin.count),
            number::optional(bin.mean_probability),
            number::optional(bin.positives),
        ]);
    }
    table
}

/// How the rows of a scatter table gather gold scores.
enum GoldBins {
    /// By the nearest whole number.
    Whole,
    /// In equal parts of a scale that is too short for whole numbers to tell scores apart.
    Equal { low: f64, width: f64 },
}

impl GoldBins {
    /// Number of equal parts.
    const PARTS: i64 = 5;

    fn of(points: &[[f64; 2]]) -> Self {
        let golds = || points.iter().map(|point| point[0]);
        let low = golds().fold(f64::INFINITY, f64::min);
        let high = golds().fold(f64::NEG_INFINITY, f64::max);
        if high - low >= 2.5 || golds().all(|gold| gold.fract() == 0.0) {
            return GoldBins::Whole;
        }
        let width = (high - low) / Self::PARTS as f64;
        GoldBins::Equal { low, width }
    }

    fn bin(&self, gold: f64) -> i64 {
        match self {
            GoldBins::Whole => gold.round() as i64,
            // The highest score is in the last part; a single score has no width, and is in the first.
            GoldBins::Equal { low, width } => {
                (((gold - low) / width) as i64).clamp(0, Self::PARTS - 1)
            }
        }
    }

    fn name(&self, bin: i64) -> String {
        match self {
            GoldBins::Whole => bin.to_string(),
            GoldBins::Equal { low, width } => {
                let edge = |bin: i64| number::decimals(low + width * bin as f64, 2);
                format!("{} to {}", edge(bin), edge(bin + 1))
            }
        }
    }
}

fn scatter_table(name: &str, points: &[[f64; 2]]) -> Table {
    let golds = GoldBins::of(points);
    let rounded = match golds {
        GoldBins::Whole => "rounded ",
        GoldBins::Equal { .. } => "",
    };
    let mut table = Table::new(
        format!("{name}: predicted scores by {rounded}gold score."),
        ["Gold", "#Points", "#Mean predicted", "#Standard deviation"],
    );
    let mut bins: Vec<i64> = points.iter().map(|point| golds.bin(point[0])).collect();
    bins.sort_unstable();
    bins.dedup();
    for bin in bins {
        let predicted: Vec<f64> = points
            .iter()
            .filter(|point| golds.bin(point[0]) == bin)
            .map(|point| point[1])
            .collect();
        if let Some(statistic) = Statistic::new(&predicted) {
            table.row([
                golds.name(bin),
                number::count(predicted.len() as u64),
                number::decimals(statistic.mean, 2),
                statistic
                    .sd
                    .map_or_else(|| number::NONE.into(), |sd| number::decimals(sd, 2)),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gold_scores_of_a_short_scale_are_told_apart() {
        let golds = |golds: &[f64]| -> Vec<String> {
            let points: Vec<[f64; 2]> = golds.iter().map(|gold| [*gold, 0.0]).collect();
            let bins = GoldBins::of(&points);
            let names = golds.iter().map(|gold| bins.name(bins.bin(*gold)));
            names.collect()
        };
        assert_eq!(golds(&[0.0, 0.5, 2.5, 5.0]), ["0", "1", "3", "5"]);
        assert_eq!(golds(&[0.0, 1.0]), ["0", "1"]);
        assert_eq!(
            golds(&[0.0, 0.3, 1.0]),
            ["0.00 to 0.20", "0.20 to 0.40", "0.80 to 1.00"]
        );
        assert_eq!(golds(&[0.3, 0.3])[0], "0.30 to 0.30");
    }
}
