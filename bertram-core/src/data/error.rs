//! What is wrong with a data file.

use std::path::{Path, PathBuf};

use super::lines::TextError;
use crate::spec::TaskId;

/// A row that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Line of the file on which the row starts, or of a Parquet file its number; counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Its place among the rows of the file, counted from 0.
    pub row: usize,
    /// Its identifier, if that can be read.
    pub id: Option<String>,
}

impl BadRow {
    /// Its identifier, or the number of its line.
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.line.to_string())
    }
}

/// Errors of a data file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no text.
    #[error("{path}: {source}")]
    Text {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What it is.
        source: TextError,
    },
    /// A Parquet file cannot be read, or is read as something else.
    #[error("{path}: {message}")]
    Parquet {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// Columns of a table, or fields of every JSON object, are not there.
    #[error("{}", missing_columns_message(.0))]
    MissingColumns(Box<MissingColumns>),
    /// No line is a JSON object.
    #[error("{path}, line {line}: {reason}{}", hint.as_deref().map_or(String::new(), |hint| format!(". {hint}")))]
    NotJsonLines {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// The first line that is not.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// What the file seems to be, and what to do.
        hint: Option<String>,
    },
    /// A quote opens a field, and the file ends before another closes it.
    #[error(
        "{path}, line {line}: a quote opens a field here and is never closed: all that follows would be one field. \
         Close it; or, if it is a character of the text, put the field in quotes and double it"
    )]
    UnclosedQuote {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Line of the quote.
        line: u64,
    },
    /// Numbers stand where labels have names, and which number is which label is open, or some are none.
    #[error("{path}: {message}")]
    LabelNumbers {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What the numbers are, and what to do.
        message: String,
    },
    /// A folder has no file of a task.
    #[error(
        "{dir}: there is no file of the {split} rows of {task} in it: it would be {looked}. Name one with tasks.{task}.{split} = \"FILE\""
    )]
    NoFile {
        /// Path of the folder that the message is about.
        dir: PathBuf,
        /// Name of the task that the message is about.
        task: TaskId,
        /// `train`, `dev` or `test`.
        split: &'static str,
        /// The names that were looked for.
        looked: String,
    },
    /// A folder has several files that may be a task's.
    #[error("{dir}: {} may all have the {split} rows of {task}: name the right one with tasks.{task}.{split} = \"FILE\", or keep one", names.join(", "))]
    SeveralFiles {
        /// Path of the folder that the message is about.
        dir: PathBuf,
        /// Name of the task that the message is about.
        task: TaskId,
        /// `train`, `dev` or `test`.
        split: &'static str,
        /// Their names in the folder.
        names: Vec<String>,
    },
    /// A file that a key names is not there.
    #[error("{path}: {source}; tasks.{task}.{split} names it")]
    Named {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Name of the task that the message is about.
        task: TaskId,
        /// `train`, `dev` or `test`.
        split: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that a URL names cannot be had.
    #[error("{url}: {message}; tasks.{task}.{split} names it")]
    Fetch {
        /// The URL.
        url: String,
        /// Name of the task that the message is about.
        task: TaskId,
        /// `train`, `dev` or `test`.
        split: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The labels of a task that takes those of its training rows are no classes.
    #[error(
        "{path}: {} in {}, which is no number of classes: \
         name the column with tasks.{task}.columns = {{ label = \"...\" }}, say tasks.{task}.labels = [...], or for numbers on a scale tasks.{task}.score = [LOWEST, HIGHEST]",
        counted(*labels, "label"),
        counted(*rows, "row")
    )]
    Labels {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Name of the task that the message is about.
        task: TaskId,
        /// How many different ones there are.
        labels: usize,
        /// Rows with a label.
        rows: usize,
    },
    /// Weights by frequency, of a class that has no row.
    #[error(
        "{path}: no training row has the label {label:?}, and class-weights = \"inverse-frequency\" divides by its rows: \
         list the weights (tasks.{task}.class-weights = [...]), or take the label out"
    )]
    ClassWeights {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Name of the task that the message is about.
        task: TaskId,
        /// The label without a row.
        label: String,
    },
    /// No row has a weight above 0.
    #[error(
        "{path}: column {column:?} (tasks.{task}.columns.weight) is 0 in every row: nothing would be learnt from the file"
    )]
    Weightless {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Name of the task that the message is about.
        task: TaskId,
        /// The column of the weights.
        column: String,
    },
    /// There are no rows.
    #[error("{path}: there are no rows in it")]
    Empty {
        /// Path of the file that the message is about.
        path: PathBuf,
    },
    /// Bad rows that cannot be left out.
    #[error("{}", bad_rows_message(path, place, rows, *mend, hint.as_deref()))]
    BadRows {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What the rows' numbers count: lines, or rows.
        place: &'static str,
        /// All of them.
        rows: Vec<BadRow>,
        /// What can be done about them.
        mend: Mend,
        /// What the labels seem to be, where it is they that are bad.
        hint: Option<String>,
    },
}

