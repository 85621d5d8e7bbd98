//! Attention with its projections over rows of tokens alone, on the CPU: products see tokens, and attention itself the padded
//! batch, which rows are gathered into where sequences differ in length.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::{Tensor, backend::Backend};
use burn_tch::TchTensor;

use super::attention::{self, Heads, OnCpu};
use super::linear::column_sums;
use super::tensor::{Torch, contiguous, fresh, primitive, tensor};
use crate::composed::MASKED;
use crate::graph::{self, Operation};
use crate::{AttentionOptions, Projections, Queries, TokenRows, composed};

fn indices(rows: impl IntoIterator<Item = usize>) -> tch::Tensor {
    let rows: Vec<i64> = rows.into_iter().map(|row| row as i64).collect();
    tch::Tensor::from_slice(&rows)
}

/// Between rows of tokens and the padded batch, where the two differ.
#[derive(Clone, Debug)]
struct Padding {
    /// A token for each row of the padded batch.
    to_padded: TchTensor,
    /// The row of the padded batch of each token.
    from_padded: TchTensor,
    /// `[batch, 1, 1, padded]`, 0 for tokens.
    bias: TchTensor,
}

impl Padding {
    fn new(rows: &TokenRows) -> Option<Self> {
        let (batch, padded) = (rows.batch(), rows.padded());
        if rows.tokens() == batch * padded {
            return None;
        }
        let bias: Vec<f32> = (0..batch)
            .flat_map(|sequence| {
                let length = rows.of(sequence).len();
                (0..padded).map(move |at| if at < length { 0.0 } else { MASKED as f32 })
            })
            .collect();
        let bias = tch::Tensor::from_slice(&bias).view([batch as i64, 1, 1, padded as i64]);
        Some(Self {
            to_padded: fresh(indices(rows.for_padded())),
            from_padded: fresh(indices(rows.in_padded())),
            bias: fresh(bias),
        })
    }

    fn pad(&self, rows: &TchTensor) -> TchTensor {
        fresh(rows.tensor.index_select(0, &self.to_padded.tensor))
    }

    fn unpad(&self, padded: &tch::Tensor) -> tch::Tensor {
        padded.index_select(0, &self.from_padded.tensor)
    }

