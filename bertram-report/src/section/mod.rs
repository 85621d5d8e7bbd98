//! What a report says, section by section.

mod compare;
mod effects;
mod mistakes;
mod paired;
mod predictions;
mod scores;
mod search;
mod selection;
mod settings;
mod training;

pub(super) use effects::numbers as effect_numbers;
pub(super) use predictions::pooled;
pub(super) use scores::{heading, summary};
pub(super) use settings::{began, unfinished, unreadable};

use super::chart::COLOURS;
use super::document::{Document, LegendEntry, Section};
use super::group::{Group, Measure};
use super::{Report, ReportError};

/// The whole report.
pub(super) fn document(report: &Report) -> Result<Document, ReportError> {
    let sections = [
        Some(scores::scores(report)?),
        search::search(report)?,
        compare::paper(report),
        compare::differences(report),
        paired::paired(report),
        effects::effects(report)?,
        training::curves(report)?,
        training::losses(report)?,
        training::conflicts(report)?,
        predictions::predictions(report)?,
        mistakes::mistakes(report),
        Some(settings::settings(report)),
        Some(settings::environment(report)),
        settings::unfinished(report),
        settings::unreadable(report),
        Some(settings::reading(report)),
    ];
    Ok(Document {
        title: title(report),
        summary: scores::summary(report),
        sections: sections.into_iter().flatten().collect::<Vec<Section>>(),
    })
}

fn title(report: &Report) -> String {
    match &report.groups[..] {
        [only] => format!("Report of {}", only.full_label()),
        groups => format!("Report of {} settings", groups.len()),
    }
}

/// A setting as it is drawn: its colour and the tag at the end of its lines.
#[derive(Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub group: &'a Group,
    pub colour: usize,
    pub number: usize,
}

impl Drawn<'_> {
    /// The number of the legend; none where there is one line only.
    fn tag(&self, all: usize) -> String {
        if all > 1 {
            self.number.to_string()
        } else {
            String::new()
        }
    }
}

/// The settings that are drawn, in their order: all, or as many as there are colours, the baseline and the best ones.
pub(super) fn drawn(report: &Report) -> Vec<Drawn<'_>> {
    let mut by_score: Vec<usize> = (0..report.groups.len()).collect();
    let overall = |index: usize| {
        report.groups[index]
            .statistic(Measure::Overall)
            .map_or(f64::NEG_INFINITY, |statistic| statistic.mean)
    };
    by_score.sort_by(|&one, &other| {
        let baseline = |index| index != report.baseline;
        baseline(one)
            .cmp(&baseline(other))
            .then(overall(other).total_cmp(&overall(one)))
    });
    by_score.truncate(COLOURS);
    by_score.sort_unstable();
    by_score
        .into_iter()
        .enumerate()
        .map(|(colour, index)| Drawn {
            group: &report.groups[index],
            colour,
            number: colour + 1,
        })
        .collect()
}

/// What the colours of [`drawn`] settings mean; nothing where there is one.
pub(super) fn legend(drawn: &[Drawn<'_>]) -> Vec<LegendEntry> {
    if drawn.len() < 2 {
        return Vec::new();
    }
    drawn
        .iter()
        .map(|drawn| LegendEntry {
            colour: drawn.colour,
            tag: drawn.number.to_string(),
            label: drawn.group.full_label(),
        })
        .collect()
}

/// Says which settings are left out of pictures, where some are; follows another sentence.
pub(super) fn left_out(report: &Report) -> String {
    let all = report.groups.len();
    if all <= COLOURS {
        return String::new();
    }
    format!(
        " Shown are {COLOURS} of the {all} settings: the baseline and those with the best overall scores."
    )
}
