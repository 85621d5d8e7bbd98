//! MGDA: the least-norm point of the gradients' convex hull (Désidéri 2012; Sener & Koltun 2018,
//! <https://arxiv.org/abs/1810.04650>).

use super::quadratic::least_norm_on_simplex;
use super::{GradientAggregator, Gram, StepRng};

/// `w = argmin_{w >= 0, sum w = 1} |sum_k w_k g_k|^2`, solved exactly instead of by Frank-Wolfe.
#[derive(Clone, Copy, Debug)]
pub struct Mgda;

impl GradientAggregator for Mgda {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        least_norm_on_simplex(gram.matrix())
    }
}
