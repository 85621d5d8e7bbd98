//! Multi-head attention, a head of a sequence at a time, where the heads lie.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Tensor, TensorMetadata};
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

use super::dropout::Mask;
use super::graph::register;
use super::matrix::{Heads, Matrix, MatrixMut};
use super::simd::{dot, exp, max, sum, vectorised};
use super::tensor::{all_f32, contiguous, from_values, matrix_dims, primitive, tensor, values};
use crate::{AttentionOptions, composed};

vectorised! {
/// Scores of queries become probabilities of `keys` keys. No bias is one of 0.
pub(super) fn softmax_rows(scores: &mut [f32], keys: usize, bias: &[f32]) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    for row in scores.chunks_exact_mut(keys) {
        for (score, bias) in row.iter_mut().zip(bias) {
            *score += bias;
        }
        let largest = max(row);
        for score in row.iter_mut() {
            *score = exp::<FMA>(*score - largest);
        }
        let share = 1.0 / sum(row);
        for probability in row.iter_mut() {
            *probability *= share;
        }
    }
}
}

vectorised! {
pub(super) fn drop_rows(probabilities: &[f32], dropped: &mut [f32], width: usize, mask: Mask, first: usize) {
    let rows = probabilities.chunks_exact(width).zip(dropped.chunks_exact_mut(width));
    for (index, (probabilities, dropped)) in rows.enumerate() {
        let mask = mask.row(first + index);
        for (column, (probability, dropped)) in probabilities.iter().zip(dropped).enumerate() {
            *dropped = probability * mask.factor(column);
        }
    }
}
}

vectorised! {
/// The gradient of what the values are weighted with becomes that of the scores; `dropped` becomes those weights.
pub(super) fn softmax_backward_rows(
    gradient: &mut [f32],
    probabilities: &[f32],
    dropped: &mut [f32],
    width: usize,
    mask: Option<Mask>,
    first: usize,
) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let rows = gradient.chunks_exact_mut(width).zip(probabilities.chunks_exact(width));
    for (index, (gradient, probabilities)) in rows.enumerate() {
        if let Some(mask) = mask {
            let mask = mask.row(first + index);
            let dropped = &mut dropped[index * width..][..width];
            let columns = gradient.iter_mut().zip(probabilities).zip(dropped);
            for (column, ((gradient, probability), dropped)) in columns.enumerate() {
                let factor = mask.factor(column);
                *gradient *= factor;
                *dropped = probability * factor;
            }
        }
        let along = dot::<FMA>(gradient, probabilities);
        for (gradient, probability) in gradient.iter_mut().zip(probabilities) {
            *gradient = (*gradient - along) * probability;
        }
    }
}
}

/// The layout of the heads, and the scale of their scores.
fn layout(rows: [usize; 2], batch: usize, heads: usize) -> (Heads, f32) {
    let [rows, hidden] = rows;
    let layout = Heads {
        batch,
        sequence: rows / batch.max(1),
        heads,
        width: hidden / heads,
    };
    (layout, (1.0 / (layout.width as f64).sqrt()) as f32)
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    /// Before dropout: `[batch * heads, sequence, sequence]`.
    probabilities: FlexTensor,
    heads: Heads,
    scale: f32,
    mask: Option<Mask>,
}

/// The context, and the probabilities if they are to be kept.
fn forward(
    [query, key, value, bias]: [&FlexTensor; 4],
    (heads, scale): (Heads, f32),
    mask: Option<Mask>,
    keep: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let shape = query.shape();
    let [query, key, value, bias] = [query, key, value, bias].map(values);
    let sequence = heads.sequence;
    let area = sequence * sequence;
    let pairs = heads.batch * heads.heads;
    let mut context = vec![0.0; heads.len()];
    let mut kept = vec![0.0; if keep { pairs * area } else { 0 }];

    let attend =
        |index: usize, mut context: MatrixMut<'_>, scores: &mut [f32], dropped: &mut Vec<f32>| {
            let bias = &bias[index / heads.heads * sequence..][..sequence];
            let (query, key) = (heads.get(query, index), heads.get(key, index));
            MatrixMut::new(scores, sequence, sequence, sequence).set_product(
                scale,
                query,
                key.transposed(),
            );
            softmax_rows(scores, sequence, bias);
            let weights = match mask {
                Some(mask) => {
                    dropped.resize(area, 0.0);
                    drop_rows(scores, dropped, sequence, mask, index * sequence);
                    &dropped[..]
                }
                None => scores,
            };
            let weights = Matrix::new(weights, sequence, sequence, sequence);
            context.set_product(1.0, weights, heads.get(value, index));
        };
    let contexts = heads.split(&mut context).into_par_iter().enumerate();
    if keep {
        contexts
            .zip(kept.par_chunks_mut(area.max(1)))
            .for_each_init(Vec::new, |dropped, ((index, context), scores)| {
                attend(index, context, scores, dropped);
            });
    } else {
        contexts.for_each_init(
            || (vec![0.0; area], Vec::new()),
            |(scores, dropped), (index, context)| attend(index, context, scores, dropped),
        );
    }
    let kept = keep.then(|| from_values(kept, [pairs, sequence, sequence].into()));
    (from_values(context, shape), kept)
}

