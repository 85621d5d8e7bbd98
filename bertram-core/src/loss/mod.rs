//! Losses: a file a loss, each a mean over the examples of a batch.

mod bce;
mod cosine_embedding;
mod cross_entropy;
mod divergence;
mod mse;

pub use bce::binary_cross_entropy_with_logits;
pub use cosine_embedding::cosine_embedding;
pub use cross_entropy::cross_entropy;
pub use divergence::{OutputKind, divergence};
pub use mse::mean_squared_error;

use serde::{Deserialize, Serialize};

/// Which loss a task is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// See [`cross_entropy`].
    CrossEntropy,
    /// See [`binary_cross_entropy_with_logits`]; similarity uses the soft target `label / 5`.
    Bce,
    /// See [`mean_squared_error`]; similarity is trained on `label / 5`.
    Mse,
    /// See [`cosine_embedding`]; similarity counts as alike from 2.5 up.
    CosineEmbedding,
}

impl LossKind {
    /// How the logits of a task with this loss are read.
    pub fn output(self) -> OutputKind {
        match self {
            LossKind::CrossEntropy => OutputKind::Categorical,
            LossKind::Bce => OutputKind::Bernoulli,
            LossKind::Mse | LossKind::CosineEmbedding => OutputKind::Real,
        }
    }
}

#[cfg(test)]
mod tests;
