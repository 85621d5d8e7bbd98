//! LayerNorm with what stands around it: bias, dropout and residual before, or dropout behind.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn_tch::TchTensor;
use tch::Kind;

use super::aten::{self, Normalised};
use super::dropout::Mask;
use super::gelu::biased;
use super::linear::column_sums;
use super::tensor::{Torch, at_least_f32, cast, contiguous, fresh, primitive, tensor};
use crate::Norm;
use crate::graph::{self, Operation};

/// Scale, shift and epsilon.
struct Parameters {
    gamma: TchTensor,
    beta: TchTensor,
    eps: f64,
}

impl From<Norm<Torch>> for Parameters {
    fn from(norm: Norm<Torch>) -> Self {
        Self {
            gamma: primitive(norm.gamma),
            beta: primitive(norm.beta),
            eps: norm.eps,
        }
    }
}

/// What a LayerNorm keeps for its backward pass.
#[derive(Clone, Debug)]
struct Kept {
    input: TchTensor,
    mean: TchTensor,
    rstd: TchTensor,
    gamma: TchTensor,
    beta: TchTensor,
    mask: Option<Mask>,
    /// Types of the gradients of what came in.
    kinds: [Kind; 3],
}

/// LayerNorm of rows, and what is kept. `kinds` are those of input, bias and residual; `mask` is what was, or will be,
/// applied.
fn normalise(
    input: TchTensor,
    norm: Parameters,
    mask: Option<Mask>,
    kinds: [Kind; 3],
) -> (TchTensor, Kept) {
    let Parameters { gamma, beta, eps } = norm;
    let [input, gamma, beta] = [input, gamma, beta].map(|it| contiguous(at_least_f32(it)));
    let width = input.tensor.size()[1];
    let (output, mean, rstd) =
        (input.tensor).native_layer_norm(width, Some(&gamma.tensor), Some(&beta.tensor), eps);
    let kept = Kept {
        input,
        mean: fresh(mean),
        rstd: fresh(rstd),
        gamma,
        beta,
        mask,
        kinds,
    };
    (fresh(output), kept)
}

impl Kept {
    /// Gradients of what was normalised, of scale and of shift.
    fn of_norm(&self, gradient: &tch::Tensor, wanted: [bool; 3]) -> [Option<tch::Tensor>; 3] {
        let of = Normalised {
            input: &self.input.tensor,
            mean: &self.mean.tensor,
            rstd: &self.rstd.tensor,
            gamma: &self.gamma.tensor,
            beta: &self.beta.tensor,
        };
        aten::layer_norm_backward(gradient, &of, wanted)
    }
}

/// `layer_norm(dropout(input + bias) + residual)`.
#[derive(Clone, Debug)]
struct Residual(Kept);

impl Operation<Torch, 5> for Residual {
    fn backward(self, gradient: TchTensor, wanted: [bool; 5]) -> [Option<TchTensor>; 5] {
        let Self(kept) = self;
        let [to_input, to_bias, to_residual, to_gamma, to_beta] = wanted;
        let gradient = contiguous(at_least_f32(gradient));
        let to_sum = to_input || to_bias || to_residual;
        let [of_sum, of_gamma, of_beta] =
            kept.of_norm(&gradient.tensor, [to_sum, to_gamma, to_beta]);
        let of_sum = of_sum.map(fresh);
        let of_input = match (&of_sum, &kept.mask) {
            (Some(of_sum), Some(mask)) if to_input || to_bias => {
                Some(fresh(mask.apply(&of_sum.tensor)))
            }
            (of_sum, _) => of_sum.clone(),
        };
        let [input, bias, residual] = kept.kinds;
        let of_bias = match &of_input {
            Some(of_input) if to_bias => Some(fresh(column_sums(&of_input.tensor, bias))),
            _ => None,
        };
        [
            of_input.map(|it| cast(it, input)),
            of_bias,
            of_sum.map(|it| cast(it, residual)),
            of_gamma.map(fresh),
            of_beta.map(fresh),
        ]
    }
}

/// `dropout(layer_norm(input))`.
#[derive(Clone, Debug)]
struct Behind(Kept);

impl Operation<Torch, 3> for Behind {
    fn backward(self, gradient: TchTensor, wanted: [bool; 3]) -> [Option<TchTensor>; 3] {
        let Self(kept) = self;
        let mut gradient = contiguous(at_least_f32(gradient));
        if let Some(mask) = &kept.mask {
            gradient = fresh(mask.apply(&gradient.tensor));
        }
        let [of_input, of_gamma, of_beta] = kept.of_norm(&gradient.tensor, wanted);
        [
            of_input.map(|it| cast(fresh(it), kept.kinds[0])),
            of_gamma.map(fresh),
            of_beta.map(fresh),
        ]
    }
}

