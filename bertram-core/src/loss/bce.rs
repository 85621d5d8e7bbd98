//! Binary cross-entropy on logits, with hard or soft targets.

use burn::tensor::{Tensor, activation, backend::Backend};

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
    let linear = activation::relu(logits.clone()) - logits.clone() * targets;
    let log_term = logits.abs().neg().exp().log1p();
    (linear + log_term).mean()
}
