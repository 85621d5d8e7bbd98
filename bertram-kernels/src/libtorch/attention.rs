//! Multi-head attention: on the CPU products of LibTorch's around its softmax, with a backward pass of our own; on other
//! devices what PyTorch chooses there (flash, memory-efficient or cuDNN attention), with PyTorch's own graph inside the
//! operation.
//!
//! On the CPU PyTorch has a fused kernel as well, without dropout: evaluation takes it.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::Kind;

use super::aten;
use super::dropout::Mask;
use super::tensor::{Torch, all_f32, contiguous, fresh, made_of, primitive, tensor};
use crate::graph::{self, Operation};
use crate::{AttentionOptions, composed};

/// How heads lie in matrices `[batch * sequence, heads * width]`. Queries may be of other sequences than keys and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    batch: i64,
    heads: i64,
    width: i64,
}

impl Heads {
    pub(super) fn new(matrix: &tch::Tensor, batch: i64, heads: usize) -> Self {
        let heads = heads as i64;
        Self {
            batch,
            heads,
            width: matrix.size()[1] / heads,
        }
    }

    fn scale(self) -> f64 {
        1.0 / (self.width as f64).sqrt()
    }

    /// A view `[batch, heads, sequence, width]`.
    fn split(self, matrix: &tch::Tensor) -> tch::Tensor {
        let sequence = matrix.size()[0] / self.batch.max(1);
        let shape = [self.batch, sequence, self.heads, self.width];
        matrix.view(shape).transpose(1, 2)
    }

    /// `[batch * heads, sequence, width]`, a copy where there are several heads and rows.
    fn stack(self, matrix: &tch::Tensor) -> tch::Tensor {
        let by_head = self.split(matrix);
        by_head.reshape([self.batch * self.heads, by_head.size()[2], self.width])
    }

    /// The matrix of [`stack`](Self::stack).
    fn unstack(self, stacked: &tch::Tensor) -> tch::Tensor {
        let shape = [self.batch, self.heads, stacked.size()[1], self.width];
        self.join(&stacked.view(shape))
    }

    /// The matrix of [`split`](Self::split).
    fn join(self, by_head: &tch::Tensor) -> tch::Tensor {
        let shape = [self.batch * by_head.size()[2], self.heads * self.width];
        by_head.transpose(1, 2).reshape(shape)
    }
}

/// `factor one other`, matrix by matrix.
fn product(factor: f64, one: &tch::Tensor, other: &tch::Tensor) -> tch::Tensor {
    if factor == 1.0 {
        return one.bmm(other);
    }
    let nothing = tch::Tensor::empty([1, 1, 1], (one.kind(), one.device()));
    nothing.baddbmm(one, other, 0.0, factor)
}

/// What the backward pass on the CPU needs.
#[derive(Clone, Debug)]
pub(super) struct OnCpu {
    heads: Heads,
    /// `[batch * heads, queries, width]`.
    query: TchTensor,
    /// `[batch * heads, sequence, width]`.
    key: TchTensor,
    value: TchTensor,
    /// `[batch * heads, queries, sequence]`, before dropout.
    probabilities: TchTensor,
    /// The mask, and the probabilities that stay, not scaled.
    dropout: Option<(Mask, TchTensor)>,
}

/// The context and what is kept, of contiguous matrices.
pub(super) fn forward_on_cpu(
    inputs: [&TchTensor; 3],
    bias: Option<&tch::Tensor>,
    heads: Heads,
    dropout: f64,
) -> (tch::Tensor, OnCpu) {
    // With one head, or one row, a stack is the matrix itself.
    let stacks = inputs.map(|it| made_of(heads.stack(&it.tensor), it));
    let [query, key, value] = stacks.each_ref().map(|it| &it.tensor);
    let keys = key.transpose(1, 2);
    let scores = match bias {
        Some(bias) => {
            let sequence = keys.size()[2];
            let bias = bias.expand([heads.batch, heads.heads, 1, sequence], false);
            let bias = bias.reshape([heads.batch * heads.heads, 1, sequence]);
            bias.baddbmm(query, &keys, 1.0, heads.scale())
        }
        None => product(heads.scale(), query, &keys),
    };
    let probabilities = scores.internal_softmax(-1, false);
    let mask = Mask::draw(dropout, &probabilities);
    let dropout = mask.map(|mask| {
        let stay = fresh(&probabilities * &mask.kept.tensor);
        (mask, stay)
    });
    let context = match &dropout {
        Some((mask, stay)) => product(mask.scale, &stay.tensor, value),
        None => product(1.0, &probabilities, value),
    };
    let [query, key, value] = stacks;
    let kept = OnCpu {
        heads,
        query,
        key,
        value,
        probabilities: fresh(probabilities),
        dropout,
    };
    (heads.unstack(&context), kept)
}

