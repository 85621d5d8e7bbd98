//! What stands around the products: outputs and every gradient.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::{Case, assert_close, check, check_halves, matrix, results, values, vector};
use crate::{KernelKind, Kernels, Norm, TrainBackend, composed};

/// Rows and width: one, odd ones, more rows than a chunk, more columns than a cube has units.
const SIZES: [[usize; 2]; 6] = [[1, 1], [1, 31], [257, 33], [7, 129], [70, 768], [3, 1300]];

pub(crate) fn norm<B: Backend>(gamma: &Tensor<B, 2>, beta: &Tensor<B, 2>, eps: f64) -> Norm<B> {
    Norm {
        gamma: vector(gamma),
        beta: vector(beta),
        eps,
    }
}

/// A row of one number has variance 0, which the smallest eps makes a difference of rounding errors.
fn eps(width: usize) -> f64 {
    if width == 1 { 0.1 } else { 1e-12 }
}

struct BiasGelu(DType);

impl Case for BiasGelu {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        kind.bias_gelu((x[0].clone() * 4.0).cast(self.0), vector(&x[1]))
    }
}

pub(crate) fn bias_gelu<G: Kernels>(device: &G::Device) {
    for [rows, width] in SIZES {
        let shapes = [[rows, width], [1, width]];
        let what = format!("GELU {rows} {width}");
        check::<G>(&what, &shapes, BiasGelu(DType::F32), 5e-6, device);
    }
    check_halves::<G, _>("GELU", &[[70, 132], [1, 132]], BiasGelu, 2e-2, device);
}

struct ResidualLayerNorm(DType, f64);

impl Case for ResidualLayerNorm {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let (input, residual) = ((x[0].clone() * 2.0).cast(self.0), x[2].clone().cast(self.0));
        let norm = norm(&x[3], &x[4], self.1);
        kind.residual_layer_norm(input, vector(&x[1]), residual, norm, 0.0)
    }
}

pub(crate) fn residual_layer_norm<G: Kernels>(device: &G::Device) {
    for [rows, width] in SIZES {
        let (all, one) = ([rows, width], [1, width]);
        let what = format!("residual LayerNorm {rows} {width}");
        let case = ResidualLayerNorm(DType::F32, eps(width));
        check::<G>(&what, &[all, one, all, one, one], case, 1e-5, device);
    }
    let (all, one) = ([70, 132], [1, 132]);
    let case = |dtype| ResidualLayerNorm(dtype, 1e-12);
    check_halves::<G, _>(
        "residual LayerNorm",
        &[all, one, all, one, one],
        case,
        2e-2,
        device,
    );
}

struct LayerNormDropout(DType, f64);

impl Case for LayerNormDropout {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let input = (x[0].clone() * 2.0).cast(self.0);
        kind.layer_norm_dropout(input, norm(&x[1], &x[2], self.1), 0.0)
    }
}

pub(crate) fn layer_norm_dropout<G: Kernels>(device: &G::Device) {
    for [rows, width] in SIZES {
        let (all, one) = ([rows, width], [1, width]);
        let what = format!("LayerNorm {rows} {width}");
        let case = LayerNormDropout(DType::F32, eps(width));
        check::<G>(&what, &[all, one, one], case, 1e-5, device);
    }
    let shapes = [[70, 132], [1, 132], [1, 132]];
    check_halves::<G, _>(
        "LayerNorm",
        &shapes,
        |dtype| LayerNormDropout(dtype, 1e-12),
        2e-2,
        device,
    );
}

pub(crate) fn embedding_rows<G: Kernels>(device: &G::Device) {
    let sizes: [(usize, usize, Vec<i32>); 5] = [
        (1, 1, vec![0]),
        (5, 31, vec![4, 0, 4, 4]),
        (
            2,
            64,
            (0..1000).map(|row| i32::from(row % 7 == 0)).collect(),
        ),
        (700, 33, (0..300).map(|row| row * row % 700).collect()),
        (50, 128, (0..513).map(|row| row * 31 % 47).collect()),
    ];
    for (entries, width, ids) in sizes {
        let data = TensorData::new(ids.clone(), [ids.len()]);
        let ids = Tensor::<Autodiff<G>, 1, Int>::from_data(data, device);
        let shapes = [[entries, width]];
        let what = format!("embedding {entries} {width}");
        let fused = || {
            results::<Autodiff<G>>(&shapes, device, |x| {
                Autodiff::<G>::embedding_rows(x[0].clone(), ids.clone())
            })
        };
        let first = fused();
        assert_eq!(first, fused(), "{what}: not the same twice");
        let composed = results::<Autodiff<G>>(&shapes, device, |x| {
            composed::embedding_rows(x[0].clone(), ids.clone())
        });
        assert_close(&what, &first, &composed, 1e-5);
    }
}

pub(crate) fn constants_get_no_gradient<G: Kernels>(device: &G::Device) {
    let (rows, hidden) = (6, 8);
    let input = matrix::<Autodiff<G>>(1, [rows, hidden], device).require_grad();
    let [bias, gamma, beta] =
        [2, 3, 4].map(|seed| matrix::<Autodiff<G>>(seed, [1, hidden], device));
    let weight = matrix::<Autodiff<G>>(5, [hidden, hidden], device);
    let frozen = |kind: KernelKind| {
        let hidden = kind.linear_layer(input.clone(), weight.clone(), vector(&bias));
        let hidden = kind.bias_gelu(hidden, vector(&bias));
        let norm = norm(&gamma, &beta, 1e-12);
        let output = kind.residual_layer_norm(hidden, vector(&bias), input.clone(), norm, 0.0);
        let gradients = (output * matrix::<Autodiff<G>>(6, [rows, 8], device))
            .sum()
            .backward();
        for constant in [&bias, &gamma, &beta, &weight] {
            assert!(constant.grad(&gradients).is_none());
        }
        vec![values(input.grad(&gradients).expect("the input is a leaf"))]
    };
    let (fused, composed) = (frozen(KernelKind::Fused), frozen(KernelKind::Composed));
    assert_close("gradient of the input", &fused, &composed, 1e-5);
}
