//! Tables with a header: CSV, the course's tab-separated files, which quote as CSV does, and GLUE's, which do not.

use std::path::Path;

use super::dataset::{RawFields, RawFile, RawRow};
use super::error::MissingColumns;
use super::lines::LineCounter;
use super::options::{LabelColumn, ReadOptions};
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
    /// Of a format; JSON lines and Parquet are no tables of text and have none, so that the answer for them is of no use.
    pub fn of(format: Format) -> Self {
        let (delimiter, quoting) = match format {
            Format::Csv => (b',', true),
            Format::Cs224n | Format::TsvQuoted => (b'\t', true),
            Format::Glue | Format::Tsv | Format::JsonLines | Format::Parquet => (b'\t', false),
        };
        Self { delimiter, quoting }
    }
}

/// The columns of a format: names that are looked for, the first that is there first.
#[derive(Default)]
pub(super) struct Names {
    pub id: Vec<&'static str>,
    pub text_a: Vec<&'static str>,
    pub text_b: Vec<&'static str>,
    pub label: Vec<&'static str>,
}

impl Names {
    /// The columns of a task in a format: a preset's in the course's and GLUE's files, else the standard ones. Rows to
    /// predict may have any of these.
    pub fn of(options: &ReadOptions<'_>) -> Self {
        let mut names = Self::of_format(options.format, options.spec);
        if options.labels == LabelColumn::Ignored {
            names.add_texts(&Self::standard(options.spec));
            match options.spec.inputs {
                Inputs::Single => names.add_text_a(&["sentence", "text", "sentence1"]),
                Inputs::Pair => {
                    names.add_text_a(&["sentence1", "text-a", "text_a"]);
                    names.add_text_b(&["sentence2", "text-b", "text_b"]);
                }
            }
        }
        names
    }

    fn of_format(format: Format, spec: &TaskSpec) -> Self {
        match (format, spec.preset) {
            (
                Format::Cs224n,
                Some(Preset {
                    course: Some(course),
                    ..
                }),
            ) => Self {
                id: vec!["id"],
                text_a: vec![course.text_a],
                text_b: vec![course.text_b],
                label: vec![course.label],
            },
            (Format::Glue, Some(Preset { glue, .. })) => Self {
                id: vec![glue.id],
                text_a: vec![glue.text_a],
                text_b: vec![glue.text_b],
                label: vec![glue.label],
            },
            _ => Self::standard(spec),
        }
    }

    /// The columns of a task without a layout of its own. Of presets they have been these two from the first version on;
    /// where they are not there, those of its own files do for texts.
    fn standard(spec: &TaskSpec) -> Self {
        let mut names = Self {
            id: vec!["id"],
            text_a: match spec.inputs {
                Inputs::Single => vec!["sentence"],
                Inputs::Pair => vec!["sentence1"],
            },
            text_b: vec!["sentence2"],
            label: vec!["label"],
        };
        let Some(preset) = spec.preset else {
            match spec.inputs {
                Inputs::Single => names.add_text_a(&["text"]),
                Inputs::Pair => names.add_text_a(&["text-a", "text_a"]),
            }
            names.add_text_b(&["text-b", "text_b"]);
            return names;
        };
        names.add_text_a(&[preset.glue.text_a]);
        names.add_text_b(&[preset.glue.text_b]);
        if let Some(course) = &preset.course {
            names.add_text_a(&[course.text_a]);
            names.add_text_b(&[course.text_b]);
        }
        names
    }

    fn add_texts(&mut self, other: &Names) {
        self.add_text_a(&other.text_a);
        self.add_text_b(&other.text_b);
    }

    fn add_text_a(&mut self, names: &[&'static str]) {
        add(&mut self.text_a, names);
    }

    fn add_text_b(&mut self, names: &[&'static str]) {
        add(&mut self.text_b, names);
    }
}

/// Adds names that are not there yet. (A preset of single sentences has an empty one for the second.)
fn add(to: &mut Vec<&'static str>, names: &[&'static str]) {
    for name in names {
        if !name.is_empty() && !to.contains(name) {
            to.push(name);
        }
    }
}

/// The names under which a column may be: the config's own, or the standard ones; of rows to predict both.
pub(super) fn candidates<'a>(
    own: &'a Option<String>,
    standard: &[&'a str],
    options: &ReadOptions<'_>,
) -> Vec<&'a str> {
    let mut names: Vec<&str> = own.as_deref().into_iter().collect();
    if own.is_none() || options.labels == LabelColumn::Ignored {
        names.extend(standard);
    }
    names
}

