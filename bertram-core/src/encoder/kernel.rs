//! The encoder's modules as the kernels take them.

use bertram_kernels::{KernelKind, Kernels, Norm};
use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Tensor, backend::Backend};

/// A linear layer on rows.
pub(super) fn linear<B: Kernels>(
    kernels: KernelKind,
    layer: &Linear<B>,
    input: Tensor<B, 2>,
) -> Tensor<B, 2> {
    kernels.linear_layer(input, layer.weight.val(), bias(layer))
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
