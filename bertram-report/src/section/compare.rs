//! Scores beside others: the paper's, and the baseline's.

use crate::Report;
use crate::document::{Block, Section, Table};
use crate::group::Group;
use crate::number::{self, NONE};

/// Ours beside the paper's, where a config says what the paper has.
pub(super) fn paper(report: &Report) -> Option<Section> {
    let groups: Vec<&Group> = report
        .groups
        .iter()
        .filter(|it| it.paper().is_some())
        .collect();
    if groups.is_empty() {
        return None;
    }
    let measures = report.measures();
    let columns = ["Setting".to_owned()]
        .into_iter()
        .chain(measures.iter().flat_map(|it| {
            [
                format!("#{} paper", it.name()),
                format!("#{} ours", it.name()),
            ]
        }));
    let mut table = Table::new(
        "The paper's scores and ours (mean over seeds). Ours are on dev.",
        columns.chain(["Paper's split".to_owned()]),
    );
    for group in groups {
        let Some(paper) = group.paper() else { continue };
        let scores = measures.iter().flat_map(|&measure| {
            let ours = group.statistic(measure).map(|score| score.mean);
            [measure.paper(&paper), ours].map(number::optional)
        });
        table.row(
            [group.full_label()]
                .into_iter()
                .chain(scores)
                .chain([paper.split.name().to_owned()]),
        );
    }
    Some(Section {
        id: "paper",
        heading: "Beside the paper".into(),
        blocks: vec![Block::table(table)],
    })
}

/// Every setting less the baseline.
pub(super) fn differences(report: &Report) -> Option<Section> {
    if report.groups.len() < 2 {
        return None;
    }
    let baseline = report.baseline();
    let measures = report.measures();
    let mut table = Table::new(
        format!(
            "Difference of means to {} on dev; after ± its standard error, where both have more than one seed.",
            baseline.label
        ),
        ["Setting".to_owned()]
            .into_iter()
            .chain(measures.iter().map(|it| format!("#{}", report.title(*it)))),
    );
    for (index, group) in report.groups.iter().enumerate() {
        if index == report.baseline {
            continue;
        }
        let cells = measures.iter().map(|&measure| {
            let (Some(here), Some(there)) = (group.statistic(measure), baseline.statistic(measure))
            else {
                return NONE.to_owned();
            };
            let difference = number::difference(here.mean - there.mean);
            match (here.squared_error(), there.squared_error()) {
                (Some(one), Some(other)) => {
                    format!("{difference} ± {:.3}", (one + other).sqrt())
                }
                _ => difference,
            }
        });
        table.row([group.full_label()].into_iter().chain(cells));
    }
    let how = if report.baseline_chosen {
        format!("The baseline is {}.", baseline.full_label())
    } else {
        format!(
            "The baseline is {}, the first one; --baseline takes another.",
            baseline.full_label()
        )
    };
    Some(Section {
        id: "differences",
        heading: "Differences to the baseline".into(),
        blocks: vec![Block::text(how), Block::table(table)],
    })
}
