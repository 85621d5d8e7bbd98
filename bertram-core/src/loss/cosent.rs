//! CoSENT: pairs of sentences in the order of their labels.

use bertram_kernels::at_least_f32;
use burn::tensor::{Tensor, backend::Backend};

use super::MASKED;

/// `log(1 + sum exp(scale (s_i - s_j)))` over all `i`, `j` of the batch whose labels are `y_i < y_j`: a number for each two
/// examples of which the similarities `s` may be in the wrong order (Su 2022, <https://kexue.fm/archives/8847>;
/// sentence-transformers' `CoSENTLoss`). Only the order of labels counts. A batch in which all labels are equal has loss 0
/// and no gradient; larger batches have more to order.
///
/// # Shapes
///
/// - `similarities`, `labels`: `[examples]`
/// - output: `[1]`
pub fn cosent<B: Backend>(
    similarities: Tensor<B, 1>,
    labels: Tensor<B, 1>,
    scale: f64,
) -> Tensor<B, 1> {
    weighted_cosent(similarities, labels, scale, None)
}

/// As [`cosent`], of examples with weights `w`: `log(1 + sum w_i w_j exp(scale (s_i - s_j)))`. An example of weight 2 counts as
/// if it were there twice.
///
/// # Shapes
///
/// - `similarities`, `labels`: `[examples]`
/// - `weights`: `[examples]`, above 0
/// - output: `[1]`
pub fn weighted_cosent<B: Backend>(
    similarities: Tensor<B, 1>,
    labels: Tensor<B, 1>,
    scale: f64,
    weights: Option<Tensor<B, 1>>,
) -> Tensor<B, 1> {
    let scaled = at_least_f32(similarities) * scale;
    let [examples] = scaled.dims();
    let both = [examples, examples];
    let dtype = scaled.dtype();
    let mut gaps = scaled.clone().unsqueeze_dim::<2>(1) - scaled.unsqueeze_dim::<2>(0);
    if let Some(weights) = weights {
        // As exponents: then the largest can be taken out of all.
        let logs = weights.cast(dtype).log();
        gaps = gaps + logs.clone().unsqueeze_dim::<2>(1) + logs.unsqueeze_dim::<2>(0);
    }
    let first = labels.clone().unsqueeze_dim::<2>(1).expand(both);
    let second = labels.unsqueeze_dim::<2>(0).expand(both);
    let gaps = gaps.mask_fill(first.greater_equal(second), MASKED);
    // The largest exponent is taken out; that of the 1 is 0.
    let largest = gaps.clone().detach().max().clamp_min(0.0);
    let sum = (gaps - largest.clone().unsqueeze::<2>()).exp().sum();
    (sum + largest.clone().neg().exp()).log() + largest
}
