//! What was gathered between two logged steps, as a checkpoint keeps it: the first line that a resumed run logs says what
//! that of the uninterrupted one says.

use std::collections::BTreeMap;

use bertram_core::task::TaskMap;
use serde::{Deserialize, Serialize};

use crate::measure::OverUpdates;

/// Sums since the last logged step. JSON has no numbers that are not finite: a sum that is none is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowState {
    /// Losses by task.
    pub losses: TaskMap<SumState>,
    /// What regularisers and the loss scale measured, by name and task.
    pub measures: BTreeMap<String, TaskMap<SumState>>,
    /// Gradient norm of the last update that had one.
    pub gradient_norm: Option<f64>,
    /// How the tasks' gradients lay to each other.
    pub surgery: SurgeryState,
}

/// A number of a task, summed over updates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SumState {
    /// Sum over all that was measured.
    pub sum: Option<f64>,
    /// Of how many updates.
    pub count: usize,
    /// What becomes of it.
    pub over_updates: OverUpdates,
}

/// Sums over the updates whose Gram matrix was computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SurgeryState {
    /// How many there were.
    pub updates: usize,
    /// Cosines by pair of tasks.
    pub cosines: BTreeMap<String, Option<f64>>,
    /// Lengths of the tasks' gradients.
    pub norms: BTreeMap<String, Option<f64>>,
    /// Shares of pairs that point against each other.
    pub conflicts: Option<f64>,
}

impl WindowState {
    /// Whether its counts are those of a run that has made so many updates.
    ///
    /// # Errors
    /// A sentence that says what is not.
    pub(super) fn check(&self, updates: usize) -> Result<(), String> {
        // A measure is taken of each batch of an update, and nobody accumulates more.
        const MOST_BATCHES: usize = 1 << 32;
        let losses = self.losses.values().map(|it| (it.count, updates));
        let measures = self.measures.values().flat_map(TaskMap::values);
        let measures = measures.map(|it| (it.count, MOST_BATCHES));
        let counts = losses.chain(measures);
        let wrong = counts
            .chain([(self.surgery.updates.max(1), updates)])
            .find(|(count, most)| *count == 0 || count > most);
        match wrong {
            Some((count, _)) => Err(format!(
                "window has a sum over {count} updates, and the run has made {updates}"
            )),
            None => Ok(()),
        }
    }
}