/// `dropout(input) + residual`, in at least f32, as the input is.
fn sum(mut input: TchTensor, residual: TchTensor, mask: Option<&Mask>) -> TchTensor {
    let residual = at_least_f32(residual);
    if let Some(mask) = mask {
        let kept = &mask.kept.tensor;
        return fresh(aten::addcmul(
            &residual.tensor,
            &input.tensor,
            kept,
            mask.scale,
        ));
    }
    match input.mut_ops(|input| input.g_add_(&residual.tensor)) {
        Some(sum) => sum,
        None => fresh(input.tensor.g_add(&residual.tensor)),
    }
}

/// [`Kernels::residual_layer_norm`](crate::Kernels::residual_layer_norm).
pub(super) fn residual_without_graph(
    input: Tensor<Torch, 2>,
    bias: Tensor<Torch, 1>,
    residual: Tensor<Torch, 2>,
    norm: Norm<Torch>,
) -> Tensor<Torch, 2> {
    let input = primitive(input);
    let kind = input.tensor.kind();
    let sum = sum(biased(input, primitive(bias)), primitive(residual), None);
    tensor(cast(normalise(sum, norm.into(), None, [kind; 3]).0, kind))
}

/// [`Kernels::residual_layer_norm_on_graph`](crate::Kernels::residual_layer_norm_on_graph).
pub(super) fn residual_on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    bias: Tensor<Autodiff<Torch, C>, 1>,
    residual: Tensor<Autodiff<Torch, C>, 2>,
    norm: Norm<Autodiff<Torch, C>>,
    dropout: f64,
) -> Tensor<Autodiff<Torch, C>, 2> {
    let draw = |like: &tch::Tensor| Mask::draw(dropout, like);
    residual_with_mask(input, bias, residual, norm, draw)
}

/// With a mask of the caller's.
pub(super) fn residual_with_mask<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    bias: Tensor<Autodiff<Torch, C>, 1>,
    residual: Tensor<Autodiff<Torch, C>, 2>,
    norm: Norm<Autodiff<Torch, C>>,
    draw: impl FnOnce(&tch::Tensor) -> Option<Mask>,
) -> Tensor<Autodiff<Torch, C>, 2> {
    let parents = [
        primitive(input),
        primitive(bias),
        primitive(residual),
        primitive(norm.gamma),
        primitive(norm.beta),
    ];
    let eps = norm.eps;
    tensor(graph::on_graph::<_, C, Residual, 5>(
        parents,
        |[input, bias, residual, gamma, beta], _| {
            let kinds = [&input, &bias, &residual].map(|it| it.tensor.kind());
            let input = biased(input, bias);
            let mask = draw(&input.tensor);
            let sum = sum(input, residual, mask.as_ref());
            let (output, kept) = normalise(sum, Parameters { gamma, beta, eps }, mask, kinds);
            (cast(output, kinds[0]), Residual(kept))
        },
    ))
}

/// [`Kernels::layer_norm_dropout`](crate::Kernels::layer_norm_dropout).
pub(super) fn dropout_without_graph(
    input: Tensor<Torch, 2>,
    norm: Norm<Torch>,
) -> Tensor<Torch, 2> {
    let input = primitive(input);
    let kind = input.tensor.kind();
    tensor(cast(normalise(input, norm.into(), None, [kind; 3]).0, kind))
}

/// [`Kernels::layer_norm_dropout_on_graph`](crate::Kernels::layer_norm_dropout_on_graph).
pub(super) fn dropout_on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    norm: Norm<Autodiff<Torch, C>>,
    dropout: f64,
) -> Tensor<Autodiff<Torch, C>, 2> {
    dropout_with_mask(input, norm, |like| Mask::draw(dropout, like))
}

/// With a mask of the caller's.
pub(super) fn dropout_with_mask<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Torch, C>, 2>,
    norm: Norm<Autodiff<Torch, C>>,
    draw: impl FnOnce(&tch::Tensor) -> Option<Mask>,
) -> Tensor<Autodiff<Torch, C>, 2> {
    let eps = norm.eps;
    let parents = [
        primitive(input),
        primitive(norm.gamma),
        primitive(norm.beta),
    ];
    tensor(graph::on_graph::<_, C, Behind, 3>(
        parents,
        |[input, gamma, beta], _| {
            let kinds = [input.tensor.kind(); 3];
            let (mut output, mut kept) =
                normalise(input, Parameters { gamma, beta, eps }, None, kinds);
            kept.mask = draw(&output.tensor);
            if let Some(mask) = &kept.mask {
                output = fresh(mask.apply(&output.tensor));
            }
            (cast(output, kinds[0]), Behind(kept))
        },
    ))
}
