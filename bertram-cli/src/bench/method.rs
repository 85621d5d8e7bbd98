//! Updates, method by method.

use std::collections::HashMap;
use std::time::Duration;

use bertram_core::data::{TaskBatch, TokenBatch};
use bertram_core::encoder::{BertConfig, Pooling};
use bertram_core::head::{HeadKind, Threshold};
use bertram_core::loss::{LossKind, LossOptions};
use bertram_core::task::{LabelKind, MultitaskModel, TaskConfig, TaskHead, TaskId, TaskSpec};
use bertram_kernels::{Precision, TrainBackend};
use bertram_train::aggregator::{AggregatorConfig, AggregatorKind};
use bertram_train::loss_scale::LossScale;
use bertram_train::optim::AdamWConfig;
use bertram_train::regulariser::{
    BregmanConfig, RDropConfig, RegulariserSettings, SmartConfig, Teacher,
};
use bertram_train::schedule::{Merge, OptimizerSlot};
use bertram_train::step::{TaskPart, UpdatePlan, UpdateSettings, UpdateState, Updater};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, Tensor};
use serde::Serialize;

use super::{BatchShape, Compute, time_each};

/// A way to make an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One task (sst), its loss alone.
    Plain,
    /// One task, with SMART's penalty: one ascent step.
    Smart,
    /// One task, with the Bregman term.
    Bregman,
    /// One task, with R-Drop.
    RDrop,
    /// Three tasks, their gradients summed.
    Summed,
    /// Three tasks, PCGrad.
    Pcgrad,
    /// Three tasks, with SMART and the Bregman term on each, and PCGrad.
    Everything,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 7] = [
        Method::Plain,
        Method::Smart,
        Method::Bregman,
        Method::RDrop,
        Method::Summed,
        Method::Pcgrad,
        Method::Everything,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Plain => "plain",
            Method::Smart => "smart",
            Method::Bregman => "bregman",
            Method::RDrop => "r-drop",
            Method::Summed => "summed",
            Method::Pcgrad => "pcgrad",
            Method::Everything => "everything",
        }
    }

    /// The method whose time is 1 beside it.
    pub fn baseline(self) -> Method {
        match self {
            Method::Plain | Method::Smart | Method::Bregman | Method::RDrop => Method::Plain,
            Method::Summed | Method::Pcgrad | Method::Everything => Method::Summed,
        }
    }

    fn tasks(self) -> &'static [TaskId] {
        match self.baseline() {
            Method::Plain => &[TaskId::SST],
            _ => &TaskId::PAPER,
        }
    }

    fn regularisers(self) -> RegulariserSettings {
        let tasks = self.tasks().to_vec();
        let everything = self == Method::Everything;
        RegulariserSettings {
            smart: (everything || self == Method::Smart).then(|| SmartConfig {
                tasks: tasks.clone(),
                ..SmartConfig::default()
            }),
            r_drop: (self == Method::RDrop).then(|| RDropConfig {
                tasks: tasks.clone(),
                ..RDropConfig::default()
            }),
            bregman: (everything || self == Method::Bregman).then(|| BregmanConfig {
                tasks,
                ..BregmanConfig::default()
            }),
        }
    }

    fn aggregator(self) -> AggregatorConfig {
        AggregatorConfig {
            kind: match self {
                Method::Pcgrad | Method::Everything => AggregatorKind::Pcgrad,
                _ => AggregatorKind::Sum,
            },
            ..AggregatorConfig::default()
        }
    }
}

/// A method with a model of its own, ready to make updates.
pub struct MethodBench<B: AutodiffBackend> {
    /// The method that is measured.
    pub method: Method,
    /// Seconds of each update so far.
    pub seconds: Vec<f64>,
    model: Option<MultitaskModel<B>>,
    updater: Updater<B>,
    parts: Vec<TaskPart<B>>,
    device: B::Device,
}

impl<B: TrainBackend> MethodBench<B> {
    /// A random model of a shape, with dropout as the shape says, and random batches.
    pub fn new(
        method: Method,
        config: &BertConfig,
        compute: Compute,
        shape: BatchShape,
        device: &B::Device,
    ) -> Self {
        B::seed(device, 1);
        let heads = method
            .tasks()
            .iter()
            .map(|task| head(*task, config, compute.pooling, device));
        let encoder = compute.encoder(config, device);
        let model = MultitaskModel::new(encoder, heads.collect());
        let regularisers = method.regularisers();
        let state = UpdateState {
            teacher: regularisers.bregman.as_ref().map(|_| Teacher::of(&model)),
            loss_scale: (compute.precision == Precision::F16).then(LossScale::default),
            ..UpdateState::plain(AdamWConfig::default())
        };
        let settings = UpdateSettings {
            learning_rate: 1e-5,
            head_learning_rate: 1e-5,
            module_rates: Default::default(),
            max_grad_norm: 0.0,
            weights: HashMap::new(),
            aggregator: method.aggregator(),
            regularisers,
            updates: 1_000_000,
        };
        let updater = Updater::new(settings, state, &model);
        let parts = method
            .tasks()
            .iter()
            .map(|task| part(*task, config, shape, device))
            .collect();
        Self {
            method,
            seconds: Vec::new(),
            model: Some(model),
            updater,
            parts,
            device: device.clone(),
        }
    }

