//! Task heads: from pooled sentence vectors to logits.
//!
//! A head kind is one file and one variant of [`Head`] (and of its config name, [`HeadKind`]).

mod concat;
mod cosine;
mod cross_encoder;
mod linear;

pub use concat::ConcatHead;
pub use cosine::{CosineHead, complex_quotient, cosine_similarity};
pub use cross_encoder::CrossEncoderHead;
pub use linear::LinearHead;

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::batch::Packing;

/// Which head a task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// Dropout and one linear layer on one sentence's vector.
    Linear,
    /// Cosine of two sentence vectors (the paper's).
    Cosine,
    /// `[u; v; |u-v|; u*v]` through a two-layer perceptron.
    Concat,
    /// `[CLS] a [SEP] b [SEP]` through the encoder, then one linear layer.
    CrossEncoder,
}

/// How a cosine becomes a paraphrase decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// A learned scale and bias on the cosine; yes where the logit is positive.
    Calibrated,
    /// The bare cosine is the logit, and yes is `round(sigmoid(cosine)) = 1`, as published. It says yes
    /// almost always, because every non-negative cosine does.
    AsPublished,
}

impl HeadKind {
    /// How sentences are laid out for this head.
    pub fn packing(self) -> Packing {
        match self {
            HeadKind::Linear => Packing::Single,
            HeadKind::Cosine | HeadKind::Concat => Packing::BiEncoder,
            HeadKind::CrossEncoder => Packing::CrossEncoder,
        }
    }
}

/// What is needed to build a [`Head`].
#[derive(Clone, Copy, Debug)]
pub struct HeadConfig {
    /// Which head it is.
    pub kind: HeadKind,
    /// Size of a sentence vector.
    pub hidden_size: usize,
    /// Number of logits an example has.
    pub outputs: usize,
    /// Dropout on the sentence vectors (and between the layers of `concat`).
    pub dropout: f64,
    /// Whether a cosine gets a learned scale and bias.
    pub affine: bool,
    /// Whether a cosine has the imaginary part of [`complex_quotient`] beside it.
    pub complex: bool,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
}

/// A task head of any kind.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a model has a handful of heads, and a box would not be a module"
)]
pub enum Head<B: Backend> {
    /// See [`LinearHead`].
    Linear(LinearHead<B>),
    /// See [`CosineHead`].
    Cosine(CosineHead<B>),
    /// See [`ConcatHead`].
    Concat(ConcatHead<B>),
    /// See [`CrossEncoderHead`].
    CrossEncoder(CrossEncoderHead<B>),
}

impl HeadConfig {
    /// A head with fresh weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Head<B> {
        match self.kind {
            HeadKind::Linear => Head::Linear(LinearHead::new(self, device)),
            HeadKind::Cosine => Head::Cosine(CosineHead::new(self, device)),
            HeadKind::Concat => Head::Concat(ConcatHead::new(self, device)),
            HeadKind::CrossEncoder => Head::CrossEncoder(CrossEncoderHead::new(self, device)),
        }
    }
}

impl<B: Backend> Head<B> {
    /// Logits from pooled sentence vectors.
    ///
    /// # Shapes
    ///
    /// - `pooled`: `[sequences, hidden_size]`; for `cosine` and `concat` the first half holds the first
    ///   sentences and the second half the second sentences
    /// - output: `[examples, outputs]`
    pub fn forward(&self, pooled: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Head::Linear(head) => head.forward(pooled),
            Head::Cosine(head) => head.forward(pooled),
            Head::Concat(head) => head.forward(pooled),
            Head::CrossEncoder(head) => head.forward(pooled),
        }
    }
}

/// The first and the second sentences of a bi-encoder batch.
///
/// # Shapes
///
/// - input: `[2 * examples, hidden_size]`
/// - output: two of `[examples, hidden_size]`
fn split_pairs<B: Backend>(pooled: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let [sequences, hidden_size] = pooled.dims();
    let examples = sequences / 2;
    (
        pooled.clone().slice([0..examples, 0..hidden_size]),
        pooled.slice([examples..sequences, 0..hidden_size]),
    )
}
