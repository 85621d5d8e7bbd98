//! PyTorch's own kernels, through LibTorch.
//!
//! One file an operation, as on the other backends. Where `tch` has no call, `aten.cpp` has one. Numbers that are not f32
//! are computed in f32 but for products, as the composed operations do.

mod adamw;
mod aten;
mod attention;
mod combine;
mod device;
mod dropout;
mod gelu;
mod layer_norm;
mod linear;
mod packed;
mod tensor;
#[cfg(test)]
mod tests;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn_tch::TchTensor;

pub use self::device::{LibTorchVersion, configure, devices, peak_memory_bytes};
use self::tensor::{Torch, tensor};
use crate::kernels::{one_by_one, products_one_by_one};
use crate::{
    AdamWStep, AdamWUpdate, AdamWUpdated, AttentionOptions, KernelKind, Kernels, Moments, Norm,
    Projections, Queries, RowDropout, TokenRows,
};

// Rows of a table are Burn's own operation: it is ATen's embedding with its dense backward pass.
impl Kernels for Torch {
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
        _dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        layer_norm::residual_without_graph(input, bias, residual, norm)
    }

    fn residual_layer_norm_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        bias: Tensor<Autodiff<Self, C>, 1>,
        residual: Tensor<Autodiff<Self, C>, 2>,
        norm: Norm<Autodiff<Self, C>>,
        dropout: RowDropout,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        layer_norm::residual_on_graph(input, bias, residual, norm, dropout.prob)
    }

    fn layer_norm_dropout(
        input: Tensor<Self, 2>,
        norm: Norm<Self>,
        _dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        layer_norm::dropout_without_graph(input, norm)
    }

    fn layer_norm_dropout_on_graph<C: CheckpointStrategy>(
        input: Tensor<Autodiff<Self, C>, 2>,
        norm: Norm<Autodiff<Self, C>>,
        dropout: RowDropout,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        layer_norm::dropout_on_graph(input, norm, dropout.prob)
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

    fn adamw_all(
        updates: Vec<AdamWUpdate<TchTensor>>,
        gradient_factor: Option<&Tensor<Self, 1>>,
    ) -> Vec<AdamWUpdated<TchTensor>> {
        match adamw::step_all(updates, gradient_factor) {
            Ok(updated) => updated,
            Err(updates) => one_by_one(KernelKind::Composed, updates, gradient_factor),
        }
    }

    fn inner_products<const D: usize>(tensors: &[Tensor<Self, D>]) -> Vec<Tensor<Self, 1>> {
        combine::inner_products(tensors)
    }

    fn inner_products_all(groups: Vec<Vec<TchTensor>>) -> Option<Tensor<Self, 1>> {
        match combine::inner_products_all(groups) {
            Ok(products) => products.map(tensor),
            Err(groups) => products_one_by_one(KernelKind::Composed, groups),
        }
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
