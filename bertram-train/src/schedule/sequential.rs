//! Task after task: BERTram's own training loop.

use bertram_core::task::TaskId;
use serde::{Deserialize, Serialize};

use super::{EpochContext, Part, Schedule, Update, task_groups};

/// In which order an epoch takes the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As in the config; sst, para and sts, where there is no other task, in this order.
    Fixed,
    /// Starts one task later each epoch.
    Rotating,
    /// As in the config, but with the task of the lowest training score last (of equals, the first one). The first epoch
    /// is as `fixed`.
    LowestLast,
}

/// All batches of the first task, then of the second, and so on; an optimiser step a batch.
#[derive(Clone, Copy, Debug)]
pub struct Sequential {
    /// Order of the tasks.
    pub order: Order,
    /// Batches whose mean gradient makes one update.
    pub accumulate: usize,
}

impl Schedule for Sequential {
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update> {
        let mut tasks = task_groups(context.sizes, self.accumulate);
        match self.order {
            Order::Fixed => {}
            Order::Rotating => {
                let start = context.epoch.saturating_sub(1) % tasks.len().max(1);
                tasks.rotate_left(start);
            }
            Order::LowestLast => {
                let lowest = tasks
                    .iter()
                    .filter_map(|(task, _)| Some((*task, *context.train_scores.get(task)?)))
                    .min_by(|(_, one), (_, other)| one.total_cmp(other));
                if let Some((lowest, _)) = lowest {
                    tasks.sort_by_key(|(task, _): &(TaskId, _)| *task == lowest);
                }
            }
        }
        tasks
            .into_iter()
            .flat_map(|(task, groups)| {
                groups
                    .into_iter()
                    .map(move |batches| Update::new(vec![Part { task, batches }]))
            })
            .collect()
    }

    fn takes_several_tasks(&self) -> bool {
        false
    }
}
