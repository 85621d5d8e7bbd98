//! A file of which nobody has said what it holds: its columns, and what is in them.

use std::path::Path;

use super::dataset::{RawFields, RawRow, raw_rows, read_bytes};
use super::options::{BadRows, Columns, LabelColumn, ReadOptions};
use super::{BadRow, DataError, Format, Preprocess};
use crate::spec::{Inputs, LabelKind, Metric, TaskId, TaskSpec};

/// A column of a table, or a field of JSON objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What each row has in it, without white space around it, a list as JSON has it; `None` where a row has nothing that can be
    /// read.
    pub cells: Vec<Option<String>>,
}

/// The columns of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileColumns {
    /// Those that have a name, in the order of the file. Columns of objects are left out.
    pub columns: Vec<Column>,
    /// Rows that can be read.
    pub rows: usize,
    /// Rows that cannot.
    pub bad: Vec<BadRow>,
}

/// A name that no column has: whoever looks for it is told which there are.
const NO_NAME: &str = "\u{1}";

/// Reads all columns of a file in a format. `task` is the one that messages name.
///
/// # Errors
/// [`DataError`] of a file that is not in the format, or has no rows.
pub fn read_columns(path: &Path, format: Format, task: TaskId) -> Result<FileColumns, DataError> {
    let whole = read_bytes(path)?;
    let rows_with = |text: &str, label: &str, kind: LabelKind| {
        let spec = TaskSpec {
            title: String::new(),
            inputs: Inputs::Single,
            label: kind,
            labels: Vec::new(),
            metric: Metric::Accuracy,
            preset: None,
        };
        let columns = Columns {
            text_a: Some(text.to_owned()),
            label: Some(label.to_owned()),
            ..Columns::default()
        };
        let options = ReadOptions {
            task,
            spec: &spec,
            format,
            columns: &columns,
            bad_rows: BadRows::Error,
            preprocess: Preprocess::None,
            labels: LabelColumn::Optional,
            weights: false,
            label_numbers: None,
        };
        raw_rows(path, &whole, &options)
    };
    // As a label of this kind, truth values of JSON are taken as texts are.
    let as_texts = |name: &str| rows_with(name, name, LabelKind::Binary);
    let names = match as_texts(NO_NAME) {
        Err(DataError::MissingColumns(missing)) => {
            // Another kind of file has other columns than those that were found.
            if missing.hint.is_some() {
                return Err(DataError::MissingColumns(missing));
            }
            distinct(missing.found)
        }
        Err(error) => return Err(error),
        Ok(_) => Vec::new(),
    };
    let mut columns = Vec::new();
    let mut with_lists = Vec::new();
    for name in names {
        let cells = cells(as_texts(&name)?.rows, |fields| fields.text_a);
        match is_read(&cells) || cells.iter().all(Result::is_ok) {
            true => columns.push((name, cells)),
            false => with_lists.push((columns.len(), name)),
        }
    }
    // Lists are read where labels are, beside a column of texts: they are those of a task with several labels a row.
    let text = columns.first().map(|(name, _)| name.clone());
    for (at, name) in with_lists.into_iter().rev() {
        let Some(text) = &text else { break };
        let rows = rows_with(text, &name, LabelKind::MultiLabel { classes: 0 })?.rows;
        let cells = cells(rows, |fields| fields.label);
        if is_read(&cells) {
            columns.insert(at, (name, cells));
        }
    }
    // A row that cannot be read at all is bad in each column.
    let all = columns.first().map_or(0, |(_, cells)| cells.len());
    let is_good = |row: usize| columns.iter().any(|(_, cells)| cells[row].is_ok());
    let good: Vec<bool> = (0..all).map(is_good).collect();
    let bad = columns.first().into_iter().flat_map(|(_, cells)| cells);
    let bad = bad.zip(&good).filter(|(_, good)| !**good);
    let bad: Vec<BadRow> = bad
        .filter_map(|(cell, _)| cell.as_ref().err().cloned())
        .collect();
    let rows = all - bad.len();
    let columns = columns
        .into_iter()
        .map(|(name, cells)| {
            let kept = cells.into_iter().zip(&good).filter(|(_, good)| **good);
            Column {
                name,
                cells: kept.map(|(cell, _)| cell.ok().flatten()).collect(),
            }
        })
        .collect();
    if rows == 0 {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(FileColumns { columns, rows, bad })
}

/// Whether any row has something in a column that can be read.
fn is_read(cells: &[Result<Option<String>, BadRow>]) -> bool {
    cells.iter().any(|cell| matches!(cell, Ok(Some(_))))
}

/// What each row has in a column.
fn cells(
    rows: Vec<RawRow>,
    of: impl Fn(RawFields) -> Option<String>,
) -> Vec<Result<Option<String>, BadRow>> {
    let cells = rows
        .into_iter()
        .enumerate()
        .map(|(row, raw)| match raw.fields {
            Ok(fields) => {
                let text = of(fields).unwrap_or_default().trim().to_owned();
                Ok(Some(text).filter(|text| !text.is_empty()))
            }
            Err(reason) => Err(BadRow {
                line: raw.line,
                reason,
                row,
                id: raw.id,
            }),
        });
    cells.collect()
}

/// The names that are not empty, each once: of two columns of one name the first is read.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        if !name.is_empty() && !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &[u8], format: Format) -> Result<FileColumns, DataError> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        read_columns(&path, format, TaskId::new("nli").expect("a name"))
    }

    /// Names and cells, `-` for none.
    fn shown(file: &FileColumns) -> Vec<(&str, Vec<&str>)> {
        let columns = file.columns.iter().map(|column| {
            let cells = column.cells.iter();
            let cells = cells.map(|cell| cell.as_deref().unwrap_or("-"));
            (column.name.as_str(), cells.collect())
        });
        columns.collect()
    }

    #[test]
    fn tables_are_told_apart_by_what_separates_most_columns() {
        for delimiter in [",", ";", "\t"] {
            let text = [
                ["a, or so", "b", "label"].join(delimiter),
                ["one", "two", "0"].join(delimiter),
                ["three", "", "1"].join(delimiter),
            ]
            .join("\n");
            let text = match delimiter {
                "," => text.replace("a, or so", "\"a, or so\""),
                _ => text,
            };
            let file = read("x.csv", text.as_bytes(), Format::Csv).expect("columns");
            assert_eq!(
                shown(&file),
                [
                    ("a, or so", vec!["one", "three"]),
                    ("b", vec!["two", "-"]),
                    ("label", vec!["0", "1"]),
                ],
                "{delimiter:?}"
            );
        }
    }

    #[test]
    fn columns_without_a_name_and_broken_rows_are_left_out() {
        let text = b"\tid\ttext\ttext\n0\ta\tx\ty\n1\tb\n2\tc\tz\tw\n";
        let file = read("x.tsv", text, Format::Tsv).expect("columns");
        assert_eq!(
            shown(&file),
            [("id", vec!["a", "c"]), ("text", vec!["x", "z"])]
        );
        assert_eq!(file.rows, 2);
        assert_eq!(file.bad.len(), 1);
        assert_eq!(file.bad[0].line, 3);
    }

    #[test]
    fn fields_of_objects_are_columns_and_objects_are_none() {
        let text =
            b"{\"a\": \"x\", \"b\": [1, \"y z\"], \"c\": true, \"d\": {}}\n{\"a\": null, \"b\": [], \"c\": 2.5}\nno\n";
        let file = read("x.jsonl", text, Format::JsonLines).expect("columns");
        assert_eq!(
            shown(&file),
            [
                ("a", vec!["x", "-"]),
                ("b", vec!["[1,\"y z\"]", "[]"]),
                ("c", vec!["true", "2.5"]),
            ]
        );
        assert_eq!(file.bad.len(), 1);
        // A row may lack the list.
        let text = b"{\"a\": \"x\", \"b\": [1]}\n{\"a\": \"y\"}\n";
        let file = read("x.jsonl", text, Format::JsonLines).expect("columns");
        assert_eq!(
            shown(&file),
            [("a", vec!["x", "y"]), ("b", vec!["[1]", "-"])]
        );
        let file = read("x.jsonl", b"{\"b\": [1]}\n", Format::JsonLines);
        assert!(file.is_err(), "{file:?}");
    }

    #[test]
    fn a_cell_that_cannot_be_read_hides_neither_its_column_nor_its_row() {
        let file = read("x.csv", b"text,label\n\xff,1\nb,0\n", Format::Csv).expect("columns");
        assert_eq!(
            shown(&file),
            [("text", vec!["-", "b"]), ("label", vec!["1", "0"])]
        );
        assert!(file.bad.is_empty() && file.rows == 2);
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let error = read("x.csv", b"", Format::Csv).expect_err("empty");
        assert!(error.to_string().contains("no rows"), "{error}");
        let error = read("x.csv", b"a,b\n", Format::Csv).expect_err("no rows");
        assert!(error.to_string().contains("no rows"), "{error}");
        let error = read("x.csv", b"{\"a\": 1}\n", Format::Csv).expect_err("objects");
        assert!(error.to_string().contains("JSON lines"), "{error}");
        let error = read("x.jsonl", b"a,b\n1,2\n", Format::JsonLines).expect_err("a table");
        assert!(error.to_string().contains("commas"), "{error}");
    }
}
