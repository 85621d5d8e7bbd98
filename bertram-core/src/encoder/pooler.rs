//! From hidden states to one vector per sequence.

use bertram_kernels::TokenRows;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData, backend::Backend, s};
use serde::{Deserialize, Serialize};

use super::BertConfig;

/// How a sequence becomes one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The hidden state of the first token, `[CLS]`.
    #[default]
    Cls,
    /// The mean of the hidden states of all tokens that are not padding (special tokens included).
    Mean,
    /// BERT's pooler, `tanh(W h_CLS + b)`.
    Pooler,
}

/// BERT's pooler: a linear layer and tanh on the first token's hidden state.
#[derive(Module, Debug)]
pub struct BertPooler<B: Backend> {
    /// Projection, `[hidden, hidden]`.
    pub dense: Linear<B>,
}

impl<B: Backend> BertPooler<B> {
    pub(super) fn new(config: &BertConfig, device: &B::Device) -> Self {
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
    let (batch, tokens) = (rows.batch(), rows.tokens());
    let mut shares = vec![0.0f32; batch * tokens];
    for sequence in 0..batch {
        let of = rows.of(sequence);
        let share = 1.0 / of.len() as f32;
        shares[sequence * tokens..][of].fill(share);
    }
    let shares = TensorData::new(shares, [batch, tokens]);
    Tensor::<B, 2>::from_data(shares, &hidden.device()).matmul(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn mean_leaves_padding_out() {
        let device = Default::default();
        let hidden = Tensor::<Flex, 3>::from_floats(
            [
                [[1., 2.], [3., 4.], [100., 100.]],
                [[5., 6.], [7., 8.], [9., 10.]],
            ],
            &device,
        );
        let mask = Tensor::<Flex, 2>::from_floats([[1., 1., 0.], [0., 0., 0.]], &device);
        let mean: Vec<f32> = masked_mean(hidden.clone(), &mask)
            .into_data()
            .to_vec()
            .unwrap();
        assert_eq!(mean, [2., 3., 0., 0.]);
        let first: Vec<f32> = first_token(hidden).into_data().to_vec().unwrap();
        assert_eq!(first, [1., 2., 5., 6.]);
    }

    #[test]
    fn names_are_kebab_case() {
        let names = serde_json::to_string(&[Pooling::Cls, Pooling::Mean, Pooling::Pooler]);
        assert_eq!(names.unwrap(), r#"["cls","mean","pooler"]"#);
    }
}
