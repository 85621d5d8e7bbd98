//! Attention with its projections over rows of tokens alone, a head of a sequence at a time.
//!
//! Keys and values lie side by side, as the products write them and the attention reads them; the gradient of the hidden
//! states is added up by the products themselves.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::attention::{drop_rows, softmax_backward_rows, softmax_rows};
use super::dropout::Mask;
use super::matrix::{Matrix, MatrixMut, disjoint, product, products_side_by_side};
use super::rows::{add_bias, column_sums};
use super::tensor::{all_f32, contiguous, from_values, matrix_dims, primitive, tensor, values};
use crate::graph::{self, Operation};
use crate::token_rows::STRIDE;
use crate::{AttentionOptions, Projections, Queries, TokenRows, composed};

/// What is attended to, and how it lies.
#[derive(Clone, Debug)]
struct Plan {
    rows: TokenRows,
    queries: Queries,
    heads: usize,
    /// Width of a head.
    width: usize,
    mask: Option<Mask>,
}

impl Plan {
    fn hidden(&self) -> usize {
        self.heads * self.width
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.width as f64).sqrt()) as f32
    }

    fn pairs(&self) -> usize {
        self.rows.batch() * self.heads
    }

    /// Queries and keys of a head of a sequence.
    fn sizes(&self, pair: usize) -> (usize, usize) {
        let sequence = pair / self.heads;
        let queries = self.queries.of(&self.rows, sequence).len();
        (queries, self.rows.of(sequence).len())
    }

    /// A head's part of a matrix of queries `[queries, hidden]`.
    fn query<'a>(&self, values: &'a [f32], pair: usize) -> Matrix<'a> {
        let (begin, rows, columns) = self.query_place(pair);
        Matrix::new(&values[begin..], rows, columns, self.hidden())
    }

    /// A head's keys (`side` 0) or values (1) of a matrix of both `[tokens, 2 hidden]`.
    fn key_value<'a>(&self, values: &'a [f32], pair: usize, side: usize) -> Matrix<'a> {
        let (begin, rows, columns) = self.key_value_place(pair, side);
        Matrix::new(&values[begin..], rows, columns, 2 * self.hidden())
    }

    /// Where a head's part of the queries begins, its rows and its columns.
    fn query_place(&self, pair: usize) -> (usize, usize, usize) {
        let rows = self.queries.of(&self.rows, pair / self.heads);
        let begin = rows.start * self.hidden() + pair % self.heads * self.width;
        (begin, rows.len(), self.width)
    }

    /// The same of a head's keys or values.
    fn key_value_place(&self, pair: usize, side: usize) -> (usize, usize, usize) {
        let rows = self.rows.of(pair / self.heads);
        let begin = (2 * rows.start + side) * self.hidden() + pair % self.heads * self.width;
        (begin, rows.len(), self.width)
    }

    /// All heads' parts of a matrix of queries, to be written at once.
    fn split_queries<'a>(&self, values: &'a mut [f32]) -> Vec<MatrixMut<'a>> {
        let places = (0..self.pairs()).map(|pair| self.query_place(pair));
        disjoint(values, self.hidden(), places)
    }

    /// All heads' keys, or their values.
    fn split_key_values<'a>(&self, values: &'a mut [f32]) -> [Vec<MatrixMut<'a>>; 2] {
        let stride = 2 * self.hidden();
        let places = [0, 1]
            .into_iter()
            .flat_map(|side| (0..self.pairs()).map(move |pair| self.key_value_place(pair, side)));
        let mut keys = disjoint(values, stride, places);
        let of_values = keys.split_off(self.pairs());
        [keys, of_values]
    }

    /// The scores of each head, one after the other.
    fn split_scores<'a>(&self, mut scores: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        (0..self.pairs())
            .map(|pair| {
                let (queries, keys) = self.sizes(pair);
                let (own, rest) = std::mem::take(&mut scores).split_at_mut(queries * keys);
                scores = rest;
                own
            })
            .collect()
    }

    fn scores(&self) -> usize {
        let sizes = (0..self.pairs()).map(|pair| self.sizes(pair));
        sizes.map(|(queries, keys)| queries * keys).sum()
    }
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State {
    plan: Plan,
    hidden: FlexTensor,
    /// Of queries, keys and values.
    weights: [FlexTensor; 3],
    /// `[queries, hidden]`.
    query: FlexTensor,
    /// `[tokens, 2 hidden]`.
    key_value: FlexTensor,
    /// Before dropout, head after head; empty where no backward pass comes.
    probabilities: FlexTensor,
}

