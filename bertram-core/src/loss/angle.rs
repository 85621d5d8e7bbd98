//! AnglE: CoSENT on angles between sentence vectors that are read as complex ones.

use burn::tensor::{Tensor, backend::Backend};

use super::cosent;

/// [`cosent`] of the similarity `|re + im|`, the sum of both parts of the normalised quotient of two complex vectors (Li & Li
/// 2023, section 3.4, <https://arxiv.org/abs/2309.12871>; sentence-transformers' `AnglELoss`). Where a cosine nears 1 its
/// gradient vanishes, that of the imaginary part does not.
///
/// # Shapes
///
/// - `parts`: `[examples, 2]`, `re` and `im` as [`complex_quotient`](crate::head::complex_quotient) gives them; `re` is the
///   cosine
/// - `labels`: `[examples]`
/// - output: `[1]`
pub fn angle<B: Backend>(parts: Tensor<B, 2>, labels: Tensor<B, 1>, scale: f64) -> Tensor<B, 1> {
    let similarities = parts.sum_dim(1).squeeze_dim::<1>(1).abs();
    cosent(similarities, labels, scale)
}
