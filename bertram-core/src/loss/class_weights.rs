//! Losses of examples in which each class counts by a weight of its own, as PyTorch's `CrossEntropyLoss(weight=w)` has it:
//! their mean is `sum_i w[target_i] loss_i / sum_i w[target_i]`.

use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};

use super::ExampleLosses;

/// Weights on the device of a batch. Shape `[classes]`.
pub(super) fn on_device<B: Backend>(
    weights: &[f64],
    device: &B::Device,
    dtype: DType,
) -> Tensor<B, 1> {
    let data = TensorData::new(weights.to_vec(), [weights.len()]);
    Tensor::from_data(data, (device, dtype))
}

/// Losses with the weights of their classes.
///
/// # Shapes
///
/// - `losses`: `[examples]`
/// - `targets`: `[examples]`, class indices
/// - `weights`: `[classes]`, or empty for 1 each
pub(super) fn of_classes<B: Backend>(
    losses: Tensor<B, 1>,
    targets: Tensor<B, 1, Int>,
    weights: &[f64],
) -> ExampleLosses<B> {
    if weights.is_empty() {
        return ExampleLosses::plain(losses);
    }
    let weights = on_device(weights, &losses.device(), losses.dtype()).select(0, targets);
    ExampleLosses::with_class_weights(losses, weights)
}

/// As [`of_classes`], of yes-or-no targets.
///
/// # Shapes
///
/// - `losses`, `targets`: `[examples]`, targets 0 or 1
/// - `weights`: `[2]`, those of no and of yes; or empty
pub(super) fn of_binary<B: Backend>(
    losses: Tensor<B, 1>,
    targets: Tensor<B, 1>,
    weights: &[f64],
) -> ExampleLosses<B> {
    let [no, yes] = *weights else {
        return ExampleLosses::plain(losses);
    };
    ExampleLosses::with_class_weights(losses, targets * (yes - no) + no)
}
