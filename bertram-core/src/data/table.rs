//! Tab-separated tables with a header: the course's files, which quote as CSV does, and GLUE's, which do not.

use std::path::Path;

use super::dataset::{RawFields, RawFile, RawRow, ReadOptions};
use super::error::MissingColumns;
use super::lines::LineCounter;
use super::quotes::QuotedSpans;
use super::{DataError, Format};
use crate::spec::Inputs;

const DELIMITER: u8 = b'\t';

/// The columns of a format.
pub(super) struct Names<'a> {
    pub id: &'a str,
    pub text_a: &'a str,
    pub text_b: &'a str,
    pub label: &'a str,
}

impl Names<'_> {
    /// The columns of a task without a layout of its own.
    pub fn standard(inputs: Inputs) -> Self {
        Self {
            id: "id",
            text_a: match inputs {
                Inputs::Single => "sentence",
                Inputs::Pair => "sentence1",
            },
            text_b: "sentence2",
            label: "label",
        }
    }
}

/// Places of the columns that are read.
struct Places {
    id: Option<usize>,
    text_a: usize,
    text_b: Option<usize>,
    label: Option<usize>,
    /// Number of columns.
    width: usize,
}

/// Rows of a table; `bytes` are without a byte order mark.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
    names: Names<'_>,
) -> Result<RawFile, DataError> {
    let quoting = options.format == Format::Cs224n;
    let mut notes = Vec::new();
    if quoting {
        let spans = QuotedSpans::find(bytes, DELIMITER);
        if let Some(line) = spans.unclosed {
            return Err(DataError::UnclosedQuote {
                path: path.to_owned(),
                line,
            });
        }
        notes.extend(spans.note());
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(DELIMITER)
        .quoting(quoting)
        // Rows of another width are ours to report, with their line.
        .flexible(true)
        .from_reader(bytes);
    let io = |error: csv::Error| DataError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    let header: Vec<String> = reader
        .byte_headers()
        .map_err(io)?
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect();
    if header.iter().all(String::is_empty) {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let start = start_of_record(bytes, 0);
    let mut lines = LineCounter::new(bytes);
    let places = places(&header, options, &names).map_err(|missing| {
        DataError::MissingColumns(Box::new(MissingColumns {
            path: path.to_owned(),
            task: options.task,
            line: Some(lines.line_of(start)),
            hint: other_format(&bytes[start..], &missing),
            missing,
            found: header,
        }))
    })?;

    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(io)? {
        // The reader's own line numbers count the records of a CRLF file, and no blank lines.
        let offset = record.position().map_or(0, csv::Position::byte);
        let line = lines.line_of(start_of_record(bytes, usize::try_from(offset).unwrap_or(0)));
        rows.push(RawRow {
            line,
            id: places.id_of(&record, line),
            fields: places.fields(&record),
        });
    }
    Ok(RawFile { rows, notes })
}

/// Where a record starts that the reader says starts at `offset`: it counts the rest of the line end before, and blank
/// lines.
fn start_of_record(bytes: &[u8], offset: usize) -> usize {
    let rest = bytes.get(offset..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    offset + blank.count()
}

/// Where the columns are; else the key and the name of each that is not there.
fn places(
    header: &[String],
    options: &ReadOptions<'_>,
    names: &Names<'_>,
) -> Result<Places, Vec<(&'static str, String)>> {
    let columns = options.columns;
    let place = |own: &Option<String>, name: &str| {
        let name = own.as_deref().unwrap_or(name);
        header.iter().position(|column| column == name)
    };
    let mut missing = Vec::new();
    let mut required = |key, own: &Option<String>, name: &str| {
        let found = place(own, name);
        if found.is_none() {
            missing.push((key, own.clone().unwrap_or_else(|| name.to_owned())));
        }
        found
    };
    // An id that the config does not ask for may be missing: the line number stands in.
    let id = match &columns.id {
        Some(_) => required("id", &columns.id, names.id),
        None => place(&None, names.id),
    };
    let text_a = required("text-a", &columns.text_a, names.text_a);
    let text_b = match options.spec.inputs {
        Inputs::Pair => required("text-b", &columns.text_b, names.text_b),
        Inputs::Single => None,
    };
    let label = if options.labelled {
        required("label", &columns.label, names.label)
    } else {
        place(&columns.label, names.label)
    };
    match text_a {
        Some(text_a) if missing.is_empty() => Ok(Places {
            id,
            text_a,
            text_b,
            label,
            width: header.len(),
        }),
        _ => Err(missing),
    }
}

impl Places {
    fn fields(&self, record: &csv::ByteRecord) -> Result<RawFields, String> {
        if record.len() != self.width {
            return Err(format!(
                "{} columns where the header has {}",
                record.len(),
                self.width
            ));
        }
        let take = |column: Option<usize>| {
            let bytes = column.and_then(|column| record.get(column));
            bytes
                .map(|bytes| {
                    std::str::from_utf8(bytes)
                        .map(str::to_owned)
                        .map_err(|error| {
                            format!("broken UTF-8 at byte {} of a column", error.valid_up_to())
                        })
                })
                .transpose()
        };
        // An id that is no text is as bad as a sentence that is none.
        take(self.id)?;
        Ok(RawFields {
            text_a: take(Some(self.text_a))?,
            text_b: take(self.text_b)?,
            label: take(self.label)?,
        })
    }

    /// A row's identifier, bad as the row may be: the line number where the file has none.
    fn id_of(&self, record: &csv::ByteRecord, line: u64) -> Option<String> {
        let Some(column) = self.id else {
            return Some(line.to_string());
        };
        // In a row of another width, columns behind a tab too few or too many are not what they are called.
        let shifted = record.len() != self.width
            && [Some(self.text_a), self.text_b, self.label]
                .into_iter()
                .flatten()
                .any(|other| other < column);
        if shifted {
            return None;
        }
        let id = std::str::from_utf8(record.get(column)?).ok()?;
        Some(if id.is_empty() {
            line.to_string()
        } else {
            id.to_owned()
        })
    }
}

/// What a file without the columns looked for seems to be, and what to do.
fn other_format(bytes: &[u8], missing: &[(&str, String)]) -> Option<String> {
    match bytes.first() {
        Some(b'{') => {
            return Some("The file looks like JSON lines: set data.format = \"json-lines\"".into());
        }
        Some(b'[') => {
            return Some(
                "The file looks like one JSON array: write an object a line (jq -c '.[]' OLD > NEW) and set data.format = \"json-lines\""
                    .into(),
            );
        }
        _ => {}
    }
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let line = String::from_utf8_lossy(line);
    let delimiters = [
        (',', "commas"),
        (';', "semicolons"),
        ('|', "bars"),
        (' ', "spaces"),
    ];
    let (_, name) = delimiters.into_iter().find(|(delimiter, _)| {
        let columns: Vec<&str> = line
            .split(*delimiter)
            .map(|column| column.trim().trim_matches('"'))
            .collect();
        columns.len() > 1
            && missing
                .iter()
                .any(|(_, name)| columns.contains(&name.as_str()))
    })?;
    Some(format!(
        "The columns seem to be separated by {name}, and the format takes tabs: save the file tab-separated"
    ))
}
