//! The first token's hidden state, and BERT's pooler on it.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, backend::Backend, s};

use crate::encoder::BertConfig;

/// BERT's pooler: a linear layer and tanh on the first token's hidden state.
#[derive(Module, Debug)]
pub struct BertPooler<B: Backend> {
    /// Projection, `[hidden, hidden]`.
    pub dense: Linear<B>,
}

impl<B: Backend> BertPooler<B> {
    pub(in crate::encoder) fn new(config: &BertConfig, device: &B::Device) -> Self {
        Self {
            dense: config.linear(config.hidden_size, config.hidden_size, device),
        }
    }

    /// Pools first-token states.
    ///
    /// # Shapes
    /// - first, result: `[batch, hidden]`
    pub fn forward(&self, first: Tensor<B, 2>) -> Tensor<B, 2> {
        self.dense.forward(first).tanh()
    }
}

/// Hidden state of the first token of each sequence.
///
/// # Shapes
/// - hidden: `[batch, sequence, hidden]`
/// - result: `[batch, hidden]`
pub fn first_token<B: Backend>(hidden: Tensor<B, 3>) -> Tensor<B, 2> {
    let [batch, _, width] = hidden.dims();
    hidden.slice(s![.., 0..1, ..]).reshape([batch, width])
}
