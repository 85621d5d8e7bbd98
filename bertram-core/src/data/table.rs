//! Tables with a header: CSV, the course's tab-separated files, which quote as CSV does, and GLUE's, which do not.

use std::path::Path;

use super::dataset::{RawFields, RawFile, RawRow, ReadOptions};
use super::error::MissingColumns;
use super::lines::LineCounter;
use super::quotes::QuotedSpans;
use super::{DataError, Format};
use crate::spec::{Inputs, Preset, TaskSpec};

/// How the cells of a table are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quoting: bool,
}

impl Dialect {
    /// Of a format; JSON lines are no table and have none, so that the answer for them is of no use.
    pub fn of(format: Format) -> Self {
        let (delimiter, quoting) = match format {
            Format::Csv => (b',', true),
            Format::Cs224n | Format::TsvQuoted => (b'\t', true),
            Format::Glue | Format::Tsv | Format::JsonLines => (b'\t', false),
        };
        Self { delimiter, quoting }
    }
}

/// The columns of a format: names that are looked for, the first that is there first.
pub(super) struct Names {
    pub id: &'static [&'static str],
    pub text_a: &'static [&'static str],
    pub text_b: &'static [&'static str],
    pub label: &'static [&'static str],
}

impl Names {
    /// The columns of a task in a format: a preset's in the course's and GLUE's files, else the standard ones.
    pub fn of(format: Format, spec: &TaskSpec) -> Self {
        let one = std::slice::from_ref;
        match (format, spec.preset) {
            (
                Format::Cs224n,
                Some(Preset {
                    course: Some(course),
                    ..
                }),
            ) => Self {
                id: &["id"],
                text_a: one(&course.text_a),
                text_b: one(&course.text_b),
                label: one(&course.label),
            },
            (Format::Glue, Some(Preset { glue, .. })) => Self {
                id: one(&glue.id),
                text_a: one(&glue.text_a),
                text_b: one(&glue.text_b),
                label: one(&glue.label),
            },
            _ => Self::standard(spec),
        }
    }

    /// The columns of a task without a layout of its own. Of presets they have been these two from the first version on,
    /// and no others.
    pub fn standard(spec: &TaskSpec) -> Self {
        let own = spec.preset.is_none();
        Self {
            id: &["id"],
            text_a: match spec.inputs {
                Inputs::Single if own => &["sentence", "text"],
                Inputs::Single => &["sentence"],
                Inputs::Pair if own => &["sentence1", "text-a", "text_a"],
                Inputs::Pair => &["sentence1"],
            },
            text_b: match own {
                true => &["sentence2", "text-b", "text_b"],
                false => &["sentence2"],
            },
            label: &["label"],
        }
    }
}

/// The key of `tasks.X.columns` that names the first text.
pub(super) fn text_key(spec: &TaskSpec) -> &'static str {
    match spec.inputs {
        Inputs::Single if spec.preset.is_none() => "text",
        _ => "text-a",
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
    dialect: Dialect,
    names: Names,
) -> Result<RawFile, DataError> {
    let quoting = dialect.quoting;
    let delimiter = match options.format {
        Format::Csv => csv_delimiter(bytes, options, &names),
        _ => dialect.delimiter,
    };
    let mut notes = Vec::new();
    if quoting {
        let spans = QuotedSpans::find(bytes, delimiter);
        if let Some(line) = spans.unclosed {
            return Err(DataError::UnclosedQuote {
                path: path.to_owned(),
                line,
            });
        }
        notes.extend(spans.note());
    }
    // Some files of GLUE have no header; their test files do.
    let headless = options.spec.preset.and_then(|preset| preset.glue.headless);
    let headless = headless.filter(|_| options.format == Format::Glue && options.labelled);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .has_headers(headless.is_none())
        // Rows of another width are ours to report, with their line.
        .flexible(true)
        .from_reader(bytes);
    let io = |error: csv::Error| DataError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    let header = match headless {
        Some(columns) => columns.iter().map(|name| (*name).to_owned()).collect(),
        None => header_names(reader.byte_headers().map_err(io)?),
    };
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
            hint: other_format(&bytes[start..], &missing, options, delimiter),
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

/// The delimiter under which a header has the columns; a comma where none does.
fn csv_delimiter(bytes: &[u8], options: &ReadOptions<'_>, names: &Names) -> u8 {
    let found = b",;\t".iter().find(|delimiter| {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(**delimiter)
            .flexible(true)
            .from_reader(bytes);
        let header = reader.byte_headers().map(header_names);
        header.is_ok_and(|header| places(&header, options, names).is_ok())
    });
    found.copied().unwrap_or(b',')
}

fn header_names(header: &csv::ByteRecord) -> Vec<String> {
    let names = header.iter();
    names
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect()
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
    names: &Names,
) -> Result<Places, Vec<(&'static str, String)>> {
    let columns = options.columns;
    let place = |own: &Option<String>, names: &[&str]| {
        let at = |name: &str| header.iter().position(|column| column == name);
        match own {
            Some(own) => at(own),
            None => names.iter().find_map(|name| at(name)),
        }
    };
    let mut missing = Vec::new();
    let mut required = |key, own: &Option<String>, names: &[&str]| {
        let found = place(own, names);
        if found.is_none() {
            let standard = || names.first().copied().unwrap_or_default().to_owned();
            missing.push((key, own.clone().unwrap_or_else(standard)));
        }
        found
    };
    // An id that the config does not ask for may be missing: the line number stands in.
    let id = match &columns.id {
        Some(_) => required("id", &columns.id, names.id),
        None => place(&None, names.id),
    };
    let text_a = required(text_key(options.spec), &columns.text_a, names.text_a);
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
fn other_format(
    bytes: &[u8],
    missing: &[(&str, String)],
    options: &ReadOptions<'_>,
    delimiter: u8,
) -> Option<String> {
    // The format of a preset's files is that of all its tasks; another task has its own.
    let key = match options.spec.preset {
        Some(_) => "data.format".to_owned(),
        None => format!("tasks.{}.format", options.task),
    };
    match bytes.first() {
        Some(b'{') => {
            return Some(format!(
                "The file looks like JSON lines: set {key} = \"json-lines\""
            ));
        }
        Some(b'[') => {
            return Some(format!(
                "The file looks like one JSON array: write an object a line (jq -c '.[]' OLD > NEW) and set {key} = \"json-lines\""
            ));
        }
        _ => {}
    }
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let line = String::from_utf8_lossy(line);
    let delimiters = [
        ('\t', "tabs", Some("tsv\" or \"tsv-quoted")),
        (',', "commas", Some("csv")),
        (';', "semicolons", Some("csv")),
        ('|', "bars", None),
        (' ', "spaces", None),
    ];
    let others = delimiters
        .into_iter()
        .filter(|(other, ..)| *other as u8 != delimiter);
    let (_, name, format) = others.into_iter().find(|(other, ..)| {
        let columns: Vec<&str> = line
            .split(*other)
            .map(|column| column.trim().trim_matches('"'))
            .collect();
        columns.len() > 1
            && missing
                .iter()
                .any(|(_, name)| columns.contains(&name.as_str()))
    })?;
    let takes = if delimiter == b',' { "commas" } else { "tabs" };
    Some(match format {
        Some(format) if options.spec.preset.is_none() || delimiter == b',' => format!(
            "The columns seem to be separated by {name}, and the format takes {takes}: set {key} = \"{format}\""
        ),
        _ => format!(
            "The columns seem to be separated by {name}, and the format takes {takes}: save the file {}",
            if delimiter == b',' {
                "comma-separated"
            } else {
                "tab-separated"
            }
        ),
    })
}
