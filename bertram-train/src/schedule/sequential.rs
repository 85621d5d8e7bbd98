//! Task after task: BERTram's own training loop.

use serde::{Deserialize, Serialize};

use super::{Part, Schedule, TaskSizes, Update, groups};

/// In which order an epoch takes the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As in the config: sst, para, sts.
    Fixed,
}

/// All batches of the first task, then of the second, then of the third; an optimiser step a batch.
#[derive(Clone, Copy, Debug)]
pub struct Sequential {
    /// Order of the tasks.
    pub order: Order,
    /// Batches whose mean gradient makes one update.
    pub accumulate: usize,
}

impl Schedule for Sequential {
    fn epoch(&self, sizes: &TaskSizes, _epoch: usize, _seed: u64) -> Vec<Update> {
        let tasks = match self.order {
            Order::Fixed => sizes.iter(),
        };
        tasks
            .flat_map(|&(task, batches)| {
                groups(batches, self.accumulate)
                    .into_iter()
                    .map(move |batches| Update {
                        parts: vec![Part { task, batches }],
                    })
            })
            .collect()
    }
}
