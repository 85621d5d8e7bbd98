//! A linear layer: the bias is added in place, and its gradient is one pass.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensorOps;

use super::graph::register;
use super::rows::{add_bias, column_sums};
use super::tensor::{
    all_f32, contiguous, from_values, matrix_dims, primitive, tensor, values, values_mut,
};
use crate::composed;

/// The input where the weight is tracked, and the weight where the input is.
type State = [Option<FlexTensor>; 2];

#[derive(Debug)]
struct Linear;

impl Backward<Flex, 3> for Linear {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_weight, to_bias] = ops.parents.map(|node| node.map(|node| node.id));
        let [input, weight] = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        if let Some(weight) = weight {
            let of_input = Flex::float_matmul(gradient.clone(), Flex::float_transpose(weight));
            register(gradients, to_input, Some(of_input));
        }
        if let Some(input) = input {
            let of_weight = Flex::float_matmul(Flex::float_transpose(input), gradient.clone());
            register(gradients, to_weight, Some(of_weight));
        }
        if to_bias.is_some() {
            let [_, width] = matrix_dims(&gradient);
            let sums = column_sums(values(&gradient), width);
            register(gradients, to_bias, Some(from_values(sums, [width].into())));
        }
    }
}

fn forward(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
    let mut output = contiguous(Flex::float_matmul(input, weight));
    let bias = contiguous(bias);
    add_bias(values_mut(&mut output), values(&bias));
    output
}

/// [`Kernels::linear_layer`](crate::Kernels::linear_layer).
pub(super) fn without_graph(
    input: Tensor<Flex, 2>,
    weight: Tensor<Flex, 2>,
    bias: Tensor<Flex, 1>,
) -> Tensor<Flex, 2> {
    if !all_f32(&[input.dtype(), weight.dtype(), bias.dtype()]) {
        return composed::linear_layer(input, weight, bias);
    }
    tensor(forward(
        primitive(input),
        primitive(weight),
        primitive(bias),
    ))
}

/// [`Kernels::linear_layer_on_graph`](crate::Kernels::linear_layer_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    weight: Tensor<Autodiff<Flex, C>, 2>,
    bias: Tensor<Autodiff<Flex, C>, 1>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !all_f32(&[input.dtype(), weight.dtype(), bias.dtype()]) {
        return composed::linear_layer(input, weight, bias);
    }
    let (input, weight, bias) = (primitive(input), primitive(weight), primitive(bias));
    let output = forward(
        input.primitive.clone(),
        weight.primitive.clone(),
        bias.primitive,
    );
    let tracked = [weight.is_tracked(), input.is_tracked()];
    let state = [
        tracked[0].then_some(input.primitive),
        tracked[1].then_some(weight.primitive),
    ];
    let nodes = [input.node, weight.node, bias.node];
    tensor(
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        },
    )
}