/// What to do about columns of rows to predict: there is no config to name others in.
pub(super) fn advice_to_predict(options: &ReadOptions<'_>) -> Option<String> {
    (options.labels == LabelColumn::Ignored).then(|| {
        "Rename them as the task has them; a file without a header, with a sentence a line, is read by --format lines".to_owned()
    })
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
    weight: Option<usize>,
    /// Number of columns.
    width: usize,
}

/// Rows of a table; `bytes` are without a byte order mark.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
    dialect: Dialect,
) -> Result<RawFile, DataError> {
    let names = Names::of(options);
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
    let headless = headless.filter(|_| options.format == Format::Glue && options.labelled());
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
            hint: other_format(&bytes[start..], &missing, options, delimiter)
                .or_else(|| advice_to_predict(options)),
            missing,
            found: header.clone(),
        }))
    })?;

    let twice = header
        .iter()
        .enumerate()
        .find(|(at, name)| places.reads(*at) && header[at + 1..].contains(*name));
    if let Some((_, name)) = twice {
        notes.push(format!("there are two columns {name:?}: the first is read"));
    }

    let mut rows = Vec::new();
    let mut quoted_cells = 0;
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(io)? {
        // The reader's own line numbers count the records of a CRLF file, and no blank lines.
        let offset = record.position().map_or(0, csv::Position::byte);
        let line = lines.line_of(start_of_record(bytes, usize::try_from(offset).unwrap_or(0)));
        quoted_cells += usize::from(record.iter().any(is_quoted));
        let fields = places.fields(&record).map_err(|reason| {
            // A quoted cell over several lines is a row too short for each, where quotes are characters.
            let opens = !quoting && record.iter().any(opens_quote);
            match opens {
                true => format!(
                    "{reason} (a cell begins with a quote: if cells are quoted, {})",
                    options.say_format(&["tsv-quoted"])
                ),
                false => reason,
            }
        });
        rows.push(RawRow {
            line,
            id: places.id_of(&record, line),
            fields,
        });
    }
    // Texts that quote something are no rarity in GLUE's files, which are known not to be quoted.
    if options.format == Format::Tsv && quoted_cells > 0 {
        notes.push(format!(
            "{quoted_cells} rows have cells in quotes with doubled quotes in them, which the format keeps: if cells are quoted, {}",
            options.say_format(&["tsv-quoted"])
        ));
    }
    Ok(RawFile { rows, notes })
}

/// Whether a cell is as a writer of CSV makes of one with quotes: in quotes, with all within doubled.
fn is_quoted(cell: &[u8]) -> bool {
    let within = cell
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    within.is_some_and(|within| {
        let without: Vec<&[u8]> = within.split(|&byte| byte == b'"').collect();
        // `a ""b"" c` falls into a, nothing, b, nothing, c.
        without.len() > 1
            && without.len() % 2 == 1
            && without
                .iter()
                .skip(1)
                .step_by(2)
                .all(|part| part.is_empty())
    })
}

/// Whether a cell begins with a quote that it does not end with.
fn opens_quote(cell: &[u8]) -> bool {
    cell.starts_with(b"\"") && (cell.len() == 1 || !cell.ends_with(b"\""))
}

