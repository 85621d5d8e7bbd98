//! Attention as nodes of the graph: of queries, keys and values, and with their projections.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::cast;
use burn_cubecl::tensor::CubeTensor;

use super::dropout::Mask;
use super::graph::{CubeKernels, register};
use super::heads::{Attended, apart, attend, attend_backward, together};
use super::norm_kernels::WIDEST;
use super::product::{product, transposed};
use super::projections::{merge, pack, split, unpack};
use super::softmax::Heads;
use super::sums::column_parts;
use super::tensor::{all_f32, contiguous, hidden_states, matrix_dims, primitive, tensor};
use crate::{AttentionOptions, Projections, composed};

/// Heads of rows whose bias is `[batch, 1, 1, sequence]`.
fn heads_of(bias: [usize; 4], options: AttentionOptions) -> Heads {
    Heads {
        batch: bias[0],
        heads: options.heads,
        sequence: bias[3],
    }
}

/// What a head's scores are multiplied by.
fn scale(width: usize) -> f64 {
    1.0 / (width as f64).sqrt()
}

/// The bias as the kernels take it: `[batch, sequence]`, f32.
fn flat<R: CubeRuntime>(bias: CubeTensor<R>) -> CubeTensor<R> {
    contiguous(cast(bias, DType::F32))
}

fn has_kernel(hidden: &[DType], bias: DType, sequence: usize) -> bool {
    hidden_states(hidden) && hidden_states(&[bias]) && (1..=WIDEST).contains(&sequence)
}

#[derive(Debug)]
struct Attention;

impl<B: CubeKernels> Backward<B, 3> for Attention {
    type State = (Attended<B::Runtime>, Heads, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (kept, heads, scale) = ops.state;
        let gradient = apart(gradients.consume::<B>(&ops.node), heads);
        let [of_query, of_key, of_value] = attend_backward(kept, gradient);
        let of_query = B::float_mul_scalar(of_query, scale.into());
        let results = [of_query, of_key, of_value];
        for (parent, result) in ops.parents.into_iter().zip(results) {
            let result = together(result, heads);
            register::<B>(gradients, parent.map(|node| node.id), Some(result));
        }
    }
}

/// The context in rows, of queries, keys and values in rows.
fn attention<B: CubeKernels>(
    [query, key, value]: [CubeTensor<B::Runtime>; 3],
    bias: CubeTensor<B::Runtime>,
    heads: Heads,
    mask: Option<Mask<B::Runtime>>,
) -> (CubeTensor<B::Runtime>, Attended<B::Runtime>, f64) {
    let [_, hidden] = matrix_dims(&query);
    let scale = scale(hidden / heads.heads);
    let query = B::float_mul_scalar(query, scale.into());
    let apart = [query, key, value].map(|rows| apart(rows, heads));
    let (context, kept) = attend(apart, flat(bias), heads, mask);
    (together(context, heads), kept, scale)
}

/// [`Kernels::self_attention`](crate::Kernels::self_attention).
pub(super) fn without_graph<B: CubeKernels>(
    query: Tensor<B, 2>,
    key: Tensor<B, 2>,
    value: Tensor<B, 2>,
    bias: Tensor<B, 4>,
    options: AttentionOptions,
) -> Tensor<B, 2> {
    let heads = heads_of(bias.dims(), options);
    let hidden = [query.dtype(), key.dtype(), value.dtype()];
    if !has_kernel(&hidden, bias.dtype(), heads.sequence) {
        return composed::self_attention(query, key, value, bias, options);
    }
    let rows = [query, key, value].map(primitive);
    tensor(attention::<B>(rows, primitive(bias), heads, None).0)
}

/// [`Kernels::self_attention_on_graph`](crate::Kernels::self_attention_on_graph).
pub(super) fn on_graph<B: CubeKernels, C: CheckpointStrategy>(
    query: Tensor<Autodiff<B, C>, 2>,
    key: Tensor<Autodiff<B, C>, 2>,
    value: Tensor<Autodiff<B, C>, 2>,
    bias: Tensor<Autodiff<B, C>, 4>,
    options: AttentionOptions,
) -> Tensor<Autodiff<B, C>, 2> {
    let heads = heads_of(bias.dims(), options);
    let hidden = [query.dtype(), key.dtype(), value.dtype()];
    if !has_kernel(&hidden, bias.dtype(), heads.sequence) {
        return composed::self_attention(query, key, value, bias, options);
    }
    let (query, key, value) = (primitive(query), primitive(key), primitive(value));
    let nodes = [query.node, key.node, value.node];
    let rows = [query.primitive, key.primitive, value.primitive];
    let mask = Mask::draw(options.dropout, &rows[0]);
    let bias = primitive(bias).primitive;
    let (context, kept, scale) = attention::<B>(rows, bias, heads, mask);
    let prepared = Backward::<B, 3>::prepare::<C>(Attention, nodes).compute_bound();
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((kept, heads, scale), context),
        OpsKind::UnTracked(prepared) => prepared.finish(context),
    })
}

/// What the backward pass of [`Projected`] needs.
#[derive(Clone, Debug)]
struct State<R: CubeRuntime> {
    kept: Attended<R>,
    heads: Heads,
    scale: f64,
    /// Input of the projections.
    hidden: CubeTensor<R>,
    /// Their weights side by side, in the input's type.
    weight: CubeTensor<R>,
}

#[derive(Debug)]
struct Projected;

impl<B: CubeKernels> Backward<B, 7> for Projected {
    type State = State<B::Runtime>;

