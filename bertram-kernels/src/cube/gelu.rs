//! The exact GELU of a sum with a bias.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::graph::{CubeKernels, register};
use super::sums::{ROWS, add_up_parts, chunk_grid, chunk_rows, column_sum};
use super::tensor::{
    all_f32, contiguous, elementwise, empty, hidden_states, lanes, matrix_dims, primitive, tensor,
};
use crate::composed;

/// The distribution function of the normal distribution.
#[cube]
fn normal_cdf<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let scaled = x * Vector::new(std::f32::consts::FRAC_1_SQRT_2);
    (Vector::erf(scaled) + Vector::new(1.0)) * Vector::new(0.5)
}

#[cube(launch)]
fn gelu_kernel<T: Numeric, N: Size>(
    input: &Array<Vector<T, N>>,
    bias: &Array<Vector<f32, N>>,
    output: &mut Array<Vector<T, N>>,
    columns: usize,
    #[define(T)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < output.len() {
        let x = Vector::<f32, N>::cast_from(input[ABSOLUTE_POS]) + bias[ABSOLUTE_POS % columns];
        output[ABSOLUTE_POS] = Vector::cast_from(x * normal_cdf::<N>(x));
    }
}

/// A cube takes a chunk of rows of some columns: the gradient of its part of the input, and its share of the bias'.
#[cube(launch)]
fn gelu_backward_kernel<T: Numeric, N: Size>(
    input: &Array<Vector<T, N>>,
    bias: &Array<Vector<f32, N>>,
    gradient: &Array<Vector<T, N>>,
    of_input: &mut Array<Vector<T, N>>,
    of_bias: &mut Array<Vector<f32, N>>,
    rows: usize,
    columns: usize,
    chunk: usize,
    #[define(T)] _dtype: StorageType,
) {
    let column = ABSOLUTE_POS_X as usize;
    let first = CUBE_POS_Y as usize * chunk;
    let end = min(first + chunk, rows);
    let mut sum = Vector::<f32, N>::new(0.0);
    if column < columns {
        let bias = bias[column];
        for row in range_stepped(first + UNIT_POS_Y as usize, end, comptime!(ROWS as usize)) {
            let at = row * columns + column;
            let x = Vector::<f32, N>::cast_from(input[at]) + bias;
            // 1 / sqrt(2 pi)
            let density = Vector::exp(x * x * Vector::new(-0.5)) * Vector::new(0.398_942_3);
            let slope = x * density + normal_cdf::<N>(x);
            let product = Vector::<f32, N>::cast_from(gradient[at]) * slope;
            of_input[at] = Vector::cast_from(product);
            sum += product;
        }
    }
    let sum = column_sum::<N>(sum);
    if UNIT_POS_Y == 0 && column < columns {
        of_bias[CUBE_POS_Y as usize * columns + column] = sum;
    }
}

fn forward<R: CubeRuntime>(input: &CubeTensor<R>, bias: &CubeTensor<R>) -> CubeTensor<R> {
    let [rows, width] = matrix_dims(input);
    let output = empty(input, [rows, width], input.dtype);
    let lanes = lanes(width);
    let (count, dim) = elementwise(rows * width / lanes);
    gelu_kernel::launch(
        &input.client,
        count,
        dim,
        lanes,
        input.clone().into_array_arg(),
        bias.clone().into_array_arg(),
        output.clone().into_array_arg(),
        width / lanes,
        input.dtype.into(),
    );
    output
}

/// Gradients of the input and of the bias.
fn backward<R: CubeRuntime>(
    input: CubeTensor<R>,
    bias: CubeTensor<R>,
    gradient: CubeTensor<R>,
) -> [CubeTensor<R>; 2] {
    let [rows, width] = matrix_dims(&input);
    let chunk = chunk_rows(rows);
    let chunks = rows.div_ceil(chunk).max(1);
    let of_input = empty(&input, [rows, width], input.dtype);
    let of_bias = empty(&input, [chunks, width], DType::F32);
    let lanes = lanes(width);
    let (count, dim) = chunk_grid(width / lanes, chunks);
    let (client, dtype) = (input.client.clone(), input.dtype);
    gelu_backward_kernel::launch(
        &client,
        count,
        dim,
        lanes,
        input.into_array_arg(),
        bias.into_array_arg(),
        gradient.into_array_arg(),
        of_input.clone().into_array_arg(),
        of_bias.clone().into_array_arg(),
        rows,
        width / lanes,
        chunk,
        dtype.into(),
    );
    let [of_bias] = add_up_parts(of_bias);
    [of_input, of_bias]
}

#[derive(Debug)]
struct BiasGelu;

impl<B: CubeKernels> Backward<B, 2> for BiasGelu {
    /// Input and bias.
    type State = [CubeTensor<B::Runtime>; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_bias] = ops.parents.map(|node| node.map(|node| node.id));
        let [input, bias] = ops.state;
        let gradient = contiguous(gradients.consume::<B>(&ops.node));
        let [of_input, of_bias] = backward(input, bias, gradient);
        register::<B>(gradients, to_input, Some(of_input));
        register::<B>(gradients, to_bias, Some(of_bias));
    }
}

fn has_kernel(input: DType, bias: DType) -> bool {
    hidden_states(&[input]) && all_f32(&[bias])
}

/// [`Kernels::bias_gelu`](crate::Kernels::bias_gelu).
pub(super) fn without_graph<B: CubeKernels>(
    input: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 2> {
    if !has_kernel(input.dtype(), bias.dtype()) {
        return composed::bias_gelu(input, bias);
    }
    let (input, bias) = (contiguous(primitive(input)), contiguous(primitive(bias)));
    tensor(forward(&input, &bias))
}

/// [`Kernels::bias_gelu_on_graph`](crate::Kernels::bias_gelu_on_graph).
pub(super) fn on_graph<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    bias: Tensor<Autodiff<B, C>, 1>,
) -> Tensor<Autodiff<B, C>, 2> {
    if !has_kernel(input.dtype(), bias.dtype()) {
        return composed::bias_gelu(input, bias);
    }
    let (input, bias) = (primitive(input), primitive(bias));
    let nodes = [input.node, bias.node];
    let state = [input.primitive, bias.primitive].map(contiguous);
    let output = forward(&state[0], &state[1]);
    let prepared = Backward::<B, 2>::prepare::<C>(BiasGelu, nodes).compute_bound();
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    })
}
