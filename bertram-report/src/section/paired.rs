//! Differences that are more than chance, and those that are not.

use super::scores::heading;
use crate::Report;
use crate::document::{Block, Section, Table};
use crate::group::Measure;
use crate::number::{self, NONE};
use crate::paired::{Cell, Family, RESAMPLES};

/// Reasons that are told, of settings that cannot be compared.
const TOLD: usize = 3;

/// Settings beside the baseline and beside the one before, row by row; nothing where no two can be compared so.
pub(super) fn paired(report: &Report) -> Option<Section> {
    let found = report.paired();
    if found.to_baseline.is_empty() && found.steps.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::text(format!(
        "On the same dev rows, with 95 % intervals: by the bootstrap over rows, and over seeds where there are several ({} \
         draws). A star: zero is not in the interval, and a test (exact McNemar of accuracies, approximate randomisation, or a t \
         test over seeds) has a p-value below .05 after Holm's correction for all tests of the table's tasks, or for all of its \
         overall scores; one seed beside several is not tested. Everything else is no difference shown: it may be chance.",
        number::count(RESAMPLES as u64)
    ))];
    let baseline = &report.baseline().label;
    blocks.extend(table(
        report,
        &found.to_baseline,
        format!("Each setting less {baseline}."),
    ));
    let caption = "Each setting less the one before it";
    if let Some(steps) = table(report, &found.steps, format!("{caption}.")) {
        blocks.push(Block::Details {
            summary: caption.to_owned(),
            blocks: vec![steps],
        });
    }
    let refused = &found.to_baseline.refused;
    for (setting, reason) in refused.iter().take(TOLD) {
        let label = &report.groups[*setting].label;
        blocks.push(Block::text(format!(
            "{label} is not compared row by row: {reason}."
        )));
    }
    if let more @ 1.. = refused.len().saturating_sub(TOLD) {
        blocks.push(Block::text(format!(
            "Nor are {}.",
            number::of(more, "other setting")
        )));
    }
    Some(Section {
        id: "paired",
        heading: "More than chance?".into(),
        blocks,
    })
}

fn table(report: &Report, family: &Family, caption: String) -> Option<Block> {
    if family.is_empty() {
        return None;
    }
    let measures: Vec<Measure> = report.measures();
    let columns = measures
        .iter()
        .map(|it| format!("#{}", heading(report, *it)));
    let mut table = Table::new(caption, ["Setting".to_owned()].into_iter().chain(columns));
    for (setting, group) in report.groups.iter().enumerate() {
        let cells: Vec<Option<&Cell>> = measures
            .iter()
            .map(|it| family.cell(setting, *it))
            .collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let shown = cells
            .into_iter()
            .map(|cell| cell.map_or_else(|| NONE.to_owned(), with_interval));
        table.row([group.full_label()].into_iter().chain(shown));
    }
    let noise = measures
        .iter()
        .map(|it| number::optional(family.noise(*it)));
    let label = "A smaller difference is noise (half an interval, the median)".to_owned();
    table.row([label].into_iter().chain(noise));
    Some(Block::table(table))
}

/// `+0.012 (−0.003 to +0.027)`, with a star where it is more than chance.
fn with_interval(cell: &Cell) -> String {
    format!(
        "{} ({}){}",
        number::difference(cell.difference()),
        number::interval(cell.interval()),
        if cell.is_shown() { " *" } else { "" }
    )
}
