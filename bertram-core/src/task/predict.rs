//! From logits on the host to predictions and scores.

use super::{LabelKind, TaskConfig, TaskSpec, are_there};
use crate::loss::LossKind;
use crate::metric::TaskScores;

/// What the model says of one example.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Class index, 0/1, or score on the label's scale; of several labels at once how many are said.
    pub value: f64,
    /// The same before a score is put into the label's range: what correlations are taken of.
    pub unclamped: f64,
    /// Probability of each class (`[no, yes]` for a binary task; of several labels at once they do not sum to 1); empty for
    /// scores.
    pub probabilities: Vec<f64>,
}

impl TaskConfig {
    /// Reads one example's logits.
    ///
    /// - classes: softmax; the first of equal maxima wins, as in `argmax`, with `ordinal`, too
    /// - several labels at once: `sigmoid(logit)` of each, which is said where it rounds to 1
    /// - binary with `bce` or `focal`: `sigmoid(logit)`, yes where it rounds to 1; a bare cosine is read the same way, as
    ///   published
    /// - binary with `cosine-embedding`: the cosine's place between the margin and 1, yes in its upper half
    /// - scores: the number that was trained against `label / 5`, clamped to the label's range. Correlations are
    ///   scored on the unclamped number (see [`score`]). `cosent` and `angle` train the order of scores alone: the cosine
    ///   itself stands for the place on the scale.
    pub fn predict(&self, logits: &[f32]) -> Prediction {
        Prediction::of_numbers(self.spec.label, &self.numbers(logits))
    }

    /// What [`predict`](Self::predict) reads from logits: the probability of each class (of a binary task no's and yes's), or
    /// the score before it is clamped. Numbers of several models have a mean.
    pub fn numbers(&self, logits: &[f32]) -> Vec<f64> {
        match self.spec.label {
            LabelKind::Classes { .. } => softmax(logits),
            LabelKind::MultiLabel { .. } => logits
                .iter()
                .map(|&logit| sigmoid(f64::from(logit)))
                .collect(),
            LabelKind::Binary => {
                let yes = self.unit_score(logits).clamp(0.0, 1.0);
                vec![1.0 - yes, yes]
            }
            LabelKind::Score { min, max } => {
                let (min, max) = (f64::from(min), f64::from(max));
                vec![min + (max - min) * self.unit_score(logits)]
            }
        }
    }

    /// The example's single output on the scale of the unit label, not clamped.
    fn unit_score(&self, logits: &[f32]) -> f64 {
        let logit = f64::from(logits.first().copied().unwrap_or(f32::NAN));
        match self.loss {
            LossKind::Bce | LossKind::Focal | LossKind::CrossEntropy | LossKind::Ordinal => {
                sigmoid(logit)
            }
            // Of `angle` the first output is the cosine.
            LossKind::Mse | LossKind::Cosent | LossKind::Angle => logit,
            LossKind::CosineEmbedding => (logit - self.margin) / (1.0 - self.margin),
        }
    }
}

impl Prediction {
    /// The prediction that the probability of each class makes, or an unclamped score ([`TaskConfig::numbers`]).
    pub fn of_numbers(label: LabelKind, numbers: &[f64]) -> Self {
        let (value, unclamped) = match label {
            LabelKind::Classes { .. } => {
                let mut best = 0;
                for (class, probability) in numbers.iter().enumerate() {
                    if *probability > numbers[best] {
                        best = class;
                    }
                }
                (best as f64, best as f64)
            }
            LabelKind::MultiLabel { .. } => {
                let said = are_there(numbers);
                let said = said.into_iter().filter(|said| *said).count() as f64;
                (said, said)
            }
            LabelKind::Binary => {
                let yes = numbers.get(1).copied().unwrap_or(f64::NAN);
                let yes = f64::from(u8::from(yes >= 0.5));
                (yes, yes)
            }
            LabelKind::Score { min, max } => {
                let score = numbers.first().copied().unwrap_or(f64::NAN);
                (score.clamp(f64::from(min), f64::from(max)), score)
            }
        };
        Self {
            value,
            unclamped,
            probabilities: match label {
                LabelKind::Score { .. } => Vec::new(),
                _ => numbers.to_vec(),
            },
        }
    }

