//! Schedules: an epoch as a list of updates.
//!
//! An update names the batches it takes of each task, how their gradients are merged and which optimiser applies them. A
//! schedule is one file and one variant of [`ScheduleKind`]; one code path (`crate::step`) runs whatever they list.

mod additive;
mod combined;
mod epoch_end_surgery;
mod sampled;
mod sequential;

pub use additive::Additive;
pub use combined::{Combined, CombinedStop};
pub use epoch_end_surgery::EpochEndSurgery;
pub use sampled::{Annealed, Sampled, annealed_exponent};
pub use sequential::{Order, Sequential};

use bertram_core::task::{TaskId, TaskMap};
use serde::{Deserialize, Serialize};

/// The share of an update that belongs to one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose batches it takes.
    pub task: TaskId,
    /// Indices into the task's batches of this epoch. More than one where gradients are accumulated: their mean counts.
    pub batches: Vec<usize>,
}

/// How the gradients of an update's parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// By the run's aggregator.
    Aggregate,
    /// By adding them: the gradient of the summed losses.
    Sum,
}

/// Which optimiser applies an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizerSlot {
    /// The run's.
    Main,
    /// The second one, of [`EpochEndSurgery`].
    Surgery,
}

/// One optimiser step: the gradients of its parts are merged and applied together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// At most one part a task.
    pub parts: Vec<Part>,
    /// How their gradients are merged.
    pub merge: Merge,
    /// Who applies the result.
    pub optimizer: OptimizerSlot,
}

impl Update {
    /// An ordinary update.
    pub fn new(parts: Vec<Part>) -> Self {
        Self {
            parts,
            merge: Merge::Aggregate,
            optimizer: OptimizerSlot::Main,
        }
    }
}

/// Number of batches that each task has in an epoch, in the order of the tasks in the config.
pub type TaskSizes = [(TaskId, usize)];

/// What a schedule may look at.
#[derive(Clone, Copy, Debug)]
pub struct EpochContext<'a> {
    /// Batches of each task.
    pub sizes: &'a TaskSizes,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// The run's seed.
    pub seed: u64,
    /// Primary score of each task on its training rows after the epoch before; empty where nobody asked for it, and in
    /// the first epoch.
    pub train_scores: &'a TaskMap<f64>,
}

/// Lists the updates of an epoch.
pub trait Schedule: Send {
    /// The updates of an epoch. The same context gives the same list.
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update>;

    /// Whether an update may take several tasks: then the dashboard compares their gradients.
    fn takes_several_tasks(&self) -> bool {
        true
    }
}

/// Which schedule a run follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// See [`Sequential`].
    Sequential,
    /// See [`Combined`].
    Combined,
    /// See [`Additive`].
    Additive,
    /// See [`Sampled`], with exponent 1.
    Proportional,
    /// See [`Sampled`], with exponent `1 / train.temperature`.
    Temperature,
    /// See [`Annealed`].
    Annealed,
}

impl ScheduleKind {
    /// All of them.
    pub const ALL: [ScheduleKind; 6] = [
        ScheduleKind::Sequential,
        ScheduleKind::Combined,
        ScheduleKind::Additive,
        ScheduleKind::Proportional,
        ScheduleKind::Temperature,
        ScheduleKind::Annealed,
    ];
}

/// Groups of `accumulate` consecutive batch indices; the last may be smaller.
fn groups(batches: usize, accumulate: usize) -> Vec<Vec<usize>> {
    let indices: Vec<usize> = (0..batches).collect();
    indices
        .chunks(accumulate.max(1))
        .map(<[usize]>::to_vec)
        .collect()
}

/// The groups of every task that has any.
fn task_groups(sizes: &TaskSizes, accumulate: usize) -> Vec<(TaskId, Vec<Vec<usize>>)> {
    sizes
        .iter()
        .filter(|(_, batches)| *batches > 0)
        .map(|&(task, batches)| (task, groups(batches, accumulate)))
        .collect()
}

#[cfg(test)]
mod tests;
