//! Poolings, the attention pooler and the mix of layers against sentence-transformers and PyTorch (`golden/pooling/export.py`),
//! vectors and gradients, on rows of tokens (flex) and on padded sequences (ndarray).

use std::path::Path;

use bertram_core::data::TokenBatch;
use bertram_core::encoder::{AttentionPooler, LayerMix, Pooling, Readout, load_encoder};
use bertram_kernels::TrainBackend;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f32> {
    let list = value.as_array().expect("a list");
    let numbers = list.iter().map(|number| Some(number.as_f64()? as f32));
    numbers.collect::<Option<_>>().expect("numbers")
}

/// Within a share of the largest number.
fn close<B: TrainBackend, const D: usize>(
    what: &str,
    got: Tensor<B::InnerBackend, D>,
    want: &Value,
    tolerance: f32,
) {
    let got: Vec<f32> = got.into_data().iter::<f32>().collect();
    let want = floats(want);
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(1.0f32, |most, it| most.max(it.abs()));
    for (at, (a, b)) in got.iter().zip(&want).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * largest,
            "{what}[{at}]: {a} is not {b}"
        );
    }
}

fn matches<B: TrainBackend>(tolerance: f32) {
    let device = B::Device::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let text = std::fs::read(folder.join("pooling/pooling.json")).expect("a file");
    let golden: Value = serde_json::from_slice(&text).expect("JSON");
    let rows: Vec<Vec<f32>> = (golden["rows"].as_array().expect("rows").iter())
        .map(floats)
        .collect();
    let width = rows.iter().map(Vec::len).max().expect("rows");
    let shape = [rows.len(), width];
    let grid = |of: &dyn Fn(&Vec<f32>, usize) -> f32| {
        let values: Vec<f32> = (rows.iter())
            .flat_map(|row| (0..width).map(move |at| of(row, at)))
            .collect();
        Tensor::<B, 2>::from_data(TensorData::new(values, shape), &device)
    };
    let tokens = TokenBatch {
        input_ids: grid(&|row, at| row.get(at).copied().unwrap_or(0.0)).int(),
        token_type_ids: Tensor::zeros(shape, &device),
        attention_mask: grid(&|row, at| f32::from(u8::from(at < row.len()))),
    };
    let vector = |key: &str| {
        let values = floats(&golden[key]);
        let count = values.len();
        Param::from_tensor(Tensor::<B, 1>::from_data(
            TensorData::new(values, [count]),
            &device,
        ))
    };
    for case in golden["cases"].as_array().expect("cases") {
        let (_, encoder, _) =
            load_encoder::<B>(&folder.join("encoder/tiny"), &device).expect("a model");
        let encoder = encoder.with_dropout(0.0, 0.0);
        let pooling: Pooling = serde_json::from_value(case["pooling"].clone()).expect("a pooling");
        let attention = AttentionPooler {
            query: vector("query"),
        };
        let mix = LayerMix {
            weights: vector("weights"),
            scale: vector("scale"),
        };
        let readout = Readout {
            pooling,
            attention: Some(&attention),
            layer_mix: (case["layer_mix"] == true).then_some(&mix),
        };
        let embedded = encoder.embed(&tokens);
        let vectors = encoder.encode_pooled(embedded, &tokens.attention_mask, readout);
        let what = format!("{pooling}, layer mix {}", case["layer_mix"]);
        let dims = vectors.dims();
        assert_eq!(dims, [rows.len(), pooling.width(32)], "{what}");
        close::<B, 2>(&what, vectors.clone().inner(), &case["vectors"], tolerance);
        let ramp: Vec<f32> = (0..dims[0] * dims[1])
            .map(|at| (at as f64).sin() as f32)
            .collect();
        let ramp = Tensor::from_data(TensorData::new(ramp, dims), &device);
        let loss = (vectors * ramp).powi_scalar(2).sum();
        let gradients = loss.backward();
        let bias = encoder.layers[0].output.bias.as_ref().expect("a bias");
        let all = [
            ("embeddings.norm", &encoder.embeddings.norm.gamma),
            ("layers.0.output", bias),
            ("layers.1.output_norm", &encoder.layers[1].output_norm.gamma),
            ("query", &attention.query),
            ("weights", &mix.weights),
            ("scale", &mix.scale),
        ];
        for (name, parameter) in all {
            let gradient = parameter.val().grad(&gradients);
            let expected = case["gradients"].get(name);
            assert_eq!(gradient.is_some(), expected.is_some(), "{what}: {name}");
            if let (Some(gradient), Some(expected)) = (gradient, expected) {
                close::<B, 1>(&format!("{what}: {name}"), gradient, expected, tolerance);
            }
        }
    }
}

#[test]
fn poolings_match_on_flex() {
    matches::<Autodiff<Flex>>(2e-5);
}

/// As of the encoder: burn-ndarray differentiates quotients by the processor's approximate reciprocal.
#[test]
fn poolings_match_on_ndarray() {
    matches::<Autodiff<NdArray>>(1e-3);
}

#[cfg(feature = "libtorch")]
#[test]
fn poolings_match_on_libtorch() {
    matches::<Autodiff<burn::backend::LibTorch>>(2e-5);
}
