//! Training: learning curves, losses, conflicts of gradients.

use bertram_train::analysis::evenly;

use super::{Drawn, drawn, left_out, legend};
use crate::chart::{Line, Lines};
use crate::document::{Block, Figure, LegendEntry, Section, Table};
use crate::group::{CurvePoint, Group, Measure};
use crate::number::{self, NONE};
use crate::read::TrainLine;
use crate::{Report, ReportError, Statistic};

/// Most points of a drawn line; a chart has fewer pixels.
const MOST_POINTS: usize = 300;

/// Most evaluations in a table.
const MOST_EVALUATIONS: usize = 10;

/// A point of a smoothed line is the mean of this share of all points.
const SMOOTHED: usize = 20;

/// Dev scores over training.
pub(super) fn curves(report: &Report) -> Result<Option<Section>, ReportError> {
    let groups = drawn(report);
    let mut figures = Vec::new();
    let mut tables = Vec::new();
    for measure in report.measures() {
        let curves: Vec<(&Drawn<'_>, Vec<CurvePoint>)> = groups
            .iter()
            .map(|drawn| (drawn, drawn.group.curve(measure)))
            .filter(|(_, curve)| !curve.is_empty())
            .collect();
        if curves.is_empty() {
            continue;
        }
        let mut levels: Vec<f64> = curves
            .iter()
            .filter_map(|(drawn, _)| drawn.group.reference(measure))
            .collect();
        levels.dedup();
        let chart = Lines {
            title: format!("{} on dev over training", report.title(measure)),
            x_name: "updates",
            y_range: None,
            // With several lines, none of them is that of all curves.
            level: levels.first().copied().filter(|_| levels.len() == 1),
            lines: curves
                .iter()
                .map(|(drawn, curve)| curve_line(drawn, curve, groups.len()))
                .collect(),
        };
        figures.push(Figure {
            title: match measure {
                Measure::Task(_) => format!("{}, {}", report.title(measure), report.unit(measure)),
                Measure::Overall => report.title(measure).into(),
            },
            note: String::new(),
            svg: chart.svg()?,
        });
        tables.push(curve_table(report, measure));
    }
    if figures.is_empty() {
        return Ok(None);
    }
    let blocks = vec![Block::Figures {
        note: format!(
            "Scores at each evaluation on dev, mean over seeds. The band is one standard deviation to either side, the \
             dashed line a model that has learned nothing.{}",
            left_out(report)
        ),
        legend: legend(&groups),
        figures,
        tables,
    }];
    Ok(Some(Section {
        id: "curves",
        heading: "Learning curves".into(),
        blocks,
    }))
}

fn curve_line(drawn: &Drawn<'_>, curve: &[CurvePoint], all: usize) -> Line {
    Line {
        colour: drawn.colour,
        tag: drawn.tag(all),
        points: curve
            .iter()
            .map(|point| (point.update as f64, point.value.mean))
            .collect(),
        band: curve
            .iter()
            .filter_map(|point| {
                let Statistic { mean, sd, .. } = point.value;
                Some((point.update as f64, mean - sd?, mean + sd?))
            })
            .collect(),
        dots: curve.len() <= 30,
    }
}

fn curve_table(report: &Report, measure: Measure) -> Table {
    let curves: Vec<(&Group, Vec<CurvePoint>)> = report
        .groups
        .iter()
        .map(|group| (group, group.curve(measure)))
        .collect();
    let mut epochs: Vec<usize> = curves
        .iter()
        .flat_map(|(_, curve)| curve.iter().map(|point| point.epoch))
        .collect();
    epochs.sort_unstable();
    epochs.dedup();
    // The last one is what readers look for.
    epochs.reverse();
    let mut shown = evenly(&epochs, MOST_EVALUATIONS);
    shown.reverse();
    let mut table = Table::new(
        format!(
            "{} on dev after epochs, mean over seeds.",
            report.title(measure)
        ),
        ["Setting".to_owned()]
            .into_iter()
            .chain(shown.iter().map(|epoch| format!("#{epoch}"))),
    );
    for (group, curve) in curves {
        let cells = shown.iter().map(|epoch| {
            number::optional(
                curve
                    .iter()
                    .rev()
                    .find(|point| point.epoch == *epoch)
                    .map(|point| point.value.mean),
            )
        });
        table.row([group.label.clone()].into_iter().chain(cells));
    }
    table
}

/// Training losses.
pub(super) fn losses(report: &Report) -> Result<Option<Section>, ReportError> {
    let groups = drawn(report);
    let mut figures = Vec::new();
    let mut table = Table::new(
        "Training loss, mean over seeds, of the first and the last tenth of the logged steps.",
        ["Setting", "Task", "#First tenth", "#Last tenth"],
    );
    for measure in report.measures() {
        let Measure::Task(task) = measure else {
            continue;
        };
        let title = report.title(measure);
        let loss = |line: &TrainLine| line.loss.get(task.name()).copied();
        let lines = smooth_lines(&groups, loss);
        if lines.is_empty() {
            continue;
        }
        let chart = Lines {
            title: format!("{title}: training loss"),
            x_name: "updates",
            y_range: None,
            level: None,
            lines,
        };
        figures.push(Figure {
            title: title.into(),
            note: String::new(),
            svg: chart.svg()?,
        });
        for group in &report.groups {
            let logged = group.logged(loss);
            let tenth = (logged.len() / 10).max(1);
            let last = logged.len().saturating_sub(tenth);
            table.row([
                group.label.clone(),
                title.to_owned(),
                mean(&logged[..tenth.min(logged.len())]),
                mean(&logged[last..]),
            ]);
        }
    }
    if figures.is_empty() {
        return Ok(None);
    }
    let blocks = vec![
        Block::text(
            "The loss of each task as it is trained, mean over seeds. Losses of different kinds are not comparable.",
        ),
        Block::Figures {
            note: format!(
                "Each point is the mean of a {SMOOTHED}th of the logged steps.{}",
                left_out(report)
            ),
            legend: legend(&groups),
            figures,
            tables: vec![table],
        },
    ];
    Ok(Some(Section {
        id: "loss",
        heading: "Training loss".into(),
        blocks,
    }))
}

/// Curves of a logged number, smoothed.
fn smooth_lines(groups: &[Drawn<'_>], number: impl Fn(&TrainLine) -> Option<f64>) -> Vec<Line> {
    groups
        .iter()
        .map(|drawn| Line {
            colour: drawn.colour,
            tag: drawn.tag(groups.len()),
            points: smoothed(&drawn.group.logged(&number)),
            band: Vec::new(),
            dots: false,
        })
        .filter(|line| !line.points.is_empty())
        .collect()
}

/// A centred running mean, thinned to what a picture can show.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = points.len() / SMOOTHED / 2;
    let means: Vec<(f64, f64)> = (0..points.len())
        .map(|index| {
            // Narrower at the ends, and centred there too.
            let reach = half.min(index).min(points.len() - 1 - index);
            let window = &points[index - reach..=index + reach];
            let sum: f64 = window.iter().map(|point| point.1).sum();
            (points[index].0, sum / window.len() as f64)
        })
        .collect();
    evenly(&means, MOST_POINTS)
}

fn mean(points: &[(f64, f64)]) -> String {
    let values: Vec<f64> = points.iter().map(|point| point.1).collect();
    number::optional(Statistic::new(&values).map(|statistic| statistic.mean))
}

/// How the tasks' gradients lay to each other.
pub(super) fn conflicts(report: &Report) -> Result<Option<Section>, ReportError> {
    let groups: Vec<Drawn<'_>> = drawn(report)
        .into_iter()
        .filter(|drawn| has_gradients(drawn.group))
        .collect();
    let Some(first) = groups.first() else {
        return Ok(None);
    };
    let mut pairs: Vec<String> = first.group.pairs();
    for pair in groups.iter().flat_map(|drawn| drawn.group.pairs()) {
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let several = groups.len() > 1;
    let mut share = Vec::new();
    if several {
        let chart = Lines {
            title: "Share of pairs of tasks in conflict".into(),
            x_name: "updates",
            y_range: None,
            level: None,
            lines: smooth_lines(&groups, |line| line.conflict_share),
        };
        share.push(Figure {
            title: "Pairs in conflict, share".into(),
            note: String::new(),
            svg: chart.svg()?,
        });
    }
    let mut cosines = Vec::new();
    for drawn in &groups {
        let lines: Vec<Line> = pairs
            .iter()
            .enumerate()
            .map(|(index, pair)| Line {
                colour: index,
                tag: (index + 1).to_string(),
                points: smoothed(
                    &drawn
                        .group
                        .logged(|line| line.gradient_cosine.get(pair).copied()),
                ),
                band: Vec::new(),
                dots: false,
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        let chart = Lines {
            title: format!("{}: cosines of the tasks' gradients", drawn.group.label),
            x_name: "updates",
            y_range: None,
            level: Some(0.0),
            lines,
        };
        cosines.push(Figure {
            title: match several {
                true => format!("{}, cosine", drawn.group.label),
                false => "Cosine".into(),
            },
            note: String::new(),
            svg: chart.svg()?,
        });
    }
    let pair_legend = pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| LegendEntry {
            colour: index,
            tag: (index + 1).to_string(),
            label: pair.clone(),
        })
        .collect();
    let mut blocks = vec![Block::text(
        "Cosines of two tasks' gradients; below zero the tasks pull against each other, and are said to be in conflict.",
    )];
    let note = format!(
        "Each point is the mean of a {SMOOTHED}th of the logged steps.{}",
        left_out(report)
    );
    if several {
        blocks.push(Block::Figures {
            note: note.clone(),
            legend: legend(&groups),
            figures: share,
            tables: Vec::new(),
        });
    }
    blocks.push(Block::Figures {
        note: if several { String::new() } else { note },
        legend: pair_legend,
        figures: cosines,
        tables: vec![conflict_table(report, &pairs)],
    });
    Ok(Some(Section {
        id: "conflicts",
        heading: "Conflicts of gradients".into(),
        blocks,
    }))
}

/// Whether gradients were compared. Under a frozen encoder all shared ones are zero, and so are their cosines.
fn has_gradients(group: &Group) -> bool {
    let mut lines = group.runs.iter().flat_map(|run| &run.training);
    lines.any(|line| line.gradient_cosine.values().any(|cosine| *cosine != 0.0))
}

fn conflict_table(report: &Report, pairs: &[String]) -> Table {
    let mut table = Table::new(
        "Means over seeds and logged steps, of all of training and of its halves.",
        [
            "Setting",
            "Gradients",
            "#All",
            "#First half",
            "#Second half",
        ],
    );
    for group in report.groups.iter().filter(|group| has_gradients(group)) {
        let mut row = |name: String, logged: &[(f64, f64)]| {
            if !logged.is_empty() {
                let (first, second) = logged.split_at(logged.len() / 2);
                let first = if first.is_empty() {
                    NONE.into()
                } else {
                    mean(first)
                };
                table.row([group.label.clone(), name, mean(logged), first, mean(second)]);
            }
        };
        for pair in pairs {
            let logged = group.logged(|line| line.gradient_cosine.get(pair).copied());
            row(format!("cosine {pair}"), &logged);
        }
        let logged = group.logged(|line| line.conflict_share);
        row("share of pairs in conflict".into(), &logged);
    }
    table
}
