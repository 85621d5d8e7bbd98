//! Operations on all parameters, made of those on one.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata, TensorPrimitive, backend::Backend};

use super::{KernelKind, Kernels};
use crate::adamw::{AdamWUpdate, AdamWUpdated, Moments};

/// Runs code with the rank of a float tensor as a constant. Parameters have at most four dimensions.
macro_rules! with_rank {
    ($tensor:expr, $function:ident::<$backend:ty>($($argument:expr),*)) => {
        match TensorMetadata::rank($tensor) {
            0 | 1 => $function::<$backend, 1>($($argument),*),
            2 => $function::<$backend, 2>($($argument),*),
            3 => $function::<$backend, 3>($($argument),*),
            4 => $function::<$backend, 4>($($argument),*),
            rank => unreachable!("a parameter of {rank} dimensions"),
        }
    };
}

/// A step of all parameters, one after the other.
pub(crate) fn one_by_one<B: Kernels>(
    kind: KernelKind,
    updates: Vec<AdamWUpdate<FloatTensor<B>>>,
    gradient_factor: Option<&Tensor<B, 1>>,
) -> Vec<AdamWUpdated<FloatTensor<B>>> {
    (updates.into_iter())
        .map(|update| with_rank!(&update.parameter, one::<B>(kind, update, gradient_factor)))
        .collect()
}

fn one<B: Kernels, const D: usize>(
    kind: KernelKind,
    update: AdamWUpdate<FloatTensor<B>>,
    gradient_factor: Option<&Tensor<B, 1>>,
) -> AdamWUpdated<FloatTensor<B>> {
    let moments = update.moments.map(|[first, second]| Moments {
        first: tensor(first),
        second: tensor(second),
    });
    let (parameter, gradient) = (tensor::<B, D>(update.parameter), tensor(update.gradient));
    let (parameter, moments) =
        kind.adamw(parameter, gradient, gradient_factor, moments, &update.step);
    AdamWUpdated {
        parameter: primitive(parameter),
        moments: [moments.first, moments.second].map(primitive),
    }
}

/// Inner products summed over groups, one group after the other.
pub(crate) fn products_one_by_one<B: Kernels>(
    kind: KernelKind,
    groups: Vec<Vec<FloatTensor<B>>>,
) -> Option<Tensor<B, 1>> {
    let products = groups.into_iter().filter(|group| !group.is_empty());
    let products = products.map(|group| with_rank!(&group[0], products_of::<B>(kind, group)));
    let sums = products.reduce(|sums, products| {
        let both = sums.into_iter().zip(products);
        both.map(|(sum, product)| sum + product).collect()
    })?;
    Some(Tensor::cat(sums, 0))
}

fn products_of<B: Kernels, const D: usize>(
    kind: KernelKind,
    group: Vec<FloatTensor<B>>,
) -> Vec<Tensor<B, 1>> {
    let tensors: Vec<Tensor<B, D>> = group.into_iter().map(tensor).collect();
    kind.inner_products(&tensors)
}

fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}
