//! PCGrad: projecting conflicting gradients (Yu et al. 2020, algorithm 1, <https://arxiv.org/abs/2001.06782>).

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{GradientAggregator, Gram, StepRng};

/// Whose PCGrad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PcGradVariant {
    /// The paper's.
    Default,
    /// `WeiChengTseng/Pytorch-PCGrad`: a gradient is also compared with itself, which matters once it was projected.
    /// (That code also flattens all parameters and averages those that every task touches: see `scope` and `reduction`.)
    Tseng,
}

/// For each task `i`: start from `g_i`; for the other tasks `j` in random order, where `<g_i', g_j> < 0`, take away the
/// part of `g_i'` along the original `g_j`. The result is the sum of all `g_i'`.
#[derive(Clone, Copy, Debug)]
pub struct PcGrad {
    /// Whose.
    pub variant: PcGradVariant,
}

impl PcGrad {
    /// The weights for given orders: `orders[i]` lists the tasks against which `g_i` is checked.
    pub fn weights_in_order(gram: &Gram, orders: &[Vec<usize>]) -> Vec<f64> {
        let mut weights = vec![0.0; gram.tasks()];
        for (i, others) in orders.iter().enumerate() {
            for (weight, coefficient) in weights.iter_mut().zip(project(gram, i, others)) {
                *weight += coefficient;
            }
        }
        weights
    }
}

impl GradientAggregator for PcGrad {
    fn weights(&mut self, gram: &Gram, rng: &mut StepRng) -> Vec<f64> {
        let with_itself = self.variant == PcGradVariant::Tseng;
        Self::weights_in_order(gram, &random_orders(gram.tasks(), with_itself, rng))
    }
}

/// For each task, the others (and itself, where asked) in random order.
pub(super) fn random_orders(tasks: usize, with_itself: bool, rng: &mut StepRng) -> Vec<Vec<usize>> {
    (0..tasks)
        .map(|i| {
            let mut order: Vec<usize> = (0..tasks).filter(|&j| j != i || with_itself).collect();
            order.shuffle(rng);
            order
        })
        .collect()
}

/// Coefficients of `g_i'` after the projections on `others`, in that order.
pub(super) fn project(gram: &Gram, i: usize, others: &[usize]) -> Vec<f64> {
    let mut coefficients = vec![0.0; gram.tasks()];
    coefficients[i] = 1.0;
    for &j in others {
        let inner = gram.dot_with(&coefficients, j);
        let squared = gram.dot(j, j);
        // A zero gradient conflicts with nothing.
        if inner < 0.0 && squared > 0.0 {
            coefficients[j] -= inner / squared;
        }
    }
    coefficients
}
