//! A linear layer: the bias is added in place, and its gradient is a sum in two stages.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::cast;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::graph::{CubeKernels, register};
use super::product::{product, transposed};
use super::sums::column_sums;
use super::tensor::{
    all_f32, contiguous, elementwise, hidden_states, lanes, matrix_dims, primitive, tensor,
};
use crate::composed;

#[cube(launch)]
fn add_bias_kernel<T: Numeric, N: Size>(
    output: &mut Array<Vector<T, N>>,
    bias: &Array<Vector<f32, N>>,
    columns: usize,
    #[define(T)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < output.len() {
        let sum = Vector::<f32, N>::cast_from(output[ABSOLUTE_POS]) + bias[ABSOLUTE_POS % columns];
        output[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

/// Adds a bias to every row of a contiguous matrix that nothing else holds.
fn add_bias<R: CubeRuntime>(output: CubeTensor<R>, bias: CubeTensor<R>) -> CubeTensor<R> {
    let [rows, width] = matrix_dims(&output);
    let lanes = lanes(width);
    let (count, dim) = elementwise(rows * width / lanes);
    add_bias_kernel::launch(
        &output.client,
        count,
        dim,
        lanes,
        output.clone().into_array_arg(),
        bias.into_array_arg(),
        width / lanes,
        output.dtype.into(),
    );
    output
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State<R: CubeRuntime> {
    /// Where the weight is tracked.
    input: Option<CubeTensor<R>>,
    /// Where the input is tracked: in the input's type.
    weight: Option<CubeTensor<R>>,
    /// The type of the weight as a parameter.
    dtype: DType,
}

impl<R: CubeRuntime> State<R> {
    /// Gradients of the input and of the weight. Both operands are read where they lie.
    fn backward(self, gradient: &CubeTensor<R>) -> [Option<CubeTensor<R>>; 2] {
        let of_input = self
            .weight
            .map(|weight| product(gradient.clone(), transposed(weight), gradient.dtype));
        let of_weight = self
            .input
            .map(|input| product(transposed(input), gradient.clone(), self.dtype));
        [of_input, of_weight]
    }
}

#[derive(Debug)]
struct Linear;

impl<B: CubeKernels> Backward<B, 3> for Linear {
    type State = State<B::Runtime>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_weight, to_bias] = ops.parents.map(|node| node.map(|node| node.id));
        let gradient = contiguous(gradients.consume::<B>(&ops.node));
        let [of_input, of_weight] = ops.state.backward(&gradient);
        register::<B>(gradients, to_input, of_input);
        register::<B>(gradients, to_weight, of_weight);
        if to_bias.is_some() {
            register::<B>(gradients, to_bias, Some(column_sums(gradient)));
        }
    }
}

#[derive(Debug)]
struct Product;

impl<B: CubeKernels> Backward<B, 2> for Product {
    type State = State<B::Runtime>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_weight] = ops.parents.map(|node| node.map(|node| node.id));
        let gradient = contiguous(gradients.consume::<B>(&ops.node));
        let [of_input, of_weight] = ops.state.backward(&gradient);
        register::<B>(gradients, to_input, of_input);
        register::<B>(gradients, to_weight, of_weight);
    }
}

fn has_kernel(input: DType, weight: DType, bias: DType) -> bool {
    hidden_states(&[input]) && all_f32(&[weight, bias])
}

/// [`Kernels::linear_layer`](crate::Kernels::linear_layer).
pub(super) fn without_graph<B: CubeKernels>(
    input: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 2> {
    if !has_kernel(input.dtype(), weight.dtype(), bias.dtype()) {
        return composed::linear_layer(input, weight, bias);
    }
    let (input, bias) = (primitive(input), contiguous(primitive(bias)));
    let dtype = input.dtype;
    let output = product(input, cast(primitive(weight), dtype), dtype);
    tensor(add_bias(output, bias))
}

/// [`Kernels::linear_layer_on_graph`](crate::Kernels::linear_layer_on_graph).
pub(super) fn on_graph<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    weight: Tensor<Autodiff<B, C>, 2>,
    bias: Tensor<Autodiff<B, C>, 1>,
) -> Tensor<Autodiff<B, C>, 2> {
    if !has_kernel(input.dtype(), weight.dtype(), bias.dtype()) {
        return composed::linear_layer(input, weight, bias);
    }
    let (input, weight, bias) = (primitive(input), primitive(weight), primitive(bias));
    let tracked = [weight.is_tracked(), input.is_tracked()];
    let (input_node, weight_node, bias_node) = (input.node, weight.node, bias.node);
    let (output, state) = forward(input.primitive, weight.primitive, tracked);
    let output = add_bias(output, contiguous(bias.primitive));
    let nodes = [input_node, weight_node, bias_node];
    tensor(
        match Backward::<B, 3>::prepare::<C>(Linear, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish(state, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        },
    )
}

/// The product, and what its backward pass needs where the weight, or the input, is tracked.
fn forward<R: CubeRuntime>(
    input: CubeTensor<R>,
    weight: CubeTensor<R>,
    [weight_tracked, input_tracked]: [bool; 2],
) -> (CubeTensor<R>, State<R>) {
    let (dtype, dtype_of_weight) = (input.dtype, weight.dtype());
    let weight = cast(weight, dtype);
    let output = product(input.clone(), weight.clone(), dtype);
    let state = State {
        input: weight_tracked.then_some(input),
        weight: input_tracked.then_some(weight),
        dtype: dtype_of_weight,
    };
    (output, state)
}

/// [`Kernels::product`](crate::Kernels::product).
pub(super) fn product_without_graph<B: CubeKernels>(
    input: Tensor<B, 2>,
    weight: Tensor<B, 2>,
) -> Tensor<B, 2> {
    if !has_kernel(input.dtype(), weight.dtype(), DType::F32) {
        return composed::product(input, weight);
    }
    let (input, weight) = (primitive(input), primitive(weight));
    let dtype = input.dtype;
    tensor(product(input, cast(weight, dtype), dtype))
}

/// [`Kernels::product_on_graph`](crate::Kernels::product_on_graph).
pub(super) fn product_on_graph<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    weight: Tensor<Autodiff<B, C>, 2>,
) -> Tensor<Autodiff<B, C>, 2> {
    if !has_kernel(input.dtype(), weight.dtype(), DType::F32) {
        return composed::product(input, weight);
    }
    let (input, weight) = (primitive(input), primitive(weight));
    let tracked = [weight.is_tracked(), input.is_tracked()];
    let nodes = [input.node, weight.node];
    let (output, state) = forward(input.primitive, weight.primitive, tracked);
    tensor(
        match Backward::<B, 2>::prepare::<C>(Product, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish(state, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        },
    )
}
