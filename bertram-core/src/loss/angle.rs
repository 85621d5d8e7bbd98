//! AnglE: CoSENT on angles between sentence vectors that are read as complex ones.

use burn::tensor::{Tensor, backend::Backend};

use super::weighted_cosent;

/// [`cosent`](super::cosent) of the similarity `|re + im|`, the sum of both parts of the normalised quotient of two complex
/// vectors (Li & Li 2023, section 3.4, <https://arxiv.org/abs/2309.12871>; sentence-transformers' `AnglELoss`). Where a cosine
/// nears 1 its gradient vanishes, that of the imaginary part does not.
///
/// # Shapes
///
/// - `parts`: `[examples, 2]`, `re` and `im` as [`complex_quotient`](crate::head::complex_quotient) gives them; `re` is the
///   cosine
/// - `labels`: `[examples]`
/// - output: `[1]`
pub fn angle<B: Backend>(parts: Tensor<B, 2>, labels: Tensor<B, 1>, scale: f64) -> Tensor<B, 1> {
    weighted_angle(parts, labels, scale, None)
}

/// As [`angle`], of examples with weights, as [`weighted_cosent`] has them.
pub fn weighted_angle<B: Backend>(
    parts: Tensor<B, 2>,
    labels: Tensor<B, 1>,
    scale: f64,
    weights: Option<Tensor<B, 1>>,
) -> Tensor<B, 1> {
    let similarities = parts.sum_dim(1).squeeze_dim::<1>(1).abs();
    weighted_cosent(similarities, labels, scale, weights)
}
