//! Dropout masks from LibTorch's random numbers, which `Backend::seed` makes repeatable.

use burn_tch::TchTensor;

use super::tensor::fresh;

/// Which elements stay, and what those are multiplied by.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    /// 1 where an element stays, 0 elsewhere.
    pub(super) kept: TchTensor,
    /// 1 over the share that stays.
    pub(super) scale: f64,
}

impl Mask {
    /// Draws a mask for tensors like this one. `prob` is the share that is dropped, in `[0, 1)`; `None`, and nothing drawn,
    /// where that is 0.
    pub(super) fn draw(prob: f64, like: &tch::Tensor) -> Option<Self> {
        (prob > 0.0).then(|| Self {
            kept: fresh(like.empty_like().bernoulli_float_(1.0 - prob)),
            scale: 1.0 / (1.0 - prob),
        })
    }

    /// The elements that stay, scaled: dropout itself, and its backward pass.
    pub(super) fn apply(&self, tensor: &tch::Tensor) -> tch::Tensor {
        let mut kept = tensor * &self.kept.tensor;
        kept.g_mul_scalar_(self.scale)
    }
}
