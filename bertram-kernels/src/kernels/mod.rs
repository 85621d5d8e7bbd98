//! The trait, and the choice between its two forms.

mod kind;
mod one_by_one;

pub use kind::KernelKind;
pub(crate) use one_by_one::{one_by_one, products_one_by_one};

use std::time::Instant;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor};

use crate::adamw::{AdamWStep, AdamWUpdate, AdamWUpdated, Moments};
use crate::composed;
use crate::operands::{AttentionOptions, Norm, Projections};
use crate::products::{ProductShape, TuneProgress, TunedProduct};
use crate::token_rows::{Queries, RowDropout, TokenRows};

/// A backend with the operations of a BERT encoder.
///
/// Every method has a form composed of Burn's operations. A backend with something faster replaces a method, and with it
/// its twin that ends in `_on_graph`: what `Autodiff<Self, C>` does in that method's place, with a backward pass of its
/// own. So `Autodiff` needs one implementation for all backends, and a backend's fused backward pass lies beside its
/// forward pass.
///
/// Dropout acts under `Autodiff` alone, as Burn's does. Its mask comes from the backend's random numbers: `Backend::seed`
/// makes it repeatable. No mask is kept for the backward pass where it can be computed again.
///
/// Hidden states are matrices `[rows, hidden]`, a row a token.
pub trait Kernels: Backend {
    /// Rows of a table.
    ///
    /// # Shapes
    /// - table: `[entries, hidden]`; ids: `[rows]`, each below `entries`
    /// - result: `[rows, hidden]`
    fn embedding_rows(table: Tensor<Self, 2>, ids: Tensor<Self, 1, Int>) -> Tensor<Self, 2> {
        composed::embedding_rows(table, ids)
    }

    /// [`embedding_rows`](Self::embedding_rows) of `Autodiff`.
    fn embedding_rows_on_graph<C: CheckpointStrategy>(
        table: Tensor<Autodiff<Self, C>, 2>,
        ids: Tensor<Autodiff<Self, C>, 1, Int>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::embedding_rows(table, ids)
    }

    /// `input weight + bias`.
    ///
    /// # Shapes
    /// - input: `[rows, d_input]`; weight: `[d_input, d_output]`; bias: `[d_output]`
    /// - result: `[rows, d_output]`
    fn linear_layer(
        input: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        composed::linear_layer(input, weight, bias)
    }