    /// Of several labels at once, whether each is said.
    pub fn said(&self) -> Vec<bool> {
        are_there(&self.probabilities)
    }

    /// The answer in words: the label's name, the names of all that are said, or the score.
    pub fn text(&self, spec: &TaskSpec) -> String {
        match spec.label {
            LabelKind::MultiLabel { .. } => spec.names_text(&self.said()),
            LabelKind::Classes { .. } | LabelKind::Binary | LabelKind::Score { .. } => {
                spec.label_text(self.value)
            }
        }
    }
}

/// Scores a whole split: `logits` of each row, and the numbers of their labels one row after the other.
pub fn score(config: &TaskConfig, logits: &[Vec<f32>], labels: &[f32]) -> TaskScores {
    match config.spec.label {
        LabelKind::Classes { .. } | LabelKind::Binary => {
            let predictions: Vec<usize> = logits
                .iter()
                .map(|row| config.predict(row).value as usize)
                .collect();
            let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
            TaskScores::classification(&config.spec, &predictions, &labels)
        }
        LabelKind::MultiLabel { classes } => {
            let predictions: Vec<Vec<bool>> = logits
                .iter()
                .map(|row| config.predict(row).said())
                .collect();
            let labels: Vec<Vec<bool>> = labels.chunks(classes).map(are_there).collect();
            TaskScores::multi_label(&config.spec, &predictions, &labels)
        }
        LabelKind::Score { .. } => {
            let predictions: Vec<f64> = logits.iter().map(|row| config.unit_score(row)).collect();
            let labels: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
            TaskScores::regression(&config.spec, &predictions, &labels)
        }
    }
}

