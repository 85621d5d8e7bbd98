//! IMTL-G: impartial multi-task learning (Liu et al. 2021, <https://openreview.net/forum?id=IMPnRXEWpvr>).

use nalgebra::DVector;

use super::quadratic::pseudo_solve;
use super::{GradientAggregator, Gram, StepRng};

/// The combination whose projections on all task gradients are equal: `G w` proportional to the gradients' lengths,
/// `sum w = 1`.
#[derive(Clone, Copy, Debug)]
pub struct ImtlG;

impl GradientAggregator for ImtlG {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        let tasks = gram.tasks();
        let even = vec![1.0 / tasks as f64; tasks];
        let lengths = DVector::from_fn(tasks, |i, _| gram.norm(i));
        let Some(solution) = pseudo_solve(gram.matrix(), &lengths) else {
            return even;
        };
        let sum = solution.sum();
        // Opposed gradients have no such combination.
        if sum.abs() <= 1e-10 * solution.amax() || solution.amax() == 0.0 {
            return even;
        }
        solution.iter().map(|weight| weight / sum).collect()
    }
}
