//! The scores of a split: per task and overall.

use serde::{Deserialize, Serialize};

use super::{
    accuracy, exact_match, f1, label_counts, macro_f1, macro_f1_of_labels, majority,
    majority_share, matthews, micro_f1, pearson, spearman,
};
use crate::spec::{LabelKind, Metric, TaskId, TaskMap, TaskSpec};

/// Scores of one task on one split.
///
/// `metric` and `reference` are left out where they are those of the kind: accuracy with the majority share, and Pearson's r
/// with 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskScores {
    /// Classes, and yes or no.
    Classification {
        /// Share of right predictions.
        accuracy: f64,
        /// Unweighted mean F1 of the classes.
        macro_f1: f64,
        /// F1 of "yes", of yes-or-no labels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        f1: Option<f64>,
        /// Matthews correlation coefficient; older runs have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mcc: Option<f64>,
        /// Accuracy of always answering the split's most frequent label.
        majority: f64,
        /// Scored rows.
        rows: usize,
        /// The main score, where it is not the accuracy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<Metric>,
        /// The main score of always answering the most frequent label, where it is not the accuracy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<f64>,
    },
    /// Any number of labels at once.
    MultiLabel {
        /// F1 over the labels of all rows together.
        micro_f1: f64,
        /// Unweighted mean of the labels' F1.
        macro_f1: f64,
        /// Share of rows with all labels right, and no other.
        accuracy: f64,
        /// Scored rows.
        rows: usize,
        /// The main score, where it is not the micro-F1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<Metric>,
        /// The main score of the better of two answers that look at no input: the split's most frequent label alone, and none.
        reference: f64,
    },
    /// Scores.
    Regression {
        /// Pearson's r over the whole split.
        pearson: f64,
        /// Spearman's rho over the whole split.
        spearman: f64,
        /// Scored rows.
        rows: usize,
        /// The main score, where it is not Pearson's r.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<Metric>,
    },
}

impl TaskScores {
    /// Scores class predictions of a task.
    pub fn classification(spec: &TaskSpec, predictions: &[usize], labels: &[usize]) -> Self {
        let binary = spec.label == LabelKind::Binary;
        let metric = Some(spec.metric).filter(|metric| *metric != Metric::Accuracy);
        let constant = majority(labels).map_or_else(Vec::new, |most| vec![most; labels.len()]);
        TaskScores::Classification {
            accuracy: accuracy(predictions, labels),
            macro_f1: macro_f1(predictions, labels),
            f1: binary.then(|| f1(predictions, labels)),
            mcc: Some(matthews(predictions, labels)),
            majority: majority_share(labels),
            rows: labels.len(),
            metric,
            reference: metric.map(|metric| match metric {
                Metric::MacroF1 => macro_f1(&constant, labels),
                // Of the two answers that look at no row, "yes" to all is the better one by F1.
                Metric::F1 => f1(&constant, labels).max(f1(&vec![1; labels.len()], labels)),
                _ => matthews(&constant, labels),
            }),
        }
    }

    /// Scores predictions of any number of labels at once: of each row whether each label is said, and whether it is there.
    pub fn multi_label(spec: &TaskSpec, predictions: &[Vec<bool>], labels: &[Vec<bool>]) -> Self {
        let metric = Some(spec.metric).filter(|metric| *metric != Metric::MicroF1);
        let scores = |predictions: &[Vec<bool>]| {
            let counts = label_counts(predictions, labels);
            (
                micro_f1(&counts),
                macro_f1_of_labels(&counts),
                exact_match(predictions, labels),
            )
        };
        let main = |(micro, by_label, exact): (f64, f64, f64)| match spec.metric {
            Metric::MacroF1 => by_label,
            Metric::Accuracy => exact,
            _ => micro,
        };
        let (micro_f1, macro_f1, accuracy) = scores(predictions);
        let constants = constant_answers(labels);
        TaskScores::MultiLabel {
            micro_f1,
            macro_f1,
            accuracy,
            rows: labels.len(),
            metric,
            reference: constants
                .iter()
                .map(|answer| main(scores(&vec![answer.clone(); labels.len()])))
                .fold(0.0, f64::max),
        }
    }