impl OnCpu {
    pub(super) fn backward(self, gradient: &tch::Tensor) -> [tch::Tensor; 3] {
        let heads = self.heads;
        let gradient = heads.stack(gradient);
        let values = self.value.tensor.transpose(1, 2);
        let (of_value, of_weights) = match &self.dropout {
            Some((mask, stay)) => {
                let of_value = product(mask.scale, &stay.tensor.transpose(1, 2), &gradient);
                let mut of_weights = product(mask.scale, &gradient, &values);
                (of_value, of_weights.g_mul_(&mask.kept.tensor))
            }
            None => {
                let weights = self.probabilities.tensor.transpose(1, 2);
                (weights.bmm(&gradient), gradient.bmm(&values))
            }
        };
        let of_scores = tch::Tensor::internal_softmax_backward_data(
            &of_weights,
            &self.probabilities.tensor,
            -1,
            Kind::Float,
        );
        let of_query = product(heads.scale(), &of_scores, &self.key.tensor);
        let of_key = product(
            heads.scale(),
            &of_scores.transpose(1, 2),
            &self.query.tensor,
        );
        [of_query, of_key, of_value].map(|it| heads.unstack(&it))
    }
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    OnCpu(OnCpu),
    /// Leaves and result of PyTorch's own graph.
    Recorded {
        leaves: [TchTensor; 3],
        result: TchTensor,
    },
    /// No backward pass comes.
    Nothing,
}

impl Kept {
    /// Gradients of query, key and value, of that of the context, which is contiguous.
    fn gradients(self, gradient: &tch::Tensor) -> Option<[tch::Tensor; 3]> {
        match self {
            Kept::OnCpu(kept) => Some(kept.backward(gradient)),
            Kept::Recorded { leaves, result } => {
                let leaves = leaves.each_ref().map(|leaf| &leaf.tensor);
                Some(aten::attention_backward(gradient, &result.tensor, leaves))
            }
            Kept::Nothing => None,
        }
    }
}

impl Operation<Torch, 3> for Kept {
    fn backward(self, gradient: TchTensor, _wanted: [bool; 3]) -> [Option<TchTensor>; 3] {
        match self.gradients(&contiguous(gradient).tensor) {
            Some(found) => found.map(|gradient| Some(fresh(gradient))),
            None => [None, None, None],
        }
    }
}

/// On the CPU there are kernels for f32; other devices have them for all types that PyTorch computes in.
fn has_kernel(tensors: [&TchTensor; 3]) -> bool {
    let on_cpu = tensors[0].tensor.device() == tch::Device::Cpu;
    !on_cpu || all_f32(tensors)
}

/// Attention on the CPU without a backward pass.
pub(super) fn once_on_cpu(
    inputs: [&tch::Tensor; 3],
    bias: Option<&tch::Tensor>,
    heads: Heads,
) -> tch::Tensor {
    let [query, key, value] = inputs.map(|it| heads.split(it));
    let scale = heads.scale();
    let (context, _) = tch::Tensor::internal_scaled_dot_product_flash_attention_for_cpu(
        &query, &key, &value, 0.0, false, bias, scale,
    );
    heads.join(&context)
}

/// Attention without a backward pass.
fn without_backward(inputs: [&tch::Tensor; 3], bias: &tch::Tensor, heads: Heads) -> tch::Tensor {
    if inputs[0].device() != tch::Device::Cpu {
        return aten::attention(inputs, bias, heads.heads, 0.0, false).0;
    }
    once_on_cpu(inputs, Some(bias), heads)
}

