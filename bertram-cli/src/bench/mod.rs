//! Measurements of speed, on random weights and random tokens.

mod evaluation;
mod kernels;
mod method;

use std::time::{Duration, Instant};

use bertram_core::encoder::{Bert, BertConfig, Pooling};
use bertram_kernels::{KernelKind, Kernels, Precision};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use serde::Serialize;

pub use evaluation::EvaluationBench;
pub use kernels::{KernelTime, kernel_times};
pub use method::{Method, MethodBench};

/// How the encoder computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compute {
    /// With which kernels.
    pub kernels: KernelKind,
    /// With which numbers.
    pub precision: Precision,
    /// What is read of the hidden states.
    pub pooling: Pooling,
}

impl Compute {
    /// A random encoder that does.
    fn encoder<B: Backend>(self, config: &BertConfig, device: &B::Device) -> Bert<B> {
        config
            .init::<B>(device)
            .with_kernels(self.kernels)
            .with_precision(self.precision)
    }
}

/// Size of the batches.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BatchShape {
    /// Examples of each task. A pair is two sequences.
    pub examples: usize,
    /// Tokens of each sequence, all of them real.
    pub seq_len: usize,
}

/// Repeats a step for a while, at least once, and adds the seconds of each repetition.
fn time_each(time: Duration, seconds: &mut Vec<f64>, mut step: impl FnMut()) {
    let begun = Instant::now();
    loop {
        let one = Instant::now();
        step();
        seconds.push(one.elapsed().as_secs_f64());
        if begun.elapsed() >= time {
            break;
        }
    }
}

/// The middle of some numbers; NaN of none.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// Floating-point operations of the matrix products in an encoder's forward pass over one token of a sequence of
/// `seq_len`. A training step makes three times as many: each product has two in the backward pass.
pub fn forward_flops_per_token(config: &BertConfig, seq_len: usize) -> f64 {
    let (hidden, wide) = (config.hidden_size as f64, config.intermediate_size as f64);
    let projections = 4.0 * hidden * hidden + 2.0 * hidden * wide;
    let attention = 2.0 * seq_len as f64 * hidden;
    2.0 * config.num_hidden_layers as f64 * (projections + attention)
}

/// The most floating-point operations a second that the backend's product of two large matrices of a precision makes, as the
/// encoder's layers compute it.
pub fn matmul_peak<B: Kernels>(precision: Precision, device: &B::Device) -> f64 {
    const SIZE: usize = 1536;
    // Several at once: a GPU is not to wait for its host between them.
    const AT_ONCE: usize = 8;
    let random = || Tensor::<B, 2>::random([SIZE, SIZE], Distribution::Default, device);
    let left = match precision.half() {
        Some(half) => random().cast(half),
        None => random(),
    };
    let right = random();
    let begun = Instant::now();
    let mut fastest = f64::INFINITY;
    let mut bursts = 0;
    // The first few compile kernels.
    while bursts < 3 || begun.elapsed() < Duration::from_secs(1) {
        let burst = Instant::now();
        for _ in 0..AT_ONCE {
            drop(B::product(left.clone(), right.clone()));
        }
        let _ = B::sync(device);
        fastest = fastest.min(burst.elapsed().as_secs_f64());
        bursts += 1;
    }
    2.0 * (SIZE as f64).powi(3) * AT_ONCE as f64 / fastest
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A shape for tests that a step takes no time with.
    pub(crate) fn tiny() -> (BertConfig, BatchShape) {
        let config = BertConfig {
            vocab_size: 50,
            hidden_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 32,
            ..BertConfig::default()
        };
        let shape = BatchShape {
            examples: 2,
            seq_len: 4,
        };
        (config, shape)
    }

    #[test]
    fn median_by_hand() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn flops_of_bert_base_by_hand() {
        // 85,054,464 parameters lie in the matrices of bert-base's layers, less biases and LayerNorms: 84,934,656.
        let without_attention = forward_flops_per_token(&BertConfig::default(), 0);
        assert_eq!(without_attention, 2.0 * 84_934_656.0);
        let attention = forward_flops_per_token(&BertConfig::default(), 128) - without_attention;
        assert_eq!(attention, 2.0 * 12.0 * 2.0 * 128.0 * 768.0);
    }
}
