//! One transformer layer.

use bertram_kernels::{KernelKind, Kernels};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Tensor, backend::Backend};

use super::kernel::{bias as bias_of, linear, norm as norm_of, product};
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
    /// Epsilon of both LayerNorms.
    pub norm_eps: f64,
    /// Dropout of both sub-layer outputs.
    pub dropout: Dropout,
    /// Activation between the two projections.
    #[module(skip)]
    pub activation: HiddenAct,
    /// Which kernels compute what follows the matrix products.
    #[module(skip)]
    pub kernels: KernelKind,
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
            norm_eps: config.layer_norm_eps,
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            activation: config.hidden_act,
            kernels: KernelKind::default(),
        }
    }
}

impl<B: Kernels> BertLayer<B> {
    /// Applies the layer.
    ///
    /// # Shapes
    /// - hidden, result: `[batch * sequence, hidden]`
    /// - bias: `[batch, 1, 1, sequence]`, of [`attention_bias`](super::attention_bias)
    pub fn forward(&self, hidden: Tensor<B, 2>, bias: &Tensor<B, 4>) -> Tensor<B, 2> {
        let attended = self.attention.forward(hidden.clone(), bias);
        let added = bias_of(&self.attention.output);
        let hidden = self.add_and_norm(attended, added, hidden, &self.attention_norm);
        let wide = match self.activation {
            HiddenAct::Gelu => {
                let wide = product(self.kernels, &self.intermediate, hidden.clone());
                self.kernels.bias_gelu(wide, bias_of(&self.intermediate))
            }
            activation => {
                activation.forward(linear(self.kernels, &self.intermediate, hidden.clone()))
            }
        };
        let narrow = product(self.kernels, &self.output, wide);
        self.add_and_norm(narrow, bias_of(&self.output), hidden, &self.output_norm)
    }

    /// The end of a sub-layer. The bias is that of its last linear layer.
    fn add_and_norm(
        &self,
        output: Tensor<B, 2>,
        bias: Tensor<B, 1>,
        residual: Tensor<B, 2>,
        norm: &LayerNorm<B>,
    ) -> Tensor<B, 2> {
        let norm = norm_of(norm, self.norm_eps);
        self.kernels
            .residual_layer_norm(output, bias, residual, norm, self.dropout.prob)
    }
}
