//! The table of scores that commands print.

use bertram_core::metric::SplitScores;
use bertram_core::task::Metric;
use comfy_table::{CellAlignment, Table, presets};

/// A row a task: its score, the other scores, and the line of a model that has learned nothing.
pub fn scores_table(scores: &SplitScores) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["task", "score", "", "majority / zero line", "also", "rows"]);
    for (task, scores) in &scores.tasks {
        let also = scores.all().into_iter().skip(1);
        let also = also
            .filter(|(metric, _)| !matches!(metric, Metric::F1 | Metric::Mcc))
            .map(|(metric, value)| match metric {
                Metric::MacroF1 => format!("macro-F1 {value:.3}"),
                metric => format!("{} {value:.3}", metric.key()),
            });
        table.add_row([
            task.name().to_owned(),
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
