//! What a model is given: sequences of tokens, padded, on a device.

use burn::tensor::{Int, Tensor, backend::Backend};

use crate::spec::TaskId;

/// How the sentences of an example become sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// `[CLS] a [SEP]`.
    Single,
    /// `[CLS] a [SEP]` and `[CLS] b [SEP]`, rows of one batch: all first sentences, then all second ones.
    BiEncoder,
    /// `[CLS] a [SEP] b [SEP]`, with segment 1 from the first token of `b` on.
    CrossEncoder,
}

impl Packing {
    /// Sequences that an example becomes.
    pub fn sequences(self) -> usize {
        match self {
            Packing::Single | Packing::CrossEncoder => 1,
            Packing::BiEncoder => 2,
        }
    }
}

/// A padded batch of sequences on a device.
#[derive(Clone, Debug)]
pub struct TokenBatch<B: Backend> {
    /// Token ids, `[sequences, seq_len]`.
    pub input_ids: Tensor<B, 2, Int>,
    /// Segments, `[sequences, seq_len]`.
    pub token_type_ids: Tensor<B, 2, Int>,
    /// 1 for a token and 0 for padding, `[sequences, seq_len]`.
    pub attention_mask: Tensor<B, 2>,
}

/// A batch of one task on a device.
#[derive(Clone, Debug)]
pub struct TaskBatch<B: Backend> {
    /// Name of the task that this is of.
    pub task: TaskId,
    /// Token ids, segments and mask of the sequences.
    pub tokens: TokenBatch<B>,
    /// Numbers of the examples' labels, `[examples * width]`: a class index, 0/1, or score each, or of several labels at once
    /// 0 or 1 for each class. `None` where the split has none.
    pub labels: Option<Tensor<B, 1>>,
    /// How much each example counts in the batch's loss, `[examples]`, above 0; `None` where all count the same.
    pub weights: Option<Tensor<B, 1>>,
    /// Number of examples.
    pub examples: usize,
    /// Tokens without padding.
    pub token_count: usize,
    /// What an encoder that does not change made of the sequences before, `[sequences, hidden_size]`: then they do not go
    /// through it again.
    pub pooled: Option<Tensor<B, 2>>,
}
