//! AdamW in one pass over a parameter, in place.

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorMetadata};
use rayon::prelude::*;

use super::simd::vectorised;
use super::tensor::{all_f32, contiguous, from_values, primitive, tensor, values, values_mut};
use super::touched::Touched;
use crate::{AdamWStep, Moments, composed};

/// Elements that a thread takes at once: the pass is bound by memory, and small parameters stay on one thread.
const BLOCK: usize = 32 * 1024;

/// [`AdamWStep`] in the numbers' own type.
#[derive(Clone, Copy)]
struct Step {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    eps: f32,
    rate: f32,
    shrink: f32,
    /// What the gradient is multiplied by.
    factor: f32,
}

impl Step {
    fn new(step: &AdamWStep, factor: f32) -> Self {
        Self {
            factor,
            beta1: step.beta1 as f32,
            rest1: (1.0 - step.beta1) as f32,
            beta2: step.beta2 as f32,
            rest2: (1.0 - step.beta2) as f32,
            eps: step.eps as f32,
            rate: step.rate as f32,
            shrink: step.shrink as f32,
        }
    }

    /// An element's step, by its gradient times the factor.
    #[inline(always)]
    fn apply(self, parameter: &mut f32, gradient: f32, first: &mut f32, second: &mut f32) {
        let m = *first * self.beta1 + gradient * self.rest1;
        let v = *second * self.beta2 + gradient * gradient * self.rest2;
        // The first moment of a row that is no longer used would decay into the denormal numbers, where some processors take
        // a hundred times as long, and stay there.
        *first = if m.abs() < f32::MIN_POSITIVE { 0.0 } else { m };
        *second = if v < f32::MIN_POSITIVE { 0.0 } else { v };
        *parameter = (*parameter - m / (v.sqrt() + self.eps) * self.rate) * self.shrink;
    }

    /// The step of a row that has seen nothing: weight decay.
    #[inline(always)]
    fn decay(self, row: &mut [f32]) {
        if self.shrink != 1.0 {
            for parameter in row {
                *parameter *= self.shrink;
            }
        }
    }
}

vectorised! {
/// [`update`] of rows whose gradient is 0, which is not read.
fn update_without_gradient(
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    width: usize,
    step: Step,
) {
    let moments = first.chunks_mut(width).zip(second.chunks_mut(width));
    for (parameter, (first, second)) in parameter.chunks_mut(width).zip(moments) {
        if zero(first) && zero(second) {
            step.decay(parameter);
            continue;
        }
        let moments = first.iter_mut().zip(second);
        for (parameter, (first, second)) in parameter.iter_mut().zip(moments) {
            step.apply(parameter, 0.0, first, second);
        }
    }
}
}

vectorised! {
/// Rows whose gradient and moments are all 0 stay as they are, but for weight decay: most of an embedding table, whose
/// gradient has a row for each token of a batch. They are read and not written.
fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    width: usize,
    step: Step,
) {
    let gradient = gradient.chunks(width);
    let moments = first.chunks_mut(width).zip(second.chunks_mut(width));
    for ((parameter, gradient), (first, second)) in parameter.chunks_mut(width).zip(gradient).zip(moments) {
        if zero(gradient) && zero(first) && zero(second) {
            step.decay(parameter);
            continue;
        }
        let moments = first.iter_mut().zip(second);
        for ((parameter, gradient), (first, second)) in parameter.iter_mut().zip(gradient).zip(moments) {
            step.apply(parameter, gradient * step.factor, first, second);
        }
    }
}
}

/// Whether all are 0; of either sign.
#[inline(always)]
fn zero(values: &[f32]) -> bool {
    let (chunks, rest) = values.as_chunks::<16>();
    let nothing = |chunk: &[f32; 16]| {
        let bits = chunk
            .iter()
            .fold(0, |bits, value| bits | (value.to_bits() << 1));
        bits == 0
    };
    chunks.iter().all(nothing) && rest.iter().all(|value| *value == 0.0)
}

/// [`Kernels::adamw`](crate::Kernels::adamw).
pub(super) fn step<const D: usize>(
    parameter: Tensor<Flex, D>,
    gradient: Tensor<Flex, D>,
    gradient_factor: Option<&Tensor<Flex, 1>>,
    moments: Option<Moments<Flex, D>>,
    step: &AdamWStep,
) -> (Tensor<Flex, D>, Moments<Flex, D>) {
    let mut dtypes = vec![parameter.dtype(), gradient.dtype()];
    dtypes.extend(gradient_factor.map(Tensor::dtype));
    if let Some(moments) = &moments {
        dtypes.extend([moments.first.dtype(), moments.second.dtype()]);
    }
    if !all_f32(&dtypes) {
        return composed::adamw(parameter, gradient, gradient_factor, moments, step);
    }
    // The device is the host: looking at the number waits for nothing.
    let factor = gradient_factor.map_or(1.0, |factor| {
        values(&contiguous(primitive(factor.clone())))[0]
    });
    let mut parameter = contiguous(primitive(parameter));
    let gradient = contiguous(primitive(gradient));
    let [mut first, mut second] = match moments {
        Some(moments) => [moments.first, moments.second].map(|it| contiguous(primitive(it))),
        None => [(); 2].map(|()| {
            let shape = parameter.shape();
            from_values(vec![0.0; shape.num_elements()], shape)
        }),
    };
    if factor >= 0.0 {
        let width = parameter.shape().iter().last().copied().unwrap_or(1).max(1);
        let rows = (BLOCK / width).max(1);
        let touched = Touched::of(&gradient).filter(|touched| touched.width() == width);
        let blocks = values_mut(&mut parameter)
            .par_chunks_mut(rows * width)
            .zip(values(&gradient).par_chunks(rows * width))
            .zip(values_mut(&mut first).par_chunks_mut(rows * width))
            .zip(values_mut(&mut second).par_chunks_mut(rows * width));
        let step = Step::new(step, factor);
        blocks
            .enumerate()
            .for_each(|(block, (((parameter, gradient), first), second))| {
                let Some(touched) = &touched else {
                    return update(parameter, gradient, first, second, width, step);
                };
                let begin = block * rows;
                let mut done = 0;
                for row in touched.between(begin, begin + rows) {
                    let from = (row - begin) * width;
                    let (skipped, own) = (done..from, from..from + width);
                    done = own.end;
                    update_without_gradient(
                        &mut parameter[skipped.clone()],
                        &mut first[skipped.clone()],
                        &mut second[skipped],
                        width,
                        step,
                    );
                    update(
                        &mut parameter[own.clone()],
                        &gradient[own.clone()],
                        &mut first[own.clone()],
                        &mut second[own],
                        width,
                        step,
                    );
                }
                update_without_gradient(
                    &mut parameter[done..],
                    &mut first[done..],
                    &mut second[done..],
                    width,
                    step,
                );
            });
    }
    let moments = Moments {
        first: tensor(first),
        second: tensor(second),
    };
    (tensor(parameter), moments)
}
