//! Mean squared error.

use burn::tensor::{Tensor, backend::Backend};

use super::ExampleLosses;

/// `mean((prediction - target)^2)`.
///
/// # Shapes
///
/// - `predictions`, `targets`: `[examples]`
/// - output: `[1]`
pub fn mean_squared_error<B: Backend>(
    predictions: Tensor<B, 1>,
    targets: Tensor<B, 1>,
) -> Tensor<B, 1> {
    squared_errors(predictions, targets).mean()
}

/// `(prediction - target)^2` of each example.
///
/// # Shapes
///
/// - `predictions`, `targets`: `[examples]`
pub fn squared_errors<B: Backend>(
    predictions: Tensor<B, 1>,
    targets: Tensor<B, 1>,
) -> ExampleLosses<B> {
    ExampleLosses::plain((predictions - targets).square())
}
