//! Where a model is right and wrong on a split: `analysis.json`.

use bertram_core::metric::{LabelCounts, label_counts};
use bertram_core::task::{LabelKind, Prediction, TaskConfig, TaskMap, are_there};
use serde::{Deserialize, Serialize};

/// Bins of a calibration table.
const BINS: usize = 10;

/// Most points of a scatter plot: enough for its shape, and little enough for a file that a person opens.
const MOST_POINTS: usize = 2000;

/// `analysis.json`: what is looked at, by task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Analysis {
    /// By task.
    pub tasks: TaskMap<TaskAnalysis>,
}

/// What is looked at in one task; follows from its [`LabelKind`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TaskAnalysis {
    /// Classes.
    Confusion {
        /// Rows by gold class (first index) and predicted class (second index).
        counts: Vec<Vec<u64>>,
    },
    /// Any number of labels at once.
    Labels {
        /// How often each label is said and there.
        counts: Vec<LabelCounts>,
        /// Rows.
        rows: u64,
    },
    /// Yes or no.
    Calibration {
        /// Equal bins of the predicted probability of "yes", from 0 to 1.
        bins: Vec<CalibrationBin>,
        /// Expected calibration error (Naeini et al. 2015): the mean over rows of their bin's
        /// `|mean_probability - positives|`.
        ece: f64,
        /// Rows.
        rows: u64,
    },
    /// Scores.
    Scatter {
        /// `[gold, predicted]`, on the label's scale.
        points: Vec<[f64; 2]>,
        /// Rows of the split, of which the points are taken evenly.
        rows: u64,
    },
}

/// One bin of a calibration table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Least probability of the bin.
    pub from: f64,
    /// Where the next bin begins; the last one holds 1 too.
    pub to: f64,
    /// Rows.
    pub count: u64,
    /// Mean probability; `None` in an empty bin.
    pub mean_probability: Option<f64>,
    /// Share of gold "yes"; `None` in an empty bin.
    pub positives: Option<f64>,
}

impl Analysis {
    /// Whether its numbers hang together: what a report draws from is counted with and looked up by index.
    ///
    /// # Errors
    /// A sentence that names the task and the field.
    pub fn check(&self) -> Result<(), String> {
        for (task, analysis) in &self.tasks {
            analysis
                .check()
                .map_err(|message| format!("{task}: {message}"))?;
        }
        Ok(())
    }
}

impl TaskAnalysis {
    fn check(&self) -> Result<(), String> {
        match self {
            TaskAnalysis::Confusion { counts } => {
                if counts.iter().any(|row| row.len() != counts.len()) {
                    return Err(format!(
                        "counts has {} rows, and not each has {0} numbers",
                        counts.len()
                    ));
                }
                sum(counts.iter().flatten()).map(|_| ())
            }
            TaskAnalysis::Labels { counts, rows } => {
                let counted = counts
                    .iter()
                    .flat_map(|it| [&it.true_positives, &it.false_positives, &it.false_negatives]);
                sum(counted.chain([rows])).map(|_| ())
            }
            TaskAnalysis::Calibration { bins, ece, rows } => {
                check_share("ece", Some(*ece))?;
                bins.iter().try_for_each(CalibrationBin::check)?;
                let counted = sum(bins.iter().map(|bin| &bin.count))?;
                match counted == *rows {
                    true => Ok(()),
                    false => Err(format!("rows is {rows}, and its bins have {counted}")),
                }
            }
            TaskAnalysis::Scatter { points, rows } => {
                let most = MOST_POINTS.min(usize::try_from(*rows).unwrap_or(MOST_POINTS));
                if points.len() > most {
                    return Err(format!("points has {}, and may have {most}", points.len()));
                }
                let place = |number: f64| number.is_finite() && number.abs() < f64::from(f32::MAX);
                match points.iter().flatten().all(|number| place(*number)) {
                    true => Ok(()),
                    false => Err("points has a number that is no place on a scale".into()),
                }
            }
        }
    }

    /// Looks at `logits` of each row of a split, and at the numbers of their labels one row after the other.
    pub fn new(config: &TaskConfig, logits: &[Vec<f32>], labels: &[f32]) -> Self {
        let predictions: Vec<Prediction> = logits.iter().map(|row| config.predict(row)).collect();
        Self::of_predictions(config.spec.label, &predictions, labels)
    }

