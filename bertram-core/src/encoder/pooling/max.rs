//! The maximum over tokens, dimension by dimension.

use bertram_kernels::TokenRows;
use bertram_kernels::composed::pick_rows;
use burn::tensor::{Tensor, backend::Backend};

/// What is added to the hidden states of padding, which no token's is below; sentence-transformers puts it in their place.
const LOWEST: f64 = -1e9;

/// Of each dimension the greatest hidden state under the mask, `max_t h_td`; its gradient goes to that token alone. A row of
/// padding only gives numbers around -1e9.
///
/// # Shapes
/// - hidden: `[batch, sequence, hidden]`
/// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
/// - result: `[batch, hidden]`
pub fn masked_max<B: Backend>(hidden: Tensor<B, 3>, attention_mask: &Tensor<B, 2>) -> Tensor<B, 2> {
    let [batch, sequence, width] = hidden.dims();
    let is_padding = attention_mask.clone().equal_elem(0.0).float();
    // To tokens nothing is added, and they are kept bit for bit.
    let lowest = (is_padding * LOWEST).cast(hidden.dtype());
    let hidden = hidden + lowest.reshape([batch, sequence, 1]);
    hidden.max_dim(1).reshape([batch, width])
}

/// [`masked_max`] of rows of tokens.
///
/// # Shapes
/// - hidden: `[tokens, hidden]`
/// - result: `[batch, hidden]`
pub(super) fn max_of_rows<B: Backend>(hidden: Tensor<B, 2>, rows: &TokenRows) -> Tensor<B, 2> {
    let [_, width] = hidden.dims();
    let (batch, padded) = (rows.batch(), rows.padded());
    // In the place of padding is the sequence's last token, which is no greater than itself.
    let hidden = pick_rows(hidden, &rows.for_padded()).reshape([batch, padded, width]);
    hidden.max_dim(1).reshape([batch, width])
}
