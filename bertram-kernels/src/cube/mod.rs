//! Fused operations of the GPU backends: CUDA, Vulkan, Metal and WebGPU share them, as CubeCL compiles one source for each.
//!
//! As on the CPU, each operation is one node of Burn's graph. Numbers are stored in f32 or in a half and computed in f32;
//! parameters are f32. Nothing is added atomically and no size of a block depends on the device, so that a device repeats
//! its numbers bit for bit. Kernels that sum over the units of a cube need shared memory and no plane operations.

mod adamw;
mod attention;
mod combine;
mod dropout;
mod embedding;
mod gelu;
mod graph;
mod heads;
mod layer_norm;
mod linear;
mod norm_kernels;
mod product;
mod projections;
mod softmax;
mod sums;
mod tensor;
#[cfg(test)]
mod tests;

use std::time::Instant;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};

use self::tensor::{primitive, tensor};
use crate::kernels::{one_by_one, products_one_by_one};
use crate::products::{ProductShape, TuneProgress, TunedProduct};
use crate::{
    AdamWStep, AdamWUpdate, AdamWUpdated, AttentionOptions, KernelKind, Kernels, Moments, Norm,
    Projections, RowDropout,
};

impl<R, F, I, T> Kernels for CubeBackend<R, F, I, T>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    T: BoolElement,
{
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

    fn projected_attention(
        hidden: Tensor<Self, 2>,
        projections: Projections<Self>,
        bias: Tensor<Self, 4>,
        options: AttentionOptions,
    ) -> Tensor<Self, 2> {
        attention::projected_without_graph(hidden, projections, bias, options)
    }

    fn projected_attention_on_graph<C: CheckpointStrategy>(
        hidden: Tensor<Autodiff<Self, C>, 2>,
        projections: Projections<Autodiff<Self, C>>,
        bias: Tensor<Autodiff<Self, C>, 4>,
        options: AttentionOptions,
    ) -> Tensor<Autodiff<Self, C>, 2> {
        attention::projected_on_graph(hidden, projections, bias, options)
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
        layer_norm::residual_without_graph(input, bias, residual, norm, dropout.prob)
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
        dropout: RowDropout,
    ) -> Tensor<Self, 2> {
        layer_norm::dropout_without_graph(input, norm, dropout.prob)
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
        updates: Vec<AdamWUpdate<FloatTensor<Self>>>,
        gradient_factor: Option<&Tensor<Self, 1>>,
    ) -> Vec<AdamWUpdated<FloatTensor<Self>>> {
        let factor = gradient_factor.map(|factor| primitive(factor.clone()));
        match adamw::step_all(updates, factor) {
            Ok(updated) => updated,
            Err(updates) => one_by_one(KernelKind::Composed, updates, gradient_factor),
        }
    }

    fn inner_products<const D: usize>(tensors: &[Tensor<Self, D>]) -> Vec<Tensor<Self, 1>> {
        combine::inner_products(tensors)
    }

    fn inner_products_all(groups: Vec<Vec<FloatTensor<Self>>>) -> Option<Tensor<Self, 1>> {
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

    fn tune_products(
        device: &Self::Device,
        shapes: &[ProductShape],
        until: Instant,
        progress: &mut dyn FnMut(TuneProgress<'_>),
    ) -> Option<Vec<TunedProduct>> {
        Some(product::tune::<Self>(device, shapes, until, progress))
    }
}