/// The delimiter under which a header has the columns; where none does, that under which it has most.
fn csv_delimiter(bytes: &[u8], options: &ReadOptions<'_>, names: &Names) -> u8 {
    let headers = b",;\t".map(|delimiter| {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(bytes);
        let header = reader.byte_headers().map(header_names);
        (delimiter, header.unwrap_or_default())
    });
    let has_columns = |header: &[String]| places(header, options, names).is_ok();
    let found = headers.iter().find(|(_, header)| has_columns(header));
    // Of equal ones, the first.
    let most = || headers.iter().rev().max_by_key(|(_, header)| header.len());
    found
        .or_else(most)
        .map_or(b',', |(delimiter, _)| *delimiter)
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
        let names = candidates(own, names, options);
        names
            .iter()
            .find_map(|name| header.iter().position(|column| column == name))
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
        Some(_) if options.labels != LabelColumn::Ignored => required("id", &columns.id, &names.id),
        _ => place(&columns.id, &names.id),
    };
    let text_a = required(text_key(options.spec), &columns.text_a, &names.text_a);
    let text_b = match options.spec.inputs {
        Inputs::Pair => required("text-b", &columns.text_b, &names.text_b),
        Inputs::Single => None,
    };
    let label = match options.labels {
        LabelColumn::Required => required("label", &columns.label, &names.label),
        LabelColumn::Optional => place(&columns.label, &names.label),
        LabelColumn::Ignored => None,
    };
    let weight = match options.weight_column() {
        Some(name) => required("weight", &columns.weight, &[name]),
        None => None,
    };
    match text_a {
        Some(text_a) if missing.is_empty() => Ok(Places {
            id,
            text_a,
            text_b,
            label,
            weight,
            width: header.len(),
        }),
        _ => Err(missing),
    }
}

impl Places {
    /// Whether a column is read.
    fn reads(&self, column: usize) -> bool {
        let texts = [Some(self.text_a), self.text_b];
        let columns = [texts[0], texts[1], self.id, self.label, self.weight];
        columns.contains(&Some(column))
    }

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
            weight: take(self.weight)?,
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
    match bytes.first() {
        Some(b'{') => {
            return Some(format!(
                "The file looks like JSON lines: {}",
                options.say_format(&["json-lines"])
            ));
        }
        Some(b'[') => {
            return Some(format!(
                "The file looks like one JSON array: write an object a line (jq -c '.[]' OLD > NEW) and {}",
                options.say_format(&["json-lines"])
            ));
        }
        _ => {}
    }
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let line = String::from_utf8_lossy(line);
    let names = Names::of(options);
    let texts = candidates(&options.columns.text_a, &names.text_a, options);
    let has_columns = |delimiter: char| {
        let columns: Vec<&str> = line
            .split(delimiter)
            .map(|column| column.trim().trim_matches('"'))
            .collect();
        let missed = missing
            .iter()
            .any(|(_, name)| columns.contains(&name.as_str()));
        // In a sentence without a header, spaces stand around any word.
        let texts = || delimiter != ' ' && texts.iter().any(|name| columns.contains(name));
        columns.len() > 1 && (missed || texts())
    };
    let own = char::from(delimiter);
    if !Dialect::of(options.format).quoting && line.starts_with('"') && has_columns(own) {
        return Some(format!(
            "The columns' names are in quotes, which the format keeps: {}",
            options.say_format(&["tsv-quoted"])
        ));
    }
    let delimiters: [(char, &str, &[&str]); 5] = [
        ('\t', "tabs", &["tsv", "tsv-quoted"]),
        (',', "commas", &["csv"]),
        (';', "semicolons", &["csv"]),
        ('|', "bars", &[]),
        (' ', "spaces", &[]),
    ];
    let (_, name, formats) = delimiters
        .into_iter()
        .filter(|(other, ..)| *other != own)
        .find(|(other, ..)| has_columns(*other))?;
    let (takes, saved) = match delimiter {
        b',' => ("commas", "comma-separated"),
        _ => ("tabs", "tab-separated"),
    };
    // Of the course's tasks tables with commas have other columns than those that are missing here.
    let course = options
        .spec
        .preset
        .is_some_and(|preset| preset.course.is_some());
    let reads = !formats.is_empty() && (!course || options.labels == LabelColumn::Ignored);
    Some(match reads {
        true => format!(
            "The columns seem to be separated by {name}, and the format takes {takes}: {}",
            options.say_format(formats)
        ),
        false => format!(
            "The columns seem to be separated by {name}, and the format takes {takes}: save the file {saved}"
        ),
    })
}