/// Gradients of query, key and value.
fn backward(gradient: &FlexTensor, state: &State) -> [FlexTensor; 3] {
    let State {
        heads, scale, mask, ..
    } = *state;
    let shape = gradient.shape();
    let gradient = values(gradient);
    let [query, key, value] = [&state.query, &state.key, &state.value].map(values);
    let sequence = heads.sequence;
    let area = sequence * sequence;
    let mut results = [(); 3].map(|()| vec![0.0; heads.len()]);
    let [of_query, of_key, of_value] = &mut results;
    heads
        .split(of_query)
        .into_par_iter()
        .zip(heads.split(of_key))
        .zip(heads.split(of_value))
        .zip(values(&state.probabilities).par_chunks(area.max(1)))
        .enumerate()
        .for_each_init(
            || (vec![0.0; area], vec![0.0; area]),
            |(of_scores, dropped),
             (index, (((mut of_query, mut of_key), mut of_value), weights))| {
                let square = |values| Matrix::new(values, sequence, sequence, sequence);
                let gradient = heads.get(gradient, index);
                MatrixMut::new(of_scores, sequence, sequence, sequence).set_product(
                    1.0,
                    gradient,
                    heads.get(value, index).transposed(),
                );
                softmax_backward_rows(
                    of_scores,
                    weights,
                    dropped,
                    sequence,
                    mask,
                    index * sequence,
                );
                let weights = if mask.is_some() { dropped } else { weights };
                of_value.set_product(1.0, square(weights).transposed(), gradient);
                of_query.set_product(scale, square(of_scores), heads.get(key, index));
                of_key.set_product(
                    scale,
                    square(of_scores).transposed(),
                    heads.get(query, index),
                );
            },
        );
    results.map(|values| from_values(values, shape.clone()))
}

#[derive(Debug)]
struct Attention;

impl Backward<Flex, 3> for Attention {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let results = backward(&gradient, &ops.state);
        for (parent, result) in ops.parents.into_iter().zip(results) {
            register(gradients, parent.map(|node| node.id), Some(result));
        }
    }
}

fn has_kernel(query: DType, key: DType, value: DType, bias: DType) -> bool {
    all_f32(&[query, key, value, bias])
}

/// [`Kernels::self_attention`](crate::Kernels::self_attention).
pub(super) fn without_graph(
    query: Tensor<Flex, 2>,
    key: Tensor<Flex, 2>,
    value: Tensor<Flex, 2>,
    bias: Tensor<Flex, 4>,
    options: AttentionOptions,
) -> Tensor<Flex, 2> {
    if !has_kernel(query.dtype(), key.dtype(), value.dtype(), bias.dtype()) {
        return composed::self_attention(query, key, value, bias, options);
    }
    let batch = bias.dims()[0];
    let [query, key, value] = [query, key, value].map(|it| contiguous(primitive(it)));
    let bias = contiguous(primitive(bias));
    let layout = layout(matrix_dims(&query), batch, options.heads);
    tensor(forward([&query, &key, &value, &bias], layout, None, false).0)
}

/// [`Kernels::self_attention_on_graph`](crate::Kernels::self_attention_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    query: Tensor<Autodiff<Flex, C>, 2>,
    key: Tensor<Autodiff<Flex, C>, 2>,
    value: Tensor<Autodiff<Flex, C>, 2>,
    bias: Tensor<Autodiff<Flex, C>, 4>,
    options: AttentionOptions,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !has_kernel(query.dtype(), key.dtype(), value.dtype(), bias.dtype()) {
        return composed::self_attention(query, key, value, bias, options);
    }
    let mask = Mask::draw(options.dropout);
    with_mask(query, key, value, bias, options.heads, mask)
}

/// With a mask of the caller's. Its rows are those of `[batch * heads * sequence, sequence]`.
pub(super) fn with_mask<C: CheckpointStrategy>(
    query: Tensor<Autodiff<Flex, C>, 2>,
    key: Tensor<Autodiff<Flex, C>, 2>,
    value: Tensor<Autodiff<Flex, C>, 2>,
    bias: Tensor<Autodiff<Flex, C>, 4>,
    heads: usize,
    mask: Option<Mask>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    let batch = bias.dims()[0];
    let (query, key, value) = (primitive(query), primitive(key), primitive(value));
    let bias = contiguous(primitive(bias).primitive);
    let tracked = query.is_tracked() || key.is_tracked() || value.is_tracked();
    let nodes = [query.node, key.node, value.node];
    let [query, key, value] = [query.primitive, key.primitive, value.primitive].map(contiguous);
    let layout = layout(matrix_dims(&query), batch, heads);
    let (context, kept) = forward([&query, &key, &value, &bias], layout, mask, tracked);
    let prepared = Attention.prepare::<C>(nodes).compute_bound();
    tensor(match (prepared.stateful(), kept) {
        (OpsKind::Tracked(prepared), Some(probabilities)) => {
            let state = State {
                query,
                key,
                value,
                probabilities,
                heads: layout.0,
                scale: layout.1,
                mask,
            };
            prepared.finish(state, context)
        }
        (OpsKind::UnTracked(prepared), _) => prepared.finish(context),
        (OpsKind::Tracked(_), None) => unreachable!("a tracked parent has its probabilities kept"),
    })
}
