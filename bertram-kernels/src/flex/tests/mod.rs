//! Fused beside composed, and both beside PyTorch.

mod encoder;
mod golden;
mod packed;
mod parameters;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

use super::dropout::Mask;
use crate::Norm;

type AB = Autodiff<Flex>;
type Matrix = Tensor<AB, 2>;

/// Numbers around 0 that are the same on every call, others for each `seed`.
fn numbers(seed: usize, count: usize) -> Vec<f32> {
    let mut state = seed as u64 * 7919 + 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..count)
        .map(|_| (uniform() + uniform() + uniform() - 1.5) * 2.0)
        .collect()
}

fn matrix(seed: usize, shape: [usize; 2]) -> Matrix {
    let data = TensorData::new(numbers(seed, shape[0] * shape[1]), shape);
    Tensor::from_data(data, &Default::default())
}

fn vector(row: &Matrix) -> Tensor<AB, 1> {
    let [_, width] = row.dims();
    row.clone().reshape([width])
}

fn values<const D: usize>(tensor: Tensor<AB, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("f32")
}

/// The output of an operation on leaves of these shapes, then the gradient of each leaf, for a gradient of the output
/// that is different everywhere.
fn results(shapes: &[[usize; 2]], op: impl Fn(&[Matrix]) -> Matrix) -> Vec<Vec<f32>> {
    let leaves: Vec<Matrix> = (shapes.iter().enumerate())
        .map(|(seed, shape)| matrix(seed, *shape).require_grad())
        .collect();
    let output = op(&leaves);
    let weights = matrix(99, output.dims());
    let gradients = (output.clone() * weights).sum().backward();
    let of_leaves = leaves.iter().map(|leaf| {
        let gradient = leaf.grad(&gradients).expect("every leaf has a gradient");
        gradient.into_data().to_vec().expect("f32")
    });
    std::iter::once(values(output)).chain(of_leaves).collect()
}

fn assert_close(what: &str, fused: &[f32], composed: &[f32], tolerance: f32) {
    assert_eq!(fused.len(), composed.len(), "{what}");
    let largest = composed.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    for (index, (fused, composed)) in fused.iter().zip(composed).enumerate() {
        let error = (fused - composed).abs();
        // Not `>`: NaN must fail, too.
        assert!(
            error <= tolerance * largest,
            "{what}, element {index}: {fused} is not {composed}"
        );
    }
}

fn compare(
    what: &str,
    shapes: &[[usize; 2]],
    fused: impl Fn(&[Matrix]) -> Matrix,
    composed: impl Fn(&[Matrix]) -> Matrix,
) {
    let (fused, composed) = (results(shapes, fused), results(shapes, composed));
    for (index, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
        let part = match index {
            0 => "output".to_owned(),
            leaf => format!("gradient {leaf}"),
        };
        assert_close(&format!("{what}: {part}"), fused, composed, 3e-6);
    }
}

/// A mask as a tensor.
fn as_matrix(mask: Option<Mask>, [rows, columns]: [usize; 2]) -> Matrix {
    let factor = |i: usize| mask.map_or(1.0, |mask| mask.row(i / columns).factor(i % columns));
    let factors: Vec<f32> = (0..rows * columns).map(factor).collect();
    Tensor::from_data(
        TensorData::new(factors, [rows, columns]),
        &Default::default(),
    )
}

/// One row, odd sizes, more than a block of rows.
const SIZES: [[usize; 2]; 5] = [[1, 1], [1, 384], [7, 33], [130, 129], [9, 5000]];
const MASKS: [Option<(f64, u64)>; 3] = [None, Some((0.1, 5)), Some((0.5, u64::MAX))];

fn norm(gamma: &Matrix, beta: &Matrix) -> Norm<AB> {
    Norm {
        gamma: vector(gamma),
        beta: vector(beta),
        eps: 1e-12,
    }
}
