//! What burn-train's `SupervisedTraining` asks for and our strategy does not use: loaders and a metric store.

use std::sync::Arc;

use bertram_core::data::TaskBatch;
use bertram_core::task::MultitaskModel;
use bertram_kernels::{Kernels, TrainBackend};
use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, NumericEntry};
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use super::series::SeriesItem;
use crate::objective::objective;

/// The multitask model as burn-train sees it.
#[derive(Module, Debug)]
pub struct Trainee<B: Backend> {
    /// Encoder and heads.
    pub model: MultitaskModel<B>,
}

impl<B: TrainBackend> TrainStep for Trainee<B> {
    type Input = TaskBatch<B>;
    type Output = SeriesItem;

    fn step(&self, batch: TaskBatch<B>) -> TrainOutput<SeriesItem> {
        // Never called: the strategy makes its own updates. The types want a step all the same.
        let objective = objective(&self.model, &batch, &[], None, 1.0);
        let gradients =
            objective.map(|it| GradientsParams::from_grads(it.total.backward(), &self.model));
        TrainOutput {
            grads: gradients.unwrap_or_default(),
            item: SeriesItem::default(),
        }
    }
}

impl<B: Kernels> InferenceStep for Trainee<B> {
    type Input = TaskBatch<B>;
    type Output = SeriesItem;

    fn step(&self, batch: TaskBatch<B>) -> SeriesItem {
        if let Some(head) = self.model.head(batch.task) {
            self.model.forward(head, &batch);
        }
        SeriesItem::default()
    }
}

/// A loader without batches: our strategy draws its own from the schedule.
#[derive(Clone, Copy)]
pub struct NoBatches;

impl NoBatches {
    /// As burn-train wants it.
    pub fn loader<B: Backend, O: Send + 'static>() -> Arc<dyn DataLoader<B, O>> {
        Arc::new(NoBatches)
    }
}

impl<O> DataLoaderIterator<O> for Nothing<O> {
    fn progress(&self) -> Progress {
        Progress::new(0, 0)
    }
}

struct Nothing<O>(std::marker::PhantomData<O>);

impl<O> Iterator for Nothing<O> {
    type Item = O;

    fn next(&mut self) -> Option<O> {
        None
    }
}

impl<B: Backend, O: Send + 'static> DataLoader<B, O> for NoBatches {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<O> + 'a> {
        Box::new(Nothing(std::marker::PhantomData))
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _device: &B::Device) -> Arc<dyn DataLoader<B, O>> {
        Arc::new(NoBatches)
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<B, O>> {
        Arc::new(NoBatches)
    }
}

/// Keeps nothing: `metrics.jsonl` is written by the training loop, which has more to say than burn-train's metrics.
pub struct NoMetricFiles;

impl MetricLogger for NoMetricFiles {
    fn log(&mut self, _update: MetricsUpdate, _epoch: usize, _split: &Split) {}

    fn read_numeric(
        &mut self,
        name: &str,
        _epoch: usize,
        _split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        Err(format!("{name} is not kept here"))
    }

    fn log_metric_definition(&mut self, _definition: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _summary: EpochSummary) {}
}
