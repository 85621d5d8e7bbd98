//! The gradient noise scale: how large a batch would have to be for its gradient to be more signal than noise.
//!
//! McCandlish et al. 2018, <https://arxiv.org/abs/1812.06162>, appendix A.1: from the squared norms of gradients of `b`
//! examples and of their mean over `k` such batches,
//!
//! ```text
//! |G|^2 = (k |G_kb|^2 - |G_b|^2) / (k - 1)            signal
//! S     = (|G_b|^2 - |G_kb|^2) b k / (k - 1)           noise: the trace of the covariance of an example's gradient
//! B     = S / |G|^2                                    the simple noise scale, in examples
//! ```
//!
//! Both estimates are unbiased and noisy, and the second can be negative: the paper averages them over many updates before it
//! divides, and so does a logged line, over its updates.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::measure::{Measure, MeasureKind};

/// The estimate of `|G|^2`.
pub const GRADIENT_SIGNAL: MeasureKind = MeasureKind::mean("gradient_signal");
/// The estimate of `S`.
pub const GRADIENT_NOISE: MeasureKind = MeasureKind::mean("gradient_noise");
/// The name of their quotient in `metrics.jsonl`.
pub const NOISE_SCALE: &str = "gradient_noise_scale";

/// Squared norms of the gradients of single batches.
pub(super) struct SquaredNorms<B: Backend> {
    sum: Option<Tensor<B, 1>>,
    batches: usize,
    examples: usize,
}

impl<B: Backend> Default for SquaredNorms<B> {
    fn default() -> Self {
        Self {
            sum: None,
            batches: 0,
            examples: 0,
        }
    }
}

impl<B: Backend> SquaredNorms<B> {
    /// Takes the norm of a batch's gradient, of shape `[1]`, and the number of its examples.
    pub(super) fn add(&mut self, norm: Tensor<B, 1>, examples: usize) {
        let square = norm.square();
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + square,
            None => square,
        });
        self.batches += 1;
        self.examples += examples;
    }

    /// The two estimates, given the norm of the mean gradient; none of fewer than two batches.
    pub(super) fn estimates(self, norm_of_mean: Tensor<B, 1>) -> Option<[Measure<B>; 2]> {
        let (sum, k) = (self.sum?, self.batches as f64);
        if self.batches < 2 {
            return None;
        }
        let (small, large) = (sum / k, norm_of_mean.square());
        let signal = (large.clone() * k - small.clone()) / (k - 1.0);
        // `examples` is `b k`.
        let noise = (small - large) * (self.examples as f64 / (k - 1.0));
        Some([GRADIENT_SIGNAL.of(signal), GRADIENT_NOISE.of(noise)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::NdArray;

    type B = NdArray<f64>;

    fn number(tensor: Tensor<B, 1>) -> f64 {
        tensor.into_scalar()
    }

    /// Examples' gradients are given: their mean is what the signal estimates, their variance the noise.
    #[test]
    fn the_mean_of_many_estimates_is_mean_and_variance_of_the_examples() {
        let device = Default::default();
        let scalar =
            |value: f64| Tensor::<B, 1>::from_data([value], (&device, burn::tensor::DType::F64));
        // All ways to draw 2 batches of 2 examples, with replacement, from gradients of one parameter.
        let gradients: [f64; 3] = [1.0, 2.0, 4.0];
        let (mut signal, mut noise, mut ways) = (0.0, 0.0, 0.0);
        for draw in 0..81_usize {
            let digit = |place: u32| gradients[draw / 3_usize.pow(place) % 3];
            let batches = [digit(0) + digit(1), digit(2) + digit(3)].map(|sum| sum / 2.0);
            let mut norms = SquaredNorms::default();
            for batch in batches {
                norms.add(scalar(batch.abs()), 2);
            }
            let mean = (batches[0] + batches[1]) / 2.0;
            let [g, s] = norms.estimates(scalar(mean.abs())).expect("two batches");
            (signal, noise, ways) = (
                signal + number(g.value),
                noise + number(s.value),
                ways + 1.0,
            );
        }
        let mean = 7.0 / 3.0;
        let variance = gradients
            .map(|g| (g - mean) * (g - mean))
            .iter()
            .sum::<f64>()
            / 3.0;
        assert!((signal / ways - mean * mean).abs() < 1e-9);
        assert!((noise / ways - variance).abs() < 1e-9);
    }

    #[test]
    fn one_batch_says_nothing() {
        let device = Default::default();
        let one = Tensor::<B, 1>::ones([1], &device);
        let mut norms = SquaredNorms::default();
        norms.add(one.clone(), 4);
        assert!(norms.estimates(one).is_none());
    }
}
