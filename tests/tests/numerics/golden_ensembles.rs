//! Ensembles, soups and halves against numpy, scikit-learn, scipy and PyTorch (`golden/ensembles/export.py`).

use std::sync::Arc;

use bertram_core::data::halves;
use bertram_core::encoder::WeightSum;
use bertram_core::task::{Inputs, LabelKind, Metric, TaskId, TaskSpec};
use bertram_train::calibration::{calibrate_task, quality};
use bertram_train::ensemble::{ROUNDS, RowsOfTask, select_greedily, uniform};
use burn::backend::NdArray;
use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../golden/ensembles/ensembles.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value, number)
}

fn places(value: &Value) -> Vec<usize> {
    list(value, |it| it.as_u64().unwrap() as usize)
}

#[test]
fn golden_halves() {
    for case in golden()["halves"].as_array().unwrap() {
        let rows = case["rows"].as_u64().unwrap() as usize;
        let found = halves(rows, case["seed"].as_u64().unwrap());
        assert_eq!(found.to_vec(), list(&case["halves"], places), "{case}");
    }
}

/// A golden case as what runs say of a task.
fn rows_of(case: &Value) -> RowsOfTask {
    let runs = list(&case["numbers"], |run| list(run, numbers));
    let width = runs[0][0].len();
    let (label, metric) = match case["kind"].as_str().unwrap() {
        "classes" => (LabelKind::Classes { classes: width }, Metric::Accuracy),
        "binary" => (LabelKind::Binary, Metric::Accuracy),
        "multi-label" => (LabelKind::MultiLabel { classes: width }, Metric::MicroF1),
        _ => (LabelKind::Score { min: 0.0, max: 5.0 }, Metric::Pearson),
    };
    let gold = case["gold"].as_array().unwrap();
    let labels = gold.iter().flat_map(|gold| match gold {
        Value::Array(several) => several.iter().map(|it| number(it) as f32).collect(),
        one => vec![number(one) as f32],
    });
    RowsOfTask {
        task: TaskId::STS,
        spec: Arc::new(TaskSpec {
            title: "golden".into(),
            inputs: Inputs::Single,
            label,
            labels: (0..width).map(|label| label.to_string()).collect(),
            metric,
            preset: None,
        }),
        ids: (0..gold.len()).map(|row| row.to_string()).collect(),
        bad: Vec::new(),
        labels: Some(labels.collect()),
        numbers: runs,
    }
}

#[test]
fn golden_ensembles() {
    for case in golden()["ensembles"].as_array().unwrap() {
        let kind = &case["kind"];
        let task = rows_of(case);
        let runs = task.numbers.len();
        let score = |weights: &[f64], rows: &[usize]| task.score(weights, rows).unwrap().primary();
        let all: Vec<usize> = (0..task.rows()).collect();
        let close = |found: f64, expected: &Value| {
            let expected = number(expected);
            assert!(
                (found - expected).abs() < 1e-9,
                "{kind}: {found} and {expected}"
            );
        };
        let same = |found: &[f64], expected: &Value| {
            let expected = numbers(expected);
            assert_eq!(found.len(), expected.len(), "{kind}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{kind}: {found} and {expected}"
                );
            }
        };
        let said = task.predictions(&uniform(runs), all.iter().copied());
        for (said, expected) in said.iter().zip(case["mean"].as_array().unwrap()) {
            match said.probabilities.is_empty() {
                true => same(&[said.unclamped], expected),
                false => same(&said.probabilities, expected),
            }
        }
        close(score(&uniform(runs), &all), &case["uniform"]);
        let choose = |rows: &[usize]| select_greedily(runs, ROUNDS, |weights| score(weights, rows));
        let weights = choose(&all);
        same(&weights, &case["weights"]);
        close(score(&weights, &all), &case["chosen"]);
        let [first, second] = halves(task.rows(), case["seed"].as_u64().unwrap());
        let ways = [(&first, &second), (&second, &first)];
        for ((chooses, scored), way) in ways.into_iter().zip(case["halves"].as_array().unwrap()) {
            let weights = choose(chooses);
            same(&weights, &way["weights"]);
            close(score(&weights, scored), &way["score"]);
        }
    }
}

#[test]
fn golden_temperatures() {
    for case in golden()["temperatures"].as_array().unwrap() {
        let kind = &case["kind"];
        let logits: Vec<Vec<f32>> = list(&case["logits"], |row| list(row, |it| number(it) as f32));
        let labels: Vec<f32> = list(&case["gold"], |it| number(it) as f32);
        let found = calibrate_task(&logits, &labels, 0);
        let close = |found: f64, expected: &Value, tolerance: f64| {
            let expected = number(expected);
            assert!(
                (found - expected).abs() < tolerance,
                "{kind}: {found} and {expected}"
            );
        };
        // The minimum is flat: scipy and L-BFGS find it to the root of what a loss can tell.
        close(found.temperature, &case["temperature"], 1e-5);
        close(found.before.nll, &case["nll"][0], 1e-10);
        close(found.before.ece, &case["ece"][0], 1e-10);
        let rows: Vec<(&[f32], usize)> = (logits.iter().zip(&labels))
            .map(|(logits, label)| (logits.as_slice(), *label as usize))
            .collect();
        let all = quality(&rows, found.temperature);
        close(all.nll, &case["nll"][1], 1e-10);
        close(all.ece, &case["ece"][1], 1e-4);
    }
}

#[test]
fn golden_soups() {
    type B = NdArray<f32>;
    let device = Default::default();
    let flat = |value: &Value| -> Vec<f32> {
        let rows = value.as_array().unwrap().iter();
        rows.flat_map(|row| match row {
            Value::Array(row) => row.iter().map(|it| number(it) as f32).collect(),
            one => vec![number(one) as f32],
        })
        .collect()
    };
    let linear = |model: &Value| -> Linear<B> {
        let mut linear: Linear<B> = LinearConfig::new(3, 4).init(&device);
        let weight = TensorData::new(flat(&model["weight"]), [3, 4]);
        let bias = TensorData::new(flat(&model["bias"]), [4]);
        linear.weight = Param::from_tensor(Tensor::from_data(weight, &device));
        linear.bias = Some(Param::from_tensor(Tensor::from_data(bias, &device)));
        linear
    };
    for case in golden()["soups"].as_array().unwrap() {
        let mut sum = WeightSum::default();
        for model in case["models"].as_array().unwrap() {
            sum.add(&linear(model)).unwrap();
        }
        let mixed: Linear<B> = sum.mean(LinearConfig::new(3, 4).init(&device), &device);
        let weight: Vec<f32> = mixed.weight.val().into_data().iter::<f32>().collect();
        let bias: Vec<f32> = mixed
            .bias
            .unwrap()
            .val()
            .into_data()
            .iter::<f32>()
            .collect();
        let found = weight.iter().chain(&bias);
        let expected = [flat(&case["mean"]["weight"]), flat(&case["mean"]["bias"])].concat();
        for (found, expected) in found.zip(&expected) {
            // Both round a sum in f64 once; that of the sum's order is far below.
            assert!(
                (found - expected).abs() <= f32::EPSILON * expected.abs(),
                "{found} and {expected}"
            );
        }
    }
}
