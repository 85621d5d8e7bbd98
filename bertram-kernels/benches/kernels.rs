//! Each kernel on flex, fused and composed, there and back, at the sizes of a MiniLM layer.
//!
//! `cargo bench -p bertram-kernels`; one of them: `cargo bench -p bertram-kernels -- attention`.

use std::hint::black_box;

use bertram_kernels::{AdamWStep, AttentionOptions, KernelKind, Norm};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, Int, Tensor};
use criterion::{BenchmarkId, Criterion};

type B = Autodiff<Flex>;

const BATCH: usize = 8;
const HIDDEN: usize = 384;
const WIDE: usize = 1536;
const HEADS: usize = 12;
const VOCABULARY: usize = 30_522;
const SEQUENCES: [usize; 2] = [32, 128];

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

/// An operation in both forms, at each length of sequence.
fn both_forms(
    criterion: &mut Criterion,
    name: &str,
    operation: impl Fn(KernelKind, usize) -> Tensor<B, 2>,
) {
    let mut group = criterion.benchmark_group(name);
    for kernels in [KernelKind::Fused, KernelKind::Composed] {
        for sequence in SEQUENCES {
            let id = BenchmarkId::new(kernels.name(), sequence);
            group.bench_with_input(id, &sequence, |bench, &sequence| {
                bench.iter(|| black_box(operation(kernels, sequence).sum().backward()));
            });
        }
    }
    group.finish();
}

fn encoder(criterion: &mut Criterion) {
    let inputs = SEQUENCES.map(|sequence| (sequence, matrix(BATCH * sequence, HIDDEN)));
    let expanded = SEQUENCES.map(|sequence| (sequence, matrix(BATCH * sequence, WIDE)));
    let of = |all: &[(usize, Tensor<B, 2>); 2], sequence: usize| {
        let found = all.iter().find(|(length, _)| *length == sequence);
        found.map_or_else(|| matrix(BATCH * sequence, HIDDEN), |(_, it)| it.clone())
    };
    let (weight, bias, wide_bias) = (matrix(HIDDEN, HIDDEN), vector(HIDDEN), vector(WIDE));
    both_forms(criterion, "linear layer", |kernels, sequence| {
        kernels.linear_layer(of(&inputs, sequence), weight.clone(), bias.clone())
    });
    both_forms(criterion, "attention", |kernels, sequence| {
        let hidden = || of(&inputs, sequence);
        let bias = Tensor::zeros([BATCH, 1, 1, sequence], &Default::default());
        let options = AttentionOptions {
            heads: HEADS,
            dropout: 0.1,
        };
        kernels.self_attention(hidden(), hidden(), hidden(), bias, options)
    });
    both_forms(criterion, "bias and GELU", |kernels, sequence| {
        kernels.bias_gelu(of(&expanded, sequence), wide_bias.clone())
    });
    both_forms(criterion, "residual and LayerNorm", |kernels, sequence| {
        let hidden = || of(&inputs, sequence);
        kernels.residual_layer_norm(hidden(), bias.clone(), hidden(), norm(), 0.1)
    });
    let table = matrix(VOCABULARY, HIDDEN);
    both_forms(criterion, "embedding", |kernels, sequence| {
        let count = (BATCH * sequence) as i64;
        let ids = Tensor::<B, 1, Int>::arange(0..count, &Default::default());
        kernels.embedding_rows(table.clone(), ids)
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
                    let (parameter, moments) = kernels.adamw(parameter, gradient, moments, &step);
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
    encoder(&mut criterion);
    optimiser(&mut criterion);
    criterion.final_summary();
}
