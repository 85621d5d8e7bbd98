//! A file of which nobody has said what it holds: its columns, and what is in them.

use std::path::Path;

use super::dataset::{raw_rows, read_bytes};
use super::options::{BadRows, Columns, LabelColumn, ReadOptions};
use super::{BadRow, DataError, Format, Preprocess};
use crate::spec::{Inputs, LabelKind, Metric, TaskId, TaskSpec};

/// A column of a table, or a field of JSON objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What each row has in it, without white space around it; `None` where a row has nothing.
    pub cells: Vec<Option<String>>,
}

/// The columns of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileColumns {
    /// Those that have a name, in the order of the file. Columns of lists or objects are left out.
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
    let spec = TaskSpec {
        title: String::new(),
        inputs: Inputs::Single,
        // Takes truth values of JSON, as texts do.
        label: LabelKind::Binary,
        labels: Vec::new(),
        metric: Metric::Accuracy,
        preset: None,
    };
    let rows_with = |name: &str| {
        let columns = Columns {
            text_a: Some(name.to_owned()),
            label: Some(name.to_owned()),
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
            label_numbers: None,
        };
        raw_rows(path, &whole, &options)
    };
    let names = match rows_with(NO_NAME) {
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
    let mut rows = 0;
    let mut bad = Vec::new();
    for name in names {
        let mut cells = Vec::new();
        let mut bad_here = Vec::new();
        for (row, raw) in rows_with(&name)?.rows.into_iter().enumerate() {
            match raw.fields {
                Ok(fields) => {
                    let text = fields.text_a.unwrap_or_default().trim().to_owned();
                    cells.push(Some(text).filter(|text| !text.is_empty()));
                }
                Err(reason) => bad_here.push(BadRow {
                    line: raw.line,
                    reason,
                    row,
                    id: raw.id,
                }),
            }
        }
        // A row that cannot be read at all is bad in each column; in a column of lists all rows are.
        if columns.is_empty() || bad_here.len() < bad.len() {
            rows = cells.len();
            bad = bad_here;
        }
        columns.push(Column { name, cells });
    }
    columns.retain(|column| column.cells.len() == rows);
    if rows == 0 {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(FileColumns { columns, rows, bad })
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
    fn fields_of_objects_are_columns_and_lists_are_none() {
        let text =
            b"{\"a\": \"x\", \"b\": [1], \"c\": true}\n{\"a\": null, \"b\": [], \"c\": 2.5}\nno\n";
        let file = read("x.jsonl", text, Format::JsonLines).expect("columns");
        assert_eq!(
            shown(&file),
            [("a", vec!["x", "-"]), ("c", vec!["true", "2.5"])]
        );
        assert_eq!(file.bad.len(), 1);
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
