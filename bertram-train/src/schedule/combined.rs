//! A batch of every task in every update: the paper's own proposal (experiments 12 and 13).

use bertram_core::seed::mix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{EpochContext, Part, Schedule, Update, task_groups};

/// When a combined epoch ends, where tasks differ in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CombinedStop {
    /// With the shortest task: the rest of the longer ones is left for other epochs (the paper has equal sizes).
    Shortest,
    /// With the longest task: the shorter ones start again from their first batch.
    Cycle,
    /// After as many updates as the tasks have batches on average; each takes any batch of a task, drawn with replacement.
    Draw,
}

/// Each update takes a batch of every task.
#[derive(Clone, Copy, Debug)]
pub struct Combined {
    /// When the epoch ends.
    pub stop: CombinedStop,
    /// Batches of each task whose mean gradient makes that task's part of an update.
    pub accumulate: usize,
}

impl Schedule for Combined {
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update> {
        let tasks = task_groups(context.sizes, self.accumulate);
        let lengths = tasks.iter().map(|(_, groups)| groups.len());
        let updates = match self.stop {
            CombinedStop::Shortest => lengths.min().unwrap_or(0),
            CombinedStop::Cycle => lengths.max().unwrap_or(0),
            CombinedStop::Draw => lengths.sum::<usize>().div_ceil(tasks.len().max(1)),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(mix(context.seed, context.epoch as u64));
        (0..updates)
            .map(|index| {
                let part = |(task, groups): &(_, Vec<Vec<usize>>)| {
                    let index = match self.stop {
                        CombinedStop::Draw => rng.random_range(0..groups.len()),
                        CombinedStop::Shortest | CombinedStop::Cycle => index % groups.len(),
                    };
                    Part {
                        task: *task,
                        batches: groups[index].clone(),
                    }
                };
                Update::new(tasks.iter().map(part).collect())
            })
            .collect()
    }
}
