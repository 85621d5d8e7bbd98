//! LayerNorm with what stands before or after it: bias, dropout, residual connection.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorMetadata};
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

use super::dropout::{RowMasks, RowMasksView};
use super::graph::register;
use super::rows::{add_up, block_rows};
use super::simd::{dot, mul_add, sum, vectorised};
use super::tensor::{
    all_f32, contiguous, from_values, matrix_dims, primitive, tensor, values, values_mut,
};
use crate::{Norm, RowDropout, composed};

/// Where the dropout is, and what else comes before the norm.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// `norm(dropout(input + bias) + residual)`.
    Before {
        bias: &'a [f32],
        residual: &'a [f32],
    },
    /// `dropout(norm(input))`.
    After,
}

/// Scale, shift and epsilon.
#[derive(Clone, Copy)]
struct Affine<'a> {
    gamma: &'a [f32],
    beta: &'a [f32],
    eps: f32,
}

vectorised! {
/// `hidden` is the input, and becomes what is scaled: mean 0, variance 1. `first` is the number of its first row.
fn forward_rows<'a>(
    hidden: &mut [f32],
    output: &mut [f32],
    deviations: &mut [f32],
    place: Place<'a>,
    affine: Affine<'a>,
    mask: Option<RowMasksView<'a>>,
    first: usize,
) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let width = affine.gamma.len();
    let rows = hidden.chunks_exact_mut(width).zip(output.chunks_exact_mut(width));
    for (index, ((hidden, output), deviation)) in rows.zip(deviations).enumerate() {
        let row_mask = mask.map(|mask| mask.row(first + index));
        if let Place::Before { bias, residual } = place {
            let residual = &residual[index * width..][..width];
            let columns = hidden.iter_mut().zip(bias).zip(residual);
            match row_mask {
                Some(mask) => for (column, ((hidden, bias), residual)) in columns.enumerate() {
                    *hidden = mul_add::<FMA>(*hidden + bias, mask.factor(column), *residual);
                },
                None => for ((hidden, bias), residual) in columns {
                    *hidden += bias + residual;
                },
            }
        }
        let mean = sum(hidden) / width as f32;
        for value in hidden.iter_mut() {
            *value -= mean;
        }
        let variance = dot::<FMA>(hidden, hidden) / width as f32;
        *deviation = 1.0 / (variance + affine.eps).sqrt();
        let columns = hidden.iter_mut().zip(output.iter_mut()).zip(affine.gamma).zip(affine.beta);
        for (((hidden, output), gamma), beta) in columns {
            *hidden *= *deviation;
            *output = mul_add::<FMA>(*hidden, *gamma, *beta);
        }
        if let (Place::After, Some(mask)) = (place, row_mask) {
            for (column, output) in output.iter_mut().enumerate() {
                *output *= mask.factor(column);
            }
        }
    }
}
}

vectorised! {
/// The gradient of the norm's output becomes that of its input. `sums` are the gradients of gamma and beta, one after the
/// other; none where they are not wanted.
fn backward_rows(
    gradient: &mut [f32],
    normal: &[f32],
    deviations: &[f32],
    gamma: &[f32],
    sums: &mut [f32],
) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let width = gamma.len();
    let share = 1.0 / width as f32;
    let rows = gradient.chunks_exact_mut(width).zip(normal.chunks_exact(width));
    for ((gradient, normal), deviation) in rows.zip(deviations) {
        if !sums.is_empty() {
            let (of_gamma, of_beta) = sums.split_at_mut(width);
            let sums = of_gamma.iter_mut().zip(of_beta);
            for ((gradient, normal), (of_gamma, of_beta)) in gradient.iter().zip(normal).zip(sums) {
                *of_gamma = mul_add::<FMA>(*gradient, *normal, *of_gamma);
                *of_beta += gradient;
            }
        }
        for (gradient, gamma) in gradient.iter_mut().zip(gamma) {
            *gradient *= gamma;
        }
        let mean = sum(gradient) * share;
        let along = dot::<FMA>(gradient, normal) * share;
        for (gradient, normal) in gradient.iter_mut().zip(normal) {
            *gradient = mul_add::<FMA>(-along, *normal, *gradient - mean) * deviation;
        }
    }
}
}

vectorised! {
/// `output <- gradient mask`.
fn masked_rows<'a>(gradient: &[f32], output: &mut [f32], width: usize, mask: RowMasksView<'a>, first: usize) {
    let rows = gradient.chunks_exact(width).zip(output.chunks_exact_mut(width));
    for (index, (gradient, output)) in rows.enumerate() {
        let mask = mask.row(first + index);
        for (column, (gradient, output)) in gradient.iter().zip(output).enumerate() {
            *output = gradient * mask.factor(column);
        }
    }
}
}

