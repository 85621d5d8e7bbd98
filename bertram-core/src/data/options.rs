//! How to read a data file.

use serde::{Deserialize, Serialize};

use super::dataset::Split;
use super::label_numbers::LabelNumbers;
use super::{Format, Preprocess};
use crate::spec::{TaskId, TaskSpec};

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
    /// Weight of a training row; there is none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
}

/// What to do with a bad row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadRows {
    /// Refuse the file.
    Error,
    /// Leave the row out, and count it. A test file's rows keep their places in its predictions
    /// ([`with_bad_rows`](super::with_bad_rows)).
    Skip,
}

/// What a file must have of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelColumn {
    /// One in every row, to learn from or to score by.
    Required,
    /// A column of labels may be there or not, -1 and nothing mean unlabelled, and labels are of use if every row has one; and
    /// no row is left out that has no identifier. A test file is so.
    Optional,
    /// Nothing: the rows are to be predicted, and a column of labels is not looked at.
    Ignored,
}

impl LabelColumn {
    /// What the file of a split must have.
    pub fn of(split: Split) -> Self {
        match split {
            Split::Train | Split::Dev => LabelColumn::Required,
            Split::Test => LabelColumn::Optional,
        }
    }
}

/// How to read a file.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions<'a> {
    /// The task whose rows they are.
    pub task: TaskId,
    /// What the task is.
    pub spec: &'a TaskSpec,
    /// How the file is written.
    pub format: Format,
    /// Names of columns, where they differ from the format's.
    pub columns: &'a Columns,
    /// What to do with bad rows.
    pub bad_rows: BadRows,
    /// What to do to texts.
    pub preprocess: Preprocess,
    /// What the file must have of labels.
    pub labels: LabelColumn,
    /// Whether rows have weights, where [`Columns::weight`] names a column: those to learn from do.
    pub weights: bool,
    /// What numbers mean where labels have names; where it is `None`, the numbers of the file must leave no doubt.
    pub label_numbers: Option<LabelNumbers>,
}

impl ReadOptions<'_> {
    /// Whether every row must have a label.
    pub(super) fn labelled(&self) -> bool {
        self.labels == LabelColumn::Required
    }

    /// The column of weights, where it is to be read.
    pub(super) fn weight_column(&self) -> Option<&str> {
        let named = self.columns.weight.as_deref();
        named.filter(|_| self.weights)
    }

    /// How a user says that the file has another format, one of these.
    pub(super) fn say_format(&self, formats: &[&str]) -> String {
        if self.labels == LabelColumn::Ignored {
            return format!("say --format {}", formats.join(" or "));
        }
        let key = match self.spec.preset {
            // The format of the course's files is that of all its tasks; another task has its own.
            Some(preset) if preset.course.is_some() && formats != ["parquet"] => {
                "data.format".to_owned()
            }
            _ => format!("tasks.{}.format", self.task),
        };
        let formats: Vec<String> = formats.iter().map(|name| format!("{name:?}")).collect();
        format!("set {key} = {}", formats.join(" or "))
    }
}