/// The hidden states of the queries.
fn asked(plan: &Plan, hidden: &FlexTensor) -> FlexTensor {
    match plan.queries {
        Queries::All => hidden.clone(),
        Queries::First => {
            let [_, width] = matrix_dims(hidden);
            let rows = plan.rows.first().iter();
            let first = rows.flat_map(|row| &values(hidden)[row * width..][..width]);
            from_values(first.copied().collect(), [plan.rows.batch(), width].into())
        }
    }
}

/// The context `[queries, hidden]`, and what is kept, of contiguous tensors.
fn forward(
    plan: Plan,
    hidden: FlexTensor,
    weights: [FlexTensor; 3],
    biases: [FlexTensor; 3],
    keep: bool,
) -> (FlexTensor, State) {
    let width = plan.hidden();
    let (queries, tokens) = (plan.queries.count(&plan.rows), plan.rows.tokens());
    let asked = asked(&plan, &hidden);
    let mut query = product(Matrix::of(&asked), Matrix::of(&weights[0]));
    add_bias(&mut query, values(&biases[0]));
    let mut key_value =
        products_side_by_side([1, 2].map(|side| (Matrix::of(&hidden), Matrix::of(&weights[side]))));
    let both: Vec<f32> = [values(&biases[1]), values(&biases[2])].concat();
    add_bias(&mut key_value, &both);

    let mut context = vec![0.0; queries * width];
    let mut kept = vec![0.0; if keep { plan.scores() } else { 0 }];
    let attend =
        |pair: usize, mut context: MatrixMut<'_>, scores: &mut [f32], dropped: &mut Vec<f32>| {
            let (queries, keys) = plan.sizes(pair);
            MatrixMut::new(scores, queries, keys, keys).set_product(
                plan.scale(),
                plan.query(&query, pair),
                plan.key_value(&key_value, pair, 0).transposed(),
            );
            softmax_rows(scores, keys, &[]);
            let weights = match plan.mask {
                Some(mask) => {
                    dropped.resize(scores.len(), 0.0);
                    drop_rows(scores, dropped, keys, mask, pair * STRIDE);
                    &dropped[..]
                }
                None => scores,
            };
            let weights = Matrix::new(weights, queries, keys, keys);
            context.set_product(1.0, weights, plan.key_value(&key_value, pair, 1));
        };
    let contexts = plan.split_queries(&mut context).into_par_iter().enumerate();
    if keep {
        contexts
            .zip(plan.split_scores(&mut kept))
            .for_each_init(Vec::new, |dropped, ((pair, context), scores)| {
                attend(pair, context, scores, dropped)
            });
    } else {
        contexts.for_each_init(
            || (Vec::new(), Vec::new()),
            |(scores, dropped), (pair, context)| {
                let (queries, keys) = plan.sizes(pair);
                scores.resize(queries * keys, 0.0);
                attend(pair, context, scores, dropped);
            },
        );
    }
    let probabilities = kept.len();
    let state = State {
        hidden,
        weights,
        query: from_values(query, [queries, width].into()),
        key_value: from_values(key_value, [tokens, 2 * width].into()),
        probabilities: from_values(kept, [probabilities].into()),
        plan,
    };
    (from_values(context, [queries, width].into()), state)
}