/// Scores predictions, as [`score`] does logits: `labels` has the numbers of the rows' labels one row after the other.
pub fn score_predictions(
    spec: &TaskSpec,
    predictions: &[Prediction],
    labels: &[f32],
) -> TaskScores {
    match spec.label {
        LabelKind::Classes { .. } | LabelKind::Binary => {
            let said: Vec<usize> = predictions.iter().map(|row| row.value as usize).collect();
            let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
            TaskScores::classification(spec, &said, &labels)
        }
        LabelKind::MultiLabel { classes } => {
            let said: Vec<Vec<bool>> = predictions.iter().map(Prediction::said).collect();
            let labels: Vec<Vec<bool>> = labels.chunks(classes).map(are_there).collect();
            TaskScores::multi_label(spec, &said, &labels)
        }
        LabelKind::Score { .. } => {
            let said: Vec<f64> = predictions.iter().map(|row| row.unclamped).collect();
            let labels: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
            TaskScores::regression(spec, &said, &labels)
        }
    }
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = logits
        .iter()
        .map(|&logit| f64::from(logit - max).exp())
        .collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encoder::Pooling;
    use crate::head::{HeadKind, Threshold};
    use crate::loss::LossOptions;
    use crate::task::{Metric, TaskId};

    fn config(task: TaskId, head: HeadKind, loss: LossKind) -> TaskConfig {
        TaskConfig {
            task,
            spec: TaskSpec::preset(task).expect("a preset"),
            head,
            loss,
            pooling: Pooling::Cls,
            layer_mix: false,
            head_dropout: 0.0,
            threshold: Threshold::AsPublished,
            margin: 0.0,
            loss_options: LossOptions::default(),
        }
    }

    #[test]
    fn as_published_says_yes_to_any_non_negative_cosine() {
        let para = config(TaskId::PARA, HeadKind::Cosine, LossKind::Bce);
        assert_eq!(para.predict(&[0.01]).value, 1.0);
        assert_eq!(para.predict(&[-0.01]).value, 0.0);
    }

    #[test]
    fn scores_are_clamped_for_people_and_not_for_pearson() {
        let sts = config(TaskId::STS, HeadKind::Cosine, LossKind::Mse);
        assert_eq!(sts.predict(&[1.2]).value, 5.0);
        assert!((sts.predict(&[1.2]).unclamped - 6.0).abs() < 1e-6);
        assert_eq!(sts.predict(&[-0.2]).value, 0.0);
        assert!((sts.predict(&[0.5]).value - 2.5).abs() < 1e-9);
        let logits = vec![vec![1.2], vec![1.4], vec![0.1]];
        assert!(score(&sts, &logits, &[4.0, 5.0, 1.0]).primary() > 0.97);
    }

    #[test]
    fn predictions_score_as_their_logits() {
        let tasks = [
            (
                config(TaskId::SST, HeadKind::Linear, LossKind::CrossEntropy),
                5,
            ),
            (config(TaskId::PARA, HeadKind::Cosine, LossKind::Bce), 1),
            (config(TaskId::STS, HeadKind::Cosine, LossKind::Mse), 1),
        ];
        for (task, outputs) in tasks {
            let logits: Vec<Vec<f32>> = (0..30u32)
                .map(|row| {
                    (0..outputs)
                        .map(|at| ((row * 7 + at * 5) % 13) as f32 / 6.0 - 0.7)
                        .collect()
                })
                .collect();
            let labels: Vec<f32> = (0..30).map(|row| (row % 2) as f32).collect();
            let said: Vec<Prediction> = logits.iter().map(|row| task.predict(row)).collect();
            let (one, other) = (
                score(&task, &logits, &labels),
                score_predictions(&task.spec, &said, &labels),
            );
            for ((metric, here), (_, there)) in one.all().into_iter().zip(other.all()) {
                assert!(
                    (here - there).abs() < 1e-12,
                    "{} of {}",
                    metric.key(),
                    task.task
                );
            }
        }
    }

    #[test]
    fn cosent_and_angle_read_the_cosine() {
        for loss in [LossKind::Cosent, LossKind::Angle] {
            let sts = config(TaskId::STS, HeadKind::Cosine, loss);
            // The imaginary part that `angle` has beside it is for training alone.
            assert!((sts.predict(&[0.5, -0.9]).value - 2.5).abs() < 1e-9);
            assert_eq!(sts.predict(&[-0.2, 1.0]).value, 0.0);
        }
    }

    #[test]
    fn ordinal_classes_are_read_by_softmax() {
        let sst = config(TaskId::SST, HeadKind::Linear, LossKind::Ordinal);
        let prediction = sst.predict(&[-2.0, -1.0, 0.0, -1.0, -2.0]);
        assert_eq!(prediction.value, 2.0);
        assert!((prediction.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let focal = config(TaskId::PARA, HeadKind::Cosine, LossKind::Focal);
        assert_eq!(focal.predict(&[0.01]).value, 1.0);
        assert!((focal.predict(&[0.0]).probabilities[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn probabilities_sum_to_one() {
        let sst = config(TaskId::SST, HeadKind::Linear, LossKind::CrossEntropy);
        let prediction = sst.predict(&[1000.0, 0.0, -1000.0, 1000.0, 3.0]);
        assert_eq!(prediction.value, 0.0);
        assert!((prediction.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_said_of_several_labels_is_what_is_scored() {
        let sst = config(TaskId::SST, HeadKind::Linear, LossKind::Bce);
        let topics = TaskConfig {
            spec: Arc::new(TaskSpec {
                label: LabelKind::MultiLabel { classes: 3 },
                labels: ["sport", "art", "law"].map(str::to_owned).into(),
                metric: Metric::MicroF1,
                preset: None,
                ..TaskSpec::clone(&sst.spec)
            }),
            ..sst
        };
        // The sigmoid of a tiny negative number is one half to the last digit.
        let logits = [3.0, -1e-20, -2.0];
        let prediction = topics.predict(&logits);
        assert_eq!(prediction.said(), [true, true, false]);
        assert_eq!(
            (prediction.value, prediction.text(&topics.spec)),
            (2.0, "sport|art".into())
        );
        let scores = score(&topics, &[logits.to_vec()], &[1.0, 1.0, 0.0]);
        assert_eq!(scores.primary(), 1.0);
    }
}