    /// Makes updates for a while, at least one, each waited for.
    pub fn run(&mut self, time: Duration) {
        let mut number = self.seconds.len();
        time_each(time, &mut self.seconds, || {
            let Some(model) = self.model.take() else {
                return;
            };
            let plan = UpdatePlan {
                parts: &self.parts,
                merge: Merge::Aggregate,
                optimizer: OptimizerSlot::Main,
                number,
                lr_factor: 1.0,
                log_diagnostics: false,
                seed: number as u64,
            };
            let (model, _) = self.updater.update(model, &plan);
            self.model = Some(model);
            number += 1;
            // A device that cannot say when it is done is measured by what its queue lets through.
            let _ = B::sync(&self.device);
        });
    }

    /// Tokens of one update.
    pub fn tokens(&self) -> usize {
        let batches = self.parts.iter().flat_map(|part| &part.batches);
        batches.map(|batch| batch.token_count).sum()
    }
}

pub(super) fn head<B: Backend>(
    task: TaskId,
    config: &BertConfig,
    pooling: Pooling,
    device: &B::Device,
) -> TaskHead<B> {
    // The tasks of every method are the paper's.
    let spec = TaskSpec::preset(task).expect("a preset");
    let (head, loss) = match spec.label {
        LabelKind::Classes { .. } => (HeadKind::Linear, LossKind::CrossEntropy),
        LabelKind::Binary => (HeadKind::Cosine, LossKind::Bce),
        LabelKind::MultiLabel { .. } => (HeadKind::Linear, LossKind::Bce),
        LabelKind::Score { .. } => (HeadKind::Cosine, LossKind::Mse),
    };
    let task = TaskConfig {
        task,
        spec,
        head,
        loss,
        pooling,
        layer_mix: false,
        head_dropout: 0.3,
        threshold: Threshold::Calibrated,
        margin: 0.0,
        loss_options: LossOptions::default(),
    };
    TaskHead::of_encoder(task, config, device)
}

pub(super) fn part<B: Backend>(
    task: TaskId,
    config: &BertConfig,
    shape: BatchShape,
    device: &B::Device,
) -> TaskPart<B> {
    let sentences = if task == TaskId::SST { 1 } else { 2 };
    let sequences = [shape.examples * sentences, shape.seq_len];
    let ids = Distribution::Uniform(0.0, config.vocab_size as f64);
    let ids: Tensor<B, 2> = Tensor::random(sequences, ids, device);
    TaskPart {
        task,
        batches: vec![TaskBatch {
            task,
            tokens: TokenBatch {
                input_ids: ids.int(),
                token_type_ids: Tensor::zeros(sequences, device),
                attention_mask: Tensor::ones(sequences, device),
            },
            labels: Some(Tensor::ones([shape.examples], device)),
            weights: None,
            examples: shape.examples,
            token_count: sequences[0] * sequences[1],
            pooled: None,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::tiny;
    use bertram_train::read::reads;
    use burn::backend::{Autodiff, Flex};

    #[test]
    fn every_method_makes_updates() {
        let (config, shape) = tiny();
        for method in Method::ALL {
            let mut bench = MethodBench::<Autodiff<Flex>>::new(
                method,
                &config,
                Compute::default(),
                shape,
                &Default::default(),
            );
            bench.run(Duration::ZERO);
            bench.run(Duration::ZERO);
            assert_eq!(bench.seconds.len(), 2);
            assert_eq!(
                bench.tokens(),
                if method.tasks().len() == 1 { 8 } else { 40 }
            );
        }
    }

    /// Reads of an update whose numbers nobody shows.
    fn reads_of(method: Method, precision: Precision) -> usize {
        let (config, shape) = tiny();
        let compute = Compute {
            precision,
            ..Compute::default()
        };
        let device = Default::default();
        let mut bench =
            MethodBench::<Autodiff<Flex>>::new(method, &config, compute, shape, &device);
        bench.run(Duration::ZERO);
        let before = reads();
        bench.run(Duration::ZERO);
        reads() - before
    }

    #[test]
    fn an_update_reads_the_gram_matrix_and_the_overflow_and_nothing_else() {
        for method in Method::ALL {
            let gram = matches!(method, Method::Pcgrad | Method::Everything);
            let read = reads_of(method, Precision::F32);
            assert_eq!(read, usize::from(gram), "{method:?}");
        }
        assert_eq!(reads_of(Method::Plain, Precision::F16), 1);
    }
}
