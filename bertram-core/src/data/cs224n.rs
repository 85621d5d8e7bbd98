//! The course's files: tab-separated, CSV quoting, columns addressed by their header.

use std::path::Path;

use super::DataError;
use super::dataset::{RawFields, RawRow, ReadOptions};
use crate::task::Inputs;

pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<Vec<RawRow>, DataError> {
    let spec = options.task.spec();
    table(
        path,
        bytes,
        options,
        true,
        Names {
            id: "id",
            text_a: spec.course_text_a,
            text_b: spec.course_text_b,
            label: spec.course_label,
        },
    )
}

/// The columns of a tab-separated format.
pub(super) struct Names<'a> {
    pub id: &'a str,
    pub text_a: &'a str,
    pub text_b: &'a str,
    pub label: &'a str,
}

/// Rows of a tab-separated file with a header.
pub(super) fn table(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
    quoting: bool,
    names: Names<'_>,
) -> Result<Vec<RawRow>, DataError> {
    // A byte-order mark would become part of the first column's name.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .quoting(quoting)
        // Rows of another width are ours to report, with their line.
        .flexible(true)
        .from_reader(bytes);
    let io = |error: csv::Error| DataError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    let header = reader.byte_headers().map_err(io)?.clone();
    let header: Vec<String> = header
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect();
    if header.iter().all(String::is_empty) {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let position = |name: &str| header.iter().position(|column| column == name);
    let required = |own: &Option<String>, name: &str| {
        let name = own.as_deref().unwrap_or(name);
        position(name).ok_or_else(|| DataError::MissingColumn {
            path: path.to_owned(),
            task: options.task,
            column: name.to_owned(),
            found: header
                .iter()
                .map(|column| format!("{column:?}"))
                .collect::<Vec<_>>()
                .join(", "),
        })
    };
    let columns = options.columns;
    // An id that the config does not ask for may be missing: the line number stands in.
    let id = match &columns.id {
        Some(_) => Some(required(&columns.id, names.id)?),
        None => position(names.id),
    };
    let text_a = required(&columns.text_a, names.text_a)?;
    let text_b = match spec_inputs(options) {
        Inputs::Pair => Some(required(&columns.text_b, names.text_b)?),
        Inputs::Single => None,
    };
    let label = if options.labelled {
        Some(required(&columns.label, names.label)?)
    } else {
        position(columns.label.as_deref().unwrap_or(names.label))
    };

    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(io)? {
        let line = record.position().map_or(0, csv::Position::line);
        let fields = fields(&record, header.len(), [id, Some(text_a), text_b, label]);
        rows.push(RawRow { line, fields });
    }
    Ok(rows)
}

fn spec_inputs(options: &ReadOptions<'_>) -> Inputs {
    options.task.spec().inputs
}

fn fields(
    record: &csv::ByteRecord,
    width: usize,
    columns: [Option<usize>; 4],
) -> Result<RawFields, String> {
    if record.len() != width {
        return Err(format!(
            "{} columns where the header has {width}",
            record.len()
        ));
    }
    let mut texts = columns.map(|column| {
        let bytes = record.get(column?)?;
        Some(
            std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|error| {
                    format!("broken UTF-8 at byte {} of a column", error.valid_up_to())
                }),
        )
    });
    let mut take = |index: usize| texts[index].take().transpose();
    Ok(RawFields {
        id: take(0)?,
        text_a: take(1)?,
        text_b: take(2)?,
        label: take(3)?,
    })
}
