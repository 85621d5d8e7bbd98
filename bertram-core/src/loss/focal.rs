//! Focal loss: cross-entropy in which an example counts less, the surer the model is of its label.

use bertram_kernels::at_least_f32;
use burn::tensor::{Int, Tensor, activation, backend::Backend};

use super::bce::softplus;
use super::class_weights::{of_binary, of_classes};
use super::{ExampleLosses, MASKED, is_class};

/// `-(1 - p)^gamma log p` for the probability `p` that the softmax gives the target (Lin et al. 2017, equation 4,
/// <https://arxiv.org/abs/1708.02002>). Class weights are the paper's `alpha` (equation 5); the mean is weighted by them, so
/// that with `gamma = 0` it is [`weighted_cross_entropy`](super::weighted_cross_entropy).
///
/// # Shapes
///
/// - `logits`: `[examples, classes]`
/// - `targets`: `[examples]`, class indices
/// - `weights`: `[classes]`, or empty for 1 each
/// - output: `[1]`
pub fn focal<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    gamma: f64,
    weights: &[f64],
) -> Tensor<B, 1> {
    focal_losses(logits, targets, gamma, weights).mean()
}

/// What [`focal`] is the mean of, with its shapes.
pub fn focal_losses<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    gamma: f64,
    weights: &[f64],
) -> ExampleLosses<B> {
    let logits = at_least_f32(logits);
    let index = targets.clone().unsqueeze_dim::<2>(1);
    let log_p = activation::log_softmax(logits.clone(), 1).gather(1, index.clone());
    // log(1 - p) from the logits of the other classes: 1 - p itself has no digits where p is nearly 1, and a power of it
    // below 1 no derivative.
    let target = logits.clone().gather(1, index);
    let others = logits
        .clone()
        .mask_fill(is_class(&targets, logits.dims()), MASKED);
    let largest = others.clone().detach().max_dim(1);
    let log_others = (others - largest.clone()).exp().sum_dim(1).log() + largest;
    let log_rest = log_others - target + log_p.clone();
    let losses = ((log_rest * gamma).exp() * log_p).neg().squeeze_dim(1);
    of_classes(losses, targets, weights)
}

/// As [`focal`], for the probability that the sigmoid gives a yes-or-no target.
///
/// # Shapes
///
/// - `logits`: `[examples]`
/// - `targets`: `[examples]`, 0 or 1
/// - `weights`: `[2]`, those of no and of yes; or empty for 1 each
/// - output: `[1]`
pub fn binary_focal<B: Backend>(
    logits: Tensor<B, 1>,
    targets: Tensor<B, 1>,
    gamma: f64,
    weights: &[f64],
) -> Tensor<B, 1> {
    binary_focal_losses(logits, targets, gamma, weights).mean()
}

/// What [`binary_focal`] is the mean of, with its shapes.
pub fn binary_focal_losses<B: Backend>(
    logits: Tensor<B, 1>,
    targets: Tensor<B, 1>,
    gamma: f64,
    weights: &[f64],
) -> ExampleLosses<B> {
    // The logit of the target: p = sigmoid(s), 1 - p = sigmoid(-s).
    let s = at_least_f32(logits) * (targets.clone() * 2.0 - 1.0);
    let cross_entropy = softplus(s.clone().neg());
    // softplus(s) = softplus(-s) + s
    let log_rest = (cross_entropy.clone() + s).neg();
    let losses = (log_rest * gamma).exp() * cross_entropy;
    of_binary(losses, targets, weights)
}
