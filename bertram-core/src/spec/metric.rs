//! The score that a task is judged by.

use serde::{Deserialize, Serialize};

/// A score over a whole split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of right predictions; the reference line is the majority class.
    Accuracy,
    /// Pearson's r; the reference line is zero.
    Pearson,
}

impl Metric {
    /// Its key in the files of a run.
    pub fn key(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::Pearson => "pearson",
        }
    }

    /// Name for people.
    pub fn title(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::Pearson => "Pearson r",
        }
    }
}
