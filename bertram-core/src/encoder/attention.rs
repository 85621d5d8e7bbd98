//! Multi-head self-attention.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Tensor, activation::softmax, backend::Backend};

use super::BertConfig;

/// What is added to the score of a masked key.
///
/// Far enough from any real score that its exponential is exactly 0 beside a real key's, in f32 as in half
/// precision; small enough that score plus bias stays finite in f16 (largest value 65,504), so that a row of padding
/// only gives finite (and unused) numbers instead of NaN.
const MASKED: f64 = -30_000.0;

/// Additive attention bias: 0 for tokens, -30,000 for padding (finite in half precision, and enough for a probability of
/// exactly 0).
///
/// # Shapes
/// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
/// - result: `[batch, 1, 1, sequence]`, broadcast over heads and queries
pub fn attention_bias<B: Backend>(attention_mask: &Tensor<B, 2>) -> Tensor<B, 4> {
    let [batch, sequence] = attention_mask.dims();
    ((attention_mask.clone() - 1.0) * -MASKED).reshape([batch, 1, 1, sequence])
}

/// Multi-head self-attention with its output projection (Vaswani et al. 2017, section 3.2).
#[derive(Module, Debug)]
pub struct BertAttention<B: Backend> {
    /// Query projection, `[hidden, hidden]`.
    pub query: Linear<B>,
    /// Key projection, `[hidden, hidden]`.
    pub key: Linear<B>,
    /// Value projection, `[hidden, hidden]`.
    pub value: Linear<B>,
    /// Projection of the concatenated heads, `[hidden, hidden]`.
    pub output: Linear<B>,
    /// Dropout of the attention probabilities.
    pub dropout: Dropout,
    /// Number of heads.
    pub heads: usize,
}

impl<B: Backend> BertAttention<B> {
    pub(super) fn new(config: &BertConfig, device: &B::Device) -> Self {
        let square = || config.linear(config.hidden_size, config.hidden_size, device);
        Self {
            query: square(),
            key: square(),
            value: square(),
            output: square(),
            dropout: DropoutConfig::new(config.attention_probs_dropout_prob).init(),
            heads: config.num_attention_heads,
        }
    }

    /// Attends within each sequence; masked keys get a probability of exactly 0.
    ///
    /// # Shapes
    /// - hidden: `[batch * sequence, hidden]` (rows flattened, so that each projection is one matrix product and its
    ///   weight gradient another)
    /// - bias: `[batch, 1, 1, sequence]`, of [`attention_bias`]
    /// - result: `[batch * sequence, hidden]`
    pub fn forward(&self, hidden: Tensor<B, 2>, bias: &Tensor<B, 4>) -> Tensor<B, 2> {
        let [batch, _, _, sequence] = bias.dims();
        let [rows, width] = hidden.dims();
        let head = width / self.heads;
        let split = [batch, sequence, self.heads, head];

        // The scale goes on the queries, the smallest of the tensors it could go on.
        let query = self.query.forward(hidden.clone()) * (1.0 / (head as f64).sqrt());
        let query = query.reshape(split).swap_dims(1, 2);
        let key = self.key.forward(hidden.clone()).reshape(split);
        let key = key.permute([0, 2, 3, 1]);
        let value = self.value.forward(hidden).reshape(split).swap_dims(1, 2);

        let scores = query.matmul(key) + bias.clone();
        let probabilities = self.dropout.forward(softmax(scores, 3));
        let context = probabilities.matmul(value);
        self.output
            .forward(context.swap_dims(1, 2).reshape([rows, width]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Flex, NdArray};

    fn masked_keys_get_exactly_nothing<B: Backend>() {
        let device = Default::default();
        let mask = Tensor::<B, 2>::from_floats([[1., 1., 0.], [0., 0., 0.]], &device);
        let bias = attention_bias(&mask);
        let scores = Tensor::<B, 4>::from_floats([[[[-50., 3., 900.]]], [[[1., 2., 3.]]]], &device);
        let probabilities: Vec<f32> = softmax(scores + bias, 3).into_data().to_vec().unwrap();
        assert_eq!(probabilities[2], 0.0);
        assert!((probabilities[0] + probabilities[1] - 1.0).abs() < 1e-6);
        assert!(probabilities.iter().all(|p| p.is_finite()));
    }

    #[test]
    fn masked_keys() {
        masked_keys_get_exactly_nothing::<NdArray>();
        masked_keys_get_exactly_nothing::<Flex>();
    }

    #[test]
    fn bias_is_finite_in_half_precision() {
        assert!(half::f16::from_f64(MASKED - 30_000.0).is_finite());
        assert_eq!(half::f16::from_f64((MASKED + 1000.0).exp()).to_f32(), 0.0);
    }
}
