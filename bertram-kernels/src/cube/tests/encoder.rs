//! What stands around the products: outputs and every gradient.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::super::dropout::{Mask, factors};
use super::super::layer_norm;
use super::super::tensor::{primitive, tensor};
use super::{
    AB, Case, Device, Gpu, Runtime, assert_close, check, check_halves, device, matrix, results,
    values, vector,
};
use crate::{KernelKind, Kernels, Norm, TrainBackend, composed};

/// Rows and width: one, odd ones, more rows than a chunk, more columns than a cube has units.
const SIZES: [[usize; 2]; 6] = [[1, 1], [1, 31], [257, 33], [7, 129], [70, 768], [3, 1300]];

fn norm<B: Backend>(gamma: &Tensor<B, 2>, beta: &Tensor<B, 2>, eps: f64) -> Norm<B> {
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

#[test]
fn bias_gelu() {
    for [rows, width] in SIZES {
        let shapes = [[rows, width], [1, width]];
        let what = format!("GELU {rows} {width}");
        check(&what, &shapes, BiasGelu(DType::F32), 5e-6);
    }
    check_halves("GELU", &[[70, 132], [1, 132]], BiasGelu, 2e-2);
}

struct ResidualLayerNorm(DType, f64);

impl Case for ResidualLayerNorm {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let (input, residual) = ((x[0].clone() * 2.0).cast(self.0), x[2].clone().cast(self.0));
        let norm = norm(&x[3], &x[4], self.1);
        kind.residual_layer_norm(input, vector(&x[1]), residual, norm, 0.0)
    }
}

#[test]
fn residual_layer_norm() {
    for [rows, width] in SIZES {
        let (all, one) = ([rows, width], [1, width]);
        let what = format!("residual LayerNorm {rows} {width}");
        let case = ResidualLayerNorm(DType::F32, eps(width));
        check(&what, &[all, one, all, one, one], case, 1e-5);
    }
    let (all, one) = ([70, 132], [1, 132]);
    let case = |dtype| ResidualLayerNorm(dtype, 1e-12);
    check_halves("residual LayerNorm", &[all, one, all, one, one], case, 2e-2);
}

struct LayerNormDropout(DType, f64);

impl Case for LayerNormDropout {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let input = (x[0].clone() * 2.0).cast(self.0);
        kind.layer_norm_dropout(input, norm(&x[1], &x[2], self.1), 0.0)
    }
}

#[test]
fn layer_norm_dropout() {
    for [rows, width] in SIZES {
        let (all, one) = ([rows, width], [1, width]);
        let what = format!("LayerNorm {rows} {width}");
        let case = LayerNormDropout(DType::F32, eps(width));
        check(&what, &[all, one, one], case, 1e-5);
    }
    let shapes = [[70, 132], [1, 132], [1, 132]];
    check_halves(
        "LayerNorm",
        &shapes,
        |dtype| LayerNormDropout(dtype, 1e-12),
        2e-2,
    );
}

/// The mask of a seed, and as a matrix.
fn mask(prob: f64, shape: [usize; 2], device: &Device) -> (Mask<Runtime>, Tensor<AB, 2>) {
    let like = primitive(Tensor::<Gpu, 1>::zeros([1], device));
    let mask = Mask::draw(prob, &like).expect("something is dropped");
    let as_matrix: Tensor<Gpu, 2> = tensor(factors(&mask, [1, shape[0], shape[1]]));
    (mask, Tensor::from_inner(as_matrix))
}

#[test]
fn dropout_keeps_to_its_mask_on_the_way_back() {
    let Some(device) = device() else { return };
    for [rows, width] in [[7, 33], [257, 64]] {
        let (all, one) = ([rows, width], [1, width]);
        for prob in [0.1, 0.5] {
            let (mask, dense) = mask(prob, all, &device);
            let what = format!("dropout {prob} {rows} {width}");
            let shapes = [all, one, all, one, one];
            let fused = results::<AB>(&shapes, &device, |x| {
                let norm = norm(&x[3], &x[4], 1e-12);
                let (input, residual) = (x[0].clone(), x[2].clone());
                let mask = Some(mask.clone());
                layer_norm::residual_with_mask(input, vector(&x[1]), residual, norm, mask)
            });
            let composed = results::<AB>(&shapes, &device, |x| {
                let norm = norm(&x[3], &x[4], 1e-12);
                let (input, residual) = (x[0].clone(), x[2].clone());
                let drop = |input| input * dense.clone();
                composed::residual_layer_norm_with(input, vector(&x[1]), residual, norm, drop)
            });
            assert_close(&format!("{what}, before"), &fused, &composed, 1e-5);
            let shapes = [all, one, one];
            let fused = results::<AB>(&shapes, &device, |x| {
                let norm = norm(&x[1], &x[2], 1e-12);
                layer_norm::dropout_with_mask(x[0].clone(), norm, Some(mask.clone()))
            });
            let composed = results::<AB>(&shapes, &device, |x| {
                composed::layer_norm(x[0].clone(), norm(&x[1], &x[2], 1e-12)) * dense.clone()
            });
            assert_close(&format!("{what}, after"), &fused, &composed, 1e-5);
        }
    }
}

