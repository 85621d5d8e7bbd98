//! What ran: settings, environment, and what did not finish.

use std::collections::BTreeSet;

use bertram_core::task::TaskId;
use bertram_train::phase::Phase;

use bertram_train::device::DeviceName;

use crate::Report;
use crate::document::{Block, Section, Table};
use crate::group::Group;
use crate::number::{self, NONE};
use crate::read::RunRecord;

/// Keys by which settings differ, and the whole configs.
pub(super) fn settings(report: &Report) -> Section {
    let mut blocks = Vec::new();
    if report.groups.len() > 1 {
        blocks.push(Block::text(format!(
            "Keys that are not those of the baseline, {}. Seeds are left out.",
            report.baseline().label
        )));
        let mut table = Table::new(
            "What differs from the baseline.",
            ["Setting", "Key", "Baseline", "Here"],
        );
        for (index, group) in report.groups.iter().enumerate() {
            if index == report.baseline {
                continue;
            }
            let different = report.baseline().difference(group);
            if different.is_empty() {
                table.row([
                    group.label.clone(),
                    "no key: other data or another model file".into(),
                    NONE.into(),
                    NONE.into(),
                ]);
            }
            for (key, there, here) in different {
                let shown = |value: Option<String>| value.unwrap_or_else(|| NONE.into());
                table.row([group.label.clone(), key, shown(there), shown(here)]);
            }
        }
        blocks.push(Block::table(table));
    }
    blocks.extend(changed(report));
    for group in &report.groups {
        let Some(first) = group.runs.first() else {
            continue;
        };
        blocks.push(Block::Details {
            summary: format!("The whole config of {}", group.label),
            blocks: vec![Block::Code {
                language: "toml",
                text: first.settings.to_toml(),
            }],
        });
    }
    Section {
        id: "settings",
        heading: "Settings".into(),
        blocks,
    }
}

/// Settings that changed when a run went on; nothing where none did.
fn changed(report: &Report) -> Option<Block> {
    let mut table = Table::new(
        "Settings that changed when a run went on (`train --resume`). Configs show their last values.",
        ["Run", "#From update", "Key", "Before", "Since"],
    );
    let mut any = false;
    for run in report.groups.iter().flat_map(|group| &group.runs) {
        for change in run.info.iter().flat_map(|info| &info.changed) {
            any = true;
            table.row([
                run.name.clone(),
                change.update.to_string(),
                change.key.clone(),
                change.before().to_owned(),
                change.since().to_owned(),
            ]);
        }
    }
    any.then(|| Block::table(table))
}

/// Where and how each run was made.
pub(super) fn environment(report: &Report) -> Section {
    let mut table = Table::new(
        "Runs. GiB is the most memory that the process held on the host.",
        [
            "Run",
            "Setting",
            "#Seed",
            "#Overall",
            "#Best epoch",
            "#Updates",
            "#Time",
            "#Tokens/s",
            "#GiB",
            "Backend",
            "#Began (UTC)",
        ],
    );
    for group in &report.groups {
        for run in &group.runs {
            table.row(cells(group, run, ""));
        }
        for run in &group.repeats {
            table.row(cells(group, run, " (repeats a seed; not counted)"));
        }
    }
    let mut blocks = vec![Block::table(table)];
    blocks.extend(phases(report));
    blocks.extend(provenance(report));
    Section {
        id: "environment",
        heading: "Runs and environment".into(),
        blocks,
    }
}

fn cells(group: &Group, run: &RunRecord, remark: &str) -> Vec<String> {
    let summary = &run.summary;
    let overall = (!summary.dev.tasks.is_empty()).then_some(summary.dev.overall);
    let info = run.info.as_ref();
    let device = info.map_or_else(DeviceName::default, |info| info.device);
    vec![
        format!("{}{remark}", run.name),
        group.label.clone(),
        run.settings.train.seed.to_string(),
        number::optional(overall),
        format!("{} of {}", summary.best_epoch, summary.epochs),
        number::count(summary.updates as u64),
        number::seconds(summary.seconds),
        number::count(summary.tokens_per_second.max(0.0).round() as u64),
        summary.peak_memory_bytes.map_or_else(
            || NONE.into(),
            |bytes| number::decimals(bytes as f64 / f64::from(1u32 << 30), 2),
        ),
        format!("{}, device {device}", summary.backend),
        began(run),
    ]
}

/// When a run began, to the minute.
pub(crate) fn began(run: &RunRecord) -> String {
    let info = run.info.as_ref();
    info.map_or_else(
        || NONE.into(),
        |info| {
            let minutes: String = info.started.chars().take(16).collect();
            minutes.replace('T', " ")
        },
    )
}

