//! LayerNorm with its neighbours, as nodes of the graph.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;

use super::dropout::Mask;
use super::graph::{CubeKernels, register};
use super::norm_kernels::{Normalised, WIDEST, backward, forward};
use super::sums::add_up_parts;
use super::tensor::{all_f32, contiguous, hidden_states, primitive, tensor};
use crate::{Norm, composed};

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State<R: CubeRuntime> {
    kept: Normalised<R>,
    gamma: CubeTensor<R>,
    mask: Option<Mask<R>>,
}

#[derive(Debug)]
struct ResidualLayerNorm;

impl<B: CubeKernels> Backward<B, 5> for ResidualLayerNorm {
    type State = State<B::Runtime>;

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        let [to_input, to_bias, to_residual, to_gamma, to_beta] = parents;
        let gradient = contiguous(gradients.consume::<B>(&ops.node));
        let State { kept, gamma, mask } = ops.state;
        let of = backward(gradient, kept, gamma, mask.as_ref(), true);
        if to_gamma.is_some() || to_beta.is_some() || to_bias.is_some() {
            let [of_gamma, of_beta, of_bias] = add_up_parts(of.sums);
            register::<B>(gradients, to_gamma, Some(of_gamma));
            register::<B>(gradients, to_beta, Some(of_beta));
            register::<B>(gradients, to_bias, Some(of_bias));
        }
        register::<B>(gradients, to_input, Some(of.of_input));
        register::<B>(gradients, to_residual, Some(of.of_sum));
    }
}

#[derive(Debug)]
struct LayerNormDropout;

impl<B: CubeKernels> Backward<B, 3> for LayerNormDropout {
    type State = State<B::Runtime>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_gamma, to_beta] = ops.parents.map(|node| node.map(|node| node.id));
        let gradient = contiguous(gradients.consume::<B>(&ops.node));
        let State { kept, gamma, mask } = ops.state;
        let of = backward(gradient, kept, gamma, mask.as_ref(), false);
        if to_gamma.is_some() || to_beta.is_some() {
            let [of_gamma, of_beta] = add_up_parts(of.sums);
            register::<B>(gradients, to_gamma, Some(of_gamma));
            register::<B>(gradients, to_beta, Some(of_beta));
        }
        register::<B>(gradients, to_input, Some(of.of_sum));
    }
}

/// Whether there is a kernel for hidden states and parameters of these types, and rows of this width.
fn has_kernel(hidden: &[DType], parameters: &[DType], width: usize) -> bool {
    hidden_states(hidden) && all_f32(parameters) && (1..=WIDEST).contains(&width)
}

/// [`Kernels::residual_layer_norm`](crate::Kernels::residual_layer_norm).
pub(super) fn residual_without_graph<B: CubeKernels>(
    input: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    residual: Tensor<B, 2>,
    norm: Norm<B>,
    dropout: f64,
) -> Tensor<B, 2> {
    let hidden = [input.dtype(), residual.dtype()];
    let parameters = [bias.dtype(), norm.gamma.dtype(), norm.beta.dtype()];
    if !has_kernel(&hidden, &parameters, input.dims()[1]) {
        return composed::residual_layer_norm(input, bias, residual, norm, dropout);
    }
    let before = [primitive(bias), primitive(residual)].map(contiguous);
    let affine = [primitive(norm.gamma), primitive(norm.beta)].map(contiguous);
    let input = contiguous(primitive(input));
    tensor(forward(input, Some(before), affine, norm.eps, None, false).0)
}

/// [`Kernels::residual_layer_norm_on_graph`](crate::Kernels::residual_layer_norm_on_graph).
pub(super) fn residual_on_graph<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    bias: Tensor<Autodiff<B, C>, 1>,
    residual: Tensor<Autodiff<B, C>, 2>,
    norm: Norm<Autodiff<B, C>>,
    dropout: f64,
) -> Tensor<Autodiff<B, C>, 2> {
    let hidden = [input.dtype(), residual.dtype()];
    let parameters = [bias.dtype(), norm.gamma.dtype(), norm.beta.dtype()];
    if !has_kernel(&hidden, &parameters, input.dims()[1]) {
        return composed::residual_layer_norm(input, bias, residual, norm, dropout);
    }
    let mask = Mask::draw(dropout, &primitive(input.clone()).primitive);
    residual_with_mask(input, bias, residual, norm, mask)
}

