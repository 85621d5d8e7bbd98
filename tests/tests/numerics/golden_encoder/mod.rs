//! The encoder against `transformers.BertModel`: values, gradients, and every way a checkpoint can be stored.
//!
//! `tests/golden/encoder/export.py` makes the references: a tiny random BERT that is part of the repository, and
//! sentence vectors of all-MiniLM-L6-v2, which is looked for in `BERTRAM_MODELS` (fallback `../shared/models`).

#![allow(clippy::print_stderr, reason = "a test says why it skipped")]

mod checkpoints;
mod minilm;
mod tiny;

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, backend::Backend};
use serde_json::Value;

/// Largest difference allowed, absolute for values below 1 and relative above.
const TOLERANCE: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/encoder")
        .join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    value.as_array().unwrap().iter().map(number).collect()
}

fn vec<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().to_vec().unwrap()
}

fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: another size");
    for (at, (a, b)) in got.iter().zip(want).enumerate() {
        let limit = tolerance * b.abs().max(1.0);
        assert!((a - b).abs() <= limit, "{what}[{at}]: {a} is not {b}");
    }
}
