//! The BERT encoder (Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>), as Hugging Face's `BertModel` computes it.
//!
//! [`BertConfig`] gives the shape, [`BertConfig::init`] a model with random weights, [`load_encoder`] one from a
//! checkpoint folder, and [`save_encoder`] writes a folder that `transformers` reads.
//!
//! Between embedding and result the hidden states are matrices `[batch * sequence, hidden]`: every linear layer is one
//! matrix product, and so is its weight gradient.

mod activation;
mod attention;
mod config;
mod embeddings;
mod kernel;
mod layer;
mod memory;
mod pooling;
pub mod weights;

pub use activation::HiddenAct;
pub use attention::{BertAttention, attention_bias};
pub use config::{BertConfig, BertConfigError};
pub use embeddings::BertEmbeddings;
pub use layer::BertLayer;
pub use pooling::{
    AttentionPooler, BertPooler, LayerMix, Pooling, PoolingError, Readout, Several, first_token,
    masked_max, masked_mean,
};
pub use weights::{
    Imported, TensorDifference, WeightSum, WeightsError, check_encoder, load_dense_pooler,
    load_encoder, load_tensors, read_config, save_encoder, save_tensors,
};

use bertram_kernels::composed::pick_rows;
use bertram_kernels::{KernelKind, Kernels, Precision, Queries};
use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};

use self::pooling::{Mixing, States};
use crate::batch::TokenBatch;

/// A BERT encoder.
///
/// # Example
/// ```
/// use bertram_core::{data::TokenBatch, encoder::{BertConfig, Pooling}};
/// use burn::{backend::Flex, tensor::Tensor};
///
/// let config = BertConfig {
///     vocab_size: 100,
///     hidden_size: 32,
///     num_hidden_layers: 2,
///     num_attention_heads: 2,
///     intermediate_size: 64,
///     ..BertConfig::default()
/// };
/// let device = Default::default();
/// let model = config.init::<Flex>(&device);
/// let tokens = TokenBatch {
///     input_ids: Tensor::from_ints([[2, 17, 3], [2, 3, 0]], &device),
///     token_type_ids: Tensor::zeros([2, 3], &device),
///     attention_mask: Tensor::from_floats([[1., 1., 1.], [1., 1., 0.]], &device),
/// };
/// let hidden = model.forward(&tokens);
/// assert_eq!(hidden.dims(), [2, 3, 32]);
/// let pooled = model.pool(hidden, &tokens.attention_mask, Pooling::Mean);
/// assert_eq!(pooled.dims(), [2, 32]);
/// ```
#[derive(Module, Debug)]
pub struct Bert<B: Backend> {
    /// Embedding module.
    pub embeddings: BertEmbeddings<B>,
    /// Transformer layers, first to last.
    pub layers: Vec<BertLayer<B>>,
    /// Pooler; used by [`Pooling::Pooler`] only.
    pub pooler: BertPooler<B>,
    /// What the layers compute in; see [`with_precision`](Self::with_precision).
    #[module(skip)]
    pub precision: Precision,
}

impl<B: Backend> Bert<B> {
    /// Longest sequence, in tokens with special tokens, that [`embed`](Self::embed) takes.
    pub fn max_positions(&self) -> usize {
        self.embeddings.position.weight.lazy_shape()[0]
    }

    /// Width of the hidden states.
    pub fn hidden_size(&self) -> usize {
        self.embeddings.position.weight.lazy_shape()[1]
    }

    /// Number of token ids that [`embed`](Self::embed) takes: ids must be below it.
    pub fn vocab_size(&self) -> usize {
        self.embeddings.word.weight.lazy_shape()[0]
    }

    /// Sets the dropout probabilities, both in `[0, 1)`: `hidden` after the embeddings and on sub-layer outputs,
    /// `attention` on attention probabilities. Dropout acts on autodiff backends only.
    pub fn with_dropout(mut self, hidden: f64, attention: f64) -> Self {
        self.embeddings.dropout.prob = hidden;
        for layer in &mut self.layers {
            layer.dropout.prob = hidden;
            layer.attention.dropout.prob = attention;
        }
        self
    }

    /// Which kernels compute.
    pub fn kernels(&self) -> KernelKind {
        self.embeddings.kernels
    }

    /// Sets which kernels compute: the backend's fused ones (the default), or Burn's operations one by one.
    pub fn with_kernels(mut self, kernels: KernelKind) -> Self {
        self.embeddings.kernels = kernels;
        for layer in &mut self.layers {
            layer.kernels = kernels;
            layer.attention.kernels = kernels;
        }
        self
    }

    /// Sets what the layers compute in. Parameters, embeddings and the result keep their type: in a half precision, the
    /// hidden states between the layers and the matrix products are in the half.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }
}