/// With a mask of the caller's.
pub(super) fn residual_with_mask<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    bias: Tensor<Autodiff<B, C>, 1>,
    residual: Tensor<Autodiff<B, C>, 2>,
    norm: Norm<Autodiff<B, C>>,
    mask: Option<Mask<B::Runtime>>,
) -> Tensor<Autodiff<B, C>, 2> {
    let (input, bias, residual) = (primitive(input), primitive(bias), primitive(residual));
    let (gamma, beta) = (primitive(norm.gamma), primitive(norm.beta));
    let nodes = [input.node, bias.node, residual.node, gamma.node, beta.node];
    let before = [bias.primitive, residual.primitive].map(contiguous);
    let affine = [gamma.primitive, beta.primitive].map(contiguous);
    let gamma = affine[0].clone();
    let prepared = Backward::<B, 5>::prepare::<C>(ResidualLayerNorm, nodes).compute_bound();
    let input = contiguous(input.primitive);
    let run = |keep| forward(input, Some(before), affine, norm.eps, mask.as_ref(), keep);
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, kept) = run(true);
            let kept = kept.expect("it was to be kept");
            prepared.finish(State { kept, gamma, mask }, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(run(false).0),
    })
}

/// [`Kernels::layer_norm_dropout`](crate::Kernels::layer_norm_dropout).
pub(super) fn dropout_without_graph<B: CubeKernels>(
    input: Tensor<B, 2>,
    norm: Norm<B>,
    dropout: f64,
) -> Tensor<B, 2> {
    let parameters = [norm.gamma.dtype(), norm.beta.dtype()];
    if !has_kernel(&[input.dtype()], &parameters, input.dims()[1]) {
        return composed::layer_norm_dropout(input, norm, dropout);
    }
    let affine = [primitive(norm.gamma), primitive(norm.beta)].map(contiguous);
    let input = contiguous(primitive(input));
    tensor(forward(input, None, affine, norm.eps, None, false).0)
}

/// [`Kernels::layer_norm_dropout_on_graph`](crate::Kernels::layer_norm_dropout_on_graph).
pub(super) fn dropout_on_graph<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    norm: Norm<Autodiff<B, C>>,
    dropout: f64,
) -> Tensor<Autodiff<B, C>, 2> {
    let parameters = [norm.gamma.dtype(), norm.beta.dtype()];
    if !has_kernel(&[input.dtype()], &parameters, input.dims()[1]) {
        return composed::layer_norm_dropout(input, norm, dropout);
    }
    let mask = Mask::draw(dropout, &primitive(input.clone()).primitive);
    dropout_with_mask(input, norm, mask)
}

/// With a mask of the caller's.
pub(super) fn dropout_with_mask<B: CubeKernels, C: CheckpointStrategy>(
    input: Tensor<Autodiff<B, C>, 2>,
    norm: Norm<Autodiff<B, C>>,
    mask: Option<Mask<B::Runtime>>,
) -> Tensor<Autodiff<B, C>, 2> {
    let input = primitive(input);
    let (gamma, beta) = (primitive(norm.gamma), primitive(norm.beta));
    let nodes = [input.node, gamma.node, beta.node];
    let affine = [gamma.primitive, beta.primitive].map(contiguous);
    let gamma = affine[0].clone();
    let prepared = Backward::<B, 3>::prepare::<C>(LayerNormDropout, nodes).compute_bound();
    let input = contiguous(input.primitive);
    let run = |keep| forward(input, None, affine, norm.eps, mask.as_ref(), keep);
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, kept) = run(true);
            let kept = kept.expect("it was to be kept");
            prepared.finish(State { kept, gamma, mask }, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(run(false).0),
    })
}
