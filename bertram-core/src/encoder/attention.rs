//! Multi-head self-attention.

use bertram_kernels::composed::MASKED;
use bertram_kernels::{AttentionOptions, KernelKind, Kernels, Projections, Queries, TokenRows};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Tensor, backend::Backend};

use super::BertConfig;
use super::kernel::{bias as bias_of, product};

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
    /// Which kernels compute it.
    #[module(skip)]
    pub kernels: KernelKind,
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
            kernels: KernelKind::default(),
        }
    }
}

impl<B: Kernels> BertAttention<B> {
    /// Attends within each sequence; masked keys get a probability of exactly 0. The output projection is applied without
    /// its bias, which the layer adds.
    ///
    /// # Shapes
    /// - hidden: `[batch * sequence, hidden]` (rows flattened, so that each projection is one matrix product and its
    ///   weight gradient another)
    /// - bias: `[batch, 1, 1, sequence]`, of [`attention_bias`]
    /// - result: `[batch * sequence, hidden]`
    pub fn forward(&self, hidden: Tensor<B, 2>, bias: &Tensor<B, 4>) -> Tensor<B, 2> {
        let bias = bias.clone();
        let mixed =
            self.kernels
                .projected_attention(hidden, self.projections(), bias, self.options());
        product(self.kernels, &self.output, mixed)
    }

    /// The same for rows of tokens alone.
    ///
    /// # Shapes
    /// - hidden: `[tokens, hidden]`
    /// - result: `[tokens, hidden]`, or `[batch, hidden]` for the first tokens
    pub fn forward_packed(
        &self,
        hidden: Tensor<B, 2>,
        rows: &TokenRows,
        queries: Queries,
    ) -> Tensor<B, 2> {
        let mixed = self.kernels.packed_attention(
            hidden,
            self.projections(),
            rows,
            queries,
            self.options(),
        );
        product(self.kernels, &self.output, mixed)
    }

    fn projections(&self) -> Projections<B> {
        let layers = [&self.query, &self.key, &self.value];
        Projections {
            weights: layers.map(|layer| layer.weight.val()),
            biases: layers.map(bias_of),
        }
    }

    fn options(&self) -> AttentionOptions {
        AttentionOptions {
            heads: self.heads,
            dropout: self.dropout.prob,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Flex, NdArray};
    use burn::tensor::activation::softmax;

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
