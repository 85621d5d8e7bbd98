//! The scores of a split: per task and overall.

use serde::{Deserialize, Serialize};

use super::{accuracy, macro_f1, majority_share, pearson, spearman};
use crate::spec::{Metric, TaskMap};

/// Scores of one task on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskScores {
    /// Sentiment and paraphrase.
    Classification {
        /// Share of right predictions.
        accuracy: f64,
        /// Unweighted mean F1 of the classes.
        macro_f1: f64,
        /// Accuracy of always answering the split's most frequent label.
        majority: f64,
        /// Scored rows.
        rows: usize,
    },
    /// Similarity.
    Regression {
        /// Pearson's r over the whole split.
        pearson: f64,
        /// Spearman's rho over the whole split.
        spearman: f64,
        /// Scored rows.
        rows: usize,
    },
}

impl TaskScores {
    /// Scores class predictions.
    pub fn classification(predictions: &[usize], labels: &[usize]) -> Self {
        TaskScores::Classification {
            accuracy: accuracy(predictions, labels),
            macro_f1: macro_f1(predictions, labels),
            majority: majority_share(labels),
            rows: labels.len(),
        }
    }

    /// Scores real-valued predictions.
    pub fn regression(predictions: &[f64], labels: &[f64]) -> Self {
        TaskScores::Regression {
            pearson: pearson(predictions, labels),
            spearman: spearman(predictions, labels),
            rows: labels.len(),
        }
    }

    /// Accuracy or Pearson's r: the number Table 1 prints.
    pub fn primary(&self) -> f64 {
        match self {
            TaskScores::Classification { accuracy, .. } => *accuracy,
            TaskScores::Regression { pearson, .. } => *pearson,
        }
    }

    /// What a model that has learned nothing reaches: the majority share, or a correlation of zero.
    pub fn reference(&self) -> f64 {
        match self {
            TaskScores::Classification { majority, .. } => *majority,
            TaskScores::Regression { .. } => 0.0,
        }
    }

    /// The score on a scale from 0 to 1: accuracy, or `(r + 1) / 2`.
    pub fn normalised(&self) -> f64 {
        match self {
            TaskScores::Classification { accuracy, .. } => *accuracy,
            TaskScores::Regression { pearson, .. } => (pearson + 1.0) / 2.0,
        }
    }

    /// As [`reference`](Self::reference), on the scale of [`normalised`](Self::normalised).
    pub fn normalised_reference(&self) -> f64 {
        match self {
            TaskScores::Classification { majority, .. } => *majority,
            TaskScores::Regression { .. } => 0.5,
        }
    }

    /// What the primary score is.
    pub fn metric(&self) -> Metric {
        match self {
            TaskScores::Classification { .. } => Metric::Accuracy,
            TaskScores::Regression { .. } => Metric::Pearson,
        }
    }
}

/// Scores of every task on one split, and their summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitScores {
    /// Scores by task.
    #[serde(flatten)]
    pub tasks: TaskMap<TaskScores>,
    /// Mean over the tasks present of accuracy or `(r + 1) / 2`. With all three tasks this is the formula that
    /// reproduces Table 1: `(sst + para + (r + 1)/2) / 3`.
    pub overall: f64,
    /// Plain mean of accuracies and r.
    pub mean: f64,
}

impl SplitScores {
    /// Summarises the tasks' scores; 0 for no task.
    pub fn new(tasks: TaskMap<TaskScores>) -> Self {
        let count = tasks.len().max(1) as f64;
        let overall = tasks.values().map(TaskScores::normalised).sum::<f64>() / count;
        let mean = tasks.values().map(TaskScores::primary).sum::<f64>() / count;
        Self {
            tasks,
            overall,
            mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::TaskId;

    fn scores(sst: f64, para: f64, r: f64) -> SplitScores {
        let classification = |accuracy| TaskScores::Classification {
            accuracy,
            macro_f1: 0.0,
            majority: 0.0,
            rows: 1,
        };
        SplitScores::new(TaskMap::from([
            (TaskId::SST, classification(sst)),
            (TaskId::PARA, classification(para)),
            (
                TaskId::STS,
                TaskScores::Regression {
                    pearson: r,
                    spearman: 0.0,
                    rows: 1,
                },
            ),
        ]))
    }

    #[test]
    fn overall_reproduces_table_1() {
        // Rows 4, 6 and 14 of BERTram's Table 1.
        for (row, overall) in [
            (scores(0.469, 0.526, 0.534), 0.587),
            (scores(0.463, 0.534, 0.548), 0.590),
            (scores(0.521, 0.541, 0.498), 0.604),
        ] {
            assert!((row.overall - overall).abs() < 1e-3, "{}", row.overall);
        }
    }

    #[test]
    fn json_has_the_documented_keys() {
        let json = serde_json::to_value(scores(0.5, 0.6, 0.2)).expect("plain numbers serialise");
        for key in [
            "/sst/accuracy",
            "/para/majority",
            "/sts/pearson",
            "/overall",
            "/mean",
        ] {
            assert!(json.pointer(key).is_some(), "{key} in {json}");
        }
        let back: SplitScores = serde_json::from_value(json).expect("reads back");
        assert_eq!(back, scores(0.5, 0.6, 0.2));
    }
}