    /// [`linear_layer`](Self::linear_layer) of `Autodiff`.
    fn linear_layer_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        weight: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::linear_layer(input, weight, bias)
    }

    /// `input weight`, in the type of the input: a linear layer without its bias, which another kernel adds.
    ///
    /// # Shapes
    /// - input: `[rows, d_input]`; weight: `[d_input, d_output]`
    /// - result: `[rows, d_output]`
    fn product(input: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        composed::product(input, weight)
    }

    /// [`product`](Self::product) of `Autodiff`.
    fn product_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        weight: Tensor<Autodiff<Self, C>, 2>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::product(input, weight)
    }

    /// Multi-head attention within each sequence (Vaswani et al. 2017, section 3.2), without projections:
    /// `dropout(softmax(q k^T / sqrt(d_head) + bias)) v`, head by head. The bias takes no gradient.
    ///
    /// A key whose bias puts it 60 or more below a query's best key gets a probability of exactly 0.
    ///
    /// # Shapes
    /// - query, key, value: `[batch * sequence, hidden]`
    /// - bias: `[batch, 1, 1, sequence]`, added to the scores of each key
    /// - result: `[batch * sequence, hidden]`
    fn self_attention(
        query: Tensor<Self, 2>,
        key: Tensor<Self, 2>,
        value: Tensor<Self, 2>,
        bias: Tensor<Self, 4>,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        composed::self_attention(query, key, value, bias, options)
    }

    /// [`self_attention`](Self::self_attention) of `Autodiff`.
    fn self_attention_on_graph<C: CheckpointStrategy>(
        query: Tensor<Autodiff<Self, C>, 2>,
        key: Tensor<Autodiff<Self, C>, 2>,
        value: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 4>,
        options: AttentionOptions,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::self_attention(query, key, value, bias, options)
    }

    /// Query, key and value of hidden states, and [`self_attention`](Self::self_attention) of them.
    ///
    /// # Shapes
    /// - hidden: `[batch * sequence, d_input]`
    /// - bias: `[batch, 1, 1, sequence]`
    /// - result: `[batch * sequence, hidden]`
    fn projected_attention(
        hidden: Tensor<Self, 2>,
        projections: Projections<Self>,
        bias: Tensor<Self, 4>,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        let [query, key, value] = (projections.each())
            .map(|(weight, bias)| Self::linear_layer(hidden.clone(), weight, bias));
        Self::self_attention(query, key, value, bias, options)
    }

    /// [`projected_attention`](Self::projected_attention) of `Autodiff`.
    fn projected_attention_on_graph<C: CheckpointStrategy>(
        hidden: Tensor<Autodiff<Self, C>, 2>,
        projections: Projections<Autodiff<Self, C>>,
        bias: Tensor<Autodiff<Self, C>, 4>,
        options: AttentionOptions,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        let [query, key, value] = (projections.each())
            .map(|(weight, bias)| Self::linear_layer_on_graph(hidden.clone(), weight, bias));
        Self::self_attention_on_graph(query, key, value, bias, options)
    }

    /// The rows of a batch that are tokens, where the backend computes nothing for padding. `None` where it computes whole
    /// padded batches: then [`packed_attention`](Self::packed_attention) is of no use.
    ///
    /// # Shapes
    /// - attention_mask: `[batch, padded]`, 1 for tokens and 0 for padding
    fn token_rows(attention_mask: &Tensor<Self, 2>) -> Option<TokenRows> {
        let _ = attention_mask;
        None
    }

    /// [`projected_attention`](Self::projected_attention) of rows of tokens alone, for all of them or for the first of each
    /// sequence.
    ///
    /// # Shapes
    /// - hidden: `[tokens, d_input]`
    /// - result: `[tokens, hidden]`, or `[batch, hidden]`
    fn packed_attention(
        hidden: Tensor<Self, 2>,
        projections: Projections<Self>,
        rows: &TokenRows,
        queries: Queries,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        composed::packed_attention(hidden, projections, rows, queries, options)
    }

    /// [`packed_attention`](Self::packed_attention) of `Autodiff`.
    fn packed_attention_on_graph<C: CheckpointStrategy>(
        hidden: Tensor<Autodiff<Self, C>, 2>,
        projections: Projections<Autodiff<Self, C>>,
        rows: &TokenRows,
        queries: Queries,
        options: AttentionOptions,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::packed_attention(hidden, projections, rows, queries, options)
    }

    /// `gelu(input + bias)`, with the exact GELU, `x Phi(x)` (Hendrycks & Gimpel 2016).
    ///
    /// # Shapes
    /// - input, result: `[rows, width]`; bias: `[width]`
    fn bias_gelu(input: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        composed::bias_gelu(input, bias)
    }

    /// [`bias_gelu`](Self::bias_gelu) of `Autodiff`.
    fn bias_gelu_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::bias_gelu(input, bias)
    }

    /// `layer_norm(dropout(input + bias) + residual)`: what follows the last matrix product of a sub-layer.
    ///
    /// # Shapes
    /// - input, residual, result: `[rows, hidden]`; bias: `[hidden]`
    fn residual_layer_norm(
        input: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
        residual: Tensor<Self, 2>,
        norm: Norm<Self>,
        dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        composed::residual_layer_norm(input, bias, residual, norm, dropout.prob)
    }

    /// [`residual_layer_norm`](Self::residual_layer_norm) of `Autodiff`.
    fn residual_layer_norm_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
        residual: Tensor<Autodiff<Self, C>, 2>,
        norm: Norm<Autodiff<Self, C>>,
        dropout: RowDropout,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::residual_layer_norm(input, bias, residual, norm, dropout.prob)
    }

    /// `dropout(layer_norm(input))`: the end of the embedding module.
    ///
    /// # Shapes
    /// - input, result: `[rows, hidden]`
    fn layer_norm_dropout(
        input: Tensor<Self, 2>,
        norm: Norm<Self>,
        dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        composed::layer_norm_dropout(input, norm, dropout.prob)
    }

    /// [`layer_norm_dropout`](Self::layer_norm_dropout) of `Autodiff`.
    fn layer_norm_dropout_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        norm: Norm<Autodiff<Self, C>>,
        dropout: RowDropout,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        composed::layer_norm_dropout(input, norm, dropout.prob)
    }

    /// One AdamW step of one parameter; without moments, its first. What is not shared is changed in place.
    ///
    /// The gradient is multiplied by `gradient_factor` first, where there is one. A negative factor makes the step none at
    /// all, whatever the gradient holds: parameter and moments stay as they are (moments that are not there yet become 0).
    /// So clipping, and leaving out an update that is not finite, need no number from the device.
    ///
    /// # Shapes
    /// - gradient_factor: `[1]`
    fn adamw<const D: usize>(
        parameter: Tensor<Self, D>,
        gradient: Tensor<Self, D>,
        gradient_factor: Option<&Tensor<Self, 1>>,
        moments: Option<Moments<Self, D>>,
        step: &AdamWStep,
    ) -> (Tensor<Self, D>, Moments<Self, D>) {
        composed::adamw(parameter, gradient, gradient_factor, moments, step)
    }

    /// [`adamw`](Self::adamw) of several parameters, which a backend may take together.
    fn adamw_all(
        updates: Vec<AdamWUpdate<FloatTensor<Self>>>,
        gradient_factor: Option<&Tensor<Self, 1>>,
    ) -> Vec<AdamWUpdated<FloatTensor<Self>>> {
        one_by_one(KernelKind::Fused, updates, gradient_factor)
    }

    /// Inner products of tensors of one shape, the upper triangle of their Gram matrix row by row: of the first with
    /// itself, of the first with the second, and so on. Each of shape `[1]`.
    fn inner_products<const D: usize>(tensors: &[Tensor<Self, D>]) -> Vec<Tensor<Self, 1>> {
        composed::inner_products(tensors)
    }

    /// [`inner_products`](Self::inner_products) of groups of as many tensors each, summed over the groups; nothing of none.
    /// So the gradients of a module's parameters, a group a parameter, make one Gram matrix.
    ///
    /// # Shapes
    /// - result: `[tensors (tensors + 1) / 2]`
    fn inner_products_all(groups: Vec<Vec<FloatTensor<Self>>>) -> Option<Tensor<Self, 1>> {
        products_one_by_one(KernelKind::Fused, groups)
    }

    /// `sum_k weight_k tensor_k` of tensors of one shape; nothing of none. A first tensor that is not shared is changed
    /// in place.
    fn weighted_sum<const D: usize>(terms: Vec<(Tensor<Self, D>, f64)>) -> Option<Tensor<Self, D>> {
        composed::weighted_sum(terms)
    }

    /// `average + (1 - decay) (value - average)`: one step of an exponential moving average. An average that is not shared
    /// is changed in place.
    fn moving_average<const D: usize>(
        average: Tensor<Self, D>,
        value: Tensor<Self, D>,
        decay: f64,
    ) -> Tensor<Self, D> {
        composed::moving_average(average, value, decay)
    }

    /// Searches, for each of these products, the fastest way to compute it on a device, and says what it tries; ends at
    /// `until`. `None` if the backend has but one way.
    fn tune_products(
        device: &Self::Device,
        shapes: &[ProductShape],
        until: Instant,
        progress: &mut dyn FnMut(TuneProgress<'_>),
    ) -> Option<Vec<TunedProduct>> {
        let _ = (device, shapes, until, progress);
        None
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn embedding_rows(table: Tensor<Self, 2>, ids: Tensor<Self, 1, Int>) -> Tensor<Self, 2> {
        B::embedding_rows_on_graph(table, ids)
    }

    fn linear_layer(
        input: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        B::linear_layer_on_graph(input, weight, bias)
    }

    fn product(input: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        B::product_on_graph(input, weight)
    }

    fn self_attention(
        query: Tensor<Self, 2>,
        key: Tensor<Self, 2>,
        value: Tensor<Self, 2>,
        bias: Tensor<Self, 4>,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        B::self_attention_on_graph(query, key, value, bias, options)
    }

    fn projected_attention(
        hidden: Tensor<Self, 2>,
        projections: Projections<Self>,
        bias: Tensor<Self, 4>,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        B::projected_attention_on_graph(hidden, projections, bias, options)
    }

    fn token_rows(attention_mask: &Tensor<Self, 2>) -> Option<TokenRows> {
        B::token_rows(&attention_mask.clone().inner())
    }

    fn packed_attention(
        hidden: Tensor<Self, 2>,
        projections: Projections<Self>,
        rows: &TokenRows,
        queries: Queries,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        B::packed_attention_on_graph(hidden, projections, rows, queries, options)
    }

    fn bias_gelu(input: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        B::bias_gelu_on_graph(input, bias)
    }

    fn residual_layer_norm(
        input: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
        residual: Tensor<Self, 2>,
        norm: Norm<Self>,
        dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        B::residual_layer_norm_on_graph(input, bias, residual, norm, dropout)
    }

    fn layer_norm_dropout(
        input: Tensor<Self, 2>,
        norm: Norm<Self>,
        dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        B::layer_norm_dropout_on_graph(input, norm, dropout)
    }
}

/// A backend to train on: it has gradients, and [`Kernels`] with and without them.
pub trait TrainBackend: AutodiffBackend<InnerBackend: Kernels> + Kernels {}

impl<B: AutodiffBackend<InnerBackend: Kernels> + Kernels> TrainBackend for B {}
