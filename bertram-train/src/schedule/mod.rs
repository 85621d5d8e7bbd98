//! Schedules: an epoch as a list of updates.
//!
//! An update names the batches it takes of each task. A schedule is one file and one variant of [`ScheduleKind`]; one
//! code path (`crate::step`) runs whatever they list.

mod combined;
mod sequential;

pub use combined::{Combined, CombinedStop};
pub use sequential::{Order, Sequential};

use bertram_core::task::TaskId;
use serde::{Deserialize, Serialize};

/// The share of an update that belongs to one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The task.
    pub task: TaskId,
    /// Indices into the task's batches of this epoch. More than one where gradients are accumulated: their mean counts.
    pub batches: Vec<usize>,
}

/// One optimiser step: the gradients of its parts are merged and applied together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// At most one part a task.
    pub parts: Vec<Part>,
}

/// Number of batches that each task has in an epoch, in the order of the tasks in the config.
pub type TaskSizes = [(TaskId, usize)];

/// Lists the updates of an epoch.
pub trait Schedule {
    /// The updates of epoch `epoch` (counted from 1). The same arguments give the same list.
    fn epoch(&self, sizes: &TaskSizes, epoch: usize, seed: u64) -> Vec<Update>;
}

/// Which schedule a run follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// See [`Sequential`].
    Sequential,
    /// See [`Combined`].
    Combined,
}

/// Groups of `accumulate` consecutive batch indices; the last may be smaller.
fn groups(batches: usize, accumulate: usize) -> Vec<Vec<usize>> {
    let indices: Vec<usize> = (0..batches).collect();
    indices
        .chunks(accumulate.max(1))
        .map(<[usize]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TASKS: [TaskId; 3] = TaskId::ALL;

    fn sizes(counts: &[usize]) -> Vec<(TaskId, usize)> {
        TASKS.into_iter().zip(counts.iter().copied()).collect()
    }

    fn seen(updates: &[Update], task: TaskId) -> Vec<usize> {
        updates
            .iter()
            .flat_map(|update| &update.parts)
            .filter(|part| part.task == task)
            .flat_map(|part| part.batches.clone())
            .collect()
    }

    proptest! {
        #[test]
        fn sequential_takes_every_batch_once_and_task_after_task(counts in prop::collection::vec(0usize..12, 3), accumulate in 1usize..4, epoch in 1usize..5) {
            let schedule = Sequential { order: Order::Fixed, accumulate };
            let updates = schedule.epoch(&sizes(&counts), epoch, 1);
            for (task, count) in sizes(&counts) {
                prop_assert_eq!(seen(&updates, task), (0..count).collect::<Vec<_>>());
            }
            let order: Vec<TaskId> = updates.iter().map(|update| update.parts[0].task).collect();
            let mut sorted = order.clone();
            sorted.sort();
            prop_assert_eq!(order, sorted);
        }

        #[test]
        fn combined_takes_every_task_in_every_update(counts in prop::collection::vec(1usize..12, 3), accumulate in 1usize..4) {
            for stop in [CombinedStop::Shortest, CombinedStop::Cycle] {
                let updates = Combined { stop, accumulate }.epoch(&sizes(&counts), 1, 1);
                prop_assert!(updates.iter().all(|update| update.parts.len() == 3));
                for (task, count) in sizes(&counts) {
                    prop_assert!(seen(&updates, task).iter().all(|&batch| batch < count));
                    let distinct = seen(&updates, task).into_iter().collect::<std::collections::HashSet<_>>().len();
                    let shortest = counts.iter().map(|count| count.div_ceil(accumulate)).min().unwrap_or(0) * accumulate;
                    prop_assert_eq!(distinct, if stop == CombinedStop::Cycle { count } else { count.min(shortest) });
                }
            }
        }
    }
}
