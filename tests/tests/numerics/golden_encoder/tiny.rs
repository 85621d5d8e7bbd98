//! The tiny random BERT: hidden states and gradients.

use std::collections::BTreeMap;

use bertram_core::data::TokenBatch;
use bertram_core::encoder::{Bert, Pooling, load_encoder};
use bertram_kernels::{Kernels, TrainBackend};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::Param;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

use super::{TOLERANCE, assert_close, floats, golden, json, vec};

/// The tiny reference's inputs and expected values.
pub struct Tiny {
    expected: Value,
    shape: [usize; 3],
    mask: Vec<f32>,
}

impl Tiny {
    pub fn new() -> Self {
        let expected = json(&golden("tiny/expected.json"));
        let mask: Vec<f32> = rows(&expected["attention_mask"]);
        let batch = expected["attention_mask"].as_array().unwrap().len();
        Self {
            shape: [batch, mask.len() / batch, 32],
            mask,
            expected,
        }
    }

    pub fn tokens<B: Backend>(&self, device: &B::Device) -> TokenBatch<B> {
        let [batch, sequence, _] = self.shape;
        let ints = |key: &str| {
            let values: Vec<i32> = rows(&self.expected[key])
                .iter()
                .map(|id| *id as i32)
                .collect();
            Tensor::from_data(TensorData::new(values, [batch, sequence]), device)
        };
        let mask = TensorData::new(self.mask.clone(), [batch, sequence]);
        TokenBatch {
            input_ids: ints("input_ids"),
            token_type_ids: ints("token_type_ids"),
            attention_mask: Tensor::from_data(mask, device),
        }
    }

    /// Compares a model's results; hidden states at padding are nobody's business.
    pub fn check<B: Kernels>(&self, model: &Bert<B>, device: &B::Device, tolerance: f32) {
        let tokens = self.tokens::<B>(device);
        let hidden = model.forward(&tokens);
        assert_eq!(hidden.dims(), self.shape);
        let pooled = model.pool(hidden.clone(), &tokens.attention_mask, Pooling::Pooler);
        let keep = |values: Vec<f32>| -> Vec<f32> {
            let states = values.chunks(self.shape[2]).zip(&self.mask);
            states
                .filter(|(_, mask)| **mask == 1.0)
                .flat_map(|(state, _)| state.to_vec())
                .collect()
        };
        let want = keep(floats(&self.expected["hidden"]));
        assert_close("hidden", &keep(vec(hidden)), &want, tolerance);
        let want = floats(&self.expected["pooler"]);
        assert_close("pooler", &vec(pooled), &want, tolerance);
    }
}

/// A matrix in JSON, flattened.
fn rows(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().flat_map(floats).collect()
}

fn tiny_values<B: Kernels>(device: &B::Device, tolerance: f32) {
    let (_, model, imported) = load_encoder::<B>(&golden("tiny"), device).unwrap();
    assert!(!imported.missing_pooler && imported.ignored.is_empty());
    Tiny::new().check(&model, device, tolerance);
}

#[test]
fn tiny_model_matches() {
    tiny_values::<NdArray>(&Default::default(), TOLERANCE);
    tiny_values::<Flex>(&Default::default(), TOLERANCE);
}

