//! A linear layer, and its product alone. The bias is added in place, and its gradient is one pass.
//!
//! burn-flex's own product writes its result three times: zeros first, and a copy that is aligned otherwise at the end.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;

use super::matrix::{Matrix, product};
use super::rows::{add_bias, column_sums};
use super::tensor::{all_f32, contiguous, from_values, matrix_dims, primitive, tensor, values};
use crate::composed;
use crate::graph::{self, Operation};

/// The input where the weight is tracked, and the weight where the input is.
#[derive(Clone, Debug)]
struct Kept {
    input: Option<FlexTensor>,
    weight: Option<FlexTensor>,
}

impl Kept {
    fn new(input: FlexTensor, weight: FlexTensor, [of_input, of_weight]: [bool; 2]) -> Self {
        Self {
            input: of_weight.then_some(input),
            weight: of_input.then_some(weight),
        }
    }

    fn of_input(&self, gradient: &FlexTensor) -> Option<FlexTensor> {
        let weight = Matrix::of(self.weight.as_ref()?);
        Some(matrix(Matrix::of(gradient), weight.transposed()))
    }

    fn of_weight(&self, gradient: &FlexTensor) -> Option<FlexTensor> {
        let input = Matrix::of(self.input.as_ref()?);
        Some(matrix(input.transposed(), Matrix::of(gradient)))
    }
}

impl Operation<Flex, 3> for Kept {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = contiguous(gradient);
        let [_, width] = matrix_dims(&gradient);
        let of_bias = || from_values(column_sums(values(&gradient), width), [width].into());
        let [_, _, to_bias] = wanted;
        [
            self.of_input(&gradient),
            self.of_weight(&gradient),
            to_bias.then(of_bias),
        ]
    }
}

impl Operation<Flex, 2> for Kept {
    fn backward(self, gradient: FlexTensor, _wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let gradient = contiguous(gradient);
        [self.of_input(&gradient), self.of_weight(&gradient)]
    }
}

/// The product of two matrices, as a tensor.
fn matrix(left: Matrix<'_>, right: Matrix<'_>) -> FlexTensor {
    let shape = [left.rows(), right.columns()];
    from_values(product(left, right), shape.into())
}

fn forward(input: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
    let (left, right) = (Matrix::of(input), Matrix::of(weight));
    let mut output = product(left, right);
    add_bias(&mut output, values(bias));
    from_values(output, [left.rows(), right.columns()].into())
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
    let [input, weight] = [input, weight].map(|it| contiguous(primitive(it)));
    tensor(forward(&input, &weight, &contiguous(primitive(bias))))
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
    let parents = [primitive(input), primitive(weight), primitive(bias)];
    tensor(graph::on_graph::<_, C, Kept, 3>(
        parents,
        |inputs, [of_input, of_weight, _]| {
            let [input, weight, bias] = inputs.map(contiguous);
            let output = forward(&input, &weight, &bias);
            (output, Kept::new(input, weight, [of_input, of_weight]))
        },
    ))
}

/// [`Kernels::product`](crate::Kernels::product).
pub(super) fn product_without_graph(
    input: Tensor<Flex, 2>,
    weight: Tensor<Flex, 2>,
) -> Tensor<Flex, 2> {
    if !all_f32(&[input.dtype(), weight.dtype()]) {
        return composed::product(input, weight);
    }
    let [input, weight] = [input, weight].map(|it| contiguous(primitive(it)));
    tensor(matrix(Matrix::of(&input), Matrix::of(&weight)))
}

/// [`Kernels::product_on_graph`](crate::Kernels::product_on_graph).
pub(super) fn product_on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    weight: Tensor<Autodiff<Flex, C>, 2>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !all_f32(&[input.dtype(), weight.dtype()]) {
        return composed::product(input, weight);
    }
    let parents = [primitive(input), primitive(weight)];
    tensor(graph::on_graph::<_, C, Kept, 2>(
        parents,
        |inputs, tracked| {
            let [input, weight] = inputs.map(contiguous);
            let output = matrix(Matrix::of(&input), Matrix::of(&weight));
            (output, Kept::new(input, weight, tracked))
        },
    ))
}
