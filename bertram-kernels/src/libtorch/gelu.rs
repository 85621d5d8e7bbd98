//! The exact GELU of a sum with a bias.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn_tch::TchTensor;
use tch::Kind;

use super::linear::column_sums;
use super::tensor::{Torch, at_least_f32, cast, fresh, primitive, tensor};
use crate::graph::{self, Operation};

/// PyTorch's name for the form without an approximation.
const EXACT: &str = "none";

/// The sum, and the types of input and bias.
#[derive(Clone, Debug)]
struct Kept {
    sum: TchTensor,
    kinds: [Kind; 2],
}

impl Operation<Torch, 2> for Kept {
    fn backward(self, gradient: TchTensor, wanted: [bool; 2]) -> [Option<TchTensor>; 2] {
        let [input, bias] = self.kinds;
        let gradient = cast(gradient, self.sum.tensor.kind());
        let of_sum = self.sum.tensor.gelu_backward(&gradient.tensor, EXACT);
        let of_bias = wanted[1].then(|| fresh(column_sums(&of_sum, bias)));
        [Some(cast(fresh(of_sum), input)), of_bias]
    }
}

/// `input + bias`, in at least f32; in place where nothing else holds the input.
pub(super) fn biased(input: TchTensor, bias: TchTensor) -> TchTensor {
    let (mut input, bias) = (at_least_f32(input), at_least_f32(bias));
    match input.mut_ops(|input| input.g_add_(&bias.tensor)) {
        Some(sum) => sum,
        None => fresh(input.tensor.g_add(&bias.tensor)),
    }
}

/// [`Kernels::bias_gelu`](crate::Kernels::bias_gelu).
pub(super) fn without_graph(input: Tensor<Torch, 2>, bias: Tensor<Torch, 1>) -> Tensor<Torch, 2> {
    let input = primitive(input);
    let kind = input.tensor.kind();
    let sum = biased(input, primitive(bias));
    tensor(cast(fresh(sum.tensor.gelu(EXACT)), kind))
}

/// [`Kernels::bias_gelu_on_graph`](crate::Kernels::bias_gelu_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    bias: Tensor<Autodiff<Torch, C>, 1>,
) -> Tensor<Autodiff<Torch, C>, 2> {
    tensor(graph::on_graph::<_, C, Kept, 2>(
        [primitive(input), primitive(bias)],
        |[input, bias], _| {
            let kinds = [input.tensor.kind(), bias.tensor.kind()];
            let sum = biased(input, bias);
            let result = cast(fresh(sum.tensor.gelu(EXACT)), kinds[0]);
            (result, Kept { sum, kinds })
        },
    ))
}
