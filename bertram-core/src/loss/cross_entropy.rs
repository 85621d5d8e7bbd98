//! Cross-entropy over classes.

use burn::tensor::{Int, Tensor, activation, backend::Backend};

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
