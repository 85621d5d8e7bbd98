//! The tasks' losses summed into one (the paper's experiment 9).

use super::{Combined, EpochContext, Merge, Schedule, Update};

/// Each update takes a batch of every task, as [`Combined`] does, and the gradient of the sum of their losses: whatever
/// aggregator the run has is left to [`EpochEndSurgery`](super::EpochEndSurgery).
#[derive(Clone, Copy, Debug)]
pub struct Additive {
    /// Which batches meet.
    pub batches: Combined,
}

impl Schedule for Additive {
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update> {
        let mut updates = self.batches.epoch(context);
        for update in &mut updates {
            update.merge = Merge::Sum;
        }
        updates
    }
}
