//! Scores: what a reader should take away, and the table.

use bertram_core::task::{Metric, TaskId};

use super::selection::unchosen;
use crate::chart::{Interval, Intervals};
use crate::document::{Block, Fact, Figure, Mark, Section, Table};
use crate::group::{Group, Measure};
use crate::number;
use crate::read::RunRecord;
use crate::{Report, ReportError};

/// What a reader should take away.
pub(crate) fn summary(report: &Report) -> Vec<Fact> {
    let mut facts = vec![fact("Ran", ran(report))];
    if let Some(best) = report.best() {
        let score = best.statistic(Measure::Overall);
        let mut text = format!("{}, {}", best.full_label(), number::statistic(score));
        if best.runs.len() > 1 {
            text.push_str(&format!(" over {} seeds", best.runs.len()));
        }
        let baseline = report.baseline();
        if report.groups.len() > 1
            && best.label != baseline.label
            && let (Some(score), Some(base)) = (score, baseline.statistic(Measure::Overall))
        {
            let difference = number::difference(score.mean - base.mean);
            text.push_str(&format!(", {difference} against {}", baseline.label));
            text.push_str(&may_be_chance(report, &best.label));
        }
        facts.push(fact("Best overall", text));
    }
    facts.extend(learned(report));
    facts.extend(different_metrics(report));
    facts.extend(different_rows(report));
    facts.extend(different_tasks(report));
    if let (Some(first), count) = (report.unfinished.first(), report.unfinished.len()) {
        let text = match count {
            1 => format!("{} is not finished and is not counted", first.name),
            count => format!("{count} runs are not finished and are not counted"),
        };
        facts.push(fact("Unfinished", text));
    }
    if let (Some(first), count) = (report.unreadable.first(), report.unreadable.len()) {
        let text = match count {
            1 => format!("{} cannot be read and is not counted", first.name),
            count => format!("{count} runs cannot be read and are not counted"),
        };
        facts.push(fact("Unreadable", text));
    }
    facts
}

/// Whether a setting's overall score is apart from the baseline's by more than chance, where that can be told.
fn may_be_chance(report: &Report, label: &str) -> String {
    let found = &report.paired().to_baseline;
    let setting = report.groups.iter().position(|group| group.label == label);
    let cell = setting.and_then(|setting| {
        let of_one_task = || match report.tasks()[..] {
            [task] => found.cell(setting, Measure::Task(task)),
            _ => None,
        };
        found.cell(setting, Measure::Overall).or_else(of_one_task)
    });
    let Some(cell) = cell else {
        return String::new();
    };
    format!(
        " (95 % interval {}: {})",
        number::interval(cell.interval()),
        match (cell.is_shown(), cell.is_tested()) {
            (true, _) => "more than chance",
            (false, true) => "no difference shown",
            (false, false) => "not tested, as one side has one seed",
        }
    )
}

fn fact(term: &str, text: String) -> Fact {
    Fact {
        term: term.to_owned(),
        text,
    }
}

