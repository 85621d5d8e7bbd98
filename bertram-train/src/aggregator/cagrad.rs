//! CAGrad: conflict-averse gradient descent (Liu et al. 2021, <https://arxiv.org/abs/2110.14048>).

use nalgebra::{DMatrix, DVector};

use super::{GradientAggregator, Gram, StepRng};

/// The gradient within `c |g_0|` of the mean `g_0` that helps the worst-off task most. By duality (equation 4):
///
/// ```text
/// w = argmin over the simplex of <g_w, g_0> + c |g_0| |g_w|,   g_w = sum_k w_k g_k
/// g = g_0 + c |g_0| / |g_w| g_w
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CaGrad {
    /// How far from the mean, as a share of its length; below 1 the mean loss still falls.
    pub c: f64,
}

/// Enough for a strictly convex problem in a few unknowns; a step that no longer moves ends it sooner.
const STEPS: usize = 20_000;

impl GradientAggregator for CaGrad {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        let tasks = gram.tasks();
        let mean = vec![1.0 / tasks as f64; tasks];
        let scale = gram.scale();
        let radius = self.c * gram.norm_of(&mean);
        if scale <= 0.0 || radius <= 0.0 || tasks == 1 {
            return if tasks == 1 { vec![1.0] } else { mean };
        }
        // Normalised, so that step sizes and tolerances have a meaning.
        let matrix = gram.matrix() / scale;
        let radius = radius / scale.sqrt();
        let w = minimise(&matrix, &DVector::from_column_slice(&mean), radius);
        let norm = w.dot(&(&matrix * &w)).max(0.0).sqrt();
        if norm <= 1e-10 {
            return mean;
        }
        mean.iter()
            .zip(w.iter())
            .map(|(mean, w)| mean + radius / norm * w)
            .collect()
    }
}

/// Projected gradient descent with backtracking on the simplex.
fn minimise(matrix: &DMatrix<f64>, mean: &DVector<f64>, radius: f64) -> DVector<f64> {
    let pull = matrix * mean;
    let value = |w: &DVector<f64>| pull.dot(w) + radius * w.dot(&(matrix * w)).max(0.0).sqrt();
    let mut w = mean.clone();
    let mut step = 1.0;
    for _ in 0..STEPS {
        let product = matrix * &w;
        let norm = w.dot(&product).max(0.0).sqrt();
        if norm < 1e-12 {
            break;
        }
        let gradient = &pull + product * (radius / norm);
        let now = value(&w);
        step *= 2.0;
        let next = loop {
            let candidate = onto_simplex(&(&w - &gradient * step));
            let moved = &candidate - &w;
            if value(&candidate) <= now + gradient.dot(&moved) + moved.norm_squared() / (2.0 * step)
                || step < 1e-14
            {
                break candidate;
            }
            step *= 0.5;
        };
        let moved = (&next - &w).amax();
        w = next;
        if moved < 1e-14 {
            break;
        }
    }
    w
}

/// The nearest point of the simplex (Duchi et al. 2008).
fn onto_simplex(point: &DVector<f64>) -> DVector<f64> {
    let mut sorted: Vec<f64> = point.iter().copied().collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    let mut shift = 0.0;
    for (index, value) in sorted.iter().enumerate() {
        sum += value;
        let candidate = (sum - 1.0) / (index + 1) as f64;
        if value - candidate > 0.0 {
            shift = candidate;
        }
    }
    point.map(|value| (value - shift).max(0.0))
}
