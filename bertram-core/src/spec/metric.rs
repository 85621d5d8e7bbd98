//! The score that a task is judged by.

use serde::{Deserialize, Serialize};

use super::LabelKind;

/// A score over a whole split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of right predictions; of several labels at once, of rows with all of them right.
    Accuracy,
    /// Unweighted mean of the classes' F1.
    MacroF1,
    /// F1 over the classes of all rows together.
    MicroF1,
    /// F1 of "yes".
    F1,
    /// Matthews correlation coefficient (of several classes: Gorodkin 2004).
    Mcc,
    /// Pearson's r.
    Pearson,
    /// Spearman's rho.
    Spearman,
}

impl Metric {
    /// Its key in the files of a run.
    pub fn key(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro_f1",
            Metric::MicroF1 => "micro_f1",
            Metric::F1 => "f1",
            Metric::Mcc => "mcc",
            Metric::Pearson => "pearson",
            Metric::Spearman => "spearman",
        }
    }

    /// Its name in configs.
    pub fn name(self) -> &'static str {
        match self {
            Metric::MacroF1 => "macro-f1",
            Metric::MicroF1 => "micro-f1",
            other => other.key(),
        }
    }

    /// Name for people.
    pub fn title(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro-F1",
            Metric::MicroF1 => "micro-F1",
            Metric::F1 => "F1",
            Metric::Mcc => "Matthews correlation",
            Metric::Pearson => "Pearson r",
            Metric::Spearman => "Spearman rho",
        }
    }

    /// The metrics that labels of a kind can be scored by; the first is the default.
    pub fn of(kind: LabelKind) -> &'static [Metric] {
        match kind {
            LabelKind::Classes { .. } => &[Metric::Accuracy, Metric::MacroF1, Metric::Mcc],
            LabelKind::MultiLabel { .. } => &[Metric::MicroF1, Metric::MacroF1, Metric::Accuracy],
            LabelKind::Binary => &[Metric::Accuracy, Metric::MacroF1, Metric::F1, Metric::Mcc],
            LabelKind::Score { .. } => &[Metric::Pearson, Metric::Spearman],
        }
    }

    /// Whether it is a correlation, from -1 to 1; the others go from 0 to 1.
    pub fn is_correlation(self) -> bool {
        matches!(self, Metric::Mcc | Metric::Pearson | Metric::Spearman)
    }

    /// A value on a scale from 0 to 1: a correlation `r` is `(r + 1) / 2`.
    pub fn normalised(self, value: f64) -> f64 {
        if self.is_correlation() {
            (value + 1.0) / 2.0
        } else {
            value
        }
    }
}
