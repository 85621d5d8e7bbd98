//! Fused kernels of `Flex`, Burn's CPU backend, for tensors of 32-bit floats; others take the composed way.
//!
//! One file an operation: its passes over memory, its backward pass, and its place on the graph. Loops are compiled for
//! AVX-512, for AVX2 with FMA and for the target's baseline, and chosen at run time ([`simd`]); work is split over
//! rayon's threads by rows, into blocks that do not depend on the number of threads, so that results do not either.

mod adamw;
mod attention;
mod combine;
mod dropout;
mod embedding;
mod gelu;
mod graph;
mod layer_norm;
mod linear;
mod matrix;
mod packed;
mod rows;
mod simd;
mod tensor;
#[cfg(test)]
mod tests;
mod touched;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Int, Tensor};

use crate::{
    AdamWStep, AttentionOptions, Kernels, Moments, Norm, Projections, Queries, RowDropout,
    TokenRows,
};

impl Kernels for Flex {
    fn embedding_rows_on_graph<C: CheckpointStrategy>(
        table: Tensor<Autodiff<Self, C>, 2>,
        ids: Tensor<Autodiff<Self, C>, 1, Int>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        embedding::on_graph(table, ids)
    }

    fn linear_layer(
        input: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        linear::without_graph(input, weight, bias)
    }

    fn linear_layer_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        weight: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        linear::on_graph(input, weight, bias)
    }

    fn product(input: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        linear::product_without_graph(input, weight)
    }

    fn product_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        weight: Tensor<Autodiff<Self, C>, 2>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        linear::product_on_graph(input, weight)
    }

    fn self_attention(
        query: Tensor<Self, 2>,
        key: Tensor<Self, 2>,
        value: Tensor<Self, 2>,
        bias: Tensor<Self, 4>,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        attention::without_graph(query, key, value, bias, options)
    }

    fn self_attention_on_graph<C: CheckpointStrategy>(
        query: Tensor<Autodiff<Self, C>, 2>,
        key: Tensor<Autodiff<Self, C>, 2>,
        value: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 4>,
        options: AttentionOptions,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        attention::on_graph(query, key, value, bias, options)
    }

    fn token_rows(attention_mask: &Tensor<Self, 2>) -> Option<TokenRows> {
        packed::token_rows(attention_mask)
    }

    fn packed_attention(
        hidden: Tensor<Self, 2>,
        projections: Projections<Self>,
        rows: &TokenRows,
        queries: Queries,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        packed::without_graph(hidden, projections, rows, queries, options)
    }

    fn packed_attention_on_graph<C: CheckpointStrategy>(
        hidden: Tensor<Autodiff<Self, C>, 2>,
        projections: Projections<Autodiff<Self, C>>,
        rows: &TokenRows,
        queries: Queries,
        options: AttentionOptions,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        packed::on_graph(hidden, projections, rows, queries, options)
    }

    fn bias_gelu(input: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        gelu::without_graph(input, bias)
    }

    fn bias_gelu_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        gelu::on_graph(input, bias)
    }

    fn residual_layer_norm(
        input: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
        residual: Tensor<Self, 2>,
        norm: Norm<Self>,
        dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        layer_norm::residual_without_graph(input, bias, residual, norm, dropout)
    }

    fn residual_layer_norm_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
        residual: Tensor<Autodiff<Self, C>, 2>,
        norm: Norm<Autodiff<Self, C>>,
        dropout: RowDropout,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        layer_norm::residual_on_graph(input, bias, residual, norm, dropout)
    }

    fn layer_norm_dropout_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        norm: Norm<Autodiff<Self, C>>,
        dropout: RowDropout,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        layer_norm::dropout_on_graph(input, norm, dropout)
    }

    fn adamw<const D: usize>(
        parameter: Tensor<Self, D>,
        gradient: Tensor<Self, D>,
        gradient_factor: Option<&Tensor<Self, 1>>,
        moments: Option<Moments<Self, D>>,
        step: &AdamWStep,
    ) -> (Tensor<Self, D>, Moments<Self, D>) {
        adamw::step(parameter, gradient, gradient_factor, moments, step)
    }

    fn inner_products<const D: usize>(tensors: &[Tensor<Self, D>]) -> Vec<Tensor<Self, 1>> {
        combine::inner_products(tensors)
    }

    fn weighted_sum<const D: usize>(terms: Vec<(Tensor<Self, D>, f64)>) -> Option<Tensor<Self, D>> {
        combine::weighted_sum(terms)
    }

    fn moving_average<const D: usize>(
        average: Tensor<Self, D>,
        value: Tensor<Self, D>,
        decay: f64,
    ) -> Tensor<Self, D> {
        combine::moving_average(average, value, decay)
    }
}