    /// The gradient of the padded batch, of that of [`unpad`](Self::unpad)'s result.
    fn spread(&self, rows: &tch::Tensor) -> tch::Tensor {
        let shape = [self.to_padded.tensor.size()[0], rows.size()[1]];
        let mut padded = tch::Tensor::zeros(shape, (rows.kind(), rows.device()));
        padded.index_copy_(0, &self.from_padded.tensor, rows)
    }
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Kept {
    /// `[tokens, d_input]`.
    hidden: TchTensor,
    /// The hidden states of the queries.
    asked: TchTensor,
    /// The first token of each sequence, where only those are asked for.
    first: Option<TchTensor>,
    /// Where contexts are padded before they are read.
    padded_queries: Option<Padding>,
    padded_keys: Option<Padding>,
    /// Of queries, keys and values.
    weights: [TchTensor; 3],
    /// `None` where no backward pass comes.
    attention: Option<OnCpu>,
}

/// The context `[queries, hidden]`, and what is kept. `dropout` is that of the probabilities.
fn forward(
    inputs: [TchTensor; 7],
    rows: &TokenRows,
    queries: Queries,
    options: AttentionOptions,
    keep: bool,
) -> (TchTensor, Kept) {
    let [hidden, weights @ .., b_query, b_key, b_value] = inputs.map(contiguous);
    let first = (queries == Queries::First).then(|| fresh(indices(rows.first().iter().copied())));
    let asked = match &first {
        Some(first) => fresh(hidden.tensor.index_select(0, &first.tensor)),
        None => hidden.clone(),
    };
    let project = |input: &TchTensor, weight: &TchTensor, bias: &TchTensor| {
        fresh(bias.tensor.addmm(&input.tensor, &weight.tensor))
    };
    let query = project(&asked, &weights[0], &b_query);
    let key = project(&hidden, &weights[1], &b_key);
    let value = project(&hidden, &weights[2], &b_value);

    let padding = Padding::new(rows);
    let padded_queries = padding.clone().filter(|_| queries == Queries::All);
    let pad = |rows: TchTensor, padding: &Option<Padding>| match padding {
        Some(padding) => padding.pad(&rows),
        None => rows,
    };
    let query = pad(query, &padded_queries);
    let [key, value] = [key, value].map(|it| pad(it, &padding));
    let heads = Heads::new(&query.tensor, rows.batch() as i64, options.heads);
    let bias = padding.as_ref().map(|it| &it.bias.tensor);
    let (context, attention) = if keep || options.dropout > 0.0 {
        let inputs = [&query, &key, &value];
        let (context, kept) = attention::forward_on_cpu(inputs, bias, heads, options.dropout);
        (context, keep.then_some(kept))
    } else {
        let inputs = [&query.tensor, &key.tensor, &value.tensor];
        (attention::once_on_cpu(inputs, bias, heads), None)
    };
    let context = match &padded_queries {
        Some(padding) => padding.unpad(&context),
        None => context,
    };
    let kept = Kept {
        hidden,
        asked,
        first,
        padded_queries,
        padded_keys: padding,
        weights,
        attention,
    };
    (fresh(context), kept)
}

impl Kept {
    /// The gradient of the hidden states.
    fn of_hidden(&self, of: &[tch::Tensor; 3]) -> tch::Tensor {
        let [of_query, of_key, of_value] = of;
        let [by_query, by_key, by_value] = (self.weights.each_ref()).map(|it| it.tensor.tr());
        let mut sum = of_key.mm(&by_key);
        let _ = sum.addmm_(of_value, &by_value);
        let _ = match &self.first {
            Some(first) => sum.index_add_(0, &first.tensor, &of_query.mm(&by_query)),
            None => sum.addmm_(of_query, &by_query),
        };
        sum
    }
}

impl Operation<Torch, 7> for Kept {
    fn backward(mut self, gradient: TchTensor, wanted: [bool; 7]) -> [Option<TchTensor>; 7] {
        let Some(attention) = self.attention.take() else {
            return [const { None }; 7];
        };
        let gradient = contiguous(gradient);
        let [of_query, of_key, of_value] = match &self.padded_queries {
            Some(padding) => attention.backward(&padding.spread(&gradient.tensor)),
            None => attention.backward(&gradient.tensor),
        };
        // Padding has no gradient: its keys' probabilities are exactly 0, and nothing reads its queries' contexts.
        let unpad = |padded: tch::Tensor, padding: &Option<Padding>| match padding {
            Some(padding) => padding.unpad(&padded),
            None => padded,
        };
        let of = [
            unpad(of_query, &self.padded_queries),
            unpad(of_key, &self.padded_keys),
            unpad(of_value, &self.padded_keys),
        ];
        let inputs = [&self.asked, &self.hidden, &self.hidden];
        let of_weight =
            |side: usize| wanted[1 + side].then(|| fresh(inputs[side].tensor.tr().mm(&of[side])));
        let of_bias =
            |side: usize| wanted[4 + side].then(|| fresh(column_sums(&of[side], tch::Kind::Float)));
        [
            wanted[0].then(|| fresh(self.of_hidden(&of))),
            of_weight(0),
            of_weight(1),
            of_weight(2),
            of_bias(0),
            of_bias(1),
            of_bias(2),
        ]
    }
}

/// [`Kernels::token_rows`](crate::Kernels::token_rows): on the CPU, where looking at a mask waits for nothing.
pub(super) fn token_rows(attention_mask: &Tensor<Torch, 2>) -> Option<TokenRows> {
    let [_, padded] = attention_mask.dims();
    let mask = contiguous(primitive(attention_mask.clone()));
    if !has_kernel([&mask]) {
        return None;
    }
    let values = Vec::<f32>::try_from(mask.tensor.view([-1])).ok()?;
    TokenRows::of_mask(&values, padded)
}

fn has_kernel<'a>(tensors: impl IntoIterator<Item = &'a TchTensor>) -> bool {
    let mut tensors = tensors.into_iter().map(|it| &it.tensor);
    tensors.all(|it| it.device() == tch::Device::Cpu && it.kind() == tch::Kind::Float)
}

fn operands<B: Backend>(
    hidden: Tensor<B, 2>,
    projections: Projections<B>,
) -> [burn::tensor::ops::FloatTensor<B>; 7] {
    let [query, key, value] = projections.weights.map(primitive);
    let [of_query, of_key, of_value] = projections.biases.map(primitive);
    [
        primitive(hidden),
        query,
        key,
        value,
        of_query,
        of_key,
        of_value,
    ]
}

/// [`Kernels::packed_attention`](crate::Kernels::packed_attention).
pub(super) fn without_graph(
    hidden: Tensor<Torch, 2>,
    projections: Projections<Torch>,
    rows: &TokenRows,
    queries: Queries,
    options: AttentionOptions,
) -> Tensor<Torch, 2> {
    let inputs = operands(hidden.clone(), projections.clone());
    if !has_kernel(&inputs) {
        return composed::packed_attention(hidden, projections, rows, queries, options);
    }
    let options = AttentionOptions {
        dropout: 0.0,
        ..options
    };
    tensor(forward(inputs, rows, queries, options, false).0)
}

/// [`Kernels::packed_attention_on_graph`](crate::Kernels::packed_attention_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    hidden: Tensor<Autodiff<Torch, C>, 2>,
    projections: Projections<Autodiff<Torch, C>>,
    rows: &TokenRows,
    queries: Queries,
    options: AttentionOptions,
) -> Tensor<Autodiff<Torch, C>, 2> {
    let parents = operands(hidden.clone(), projections.clone());
    if !has_kernel(parents.iter().map(|it| &it.primitive)) {
        return composed::packed_attention(hidden, projections, rows, queries, options);
    }
    tensor(graph::on_graph::<_, C, Kept, 7>(
        parents,
        |inputs, tracked| forward(inputs, rows, queries, options, tracked.contains(&true)),
    ))
}
