//! Inner products, weighted sums and moving averages of whole gradients or parameters, each in one pass over memory.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor};
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

use super::simd::{dot, mul_add, vectorised};
use super::tensor::{all_f32, contiguous, from_values, primitive, tensor, values, values_mut};
use super::touched::Touched;
use crate::composed;

/// Elements of a block: a block of each of several gradients fits into a thread's cache, where it is read once for every
/// pair it is in.
const BLOCK: usize = 8 * 1024;

/// Elements that a moving average looks at before it writes.
const STRETCH: usize = 128;

vectorised! {
/// The upper triangle of the Gram matrix, row by row.
fn products(blocks: &[&[f32]]) -> Vec<f64> {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let mut products = Vec::with_capacity(blocks.len() * (blocks.len() + 1) / 2);
    for (row, one) in blocks.iter().enumerate() {
        for other in &blocks[row..] {
            products.push(f64::from(dot::<FMA>(one, other)));
        }
    }
    products
}
}

vectorised! {
fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}
}

vectorised! {
fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = mul_add::<FMA>(*value, factor, *sum);
    }
}
}

vectorised! {
/// Stretches in which nothing differs stay as they are, and are not written: most rows of an embedding table.
fn approach(averages: &mut [f32], values: &[f32], rate: f32) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    for (averages, values) in averages.chunks_mut(STRETCH).zip(values.chunks(STRETCH)) {
        let pairs = averages.iter().zip(values);
        let differences = pairs.fold(0, |bits, (one, other)| bits | (one.to_bits() ^ other.to_bits()));
        if differences == 0 {
            continue;
        }
        for (average, value) in averages.iter_mut().zip(values) {
            *average = mul_add::<FMA>(value - *average, rate, *average);
        }
    }
}
}

fn dtypes<const D: usize>(tensors: &[Tensor<Flex, D>]) -> Vec<DType> {
    tensors.iter().map(Tensor::dtype).collect()
}

/// [`Kernels::inner_products`](crate::Kernels::inner_products).
pub(super) fn inner_products<const D: usize>(tensors: &[Tensor<Flex, D>]) -> Vec<Tensor<Flex, 1>> {
    if !all_f32(&dtypes(tensors)) {
        return composed::inner_products(tensors);
    }
    let tensors: Vec<FlexTensor> = (tensors.iter().cloned())
        .map(|tensor| contiguous(primitive(tensor)))
        .collect();
    let slices: Vec<&[f32]> = tensors.iter().map(values).collect();
    let length = slices.first().map_or(0, |slice| slice.len());
    // A block in which no gradient has touched a row adds 0.
    let blocks: Vec<usize> = match Touched::of_all(&tensors) {
        Some(touched) => touched.blocks(BLOCK),
        None => (0..length.div_ceil(BLOCK)).collect(),
    };
    let blocks: Vec<Vec<f64>> = blocks
        .into_par_iter()
        .map(|block| {
            let range = block * BLOCK..length.min((block + 1) * BLOCK);
            let blocks: Vec<&[f32]> = slices.iter().map(|slice| &slice[range.clone()]).collect();
            products(&blocks)
        })
        .collect();
    let pairs = slices.len() * (slices.len() + 1) / 2;
    (0..pairs)
        .map(|pair| {
            // Block after block, so that the sum is the same for any number of threads.
            let sum: f64 = blocks.iter().map(|products| products[pair]).sum();
            tensor(from_values(vec![sum as f32], [1].into()))
        })
        .collect()
}

/// [`Kernels::weighted_sum`](crate::Kernels::weighted_sum).
pub(super) fn weighted_sum<const D: usize>(
    terms: Vec<(Tensor<Flex, D>, f64)>,
) -> Option<Tensor<Flex, D>> {
    let (tensors, factors): (Vec<_>, Vec<_>) = terms.into_iter().unzip();
    if !all_f32(&dtypes(&tensors)) {
        return composed::weighted_sum(tensors.into_iter().zip(factors).collect());
    }
    let factors: Vec<f32> = factors.into_iter().map(|factor| factor as f32).collect();
    let mut tensors = tensors
        .into_iter()
        .map(|tensor| contiguous(primitive(tensor)));
    let mut sum = tensors.next()?;
    let others: Vec<FlexTensor> = tensors.collect();
    let (first, rest) = factors.split_first()?;
    if others.is_empty() && *first == 1.0 {
        return Some(tensor(sum));
    }
    let slices: Vec<&[f32]> = others.iter().map(values).collect();
    let all: Vec<FlexTensor> = others.iter().cloned().chain([sum.clone()]).collect();
    let touched = Touched::of_all(&all);
    // What else holds the sum would have it copied.
    drop(all);
    let reads = touched.as_ref().map(|touched| touched.blocks(BLOCK));
    let blocks = values_mut(&mut sum).par_chunks_mut(BLOCK).enumerate();
    blocks.for_each(|(block, sum)| {
        if reads
            .as_ref()
            .is_some_and(|reads| reads.binary_search(&block).is_err())
        {
            return;
        }
        if *first != 1.0 {
            scale(sum, *first);
        }
        for (slice, factor) in slices.iter().zip(rest) {
            add_scaled(sum, &slice[block * BLOCK..][..sum.len()], *factor);
        }
    });
    if let Some(touched) = touched {
        touched.note(&sum);
    }
    Some(tensor(sum))
}

/// [`Kernels::moving_average`](crate::Kernels::moving_average).
pub(super) fn moving_average<const D: usize>(
    average: Tensor<Flex, D>,
    value: Tensor<Flex, D>,
    decay: f64,
) -> Tensor<Flex, D> {
    if !all_f32(&[average.dtype(), value.dtype()]) {
        return composed::moving_average(average, value, decay);
    }
    let rate = (1.0 - decay) as f32;
    let mut average = contiguous(primitive(average));
    let value = contiguous(primitive(value));
    let blocks = values_mut(&mut average).par_chunks_mut(BLOCK);
    blocks
        .zip(values(&value).par_chunks(BLOCK))
        .for_each(|(averages, values)| approach(averages, values, rate));
    tensor(average)
}
