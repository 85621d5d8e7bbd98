//! Numbers of an update that go into the log: what they are called, and how those of several updates become one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bertram_core::task::{TaskId, TaskMap};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// How a number of several updates becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverUpdates {
    /// Their mean.
    Mean,
    /// Their sum: it is a count.
    Sum,
}

/// What is measured. Means are on the dashboard, too; counts are in the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasureKind {
    /// Its name in `metrics.jsonl`.
    pub name: &'static str,
    /// How those of several updates become one.
    pub over_updates: OverUpdates,
}

impl MeasureKind {
    /// A number of which a line has the mean over updates.
    pub const fn mean(name: &'static str) -> Self {
        Self {
            name,
            over_updates: OverUpdates::Mean,
        }
    }

    /// A count, of which a line has the sum over updates.
    pub const fn count(name: &'static str) -> Self {
        Self {
            name,
            over_updates: OverUpdates::Sum,
        }
    }

    /// The measure with its number, of shape `[1]`.
    pub fn of<B: Backend>(self, value: Tensor<B, 1>) -> Measure<B> {
        Measure {
            name: self.name,
            value,
            over_updates: self.over_updates,
        }
    }
}

/// A number worth a line in the log. It stays on the device until somebody shows it.
#[derive(Clone, Debug)]
pub struct Measure<B: Backend> {
    /// Its name in `metrics.jsonl`.
    pub name: &'static str,
    /// The number. Shape `[1]`.
    pub value: Tensor<B, 1>,
    /// How those of several updates become one.
    pub over_updates: OverUpdates,
}

/// The numbers of one logged line, by name and task.
pub type MeasuredNumbers = BTreeMap<Cow<'static, str>, TaskMap<f64>>;

/// What one logged line has of a task.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// Whose numbers are asked for.
    pub task: TaskId,
    /// The last update of the line, counted from 1.
    pub update: usize,
    /// The numbers of all tasks.
    pub numbers: &'a MeasuredNumbers,
}

impl Measured<'_> {
    /// The task's number of a kind; `None` where nothing was measured.
    pub fn get(&self, kind: MeasureKind) -> Option<f64> {
        self.numbers.get(kind.name)?.get(&self.task).copied()
    }
}