vectorised! {
/// `gradient <- gradient mask`.
fn mask_rows<'a>(gradient: &mut [f32], width: usize, mask: RowMasksView<'a>, first: usize) {
    for (index, gradient) in gradient.chunks_exact_mut(width).enumerate() {
        let mask = mask.row(first + index);
        for (column, gradient) in gradient.iter_mut().enumerate() {
            *gradient *= mask.factor(column);
        }
    }
}
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State {
    /// Input of the scale: mean 0, variance 1.
    normal: FlexTensor,
    /// Of each row, 1 over the standard deviation.
    deviations: FlexTensor,
    gamma: FlexTensor,
    mask: Option<RowMasks>,
}

/// The primitives of a [`Norm`].
struct Parameters {
    gamma: FlexTensor,
    beta: FlexTensor,
    eps: f64,
}

fn forward(
    input: FlexTensor,
    before: Option<[&FlexTensor; 2]>,
    norm: Parameters,
    mask: Option<RowMasks>,
) -> (FlexTensor, State) {
    let view = mask.as_ref().map(RowMasks::view);
    let [rows, width] = matrix_dims(&input);
    let shape = input.shape();
    let mut normal = contiguous(input);
    let mut output = vec![0.0; rows * width];
    let mut deviations = vec![0.0; rows];
    let affine = Affine {
        gamma: values(&norm.gamma),
        beta: values(&norm.beta),
        eps: norm.eps as f32,
    };
    let size = block_rows(width);
    values_mut(&mut normal)
        .par_chunks_mut(size * width)
        .zip(output.par_chunks_mut(size * width))
        .zip(deviations.par_chunks_mut(size))
        .enumerate()
        .for_each(|(block, ((hidden, output), deviations))| {
            let first = block * size;
            let place = match before {
                Some([bias, residual]) => Place::Before {
                    bias: values(bias),
                    residual: &values(residual)[first * width..],
                },
                None => Place::After,
            };
            forward_rows(hidden, output, deviations, place, affine, view, first);
        });
    let state = State {
        normal,
        deviations: from_values(deviations, [rows].into()),
        gamma: norm.gamma,
        mask,
    };
    (from_values(output, shape), state)
}

/// Gradients of the norm's input, and of gamma and beta if wanted.
struct Backpropagated {
    input: FlexTensor,
    gamma: Option<FlexTensor>,
    beta: Option<FlexTensor>,
}

/// `mask` is that of a dropout after the norm.
fn backward(
    mut gradient: FlexTensor,
    state: &State,
    mask: Option<RowMasksView<'_>>,
    with_sums: bool,
) -> Backpropagated {
    let gamma = values(&state.gamma);
    let width = gamma.len();
    let size = block_rows(width);
    let parts = values_mut(&mut gradient)
        .par_chunks_mut(size * width)
        .zip(values(&state.normal).par_chunks(size * width))
        .zip(values(&state.deviations).par_chunks(size))
        .enumerate()
        .map(|(block, ((gradient, normal), deviations))| {
            let mut sums = vec![0.0; if with_sums { 2 * width } else { 0 }];
            if let Some(mask) = mask {
                mask_rows(gradient, width, mask, block * size);
            }
            backward_rows(gradient, normal, deviations, gamma, &mut sums);
            sums
        })
        .collect();
    let mut sums = with_sums.then(|| {
        let mut of_gamma = add_up(parts, 2 * width);
        let of_beta = of_gamma.split_off(width);
        [of_gamma, of_beta].map(|sums| from_values(sums, [width].into()))
    });
    let (gamma, beta) = match sums.take() {
        Some([gamma, beta]) => (Some(gamma), Some(beta)),
        None => (None, None),
    };
    Backpropagated {
        input: gradient,
        gamma,
        beta,
    }
}

/// The gradient through a dropout before the norm's sum, and its column sums if wanted.
fn masked(gradient: &FlexTensor, mask: RowMasksView<'_>) -> FlexTensor {
    let [rows, width] = matrix_dims(gradient);
    let size = block_rows(width);
    let mut output = vec![0.0; rows * width];
    output
        .par_chunks_mut(size * width)
        .zip(values(gradient).par_chunks(size * width))
        .enumerate()
        .for_each(|(block, (output, gradient))| {
            masked_rows(gradient, output, width, mask, block * size);
        });
    from_values(output, gradient.shape())
}

#[derive(Debug)]
struct ResidualLayerNorm;

impl Backward<Flex, 5> for ResidualLayerNorm {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        let [to_input, to_bias, to_residual, to_gamma, to_beta] = parents;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let with_sums = to_gamma.is_some() || to_beta.is_some();
        let of = backward(gradient, &ops.state, None, with_sums);
        register(gradients, to_gamma, of.gamma);
        register(gradients, to_beta, of.beta);
        if to_input.is_some() || to_bias.is_some() {
            let of_input = match &ops.state.mask {
                Some(mask) => masked(&of.input, mask.view()),
                None => of.input.clone(),
            };
            if to_bias.is_some() {
                let [_, width] = matrix_dims(&of_input);
                let sums = super::rows::column_sums(values(&of_input), width);
                register(gradients, to_bias, Some(from_values(sums, [width].into())));
            }
            register(gradients, to_input, Some(of_input));
        }
        register(gradients, to_residual, Some(of.input));
    }
}

