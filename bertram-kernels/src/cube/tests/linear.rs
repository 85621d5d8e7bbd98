//! Products and the sums of their biases' gradients.

use burn::backend::Wgpu;
use burn::tensor::{DType, Tensor};

use super::super::sums::column_sums;
use super::super::tensor::{primitive, tensor};
use super::{Case, check, check_halves, device, matrix, numbers, values, vector};
use crate::{KernelKind, TrainBackend};

#[test]
fn column_sums_are_those_of_the_rows() {
    let Some(device) = device() else { return };
    for [rows, width] in [
        [1, 1],
        [1, 33],
        [257, 31],
        [65, 129],
        [600, 768],
        [20_000, 4],
    ] {
        let sums = || {
            let input = primitive(matrix::<Wgpu>(7, [rows, width], &device));
            values::<Wgpu, 1>(tensor(column_sums(input)))
        };
        let found = sums();
        assert_eq!(found, sums(), "{rows} {width}: not the same twice");
        let mut wanted = vec![0.0f64; width];
        for row in numbers(7, rows * width).chunks(width) {
            for (sum, value) in wanted.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        for (found, wanted) in found.into_iter().zip(wanted) {
            let error = (f64::from(found) - wanted).abs();
            let bound = 1e-6 * (rows as f64).max(10.0);
            assert!(error <= bound, "{rows} {width}: {found} is not {wanted}");
        }
    }
}

struct LinearLayer(DType);

impl Case for LinearLayer {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let input = x[0].clone().cast(self.0);
        kind.linear_layer(input, x[1].clone(), vector(&x[2]))
    }
}

struct Product(DType);

impl Case for Product {
    fn run<B: TrainBackend>(&self, kind: KernelKind, x: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        kind.product(x[0].clone().cast(self.0), x[1].clone())
    }
}

/// Rows, width of the input, width of the output.
const SIZES: [[usize; 3]; 4] = [[1, 1, 1], [1, 33, 31], [257, 31, 129], [300, 64, 128]];

#[test]
fn linear_layer() {
    for [rows, input, output] in SIZES {
        let shapes = [[rows, input], [input, output], [1, output]];
        let what = format!("linear layer {rows} {input} {output}");
        check(&what, &shapes, LinearLayer(DType::F32), 1e-5);
        check(&what, &shapes[..2], Product(DType::F32), 1e-5);
    }
}

#[test]
fn linear_layer_in_half_precision() {
    for [rows, input, output] in [[1, 33, 31], [257, 32, 128]] {
        let shapes = [[rows, input], [input, output], [1, output]];
        let what = format!("linear layer {rows} {input} {output}");
        check_halves(&what, &shapes, LinearLayer, 2e-2);
        check_halves(&what, &shapes[..2], Product, 2e-2);
    }
}