    /// As [`new`](Self::new), of what was made of the logits.
    pub fn of_predictions(label: LabelKind, predictions: &[Prediction], labels: &[f32]) -> Self {
        let rows = predictions.iter().zip(labels);
        match label {
            LabelKind::Classes { classes } => {
                let mut counts = vec![vec![0; classes]; classes];
                for (prediction, &label) in rows {
                    let predicted = prediction.value as usize;
                    if let Some(count) = counts
                        .get_mut(label as usize)
                        .and_then(|row: &mut Vec<u64>| row.get_mut(predicted))
                    {
                        *count += 1;
                    }
                }
                TaskAnalysis::Confusion { counts }
            }
            LabelKind::MultiLabel { classes } => {
                let said: Vec<Vec<bool>> = predictions.iter().map(Prediction::said).collect();
                let there: Vec<Vec<bool>> = labels.chunks(classes).map(are_there).collect();
                TaskAnalysis::Labels {
                    counts: label_counts(&said, &there),
                    rows: there.len() as u64,
                }
            }
            LabelKind::Binary => {
                let rows: Vec<(f64, bool)> = rows
                    .map(|(prediction, &label)| {
                        let yes = prediction.probabilities.get(1).copied();
                        (yes.unwrap_or(f64::NAN), label > 0.5)
                    })
                    .filter(|(yes, _)| yes.is_finite())
                    .collect();
                calibration(&rows)
            }
            LabelKind::Score { .. } => {
                let points: Vec<[f64; 2]> = rows
                    .map(|(prediction, &label)| [f64::from(label), prediction.value])
                    .collect();
                TaskAnalysis::Scatter {
                    rows: points.len() as u64,
                    points: evenly(&points, MOST_POINTS),
                }
            }
        }
    }
}

impl CalibrationBin {
    fn check(&self) -> Result<(), String> {
        check_share("mean_probability", self.mean_probability)?;
        check_share("positives", self.positives)?;
        match 0.0 <= self.from && self.from < self.to && self.to <= 1.0 {
            true => Ok(()),
            false => Err(format!(
                "a bin goes from {} to {}, and probabilities from 0 to 1",
                self.from, self.to
            )),
        }
    }
}

fn check_share(field: &str, share: Option<f64>) -> Result<(), String> {
    match share {
        Some(share) if !(0.0..=1.0).contains(&share) => {
            Err(format!("{field} is {share}, and must be from 0 to 1"))
        }
        _ => Ok(()),
    }
}

/// A sum of counts of rows; there are never as many as a number holds.
fn sum<'a>(mut counts: impl Iterator<Item = &'a u64>) -> Result<u64, String> {
    let total = counts.try_fold(0u64, |total, count| total.checked_add(*count));
    total
        .filter(|total| *total < 1 << 53)
        .ok_or_else(|| "counts has more rows than there can be".into())
}

/// At most `most` of the items, at even distances.
pub fn evenly<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    let count = items.len().min(most);
    (0..count)
        .map(|index| items[index * items.len() / count])
        .collect()
}

fn calibration(rows: &[(f64, bool)]) -> TaskAnalysis {
    let bins = bins(rows);
    TaskAnalysis::Calibration {
        ece: expected_calibration_error(&bins),
        rows: rows.len() as u64,
        bins,
    }
}

/// [`expected_calibration_error`] of rows, each with a probability and whether that came true.
pub fn calibration_error(rows: &[(f64, bool)]) -> f64 {
    expected_calibration_error(&bins(rows))
}

fn bins(rows: &[(f64, bool)]) -> Vec<CalibrationBin> {
    let mut sums = [(0u64, 0.0, 0u64); BINS];
    for &(yes, positive) in rows {
        let (count, probability, positives) =
            &mut sums[((yes * BINS as f64) as usize).min(BINS - 1)];
        *count += 1;
        *probability += yes;
        *positives += u64::from(positive);
    }
    sums.iter()
        .enumerate()
        .map(|(index, &(count, probability, positives))| CalibrationBin {
            from: index as f64 / BINS as f64,
            to: (index + 1) as f64 / BINS as f64,
            count,
            mean_probability: (count > 0).then(|| probability / count as f64),
            positives: (count > 0).then(|| positives as f64 / count as f64),
        })
        .collect()
}

