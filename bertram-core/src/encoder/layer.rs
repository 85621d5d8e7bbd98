//! One transformer layer.

use std::sync::Arc;

use bertram_kernels::composed::pick_rows;
use bertram_kernels::{KernelKind, Kernels, Queries, RowDropout, TokenRows};
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
        self.after_attention(attended, hidden, None)
    }

    /// The same for rows of tokens alone. Of the first tokens' states nothing else is computed, but for keys and values.
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
        let attended = self.attention.forward_packed(hidden.clone(), rows, queries);
        let (residual, keys) = match queries {
            Queries::All => (hidden, rows.keys()),
            Queries::First => (pick_rows(hidden, rows.first()), rows.first_keys()),
        };
        self.after_attention(attended, residual, Some(keys.clone()))
    }

    /// What follows the attention; `keys` are what each row's dropout follows.
    fn after_attention(
        &self,
        attended: Tensor<B, 2>,
        residual: Tensor<B, 2>,
        keys: Option<Arc<[u32]>>,
    ) -> Tensor<B, 2> {
        let dropout = RowDropout {
            prob: self.dropout.prob,
            keys,
        };
        let end = |output, layer: &Linear<B>, residual, norm: &LayerNorm<B>| {
            let norm = norm_of(norm, self.norm_eps);
            self.kernels.residual_layer_norm(
                output,
                bias_of(layer),
                residual,
                norm,
                dropout.clone(),
            )
        };
        let hidden = end(
            attended,
            &self.attention.output,
            residual,
            &self.attention_norm,
        );
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
        end(narrow, &self.output, hidden, &self.output_norm)
    }
}
