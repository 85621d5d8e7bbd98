//! Kernels one by one, fused and composed.

use std::time::Duration;

use bertram_core::encoder::BertConfig;
use bertram_kernels::{AdamWStep, AttentionOptions, KernelKind, Norm, TrainBackend};
use burn::tensor::{Distribution, Int, Tensor};
use serde::Serialize;

use super::{BatchShape, median, time_each};

/// What one kernel takes.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// Name of the operation.
    pub kernel: &'static str,
    /// Median seconds of a forward and a backward pass (of a step, where there is no graph) in its fused form.
    pub fused: f64,
    /// The same, composed of Burn's operations.
    pub composed: f64,
}

/// Rounds in which the two forms take turns.
const ROUNDS: u32 = 4;

/// The two forms of an operation, each for `time`.
fn times(
    kernel: &'static str,
    time: Duration,
    mut run: impl FnMut(KernelKind),
    sync: impl Fn(),
) -> KernelTime {
    let kinds = [KernelKind::Fused, KernelKind::Composed];
    let mut seconds = [Vec::new(), Vec::new()];
    for kind in kinds {
        run(kind);
        sync();
    }
    for _ in 0..ROUNDS {
        for (kind, seconds) in kinds.into_iter().zip(&mut seconds) {
            time_each(time / ROUNDS, seconds, || {
                run(kind);
                sync();
            });
        }
    }
    let [fused, composed] = seconds.map(|seconds| median(&seconds));
    KernelTime {
        kernel,
        fused,
        composed,
    }
}

/// Every kernel at the sizes of an encoder's layer, `time` for each form of each.
pub fn kernel_times<B: TrainBackend>(
    config: &BertConfig,
    shape: BatchShape,
    time: Duration,
    device: &B::Device,
) -> Vec<KernelTime> {
    let (rows, hidden) = (shape.examples * shape.seq_len, config.hidden_size);
    let wide = config.intermediate_size;
    let prob = config.hidden_dropout_prob;
    let matrix = |rows: usize, columns: usize| {
        let normal = Distribution::Normal(0.0, 1.0);
        Tensor::<B, 2>::random([rows, columns], normal, device).require_grad()
    };
    let vector = |width: usize| Tensor::<B, 1>::ones([width], device).require_grad();
    let sync = || {
        let _ = B::sync(device);
    };
    // The gradient of a sum is a constant; what it is does not matter for time.
    let both_ways = |output: Tensor<B, 2>| drop(output.sum().backward());
    let (input, residual, expanded) = (
        matrix(rows, hidden),
        matrix(rows, hidden),
        matrix(rows, wide),
    );
    let mut all = Vec::new();

    let (weight, bias) = (matrix(hidden, hidden), vector(hidden));
    let linear = |kernels: KernelKind| {
        both_ways(kernels.linear_layer(input.clone(), weight.clone(), bias.clone()));
    };
    all.push(times("linear layer", time, linear, sync));

    let (key, value) = (matrix(rows, hidden), matrix(rows, hidden));
    let no_padding = Tensor::<B, 4>::zeros([shape.examples, 1, 1, shape.seq_len], device);
    let options = AttentionOptions {
        heads: config.num_attention_heads,
        dropout: config.attention_probs_dropout_prob,
    };
    let attention = |kernels: KernelKind| {
        let (query, key, value) = (input.clone(), key.clone(), value.clone());
        both_ways(kernels.self_attention(query, key, value, no_padding.clone(), options));
    };
    all.push(times("attention", time, attention, sync));

    let wide_bias = vector(wide);
    let gelu = |kernels: KernelKind| {
        both_ways(kernels.bias_gelu(expanded.clone(), wide_bias.clone()));
    };
    all.push(times("bias + GELU", time, gelu, sync));

    let norm = || Norm {
        gamma: vector(hidden),
        beta: vector(hidden),
        eps: config.layer_norm_eps,
    };
    let add_and_norm = |kernels: KernelKind| {
        let (input, residual) = (input.clone(), residual.clone());
        both_ways(kernels.residual_layer_norm(input, bias.clone(), residual, norm(), prob));
    };
    all.push(times(
        "bias + dropout + residual + LayerNorm",
        time,
        add_and_norm,
        sync,
    ));

    let norm_dropout = |kernels: KernelKind| {
        both_ways(kernels.layer_norm_dropout(input.clone(), norm(), prob));
    };
    all.push(times("LayerNorm + dropout", time, norm_dropout, sync));

    let table = matrix(config.vocab_size, hidden);
    let ids = Distribution::Uniform(0.0, config.vocab_size as f64);
    let ids: Tensor<B, 1, Int> = Tensor::<B, 1>::random([rows], ids, device).int();
    let embedding = |kernels: KernelKind| {
        both_ways(kernels.embedding_rows(table.clone(), ids.clone()));
    };
    all.push(times("embedding", time, embedding, sync));

    let gradients = [(); 3].map(|()| matrix(config.vocab_size, hidden).inner());
    let inner_products = |kernels: KernelKind| drop(kernels.inner_products(&gradients));
    all.push(times(
        "inner products of three gradients",
        time,
        inner_products,
        sync,
    ));

    let mut sum = Some(matrix(config.vocab_size, hidden).inner());
    let weighted_sum = |kernels: KernelKind| {
        let terms = sum.take().into_iter().chain(gradients[..2].iter().cloned());
        sum = kernels.weighted_sum(terms.zip([0.5, 0.25, 0.25]).collect());
    };
    all.push(times(
        "weighted sum of three gradients",
        time,
        weighted_sum,
        sync,
    ));

    let step = AdamWStep {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        rate: 1e-5,
        shrink: 1.0,
    };
    let mut state = Some((matrix(config.vocab_size, hidden).inner(), None));
    let adamw = |kernels: KernelKind| {
        if let Some((parameter, moments)) = state.take() {
            let (parameter, moments) =
                kernels.adamw(parameter, gradients[0].clone(), None, moments, &step);
            state = Some((parameter, Some(moments)));
        }
    };
    all.push(times("AdamW", time, adamw, sync));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::tiny;
    use burn::backend::{Autodiff, Flex};

    #[test]
    fn times_every_kernel() {
        let (config, shape) = tiny();
        let times =
            kernel_times::<Autodiff<Flex>>(&config, shape, Duration::ZERO, &Default::default());
        assert_eq!(times.len(), 9);
        assert!(times.iter().all(|it| it.fused > 0.0 && it.composed > 0.0));
    }
}
