//! Word, position and token-type embeddings.

use bertram_kernels::{KernelKind, Kernels, RowDropout, padded_keys};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::tensor::{Int, Tensor, backend::Backend, s};

use super::BertConfig;
use super::kernel::norm as norm_of;
use crate::batch::TokenBatch;

/// Sum of word, position and token-type embeddings, then LayerNorm and dropout (Devlin et al. 2019, fig. 2).
#[derive(Module, Debug)]
pub struct BertEmbeddings<B: Backend> {
    /// Word table `[vocab_size, hidden_size]`.
    pub word: Embedding<B>,
    /// Position table `[max_position_embeddings, hidden_size]`.
    pub position: Embedding<B>,
    /// Token-type (segment) table `[type_vocab_size, hidden_size]`.
    pub token_type: Embedding<B>,
    /// LayerNorm over the hidden dimension.
    pub norm: LayerNorm<B>,
    /// Its epsilon.
    pub norm_eps: f64,
    /// Dropout of the result.
    pub dropout: Dropout,
    /// Which kernels compute the LayerNorm and the dropout.
    #[module(skip)]
    pub kernels: KernelKind,
}

impl<B: Backend> BertEmbeddings<B> {
    pub(super) fn new(config: &BertConfig, device: &B::Device) -> Self {
        let table = |rows| {
            EmbeddingConfig::new(rows, config.hidden_size)
                .with_initializer(config.initializer())
                .init(device)
        };
        let mut word: Embedding<B> = table(config.vocab_size);
        let (pad, hidden) = (config.pad_token_id, config.hidden_size);
        word.weight = word.weight.init_mapper(move |weight: Tensor<B, 2>| {
            // Off the graph and back: the parameter must stay a leaf.
            let require_grad = weight.is_require_grad();
            let zeros = Tensor::zeros([1, hidden], &weight.device());
            weight
                .set_require_grad(false)
                .slice_assign(s![pad..pad + 1, ..], zeros)
                .set_require_grad(require_grad)
        });
        Self {
            word,
            position: table(config.max_position_embeddings),
            token_type: table(config.type_vocab_size),
            norm: LayerNormConfig::new(config.hidden_size)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            norm_eps: config.layer_norm_eps,
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            kernels: KernelKind::default(),
        }
    }
}

impl<B: Kernels> BertEmbeddings<B> {
    /// Embeds a batch.
    ///
    /// # Shapes
    /// - tokens: `[batch, sequence]`
    /// - result: `[batch, sequence, hidden]`
    ///
    /// # Panics
    /// If the sequence is longer than the position table ([`Bert::max_positions`](super::Bert::max_positions)).
    pub fn forward(&self, tokens: &TokenBatch<B>) -> Tensor<B, 3> {
        let [batch, sequence] = tokens.input_ids.dims();
        let positions = self.position.weight.val();
        let [limit, hidden] = positions.dims();
        assert!(
            sequence <= limit,
            "a sequence of {sequence} tokens does not fit the encoder's {limit} positions; truncate it first"
        );
        // Positions are 0..sequence in every row (padding is on the right), so a slice replaces a gather.
        let positions = positions.slice(s![0..sequence, ..]).unsqueeze::<3>();
        let rows = |table: &Embedding<B>, ids: &Tensor<B, 2, Int>| {
            let ids = ids.clone().reshape([batch * sequence]);
            let rows = self.kernels.embedding_rows(table.weight.val(), ids);
            rows.reshape([batch, sequence, hidden])
        };
        let embedded = rows(&self.word, &tokens.input_ids)
            + rows(&self.token_type, &tokens.token_type_ids)
            + positions;
        let rows = embedded.reshape([batch * sequence, hidden]);
        let norm = norm_of(&self.norm, self.norm_eps);
        let dropout = RowDropout {
            prob: self.dropout.prob,
            keys: Some(padded_keys(batch, sequence)),
        };
        self.kernels
            .layer_norm_dropout(rows, norm, dropout)
            .reshape([batch, sequence, hidden])
    }
}
