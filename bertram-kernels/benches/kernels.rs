//! Each kernel on flex, fused and composed, there and back, at the sizes of a MiniLM layer.
//!
//! `cargo bench -p bertram-kernels`; one of them: `cargo bench -p bertram-kernels -- attention`.

use std::hint::black_box;

use bertram_kernels::{AdamWStep, AttentionOptions, KernelKind, Norm};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, Int, Tensor};
use criterion::Criterion;

type B = Autodiff<Flex>;

const BATCH: usize = 8;
const HIDDEN: usize = 384;
const WIDE: usize = 1536;
const HEADS: usize = 12;
const VOCABULARY: usize = 30_522;

fn matrix(rows: usize, columns: usize) -> Tensor<B, 2> {
    let normal = Distribution::Normal(0.0, 1.0);
    Tensor::random([rows, columns], normal, &Default::default()).require_grad()
}

fn vector(width: usize) -> Tensor<B, 1> {
    Tensor::ones([width], &Default::default()).require_grad()
}

fn norm() -> Norm<B> {
    Norm {
        gamma: vector(HIDDEN),
        beta: vector(HIDDEN),
        eps: 1e-12,
    }
}

/// An operation in both forms.
fn both_forms(
    criterion: &mut Criterion,
    name: &str,
    sequence: usize,
    operation: impl Fn(KernelKind) -> Tensor<B, 2>,
) {
    for kernels in [KernelKind::Fused, KernelKind::Composed] {
        let name = format!("{name}/{}/{sequence}", kernels.name());
        criterion.bench_function(&name, |bench| {
            bench.iter(|| black_box(operation(kernels).sum().backward()));
        });
    }
}

fn encoder(criterion: &mut Criterion, sequence: usize) {
    let rows = BATCH * sequence;
    let (hidden, expanded) = (matrix(rows, HIDDEN), matrix(rows, WIDE));
    let (weight, bias, wide_bias) = (matrix(HIDDEN, HIDDEN), vector(HIDDEN), vector(WIDE));
    both_forms(criterion, "linear layer", sequence, |kernels| {
        kernels.linear_layer(hidden.clone(), weight.clone(), bias.clone())
    });
    let no_padding = Tensor::zeros([BATCH, 1, 1, sequence], &Default::default());
    let options = AttentionOptions {
        heads: HEADS,
        dropout: 0.1,
    };
    both_forms(criterion, "attention", sequence, |kernels| {
        let [query, key, value] = [(); 3].map(|()| hidden.clone());
        kernels.self_attention(query, key, value, no_padding.clone(), options)
    });
    both_forms(criterion, "bias and GELU", sequence, |kernels| {
        kernels.bias_gelu(expanded.clone(), wide_bias.clone())
    });
    both_forms(criterion, "residual and LayerNorm", sequence, |kernels| {
        kernels.residual_layer_norm(hidden.clone(), bias.clone(), hidden.clone(), norm(), 0.1)
    });
    let table = matrix(VOCABULARY, HIDDEN);
    let ids = Tensor::<B, 1, Int>::arange(0..rows as i64, &Default::default());
    both_forms(criterion, "embedding", sequence, |kernels| {
        kernels.embedding_rows(table.clone(), ids.clone())
    });
}

fn optimiser(criterion: &mut Criterion) {
    let gradients = [(); 3].map(|()| matrix(VOCABULARY, HIDDEN).inner());
    let step = AdamWStep {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        rate: 1e-5,
        shrink: 1.0,
    };
    for kernels in [KernelKind::Fused, KernelKind::Composed] {
        criterion.bench_function(&format!("AdamW/{}", kernels.name()), |bench| {
            let mut state = Some((matrix(VOCABULARY, HIDDEN).inner(), None));
            bench.iter(|| {
                if let Some((parameter, moments)) = state.take() {
                    let gradient = gradients[0].clone();
                    let (parameter, moments) =
                        kernels.adamw(parameter, gradient, None, moments, &step);
                    state = Some((parameter, Some(moments)));
                }
            });
        });
        criterion.bench_function(&format!("inner products/{}", kernels.name()), |bench| {
            bench.iter(|| black_box(kernels.inner_products(&gradients)));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    for sequence in [32, 128] {
        encoder(&mut criterion, sequence);
    }
    optimiser(&mut criterion);
    criterion.final_summary();
}