fn ran(report: &Report) -> String {
    let runs: Vec<_> = report.groups.iter().flat_map(|group| &group.runs).collect();
    let mut seeds: Vec<u64> = runs.iter().map(|run| run.settings.train.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut backends: Vec<&str> = runs
        .iter()
        .map(|run| run.summary.backend.as_str())
        .collect();
    backends.sort_unstable();
    backends.dedup();
    let named = match &seeds[..] {
        seeds if seeds.len() > 6 => format!("{} seeds", seeds.len()),
        [one] => format!("seed {one}"),
        seeds => {
            let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
            format!("seeds {}", seeds.join(", "))
        }
    };
    let seconds: f64 = runs.iter().map(|run| run.summary.seconds).sum();
    format!(
        "{} of {}, {named}, on {}, {} in all",
        number::of(runs.len(), "finished run"),
        number::of(report.groups.len(), "setting"),
        backends.join(" and "),
        number::seconds(seconds)
    )
}

/// Tasks that some settings score by one metric and some by another: their numbers cannot be compared.
fn different_metrics(report: &Report) -> Vec<Fact> {
    let metrics = |task: TaskId| {
        let mut metrics: Vec<Metric> = Vec::new();
        let specs = report.groups.iter().filter_map(|group| group.task(task));
        for metric in specs.map(|spec| spec.metric) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        metrics
    };
    let tasks = report.tasks().into_iter();
    tasks
        .map(|task| (task, metrics(task)))
        .filter(|(_, metrics)| metrics.len() > 1)
        .map(|(task, metrics)| {
            let names: Vec<&str> = metrics.into_iter().map(Metric::title).collect();
            let text = format!(
                "{task} is scored by {} in some settings and by {} in others, and so their overall scores differ in kind",
                names[0],
                names[1..].join(" or ")
            );
            fact("Not comparable", text)
        })
        .collect()
}

/// Tasks whose scores are of other dev rows in some runs than in others: by their files' hashes, and by how many of them
/// were scored.
fn different_rows(report: &Report) -> Vec<Fact> {
    let runs = || report.groups.iter().flat_map(|group| &group.runs);
    let rows = |run: &RunRecord, task: TaskId| {
        let files = run.summary.data.iter();
        let mut files = files.filter(|file| file.task == task && file.split == "dev");
        let scores = run.summary.dev.tasks.get(&task)?;
        Some((files.next()?.sha256.clone(), scores.rows()))
    };
    let tasks = report.tasks().into_iter();
    tasks
        .filter_map(|task| {
            let mut all = runs().filter_map(|run| Some((run, rows(run, task)?)));
            let (first, of_first) = all.next()?;
            let (other, of_other) = all.find(|(_, rows)| *rows != of_first)?;
            let (here, there) = (of_first.1, of_other.1);
            let how = match here == there {
                true => "from another file".to_owned(),
                false => format!("{here} and {there}"),
            };
            let text = format!(
                "{task} is scored on other dev rows in {} than in {} ({how}): their scores are not of the same thing",
                other.name, first.name
            );
            Some(fact("Not comparable", text))
        })
        .collect()
}

/// Where some settings have tasks that others lack, overall scores are means over different tasks.
fn different_tasks(report: &Report) -> Option<Fact> {
    let tasks = |group: &Group| -> Vec<TaskId> {
        let scored = report.tasks().into_iter();
        scored
            .filter(|task| group.statistic(Measure::Task(*task)).is_some())
            .collect()
    };
    let first = report.groups.first()?;
    let other = report
        .groups
        .iter()
        .find(|group| tasks(group) != tasks(first))?;
    let names = |group| {
        let tasks = tasks(group);
        let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
        names.join(", ")
    };
    let text = format!(
        "the overall score of {} is of {}, that of {} of {}",
        other.label,
        names(other),
        first.label,
        names(first)
    );
    Some(fact("Not comparable", text))
}

/// Which settings are above the line of a model that has learned nothing, task by task.
fn learned(report: &Report) -> Vec<Fact> {
    let tasks = report
        .measures()
        .into_iter()
        .filter(|it| *it != Measure::Overall);
    tasks
        .map(|measure| {
            let scored: Vec<(&Group, f64, f64)> = report
                .groups
                .iter()
                .filter_map(|group| {
                    Some((
                        group,
                        group.statistic(measure)?.mean,
                        group.reference(measure)?,
                    ))
                })
                .collect();
            let not: Vec<&str> = scored
                .iter()
                .filter(|(_, mean, line)| mean <= line)
                .map(|(group, ..)| group.label.as_str())
                .collect();
            let line = scored.first().map_or(0.0, |(_, _, line)| *line);
            let what = match measure {
                Measure::Task(task)
                    if report
                        .task(task)
                        .is_some_and(|spec| spec.metric.is_correlation()) =>
                {
                    "the zero line".to_owned()
                }
                _ if scored.iter().all(|(_, _, other)| *other == line) => {
                    format!("the majority class ({})", number::score(line))
                }
                _ => "the majority class of its rows".to_owned(),
            };
            // Of equals the first.
            let best = scored
                .iter()
                .rev()
                .max_by(|(_, one, _), (_, other, _)| one.total_cmp(other))
                .map_or_else(String::new, |(group, mean, _)| match report.groups.len() {
                    1 => number::score(*mean),
                    _ => format!("best {} ({})", number::score(*mean), group.label),
                });
            let text = match (not.len(), scored.len()) {
                (0, 1) => format!("{best}, above {what}"),
                (0, _) => format!("{best}; every setting is above {what}"),
                (_, 1) => format!("{best}, not above {what}"),
                (some, all) if some == all => format!("{best}; no setting is above {what}"),
                (some, all) if some > 6 => {
                    format!("{best}; {some} of {all} settings are not above {what}")
                }
                _ => format!("{best}; not above {what}: {}", not.join(", ")),
            };
            fact(report.title(measure), text)
        })
        .collect()
}

/// The table of scores, and its picture.
pub(super) fn scores(report: &Report) -> Result<Section, ReportError> {
    let measures = report.measures();
    let columns = ["Setting".to_owned(), "#Seeds".to_owned()]
        .into_iter()
        .chain(
            measures
                .iter()
                .map(|it| format!("#{}", heading(report, *it))),
        );
    let mut table = Table::new(
        "Scores of the exported model on dev, mean ± sample standard deviation over seeds.",
        columns,
    );
    let best = report.best().map(|group| group.label.clone());
    for group in &report.groups {
        let mark = if report.groups.len() > 1 && Some(&group.label) == best.as_ref() {
            Mark::Best
        } else {
            Mark::Plain
        };
        let scores = measures
            .iter()
            .map(|&measure| number::statistic(group.statistic(measure)));
        table.marked(
            mark,
            [group.full_label(), group.runs.len().to_string()]
                .into_iter()
                .chain(scores),
        );
    }
    for (label, lines) in reference_lines(report, &measures) {
        let lines = lines.into_iter().map(number::optional);
        table.marked(
            Mark::Reference,
            [label, String::new()].into_iter().chain(lines),
        );
    }
    let mut blocks = vec![Block::table(table)];
    if report.groups.len() > 1 {
        blocks.push(pictures(report, &measures)?);
    }
    blocks.extend(unchosen(report));
    blocks.push(Block::Details {
        summary: "Other scores".into(),
        blocks: vec![Block::table(other_scores(report))],
    });
    Ok(Section {
        id: "scores",
        heading: "Scores".into(),
        blocks,
    })
}

pub(crate) fn heading(report: &Report, measure: Measure) -> String {
    match measure {
        // "Pearson r" is one word.
        Measure::Task(_) => format!(
            "{}, {}",
            report.title(measure),
            report.unit(measure).replace(' ', "\u{a0}")
        ),
        Measure::Overall => "Overall".into(),
    }
}

/// The lines of models that have learned nothing: one row where all settings share it.
fn reference_lines(report: &Report, measures: &[Measure]) -> Vec<(String, Vec<Option<f64>>)> {
    let mut rows: Vec<(Vec<&str>, Vec<Option<f64>>)> = Vec::new();
    for group in &report.groups {
        let lines: Vec<Option<f64>> = measures
            .iter()
            .map(|&measure| group.reference(measure))
            .collect();
        match rows.iter_mut().find(|(_, known)| *known == lines) {
            Some((labels, _)) => labels.push(&group.label),
            None => rows.push((vec![&group.label], lines)),
        }
    }
    let one = rows.len() == 1;
    rows.into_iter()
        .map(|(labels, lines)| {
            let label = if one {
                "Majority class, r = 0".to_owned()
            } else {
                format!(
                    "Majority class, r = 0, on the rows of {}",
                    labels.join(", ")
                )
            };
            (label, lines)
        })
        .collect()
}

fn pictures(report: &Report, measures: &[Measure]) -> Result<Block, ReportError> {
    let mut figures = Vec::new();
    let mut has_paper = false;
    for &measure in measures {
        let rows: Vec<Interval> = report
            .groups
            .iter()
            .filter_map(|group| {
                let score = group.statistic(measure)?;
                Some(Interval {
                    label: group.label.clone(),
                    colour: 0,
                    value: score.mean,
                    ends: score.sd.map(|sd| (score.mean - sd, score.mean + sd)),
                    ring: group.paper().and_then(|paper| measure.paper(&paper)),
                })
            })
            .collect();
        has_paper |= rows.iter().any(|row| row.ring.is_some());
        let mut lines: Vec<f64> = report
            .groups
            .iter()
            .filter_map(|group| group.reference(measure))
            .collect();
        lines.sort_by(f64::total_cmp);
        lines.dedup();
        let chart = Intervals {
            title: format!("{}: {} on dev", report.title(measure), report.unit(measure)),
            x_name: match measure {
                Measure::Task(_) => report.unit(measure),
                Measure::Overall => "overall",
            },
            lines,
            rows,
        };
        figures.push(Figure {
            title: report.title(measure).into(),
            note: String::new(),
            svg: chart.svg()?,
        });
    }
    let note = format!(
        "Dots are means over seeds, bars one standard deviation to either side, and the dashed line is a \
         model that has learned nothing{}.",
        if has_paper {
            "; rings are the paper's numbers"
        } else {
            ""
        }
    );
    Ok(Block::Figures {
        note,
        legend: Vec::new(),
        figures,
        tables: Vec::new(),
    })
}

/// What stands beside the main scores.
fn other_scores(report: &Report) -> Table {
    let mut table = Table::new(
        "Other scores on dev, mean ± sample standard deviation over seeds.",
        ["Setting", "Task", "Score", "#Value", "#Dev rows"],
    );
    for group in &report.groups {
        for task in report.tasks() {
            let scores = group
                .runs
                .iter()
                .filter_map(|run| run.summary.dev.tasks.get(&task));
            let numbers: Vec<(&str, f64, usize)> = scores
                .filter_map(|scores| {
                    let (metric, value) = *scores.all().get(1)?;
                    Some((metric.title(), value, scores.rows()))
                })
                .collect();
            let Some(&(name, _, rows)) = numbers.first() else {
                continue;
            };
            let values: Vec<f64> = numbers.iter().map(|(_, value, _)| *value).collect();
            table.row([
                group.label.clone(),
                report.title(Measure::Task(task)).to_owned(),
                name.to_owned(),
                number::statistic(crate::Statistic::new(&values)),
                number::count(rows as u64),
            ]);
        }
    }
    table
}
