//! BERTram's gradient surgery: once an epoch, after the last update.

use bertram_core::task::TaskMap;

use super::{EpochContext, OptimizerSlot, Part, Schedule, Update};

/// Another schedule's epoch, and then one more update on the last batch that each task took, merged by the aggregator and
/// applied by a second optimiser with its own state.
///
/// The gradients of that update are taken where the model then is.
pub struct EpochEndSurgery {
    /// The epoch before its end.
    pub schedule: Box<dyn Schedule>,
}

impl Schedule for EpochEndSurgery {
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update> {
        let mut updates = self.schedule.epoch(context);
        let last: TaskMap<Vec<usize>> = updates
            .iter()
            .flat_map(|update| &update.parts)
            .map(|part| (part.task, part.batches.clone()))
            .collect();
        let parts: Vec<Part> = context
            .sizes
            .iter()
            .filter_map(|(task, _)| {
                Some(Part {
                    task: *task,
                    batches: last.get(task)?.clone(),
                })
            })
            .collect();
        if !parts.is_empty() {
            updates.push(Update {
                optimizer: OptimizerSlot::Surgery,
                ..Update::new(parts)
            });
        }
        updates
    }
}
