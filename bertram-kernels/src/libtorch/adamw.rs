//! AdamW, of all parameters together and in place.

use burn::tensor::Tensor;
use burn_tch::TchTensor;

use super::aten::{self, AdamWTensors};
use super::tensor::{Torch, all_f32, fresh, owned, primitive, tensor};
use crate::kernels::one_by_one;
use crate::{AdamWStep, AdamWUpdate, AdamWUpdated, KernelKind, Moments};

/// [`Kernels::adamw_all`](crate::Kernels::adamw_all); the updates again where one is not of 32-bit floats.
pub(super) fn step_all(
    updates: Vec<AdamWUpdate<TchTensor>>,
    factor: Option<&Tensor<Torch, 1>>,
) -> Result<Vec<AdamWUpdated<TchTensor>>, Vec<AdamWUpdate<TchTensor>>> {
    let fits = |update: &AdamWUpdate<TchTensor>| {
        all_f32([&update.parameter, &update.gradient]) && all_f32(update.moments.iter().flatten())
    };
    if !updates.iter().all(fits) {
        return Err(updates);
    }
    let factor = factor.map(|factor| primitive(factor.clone()));
    let mut groups: Vec<(AdamWStep, AdamWTensors)> = Vec::new();
    let updated = (updates.into_iter())
        .map(|update| {
            let parameter = owned(update.parameter);
            let zeros = || fresh(parameter.tensor.zeros_like());
            let moments = match update.moments {
                Some(moments) => moments.map(owned),
                None => [zeros(), zeros()],
            };
            let at = groups.iter().position(|(step, _)| *step == update.step);
            let at = at.unwrap_or_else(|| {
                groups.push((update.step, AdamWTensors::default()));
                groups.len() - 1
            });
            let group = &mut groups[at].1;
            group.parameters.push(parameter.tensor.shallow_clone());
            // With a factor, the step leaves the product in the gradient's place.
            group.gradients.push(owned(update.gradient).tensor);
            group.first.push(moments[0].tensor.shallow_clone());
            group.second.push(moments[1].tensor.shallow_clone());
            AdamWUpdated { parameter, moments }
        })
        .collect();
    for (step, group) in &groups {
        aten::adamw(group, step, factor.as_ref().map(|it| &it.tensor));
    }
    Ok(updated)
}

/// [`Kernels::adamw`](crate::Kernels::adamw).
pub(super) fn step<const D: usize>(
    parameter: Tensor<Torch, D>,
    gradient: Tensor<Torch, D>,
    factor: Option<&Tensor<Torch, 1>>,
    moments: Option<Moments<Torch, D>>,
    step: &AdamWStep,
) -> (Tensor<Torch, D>, Moments<Torch, D>) {
    let update = AdamWUpdate {
        parameter: primitive(parameter),
        gradient: primitive(gradient),
        moments: moments.map(|it| [primitive(it.first), primitive(it.second)]),
        step: *step,
    };
    let mut updated = match step_all(vec![update], factor) {
        Ok(updated) => updated,
        Err(updates) => one_by_one(KernelKind::Composed, updates, factor),
    };
    let AdamWUpdated { parameter, moments } = updated.remove(0);
    let [first, second] = moments.map(tensor);
    (tensor(parameter), Moments { first, second })
}
