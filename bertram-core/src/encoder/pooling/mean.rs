//! The mean over tokens.

use bertram_kernels::TokenRows;
use burn::tensor::{Tensor, TensorData, backend::Backend};

/// Mean of the hidden states under the mask; a row of padding only gives zeros.
///
/// # Shapes
/// - hidden: `[batch, sequence, hidden]`
/// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
/// - result: `[batch, hidden]`
pub fn masked_mean<B: Backend>(
    hidden: Tensor<B, 3>,
    attention_mask: &Tensor<B, 2>,
) -> Tensor<B, 2> {
    let [batch, sequence, width] = hidden.dims();
    let counts = attention_mask.clone().sum_dim(1).clamp_min(1.0);
    let shares = (attention_mask.clone() / counts).reshape([batch, 1, sequence]);
    // A product with the shares sums the sequence without a masked copy of the hidden states.
    shares.matmul(hidden).reshape([batch, width])
}

/// [`masked_mean`] of rows of tokens.
///
/// # Shapes
/// - hidden: `[tokens, hidden]`
/// - result: `[batch, hidden]`
pub(super) fn mean_of_rows<B: Backend>(hidden: Tensor<B, 2>, rows: &TokenRows) -> Tensor<B, 2> {
    sum_of_rows(hidden, rows, |tokens| 1.0 / tokens as f32)
}

/// The sum of each sequence's rows, times a factor that goes by their number. Shapes as of [`mean_of_rows`].
pub(super) fn sum_of_rows<B: Backend>(
    hidden: Tensor<B, 2>,
    rows: &TokenRows,
    factor: impl Fn(usize) -> f32,
) -> Tensor<B, 2> {
    let (batch, tokens) = (rows.batch(), rows.tokens());
    let mut shares = vec![0.0f32; batch * tokens];
    for sequence in 0..batch {
        let of = rows.of(sequence);
        let share = factor(of.len());
        shares[sequence * tokens..][of].fill(share);
    }
    let shares = TensorData::new(shares, [batch, tokens]);
    Tensor::<B, 2>::from_data(shares, &hidden.device()).matmul(hidden)
}