impl<B: Kernels> Bert<B> {
    /// The embedding module's output: word, position and token-type embeddings, LayerNorm, dropout. This is what
    /// SMART perturbs.
    ///
    /// # Shapes
    /// - tokens: `[batch, sequence]`
    /// - result: `[batch, sequence, hidden]`
    ///
    /// # Panics
    /// If the sequence is longer than [`max_positions`](Self::max_positions). Ids must be below
    /// [`vocab_size`](Self::vocab_size); backends differ in what they do otherwise.
    pub fn embed(&self, tokens: &TokenBatch<B>) -> Tensor<B, 3> {
        self.embeddings.forward(tokens)
    }

    /// The last layer's hidden states, from embeddings. States at padding are finite and meaningless; states of
    /// tokens do not depend on the padding.
    ///
    /// # Shapes
    /// - embedded, result: `[batch, sequence, hidden]`
    /// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
    pub fn encode(&self, embedded: Tensor<B, 3>, attention_mask: &Tensor<B, 2>) -> Tensor<B, 3> {
        self.encode_mixed(embedded, attention_mask, None)
    }

    /// [`encode`](Self::encode), or the mix of all layers' states.
    fn encode_mixed(
        &self,
        embedded: Tensor<B, 3>,
        attention_mask: &Tensor<B, 2>,
        mix: Option<&LayerMix<B>>,
    ) -> Tensor<B, 3> {
        let [batch, sequence, width] = embedded.dims();
        let bias = attention_bias(attention_mask);
        let dtype = embedded.dtype();
        let mut hidden = embedded.reshape([batch * sequence, width]);
        let mut mixing = Mixing::new(mix);
        mixing.add(|| hidden.clone());
        if let Some(half) = self.precision.half() {
            hidden = hidden.cast(half);
        }
        for layer in &self.layers {
            hidden = layer.forward(hidden, &bias);
            mixing.add(|| hidden.clone());
        }
        (mixing.or_last(hidden).cast(dtype)).reshape([batch, sequence, width])
    }

    /// One vector per sequence, from embeddings: [`encode`](Self::encode) and [`pool`](Self::pool), less the work that the
    /// result does not need. Where the backend computes rows of tokens alone ([`Kernels::token_rows`]), nothing is computed
    /// for padding, and in the last layer nothing but the first tokens' states if only they are pooled. A
    /// [`Readout`] that mixes layers reads the same tokens of each layer.
    ///
    /// # Shapes
    /// - embedded: `[batch, sequence, hidden]`
    /// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
    /// - result: `[batch, hidden]`, of several poolings `[batch, poolings * hidden]` ([`Pooling::width`])
    pub fn encode_pooled<'r>(
        &self,
        embedded: Tensor<B, 3>,
        attention_mask: &Tensor<B, 2>,
        readout: impl Into<Readout<'r, B>>,
    ) -> Tensor<B, 2> {
        let readout = readout.into();
        let rows = match self.precision.half() {
            Some(_) => None,
            None => self.kernels().token_rows(attention_mask),
        };
        let (Some(rows), Some((last, layers))) = (rows, self.layers.split_last()) else {
            let hidden = self.encode_mixed(embedded, attention_mask, readout.layer_mix);
            return readout.pool(&States::Padded(hidden, attention_mask), &self.pooler);
        };
        let [batch, sequence, width] = embedded.dims();
        let mut hidden = embedded.reshape([batch * sequence, width]);
        if rows.tokens() < batch * sequence {
            hidden = pick_rows(hidden, &rows.in_padded());
        }
        let queries = readout.pooling.queries();
        let read = |hidden: &Tensor<B, 2>| match queries {
            Queries::All => hidden.clone(),
            Queries::First => pick_rows(hidden.clone(), rows.first()),
        };
        let mut mixing = Mixing::new(readout.layer_mix);
        mixing.add(|| read(&hidden));
        for layer in layers {
            hidden = layer.forward_packed(hidden, &rows, Queries::All);
            mixing.add(|| read(&hidden));
        }
        let hidden = last.forward_packed(hidden, &rows, queries);
        mixing.add(|| hidden.clone());
        let hidden = mixing.or_last(hidden);
        let states = match queries {
            Queries::All => States::Packed(hidden, &rows),
            Queries::First => States::First(hidden),
        };
        readout.pool(&states, &self.pooler)
    }

    /// [`embed`](Self::embed), then [`encode`](Self::encode).
    ///
    /// # Shapes
    /// - tokens: `[batch, sequence]`
    /// - result: `[batch, sequence, hidden]`
    ///
    /// # Panics
    /// As [`embed`](Self::embed).
    pub fn forward(&self, tokens: &TokenBatch<B>) -> Tensor<B, 3> {
        self.encode(self.embed(tokens), &tokens.attention_mask)
    }

    /// One vector per sequence. (Without a task's [`Readout`], `attention` is the mean that it begins as.)
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, hidden]`
    /// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
    /// - result: `[batch, hidden]`, of several poolings `[batch, poolings * hidden]`
    pub fn pool(
        &self,
        hidden: Tensor<B, 3>,
        attention_mask: &Tensor<B, 2>,
        pooling: Pooling,
    ) -> Tensor<B, 2> {
        Readout::from(pooling).pool(&States::Padded(hidden, attention_mask), &self.pooler)
    }
}

#[cfg(test)]
mod tests;