/// [`Kernels::self_attention`](crate::Kernels::self_attention).
pub(super) fn without_graph(
    query: Tensor<Torch, 2>,
    key: Tensor<Torch, 2>,
    value: Tensor<Torch, 2>,
    bias: Tensor<Torch, 4>,
    options: AttentionOptions,
) -> Tensor<Torch, 2> {
    let batch = bias.dims()[0] as i64;
    let inputs = [query.clone(), key.clone(), value.clone()].map(|it| contiguous(primitive(it)));
    if !has_kernel(inputs.each_ref()) {
        return composed::self_attention(query, key, value, bias, options);
    }
    let inputs = inputs.each_ref().map(|it| &it.tensor);
    let heads = Heads::new(inputs[0], batch, options.heads);
    tensor(fresh(without_backward(
        inputs,
        &primitive(bias).tensor,
        heads,
    )))
}

/// [`Kernels::self_attention_on_graph`](crate::Kernels::self_attention_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    query: Tensor<Autodiff<Torch, C>, 2>,
    key: Tensor<Autodiff<Torch, C>, 2>,
    value: Tensor<Autodiff<Torch, C>, 2>,
    bias: Tensor<Autodiff<Torch, C>, 4>,
    options: AttentionOptions,
) -> Tensor<Autodiff<Torch, C>, 2> {
    let parents = [query.clone(), key.clone(), value.clone()].map(primitive);
    if !has_kernel(parents.each_ref().map(|it| &it.primitive)) {
        return composed::self_attention(query, key, value, bias, options);
    }
    let bias = primitive(bias).primitive;
    let tracked = parents.iter().any(|it| it.is_tracked());
    let way = Way::of(
        parents[0].primitive.tensor.device(),
        options.dropout,
        tracked,
    );
    tensor(by::<C>(way, parents, bias, options.heads, options.dropout))
}

/// Attention computed in one way.
pub(super) fn by<C: CheckpointStrategy>(
    way: Way,
    parents: [FloatTensor<Autodiff<Torch, C>>; 3],
    bias: TchTensor,
    heads: usize,
    dropout: f64,
) -> FloatTensor<Autodiff<Torch, C>> {
    let batch = bias.tensor.size()[0];
    graph::on_graph::<_, C, Kept, 3>(parents, |inputs, _| {
        let inputs = inputs.map(contiguous);
        let heads = Heads::new(&inputs[0].tensor, batch, heads);
        attend(way, inputs.each_ref(), &bias.tensor, heads, dropout)
    })
}

/// How attention under `Autodiff` is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Products and a softmax.
    Products,
    /// As PyTorch chooses, with its own graph.
    Recorded,
    /// Without a backward pass.
    Once,
}

impl Way {
    fn of(device: tch::Device, dropout: f64, tracked: bool) -> Self {
        match device {
            tch::Device::Cpu if tracked || dropout > 0.0 => Way::Products,
            tch::Device::Cpu => Way::Once,
            _ => Way::Recorded,
        }
    }
}

fn attend(
    way: Way,
    inputs: [&TchTensor; 3],
    bias: &tch::Tensor,
    heads: Heads,
    dropout: f64,
) -> (TchTensor, Kept) {
    let tensors = inputs.map(|it| &it.tensor);
    match way {
        Way::Products => {
            let (context, kept) = forward_on_cpu(inputs, Some(bias), heads, dropout);
            (fresh(context), Kept::OnCpu(kept))
        }
        Way::Recorded => {
            let (result, leaves) = aten::attention(tensors, bias, heads.heads, dropout, true);
            let result = fresh(result);
            // Leaves are the inputs, and the context is the result, each less its graph.
            let context = made_of(result.tensor.detach(), &result);
            let kept = leaves.map_or(Kept::Nothing, |[query, key, value]| Kept::Recorded {
                leaves: [
                    made_of(query, inputs[0]),
                    made_of(key, inputs[1]),
                    made_of(value, inputs[2]),
                ],
                result,
            });
            (context, kept)
        }
        Way::Once => (fresh(without_backward(tensors, bias, heads)), Kept::Nothing),
    }
}
