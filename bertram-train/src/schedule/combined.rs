//! A batch of every task in every update: the paper's own proposal (experiments 12 and 13).

use serde::{Deserialize, Serialize};

use super::{Part, Schedule, TaskSizes, Update, groups};

/// When a combined epoch ends, where tasks differ in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CombinedStop {
    /// With the shortest task: the rest of the longer ones is left for other epochs (the paper has equal sizes).
    Shortest,
    /// With the longest task: the shorter ones start again from their first batch.
    Cycle,
}

/// Each update takes the next batch of every task.
#[derive(Clone, Copy, Debug)]
pub struct Combined {
    /// When the epoch ends.
    pub stop: CombinedStop,
    /// Batches of each task whose mean gradient makes that task's part of an update.
    pub accumulate: usize,
}

impl Schedule for Combined {
    fn epoch(&self, sizes: &TaskSizes, _epoch: usize, _seed: u64) -> Vec<Update> {
        let tasks: Vec<_> = sizes
            .iter()
            .filter(|(_, batches)| *batches > 0)
            .map(|&(task, batches)| (task, groups(batches, self.accumulate)))
            .collect();
        let lengths = tasks.iter().map(|(_, groups)| groups.len());
        let updates = match self.stop {
            CombinedStop::Shortest => lengths.min(),
            CombinedStop::Cycle => lengths.max(),
        }
        .unwrap_or(0);
        (0..updates)
            .map(|index| Update {
                parts: tasks
                    .iter()
                    .map(|(task, groups)| Part {
                        task: *task,
                        batches: groups[index % groups.len()].clone(),
                    })
                    .collect(),
            })
            .collect()
    }
}
