//! Tasks: what is read, how a label looks, what is scored, under one name.
//!
//! A task is one file with a [`TaskSpec`] and one variant of [`TaskId`].

mod folder;
mod model;
mod para;
mod predict;
mod sst;
mod sts;

pub use folder::{
    EncodeSettings, Encoding, EncodingSource, ModelExport, ModelFolder, ModelFolderError,
    class_names, encoding_of, is_sequence_classifier, load_model_folder, save_model_folder,
};
pub use model::{MultitaskModel, TaskConfig, TaskHead};
pub use predict::{Prediction, score};

use serde::{Deserialize, Serialize};

/// The tasks bertram knows, in the paper's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskId {
    /// SST-5 sentiment, five classes.
    Sst,
    /// Quora paraphrase detection, yes or no.
    Para,
    /// STS-B semantic similarity, a score in `[0, 5]`.
    Sts,
}

/// How many sentences an example has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// One sentence.
    Single,
    /// Two sentences.
    Pair,
}

/// What a label is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LabelKind {
    /// A class index in `0..classes`.
    Classes {
        /// Number of classes.
        classes: usize,
    },
    /// `1` (yes) or `0` (no).
    Binary,
    /// A real number in `[min, max]`.
    Score {
        /// Lowest score.
        min: f32,
        /// Highest score.
        max: f32,
    },
}

/// The main score of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrimaryMetric {
    /// Share of right predictions; the reference line is the majority class.
    Accuracy,
    /// Pearson's r over the whole split; the reference line is zero.
    Pearson,
}

/// Everything about a task that is not learned.
#[derive(Clone, Copy, Debug)]
pub struct TaskSpec {
    /// The task.
    pub id: TaskId,
    /// Short name: config key, metric prefix, file prefix.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// One sentence or two.
    pub inputs: Inputs,
    /// What a label is.
    pub label: LabelKind,
    /// The main score.
    pub primary: PrimaryMetric,
    /// File name stem of the course's layout: `{stem}-train.csv`, `{stem}-dev.csv`, `{stem}-test-student.csv`.
    pub course_stem: &'static str,
    /// Column of the first sentence in the course's files.
    pub course_text_a: &'static str,
    /// Column of the second sentence in the course's files; unused for single sentences.
    pub course_text_b: &'static str,
    /// Column of the label in the course's files.
    pub course_label: &'static str,
    /// Header of the prediction column in the course's leaderboard files.
    pub prediction_column: &'static str,
}

impl TaskId {
    /// All tasks, in the paper's order.
    pub const ALL: [TaskId; 3] = [TaskId::Sst, TaskId::Para, TaskId::Sts];

    /// The task's fixed facts.
    pub fn spec(self) -> &'static TaskSpec {
        match self {
            TaskId::Sst => &sst::SPEC,
            TaskId::Para => &para::SPEC,
            TaskId::Sts => &sts::SPEC,
        }
    }

    /// Short name, as in configs and metrics.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The task with this short name.
    pub fn from_name(name: &str) -> Option<TaskId> {
        TaskId::ALL.into_iter().find(|task| task.name() == name)
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
