//! Inner products, weighted sums and moving averages of whole gradients or parameters.

use burn::tensor::Tensor;
use burn_tch::TchTensor;

use super::aten;
use super::tensor::{Torch, all_f32, fresh, owned, primitive, tensor};
use crate::composed;

/// [`Kernels::inner_products`](crate::Kernels::inner_products).
pub(super) fn inner_products<const D: usize>(
    tensors: &[Tensor<Torch, D>],
) -> Vec<Tensor<Torch, 1>> {
    let group = (tensors.iter().cloned()).map(primitive).collect();
    match inner_products_all(vec![group]) {
        Ok(Some(products)) => tensor::<Torch, 1>(products).split(1, 0),
        Ok(None) => Vec::new(),
        Err(_) => composed::inner_products(tensors),
    }
}

/// [`Kernels::inner_products_all`](crate::Kernels::inner_products_all); the groups again where one is not of 32-bit floats.
pub(super) fn inner_products_all(
    groups: Vec<Vec<TchTensor>>,
) -> Result<Option<TchTensor>, Vec<Vec<TchTensor>>> {
    if !all_f32(groups.iter().flatten()) {
        return Err(groups);
    }
    let groups: Vec<Vec<&tch::Tensor>> = (groups.iter())
        .filter(|group| !group.is_empty())
        .map(|group| group.iter().map(|it| &it.tensor).collect())
        .collect();
    Ok(aten::inner_products(&groups).map(fresh))
}

/// [`Kernels::weighted_sum`](crate::Kernels::weighted_sum).
pub(super) fn weighted_sum<const D: usize>(
    terms: Vec<(Tensor<Torch, D>, f64)>,
) -> Option<Tensor<Torch, D>> {
    let mut terms = terms.into_iter();
    let (first, factor) = terms.next()?;
    if terms.len() == 0 && factor == 1.0 {
        return Some(first);
    }
    let mut sum = owned(primitive(first));
    if factor != 1.0 {
        let _ = sum.tensor.g_mul_scalar_(factor);
    }
    for (term, weight) in terms {
        aten::add_scaled(&sum.tensor, &primitive(term).tensor, weight);
    }
    Some(tensor(sum))
}

/// [`Kernels::moving_average`](crate::Kernels::moving_average).
pub(super) fn moving_average<const D: usize>(
    average: Tensor<Torch, D>,
    value: Tensor<Torch, D>,
    decay: f64,
) -> Tensor<Torch, D> {
    let mut average = owned(primitive(average));
    let _ = average.tensor.lerp_(&primitive(value).tensor, 1.0 - decay);
    tensor(average)
}
