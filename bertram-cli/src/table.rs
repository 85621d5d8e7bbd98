//! The table of scores that commands print.

use bertram_core::metric::SplitScores;
use bertram_core::task::Metric;
use bertram_train::pipeline::FurtherScores;
use comfy_table::{CellAlignment, Table, presets};

/// A row a task: its score, the other scores, and the line of a model that has learned nothing. Scores on further files have
/// theirs, and are not in the mean.
pub fn scores_table(scores: &SplitScores, further: &FurtherScores) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["task", "score", "", "majority / zero line", "also", "rows"]);
    let own = scores.tasks.iter();
    let own = own.map(|(task, scores)| (task.name(), scores));
    let further = further.iter().map(|(name, scores)| (name.as_str(), scores));
    for (name, scores) in own.chain(further) {
        let also = scores.all().into_iter().skip(1);
        let also = also
            .filter(|(metric, _)| !matches!(metric, Metric::F1 | Metric::Mcc))
            .map(|(metric, value)| match metric {
                Metric::MacroF1 => format!("macro-F1 {value:.3}"),
                Metric::MicroF1 => format!("micro-F1 {value:.3}"),
                metric => format!("{} {value:.3}", metric.key()),
            });
        table.add_row([
            name.to_owned(),
            format!("{:.3}", scores.primary()),
            scores.metric().name().to_owned(),
            format!("{:.3}", scores.reference()),
            also.collect::<Vec<_>>().join(", "),
            scores.rows().to_string(),
        ]);
    }
    // Of no score there is no mean.
    if !scores.tasks.is_empty() {
        table.add_row([
            "overall".to_owned(),
            format!("{:.3}", scores.overall),
            String::new(),
            String::new(),
            format!("plain mean {:.3}", scores.mean),
            String::new(),
        ]);
    }
    for column in [1, 3, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
