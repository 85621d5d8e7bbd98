//! Aligned-MTL: independent component alignment (Senushkin et al. 2023, <https://arxiv.org/abs/2305.19000>).

use nalgebra::DVector;

use super::{GradientAggregator, Gram, StepRng};

/// Makes the principal components of the gradient matrix equally long, as long as the shortest: `w = sqrt(l_min) V L^(-1/2) V' p`,
/// with `G = V L V'` and even preferences `p` (algorithm 1 of the paper). Components without length are left out: those
/// whose eigenvalue is within the rounding of a Gram matrix that was made in f32 (`tasks` times f32's epsilon times the
/// largest). Kept, such a component would be the shortest, and the whole update would shrink to its length.
///
/// `p = 1 / tasks`, as in TorchJD: the update has the scale of a mean. LibMTL's is the sum, `tasks` times as long.
#[derive(Clone, Copy, Debug)]
pub struct AlignedMtl;

impl GradientAggregator for AlignedMtl {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        let tasks = gram.tasks();
        let preference = DVector::from_element(tasks, 1.0 / tasks as f64);
        let eigen = gram.matrix().clone().symmetric_eigen();
        let largest = eigen.eigenvalues.max();
        let threshold = largest * tasks as f64 * f64::from(f32::EPSILON);
        let kept = |value: f64| value > threshold && value > 0.0;
        let least = eigen
            .eigenvalues
            .iter()
            .copied()
            .filter(|&value| kept(value))
            .fold(f64::INFINITY, f64::min);
        if !least.is_finite() {
            return preference.iter().copied().collect();
        }
        let stretched = eigen.eigenvalues.map(|value| {
            if kept(value) {
                (least / value).sqrt()
            } else {
                0.0
            }
        });
        let components = eigen.eigenvectors.transpose() * preference;
        let weights = &eigen.eigenvectors * components.component_mul(&stretched);
        weights.iter().copied().collect()
    }
}
