//! The batches and updates of an epoch: a pure function of settings, seed and epoch.

mod rows;

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use bertram_core::data::{HostBatch, epoch_batches, epoch_token_batches};
use bertram_core::seed::mix;
use bertram_core::task::{TaskId, TaskMap};
use burn::tensor::backend::Backend;

use crate::config::Settings;
use crate::corpus::TaskData;
use crate::schedule::{
    Additive, Annealed, Combined, EpochContext, EpochEndSurgery, Sampled, Schedule, ScheduleKind,
    Sequential, Update,
};
use crate::step::TaskPart;
use rows::{epoch_rows, is_swapped, swap_seed};

/// The batches of each task and the updates that take them.
pub struct Epoch {
    /// For each task, the rows of its batches.
    batches: Vec<Vec<Vec<usize>>>,
    /// For each task whose pairs change places, the seed of that.
    swaps: Vec<Option<u64>>,
    /// The updates, in order.
    pub updates: Vec<Update>,
}

impl Epoch {
    /// [`plan_by`](Self::plan_by) the schedule that the settings name.
    pub fn plan(
        settings: &Settings,
        tasks: &[TaskData],
        epoch: usize,
        train_scores: &TaskMap<f64>,
    ) -> Self {
        Self::plan_by(&*schedule(settings), settings, tasks, epoch, train_scores)
    }

    /// Epoch `epoch` (counted from 1). Rows are drawn, shuffled and cut from (seed, task, epoch) alone; the order of
    /// tasks may follow from their training scores after the epoch before.
    pub fn plan_by(
        schedule: &dyn Schedule,
        settings: &Settings,
        tasks: &[TaskData],
        epoch: usize,
        train_scores: &TaskMap<f64>,
    ) -> Self {
        let batches = batches(settings, tasks, epoch);
        let swaps = tasks
            .iter()
            .zip(task_streams(tasks))
            .map(|(task, stream)| {
                let seed = mix(settings.train.seed, stream);
                task.swap.then(|| swap_seed(seed, epoch))
            })
            .collect();
        let updates = updates(schedule, settings, tasks, &batches, epoch, train_scores);
        Self {
            batches,
            swaps,
            updates,
        }
    }

    /// Updates of a whole run: of its epochs, or `train.max-updates`, those of surgery counted. (The order of tasks, which may
    /// follow from their scores, changes no number.) With `train.batch-tokens` each epoch has a number of its own; beyond a
    /// thousand epochs it is taken to be the mean of these.
    pub fn updates_of_run(
        schedule: &dyn Schedule,
        settings: &Settings,
        tasks: &[TaskData],
    ) -> usize {
        let epochs = settings.train.epochs;
        let count = |epoch: usize| {
            let batches = batches(settings, tasks, epoch);
            updates(schedule, settings, tasks, &batches, epoch, &TaskMap::new()).len()
        };
        let all = match settings.train.batch_tokens {
            // Every epoch has as many rows, and as many batches of them.
            None => epochs * count(1),
            Some(_) => {
                let planned = epochs.min(MOST_PLANNED);
                let updates: usize = (1..=planned).map(count).sum();
                updates + (epochs - planned) * updates / planned.max(1)
            }
        };
        settings.train.max_updates.map_or(all, |most| all.min(most))
    }

    /// The rows of a task's batches; `task` is its place among those that the epoch was planned for.
    pub fn rows(&self, task: usize) -> impl Iterator<Item = usize> + '_ {
        self.batches[task].iter().flatten().copied()
    }

    /// The same rows, each with whether its sentences change places in this epoch.
    pub fn swapped_rows(&self, task: usize) -> impl Iterator<Item = (usize, bool)> + '_ {
        let seed = self.swaps[task];
        self.rows(task)
            .map(move |row| (row, seed.is_some_and(|seed| is_swapped(seed, row))))
    }

    /// The batches of an update, padded, on the host.
    pub fn parts(&self, update: &Update, tasks: &[TaskData]) -> Vec<HostPart> {
        let parts = update.parts.iter().filter_map(|part| {
            let index = tasks
                .iter()
                .position(|task| task.config.task == part.task)?;
            let task = &tasks[index];
            let batches = part.batches.iter().map(|&batch| {
                let rows = &self.batches[index][batch];
                let swapped = self.swaps[index].map_or(Vec::new(), |seed| {
                    rows.iter().map(|&row| is_swapped(seed, row)).collect()
                });
                task.batcher.swapped_batch(&task.train, rows, swapped)
            });
            Some(HostPart {
                task: part.task,
                batches: batches.collect(),
            })
        });
        parts.collect()
    }

    /// The first batch of each task that has one, padded, on the host.
    pub fn first_batches<'a>(
        &'a self,
        tasks: &'a [TaskData],
    ) -> impl Iterator<Item = (&'a TaskData, HostBatch)> {
        tasks
            .iter()
            .zip(&self.batches)
            .filter_map(|(task, batches)| {
                Some((task, task.batcher.batch(&task.train, batches.first()?)))
            })
    }

    /// Prepares the batches of the updates from number `first` on, on a thread of the scope's, while steps run. It ends
    /// with the last update, or when the receiver is gone.
    pub fn prefetch<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        tasks: &'env [TaskData],
        first: usize,
    ) -> Receiver<Vec<HostPart>> {
        let (sender, receiver) = sync_channel(PREFETCHED);
        scope.spawn(move || {
            for update in self.updates.iter().skip(first) {
                if sender.send(self.parts(update, tasks)).is_err() {
                    break;
                }
            }
        });
        receiver
    }
}

