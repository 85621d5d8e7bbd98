//! `CosineEmbeddingLoss`, as PyTorch defines it, on cosines already computed.

use burn::tensor::{Tensor, activation, backend::Backend};

use super::ExampleLosses;

/// `mean(1 - c)` where the target is alike, `mean(max(0, c - margin))` where it is not
/// (`torch.nn.CosineEmbeddingLoss`).
///
/// # Shapes
///
/// - `cosines`: `[examples]`
/// - `alike`: `[examples]`, 1 for PyTorch's target +1 and 0 for its -1
/// - output: `[1]`
pub fn cosine_embedding<B: Backend>(
    cosines: Tensor<B, 1>,
    alike: Tensor<B, 1>,
    margin: f64,
) -> Tensor<B, 1> {
    cosine_embedding_losses(cosines, alike, margin).mean()
}

/// What [`cosine_embedding`] is the mean of, with its shapes.
pub fn cosine_embedding_losses<B: Backend>(
    cosines: Tensor<B, 1>,
    alike: Tensor<B, 1>,
    margin: f64,
) -> ExampleLosses<B> {
    let pull = alike.clone() * (cosines.clone().neg() + 1.0);
    let push = (alike.neg() + 1.0) * activation::relu(cosines - margin);
    ExampleLosses::plain(pull + push)
}
