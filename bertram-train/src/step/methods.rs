//! The parts of an update that may come from outside.

use std::collections::HashMap;

use bertram_core::task::TaskId;
use burn::tensor::backend::AutodiffBackend;

use crate::aggregator::{AggregatorConfig, GradientAggregator};
use crate::measure::MeasureKind;
use crate::regulariser::{Regulariser, RegulariserSettings};

/// What is added to the tasks' losses, and how their gradients are merged. Those that a config names and those of one's own
/// are here alike.
pub struct UpdateMethods<B: AutodiffBackend> {
    /// What merges the gradients of an update's tasks.
    pub aggregator: Box<dyn GradientAggregator>,
    regularisers: HashMap<TaskId, Vec<Box<dyn Regulariser<B>>>>,
}

impl<B: AutodiffBackend> UpdateMethods<B> {
    /// Those that the settings name, for these tasks.
    pub fn of(
        aggregator: &AggregatorConfig,
        regularisers: &RegulariserSettings,
        tasks: impl IntoIterator<Item = TaskId>,
    ) -> Self {
        let tasks = tasks.into_iter();
        Self {
            aggregator: aggregator.build(),
            regularisers: tasks.map(|task| (task, regularisers.of(task))).collect(),
        }
    }

    /// Adds a regulariser to a task's objective, beside those that are there.
    pub fn add_regulariser(&mut self, task: TaskId, regulariser: Box<dyn Regulariser<B>>) {
        self.regularisers.entry(task).or_default().push(regulariser);
    }

    /// The regularisers of a task, in the order in which they are computed.
    pub fn regularisers(&self, task: TaskId) -> &[Box<dyn Regulariser<B>>] {
        self.regularisers.get(&task).map_or(&[], Vec::as_slice)
    }

    /// What the regularisers of a task measure, their terms included.
    pub fn measures(&self, task: TaskId) -> impl Iterator<Item = MeasureKind> {
        self.regularisers(task).iter().flat_map(|regulariser| {
            let others = regulariser.measures().iter().copied();
            std::iter::once(MeasureKind::mean(regulariser.name())).chain(others)
        })
    }
}
