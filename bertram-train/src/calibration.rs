//! Calibrated probabilities: one temperature a task, fitted on dev (Guo et al. 2017, *On Calibration of Modern Neural
//! Networks*, <https://arxiv.org/abs/1706.04599>, section 4.2).
//!
//! ```text
//! p = softmax(z / T)      of yes or no: sigmoid(z / T)
//! T = argmin mean -log p[label]
//! ```
//!
//! Labels stay what they are, as the order of logits and their signs do. A model that is too sure of itself has `T` above 1.

use std::path::{Path, PathBuf};

use bertram_core::data::halves;
use bertram_core::loss::OutputKind;
use bertram_core::task::{LabelKind, Prediction, TaskConfig, TaskMap};
use serde::{Deserialize, Serialize};

use crate::analysis::calibration_error;
use crate::run_folder::{RunError, read_json, write_json};

/// File of a model folder.
const FILE: &str = "calibration.json";
/// Version of the file's format.
const VERSION: u32 = 1;
/// Temperatures that are looked through. Rows that are all right have none that is best: the lower the better.
const RANGE: (f64, f64) = (1.0 / 64.0, 64.0);
/// Bisections of the range on a logarithmic scale: more than an f64 can tell apart.
const BISECTIONS: usize = 80;

/// Temperatures of a model's tasks: `model/calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version of the format.
    pub version: u32,
    /// By task; those that cannot be calibrated are not in it.
    pub tasks: TaskMap<TaskCalibration>,
}

/// How a task is calibrated, and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskCalibration {
    /// What logits are divided by: fitted on all dev rows, and 1 where one that is fitted on half of them makes the other half
    /// no better ([`after`](Self::after)).
    pub temperature: f64,
    /// Dev rows.
    pub rows: usize,
    /// Seed of the [`halves`] of dev.
    pub seed: u64,
    /// Without a temperature.
    pub before: Quality,
    /// With one that the other half was fitted to: mean of both ways.
    pub after: Quality,
}

/// How good probabilities are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean negative logarithm of the label's probability, in nats.
    pub nll: f64,
    /// Expected calibration error with ten bins: of classes that of the predicted class's probability (Guo et al., equation
    /// 3), of yes or no that of yes.
    pub ece: f64,
}

impl Calibration {
    /// Path in a model folder.
    pub fn path(model: &Path) -> PathBuf {
        model.join(FILE)
    }

    /// Reads the file of a model folder; `None` where there is none.
    ///
    /// # Errors
    /// A file that cannot be read, of a newer version, or with a temperature that is not above 0.
    pub fn read(model: &Path) -> Result<Option<Self>, RunError> {
        let path = Self::path(model);
        if !path.exists() {
            return Ok(None);
        }
        let read: Self = read_json(&path)?;
        let malformed = |message: String| RunError::Malformed {
            path: path.clone(),
            message,
        };
        if read.version > VERSION {
            return Err(malformed(format!(
                "was written by a newer bertram: its version is {}, and this bertram reads up to {VERSION}; update bertram",
                read.version
            )));
        }
        for (task, of_task) in &read.tasks {
            let temperature = of_task.temperature;
            if !(temperature.is_finite() && temperature > 0.0) {
                return Err(malformed(format!(
                    "the temperature of {task} is {temperature}, and must be above 0"
                )));
            }
        }
        Ok(Some(read))
    }

    /// What is written of tasks' temperatures.
    pub fn of(tasks: TaskMap<TaskCalibration>) -> Self {
        Self {
            version: VERSION,
            tasks,
        }
    }

    /// Writes the file of a model folder.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, model: &Path) -> Result<(), RunError> {
        write_json(&Self::path(model), self)
    }

    /// Removes the file of a model folder, where there is one: another model's temperatures are none of this one's.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(model: &Path) -> Result<(), RunError> {
        let path = Self::path(model);
        match path.exists() {
            true => std::fs::remove_file(&path).map_err(RunError::io(&path)),
            false => Ok(()),
        }
    }

    /// The temperature of a task; 1 for one that has none.
    pub fn temperature(&self, config: &TaskConfig) -> f64 {
        let of_task = self.tasks.get(&config.task);
        of_task.map_or(1.0, |of_task| of_task.temperature)
    }
}

