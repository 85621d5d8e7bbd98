//! Attention: outputs and every gradient, with padding.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use super::{Case, check, check_halves, vector};
use crate::{AttentionOptions, KernelKind, Kernels, Projections, Queries, TokenRows, TrainBackend};

/// Batch, sequence, heads, width of a head.
const SIZES: [[usize; 4]; 6] = [
    [1, 1, 1, 1],
    [3, 1, 2, 8],
    [2, 7, 3, 5],
    [1, 33, 2, 32],
    [2, 129, 1, 31],
    [1, 512, 1, 8],
];

/// Padded tails: each sequence is shorter than the one before, and the last may be padding alone.
pub(crate) fn bias<B: Backend>([batch, sequence]: [usize; 2], device: &B::Device) -> Tensor<B, 4> {
    let bias: Vec<f32> = (0..batch * sequence)
        .map(|at| {
            let (row, position) = (at / sequence, at % sequence);
            if position + row * sequence / 3 < sequence {
                0.0
            } else {
                -30_000.0
            }
        })
        .collect();
    Tensor::from_data(TensorData::new(bias, [batch, 1, 1, sequence]), device)
}

struct SelfAttention([usize; 4], DType);

impl Case for SelfAttention {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let [batch, sequence, heads, _] = self.0;
        let bias = bias([batch, sequence], &x[0].device());
        let [query, key, value] = [0, 1, 2].map(|leaf| x[leaf].clone().cast(self.1));
        let options = AttentionOptions {
            heads,
            dropout: 0.0,
        };
        kind.self_attention(query, key, value, bias, options)
    }
}

pub(crate) fn self_attention<G: Kernels>(device: &G::Device) {
    for size in SIZES {
        let [batch, sequence, heads, width] = size;
        let shape = [batch * sequence, heads * width];
        let what = format!("attention {size:?}");
        check::<G>(
            &what,
            &[shape; 3],
            SelfAttention(size, DType::F32),
            1e-5,
            device,
        );
    }
}

pub(crate) fn projections<B: Backend>(x: &[Tensor<B, 2>]) -> Projections<B> {
    Projections {
        weights: [1, 2, 3].map(|leaf| x[leaf].clone()),
        biases: [4, 5, 6].map(|leaf| vector(&x[leaf])),
    }
}

pub(crate) fn shapes([batch, sequence, heads, width]: [usize; 4], input: usize) -> [[usize; 2]; 7] {
    let hidden = heads * width;
    let (weight, bias) = ([input, hidden], [1, hidden]);
    [
        [batch * sequence, input],
        weight,
        weight,
        weight,
        bias,
        bias,
        bias,
    ]
}

struct ProjectedAttention([usize; 4], DType);

impl Case for ProjectedAttention {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let [batch, sequence, heads, _] = self.0;
        let bias = bias([batch, sequence], &x[0].device());
        let options = AttentionOptions {
            heads,
            dropout: 0.0,
        };
        let hidden = (x[0].clone() * 0.3).cast(self.1);
        kind.projected_attention(hidden, projections(x), bias, options)
    }
}

pub(crate) fn projected_attention<G: Kernels>(device: &G::Device) {
    for size in SIZES {
        let what = format!("projected attention {size:?}");
        let case = ProjectedAttention(size, DType::F32);
        check::<G>(&what, &shapes(size, 17), case, 3e-5, device);
    }
    let size = [2, 12, 2, 8];
    let case = |dtype| ProjectedAttention(size, dtype);
    check_halves::<G, _>("projected attention", &shapes(size, 16), case, 4e-2, device);
}

/// Lengths, what they are padded to, heads, width of a head, width of the input.
pub(crate) type PackedSize = (&'static [usize], usize, usize, usize, usize);

pub(crate) const PACKED_SIZES: [PackedSize; 5] = [
    (&[1], 1, 1, 1, 1),
    (&[3, 1, 7], 7, 2, 5, 9),
    (&[4, 4], 4, 3, 8, 24),
    (&[33, 2, 19, 1, 40], 48, 2, 16, 32),
    (&[128, 5], 130, 1, 31, 33),
];

pub(crate) fn packed_shapes((lengths, _, heads, width, input): PackedSize) -> [[usize; 2]; 7] {
    shapes([1, lengths.iter().sum(), heads, width], input)
}

struct PackedAttention(PackedSize, Queries);

impl Case for PackedAttention {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let (lengths, padded, heads, ..) = self.0;
        let options = AttentionOptions {
            heads,
            dropout: 0.0,
        };
        let (hidden, rows) = (x[0].clone() * 0.3, TokenRows::new(lengths, padded));
        kind.packed_attention(hidden, projections(x), &rows, self.1, options)
    }
}

pub(crate) fn packed_attention<G: Kernels>(device: &G::Device) {
    for size in PACKED_SIZES {
        for queries in [Queries::All, Queries::First] {
            let what = format!("packed attention {size:?}, {queries:?}");
            let case = PackedAttention(size, queries);
            check::<G>(&what, &packed_shapes(size), case, 3e-5, device);
        }
    }
}