#[derive(Debug)]
struct LayerNormDropout;

impl Backward<Flex, 3> for LayerNormDropout {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_input, to_gamma, to_beta] = ops.parents.map(|node| node.map(|node| node.id));
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let with_sums = to_gamma.is_some() || to_beta.is_some();
        let mask = ops.state.mask.as_ref().map(RowMasks::view);
        let of = backward(gradient, &ops.state, mask, with_sums);
        register(gradients, to_input, Some(of.input));
        register(gradients, to_gamma, of.gamma);
        register(gradients, to_beta, of.beta);
    }
}

/// [`Kernels::residual_layer_norm`](crate::Kernels::residual_layer_norm).
pub(super) fn residual_without_graph(
    input: Tensor<Flex, 2>,
    bias: Tensor<Flex, 1>,
    residual: Tensor<Flex, 2>,
    norm: Norm<Flex>,
    dropout: RowDropout,
) -> Tensor<Flex, 2> {
    let dtypes = [
        input.dtype(),
        bias.dtype(),
        residual.dtype(),
        norm.gamma.dtype(),
        norm.beta.dtype(),
    ];
    if !all_f32(&dtypes) {
        return composed::residual_layer_norm(input, bias, residual, norm, dropout.prob);
    }
    let bias = contiguous(primitive(bias));
    let residual = contiguous(primitive(residual));
    let norm = Parameters {
        gamma: contiguous(primitive(norm.gamma)),
        beta: contiguous(primitive(norm.beta)),
        eps: norm.eps,
    };
    tensor(forward(primitive(input), Some([&bias, &residual]), norm, None).0)
}

/// [`Kernels::residual_layer_norm_on_graph`](crate::Kernels::residual_layer_norm_on_graph).
pub(super) fn residual_on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    bias: Tensor<Autodiff<Flex, C>, 1>,
    residual: Tensor<Autodiff<Flex, C>, 2>,
    norm: Norm<Autodiff<Flex, C>>,
    dropout: RowDropout,
) -> Tensor<Autodiff<Flex, C>, 2> {
    let dtypes = [
        input.dtype(),
        bias.dtype(),
        residual.dtype(),
        norm.gamma.dtype(),
        norm.beta.dtype(),
    ];
    if !all_f32(&dtypes) {
        return composed::residual_layer_norm(input, bias, residual, norm, dropout.prob);
    }
    residual_with_mask(input, bias, residual, norm, RowMasks::draw(&dropout))
}

/// With a mask of the caller's.
pub(super) fn residual_with_mask<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    bias: Tensor<Autodiff<Flex, C>, 1>,
    residual: Tensor<Autodiff<Flex, C>, 2>,
    norm: Norm<Autodiff<Flex, C>>,
    mask: Option<RowMasks>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    let (input, bias, residual) = (primitive(input), primitive(bias), primitive(residual));
    let (gamma, beta) = (primitive(norm.gamma), primitive(norm.beta));
    let nodes = [input.node, bias.node, residual.node, gamma.node, beta.node];
    let before = [contiguous(bias.primitive), contiguous(residual.primitive)];
    let norm = Parameters {
        gamma: contiguous(gamma.primitive),
        beta: contiguous(beta.primitive),
        eps: norm.eps,
    };
    let (output, state) = forward(input.primitive, Some([&before[0], &before[1]]), norm, mask);
    let prepared = ResidualLayerNorm.prepare::<C>(nodes).compute_bound();
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    })
}

/// [`Kernels::layer_norm_dropout_on_graph`](crate::Kernels::layer_norm_dropout_on_graph).
pub(super) fn dropout_on_graph<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    norm: Norm<Autodiff<Flex, C>>,
    dropout: RowDropout,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !all_f32(&[input.dtype(), norm.gamma.dtype(), norm.beta.dtype()]) {
        return composed::layer_norm_dropout(input, norm, dropout.prob);
    }
    dropout_with_mask(input, norm, RowMasks::draw(&dropout))
}

/// With a mask of the caller's.
pub(super) fn dropout_with_mask<C: CheckpointStrategy>(
    input: Tensor<Autodiff<Flex, C>, 2>,
    norm: Norm<Autodiff<Flex, C>>,
    mask: Option<RowMasks>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    let (input, gamma, beta) = (
        primitive(input),
        primitive(norm.gamma),
        primitive(norm.beta),
    );
    let nodes = [input.node, gamma.node, beta.node];
    let norm = Parameters {
        gamma: contiguous(gamma.primitive),
        beta: contiguous(beta.primitive),
        eps: norm.eps,
    };
    let (output, state) = forward(input.primitive, None, norm, mask);
    let prepared = LayerNormDropout.prepare::<C>(nodes).compute_bound();
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    })
}
