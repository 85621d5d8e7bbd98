//! Linear layers: outputs and every gradient.

use burn::tensor::{DType, Tensor};

use super::{Case, check, check_halves, vector};
use crate::{KernelKind, Kernels, TrainBackend};

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

pub(crate) fn linear_layer<G: Kernels>(device: &G::Device) {
    for [rows, input, output] in SIZES {
        let shapes = [[rows, input], [input, output], [1, output]];
        let what = format!("linear layer {rows} {input} {output}");
        check::<G>(&what, &shapes, LinearLayer(DType::F32), 1e-5, device);
        check::<G>(&what, &shapes[..2], Product(DType::F32), 1e-5, device);
    }
}

pub(crate) fn linear_layer_in_half_precision<G: Kernels>(device: &G::Device) {
    for [rows, input, output] in [[1, 33, 31], [257, 32, 128]] {
        let shapes = [[rows, input], [input, output], [1, output]];
        let what = format!("linear layer {rows} {input} {output}");
        check_halves::<G, _>(&what, &shapes, LinearLayer, 2e-2, device);
        check_halves::<G, _>(&what, &shapes[..2], Product, 2e-2, device);
    }
}
