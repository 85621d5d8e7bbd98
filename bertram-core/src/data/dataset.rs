//! Data sets: rows, the files they come from, and what is wrong with them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{BadRow, DataError, Mend, name_rows};
use super::label_numbers::{self, LabelNumbers};
use super::label_sets;
use super::labels::{self, WrittenLabels};
use super::lines::{MOST_TEXT, text_bytes};
use super::options::{BadRows, LabelColumn, ReadOptions};
use super::order::sample_rows;
use super::predictions::neutral_prediction;
use super::table::{self, Dialect};
use super::unpack::unpacked;
use super::{Example, Format, Label, json_lines};
use crate::fs::read_file;
use crate::loss::LossOptions;
use crate::spec::{Inputs, LabelKind, TaskId, TaskSpec};

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
    /// Name of the task that this is of.
    pub task: TaskId,
    /// Where the rows come from.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The rows that can be used, in the order of the file.
    pub examples: Vec<Example>,
    /// Rows left out.
    pub skipped: Vec<BadRow>,
}

impl Dataset {
    /// The numbers of all rows' labels, one row after the other; `None` where a row lacks one.
    pub fn labels(&self) -> Option<Vec<f32>> {
        let labels = self.examples.iter().map(|row| row.label.as_ref());
        let labels: Option<Vec<&Label>> = labels.collect();
        Some(
            labels?
                .into_iter()
                .flat_map(Label::numbers)
                .copied()
                .collect(),
        )
    }

    /// The weights of all rows; `None` where each weighs 1.
    pub fn weights(&self) -> Option<Vec<f32>> {
        let weights = self.examples.iter().map(|row| row.weight);
        let weights: Vec<f32> = weights.collect();
        weights
            .iter()
            .any(|weight| *weight != 1.0)
            .then_some(weights)
    }

    /// `limit` distinct rows drawn by `seed`, or all.
    pub fn subsample(&self, limit: usize, seed: u64) -> Vec<usize> {
        sample_rows(self.examples.len(), limit, seed)
    }
}

/// The rows of a file as a format's reader finds them.
pub(super) struct RawFile {
    pub rows: Vec<RawRow>,
    /// What is odd about the file.
    pub notes: Vec<String>,
}

/// A row before it is checked.
pub(super) struct RawRow {
    pub line: u64,
    /// Its identifier, or what stands in for one; `None` if the row is too broken to tell.
    pub id: Option<String>,
    /// What is wrong with the row, where the reader already knows.
    pub fields: Result<RawFields, String>,
}

#[derive(Default)]
pub(super) struct RawFields {
    pub text_a: Option<String>,
    pub text_b: Option<String>,
    pub label: Option<String>,
    /// As it is written, of files whose rows have weights.
    pub weight: Option<String>,
}

/// Rows left out that a warning names; the others are counted.
const NOTED_ROWS: usize = 5;

/// The labels of a file as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundLabels {
    /// Each once, in the order of their first rows.
    pub labels: Vec<String>,
    /// Rows with a label.
    pub rows: usize,
    /// Rows that could not be read.
    pub bad: Vec<BadRow>,
}

/// The labels of a file as they are written. Bad rows have none.
///
/// # Errors
///
/// Those of [`read_dataset`] that are not about rows.
pub fn written_labels(path: &Path, options: &ReadOptions<'_>) -> Result<FoundLabels, DataError> {
    let whole = read_bytes(path)?;
    let mut found = FoundLabels::default();
    let mut seen = HashSet::new();
    let rows = raw_rows(path, &whole, options)?.rows;
    for (row, raw) in rows.into_iter().enumerate() {
        let label = match raw.fields {
            Ok(fields) => fields.label.unwrap_or_default().trim().to_owned(),
            Err(reason) => {
                found.bad.push(BadRow {
                    line: raw.line,
                    reason,
                    row,
                    id: raw.id,
                });
                continue;
            }
        };
        if !label.is_empty() {
            found.rows += 1;
            for label in label_sets::parts(options.spec, &label) {
                if seen.insert(label.to_string()) {
                    found.labels.push(label.into_owned());
                }
            }
        }
    }
    Ok(found)
}

/// What numbers mean in a file of a task whose labels have names; `None` where none of its labels is a number.
///
/// # Errors
///
/// [`DataError::LabelNumbers`] where that is open, and those of [`read_dataset`] that are not about rows.
pub fn label_numbers(
    path: &Path,
    options: &ReadOptions<'_>,
) -> Result<Option<LabelNumbers>, DataError> {
    let whole = read_bytes(path)?;
    let rows = raw_rows(path, &whole, options)?.rows;
    label_numbers::of_rows(path, options, labels_of(options.spec, &rows))
}

