//! Regularisers: penalties on how a model's prediction changes.
//!
//! A regulariser sees a model only as "embed, then classify" ([`Classifier`]); what it returns is added to the task's
//! loss, so that one backward pass serves both. A method is one file, and one line in [`RegulariserSettings`].
//! The Bregman term is kept apart because it has a memory: the [`Teacher`].

mod bregman;
mod r_drop;
mod smart;

pub use bregman::{BREGMAN, BregmanConfig, Teacher};
pub use r_drop::{RDrop, RDropConfig};
pub use smart::{Perturbation, PerturbationNorm, Smart, SmartConfig, SmartVariant};

use bertram_core::loss::OutputKind;
use bertram_core::task::TaskId;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::Serialize;

use crate::measure::{Measure, MeasureKind, Measured};

/// A model and a batch, seen as "embed, then classify": all that a regulariser may know of them.
pub trait Classifier<B: AutodiffBackend> {
    /// Embeds the batch once more, with dropout of its own.
    ///
    /// # Shapes
    ///
    /// - output: `[sequences, seq_len, hidden_size]`
    fn embed(&self) -> Tensor<B, 3>;

    /// Logits from embeddings.
    ///
    /// # Shapes
    ///
    /// - `embedded`: `[sequences, seq_len, hidden_size]`; of an example with `k` sentences, the first of all examples come
    ///   first, then the second
    /// - output: `[examples, outputs]`
    fn classify(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2>;

    /// As [`classify`](Self::classify), with weights that are constants: a backward pass reaches `embedded` alone.
    fn classify_frozen(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2>;

    /// 1 for a token and 0 for padding.
    ///
    /// # Shapes
    ///
    /// - output: `[sequences, seq_len]`
    fn mask(&self) -> Tensor<B::InnerBackend, 2>;

    /// How the logits are read.
    fn output(&self) -> OutputKind;

    /// What a loss is to be multiplied by before its backward pass; see [`LossScale`](crate::loss_scale::LossScale).
    fn loss_scale(&self) -> f64 {
        1.0
    }
}

/// The training pass that a penalty compares with: on the graph, not detached.
#[derive(Clone, Debug)]
pub struct ForwardPass<B: Backend> {
    /// What the embedding module made of the batch, `[sequences, seq_len, hidden_size]`.
    pub embedded: Tensor<B, 3>,
    /// Logits, `[examples, outputs]`.
    pub logits: Tensor<B, 2>,
}

/// A regulariser's term.
pub struct Penalty<B: AutodiffBackend> {
    /// Mean over the examples of the batch, on the graph, without its weight; in f32 at least. Shape `[1]`.
    pub value: Tensor<B, 1>,
    /// What else it found.
    pub measures: Vec<Measure<B::InnerBackend>>,
}

/// Adds a term to a task's loss.
pub trait Regulariser<B: AutodiffBackend>: Send {
    /// The term's name in `metrics.jsonl`, which has its mean over updates without its weight.
    fn name(&self) -> &'static str;

    /// What the term is multiplied by. Where it is 0 the term is not computed at all.
    fn weight(&self) -> f64;

    /// The term for one batch.
    fn penalty(&self, model: &dyn Classifier<B>, forward: &ForwardPass<B>) -> Penalty<B>;

    /// What else a [`Penalty`] of it measures.
    fn measures(&self) -> &'static [MeasureKind] {
        &[]
    }

    /// What a person should know of the numbers that one logged line has of a task.
    fn warnings(&self, _measured: &Measured<'_>) -> Vec<String> {
        Vec::new()
    }
}

/// `[regulariser.*]`: a section that is there is switched on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegulariserSettings {
    /// `[regulariser.smart]`.
    pub smart: Option<SmartConfig>,
    /// `[regulariser.r-drop]`.
    pub r_drop: Option<RDropConfig>,
    /// `[regulariser.bregman]`.
    pub bregman: Option<BregmanConfig>,
}

impl RegulariserSettings {
    /// The regularisers of a task; those of weight 0 are left out.
    pub fn of<B: AutodiffBackend>(&self, task: TaskId) -> Vec<Box<dyn Regulariser<B>>> {
        let mut all: Vec<Box<dyn Regulariser<B>>> = Vec::new();
        if let Some(config) = self.smart.as_ref().filter(|it| it.tasks.contains(&task)) {
            all.push(Box::new(Smart::new(config.clone())));
        }
        if let Some(config) = self.r_drop.as_ref().filter(|it| it.tasks.contains(&task)) {
            all.push(Box::new(RDrop::new(config.clone())));
        }
        all.retain(|regulariser| regulariser.weight() > 0.0);
        all
    }

    /// The settings of the proximal term, where it does something.
    pub fn active_bregman(&self) -> Option<&BregmanConfig> {
        self.bregman.as_ref().filter(|config| config.mu > 0.0)
    }
}

#[cfg(test)]
mod tests;