/// The mean over rows of their bin's distance between mean probability and share of positives; 0 for no rows.
pub fn expected_calibration_error(bins: &[CalibrationBin]) -> f64 {
    let rows: u64 = bins.iter().map(|bin| bin.count).sum();
    let distances: f64 = bins
        .iter()
        .filter_map(|bin| Some(bin.count as f64 * (bin.mean_probability? - bin.positives?).abs()))
        .sum();
    distances / (rows.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use bertram_core::encoder::Pooling;
    use bertram_core::head::{HeadKind, Threshold};
    use bertram_core::loss::{LossKind, LossOptions};
    use bertram_core::task::{TaskId, TaskSpec};

    use super::*;

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
    fn classes_give_a_confusion_matrix() {
        let config = config(TaskId::SST, HeadKind::Linear, LossKind::CrossEntropy);
        let says = |class: usize| {
            let mut logits = vec![0.0; 5];
            logits[class] = 1.0;
            logits
        };
        let analysis = TaskAnalysis::new(
            &config,
            &[says(0), says(4), says(4), says(3)],
            &[0.0, 4.0, 3.0, 3.0],
        );
        let TaskAnalysis::Confusion { counts } = analysis else {
            panic!("{analysis:?}");
        };
        assert_eq!((counts[0][0], counts[4][4], counts[3][4]), (1, 1, 1));
        assert_eq!(counts.iter().flatten().sum::<u64>(), 4);
    }

    #[test]
    fn binary_labels_give_a_calibration_table() {
        let config = config(TaskId::PARA, HeadKind::Concat, LossKind::Bce);
        // sigmoid(0) = .5 twice, one of them a yes: calibrated. sigmoid(50) = 1, a no: off by 1.
        let analysis = TaskAnalysis::new(
            &config,
            &[vec![0.0], vec![0.0], vec![50.0], vec![-50.0]],
            &[1.0, 0.0, 0.0, 0.0],
        );
        let TaskAnalysis::Calibration { bins, ece, rows } = &analysis else {
            panic!("{analysis:?}");
        };
        assert_eq!((bins.len(), *rows), (10, 4));
        assert_eq!((bins[5].count, bins[5].positives), (2, Some(0.5)));
        assert_eq!((bins[9].count, bins[9].positives), (1, Some(0.0)));
        assert_eq!(bins[3].mean_probability, None);
        assert!((ece - 0.25).abs() < 1e-9, "{ece}");
        let json = serde_json::to_value(&analysis).expect("JSON");
        assert_eq!(json["kind"], "calibration");
        assert_eq!(
            serde_json::from_value::<TaskAnalysis>(json).expect("reads back"),
            analysis
        );
    }

    #[test]
    fn scores_give_points_on_the_scale_of_the_labels() {
        let config = config(TaskId::STS, HeadKind::Cosine, LossKind::Mse);
        let logits = vec![vec![0.5]; 4001];
        let labels: Vec<f32> = (0..4001).map(|row| (row % 6) as f32).collect();
        let analysis = TaskAnalysis::new(&config, &logits, &labels);
        let TaskAnalysis::Scatter { points, rows } = analysis else {
            panic!("{analysis:?}");
        };
        assert_eq!((points.len(), rows), (2000, 4001));
        assert_eq!((points[0], points[1]), ([0.0, 2.5], [2.0, 2.5]));
    }

    #[test]
    fn numbers_that_do_not_hang_together_are_refused_by_field() {
        let check = |json: &str| {
            let analysis: Analysis = serde_json::from_str(json).expect("JSON");
            analysis.check()
        };
        let bin = |bin: &str, ece: &str, rows: u64| {
            let bins = format!("[{{\"count\":2,{bin}}}]");
            let kind = "\"kind\":\"calibration\"";
            format!("{{\"para\":{{{kind},\"bins\":{bins},\"ece\":{ece},\"rows\":{rows}}}}}")
        };
        let good = r#""from":0,"to":1,"mean_probability":0.5,"positives":1"#;
        let whole = [
            r#"{"sst":{"kind":"confusion","counts":[[1,2],[3,4]]}}"#.to_owned(),
            r#"{"sst":{"kind":"confusion","counts":[]}}"#.to_owned(),
            r#"{"sts":{"kind":"scatter","points":[[1,2.5]],"rows":1}}"#.to_owned(),
            bin(good, "0.5", 2),
        ];
        for json in whole {
            check(&json).unwrap_or_else(|message| panic!("{json}: {message}"));
        }
        for (json, field) in [
            (
                r#"{"sst":{"kind":"confusion","counts":[[1,2],[3]]}}"#.to_owned(),
                "counts",
            ),
            (
                r#"{"sst":{"kind":"confusion","counts":[[1,2]]}}"#.to_owned(),
                "counts",
            ),
            (
                r#"{"sst":{"kind":"confusion","counts":[[18446744073709551615,2],[3,4]]}}"#
                    .to_owned(),
                "counts",
            ),
            (
                r#"{"sts":{"kind":"scatter","points":[[1,1e308]],"rows":1}}"#.to_owned(),
                "points",
            ),
            (
                r#"{"sts":{"kind":"scatter","points":[[1,1],[2,2]],"rows":1}}"#.to_owned(),
                "points",
            ),
            (bin(good, "2", 2), "ece"),
            (bin(good, "0.5", 3), "rows"),
            (
                bin(&good.replace("0.5", "1e39"), "0.5", 2),
                "mean_probability",
            ),
            (
                bin(
                    &good.replace("\"positives\":1", "\"positives\":-1"),
                    "0.5",
                    2,
                ),
                "positives",
            ),
            (
                bin(&good.replace("\"to\":1", "\"to\":1e308"), "0.5", 2),
                "bin",
            ),
            (
                bin(&good.replace("\"from\":0", "\"from\":1"), "0.5", 2),
                "bin",
            ),
        ] {
            let message = check(&json).expect_err(&json);
            assert!(message.contains(field), "{json}: {message}");
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        let config = config(TaskId::STS, HeadKind::Cosine, LossKind::Mse);
        assert_eq!(
            TaskAnalysis::new(&config, &[], &[]),
            TaskAnalysis::Scatter {
                points: Vec::new(),
                rows: 0
            }
        );
    }
}
