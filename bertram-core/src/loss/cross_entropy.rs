//! Cross-entropy over classes.

use burn::tensor::{Int, Tensor, activation, backend::Backend};

use super::{ExampleLosses, class_weights};

/// `-mean_i log softmax(logits_i)[target_i]`.
///
/// # Shapes
///
/// - `logits`: `[examples, classes]`
/// - `targets`: `[examples]`, class indices
/// - output: `[1]`
pub fn cross_entropy<B: Backend>(logits: Tensor<B, 2>, targets: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    let log_probabilities = activation::log_softmax(logits, 1);
    log_probabilities
        .gather(1, targets.unsqueeze_dim(1))
        .mean()
        .neg()
}

/// Cross-entropy with class weights `w` and label smoothing `e` (Szegedy et al. 2016, section 7,
/// <https://arxiv.org/abs/1512.00567>), as PyTorch's `CrossEntropyLoss(weight=w, label_smoothing=e)` has it: for log
/// probabilities `l` and targets `y`
///
/// ```text
/// -sum_i [ (1 - e) w[y_i] l[i, y_i] + e / classes sum_c w[c] l[i, c] ] / sum_i w[y_i]
/// ```
///
/// # Shapes
///
/// - `logits`: `[examples, classes]`
/// - `targets`: `[examples]`, class indices
/// - `weights`: `[classes]`, or empty for 1 each
/// - output: `[1]`
pub fn weighted_cross_entropy<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    weights: &[f64],
    label_smoothing: f64,
) -> Tensor<B, 1> {
    let [examples, classes] = logits.dims();
    let mut terms = activation::log_softmax(logits, 1);
    let mut total = None;
    if !weights.is_empty() {
        let weights = class_weights::on_device(weights, &terms.device(), terms.dtype());
        total = Some(weights.clone().select(0, targets.clone()).sum());
        terms = terms * weights.unsqueeze::<2>();
    }
    let of_targets = terms.clone().gather(1, targets.unsqueeze_dim(1)).sum();
    let sum =
        of_targets * (1.0 - label_smoothing) + terms.sum() * (label_smoothing / classes as f64);
    match total {
        Some(total) => sum.neg() / total,
        // A product: Burn's gradient of a division by a number is in f32, whatever comes in.
        None => sum * (-1.0 / examples as f64),
    }
}

/// What [`weighted_cross_entropy`] is the mean of, with its shapes.
pub fn cross_entropy_losses<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    weights: &[f64],
    label_smoothing: f64,
) -> ExampleLosses<B> {
    let [_, classes] = logits.dims();
    let mut terms = activation::log_softmax(logits, 1);
    let mut counts = None;
    if !weights.is_empty() {
        let weights = class_weights::on_device(weights, &terms.device(), terms.dtype());
        counts = Some(weights.clone().select(0, targets.clone()));
        terms = terms * weights.unsqueeze::<2>();
    }
    let of_targets = terms.clone().gather(1, targets.unsqueeze_dim(1));
    let sums = of_targets * (label_smoothing - 1.0)
        - terms.sum_dim(1) * (label_smoothing / classes as f64);
    ExampleLosses {
        terms: sums.squeeze_dim(1),
        counts,
    }
}
