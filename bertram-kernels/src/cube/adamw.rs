//! AdamW in place, several parameters to a launch: most of a model's are vectors of a few hundred numbers.

use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::graph::CubeKernels;
use super::tensor::{UNITS, all_f32, contiguous, lanes, owned, primitive, tensor, zeros};
use crate::{AdamWStep, AdamWUpdate, AdamWUpdated, Moments, composed};

/// Most cubes for a parameter; each takes what is left of it in turns.
const MOST_CUBES: usize = 1024;

/// Most parameters of a launch.
const TOGETHER: usize = 8;

/// The numbers that all parameters share.
#[derive(CubeType, CubeLaunch)]
struct Shared {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    eps: f32,
}

#[cube(launch)]
fn adamw_kernel<N: Size>(
    parameters: &mut Sequence<Array<Vector<f32, N>>>,
    gradients: &Sequence<Array<Vector<f32, N>>>,
    first_moments: &mut Sequence<Array<Vector<f32, N>>>,
    second_moments: &mut Sequence<Array<Vector<f32, N>>>,
    rates: &Sequence<f32>,
    shrinks: &Sequence<f32>,
    factor: &ComptimeOption<Array<f32>>,
    shared: &Shared,
    #[comptime] count: usize,
) {
    let factor = #[comptime]
    match factor {
        ComptimeOption::Some(factor) => factor[0],
        ComptimeOption::None => 1.0f32.runtime(),
    };
    // A negative factor leaves the step out, whatever the gradient holds.
    if factor < 0.0 {
        terminate!();
    }
    let position = ABSOLUTE_POS_X as usize;
    let stride = (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    #[unroll]
    for index in 0..count {
        if CUBE_POS_Y as usize == index {
            let parameter = parameters.index_mut(index);
            let gradient = gradients.index(index);
            let first = first_moments.index_mut(index);
            let second = second_moments.index_mut(index);
            let rate = *rates.index(index);
            let shrink = *shrinks.index(index);
            for at in range_stepped(position, parameter.len(), stride) {
                let g = gradient[at] * Vector::new(factor);
                let m = first[at] * Vector::new(shared.beta1) + g * Vector::new(shared.rest1);
                let v = second[at] * Vector::new(shared.beta2) + g * g * Vector::new(shared.rest2);
                first[at] = m;
                second[at] = v;
                let change = m / (Vector::sqrt(v) + Vector::new(shared.eps)) * Vector::new(rate);
                parameter[at] = (parameter[at] - change) * Vector::new(shrink);
            }
        }
    }
}

/// What a launch takes of one parameter. All contiguous, and no one else's but the gradient.
struct Item<R: CubeRuntime> {
    parameter: CubeTensor<R>,
    gradient: CubeTensor<R>,
    moments: [CubeTensor<R>; 2],
    step: AdamWStep,
}

impl<R: CubeRuntime> Item<R> {
    fn elements(&self) -> usize {
        self.parameter.meta.num_elements()
    }

    /// Whether both can go into one launch.
    fn goes_with(&self, other: &Self) -> bool {
        let numbers = |step: &AdamWStep| [step.beta1, step.beta2, step.eps];
        lanes(self.elements()) == lanes(other.elements())
            && numbers(&self.step) == numbers(&other.step)
    }
}

/// How many tensors of `each` buffers go into one launch: a power of two, so that few kernels are compiled.
pub(super) fn together<R: CubeRuntime>(like: &CubeTensor<R>, each: usize, most: usize) -> usize {
    let fits = (room(like) / each).clamp(1, most);
    1 << fits.ilog2()
}

/// Buffers of a launch, but for one that all tensors share and one for the numbers that are no tensors.
pub(super) fn room<R: CubeRuntime>(like: &CubeTensor<R>) -> usize {
    let most = like.client.properties().hardware.max_bindings as usize;
    most.saturating_sub(2)
}

fn launch<R: CubeRuntime>(items: &[Item<R>], factor: Option<&CubeTensor<R>>) {
    let Some(first) = items.first() else { return };
    let lanes = lanes(first.elements());
    let longest = items.iter().map(Item::elements).max().unwrap_or(0) / lanes;
    let cubes = longest.div_ceil(UNITS as usize).clamp(1, MOST_CUBES);
    let step = &first.step;
    let array = |tensor: &CubeTensor<R>| tensor.clone().into_array_arg();
    adamw_kernel::launch(
        &first.parameter.client,
        CubeCount::Static(cubes as u32, items.len() as u32, 1),
        CubeDim::new_1d(UNITS),
        lanes,
        items.iter().map(|item| array(&item.parameter)).collect(),
        items.iter().map(|item| array(&item.gradient)).collect(),
        items.iter().map(|item| array(&item.moments[0])).collect(),
        items.iter().map(|item| array(&item.moments[1])).collect(),
        items.iter().map(|item| item.step.rate as f32).collect(),
        items.iter().map(|item| item.step.shrink as f32).collect(),
        match factor {
            Some(factor) => ComptimeOptionArgs::Some(array(factor)),
            None => ComptimeOptionArgs::None,
        },
        SharedLaunch::new(
            step.beta1 as f32,
            (1.0 - step.beta1) as f32,
            step.beta2 as f32,
            (1.0 - step.beta2) as f32,
            step.eps as f32,
        ),
        items.len(),
    );
}

/// Launches items in runs of a power of two.
pub(super) fn in_runs<T>(
    items: &[T],
    most: usize,
    alike: impl Fn(&T, &T) -> bool,
    mut launch: impl FnMut(&[T]),
) {
    for mut run in items.chunk_by(alike) {
        while !run.is_empty() {
            let (now, later) = run.split_at(most.min(1 << run.len().ilog2()));
            launch(now);
            run = later;
        }
    }
}

fn dtypes<R: CubeRuntime>(update: &AdamWUpdate<CubeTensor<R>>) -> Vec<DType> {
    let moments = update.moments.iter().flatten();
    ([&update.parameter, &update.gradient]
        .into_iter()
        .chain(moments))
    .map(|tensor| tensor.dtype)
    .collect()
}

/// [`Kernels::adamw_all`](crate::Kernels::adamw_all); the updates again where there is no kernel for their types.
#[allow(clippy::type_complexity, reason = "what came in, or what comes of it")]
pub(super) fn step_all<R: CubeRuntime>(
    updates: Vec<AdamWUpdate<CubeTensor<R>>>,
    factor: Option<CubeTensor<R>>,
) -> Result<Vec<AdamWUpdated<CubeTensor<R>>>, Vec<AdamWUpdate<CubeTensor<R>>>> {
    let factor_is_f32 = (factor.as_ref()).is_none_or(|factor| factor.dtype == DType::F32);
    if !factor_is_f32 || !updates.iter().all(|update| all_f32(&dtypes(update))) {
        return Err(updates);
    }
    let factor = factor.map(contiguous);
    let mut items: Vec<(usize, Item<R>)> = (updates.into_iter()).map(item).enumerate().collect();
    // Like sizes go together: a launch has as many cubes for each of its parameters as for the largest.
    items.sort_by_key(|(_, item)| (lanes(item.elements()), item.elements()));
    let (places, items): (Vec<usize>, Vec<Item<R>>) = items.into_iter().unzip();
    if let Some(first) = items.first() {
        let most = together(&first.parameter, 4, TOGETHER);
        in_runs(&items, most, Item::goes_with, |items| {
            launch(items, factor.as_ref());
        });
    }
    let mut updated: Vec<_> = places.into_iter().zip(items).collect();
    updated.sort_by_key(|(place, _)| *place);
    let updated = updated.into_iter().map(|(_, item)| AdamWUpdated {
        parameter: item.parameter,
        moments: item.moments,
    });
    Ok(updated.collect())
}

/// [`Kernels::adamw`](crate::Kernels::adamw).
pub(super) fn step<B: CubeKernels, const D: usize>(
    parameter: Tensor<B, D>,
    gradient: Tensor<B, D>,
    gradient_factor: Option<&Tensor<B, 1>>,
    moments: Option<Moments<B, D>>,
    step: &AdamWStep,
) -> (Tensor<B, D>, Moments<B, D>) {
    let update = AdamWUpdate {
        parameter: primitive(parameter),
        gradient: primitive(gradient),
        moments: moments.map(|moments| [moments.first, moments.second].map(primitive)),
        step: *step,
    };
    let factor = gradient_factor.map(|factor| primitive(factor.clone()));
    let moments = |[first, second]: [CubeTensor<B::Runtime>; 2]| Moments {
        first: tensor(first),
        second: tensor(second),
    };
    match step_all(vec![update], factor).map(|mut updated| updated.remove(0)) {
        Ok(updated) => (tensor(updated.parameter), moments(updated.moments)),
        Err(mut updates) => {
            let AdamWUpdate {
                parameter,
                gradient,
                moments: before,
                ..
            } = updates.remove(0);
            let (parameter, gradient) = (tensor(parameter), tensor(gradient));
            composed::adamw(
                parameter,
                gradient,
                gradient_factor,
                before.map(moments),
                step,
            )
        }
    }
}

fn item<R: CubeRuntime>(update: AdamWUpdate<CubeTensor<R>>) -> Item<R> {
    let parameter = owned(update.parameter);
    let moments = match update.moments {
        Some(moments) => moments.map(owned),
        None => [(); 2].map(|()| zeros(&parameter, parameter.meta.shape().clone())),
    };
    Item {
        parameter,
        gradient: contiguous(update.gradient),
        moments,
        step: update.step,
    }
}
