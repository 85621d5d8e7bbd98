//! The rows of dev that the best model is most surely wrong about, and how well it knows each label.

use std::path::Path;

use bertram_core::fs::{READ_LIMIT, read_text};

use crate::Report;
use crate::document::{Block, Section, Table};
use crate::number;
use crate::read::RunRecord;

/// Rows of a task that are shown.
const SHOWN: usize = 10;
/// A text is cut behind so many characters.
const LONGEST: usize = 240;

/// Of the best run of the best setting; nothing for runs of versions that did not write them.
pub(super) fn mistakes(report: &Report) -> Option<Section> {
    let group = report.best().or(report.groups.first())?;
    let overall = |run: &&RunRecord| run.summary.dev.overall;
    let run = group
        .runs
        .iter()
        .max_by(|one, other| overall(one).total_cmp(&overall(other)))?;
    let mut blocks = vec![Block::text(format!(
        "On dev, by {}: the best run of the best setting. The run folder has more of them, in predictions/.",
        run.name
    ))];
    for task in report.tasks() {
        let title = report.title(crate::group::Measure::Task(task));
        let file = |what: &str| {
            let name = format!("predictions/{task}-dev-{what}.csv");
            read(&run.path.join(name))
        };
        if let Some((header, rows)) = file("labels") {
            let mut table = Table::new(
                format!("{title}: how well each label is known."),
                header
                    .iter()
                    .enumerate()
                    .map(|(column, name)| match column {
                        0 => "Label".to_owned(),
                        _ => format!("#{}", number::capital(name)),
                    }),
            );
            for row in &rows {
                table.row(row.iter().map(|cell| short_number(cell)));
            }
            blocks.push(Block::table(table));
        }
        if report.with_texts
            && let Some((header, rows)) = file("mistakes")
        {
            let caption = format!(
                "{title}: the {} that it is most surely wrong about.",
                match rows.len().min(SHOWN) {
                    1 => "row".to_owned(),
                    shown => format!("{shown} rows"),
                }
            );
            // A single sentence leaves its second column empty.
            let filled: Vec<usize> = (0..header.len())
                .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
                .collect();
            let columns = filled.iter().map(|column| match header[*column].as_str() {
                name @ ("probability" | "difference") => format!("#{}", number::capital(name)),
                name => number::capital(name),
            });
            let mut table = Table::new(caption, columns);
            for row in rows.iter().take(SHOWN) {
                let cells = filled.iter().map(|column| &row[*column]);
                table.row(cells.map(|cell| cut(&short_number(cell))));
            }
            blocks.push(Block::Details {
                summary: table.caption.clone(),
                blocks: vec![Block::table(table)],
            });
        }
    }
    (blocks.len() > 1).then(|| Section {
        id: "mistakes",
        heading: "Labels and mistakes".into(),
        blocks,
    })
}

type Rows = Vec<Vec<String>>;

/// A file's header and rows; `None` where it is not there, has no rows or is not what a run writes.
fn read(path: &Path) -> Option<(Vec<String>, Rows)> {
    let text = read_text(path, READ_LIMIT).ok()?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header: Vec<String> = cells(reader.headers().ok()?);
    let rows: Rows = reader
        .records()
        .map(|record| record.map(|record| cells(&record)))
        .collect::<Result<_, _>>()
        .ok()?;
    (!rows.is_empty() && !header.is_empty()).then_some((header, rows))
}

/// A number with three decimals; anything else as it is.
fn short_number(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(number) if cell.contains('.') => format!("{number:.3}"),
        _ => cell.to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_short_and_files_that_are_none_are_left_out() {
        assert_eq!(short_number("0.123456"), "0.123");
        assert_eq!(short_number("84"), "84");
        assert_eq!(short_number("it is 0.5 ."), "it is 0.5 .");
        let long = "é".repeat(LONGEST + 1);
        assert_eq!(cut(&long).chars().count(), LONGEST + 2);
        assert_eq!(cut("short"), "short");

        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("mistakes.csv");
        assert!(read(&path).is_none());
        std::fs::write(&path, "a,b\n").expect("write");
        assert!(read(&path).is_none());
        std::fs::write(&path, "a,b\n1\n").expect("write");
        assert!(read(&path).is_none(), "a row is cut off");
        std::fs::write(&path, "a,b\n1,\"x, y\"\n").expect("write");
        let (header, rows) = read(&path).expect("a table");
        assert_eq!(header, ["a", "b"]);
        assert_eq!(rows, [["1", "x, y"]]);
    }
}
