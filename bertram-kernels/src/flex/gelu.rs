//! The exact GELU of a sum with a bias.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorMetadata};
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

use super::graph::register;
use super::rows::{add_up, block_rows};
use super::simd::{mul_add, normal_cdf, normal_density, vectorised};
use super::tensor::{all_f32, contiguous, from_values, primitive, tensor, values, values_mut};
use crate::composed;

vectorised! {
fn forward_rows(input: &[f32], bias: &[f32], output: &mut [f32]) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let rows = input.chunks_exact(bias.len());
    for (input, output) in rows.zip(output.chunks_exact_mut(bias.len())) {
        for ((output, input), bias) in output.iter_mut().zip(input).zip(bias) {
            let x = input + bias;
            *output = x * normal_cdf::<FMA>(x);
        }
    }
}
}

vectorised! {
/// The gradient of the output becomes that of the input, and is added to that of the bias; that is empty where it is not
/// wanted.
fn backward_rows(input: &[f32], bias: &[f32], gradient: &mut [f32], of_bias: &mut [f32]) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let rows = input.chunks_exact(bias.len());
    for (input, gradient) in rows.zip(gradient.chunks_exact_mut(bias.len())) {
        for ((gradient, input), bias) in gradient.iter_mut().zip(input).zip(bias) {
            let x = input + bias;
            *gradient *= mul_add::<FMA>(x, normal_density::<FMA>(x), normal_cdf::<FMA>(x));
        }
        for (of_bias, gradient) in of_bias.iter_mut().zip(gradient) {
            *of_bias += *gradient;
        }
    }
}
}

fn forward(input: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
    let (numbers, bias) = (values(input), values(bias));
    let mut output = vec![0.0; numbers.len()];
    let block = block_rows(bias.len()) * bias.len();
    output
        .par_chunks_mut(block)
        .zip(numbers.par_chunks(block))
        .for_each(|(output, input)| forward_rows(input, bias, output));
    from_values(output, input.shape())
}

/// Gradients of the input, and of the bias if wanted.
fn backward(
    input: &FlexTensor,
    bias: &FlexTensor,
    mut gradient: FlexTensor,
    with_bias: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let (input, bias) = (values(input), values(bias));
    let width = bias.len();
    let block = block_rows(width) * width;
    let parts = values_mut(&mut gradient)
        .par_chunks_mut(block)
        .zip(input.par_chunks(block))
        .map(|(gradient, input)| {
            let mut of_bias = vec![0.0; if with_bias { width } else { 0 }];
            backward_rows(input, bias, gradient, &mut of_bias);
            of_bias
        })
        .collect();
    let of_bias = with_bias.then(|| from_values(add_up(parts, width), [width].into()));
    (gradient, of_bias)
}

#[derive(Debug)]
struct BiasGelu;

impl Backward<Flex, 2> for BiasGelu {
    /// Input and bias.
    type State = [FlexTensor; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_bias] = ops.parents.map(|node| node.map(|node| node.id));
        let [input, bias] = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let (of_input, of_bias) = backward(&input, &bias, gradient, to_bias.is_some());
        register(gradients, to_input, Some(of_input));
        register(gradients, to_bias, of_bias);
    }
}

/// [`Kernels::bias_gelu`](crate::Kernels::bias_gelu).
pub(super) fn without_graph(input: Tensor<Flex, 2>, bias: Tensor<Flex, 1>) -> Tensor<Flex, 2> {
    if !all_f32(&[input.dtype(), bias.dtype()]) {
        return composed::bias_gelu(input, bias);
    }
    let (input, bias) = (contiguous(primitive(input)), contiguous(primitive(bias)));
    tensor(forward(&input, &bias))
}

/// [`Kernels::bias_gelu_on_graph`](crate::Kernels::bias_gelu_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    bias: Tensor<Autodiff<Flex, C>, 1>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !all_f32(&[input.dtype(), bias.dtype()]) {
        return composed::bias_gelu(input, bias);
    }
    let (input, bias) = (primitive(input), primitive(bias));
    let nodes = [input.node, bias.node];
    let state = [input.primitive, bias.primitive].map(contiguous);
    let output = forward(&state[0], &state[1]);
    tensor(
        match BiasGelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        },
    )
}
