//! The encoder's modules as the kernels take them.

use bertram_kernels::{KernelKind, Kernels, Norm};
use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

/// A linear layer on rows.
pub(super) fn linear<B: Kernels>(
    kernels: KernelKind,
    layer: &Linear<B>,
    input: Tensor<B, 2>,
) -> Tensor<B, 2> {
    kernels.linear_layer(input, layer.weight.val(), bias(layer))
}

/// Some rows of a matrix, in this order.
pub(super) fn pick_rows<B: Backend>(matrix: Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let count = rows.len();
    let data = TensorData::new(rows, [count]);
    let rows = Tensor::<B, 1, Int>::from_data(data, &matrix.device());
    matrix.select(0, rows)
}

/// A linear layer on rows, without its bias.
pub(super) fn product<B: Kernels>(
    kernels: KernelKind,
    layer: &Linear<B>,
    input: Tensor<B, 2>,
) -> Tensor<B, 2> {
    kernels.product(input, layer.weight.val())
}

/// A linear layer's bias.
pub(super) fn bias<B: Backend>(layer: &Linear<B>) -> Tensor<B, 1> {
    match &layer.bias {
        Some(bias) => bias.val(),
        None => {
            let weight = layer.weight.val();
            Tensor::zeros([weight.dims()[1]], &weight.device())
        }
    }
}

/// A LayerNorm's parameters. It keeps its epsilon to itself.
pub(super) fn norm<B: Backend>(norm: &LayerNorm<B>, eps: f64) -> Norm<B> {
    let gamma = norm.gamma.val();
    Norm {
        beta: (norm.beta.as_ref()).map_or_else(|| gamma.zeros_like(), Param::val),
        gamma,
        eps,
    }
}
