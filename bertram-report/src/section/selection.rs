//! Scores on rows that have not chosen what they score.

use bertram_train::pipeline::Summary;

use super::scores::heading;
use crate::document::{Block, Table};
use crate::group::{Group, Measure};
use crate::number;
use crate::{Report, Statistic};

/// The scores of runs whose best evaluation was chosen on other dev rows than it is scored on, and those of last weights
/// beside an average; nothing for runs of versions that did not count them.
pub(super) fn unchosen(report: &Report) -> Option<Block> {
    let measures = report.measures();
    let over_seeds = |group: &Group, of: &dyn Fn(&Summary) -> Option<f64>| {
        let scores: Option<Vec<f64>> = group.runs.iter().map(|run| of(&run.summary)).collect();
        Statistic::new(&scores?)
    };
    let mut last_weights = false;
    struct Row<'a> {
        group: &'a Group,
        scores: Vec<Option<Statistic>>,
        last: Option<Statistic>,
    }
    let rows: Vec<Row<'_>> = report
        .groups
        .iter()
        .map(|group| {
            let scores = measures.iter();
            let scores =
                scores.map(|measure| over_seeds(group, &|it| unchosen_score(it, *measure)));
            let last = over_seeds(group, &|it| it.last_weights.as_ref().map(|it| it.overall));
            last_weights |= last.is_some();
            Row {
                group,
                scores: scores.collect(),
                last,
            }
        })
        .collect();
    if rows
        .iter()
        .all(|row| row.scores.iter().all(Option::is_none))
    {
        return None;
    }
    let columns = ["Setting".to_owned()]
        .into_iter()
        .chain(
            measures
                .iter()
                .map(|it| format!("#{}", heading(report, *it))),
        )
        .chain(last_weights.then(|| "#Overall, last weights, all rows".to_owned()));
    let mut table = Table::new(
        "Scores of evaluations that other dev rows have chosen: each half of dev chooses one that the other half scores, \
         and the two are averaged; with data.select-share, one part chooses and the other scores. The table above is \
         scored on the rows that chose, and so a little too high. What was chosen by hand on dev is in both.",
        columns,
    );
    for Row {
        group,
        scores,
        last,
    } in rows
    {
        let scores = scores.into_iter().map(number::statistic);
        table.row(
            [group.full_label()]
                .into_iter()
                .chain(scores)
                .chain(last_weights.then(|| number::statistic(last))),
        );
    }
    Some(Block::table(table))
}

fn unchosen_score(summary: &Summary, measure: Measure) -> Option<f64> {
    if let Some(parts) = &summary.parts {
        return measure.of(&parts.held_out);
    }
    let selected = summary.cross_selected.as_ref()?;
    match measure {
        Measure::Task(task) => selected.tasks.get(&task).copied(),
        Measure::Overall => (!selected.tasks.is_empty()).then_some(selected.overall),
    }
}
