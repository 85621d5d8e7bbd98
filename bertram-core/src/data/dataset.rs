//! Data sets: rows, the files they come from, and what is wrong with them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::order::sample_rows;
use super::{Preprocess, cs224n, glue, json_lines};
use crate::task::{Inputs, LabelKind, TaskId};

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Identifier, as prediction files need it.
    pub id: String,
    /// The sentence, or the first of two.
    pub text_a: String,
    /// The second sentence of a pair.
    pub text_b: Option<String>,
    /// Class index, 0/1, or score; `None` in a split without labels.
    pub label: Option<f32>,
}

/// File formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The CS224N course's tab-separated files with CSV quoting.
    Cs224n,
    /// GLUE's tab-separated files without quoting.
    Glue,
    /// A JSON object a line.
    JsonLines,
}

/// Names of columns or fields, where they are not the format's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Columns {
    /// Identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// First sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_a: Option<String>,
    /// Second sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_b: Option<String>,
    /// Label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What to do with a bad row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadRows {
    /// Refuse the file.
    Error,
    /// Leave the row out, and count it.
    Skip,
}

/// A row that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Line of the file on which the row starts, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Dev,
    /// To report on; often without labels.
    Test,
}

impl Split {
    /// `train`, `dev` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Dev => "dev",
            Split::Test => "test",
        }
    }
}

/// The rows of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The task.
    pub task: TaskId,
    /// Where the rows come from.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The rows.
    pub examples: Vec<Example>,
    /// Rows left out.
    pub skipped: Vec<BadRow>,
}

impl Dataset {
    /// `limit` distinct rows drawn by `seed`, or all.
    pub fn subsample(&self, limit: usize, seed: u64) -> Vec<usize> {
        sample_rows(self.examples.len(), limit, seed)
    }
}

/// How to read a file.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions<'a> {
    /// The task whose rows they are.
    pub task: TaskId,
    /// The format.
    pub format: Format,
    /// Names of columns, where they differ from the format's.
    pub columns: &'a Columns,
    /// What to do with bad rows.
    pub bad_rows: BadRows,
    /// What to do to texts.
    pub preprocess: Preprocess,
    /// Whether every row must have a label. Without, a label column is optional, and used if every row has one.
    pub labelled: bool,
}

/// Errors of a data file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A column is not there.
    #[error(
        "{path}, line 1: no column {column:?}; the columns are {found}. Name another with tasks.{task}.columns"
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The task.
        task: TaskId,
        /// The column looked for.
        column: String,
        /// The columns there are.
        found: String,
    },
    /// There are no rows.
    #[error("{path}: there are no rows in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Bad rows, and `bad-rows = "error"`.
    #[error("{}", bad_rows_message(path, rows))]
    BadRows {
        /// The file.
        path: PathBuf,
        /// All of them.
        rows: Vec<BadRow>,
    },
}

/// Bad rows that a message names; the others are counted.
const NAMED_ROWS: usize = 10;

fn bad_rows_message(path: &Path, rows: &[BadRow]) -> String {
    let mut message = format!("{}: {} bad rows", path.display(), rows.len());
    if rows.len() == 1 {
        message = format!("{}: 1 bad row", path.display());
    }
    for row in rows.iter().take(NAMED_ROWS) {
        message.push_str(&format!("\n  line {}: {}", row.line, row.reason));
    }
    if rows.len() > NAMED_ROWS {
        message.push_str(&format!("\n  and {} more", rows.len() - NAMED_ROWS));
    }
    message.push_str("\nMend them, or leave them out with data.bad-rows = \"skip\"");
    message
}

/// A row as a format's reader finds it, before it is checked.
pub(super) struct RawRow {
    pub line: u64,
    /// What is wrong with the row, where the reader already knows.
    pub fields: Result<RawFields, String>,
}

#[derive(Default)]
pub(super) struct RawFields {
    pub id: Option<String>,
    pub text_a: Option<String>,
    pub text_b: Option<String>,
    pub label: Option<String>,
}

