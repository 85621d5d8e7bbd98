//! Dropout around LayerNorms.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::super::dropout::{Mask, factors};
use super::super::layer_norm;
use super::super::tensor::{primitive, tensor};
use super::{AB, Device, Gpu, Runtime, device};
use crate::composed;
use crate::conformance::{assert_close, matrix, norm, results, values, vector};

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
