//! Gradient aggregators against values computed on the gradients themselves (`golden/aggregators/export.py`).

use bertram_train::aggregator::{AggregatorConfig, AggregatorKind, GradVac, Gram, PcGrad, StepRng};
use rand::SeedableRng;
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(floats)
        .collect()
}

fn orders(value: &Value) -> Vec<Vec<usize>> {
    rows(value)
        .into_iter()
        .map(|row| row.into_iter().map(|index| index as usize).collect())
        .collect()
}

/// Compares `sum_k weights[k] gradients[k]` with what is expected, relative to the longest gradient.
fn check(what: &str, gradients: &[Vec<f64>], weights: &[f64], expected: &Value, tolerance: f64) {
    let scale = gradients
        .iter()
        .flatten()
        .fold(1e-12f64, |max, value| max.max(value.abs()));
    for (column, expected) in floats(expected).into_iter().enumerate() {
        let ours: f64 = gradients
            .iter()
            .zip(weights)
            .map(|(row, weight)| weight * row[column])
            .sum();
        let error = (ours - expected).abs() / scale.max(expected.abs());
        assert!(
            error < tolerance,
            "{what}, column {column}: {ours} is not {expected}"
        );
    }
}

#[test]
fn every_aggregator_on_every_case() {
    let golden: Value =
        serde_json::from_str(include_str!("../../golden/aggregators/aggregators.json"))
            .expect("JSON");
    let mut compared = 0;
    for case in golden["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("name");
        let gradients = rows(&case["J"]);
        let gram = Gram::from_rows(&rows(&case["G"]));
        for (method, values) in case["methods"].as_object().expect("methods") {
            let what = format!("{name}, {method}");
            compared += 1;
            match method.as_str() {
                "pcgrad" | "pcgrad-tseng" => {
                    for value in values.as_array().expect("a list") {
                        let weights = PcGrad::weights_in_order(&gram, &orders(&value["orders"]));
                        check(&what, &gradients, &weights, &value["merged"], 1e-9);
                    }
                }
                "gradvac" => {
                    let mut gradvac = GradVac::new(0.01);
                    for value in values.as_array().expect("a list") {
                        let weights = gradvac.weights_in_order(&gram, &orders(&value["orders"]));
                        check(&what, &gradients, &weights, &value["merged"], 1e-9);
                    }
                }
                _ => {
                    let kind: AggregatorKind =
                        serde_json::from_value(method.as_str().into()).expect("a known method");
                    let config = AggregatorConfig {
                        kind,
                        ..AggregatorConfig::default()
                    };
                    let mut rng = StepRng::seed_from_u64(0);
                    let weights = config.build().weights(&gram, &mut rng);
                    // The equation of the paper; `merged` belongs to a normalised form of it.
                    if method == "nash-mtl" {
                        for (ours, expected) in weights.iter().zip(floats(&values["weights_raw"])) {
                            assert!((ours - expected).abs() < 1e-5 * expected, "{what}");
                        }
                    } else {
                        check(&what, &gradients, &weights, &values["merged"], 1e-5);
                    }
                }
            }
        }
    }
    assert!(compared > 100, "{compared} comparisons");
}