/// Reads a file.
///
/// # Errors
///
/// [`DataError`] names the file, and the line where there is one.
pub fn read_dataset(path: &Path, options: &ReadOptions<'_>) -> Result<Dataset, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })?;
    let raw = match options.format {
        Format::Cs224n => cs224n::rows(path, &bytes, options)?,
        Format::Glue => glue::rows(path, &bytes, options)?,
        Format::JsonLines => json_lines::rows(&bytes, options),
    };
    let mut examples = Vec::with_capacity(raw.len());
    let mut skipped = Vec::new();
    for row in raw {
        let line = row.line;
        match row.fields.and_then(|fields| example(fields, line, options)) {
            Ok(example) => examples.push(example),
            Err(reason) => skipped.push(BadRow { line, reason }),
        }
    }
    if options.bad_rows == BadRows::Error && !skipped.is_empty() {
        return Err(DataError::BadRows {
            path: path.to_owned(),
            rows: skipped,
        });
    }
    if examples.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(Dataset {
        task: options.task,
        path: path.to_owned(),
        sha256: format!("{:x}", Sha256::digest(&bytes)),
        examples,
        skipped,
    })
}

fn example(fields: RawFields, line: u64, options: &ReadOptions<'_>) -> Result<Example, String> {
    let spec = options.task.spec();
    let text = |field: Option<String>, name: &str| match field {
        Some(text) if !text.trim().is_empty() => Ok(options.preprocess.apply(spec.inputs, &text)),
        _ => Err(format!("no {name}")),
    };
    let (text_a, text_b) = match spec.inputs {
        Inputs::Single => (text(fields.text_a, "sentence")?, None),
        Inputs::Pair => (
            text(fields.text_a, "first sentence")?,
            Some(text(fields.text_b, "second sentence")?),
        ),
    };
    let label = match fields.label.as_deref().map(str::trim) {
        Some(label) if !label.is_empty() => Some(parse_label(spec.label, label)?),
        _ if options.labelled => return Err("no label".into()),
        _ => None,
    };
    Ok(Example {
        id: fields
            .id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| line.to_string()),
        text_a,
        text_b,
        label,
    })
}

fn parse_label(kind: LabelKind, text: &str) -> Result<f32, String> {
    let value: f32 = text
        .parse()
        .map_err(|_| format!("label {text:?} is not a number"))?;
    let whole_below =
        |classes: usize| value.fract() == 0.0 && value >= 0.0 && value < classes as f32;
    match kind {
        LabelKind::Classes { classes } if !whole_below(classes) => Err(format!(
            "label {text} is not a class from 0 to {}",
            classes - 1
        )),
        LabelKind::Binary if !whole_below(2) => Err(format!("label {text} is neither 0 nor 1")),
        LabelKind::Score { min, max } if !(min..=max).contains(&value) => {
            Err(format!("label {text} is not between {min} and {max}"))
        }
        _ => Ok(value),
    }
}

/// Where a data folder of a format keeps a split of a task.
///
/// - `cs224n`: `ids-sst-train.csv`, `quora-dev.csv`, `sts-test-student.csv` and so on
/// - `glue`: `SST-5/train.tsv`, `QQP/dev.tsv`, `STS-B/test.tsv` and so on
/// - `json-lines`: `sst-train.jsonl`, `para-dev.jsonl`, `sts-test.jsonl` and so on
pub fn layout_file(dir: &Path, format: Format, task: TaskId, split: Split) -> PathBuf {
    match format {
        Format::Cs224n => {
            let suffix = if split == Split::Test { "-student" } else { "" };
            dir.join(format!(
                "{}-{}{suffix}.csv",
                task.spec().course_stem,
                split.name()
            ))
        }
        Format::Glue => dir
            .join(glue::folder(task))
            .join(format!("{}.tsv", split.name())),
        Format::JsonLines => dir.join(format!("{task}-{}.jsonl", split.name())),
    }
}
