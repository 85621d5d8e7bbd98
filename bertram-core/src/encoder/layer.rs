//! One transformer layer.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Tensor, backend::Backend};

use super::{BertAttention, BertConfig, HiddenAct};

/// Attention, then a feed-forward network; each with dropout, a residual connection and LayerNorm after it
/// (post-LayerNorm, as in Vaswani et al. 2017).
#[derive(Module, Debug)]
pub struct BertLayer<B: Backend> {
    /// Self-attention.
    pub attention: BertAttention<B>,
    /// LayerNorm after the attention's residual connection.
    pub attention_norm: LayerNorm<B>,
    /// First feed-forward projection, `[hidden, intermediate]`.
    pub intermediate: Linear<B>,
    /// Second feed-forward projection, `[intermediate, hidden]`.
    pub output: Linear<B>,
    /// LayerNorm after the feed-forward network's residual connection.
    pub output_norm: LayerNorm<B>,
    /// Dropout of both sub-layer outputs.
    pub dropout: Dropout,
    /// Activation between the two projections.
    #[module(skip)]
    pub activation: HiddenAct,
}

impl<B: Backend> BertLayer<B> {
    pub(super) fn new(config: &BertConfig, device: &B::Device) -> Self {
        let norm = || {
            LayerNormConfig::new(config.hidden_size)
                .with_epsilon(config.layer_norm_eps)
                .init(device)
        };
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        Self {
            attention: BertAttention::new(config, device),
            attention_norm: norm(),
            intermediate: config.linear(hidden, intermediate, device),
            output: config.linear(intermediate, hidden, device),
            output_norm: norm(),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            activation: config.hidden_act,
        }
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// - hidden, result: `[batch * sequence, hidden]`
    /// - bias: `[batch, 1, 1, sequence]`, of [`attention_bias`](super::attention_bias)
    pub fn forward(&self, hidden: Tensor<B, 2>, bias: &Tensor<B, 4>) -> Tensor<B, 2> {
        let attended = self
            .dropout
            .forward(self.attention.forward(hidden.clone(), bias));
        let hidden = self.attention_norm.forward(attended + hidden);
        let wide = self
            .activation
            .forward(self.intermediate.forward(hidden.clone()));
        let narrow = self.dropout.forward(self.output.forward(wide));
        self.output_norm.forward(narrow + hidden)
    }
}
