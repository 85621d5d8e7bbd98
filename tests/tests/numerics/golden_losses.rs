//! Losses and their gradients against PyTorch and sentence-transformers (`golden/losses/export.py` and
//! `export_weights.py`), as a task's head computes them from its settings.

use std::sync::Arc;

use bertram_core::encoder::Pooling;
use bertram_core::head::{HeadConfig, HeadKind, Threshold};
use bertram_core::loss::{LossKind, LossOptions};
use bertram_core::task::{Inputs, LabelKind, Metric, TaskConfig, TaskHead, TaskId, TaskSpec};
use burn::backend::{Autodiff, NdArray};
use burn::tensor::{DType, Tensor, TensorData};
use serde_json::Value;

type B = Autodiff<NdArray<f64, i64>>;

fn floats(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    let numbers = list.iter().map(|number| number.as_f64());
    numbers.collect::<Option<_>>().expect("numbers")
}

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<B, D> {
    let data = TensorData::new(values, shape);
    Tensor::from_data(data, (&super::ndarray_for_f64(), DType::F64))
}

fn config(case: &Value, classes: usize) -> TaskConfig {
    let loss: LossKind = serde_json::from_value(case["loss"].clone()).expect("a loss");
    let label = match case["label"].as_str().expect("a label") {
        "classes" => LabelKind::Classes { classes },
        "multi-label" => LabelKind::MultiLabel { classes },
        "binary" => LabelKind::Binary,
        _ => LabelKind::Score { min: 0.0, max: 5.0 },
    };
    let options = &case["options"];
    let default = LossOptions::default();
    let number = |name: &str, default: f64| options[name].as_f64().unwrap_or(default);
    TaskConfig {
        task: TaskId::SST,
        spec: Arc::new(TaskSpec {
            title: String::new(),
            inputs: Inputs::Pair,
            label,
            labels: Vec::new(),
            metric: Metric::of(label)[0],
            preset: None,
        }),
        head: HeadKind::Cosine,
        loss,
        pooling: Pooling::Mean,
        layer_mix: false,
        head_dropout: 0.0,
        threshold: Threshold::Calibrated,
        margin: 0.0,
        loss_options: LossOptions {
            label_smoothing: number("label-smoothing", default.label_smoothing),
            class_weights: (options.get("class-weights")).map_or(Vec::new(), floats),
            focal_gamma: number("focal-gamma", default.focal_gamma),
            scale: number("scale", default.scale),
            dropout_samples: default.dropout_samples,
        },
    }
}

#[test]
fn every_loss_and_option() {
    let cases = check(include_str!("../../golden/losses/losses.json"));
    assert_eq!(cases, 38);
}

/// Of `golden/losses/export_weights.py`: examples have weights.
#[test]
fn every_loss_of_weighted_rows() {
    let cases = check(include_str!("../../golden/losses/weights.json"));
    assert_eq!(cases, 16);
}

/// Gives the number of cases.
fn check(text: &str) -> usize {
    let golden: Value = serde_json::from_str(text).expect("JSON");
    let cases = golden["cases"].as_array().expect("cases");
    for case in cases {
        let what = format!("{} of {}, {}", case["loss"], case["label"], case["options"]);
        let shape = floats(&case["shape"]);
        let rows = shape[0] as usize;
        let columns = shape.get(1).map_or(1, |columns| *columns as usize);
        let config = config(case, columns);
        let device = super::ndarray_for_f64();
        let inputs: Vec<Tensor<B, 2>> = (case["inputs"].as_array().expect("inputs").iter())
            .map(|input| tensor(floats(input), [rows, columns]).require_grad())
            .collect();
        // Logits, or the vectors of pairs, of which a head makes them.
        let logits = match &inputs[..] {
            [logits] => logits.clone(),
            vectors => HeadConfig {
                kind: HeadKind::Cosine,
                hidden_size: columns,
                outputs: 1,
                dropout: 0.0,
                affine: config.affine(),
                complex: config.loss == LossKind::Angle,
                initializer_range: 0.1,
            }
            .init::<B>(&device)
            .forward(Tensor::cat(vectors.to_vec(), 0)),
        };
        let labels = floats(&case["labels"]);
        let count = labels.len();
        let head = TaskHead::<B>::new(config, columns, 0.1, &device);
        let weights = case.get("weights").map(|it| tensor(floats(it), [rows]));
        let loss = head.weighted_loss(logits, tensor(labels, [count]), weights);
        let gradients = loss.backward();
        let value: f64 = loss.into_scalar();
        let expected = case["value"].as_f64().expect("a number");
        assert!(
            (value - expected).abs() < 1e-9,
            "{what}: {value} is not {expected}"
        );
        let all = case["gradients"].as_array().expect("gradients");
        for (input, expected) in inputs.iter().zip(all) {
            let gradient = input.grad(&gradients).expect("a gradient").into_data();
            for (ours, expected) in gradient.iter::<f64>().zip(floats(expected)) {
                assert!(
                    (ours - expected).abs() < 1e-9,
                    "{what}: gradient {ours} is not {expected}"
                );
            }
        }
    }
    cases.len()
}