/// Epochs that are planned one by one before a run: of large data each takes tens of milliseconds.
const MOST_PLANNED: usize = 1000;

/// For each task, the rows of its batches in an epoch.
fn batches(settings: &Settings, tasks: &[TaskData], epoch: usize) -> Vec<Vec<Vec<usize>>> {
    let train = &settings.train;
    let buckets = settings.data.length_buckets;
    tasks
        .iter()
        .zip(task_streams(tasks))
        .map(|(task, stream)| {
            if !task.train_on {
                return Vec::new();
            }
            let seed = mix(train.seed, stream);
            let rows = epoch_rows(task, seed, epoch);
            let of_rows = |number: &dyn Fn(usize) -> usize| -> Vec<usize> {
                rows.iter().map(|&row| number(row)).collect()
            };
            let lengths = of_rows(&|row| task.batcher.length(&task.train, row));
            let positions = match train.batch_tokens {
                None => {
                    let size = settings.batch_size(task.config.task);
                    epoch_batches(&lengths, size, seed, epoch, true, buckets)
                }
                Some(budget) => {
                    let tokens = of_rows(&|row| task.batcher.tokens(&task.train, row));
                    epoch_token_batches(&lengths, &tokens, budget, seed, epoch, true, buckets)
                }
            };
            positions
                .into_iter()
                .map(|batch| batch.into_iter().map(|position| rows[position]).collect())
                .collect()
        })
        .collect()
}

/// The updates that a schedule makes of the batches.
fn updates(
    schedule: &dyn Schedule,
    settings: &Settings,
    tasks: &[TaskData],
    batches: &[Vec<Vec<usize>>],
    epoch: usize,
    train_scores: &TaskMap<f64>,
) -> Vec<Update> {
    let sizes: Vec<_> = tasks
        .iter()
        .zip(batches)
        .map(|(task, batches)| (task.config.task, batches.len()))
        .collect();
    schedule.epoch(&EpochContext {
        sizes: &sizes,
        epoch,
        epochs: settings.train.epochs,
        seed: settings.train.seed,
        train_scores,
    })
}

/// Updates whose batches wait for their step.
const PREFETCHED: usize = 2;

/// A task's batches in one update, before they go to a device.
pub struct HostPart {
    /// Whose rows the batches hold.
    pub task: TaskId,
    /// Its batches; several where gradients are accumulated.
    pub batches: Vec<HostBatch>,
}

impl HostPart {
    /// The part on a device.
    pub fn to_device<B: Backend>(self, device: &B::Device) -> TaskPart<B> {
        let batches = self.batches.into_iter();
        TaskPart {
            task: self.task,
            batches: batches.map(|batch| batch.to_device(device)).collect(),
        }
    }
}

/// The schedule that the settings name.
pub fn schedule(settings: &Settings) -> Box<dyn Schedule> {
    let train = &settings.train;
    let accumulate = train.accumulate;
    let combined = Combined {
        stop: train.combined_stop,
        accumulate,
    };
    let sampled = |exponent| Sampled {
        exponent,
        accumulate,
    };
    let schedule: Box<dyn Schedule> = match train.schedule {
        ScheduleKind::Sequential => Box::new(Sequential {
            order: train.order,
            accumulate,
        }),
        ScheduleKind::Combined => Box::new(combined),
        ScheduleKind::Additive => Box::new(Additive { batches: combined }),
        ScheduleKind::Proportional => Box::new(sampled(1.0)),
        ScheduleKind::Temperature => Box::new(sampled(1.0 / train.temperature.unwrap_or(1.0))),
        ScheduleKind::Annealed => Box::new(Annealed { accumulate }),
    };
    if train.epoch_end_surgery {
        Box::new(EpochEndSurgery { schedule })
    } else {
        schedule
    }
}

/// The number by which each task's random rows and orders are kept apart from another's. It hangs on a task's name; that
/// of a task of the paper, as ever, on its place among those of the run.
pub(crate) fn task_streams(tasks: &[TaskData]) -> Vec<u64> {
    let mut papers = 0..;
    tasks
        .iter()
        .map(|task| task.config.task)
        .map(|task| {
            let place = TaskId::PAPER.contains(&task).then(|| papers.next());
            place.flatten().unwrap_or_else(|| task.stream())
        })
        .collect()
}

#[cfg(test)]
mod tests;