/// Compares gradients; `tolerance` is relative to the largest value of each gradient.
fn tiny_gradients<B: TrainBackend>(device: &B::Device, tolerance: f32) {
    let tiny = Tiny::new();
    let (_, model, _) = load_encoder::<B>(&golden("tiny"), device).unwrap();
    let model = model.with_dropout(0.0, 0.0);
    let tokens = tiny.tokens::<B>(device);
    let hidden = model.forward(&tokens);
    let pooled = model.pool(hidden.clone(), &tokens.attention_mask, Pooling::Pooler);

    let [batch, sequence, width] = tiny.shape;
    let ramp: Vec<f32> = (0..batch * sequence * width)
        .map(|at| (at as f32).sin())
        .collect();
    let ramp = Tensor::<B, 3>::from_data(TensorData::new(ramp, tiny.shape), device);
    let weighted = hidden * ramp * tokens.attention_mask.clone().unsqueeze_dim::<3>(2);
    let loss = weighted.clone().mul(weighted).sum() + pooled.clone().mul(pooled).sum();
    let want = tiny.expected["loss"].as_f64().unwrap() as f32;
    assert_close(
        "loss",
        &vec(loss.clone()),
        &[want],
        tolerance.max(TOLERANCE),
    );
    let grads = loss.backward();

    fn matrix<B: AutodiffBackend>(param: &Param<Tensor<B, 2>>, grads: &B::Gradients) -> Vec<f32> {
        vec(param.val().grad(grads).unwrap())
    }
    // Linear weights lie transposed in the file.
    fn turned<B: AutodiffBackend>(param: &Param<Tensor<B, 2>>, grads: &B::Gradients) -> Vec<f32> {
        vec(param.val().grad(grads).unwrap().transpose())
    }
    fn vector<B: AutodiffBackend>(param: &Param<Tensor<B, 1>>, grads: &B::Gradients) -> Vec<f32> {
        vec(param.val().grad(grads).unwrap())
    }
    let (first, last) = (&model.layers[0], &model.layers[1]);
    let embeddings = &model.embeddings;
    let query_bias = first.attention.query.bias.as_ref().unwrap();
    let shift = first.attention_norm.beta.as_ref().unwrap();
    let layer = |number: usize, name: &str| format!("encoder.layer.{number}.{name}");
    let got: BTreeMap<String, Vec<f32>> = BTreeMap::from([
        (
            "embeddings.word_embeddings.weight".into(),
            matrix(&embeddings.word.weight, &grads),
        ),
        (
            "embeddings.position_embeddings.weight".into(),
            matrix(&embeddings.position.weight, &grads),
        ),
        (
            "embeddings.token_type_embeddings.weight".into(),
            matrix(&embeddings.token_type.weight, &grads),
        ),
        (
            "embeddings.LayerNorm.weight".into(),
            vector(&embeddings.norm.gamma, &grads),
        ),
        (
            layer(0, "attention.self.query.weight"),
            turned(&first.attention.query.weight, &grads),
        ),
        (
            layer(0, "attention.self.query.bias"),
            vector(query_bias, &grads),
        ),
        (
            layer(0, "attention.self.value.weight"),
            turned(&first.attention.value.weight, &grads),
        ),
        (
            layer(1, "attention.self.key.weight"),
            turned(&last.attention.key.weight, &grads),
        ),
        (
            layer(0, "attention.output.LayerNorm.bias"),
            vector(shift, &grads),
        ),
        (
            layer(0, "intermediate.dense.weight"),
            turned(&first.intermediate.weight, &grads),
        ),
        (
            layer(1, "output.dense.weight"),
            turned(&last.output.weight, &grads),
        ),
        (
            layer(1, "output.LayerNorm.weight"),
            vector(&last.output_norm.gamma, &grads),
        ),
        (
            "pooler.dense.weight".into(),
            turned(&model.pooler.dense.weight, &grads),
        ),
    ]);
    let wanted = tiny.expected["gradients"].as_object().unwrap();
    assert_eq!(wanted.len(), got.len());
    for (name, want) in wanted {
        let want = floats(&want["values"]);
        let largest = want.iter().fold(0.0f32, |top, value| top.max(value.abs()));
        let scaled = |values: &[f32]| -> Vec<f32> { values.iter().map(|v| v / largest).collect() };
        assert_close(name, &scaled(&got[name]), &scaled(&want), tolerance);
    }
}

#[test]
fn tiny_gradients_match() {
    tiny_gradients::<Autodiff<Flex>>(&Default::default(), 1e-5);
    // burn-ndarray 0.21 takes the processor's approximate reciprocal (12 to 14 bits) where a quotient is
    // differentiated, as in LayerNorm and softmax.
    tiny_gradients::<Autodiff<NdArray>>(&Default::default(), 1e-3);
}

#[cfg(feature = "libtorch")]
#[test]
fn tiny_model_matches_on_libtorch() {
    use burn::backend::LibTorch;
    tiny_values::<LibTorch>(&Default::default(), TOLERANCE);
    tiny_gradients::<Autodiff<LibTorch>>(&Default::default(), 1e-5);
}

/// `cargo test -p bertram-tests --features wgpu`; runs on a software Vulkan driver (Mesa's lavapipe), too.
#[cfg(feature = "wgpu")]
#[test]
fn tiny_model_matches_on_wgpu() {
    use burn::backend::{Wgpu, wgpu::WgpuDevice};
    // A software adapter counts as a CPU, which the default device does not pick everywhere.
    let found = [WgpuDevice::DefaultDevice, WgpuDevice::Cpu]
        .into_iter()
        .find(|device| {
            std::panic::catch_unwind(|| {
                let one = Tensor::<Wgpu, 1>::ones([1], device);
                vec(one) == [1.0]
            })
            .unwrap_or(false)
        });
    match found {
        Some(device) => {
            tiny_values::<Wgpu>(&device, TOLERANCE);
            tiny_gradients::<Autodiff<Wgpu>>(&device, TOLERANCE);
        }
        None => eprintln!("skipped: no GPU adapter (Vulkan, Metal or DirectX) was found"),
    }
}

/// In f32: TF32 has ten bits of mantissa. No other test of this program may use the device before.
#[cfg(feature = "cuda")]
#[test]
fn tiny_model_matches_on_cuda() {
    use burn::backend::Cuda;
    let device = Default::default();
    bertram_kernels::forbid_tf32(&device);
    tiny_values::<Cuda>(&device, TOLERANCE);
    tiny_gradients::<Autodiff<Cuda>>(&device, TOLERANCE);
}
