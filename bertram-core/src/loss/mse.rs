//! Mean squared error.

use burn::tensor::{Tensor, backend::Backend};

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
    (predictions - targets).square().mean()
}