/// Reads one example's logits: the label as it is without a temperature, probabilities with it.
pub fn predict_calibrated(config: &TaskConfig, logits: &[f32], temperature: f64) -> Prediction {
    let plain = config.predict(logits);
    if temperature == 1.0 || !is_calibratable(config) {
        return plain;
    }
    let scaled: Vec<f32> = logits
        .iter()
        .map(|logit| (f64::from(*logit) / temperature) as f32)
        .collect();
    Prediction {
        probabilities: config.predict(&scaled).probabilities,
        ..plain
    }
}

/// Whether a task's logits are those of one label's probability: a softmax over classes, or a sigmoid of yes. Several labels
/// at once have a temperature each, and scores have no probabilities.
pub fn is_calibratable(config: &TaskConfig) -> bool {
    match config.spec.label {
        LabelKind::Classes { .. } => config.output() == OutputKind::Categorical,
        LabelKind::Binary => config.output() == OutputKind::Bernoulli,
        LabelKind::MultiLabel { .. } | LabelKind::Score { .. } => false,
    }
}

/// Fits a task's temperature to the logits of its rows (one a row for yes or no, else one a class) and the numbers of their
/// labels.
pub fn calibrate_task(logits: &[Vec<f32>], labels: &[f32], seed: u64) -> TaskCalibration {
    let rows: Vec<(&[f32], usize)> = logits
        .iter()
        .zip(labels)
        .map(|(logits, label)| (logits.as_slice(), *label as usize))
        .collect();
    let some = |places: &[usize]| -> Vec<(&[f32], usize)> {
        places.iter().map(|place| rows[*place]).collect()
    };
    let [first, second] = halves(rows.len(), seed);
    let ways = [(&first, &second), (&second, &first)].map(|(fitted, scored)| {
        let temperature = fit_temperature(&some(fitted));
        quality(&some(scored), temperature)
    });
    let mean = |of: fn(&Quality) -> f64| ways.iter().map(of).sum::<f64>() / ways.len() as f64;
    let before = quality(&rows, 1.0);
    let after = Quality {
        nll: mean(|way| way.nll),
        ece: mean(|way| way.ece),
    };
    TaskCalibration {
        temperature: if after.nll < before.nll {
            fit_temperature(&rows)
        } else {
            1.0
        },
        rows: rows.len(),
        seed,
        before,
        after,
    }
}