/// What can be done about bad rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// They may be left out.
    OrSkip,
    /// They are a test file's: they may keep their places with a neutral prediction.
    OrNeutral,
    /// Every row of the file is bad: with the bad ones left out there are none.
    All,
    /// They are to be predicted, each of them.
    Each,
    /// They are a test file's, and their identifiers cannot be read: without them its predictions would lack rows.
    KeepIds,
}

/// Columns of a table, or fields of every JSON object, that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumns {
    /// Path of the file.
    pub path: PathBuf,
    /// Name of the task that this is of.
    pub task: TaskId,
    /// Line of the header; `None` for JSON lines.
    pub line: Option<u64>,
    /// Key of `tasks.X.columns` and name of each that is not there.
    pub missing: Vec<(&'static str, String)>,
    /// The names there are.
    pub found: Vec<String>,
    /// What the file seems to be, and what to do.
    pub hint: Option<String>,
}

/// Bad rows that a message names; the others are counted.
const NAMED_ROWS: usize = 10;

/// Names that a message lists; the others are counted. A file without a header may have a sentence for a name.
const NAMED_COLUMNS: usize = 20;
const NAME_CHARS: usize = 40;

/// `1 row`, `2 rows`.
fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn missing_columns_message(error: &MissingColumns) -> String {
    let MissingColumns {
        path,
        task,
        line,
        missing,
        found,
        hint,
    } = error;
    let (place, kind) = match line {
        Some(line) => (format!(", line {line}"), "column"),
        None => (String::new(), "field"),
    };
    let lacks: Vec<String> = missing
        .iter()
        .map(|(_, name)| match line {
            Some(_) => format!("no column {name:?}"),
            None => format!("no row has a field {name:?}"),
        })
        .collect();
    let mut names: Vec<String> = found
        .iter()
        .take(NAMED_COLUMNS)
        .map(|name| match name.char_indices().nth(NAME_CHARS) {
            Some((end, _)) => format!("{:?}", format!("{}…", &name[..end])),
            None => format!("{name:?}"),
        })
        .collect();
    if found.len() > NAMED_COLUMNS {
        names.push(format!("and {} more", found.len() - NAMED_COLUMNS));
    }
    let keys: Vec<String> = missing
        .iter()
        .map(|(key, _)| format!("{key} = \"...\""))
        .collect();
    let advice = match hint {
        Some(hint) => hint.clone(),
        None => format!(
            "Name another with tasks.{task}.columns = {{ {} }}",
            keys.join(", ")
        ),
    };
    let path = path.display();
    format!(
        "{path}{place}: {}; the {kind}s are {}. {advice}",
        lacks.join(", "),
        names.join(", ")
    )
}

/// Lines and reasons of the first rows, and how many there are besides.
pub(super) fn name_rows(place: &str, rows: &[BadRow], named: usize) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .iter()
        .take(named)
        .map(|row| format!("{place} {}: {}", row.line, row.reason))
        .collect();
    if rows.len() > named {
        lines.push(format!("and {} more", rows.len() - named));
    }
    lines
}

fn bad_rows_message(
    path: &Path,
    place: &str,
    rows: &[BadRow],
    mend: Mend,
    hint: Option<&str>,
) -> String {
    let plural = if rows.len() == 1 { "" } else { "s" };
    let mut message = format!("{}: {} bad row{plural}", path.display(), rows.len());
    for line in name_rows(place, rows, NAMED_ROWS) {
        message.push_str(&format!("\n  {line}"));
    }
    if let Some(hint) = hint {
        message.push_str(&format!("\n{hint}"));
    }
    message.push_str(match mend {
        Mend::OrSkip => "\nMend them, or leave them out with data.bad-rows = \"skip\"",
        Mend::OrNeutral => {
            "\nMend them, or keep their places in the predictions with a neutral answer: data.bad-rows = \"skip\""
        }
        Mend::Each => "\nMend them: every row gets a prediction",
        Mend::All => "\nMend them: there is no other row in the file",
        Mend::KeepIds => {
            "\nMend them: their ids cannot be read, and the predictions of a test file need all of its rows"
        }
    });
    message
}
