//! From hidden states to one vector per sequence.
//!
//! A pooling is one file and one variant of [`Pooling`]; what it reads is in [`Pooling::queries`], and how it is computed in
//! [`Readout`].

mod attention;
mod layer_mix;
mod max;
mod mean;
mod name;
mod pooler;

pub use attention::AttentionPooler;
pub use layer_mix::LayerMix;
pub use max::masked_max;
pub use mean::masked_mean;
pub use name::{PoolingError, Several};
pub use pooler::{BertPooler, first_token};

pub(super) use layer_mix::Mixing;

use bertram_kernels::composed::pick_rows;
use bertram_kernels::{Queries, TokenRows};
use burn::tensor::{Tensor, backend::Backend};

/// How a sequence becomes one vector. In configs and files it is a name, `"mean"`, or several with a plus between them,
/// `"cls+mean"`.
///
/// # Example
/// ```
/// use bertram_core::encoder::Pooling;
///
/// let both: Pooling = "cls+mean".parse()?;
/// assert_eq!(both.parts().collect::<Vec<_>>(), [Pooling::Cls, Pooling::Mean]);
/// assert_eq!(both.width(384), 768);
/// # Ok::<(), bertram_core::encoder::PoolingError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The hidden state of the first token, `[CLS]`.
    #[default]
    Cls,
    /// The mean of the hidden states of all tokens that are not padding (special tokens included).
    Mean,
    /// Of each dimension the greatest value of all tokens that are not padding (special tokens included).
    Max,
    /// BERT's pooler, `tanh(W h_CLS + b)`.
    Pooler,
    /// A mean whose weights are learnt by the task's head: see [`AttentionPooler`].
    Attention,
    /// Several of these side by side, in the order named.
    Several(Several),
}

/// Number of poolings that are one.
const SINGLES: usize = 5;

impl Pooling {
    /// The poolings that are one, in the order in which messages name them.
    pub const SINGLE: [Pooling; SINGLES] = [
        Pooling::Cls,
        Pooling::Mean,
        Pooling::Max,
        Pooling::Pooler,
        Pooling::Attention,
    ];

    /// The poolings whose vectors lie side by side; of a single one itself.
    pub fn parts(&self) -> impl Iterator<Item = Pooling> + '_ {
        let (own, several) = match self {
            Pooling::Several(several) => (None, Some(several.parts())),
            single => (Some(*single), None),
        };
        own.into_iter().chain(several.into_iter().flatten())
    }

    /// Whether a pooling is this one or one of its parts.
    pub fn has(&self, part: Pooling) -> bool {
        self.parts().any(|own| own == part)
    }

    /// Width of a vector, of hidden states of this width.
    pub fn width(&self, hidden_size: usize) -> usize {
        self.parts().count() * hidden_size
    }

    /// The tokens whose hidden states are read: where they are the first ones, nothing else of the last layer has to be
    /// computed.
    pub fn queries(&self) -> Queries {
        let first = |part| matches!(part, Pooling::Cls | Pooling::Pooler);
        match self.parts().all(first) {
            true => Queries::First,
            false => Queries::All,
        }
    }
}

/// What makes one vector of a sequence's hidden states: a pooling, and what it learns.
///
/// A [`Pooling`] alone is one, too (`Pooling::Mean.into()`).
#[derive(Debug)]
pub struct Readout<'a, B: Backend> {
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// The scores of [`Pooling::Attention`]. Without them all tokens weigh alike, as before any training.
    pub attention: Option<&'a AttentionPooler<B>>,
    /// Of which layers the hidden states are; without it those of the last one.
    pub layer_mix: Option<&'a LayerMix<B>>,
}

impl<B: Backend> From<Pooling> for Readout<'_, B> {
    fn from(pooling: Pooling) -> Self {
        Self {
            pooling,
            attention: None,
            layer_mix: None,
        }
    }
}

impl<B: Backend> Readout<'_, B> {
    /// Pools hidden states. Shape of the result: `[batch, pooling.width(hidden)]`.
    pub(super) fn pool(&self, states: &States<'_, B>, pooler: &BertPooler<B>) -> Tensor<B, 2> {
        let part = |part: Pooling| match part {
            Pooling::Cls => states.first(),
            Pooling::Mean => states.mean(),
            Pooling::Max => states.max(),
            Pooling::Pooler => pooler.forward(states.first()),
            Pooling::Attention => match self.attention {
                Some(attention) => states.attention(attention),
                None => states.mean(),
            },
            // Parts are single: this is how a list of one would be read.
            Pooling::Several(_) => states.first(),
        };
        let mut parts: Vec<Tensor<B, 2>> = self.pooling.parts().map(part).collect();
        match parts.len() {
            1 => parts.remove(0),
            _ => Tensor::cat(parts, 1),
        }
    }
}

/// Hidden states of a batch, as they were computed.
pub(super) enum States<'a, B: Backend> {
    /// Of padded sequences, `[batch, sequence, hidden]`, with their mask `[batch, sequence]`.
    Padded(Tensor<B, 3>, &'a Tensor<B, 2>),
    /// Of tokens alone, `[tokens, hidden]`.
    Packed(Tensor<B, 2>, &'a TokenRows),
    /// Of first tokens alone, `[batch, hidden]`: no more is computed where a pooling reads no more.
    First(Tensor<B, 2>),
}

impl<B: Backend> States<'_, B> {
    fn first(&self) -> Tensor<B, 2> {
        match self {
            States::Padded(hidden, _) => first_token(hidden.clone()),
            States::Packed(hidden, rows) => pick_rows(hidden.clone(), rows.first()),
            States::First(hidden) => hidden.clone(),
        }
    }

    fn mean(&self) -> Tensor<B, 2> {
        match self {
            States::Padded(hidden, mask) => masked_mean(hidden.clone(), mask),
            States::Packed(hidden, rows) => mean::mean_of_rows(hidden.clone(), rows),
            States::First(hidden) => hidden.clone(),
        }
    }

    fn max(&self) -> Tensor<B, 2> {
        match self {
            States::Padded(hidden, mask) => masked_max(hidden.clone(), mask),
            States::Packed(hidden, rows) => max::max_of_rows(hidden.clone(), rows),
            States::First(hidden) => hidden.clone(),
        }
    }

    fn attention(&self, pooler: &AttentionPooler<B>) -> Tensor<B, 2> {
        match self {
            States::Padded(hidden, mask) => pooler.forward(hidden.clone(), mask),
            States::Packed(hidden, rows) => pooler.forward_packed(hidden.clone(), rows),
            States::First(hidden) => hidden.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