/// The temperature of least mean negative log-likelihood of rows: logits, and the number of the label.
///
/// In `b = 1/T` the mean of `log sum_c exp(b z_c) - b z_y` is convex, and its derivative, the mean of
/// `sum_c p_c z_c - z_y`, is zero at the least: found by bisection, from 1/64 to 64.
pub fn fit_temperature(rows: &[(&[f32], usize)]) -> f64 {
    let slope = |inverse: f64| -> f64 {
        let slopes = rows.iter().map(|(logits, label)| {
            let logits = both(logits);
            let scaled: Vec<f64> = logits.iter().map(|logit| logit * inverse).collect();
            let log_sum = log_sum_exp(&scaled);
            let pairs = logits.iter().zip(&scaled);
            let mean: f64 = pairs.map(|(z, scaled)| z * (scaled - log_sum).exp()).sum();
            mean - logits.get(*label).copied().unwrap_or(0.0)
        });
        slopes.sum()
    };
    if rows.is_empty() {
        return 1.0;
    }
    let (mut low, mut high) = ((1.0 / RANGE.1).ln(), (1.0 / RANGE.0).ln());
    for _ in 0..BISECTIONS {
        let middle = (low + high) / 2.0;
        if slope(middle.exp()) > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    (-(low + high) / 2.0).exp()
}

/// How good the probabilities of rows (logits, and the number of the label) are at a temperature.
pub fn quality(rows: &[(&[f32], usize)], temperature: f64) -> Quality {
    let mut nll = 0.0;
    let mut said = Vec::new();
    for (logits, label) in rows {
        let is_yes_or_no = logits.len() == 1;
        let scaled: Vec<f64> = both(logits).iter().map(|z| z / temperature).collect();
        let log_sum = log_sum_exp(&scaled);
        let probabilities: Vec<f64> = scaled.iter().map(|z| (z - log_sum).exp()).collect();
        nll += log_sum - scaled.get(*label).copied().unwrap_or(0.0);
        said.push(match is_yes_or_no {
            true => (probabilities[1], *label == 1),
            false => {
                let mut best = 0;
                for (class, probability) in probabilities.iter().enumerate() {
                    if *probability > probabilities[best] {
                        best = class;
                    }
                }
                (
                    probabilities.get(best).copied().unwrap_or(0.0),
                    best == *label,
                )
            }
        });
    }
    Quality {
        nll: nll / rows.len().max(1) as f64,
        ece: calibration_error(&said),
    }
}

/// Logits of all classes: a lone logit of yes is one beside that of no, which is 0.
fn both(logits: &[f32]) -> Vec<f64> {
    let logits = logits.iter().map(|logit| f64::from(*logit));
    match logits.len() {
        1 => std::iter::once(0.0).chain(logits).collect(),
        _ => logits.collect(),
    }
}

fn log_sum_exp(numbers: &[f64]) -> f64 {
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = numbers.iter().map(|number| (number - most).exp()).sum();
    most + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_temperature_undoes_a_factor() {
        // Of logits of which three quarters are right: sigmoid(ln 3) = .75.
        let sure = [7.0_f32];
        let rows: Vec<(&[f32], usize)> = (0..8)
            .map(|row| (&sure[..], usize::from(row % 4 != 0)))
            .collect();
        let temperature = fit_temperature(&rows);
        assert!(
            (7.0 / temperature - 3.0_f64.ln()).abs() < 1e-9,
            "{temperature}"
        );
        let after = quality(&rows, temperature);
        assert!(after.ece < 1e-9 && after.nll < quality(&rows, 1.0).nll);
        // Rows that are all right, and none at all.
        assert!((fit_temperature(&rows[1..2]) - RANGE.0).abs() < 1e-9);
        assert_eq!(fit_temperature(&[]), 1.0);
    }

    #[test]
    fn a_temperature_that_does_not_help_is_none() {
        // Three quarters are right where logits say so, in each half: the temperature stays.
        let sure = |rows: usize| vec![vec![7.0_f32]; rows];
        let labels: Vec<f32> = (0..400).map(|row| f32::from(row % 4 != 0)).collect();
        let sure = calibrate_task(&sure(400), &labels, 0);
        assert!(sure.temperature > 1.0 && sure.after.nll < sure.before.nll);
        // Four rows whose halves say the opposite of each other.
        let [first, _] = halves(4, 0);
        let labels: Vec<f32> = (0..4).map(|row| f32::from(first.contains(&row))).collect();
        let split = calibrate_task(&vec![vec![0.5]; 4], &labels, 0);
        assert!(split.after.nll > split.before.nll);
        assert_eq!(split.temperature, 1.0);
    }

    #[test]
    fn a_file_is_read_back_and_looked_at() {
        let dir = tempfile::tempdir().expect("temp dir");
        assert!(Calibration::read(dir.path()).expect("none").is_none());
        let write = |text: &str| {
            std::fs::write(Calibration::path(dir.path()), text).expect("written");
            Calibration::read(dir.path())
        };
        let file = |version: u32, temperature: &str| {
            let quality = r#"{ "nll": 0.5, "ece": 0.1 }"#;
            format!(
                r#"{{ "version": {version}, "tasks": {{ "sst": {{ "temperature": {temperature}, "rows": 4, "seed": 0, "before": {quality}, "after": {quality} }} }} }}"#
            )
        };
        let read = write(&file(1, "1.5")).expect("reads").expect("there");
        assert_eq!(read.tasks.values().next().expect("a task").temperature, 1.5);
        for (text, part) in [
            (file(2, "1.5"), "newer bertram"),
            (file(1, "0"), "must be above 0"),
            (file(1, "-1"), "must be above 0"),
            ("{".to_owned(), "EOF"),
        ] {
            let message = write(&text).expect_err("refused").to_string();
            assert!(
                message.contains(part) && message.contains("calibration.json"),
                "{message}"
            );
        }
        Calibration::remove(dir.path()).expect("removed");
        Calibration::remove(dir.path()).expect("was not there");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_neighbour_is_better(logits in prop::collection::vec(prop::collection::vec(-6.0f32..6.0, 3), 4..40)) {
            let rows: Vec<(&[f32], usize)> = logits.iter().enumerate().map(|(row, it)| (it.as_slice(), row % 3)).collect();
            let temperature = fit_temperature(&rows);
            let here = quality(&rows, temperature).nll;
            for factor in [0.9, 0.99, 1.01, 1.1] {
                let there = temperature * factor;
                if (RANGE.0..=RANGE.1).contains(&there) {
                    prop_assert!(quality(&rows, there).nll >= here - 1e-12);
                }
            }
        }
    }
}
