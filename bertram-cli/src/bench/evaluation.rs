//! Evaluation: forward passes without a graph.

use std::time::Duration;

use bertram_core::data::TaskBatch;
use bertram_core::encoder::BertConfig;
use bertram_core::task::{MultitaskModel, TaskId};
use bertram_kernels::Kernels;
use burn::tensor::backend::Backend;

use super::method::{head, part};
use super::{BatchShape, Compute, time_each};

/// A model and a batch of sentiment.
pub struct EvaluationBench<B: Backend> {
    /// Seconds of each batch so far.
    pub seconds: Vec<f64>,
    model: MultitaskModel<B>,
    batches: Vec<TaskBatch<B>>,
    device: B::Device,
}

impl<B: Kernels> EvaluationBench<B> {
    /// A random model of a shape, and a random batch.
    pub fn new(
        config: &BertConfig,
        compute: Compute,
        shape: BatchShape,
        device: &B::Device,
    ) -> Self {
        B::seed(device, 1);
        let head = head(TaskId::SST, config, compute.pooling, device);
        let encoder = compute.encoder(config, device);
        Self {
            seconds: Vec::new(),
            model: MultitaskModel::new(encoder, vec![head]),
            batches: part(TaskId::SST, config, shape, device).batches,
            device: device.clone(),
        }
    }

    /// Evaluates the batch for a while, at least once, each time waited for.
    pub fn run(&mut self, time: Duration) {
        time_each(time, &mut self.seconds, || {
            for (head, tokens) in self.model.heads.iter().zip(&self.batches) {
                drop(self.model.forward(head, tokens));
            }
            let _ = B::sync(&self.device);
        });
    }

    /// Tokens of the batch.
    pub fn tokens(&self) -> usize {
        self.batches.iter().map(|batch| batch.token_count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::tiny;
    use burn::backend::Flex;

    #[test]
    fn evaluates_a_batch() {
        let (config, shape) = tiny();
        let compute = Compute::default();
        let mut bench = EvaluationBench::<Flex>::new(&config, compute, shape, &Default::default());
        bench.run(Duration::ZERO);
        assert_eq!((bench.seconds.len(), bench.tokens()), (1, 8));
    }
}