impl State {
    /// Gradients of the queries, and of keys and values side by side.
    fn of_attention(&self, gradient: &[f32]) -> [Vec<f32>; 2] {
        let plan = &self.plan;
        let [query, key_value, probabilities] =
            [&self.query, &self.key_value, &self.probabilities].map(values);
        let mut of_query = vec![0.0; query.len()];
        let mut of_key_value = vec![0.0; key_value.len()];
        let mut begin = 0;
        let probabilities: Vec<&[f32]> = (0..plan.pairs())
            .map(|pair| {
                let (queries, keys) = plan.sizes(pair);
                begin += queries * keys;
                &probabilities[begin - queries * keys..begin]
            })
            .collect();
        let [of_keys, of_values] = plan.split_key_values(&mut of_key_value);
        plan.split_queries(&mut of_query)
            .into_par_iter()
            .zip(of_keys)
            .zip(of_values)
            .zip(probabilities)
            .enumerate()
            .for_each_init(
                || (Vec::new(), Vec::new()),
                |(of_scores, dropped),
                 (pair, (((mut of_query, mut of_key), mut of_value), weights))| {
                    let (queries, keys) = plan.sizes(pair);
                    of_scores.resize(weights.len(), 0.0);
                    dropped.resize(weights.len(), 0.0);
                    let gradient = plan.query(gradient, pair);
                    MatrixMut::new(of_scores, queries, keys, keys).set_product(
                        1.0,
                        gradient,
                        plan.key_value(key_value, pair, 1).transposed(),
                    );
                    softmax_backward_rows(
                        of_scores,
                        weights,
                        dropped,
                        keys,
                        plan.mask,
                        pair * STRIDE,
                    );
                    let weights = if plan.mask.is_some() {
                        dropped
                    } else {
                        weights
                    };
                    let by_query = |values| Matrix::new(values, queries, keys, keys);
                    of_value.set_product(1.0, by_query(weights).transposed(), gradient);
                    of_query.set_product(
                        plan.scale(),
                        by_query(of_scores),
                        plan.key_value(key_value, pair, 0),
                    );
                    of_key.set_product(
                        plan.scale(),
                        by_query(of_scores).transposed(),
                        plan.query(query, pair),
                    );
                },
            );
        [of_query, of_key_value]
    }

    /// The gradient of the hidden states.
    fn of_hidden(
        &self,
        of_query: Matrix<'_>,
        of_key: Matrix<'_>,
        of_value: Matrix<'_>,
    ) -> FlexTensor {
        let [tokens, width] = matrix_dims(&self.hidden);
        let [by_query, by_key, by_value] = self
            .weights
            .each_ref()
            .map(|it| Matrix::of(it).transposed());
        let mut total = product(of_key, by_key);
        let mut sum = MatrixMut::new(&mut total, tokens, width, width);
        sum.add_product_on_all_threads(of_value, by_value);
        match self.plan.queries {
            Queries::All => sum.add_product_on_all_threads(of_query, by_query),
            Queries::First => {
                let first = product(of_query, by_query);
                let rows = self.plan.rows.first().iter();
                for (row, first) in rows.zip(first.chunks_exact(width.max(1))) {
                    let sums = total[row * width..][..width].iter_mut();
                    sums.zip(first).for_each(|(sum, first)| *sum += first);
                }
            }
        }
        from_values(total, [tokens, width].into())
    }
}

/// The product of a transposed matrix with another.
fn of_weight(input: &FlexTensor, gradient: Matrix<'_>, columns: usize) -> FlexTensor {
    let [_, rows] = matrix_dims(input);
    let product = product(Matrix::of(input).transposed(), gradient);
    from_values(product, [rows, columns].into())
}

impl Operation<Flex, 7> for State {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 7]) -> [Option<FlexTensor>; 7] {
        let gradient = contiguous(gradient);
        let width = self.plan.hidden();
        let [of_query, of_key_value] = self.of_attention(values(&gradient));
        let tokens = self.plan.rows.tokens();
        let queries = self.plan.queries.count(&self.plan.rows);
        let query = Matrix::new(&of_query, queries, width, width);
        let [key, value] = [0, 1].map(|side| {
            let columns = &of_key_value[(side * width).min(tokens * width)..];
            Matrix::new(columns, tokens, width, 2 * width)
        });
        let [to_hidden, to_weights @ .., _, _, _] = wanted;
        let of_hidden = to_hidden.then(|| self.of_hidden(query, key, value));
        let of_query_weight =
            to_weights[0].then(|| of_weight(&asked(&self.plan, &self.hidden), query, width));
        let of_key_weight = to_weights[1].then(|| of_weight(&self.hidden, key, width));
        let of_value_weight = to_weights[2].then(|| of_weight(&self.hidden, value, width));
        let bias = |sums: &[f32]| Some(from_values(sums.to_vec(), [width].into()));
        let of_query_bias = wanted[4].then(|| column_sums(&of_query, width));
        let of_query_bias = of_query_bias.and_then(|sums| bias(&sums));
        let both = (wanted[5] || wanted[6]).then(|| column_sums(&of_key_value, 2 * width));
        let [of_key_bias, of_value_bias] = match both {
            Some(sums) => [bias(&sums[..width]), bias(&sums[width..])],
            None => [None, None],
        };
        [
            of_hidden,
            of_query_weight,
            of_key_weight,
            of_value_weight,
            of_query_bias,
            of_key_bias,
            of_value_bias,
        ]
    }
}