#[test]
fn masks_drop_the_right_share_and_repeat_with_the_seed() {
    let Some(device) = device() else { return };
    let draw = |prob, shape: [usize; 2]| values(mask(prob, shape, &device).1);
    for (prob, shape) in [(0.1, [400, 500]), (0.5, [400, 501]), (0.3, [100_000, 1])] {
        let factors = draw(prob, shape);
        let scale = (1.0 / (1.0 - prob)) as f32;
        assert!(factors.iter().all(|factor| [0.0, scale].contains(factor)));
        let deviations = |factors: &[f32]| {
            let dropped = factors.iter().filter(|factor| **factor == 0.0).count() as f64;
            let count = factors.len() as f64;
            (dropped - prob * count) / (prob * (1.0 - prob) * count).sqrt()
        };
        let all = deviations(&factors);
        assert!(all.abs() < 4.5, "{prob}: {all}");
        for row in factors.chunks(shape[1].max(500)) {
            let of_row = deviations(row);
            assert!(of_row.abs() < 5.5, "{prob}: a row {of_row}");
        }
        for column in 0..shape[1] {
            let column: Vec<f32> = factors
                .iter()
                .skip(column)
                .step_by(shape[1])
                .copied()
                .collect();
            let of_column = deviations(&column);
            assert!(of_column.abs() < 5.5, "{prob}: a column {of_column}");
        }
        assert_ne!(factors, draw(prob, shape), "every call has its own seed");
    }
    // Tests run beside each other and share the backend's generator.
    let seeded = || {
        Gpu::seed(&device, 7);
        draw(0.5, [40, 50])
    };
    assert!((0..20).any(|_| seeded() == seeded()));
    // Vectors of four columns and single ones find the same mask.
    let like = primitive(Tensor::<Gpu, 1>::zeros([1], &device));
    let mask = Mask::draw(0.5, &like).expect("something is dropped");
    let wide: Vec<f32> = values::<Gpu, 2>(tensor(factors(&mask, [3, 20, 36])));
    let narrow: Vec<f32> = values::<Gpu, 2>(tensor(factors(&mask, [3, 20, 35])));
    for (wide, narrow) in wide.chunks(36).zip(narrow.chunks(35)) {
        assert_eq!(wide[..35], *narrow);
    }
    let other = matrix::<Gpu>(1, [1, 1], &device);
    assert!(Mask::draw(0.0, &primitive(other)).is_none());
}

#[test]
fn embedding_rows() {
    let Some(device) = device() else { return };
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
        let ids = Tensor::<AB, 1, Int>::from_data(data, &device);
        let shapes = [[entries, width]];
        let what = format!("embedding {entries} {width}");
        let fused = || {
            results::<AB>(&shapes, &device, |x| {
                AB::embedding_rows(x[0].clone(), ids.clone())
            })
        };
        let first = fused();
        assert_eq!(first, fused(), "{what}: not the same twice");
        let composed = results::<AB>(&shapes, &device, |x| {
            composed::embedding_rows(x[0].clone(), ids.clone())
        });
        assert_close(&what, &first, &composed, 1e-5);
    }
}

#[test]
fn constants_get_no_gradient() {
    let Some(device) = device() else { return };
    let (rows, hidden) = (6, 8);
    let input = matrix::<AB>(1, [rows, hidden], &device).require_grad();
    let [bias, gamma, beta] = [2, 3, 4].map(|seed| matrix::<AB>(seed, [1, hidden], &device));
    let weight = matrix::<AB>(5, [hidden, hidden], &device);
    let frozen = |kind: KernelKind| {
        let hidden = kind.linear_layer(input.clone(), weight.clone(), vector(&bias));
        let hidden = kind.bias_gelu(hidden, vector(&bias));
        let norm = norm(&gamma, &beta, 1e-12);
        let output = kind.residual_layer_norm(hidden, vector(&bias), input.clone(), norm, 0.0);
        let gradients = (output * matrix::<AB>(6, [rows, 8], &device))
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
