//! Binary cross-entropy on logits, with hard or soft targets.

use burn::tensor::{Tensor, activation, backend::Backend};

use super::ExampleLosses;

/// `mean(max(z, 0) - z*y + log(1 + exp(-|z|)))`: the stable form of
/// `-y log sigmoid(z) - (1-y) log(1 - sigmoid(z))`.
///
/// # Shapes
///
/// - `logits`: `[examples]`
/// - `targets`: `[examples]`, within `[0, 1]`
/// - output: `[1]`
pub fn binary_cross_entropy_with_logits<B: Backend>(
    logits: Tensor<B, 1>,
    targets: Tensor<B, 1>,
) -> Tensor<B, 1> {
    plain_losses(logits, targets).mean()
}

/// Shapes: `[examples]`, all of them.
fn plain_losses<B: Backend>(logits: Tensor<B, 1>, targets: Tensor<B, 1>) -> Tensor<B, 1> {
    let linear = activation::relu(logits.clone()) - logits.clone() * targets;
    let log_term = logits.abs().neg().exp().log1p();
    linear + log_term
}

/// Binary cross-entropy of hard targets with class weights `[w_no, w_yes]` and label smoothing `e`: what
/// [`weighted_cross_entropy`](super::weighted_cross_entropy) is of the two logits `[0, z]`. The target `y` becomes
/// `(1 - e) y + e / 2`; with weights it is
///
/// ```text
/// sum_i [ w_yes y'_i softplus(-z_i) + w_no (1 - y'_i) softplus(z_i) ] / sum_i (w_yes y_i + w_no (1 - y_i))
/// ```
///
/// # Shapes
///
/// - `logits`: `[examples]`
/// - `targets`: `[examples]`, 0 or 1
/// - `weights`: `[2]`, those of no and of yes; or empty for 1 each
/// - output: `[1]`
pub fn weighted_binary_cross_entropy_with_logits<B: Backend>(
    logits: Tensor<B, 1>,
    targets: Tensor<B, 1>,
    weights: &[f64],
    label_smoothing: f64,
) -> Tensor<B, 1> {
    binary_cross_entropy_losses(logits, targets, weights, label_smoothing).mean()
}

/// What [`weighted_binary_cross_entropy_with_logits`] is the mean of, with its shapes. Without weights and smoothing targets
/// may be soft.
pub fn binary_cross_entropy_losses<B: Backend>(
    logits: Tensor<B, 1>,
    targets: Tensor<B, 1>,
    weights: &[f64],
    label_smoothing: f64,
) -> ExampleLosses<B> {
    let smoothed = targets.clone() * (1.0 - label_smoothing) + 0.5 * label_smoothing;
    let [no, yes] = *weights else {
        return ExampleLosses::plain(plain_losses(logits, smoothed));
    };
    let of_yes = softplus(logits.clone().neg()) * smoothed.clone() * yes;
    let of_no = softplus(logits) * (smoothed.neg() + 1.0) * no;
    ExampleLosses {
        terms: of_yes + of_no,
        counts: Some(targets * (yes - no) + no),
    }
}

/// `log(1 + exp(x))`, which does not overflow: `-log sigmoid(-x)`.
pub(super) fn softplus<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    activation::relu(x.clone()) + x.abs().neg().exp().log1p()
}