    fn backward(
        self,
        ops: Ops<Self::State, 7>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        let [to_hidden, to_weights @ .., _, _, _] = parents;
        let [_, _, _, _, to_biases @ ..] = parents;
        let State {
            kept,
            heads,
            scale,
            hidden,
            weight,
        } = ops.state;
        let gradient = apart(gradients.consume::<B>(&ops.node), heads);
        let gradient = merge(attend_backward(kept, gradient), heads, scale as f32);
        if to_hidden.is_some() {
            let of_hidden = product(gradient.clone(), transposed(weight), gradient.dtype);
            register::<B>(gradients, to_hidden, Some(of_hidden));
        }
        if to_weights.iter().any(Option::is_some) {
            let of_weights = product(transposed(hidden), gradient.clone(), DType::F32);
            for (parent, of_weight) in to_weights.into_iter().zip(unpack(of_weights)) {
                register::<B>(gradients, parent, Some(of_weight));
            }
        }
        if to_biases.iter().any(Option::is_some) {
            let of_biases: [_; 3] = column_parts(gradient);
            for (parent, of_bias) in to_biases.into_iter().zip(of_biases) {
                register::<B>(gradients, parent, Some(of_bias));
            }
        }
    }
}

/// The context, and what the backward pass needs.
fn projected<R: CubeRuntime>(
    hidden: CubeTensor<R>,
    weights: [CubeTensor<R>; 3],
    biases: [CubeTensor<R>; 3],
    bias: CubeTensor<R>,
    heads: Heads,
    mask: Option<Mask<R>>,
) -> (CubeTensor<R>, State<R>) {
    let dtype = hidden.dtype;
    let weight = pack(weights.map(contiguous), dtype);
    let width = weight.meta.shape()[1] / 3 / heads.heads;
    let scale = scale(width);
    let all = product(hidden.clone(), weight.clone(), dtype);
    let apart = split(all, biases.map(contiguous), heads, scale as f32);
    let (context, kept) = attend(apart, flat(bias), heads, mask);
    let state = State {
        kept,
        heads,
        scale,
        hidden,
        weight,
    };
    (together(context, heads), state)
}

fn projections_are_f32<B: burn::tensor::backend::Backend>(projections: &Projections<B>) -> bool {
    let weights = projections.weights.iter().map(Tensor::dtype);
    let biases = projections.biases.iter().map(Tensor::dtype);
    all_f32(&weights.chain(biases).collect::<Vec<_>>())
}

/// [`Kernels::projected_attention`](crate::Kernels::projected_attention).
pub(super) fn projected_without_graph<B: CubeKernels>(
    hidden: Tensor<B, 2>,
    projections: Projections<B>,
    bias: Tensor<B, 4>,
    options: AttentionOptions,
) -> Tensor<B, 2> {
    let heads = heads_of(bias.dims(), options);
    let known = has_kernel(&[hidden.dtype()], bias.dtype(), heads.sequence);
    if !known || !projections_are_f32(&projections) {
        return composed::projected_attention(hidden, projections, bias, options);
    }
    let weights = projections.weights.map(primitive);
    let biases = projections.biases.map(primitive);
    let (hidden, bias) = (primitive(hidden), primitive(bias));
    tensor(projected(hidden, weights, biases, bias, heads, None).0)
}

/// [`Kernels::projected_attention_on_graph`](crate::Kernels::projected_attention_on_graph).
pub(super) fn projected_on_graph<B: CubeKernels, C: CheckpointStrategy>(
    hidden: Tensor<Autodiff<B, C>, 2>,
    projections: Projections<Autodiff<B, C>>,
    bias: Tensor<Autodiff<B, C>, 4>,
    options: AttentionOptions,
) -> Tensor<Autodiff<B, C>, 2> {
    let mask = Mask::draw(options.dropout, &primitive(hidden.clone()).primitive);
    projected_with_mask(hidden, projections, bias, options, mask)
}

/// With a mask of the caller's: its matrices are the heads of the batch, each `[sequence, sequence]`.
pub(super) fn projected_with_mask<B: CubeKernels, C: CheckpointStrategy>(
    hidden: Tensor<Autodiff<B, C>, 2>,
    projections: Projections<Autodiff<B, C>>,
    bias: Tensor<Autodiff<B, C>, 4>,
    options: AttentionOptions,
    mask: Option<Mask<B::Runtime>>,
) -> Tensor<Autodiff<B, C>, 2> {
    let heads = heads_of(bias.dims(), options);
    let known = has_kernel(&[hidden.dtype()], bias.dtype(), heads.sequence);
    if !known || !projections_are_f32(&projections) {
        return composed::projected_attention(hidden, projections, bias, options);
    }
    let hidden = primitive(hidden);
    let [q, k, v] = projections.weights.map(primitive);
    let [qb, kb, vb] = projections.biases.map(primitive);
    let nodes = [
        hidden.node,
        q.node,
        k.node,
        v.node,
        qb.node,
        kb.node,
        vb.node,
    ];
    let (context, state) = projected(
        hidden.primitive,
        [q.primitive, k.primitive, v.primitive],
        [qb.primitive, kb.primitive, vb.primitive],
        primitive(bias).primitive,
        heads,
        mask,
    );
    let prepared = Backward::<B, 7>::prepare::<C>(Projected, nodes).compute_bound();
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, context),
        OpsKind::UnTracked(prepared) => prepared.finish(context),
    })
}
