//! What each example of a batch adds to a loss that is a mean over examples, and how examples are weighed against each other.

use burn::tensor::{Tensor, backend::Backend};

/// The terms of a loss `sum_i term_i / sum_i count_i`, one of each for each example `i`.
#[derive(Clone, Debug)]
pub struct ExampleLosses<B: Backend> {
    /// What an example adds to the sum, times its class weight where classes have weights. Shape `[examples]`.
    pub terms: Tensor<B, 1>,
    /// What it adds to the number that the sum is divided by: its class weight; `None` where that is 1. Shape `[examples]`.
    pub counts: Option<Tensor<B, 1>>,
}

impl<B: Backend> ExampleLosses<B> {
    /// Losses whose classes weigh the same. Shape: `[examples]`.
    pub fn plain(terms: Tensor<B, 1>) -> Self {
        Self {
            terms,
            counts: None,
        }
    }

    /// Losses `[examples]` of examples with these class weights `[examples]`.
    pub fn with_class_weights(losses: Tensor<B, 1>, weights: Tensor<B, 1>) -> Self {
        Self {
            terms: losses * weights.clone(),
            counts: Some(weights),
        }
    }

    /// `sum_i term_i / sum_i count_i`. Shape `[1]`.
    pub fn mean(self) -> Tensor<B, 1> {
        match self.counts {
            Some(counts) => self.terms.sum() / counts.sum(),
            None => self.terms.mean(),
        }
    }

    /// `sum_i w_i term_i / sum_i w_i count_i`: an example of weight `w` counts as `w` examples.
    ///
    /// # Shapes
    ///
    /// - `weights`: `[examples]`, above 0
    /// - output: `[1]`
    pub fn weighted_mean(self, weights: Tensor<B, 1>) -> Tensor<B, 1> {
        let weights = weights.cast(self.terms.dtype());
        let sum = (self.terms * weights.clone()).sum();
        let count = match self.counts {
            Some(counts) => counts * weights,
            None => weights,
        };
        sum / count.sum()
    }

    /// [`weighted_mean`](Self::weighted_mean) where examples have weights, else [`mean`](Self::mean).
    pub fn mean_by(self, weights: Option<Tensor<B, 1>>) -> Tensor<B, 1> {
        match weights {
            Some(weights) => self.weighted_mean(weights),
            None => self.mean(),
        }
    }
}
