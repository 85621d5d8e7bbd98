//! Losses: a file a loss, each a mean over the examples of a batch ([`ExampleLosses`]), or, of CoSENT and AnglE, a number of all
//! pairs of them.

mod angle;
mod bce;
mod class_weights;
mod cosent;
mod cosine_embedding;
mod cross_entropy;
mod divergence;
mod focal;
mod mse;
mod options;
mod ordinal;
mod rows;

pub use angle::{angle, weighted_angle};
pub use bce::{
    binary_cross_entropy_losses, binary_cross_entropy_with_logits,
    weighted_binary_cross_entropy_with_logits,
};
pub use cosent::{cosent, weighted_cosent};
pub use cosine_embedding::{cosine_embedding, cosine_embedding_losses};
pub use cross_entropy::{cross_entropy, cross_entropy_losses, weighted_cross_entropy};
pub use divergence::{OutputKind, divergence};
pub use focal::{binary_focal, binary_focal_losses, focal, focal_losses};
pub use mse::{mean_squared_error, squared_errors};
pub use options::LossOptions;
pub use ordinal::{ordinal, ordinal_losses};
pub use rows::ExampleLosses;

use burn::tensor::{Bool, Int, Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::spec::LabelKind;

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
    /// See [`focal`] and [`binary_focal`].
    Focal,
    /// See [`ordinal`]; the order is that of the labels.
    Ordinal,
    /// See [`cosent`]: similarity is trained by the order of its labels.
    Cosent,
    /// See [`angle`]: as `cosent`, on angles.
    Angle,
}

impl LossKind {
    /// How the logits of a task with this loss and these labels are read.
    pub fn output(self, label: LabelKind) -> OutputKind {
        match self {
            LossKind::CrossEntropy | LossKind::Ordinal => OutputKind::Categorical,
            LossKind::Bce => OutputKind::Bernoulli,
            LossKind::Focal => match label {
                LabelKind::Classes { .. } => OutputKind::Categorical,
                LabelKind::MultiLabel { .. } | LabelKind::Binary | LabelKind::Score { .. } => {
                    OutputKind::Bernoulli
                }
            },
            LossKind::Mse | LossKind::CosineEmbedding | LossKind::Cosent | LossKind::Angle => {
                OutputKind::Real
            }
        }
    }
}

/// What stands for minus infinity in a sum of exponentials: there it counts for nothing, and no difference of it is NaN.
const MASKED: f64 = -1e30;

/// Where each example's own class stands. Shapes: `[examples]` to `[examples, classes]`.
fn is_class<B: Backend>(targets: &Tensor<B, 1, Int>, shape: [usize; 2]) -> Tensor<B, 2, Bool> {
    let options = (&targets.device(), targets.dtype());
    let numbers = Tensor::<B, 1, Int>::arange(0..shape[1] as i64, options);
    let own = targets.clone().unsqueeze_dim::<2>(1).expand(shape);
    numbers.unsqueeze_dim::<2>(0).expand(shape).equal(own)
}

#[cfg(test)]
mod tests;
