//! A mean over tokens whose weights are learnt.

use bertram_kernels::TokenRows;
use bertram_kernels::composed::{MASKED, pick_rows};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData, activation, backend::Backend};

use super::mean::sum_of_rows;

/// The attention pooler: a softmax over the tokens' scores weighs their hidden states,
///
/// ```text
/// a = softmax(H w)        v = sum_t a_t h_t
/// ```
///
/// with one learnt vector `w`. It is the self-attentive sentence embedding of Lin et al. 2017
/// (<https://arxiv.org/abs/1703.03130>, equations 5 and 6) with one hop, and without the layer `tanh(W h)` in front of the
/// scores: an encoder that is trained along makes what the scores ask for. A bias would shift all scores alike, and change
/// nothing. `w` begins at 0: that is the mean over tokens.
///
/// It belongs to a task's head: what is telling in a sentence is another thing for every task. Of a pair that is encoded apart
/// both sentences take the same.
#[derive(Module, Debug)]
pub struct AttentionPooler<B: Backend> {
    /// `w`, `[hidden]`.
    pub query: Param<Tensor<B, 1>>,
}

impl<B: Backend> AttentionPooler<B> {
    /// The mean, before any training.
    pub fn new(hidden_size: usize, device: &B::Device) -> Self {
        Self {
            query: Param::from_tensor(Tensor::zeros([hidden_size], device)),
        }
    }

    /// Pools padded sequences.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, hidden]`
    /// - attention_mask: `[batch, sequence]`, 1 for tokens and 0 for padding
    /// - result: `[batch, hidden]`
    pub fn forward(&self, hidden: Tensor<B, 3>, attention_mask: &Tensor<B, 2>) -> Tensor<B, 2> {
        let [batch, sequence, width] = hidden.dims();
        let scores = self.scores(hidden.clone().reshape([batch * sequence, width]));
        let bias = ((attention_mask.clone() - 1.0) * -MASKED).cast(scores.dtype());
        let weights = activation::softmax(scores.reshape([batch, sequence]) + bias, 1);
        let weights = weights.reshape([batch, 1, sequence]);
        weights.matmul(hidden).reshape([batch, width])
    }

    /// [`forward`](Self::forward) of rows of tokens.
    ///
    /// # Shapes
    /// - hidden: `[tokens, hidden]`
    /// - result: `[batch, hidden]`
    pub(super) fn forward_packed(&self, hidden: Tensor<B, 2>, rows: &TokenRows) -> Tensor<B, 2> {
        let (batch, padded) = (rows.batch(), rows.padded());
        // Scores alone are padded: a number a token.
        let scores = pick_rows(self.scores(hidden.clone()), &rows.for_padded());
        let lengths = (0..batch).map(|sequence| rows.of(sequence).len());
        let bias = lengths.flat_map(|length| {
            (0..padded).map(move |at| if at < length { 0.0 } else { MASKED as f32 })
        });
        let bias = TensorData::new(bias.collect::<Vec<f32>>(), [batch, padded]);
        let bias = Tensor::<B, 2>::from_data(bias, &hidden.device()).cast(scores.dtype());
        let weights = activation::softmax(scores.reshape([batch, padded]) + bias, 1);
        let weights = pick_rows(weights.reshape([batch * padded, 1]), &rows.in_padded());
        sum_of_rows(hidden * weights, rows, |_| 1.0)
    }

    /// `H w`. Shapes: `[rows, hidden]` to `[rows, 1]`.
    fn scores(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        let query = self.query.val();
        let [width] = query.dims();
        hidden.matmul(query.reshape([width, 1]))
    }
}
