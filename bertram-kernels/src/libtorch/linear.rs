//! A linear layer: the bias goes into the product, and its gradient is one sum.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn_tch::TchTensor;

use super::tensor::{Torch, cast, fresh, primitive, tensor};
use crate::graph::{self, Operation};

/// The input where the weight is tracked, and the weight where the input is; both in the type of the product.
#[derive(Clone, Debug)]
struct Kept {
    input: Option<TchTensor>,
    weight: Option<TchTensor>,
    /// Types of weight and bias, which their gradients have.
    parameters: [tch::Kind; 2],
}

impl Kept {
    fn new(
        input: &TchTensor,
        weight: &TchTensor,
        tracked: [bool; 2],
        kinds: [tch::Kind; 2],
    ) -> Self {
        let [input_tracked, weight_tracked] = tracked;
        Self {
            input: weight_tracked.then(|| input.clone()),
            weight: input_tracked.then(|| weight.clone()),
            parameters: kinds,
        }
    }

    fn of_input(&self, gradient: &TchTensor) -> Option<TchTensor> {
        let weight = self.weight.as_ref()?;
        Some(fresh(gradient.tensor.mm(&weight.tensor.tr())))
    }

    fn of_weight(&self, gradient: &TchTensor) -> Option<TchTensor> {
        let input = self.input.as_ref()?;
        let product = fresh(input.tensor.tr().mm(&gradient.tensor));
        Some(cast(product, self.parameters[0]))
    }
}

impl Operation<Torch, 3> for Kept {
    fn backward(self, gradient: TchTensor, wanted: [bool; 3]) -> [Option<TchTensor>; 3] {
        let [_, _, to_bias] = wanted;
        let of_bias = || fresh(column_sums(&gradient.tensor, self.parameters[1]));
        [
            self.of_input(&gradient),
            self.of_weight(&gradient),
            to_bias.then(of_bias),
        ]
    }
}

impl Operation<Torch, 2> for Kept {
    fn backward(self, gradient: TchTensor, _wanted: [bool; 2]) -> [Option<TchTensor>; 2] {
        [self.of_input(&gradient), self.of_weight(&gradient)]
    }
}

/// Sums of the columns of a matrix.
pub(super) fn column_sums(matrix: &tch::Tensor, kind: tch::Kind) -> tch::Tensor {
    matrix.sum_dim_intlist(0i64, false, kind)
}

fn forward(input: &TchTensor, weight: &TchTensor, bias: TchTensor) -> TchTensor {
    let bias = cast(bias, input.tensor.kind());
    fresh(bias.tensor.addmm(&input.tensor, &weight.tensor))
}

/// [`Kernels::linear_layer`](crate::Kernels::linear_layer).
pub(super) fn without_graph(
    input: Tensor<Torch, 2>,
    weight: Tensor<Torch, 2>,
    bias: Tensor<Torch, 1>,
) -> Tensor<Torch, 2> {
    let input = primitive(input);
    let weight = cast(primitive(weight), input.tensor.kind());
    tensor(forward(&input, &weight, primitive(bias)))
}

/// [`Kernels::linear_layer_on_graph`](crate::Kernels::linear_layer_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    weight: Tensor<Autodiff<Torch, C>, 2>,
    bias: Tensor<Autodiff<Torch, C>, 1>,
) -> Tensor<Autodiff<Torch, C>, 2> {
    let parents = [primitive(input), primitive(weight), primitive(bias)];
    tensor(graph::on_graph::<_, C, Kept, 3>(
        parents,
        |[input, weight, bias], [input_tracked, weight_tracked, _]| {
            let kinds = [weight.tensor.kind(), bias.tensor.kind()];
            let weight = cast(weight, input.tensor.kind());
            let kept = Kept::new(&input, &weight, [input_tracked, weight_tracked], kinds);
            (forward(&input, &weight, bias), kept)
        },
    ))
}

/// [`Kernels::product_on_graph`](crate::Kernels::product_on_graph).
pub(super) fn product_on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    weight: Tensor<Autodiff<Torch, C>, 2>,
) -> Tensor<Autodiff<Torch, C>, 2> {
    tensor(graph::on_graph::<_, C, Kept, 2>(
        [primitive(input), primitive(weight)],
        |[input, weight], tracked| {
            let kind = weight.tensor.kind();
            let weight = cast(weight, input.tensor.kind());
            let product = fresh(input.tensor.mm(&weight.tensor));
            let kept = Kept::new(&input, &weight, tracked, [kind; 2]);
            (product, kept)
        },
    ))
}