    /// Scores real-valued predictions of a task.
    pub fn regression(spec: &TaskSpec, predictions: &[f64], labels: &[f64]) -> Self {
        TaskScores::Regression {
            pearson: pearson(predictions, labels),
            spearman: spearman(predictions, labels),
            rows: labels.len(),
            metric: Some(spec.metric).filter(|metric| *metric != Metric::Pearson),
        }
    }

    /// Every score there is, the main one first.
    pub fn all(&self) -> Vec<(Metric, f64)> {
        let mut all: Vec<(Metric, f64)> = match self {
            TaskScores::Classification {
                accuracy,
                macro_f1,
                f1,
                mcc,
                ..
            } => [
                (Metric::Accuracy, Some(*accuracy)),
                (Metric::MacroF1, Some(*macro_f1)),
                (Metric::F1, *f1),
                (Metric::Mcc, *mcc),
            ]
            .into_iter()
            .filter_map(|(metric, value)| Some((metric, value?)))
            .collect(),
            TaskScores::MultiLabel {
                micro_f1,
                macro_f1,
                accuracy,
                ..
            } => vec![
                (Metric::MicroF1, *micro_f1),
                (Metric::MacroF1, *macro_f1),
                (Metric::Accuracy, *accuracy),
            ],
            TaskScores::Regression {
                pearson, spearman, ..
            } => vec![(Metric::Pearson, *pearson), (Metric::Spearman, *spearman)],
        };
        // `false` comes first; the order is kept otherwise.
        all.sort_by_key(|(metric, _)| *metric != self.metric());
        all
    }

    /// The main score: the number that is shown, ranked and reported.
    pub fn primary(&self) -> f64 {
        self.all().first().map_or(0.0, |(_, value)| *value)
    }

    /// What a model that has learned nothing reaches: the majority class's score, or a correlation of zero.
    pub fn reference(&self) -> f64 {
        match self {
            TaskScores::Classification {
                majority,
                reference,
                ..
            } => reference.unwrap_or(*majority),
            TaskScores::MultiLabel { reference, .. } => *reference,
            TaskScores::Regression { .. } => 0.0,
        }
    }

    /// The main score on a scale from 0 to 1.
    pub fn normalised(&self) -> f64 {
        self.metric().normalised(self.primary())
    }

    /// As [`reference`](Self::reference), on the scale of [`normalised`](Self::normalised).
    pub fn normalised_reference(&self) -> f64 {
        self.metric().normalised(self.reference())
    }

    /// What the main score is.
    pub fn metric(&self) -> Metric {
        match self {
            TaskScores::Classification { metric, .. } => metric.unwrap_or(Metric::Accuracy),
            TaskScores::MultiLabel { metric, .. } => metric.unwrap_or(Metric::MicroF1),
            TaskScores::Regression { metric, .. } => metric.unwrap_or(Metric::Pearson),
        }
    }

    /// Scored rows.
    pub fn rows(&self) -> usize {
        match self {
            TaskScores::Classification { rows, .. }
            | TaskScores::MultiLabel { rows, .. }
            | TaskScores::Regression { rows, .. } => *rows,
        }
    }
}

/// Answers that look at no input: the most frequent label alone, and none.
fn constant_answers(labels: &[Vec<bool>]) -> [Vec<bool>; 2] {
    let classes = labels.first().map_or(0, Vec::len);
    let rows_with = |class: usize| labels.iter().filter(|row| row[class]).count();
    // The first of those that are as frequent.
    let most = (0..classes).rev().max_by_key(|class| rows_with(*class));
    let alone = (0..classes).map(|class| Some(class) == most).collect();
    [alone, vec![false; classes]]
}

