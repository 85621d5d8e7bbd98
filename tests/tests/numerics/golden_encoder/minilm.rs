//! Sentence vectors of a real checkpoint, alone and in a padded batch.

use std::path::{Path, PathBuf};

use bertram_core::data::TokenBatch;
use bertram_core::encoder::{Pooling, load_encoder};
use bertram_kernels::Kernels;
use burn::backend::{Flex, NdArray};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use serde_json::Value;

use super::{TOLERANCE, floats, golden, json, vec};

/// Rows of ids, padded on the right with 0; one segment.
fn single<B: Backend>(rows: &[Vec<i32>], device: &B::Device) -> TokenBatch<B> {
    let width = rows.iter().map(Vec::len).max().unwrap();
    let mut ids = Vec::new();
    let mut mask = Vec::new();
    for row in rows {
        for at in 0..width {
            ids.push(row.get(at).copied().unwrap_or(0));
            mask.push(if at < row.len() { 1.0f32 } else { 0.0 });
        }
    }
    let shape = [rows.len(), width];
    TokenBatch {
        input_ids: Tensor::from_data(TensorData::new(ids, shape), device),
        token_type_ids: Tensor::zeros(shape, device),
        attention_mask: Tensor::from_data(TensorData::new(mask, shape), device),
    }
}

/// The folder of a shared checkpoint, unless it is absent, which is said.
fn shared_model(name: &str) -> Option<PathBuf> {
    let models = std::env::var_os("BERTRAM_MODELS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models"),
        PathBuf::from,
    );
    let dir = models.join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("skipped: no {} (set BERTRAM_MODELS)", dir.display());
    None
}

fn minilm<B: Kernels>(device: &B::Device) {
    let Some(dir) = shared_model("all-MiniLM-L6-v2") else {
        return;
    };
    let (_, model, _) = load_encoder::<B>(&dir, device).unwrap();
    let expected = json(&golden("minilm.json"));
    let cases = expected["cases"].as_array().unwrap();
    let ids: Vec<Vec<i32>> = cases
        .iter()
        .map(|case| {
            floats(&case["input_ids"])
                .iter()
                .map(|id| *id as i32)
                .collect()
        })
        .collect();
    let compare = |rows: &[Vec<i32>], cases: &[Value], how: &str| {
        let tokens = single::<B>(rows, device);
        let hidden = model.forward(&tokens);
        for (key, pooling) in [
            ("cls", Pooling::Cls),
            ("mean", Pooling::Mean),
            ("pooler", Pooling::Pooler),
        ] {
            let pooled = vec(model.pool(hidden.clone(), &tokens.attention_mask, pooling));
            for (got, case) in pooled.chunks(384).zip(cases) {
                let what = format!("{} {how}, {key}", case["name"]);
                let want = floats(&case[key]);
                // Absolute, whatever the size of the value.
                for (at, (a, b)) in got.iter().zip(&want).enumerate() {
                    assert!((a - b).abs() <= TOLERANCE, "{what}[{at}]: {a} is not {b}");
                }
            }
        }
    };
    for (row, case) in ids.iter().zip(cases) {
        compare(
            std::slice::from_ref(row),
            std::slice::from_ref(case),
            "alone",
        );
    }
    compare(&ids, cases, "in a padded batch");
}

#[test]
fn minilm_matches_on_ndarray() {
    minilm::<NdArray>(&Default::default());
}

#[test]
fn minilm_matches_on_flex() {
    minilm::<Flex>(&Default::default());
}

#[cfg(feature = "libtorch")]
#[test]
fn minilm_matches_on_libtorch() {
    minilm::<burn::backend::LibTorch>(&Default::default());
}
