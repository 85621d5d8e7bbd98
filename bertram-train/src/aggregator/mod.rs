//! Gradient aggregators: from the Gram matrix of the tasks' gradients to the weight of each in one merged gradient.
//!
//! Every method of this family is a linear combination of the task gradients whose weights depend on their inner products
//! alone, so that an aggregator sees numbers and no tensors. A method is one file and one variant of [`AggregatorKind`].

mod aligned_mtl;
mod cagrad;
mod gradvac;
mod gram;
mod imtl_g;
mod mgda;
mod nash_mtl;
mod pcgrad;
mod quadratic;
mod sum;
mod upgrad;

pub use aligned_mtl::AlignedMtl;
pub use cagrad::CaGrad;
pub use gradvac::GradVac;
pub use gram::Gram;
pub use imtl_g::ImtlG;
pub use mgda::Mgda;
pub use nash_mtl::NashMtl;
pub use pcgrad::{PcGrad, PcGradVariant};
pub use sum::{Mean, Sum};
pub use upgrad::UpGrad;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Random numbers of one update.
pub type StepRng = ChaCha8Rng;

/// Merges task gradients.
pub trait GradientAggregator: Send {
    /// Weights `w` of the merged gradient `sum_k w_k g_k`, one a task.
    ///
    /// Zero, equal and opposed gradients give finite weights; a single task gets 1.
    fn weights(&mut self, gram: &Gram, rng: &mut StepRng) -> Vec<f64>;

    /// Whether all weights are 1 whatever the gradients are, so that these need not be kept apart.
    fn only_adds(&self) -> bool {
        false
    }

    /// What the method remembers between updates, for a checkpoint.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes up what [`state`](Self::state) gave.
    fn restore(&mut self, _state: &[f64]) {}
}

/// Which aggregator a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AggregatorKind {
    /// See [`Sum`].
    Sum,
    /// See [`Mean`].
    Mean,
    /// See [`PcGrad`].
    Pcgrad,
    /// See [`GradVac`].
    Gradvac,
    /// See [`Mgda`].
    Mgda,
    /// See [`CaGrad`].
    Cagrad,
    /// See [`ImtlG`].
    ImtlG,
    /// See [`NashMtl`].
    NashMtl,
    /// See [`AlignedMtl`].
    AlignedMtl,
    /// See [`UpGrad`].
    Upgrad,
}

impl AggregatorKind {
    /// All of them.
    pub const ALL: [AggregatorKind; 10] = [
        AggregatorKind::Sum,
        AggregatorKind::Mean,
        AggregatorKind::Pcgrad,
        AggregatorKind::Gradvac,
        AggregatorKind::Mgda,
        AggregatorKind::Cagrad,
        AggregatorKind::ImtlG,
        AggregatorKind::NashMtl,
        AggregatorKind::AlignedMtl,
        AggregatorKind::Upgrad,
    ];
}

/// Which parameters an aggregator's weights apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The encoder's: each head keeps its own task's gradient.
    Shared,
    /// All: a task has a gradient of zero for the heads of the others.
    All,
}

/// What becomes of the weighted gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their sum, divided by the number of tasks on parameters that every task touches.
    Mean,
}

/// An aggregator and the settings that only one of them has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AggregatorConfig {
    /// How gradients of tasks become one.
    pub kind: AggregatorKind,
    /// Which parameters the weights apply to.
    pub scope: Scope,
    /// What becomes of the weighted gradients.
    pub reduction: Reduction,
    /// Of PCGrad; `default` where absent.
    pub variant: Option<PcGradVariant>,
    /// Of CAGrad: how far from the mean gradient the result may be, as a share of its norm; .5 where absent.
    pub c: Option<f64>,
    /// Of GradVac: how fast the target cosines move; .01 where absent.
    pub beta: Option<f64>,
}

impl Default for AggregatorConfig {
    fn default() -> Self {
        Self {
            kind: AggregatorKind::Sum,
            scope: Scope::Shared,
            reduction: Reduction::Sum,
            variant: None,
            c: None,
            beta: None,
        }
    }
}

impl AggregatorConfig {
    /// The aggregator, without history.
    pub fn build(&self) -> Box<dyn GradientAggregator> {
        match self.kind {
            AggregatorKind::Sum => Box::new(Sum),
            AggregatorKind::Mean => Box::new(Mean),
            AggregatorKind::Pcgrad => Box::new(PcGrad {
                variant: self.variant.unwrap_or(PcGradVariant::Default),
            }),
            AggregatorKind::Gradvac => Box::new(GradVac::new(self.beta.unwrap_or(0.01))),
            AggregatorKind::Mgda => Box::new(Mgda),
            AggregatorKind::Cagrad => Box::new(CaGrad {
                c: self.c.unwrap_or(0.5),
            }),
            AggregatorKind::ImtlG => Box::new(ImtlG),
            AggregatorKind::NashMtl => Box::new(NashMtl),
            AggregatorKind::AlignedMtl => Box::new(AlignedMtl),
            AggregatorKind::Upgrad => Box::new(UpGrad),
        }
    }
}

#[cfg(test)]
mod tests;
