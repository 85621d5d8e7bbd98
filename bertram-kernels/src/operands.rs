//! What the operations take beside tensors.

use burn::tensor::{Tensor, backend::Backend};

/// Scale, shift and epsilon of a LayerNorm.
#[derive(Clone, Debug)]
pub struct Norm<B: Backend> {
    /// Scale, `[hidden]`.
    pub gamma: Tensor<B, 1>,
    /// Shift, `[hidden]`.
    pub beta: Tensor<B, 1>,
    /// Added to the variance.
    pub eps: f64,
}

/// The linear layers that make queries, keys and values, in this order.
#[derive(Clone, Debug)]
pub struct Projections<B: Backend> {
    /// Weights, `[d_input, hidden]` each.
    pub weights: [Tensor<B, 2>; 3],
    /// Biases, `[hidden]` each.
    pub biases: [Tensor<B, 1>; 3],
}

impl<B: Backend> Projections<B> {
    /// Weight and bias of each.
    pub(crate) fn each(self) -> [(Tensor<B, 2>, Tensor<B, 1>); 3] {
        let [query, key, value] = self.weights;
        let [query_bias, key_bias, value_bias] = self.biases;
        [(query, query_bias), (key, key_bias), (value, value_bias)]
    }
}

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionOptions {
    /// Number of heads; divides the width of the hidden states.
    pub heads: usize,
    /// Dropout of the probabilities, in `[0, 1)`.
    pub dropout: f64,
}
