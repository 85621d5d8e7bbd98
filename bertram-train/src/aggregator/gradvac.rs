//! GradVac: gradient vaccine (Wang et al. 2021, algorithm 1, <https://arxiv.org/abs/2010.05874>).

use super::pcgrad::random_orders;
use super::{GradientAggregator, Gram, StepRng};

/// As PCGrad, but each pair of tasks has a target cosine, an exponential moving average of what was seen, and a gradient
/// whose cosine lies below the target is turned up to it:
///
/// ```text
/// g_i' += |g_i'| (T sqrt(1 - c^2) - c sqrt(1 - T^2)) / (|g_j| sqrt(1 - T^2)) g_j       where c = cos(g_i', g_j) < T
/// T    <- (1 - beta) T + beta c
/// ```
#[derive(Clone, Debug)]
pub struct GradVac {
    beta: f64,
    targets: Vec<f64>,
}

impl GradVac {
    /// Targets start at 0.
    pub fn new(beta: f64) -> Self {
        Self {
            beta,
            targets: Vec::new(),
        }
    }

    /// The weights for given orders, as in [`super::PcGrad::weights_in_order`]; moves the targets.
    pub fn weights_in_order(&mut self, gram: &Gram, orders: &[Vec<usize>]) -> Vec<f64> {
        let tasks = gram.tasks();
        self.targets.resize(tasks * tasks, 0.0);
        let mut weights = vec![0.0; tasks];
        for (i, others) in orders.iter().enumerate() {
            let mut coefficients = vec![0.0; tasks];
            coefficients[i] = 1.0;
            for &j in others {
                let (norm, other) = (gram.norm_of(&coefficients), gram.norm(j));
                if norm <= 0.0 || other <= 0.0 {
                    continue;
                }
                let cosine = (gram.dot_with(&coefficients, j) / (norm * other)).clamp(-1.0, 1.0);
                let target = self.targets[i * tasks + j];
                let sine = (1.0 - target * target).sqrt();
                if cosine < target && sine > 1e-12 {
                    let turn = target * (1.0 - cosine * cosine).sqrt() - cosine * sine;
                    coefficients[j] += norm * turn / (other * sine);
                }
                self.targets[i * tasks + j] = (1.0 - self.beta) * target + self.beta * cosine;
            }
            for (weight, coefficient) in weights.iter_mut().zip(coefficients) {
                *weight += coefficient;
            }
        }
        weights
    }
}

impl GradientAggregator for GradVac {
    fn weights(&mut self, gram: &Gram, rng: &mut StepRng) -> Vec<f64> {
        self.weights_in_order(gram, &random_orders(gram.tasks(), false, rng))
    }

    fn state(&self) -> Vec<f64> {
        self.targets.clone()
    }

    fn restore(&mut self, state: &[f64]) {
        self.targets = state.to_vec();
    }
}