/// The labels of the rows that could be read, with their lines.
fn labels_of<'a>(
    spec: &'a TaskSpec,
    rows: &'a [RawRow],
) -> impl Iterator<Item = (u64, Cow<'a, str>)> {
    rows.iter()
        .filter_map(|row| {
            let fields = row.fields.as_ref().ok()?;
            Some((row.line, fields.label.as_deref()?))
        })
        .flat_map(|(line, text)| {
            let parts = label_sets::parts(spec, text);
            parts.into_iter().map(move |part| (line, part))
        })
}

pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    // A pipe would be empty, or hold the run up, when the rows are read again at its end.
    read_file(path, u64::MAX).map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })
}

/// SHA-256 of a file, in hexadecimal, as [`Dataset::sha256`] has it.
///
/// # Errors
///
/// [`DataError::Io`].
pub fn file_sha256(path: &Path) -> Result<String, DataError> {
    Ok(format!("{:x}", Sha256::digest(read_bytes(path)?)))
}

pub(super) fn raw_rows(
    path: &Path,
    whole: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    let unpacked = unpacked(path, whole)?;
    if options.format == Format::Parquet {
        return parquet_rows(path, &unpacked, options);
    }
    if unpacked.starts_with(b"PAR1") {
        return Err(DataError::Parquet {
            path: path.to_owned(),
            message: format!("a Parquet file: {}", options.say_format(&["parquet"])),
        });
    }
    let bytes = text_bytes(&unpacked).map_err(|source| DataError::Text {
        path: path.to_owned(),
        source,
    })?;
    match options.format {
        Format::JsonLines => json_lines::rows(path, bytes, options),
        table => table::rows(path, bytes, options, Dialect::of(table)),
    }
}

#[cfg(feature = "parquet")]
use super::parquet::rows as parquet_rows;

/// Says that this build reads no Parquet files.
#[cfg(not(feature = "parquet"))]
fn parquet_rows(path: &Path, _: &[u8], _: &ReadOptions<'_>) -> Result<RawFile, DataError> {
    Err(DataError::Parquet {
        path: path.to_owned(),
        message: "this build reads no Parquet files: build with --features parquet, or export the file as JSON lines"
            .to_owned(),
    })
}

/// Reads a file. What is odd about it and no fault is said as a warning.
///
/// # Errors
///
/// [`DataError`] names the file, and the line where there is one.
pub fn read_dataset(path: &Path, options: &ReadOptions<'_>) -> Result<Dataset, DataError> {
    let (dataset, notes) = read_dataset_noting(path, options)?;
    for note in notes {
        tracing::warn!("{note}");
    }
    Ok(dataset)
}

/// As [`read_dataset`], and gives the warnings, each with the name of the file, in place of saying them.
pub fn read_dataset_noting(
    path: &Path,
    options: &ReadOptions<'_>,
) -> Result<(Dataset, Vec<String>), DataError> {
    read_rows(path, &read_bytes(path)?, options)
}

