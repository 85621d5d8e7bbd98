//! Fused beside composed, and both beside PyTorch.

mod encoder;
mod golden;
mod packed;
mod parameters;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

use super::dropout::Mask;
use crate::Norm;
use crate::conformance::{self, conformance_tests, values, vector};

type AB = Autodiff<Flex>;
type Matrix = Tensor<AB, 2>;

conformance_tests!(Flex, Some(Default::default()));

fn matrix(seed: usize, shape: [usize; 2]) -> Matrix {
    conformance::matrix::<AB>(seed, shape, &Default::default())
}

/// [`conformance::results`] on this backend.
fn results(shapes: &[[usize; 2]], op: impl Fn(&[Matrix]) -> Matrix) -> Vec<Vec<f32>> {
    conformance::results::<AB>(shapes, &Default::default(), op)
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
    conformance::norm(gamma, beta, 1e-12)
}
