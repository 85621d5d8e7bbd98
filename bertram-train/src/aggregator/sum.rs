//! Plain sums and means.

use super::{GradientAggregator, Gram, StepRng};

/// The sum of the task gradients: what one backward pass of the summed losses gives.
#[derive(Clone, Copy, Debug)]
pub struct Sum;

impl GradientAggregator for Sum {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        vec![1.0; gram.tasks()]
    }

    fn only_adds(&self) -> bool {
        true
    }
}

/// The mean of the task gradients.
#[derive(Clone, Copy, Debug)]
pub struct Mean;

impl GradientAggregator for Mean {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        vec![1.0 / gram.tasks() as f64; gram.tasks()]
    }
}