/// What the runs' time went to; nothing for runs of versions that did not count it.
fn phases(report: &Report) -> Option<Block> {
    let groups = report.groups.iter();
    let runs = groups.flat_map(|group| group.runs.iter().chain(&group.repeats));
    let runs: Vec<&RunRecord> = runs
        .filter(|run| !run.summary.phase_seconds.is_empty())
        .collect();
    let phases: BTreeSet<Phase> = runs
        .iter()
        .flat_map(|run| run.summary.phase_seconds.keys().copied())
        .collect();
    let names = phases
        .iter()
        .map(|phase| format!("#{}", number::capital(phase.title())));
    let columns: Vec<String> = ["Run".to_owned(), "#Wall time".to_owned()]
        .into_iter()
        .chain(names)
        .collect();
    let mut table = Table::new(
        "Wall time of each run from the start of its processes, and what it went to.",
        &columns,
    );
    for run in &runs {
        let summary = &run.summary;
        let each = phases.iter().map(|phase| {
            let seconds = summary.phase_seconds.get(phase);
            seconds.map_or_else(|| NONE.into(), |seconds| number::seconds(*seconds))
        });
        let start = [run.name.clone(), number::seconds(summary.wall_seconds)];
        table.row(start.into_iter().chain(each));
    }
    (!runs.is_empty()).then(|| Block::table(table))
}

/// Commands, models and data with their hashes.
fn provenance(report: &Report) -> Vec<Block> {
    let runs = || {
        report
            .groups
            .iter()
            .flat_map(|group| group.runs.iter().chain(&group.repeats))
    };
    let mut data = Table::new(
        "Files that were read, with their SHA-256 (of the rows, where the corpus is generated).",
        ["Task", "Split", "File", "#Rows", "SHA-256", "Runs"],
    );
    let mut files: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for run in runs() {
        for file in &run.summary.data {
            let key = vec![
                file.task.to_string(),
                file.split.clone(),
                file.path.display().to_string(),
                number::count(file.rows as u64),
                file.sha256.clone(),
            ];
            match files.iter_mut().find(|(known, _)| *known == key) {
                Some((_, runs)) => runs.push(&run.name),
                None => files.push((key, vec![&run.name])),
            }
        }
    }
    let all = runs().count();
    for (mut cells, names) in files {
        cells.push(if names.len() == all {
            "all".into()
        } else {
            names.join(", ")
        });
        data.row(cells);
    }
    let mut commands = Table::new(
        "Command lines, versions of bertram and Burn, and pretrained models.",
        ["Run", "Command", "Versions", "Model", "SHA-256"],
    );
    for run in runs() {
        let Some(info) = &run.info else { continue };
        commands.row([
            run.name.clone(),
            info.command.join(" "),
            format!("{}, {}", info.bertram, info.burn),
            info.model
                .as_ref()
                .map_or_else(|| NONE.into(), |path| path.display().to_string()),
            info.model_sha256.clone().unwrap_or_else(|| NONE.into()),
        ]);
    }
    [("Data", data), ("Commands, versions and models", commands)]
        .into_iter()
        .filter(|(_, table)| !table.rows.is_empty())
        .map(|(summary, table)| Block::Details {
            summary: summary.into(),
            blocks: vec![Block::table(table)],
        })
        .collect()
}

/// Runs that are not finished.
pub(crate) fn unfinished(report: &Report) -> Option<Section> {
    if report.unfinished.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "Runs without a summary.json: not counted above.",
        ["Run", "Updates", "To go on"],
    );
    for run in &report.unfinished {
        table.row([
            run.name.clone(),
            run.updates.map_or_else(
                || NONE.into(),
                |(made, all)| format!("{} of {}", number::count(made), number::count(all)),
            ),
            format!("bertram-cli train --resume {}", run.path.display()),
        ]);
    }
    Some(Section {
        id: "unfinished",
        heading: "Unfinished runs".into(),
        blocks: vec![Block::table(table)],
    })
}

/// Finished runs that cannot be read.
pub(crate) fn unreadable(report: &Report) -> Option<Section> {
    if report.unreadable.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "Runs whose files do not say what they should: not counted above.",
        ["Run", "What is wrong"],
    );
    for run in &report.unreadable {
        table.row([run.name.clone(), run.reason.clone()]);
    }
    Some(Section {
        id: "unreadable",
        heading: "Runs that cannot be read".into(),
        blocks: vec![Block::table(table)],
    })
}

/// What the numbers are.
pub(super) fn reading(report: &Report) -> Section {
    let is_paper = report
        .tasks()
        .iter()
        .all(|task| TaskId::PAPER.contains(task));
    let texts = [
        if is_paper {
            "Overall is the mean over tasks of accuracy or (r + 1)/2, the formula that reproduces the paper's Table 1. \
             A model that has learned nothing scores the majority class's share, and r = 0."
        } else {
            "Overall is the mean of the tasks' scores by their weights, each on a scale from 0 to 1: a correlation r counts as \
             (r + 1)/2. A model that has learned nothing scores what the majority class scores, and 0 on correlations."
        },
        "± is the sample standard deviation over seeds unless said otherwise. Runs are one setting where config, data and \
         model are the same but for the seed; a second run of the same seed is not counted.",
        "The epoch whose model is kept is the one with the best overall score on the same dev rows that are reported, \
         so scores on dev are a little too good.",
    ];
    Section {
        id: "reading",
        heading: "How to read this".into(),
        blocks: texts.into_iter().map(Block::text).collect(),
    }
}
