//! What a task is: a name, and facts about it that are not learned. The ground floor: nothing here knows of data, heads or
//! models.
//!
//! A run's settings hold the facts of each of its tasks, and a model folder says them again, so that it can be read alone.
//! Three tasks are presets ([`Preset`]): their facts are known by their names.

mod id;
mod map;
mod metric;
mod preset;

pub use id::{TaskId, TaskNameError};
pub use map::TaskMap;
pub use metric::Metric;
pub use preset::{CourseFiles, GlueFiles, Preset, SecondFiles};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many sentences an example has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Any number of classes at once: each is there or not.
    MultiLabel {
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

impl LabelKind {
    /// How many numbers a label is: one, or of several classes at once one for each, 1 where the row has it.
    pub fn width(self) -> usize {
        match self {
            LabelKind::MultiLabel { classes } => classes,
            LabelKind::Classes { .. } | LabelKind::Binary | LabelKind::Score { .. } => 1,
        }
    }
}

/// What stands between the names of several labels in a cell of a table.
pub const LABEL_SEPARATOR: char = '|';

/// Of each class whether its number in a label, or its probability, says that it is there: one half or more does.
pub fn are_there<N: Copy + Into<f64>>(numbers: &[N]) -> Vec<bool> {
    let there = |number: &N| -> bool { (*number).into() >= 0.5 };
    numbers.iter().map(there).collect()
}

/// Everything about a task that is not learned, besides its name.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// Name for people.
    pub title: String,
    /// One sentence or two.
    pub inputs: Inputs,
    /// What a label is.
    pub label: LabelKind,
    /// Names of the classes in the order of their numbers; of a binary task no's and yes's; of a score one, its own.
    pub labels: Vec<String>,
    /// The main score.
    pub metric: Metric,
    /// The preset that the task is, which knows files of known layouts ([`Preset::of_kind`]).
    pub preset: Option<&'static Preset>,
}

impl TaskSpec {
    /// The facts of a task that is a preset; `None` for other names.
    pub fn preset(task: TaskId) -> Option<Arc<Self>> {
        Preset::of(task).map(|preset| Arc::new(Self::from(preset)))
    }

    /// Whether labels are written by their names; those of most presets are numbers.
    pub fn has_text_labels(&self) -> bool {
        if matches!(self.label, LabelKind::Score { .. }) {
            return false;
        }
        self.preset
            .is_none_or(|preset| preset.named || preset.labels != self.labels)
    }

    /// The names in the order of their numbers: a preset's in files of the hub ([`Preset::hub_order`]), or their own.
    pub fn numbered_labels(&self) -> Vec<&str> {
        let preset = self.preset.filter(|preset| preset.labels == self.labels);
        match preset.and_then(|preset| preset.hub_order) {
            Some(order) => order.to_vec(),
            None => self.labels.iter().map(String::as_str).collect(),
        }
    }

    /// The name of a label as people read it: a class's name, or the number.
    pub fn label_text(&self, label: f64) -> String {
        match self.label {
            LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } | LabelKind::Binary => self
                .labels
                .get(label as usize)
                .cloned()
                .unwrap_or_else(|| label.to_string()),
            LabelKind::Score { .. } => label.to_string(),
        }
    }

    /// The numbers of a row's label as people read them: [`label_text`](Self::label_text), or the names of all that the row
    /// has with [`LABEL_SEPARATOR`] between them.
    pub fn labels_text(&self, numbers: &[f32]) -> String {
        match self.label {
            LabelKind::MultiLabel { .. } => self.names_text(&are_there(numbers)),
            LabelKind::Classes { .. } | LabelKind::Binary | LabelKind::Score { .. } => numbers
                .first()
                .map_or_else(String::new, |number| self.label_text(f64::from(*number))),
        }
    }

    /// The numbers that [`labels_text`](Self::labels_text) has written so; `None` where the text is no label of the task.
    pub fn labels_of_text(&self, text: &str) -> Option<Vec<f64>> {
        let class = |name: &str| self.labels.iter().position(|label| label == name);
        match self.label {
            LabelKind::Classes { .. } | LabelKind::Binary => Some(vec![class(text)? as f64]),
            LabelKind::MultiLabel { .. } => {
                let mut there = vec![0.0; self.labels.len()];
                let names = text.split(LABEL_SEPARATOR).filter(|name| !name.is_empty());
                for name in names {
                    there[class(name)?] = 1.0;
                }
                Some(there)
            }
            LabelKind::Score { .. } => {
                let number: f64 = text.parse().ok()?;
                number.is_finite().then(|| vec![number])
            }
        }
    }

    /// The names of the classes that are there.
    pub fn names_of(&self, there: &[bool]) -> Vec<&str> {
        let names = self.labels.iter().zip(there);
        names
            .filter(|(_, there)| **there)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// [`names_of`](Self::names_of) with [`LABEL_SEPARATOR`] between them.
    pub fn names_text(&self, there: &[bool]) -> String {
        self.names_of(there).join(&LABEL_SEPARATOR.to_string())
    }

    /// Header of the prediction column in files of the course's format.
    pub fn prediction_column(&self) -> &'static str {
        let course = self.preset.and_then(|preset| preset.course.as_ref());
        course.map_or("Prediction", |course| course.prediction_column)
    }
}

impl From<&'static Preset> for TaskSpec {
    fn from(preset: &'static Preset) -> Self {
        Self {
            title: preset.title.to_owned(),
            inputs: preset.inputs,
            label: preset.label,
            labels: preset
                .labels
                .iter()
                .map(|label| (*label).to_owned())
                .collect(),
            metric: preset.metric,
            preset: Some(preset),
        }
    }
}
