//! Kernel launches of a training step on a GPU: what a short step waits for. They are counted in the runtime's log, on any
//! device, a software one too (Mesa's lavapipe).
//!
//! `cargo test -p bertram-tests --features vulkan --test launches -- --nocapture` prints them kernel by kernel.

#![cfg(feature = "wgpu")]
#![allow(
    clippy::print_stderr,
    reason = "a test says what it counted, or why not"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bertram_core::data::TokenBatch;
use bertram_core::encoder::{BertConfig, Pooling};
use bertram_kernels::KernelKind;
use bertram_train::optim::{AdamW, AdamWConfig, global_norm, gradient_factor};
use burn::backend::wgpu::WgpuDevice;
use burn::backend::{Autodiff, Wgpu};
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use cubecl::config::profiling::ProfilingLogLevel;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

type B = Autodiff<Wgpu>;

/// Most launches of forward pass, backward pass, clipping and AdamW of an encoder with the twelve layers of BERT-base.
const MOST: usize = 1200;

/// Twelve narrow layers: the number of launches depends on the layers and on whether there are many rows.
fn config() -> BertConfig {
    BertConfig {
        vocab_size: 100,
        hidden_size: 64,
        num_hidden_layers: 12,
        num_attention_heads: 4,
        intermediate_size: 128,
        ..BertConfig::default()
    }
}

/// Batch and sequence.
const SHAPE: [usize; 2] = [1, 128];

fn device() -> Option<WgpuDevice> {
    [WgpuDevice::DefaultDevice, WgpuDevice::Cpu]
        .into_iter()
        .find(|device| {
            std::panic::catch_unwind(|| {
                let one = Tensor::<Wgpu, 1>::ones([1], device);
                one.into_data()
                    .to_vec::<f32>()
                    .is_ok_and(|one| one == [1.0])
            })
            .unwrap_or(false)
        })
}

/// The log's lines, once nothing more comes.
fn lines(log: &Path) -> Vec<String> {
    let mut before = usize::MAX;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if text.len() == before {
            return text.lines().map(str::to_owned).collect();
        }
        before = text.len();
    }
}

/// Launches of the second of two steps, by kernel.
fn launches(kernels: KernelKind, device: &WgpuDevice, log: &Path) -> BTreeMap<String, usize> {
    let mut model = config().init::<B>(device).with_kernels(kernels);
    let mut optimizer = AdamW::<B>::new(AdamWConfig::default());
    optimizer.set_kernels(kernels);
    let mut before = 0;
    for step in 0..2 {
        if step == 1 {
            before = lines(log).len();
        }
        let tokens = TokenBatch::<B> {
            input_ids: Tensor::<B, 1, Int>::arange(0..100, device)
                .repeat_dim(0, 2)
                .narrow(0, 0, 128)
                .reshape(SHAPE),
            token_type_ids: Tensor::zeros(SHAPE, device),
            attention_mask: Tensor::ones(SHAPE, device),
        };
        let hidden = model.forward(&tokens);
        let pooled = model.pool(hidden, &tokens.attention_mask, Pooling::Pooler);
        let gradients = GradientsParams::from_grads(pooled.square().mean().backward(), &model);
        let norm = global_norm::<B, _>(&model, &gradients, kernels).expect("there are gradients");
        let factor = gradient_factor(&norm, 1.0, None);
        model = optimizer.step(model, gradients, Some(&factor), |_| 1e-4);
        B::sync(device).expect("the device computes");
    }
    let mut counts = BTreeMap::new();
    for line in lines(log).into_iter().skip(before) {
        if let Some((_, name)) = line.split_once("Executing ") {
            let name = name.split(['<', ' ']).next().unwrap_or(name);
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn a_step_of_twelve_layers_takes_few_launches() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = folder.path().join("launches.log");
    let mut config = CubeClRuntimeConfig::default();
    config.profiling.logger.level = ProfilingLogLevel::Minimal;
    config.profiling.logger.file = Some(log.clone());
    CubeClRuntimeConfig::set(config);
    let Some(device) = device() else {
        eprintln!("skipped: no GPU adapter (Vulkan, Metal or DirectX) was found");
        return;
    };
    let [fused, composed] = [KernelKind::Fused, KernelKind::Composed].map(|kernels| {
        let counts = launches(kernels, &device, &log);
        let all: usize = counts.values().sum();
        eprintln!("{}: {all} launches", kernels.name());
        for (kernel, count) in counts {
            eprintln!("  {count:5}  {kernel}");
        }
        all
    });
    assert!(fused > 0, "the log says nothing");
    assert!(fused <= MOST, "{fused} launches, more than {MOST}");
    assert!(fused < composed);
}