/// As [`read_dataset_noting`], of bytes that were read: rows to predict ([`LabelColumn::Ignored`]). `path` names them in
/// messages.
///
/// # Errors
///
/// As [`read_dataset`].
pub fn read_texts(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<(Dataset, Vec<String>), DataError> {
    read_rows(path, bytes, options)
}

fn read_rows(
    path: &Path,
    whole: &[u8],
    options: &ReadOptions<'_>,
) -> Result<(Dataset, Vec<String>), DataError> {
    let RawFile { rows, mut notes } = raw_rows(path, whole, options)?;
    let spec = options.spec;
    let numbers = label_numbers::of_rows(path, options, labels_of(spec, &rows))?;
    let has_label = |row: &RawRow| {
        let label = row.fields.as_ref().ok().and_then(|it| it.label.as_deref());
        label.is_some_and(|label| !label.trim().is_empty())
    };
    let is_labelled = rows.iter().any(has_label);
    notes.extend(label_numbers::note(options, numbers));
    let mut labels = WrittenLabels::default();
    let mut examples = Vec::with_capacity(rows.len());
    let mut skipped = Vec::new();
    for (row, raw) in rows.into_iter().enumerate() {
        let RawRow { line, id, fields } = raw;
        let checked = fields.and_then(|fields| {
            let written = fields.label.as_deref().unwrap_or_default();
            for label in label_sets::parts(spec, written) {
                labels.add(spec, numbers, &label, options.labelled());
            }
            let label = match spec.label {
                LabelKind::MultiLabel { .. } => label_sets::parse(
                    spec,
                    numbers,
                    fields.label.as_deref(),
                    options.labelled(),
                    is_labelled,
                ),
                LabelKind::Classes { .. } | LabelKind::Binary | LabelKind::Score { .. } => {
                    labels::parse(spec, numbers, written, options.labelled())
                        .map(|label| label.map(Label::Number))
                }
            };
            let id = id.clone().unwrap_or_else(|| line.to_string());
            example(fields, id, label, options)
        });
        match checked {
            Ok(example) => examples.push(example),
            Err(reason) => skipped.push(BadRow {
                line,
                reason,
                row,
                id,
            }),
        }
    }
    if let Some(mend) = unusable(&examples, &skipped, options) {
        let refused = |row: &&BadRow| mend != Mend::KeepIds || row.id.is_none();
        return Err(DataError::BadRows {
            path: path.to_owned(),
            place: options.format.place(),
            rows: skipped.iter().filter(refused).cloned().collect(),
            mend,
            hint: labels.refused_hint(options.task, spec),
        });
    }
    if examples.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let all = examples.len();
    examples.retain(|row: &Example| row.weight > 0.0);
    if examples.is_empty() {
        return Err(DataError::Weightless {
            path: path.to_owned(),
            task: options.task,
            column: options.weight_column().unwrap_or_default().to_owned(),
        });
    }
    if examples.len() < all {
        let weightless = all - examples.len();
        notes.push(format!(
            "{weightless} of {all} rows weigh 0, and are left out"
        ));
    }
    notes.extend(labels.note(options.task, spec));
    notes.extend(rows_note(&examples, &skipped, options));
    let notes = notes
        .into_iter()
        .map(|note| format!("{}: {note}", path.display()));
    let notes = notes.collect();
    let dataset = Dataset {
        task: options.task,
        path: path.to_owned(),
        sha256: format!("{:x}", Sha256::digest(whole)),
        examples,
        skipped,
    };
    Ok((dataset, notes))
}

/// What to do about bad rows that the file cannot be used with.
fn unusable(examples: &[Example], bad: &[BadRow], options: &ReadOptions<'_>) -> Option<Mend> {
    if bad.is_empty() {
        return None;
    }
    if options.labels == LabelColumn::Ignored {
        return Some(Mend::Each);
    }
    if examples.is_empty() {
        return Some(Mend::All);
    }
    match options.bad_rows {
        BadRows::Error if options.labelled() => Some(Mend::OrSkip),
        BadRows::Error => Some(Mend::OrNeutral),
        BadRows::Skip => {
            let nameless = !options.labelled() && bad.iter().any(|row| row.id.is_none());
            nameless.then_some(Mend::KeepIds)
        }
    }
}

/// What becomes of bad rows, and of labels that only some rows of a test file have.
fn rows_note(examples: &[Example], bad: &[BadRow], options: &ReadOptions<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if !bad.is_empty() {
        let lines = name_rows(options.format.place(), bad, NOTED_ROWS).join("; ");
        let rows = match bad.len() {
            1 => "1 bad row".to_owned(),
            count => format!("{count} bad rows"),
        };
        notes.push(if options.labelled() {
            format!("skipped {rows} ({lines})")
        } else {
            format!(
                "{rows} ({lines}): kept in the predictions at their places, with the answer {}, and in no score",
                neutral_prediction(options.spec)
            )
        });
    }
    let with_label = examples.iter().filter(|row| row.label.is_some()).count();
    if with_label > 0 && with_label < examples.len() {
        notes.push(format!(
            "{with_label} of {} rows have a label: the file is predicted and not scored",
            examples.len()
        ));
    }
    notes
}

/// A row with a `label` that was read; where the texts are wrong, too, it is they that are named.
fn example(
    fields: RawFields,
    id: String,
    label: Result<Option<Label>, String>,
    options: &ReadOptions<'_>,
) -> Result<Example, String> {
    let spec = options.spec;
    // An empty text can be predicted, and it is no example to learn from.
    let may_be_empty = options.labels == LabelColumn::Ignored;
    let text = |field: Option<String>, name: &str| match field {
        Some(text) if text.len() > MOST_TEXT => Err(format!(
            "the {name} has {} bytes, and may have {MOST_TEXT}",
            text.len()
        )),
        Some(text) if may_be_empty || !text.trim().is_empty() => {
            Ok(options.preprocess.apply(spec.inputs, &text))
        }
        _ => Err(format!("no {name}")),
    };
    let weight = match options.weight_column() {
        Some(_) => row_weight(fields.weight.as_deref())?,
        None => 1.0,
    };
    let (text_a, text_b) = match spec.inputs {
        Inputs::Single => (text(fields.text_a, "sentence")?, None),
        Inputs::Pair => (
            text(fields.text_a, "first sentence")?,
            Some(text(fields.text_b, "second sentence")?),
        ),
    };
    Ok(Example {
        id,
        text_a,
        text_b,
        label: label?,
        weight,
    })
}

/// A row's weight: 0, or a number that sums of f32 have room for.
fn row_weight(written: Option<&str>) -> Result<f32, String> {
    let written = written.unwrap_or_default().trim();
    if written.is_empty() {
        return Err("no weight".to_owned());
    }
    let weight = written.parse::<f64>().ok();
    weight
        .filter(|weight| *weight == 0.0 || LossOptions::is_weight(*weight))
        .map(|weight| weight as f32)
        .ok_or_else(|| {
            format!(
                "weight {written:?} is not a number from {:e} to {:e}, or 0",
                1.0 / LossOptions::MOST_WEIGHT,
                LossOptions::MOST_WEIGHT
            )
        })
}
