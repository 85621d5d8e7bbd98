//! UPGrad: unconflicting projection of gradients (Quinton & Rey 2024, <https://arxiv.org/abs/2406.16232>).

use nalgebra::DMatrix;

use super::quadratic::least_norm_above;
use super::{GradientAggregator, Gram, StepRng};

/// The mean of the task gradients, each projected on the cone of directions that conflict with no task. The projection of
/// `g_i` has the weights `argmin_{v >= e_i} v' G v` (proposition 1 of the paper).
#[derive(Clone, Copy, Debug)]
pub struct UpGrad;

/// Relative to a matrix of trace 1; makes the projection unique where gradients depend on each other.
const RIDGE: f64 = 1e-12;

impl GradientAggregator for UpGrad {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        let tasks = gram.tasks();
        let scale = gram.scale();
        if scale <= 0.0 {
            return vec![1.0 / tasks as f64; tasks];
        }
        let matrix = gram.matrix() / scale + DMatrix::identity(tasks, tasks) * RIDGE;
        let mut weights = vec![0.0; tasks];
        for i in 0..tasks {
            let mut unit = vec![0.0; tasks];
            unit[i] = 1.0;
            for (weight, part) in weights.iter_mut().zip(least_norm_above(&matrix, &unit)) {
                *weight += part / tasks as f64;
            }
        }
        weights
    }
}
