//! Means over the examples of a batch in which each class counts by a weight of its own.

use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};

/// Weights on the device of a batch. Shape `[classes]`.
pub(super) fn on_device<B: Backend>(
    weights: &[f64],
    device: &B::Device,
    dtype: DType,
) -> Tensor<B, 1> {
    let data = TensorData::new(weights.to_vec(), [weights.len()]);
    Tensor::from_data(data, (device, dtype))
}

/// `sum_i w[target_i] loss_i / sum_i w[target_i]`, as PyTorch's `CrossEntropyLoss(weight=w)` has it; the mean where there
/// are no weights.
///
/// # Shapes
///
/// - `losses`: `[examples]`
/// - `targets`: `[examples]`, class indices
/// - `weights`: `[classes]`, or empty
/// - output: `[1]`
pub(super) fn weighted_mean<B: Backend>(
    losses: Tensor<B, 1>,
    targets: Tensor<B, 1, Int>,
    weights: &[f64],
) -> Tensor<B, 1> {
    if weights.is_empty() {
        return losses.mean();
    }
    let weights = on_device(weights, &losses.device(), losses.dtype()).select(0, targets);
    (losses * weights.clone()).sum() / weights.sum()
}

/// As [`weighted_mean`], of yes-or-no targets.
///
/// # Shapes
///
/// - `losses`, `targets`: `[examples]`, targets 0 or 1
/// - `weights`: `[2]`, those of no and of yes; or empty
/// - output: `[1]`
pub(super) fn weighted_mean_of_binary<B: Backend>(
    losses: Tensor<B, 1>,
    targets: Tensor<B, 1>,
    weights: &[f64],
) -> Tensor<B, 1> {
    let [no, yes] = *weights else {
        return losses.mean();
    };
    let weights = targets * (yes - no) + no;
    (losses * weights.clone()).sum() / weights.sum()
}