fn plan(
    rows: &TokenRows,
    queries: Queries,
    hidden: usize,
    heads: usize,
    mask: Option<Mask>,
) -> Plan {
    Plan {
        rows: rows.clone(),
        queries,
        heads,
        width: hidden / heads,
        mask,
    }
}

/// [`Kernels::token_rows`](crate::Kernels::token_rows).
pub(super) fn token_rows(attention_mask: &Tensor<Flex, 2>) -> Option<TokenRows> {
    let [_, padded] = attention_mask.dims();
    let mask = contiguous(primitive(attention_mask.clone()));
    match all_f32(&[attention_mask.dtype()]) {
        true => TokenRows::of_mask(values(&mask), padded),
        false => None,
    }
}

/// [`Kernels::packed_attention`](crate::Kernels::packed_attention).
pub(super) fn without_graph(
    hidden: Tensor<Flex, 2>,
    projections: Projections<Flex>,
    rows: &TokenRows,
    queries: Queries,
    options: AttentionOptions,
) -> Tensor<Flex, 2> {
    if !has_kernel(&hidden, &projections) {
        return composed::packed_attention(hidden, projections, rows, queries, options);
    }
    let [_, width] = projections.weights[0].dims();
    let plan = plan(rows, queries, width, options.heads, None);
    let weights = projections.weights.map(|it| contiguous(primitive(it)));
    let biases = projections.biases.map(|it| contiguous(primitive(it)));
    tensor(forward(plan, contiguous(primitive(hidden)), weights, biases, false).0)
}

/// [`Kernels::packed_attention_on_graph`](crate::Kernels::packed_attention_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    hidden: Tensor<Autodiff<Flex, C>, 2>,
    projections: Projections<Autodiff<Flex, C>>,
    rows: &TokenRows,
    queries: Queries,
    options: AttentionOptions,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !has_kernel(&hidden, &projections) {
        return composed::packed_attention(hidden, projections, rows, queries, options);
    }
    let mask = Mask::draw(options.dropout);
    with_mask(hidden, projections, rows, queries, options.heads, mask)
}

/// With a mask of the caller's. Row `i` of head `h` of sequence `s` is its row `65,536 (s heads + h) + i`.
pub(super) fn with_mask<C: CheckpointStrategy>(
    hidden: Tensor<Autodiff<Flex, C>, 2>,
    projections: Projections<Autodiff<Flex, C>>,
    rows: &TokenRows,
    queries: Queries,
    heads: usize,
    mask: Option<Mask>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    let [_, width] = projections.weights[0].dims();
    let plan = plan(rows, queries, width, heads, mask);
    let [query, key, value] = projections.weights.map(primitive);
    let [of_query, of_key, of_value] = projections.biases.map(primitive);
    let parents = [
        primitive(hidden),
        query,
        key,
        value,
        of_query,
        of_key,
        of_value,
    ];
    tensor(graph::on_graph::<Flex, C, State, 7>(
        parents,
        |inputs, tracked| {
            let [hidden, query, key, value, of_query, of_key, of_value] = inputs.map(contiguous);
            let (weights, biases) = ([query, key, value], [of_query, of_key, of_value]);
            forward(plan, hidden, weights, biases, tracked.contains(&true))
        },
    ))
}

fn has_kernel<B: burn::tensor::backend::Backend>(
    hidden: &Tensor<B, 2>,
    projections: &Projections<B>,
) -> bool {
    let weights = projections.weights.iter().map(Tensor::dtype);
    let dtypes: Vec<_> = weights
        .chain(projections.biases.iter().map(Tensor::dtype))
        .chain([hidden.dtype()])
        .collect();
    all_f32(&dtypes)
}