/// Scores of every task on one split, and their summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitScores {
    /// Scores by task.
    #[serde(flatten)]
    pub tasks: TaskMap<TaskScores>,
    /// Mean over the tasks present of their main scores, each put on a scale from 0 to 1, by the tasks' weights. With the
    /// paper's three tasks this is the formula that reproduces Table 1: `(sst + para + (r + 1)/2) / 3`.
    pub overall: f64,
    /// Plain mean of the main scores.
    pub mean: f64,
}

impl SplitScores {
    /// Summarises the tasks' scores, all of one weight; 0 for no task.
    pub fn new(tasks: TaskMap<TaskScores>) -> Self {
        Self::weighted(tasks, |_| 1.0)
    }

    /// As [`new`](Self::new), with weights in the overall score (`tasks.X.overall-weight`).
    pub fn weighted(tasks: TaskMap<TaskScores>, weight: impl Fn(TaskId) -> f64) -> Self {
        let mean = tasks.values().map(TaskScores::primary).sum::<f64>() / tasks.len().max(1) as f64;
        Self {
            overall: weighted_mean(&tasks, weight, TaskScores::normalised).unwrap_or(0.0),
            mean,
            tasks,
        }
    }

    /// The overall score of a model that has learned nothing; `None` for no task.
    pub fn reference(&self, weight: impl Fn(TaskId) -> f64) -> Option<f64> {
        weighted_mean(&self.tasks, weight, TaskScores::normalised_reference)
    }
}

/// Mean of a number of each task; `None` where all weights together are 0.
fn weighted_mean(
    tasks: &TaskMap<TaskScores>,
    weight: impl Fn(TaskId) -> f64,
    number: impl Fn(&TaskScores) -> f64,
) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (task, scores) in tasks {
        let weight = weight(*task);
        sum += weight * number(scores);
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(sst: f64, para: f64, r: f64) -> SplitScores {
        let classification = |accuracy| TaskScores::Classification {
            accuracy,
            macro_f1: 0.0,
            f1: None,
            mcc: None,
            majority: 0.0,
            rows: 1,
            metric: None,
            reference: None,
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
                    metric: None,
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

    #[test]
    fn the_metric_is_what_is_shown_ranked_and_compared() {
        let spec = TaskSpec {
            metric: Metric::Mcc,
            ..TaskSpec::clone(&TaskSpec::preset(TaskId::PARA).expect("a preset"))
        };
        let scores = TaskScores::classification(&spec, &[1, 1, 1, 0], &[1, 1, 0, 0]);
        assert!((scores.primary() - 2.0 / 12.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(
            (scores.reference(), scores.normalised_reference()),
            (0.0, 0.5)
        );
        assert_eq!(scores.metric(), Metric::Mcc);
        let json = serde_json::to_value(&scores).expect("JSON");
        assert_eq!((&json["metric"], &json["f1"]), (&"mcc".into(), &0.8.into()));
        assert_eq!(
            serde_json::from_value::<TaskScores>(json).expect("reads back"),
            scores
        );

        let f1 = TaskSpec {
            metric: Metric::F1,
            ..spec
        };
        let scores = TaskScores::classification(&f1, &[1, 1, 1, 0], &[1, 1, 1, 0]);
        assert_eq!(scores.primary(), 1.0);
        assert!((scores.reference() - 6.0 / 7.0).abs() < 1e-12, "always yes");
        let split = SplitScores::new(TaskMap::from([(TaskId::PARA, scores)]));
        assert_eq!(split.overall, 1.0);
    }

    #[test]
    fn weights_count_in_the_overall_score_alone() {
        let plain = scores(0.5, 0.6, 0.2);
        let only_sst = |task| f64::from(u8::from(task == TaskId::SST));
        let weighted = SplitScores::weighted(plain.tasks.clone(), only_sst);
        assert_eq!((weighted.overall, weighted.mean), (0.5, plain.mean));
        assert_eq!(SplitScores::weighted(plain.tasks, |_| 0.0).overall, 0.0);
    }
}
