//! One update: a forward and a backward pass for each task's part, then one optimiser step.

use std::collections::{HashMap, HashSet};

use bertram_core::data::TaskBatch;
use bertram_core::task::{MultitaskModel, TaskId};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use rand::SeedableRng;

use crate::aggregator::{AggregatorConfig, GradientAggregator, Gram, StepRng};
use crate::merge::{Scope, TaskGradients, combine, gram};
use crate::optim::{AdamW, global_norm, scale_gradients};

/// What stays the same over all updates of a run.
#[derive(Clone, Debug)]
pub struct UpdateSettings {
    /// Peak learning rate of the encoder.
    pub learning_rate: f64,
    /// Peak learning rate of the heads.
    pub head_learning_rate: f64,
    /// Bound of the global gradient norm; 0 for none.
    pub max_grad_norm: f64,
    /// Weight of each task's loss; 1 where absent.
    pub weights: HashMap<TaskId, f64>,
    /// How the tasks' gradients are merged.
    pub aggregator: AggregatorConfig,
}

/// A task's batches in one update.
pub struct TaskPart<B: Backend> {
    /// The task.
    pub task: TaskId,
    /// Batches whose mean gradient is the task's.
    pub batches: Vec<TaskBatch<B>>,
}

/// What an update leaves to look at. Tensors stay on the device until somebody shows them.
pub struct UpdateOutput<B: Backend> {
    /// Mean unweighted loss of each part. Shape `[1]`.
    pub losses: Vec<(TaskId, Tensor<B, 1>)>,
    /// Norm of the merged gradients before clipping, where it was needed or asked for. Shape `[1]`.
    pub gradient_norm: Option<Tensor<B, 1>>,
    /// How the tasks' gradients were merged, where there were several and their inner products were computed.
    pub merged: Option<Merged>,
    /// Tokens that went through the encoder, without padding.
    pub tokens: usize,
}

/// How several task gradients became one.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The tasks, in the order of the matrix.
    pub tasks: Vec<TaskId>,
    /// Inner products of their gradients.
    pub gram: Gram,
    /// Weight of each.
    pub weights: Vec<f64>,
}

/// Loss of a batch and the gradients of `factor` times that loss.
///
/// # Shapes
///
/// - loss: `[1]`, detached
pub fn task_gradients<B: AutodiffBackend>(
    model: &MultitaskModel<B>,
    batch: &TaskBatch<B>,
    factor: f64,
) -> Option<(Tensor<B::InnerBackend, 1>, GradientsParams)> {
    let head = model.head(batch.task)?;
    let labels = batch.labels.clone()?;
    let loss = head.loss(model.forward(head, batch), labels);
    let shown = loss.clone().inner();
    let gradients = (loss * factor).backward();
    Some((shown, GradientsParams::from_grads(gradients, model)))
}

/// Makes the updates of a run.
pub struct Updater<B: AutodiffBackend> {
    settings: UpdateSettings,
    optimizer: AdamW<B>,
    aggregator: Box<dyn GradientAggregator>,
    encoder_params: HashSet<ParamId>,
}

impl<B: AutodiffBackend> Updater<B> {
    /// An updater for `model` and its successors.
    pub fn new(settings: UpdateSettings, optimizer: AdamW<B>, model: &MultitaskModel<B>) -> Self {
        let mut ids = ParamIds(HashSet::new());
        Module::<B>::visit(&model.encoder, &mut ids);
        Self {
            aggregator: settings.aggregator.build(),
            settings,
            optimizer,
            encoder_params: ids.0,
        }
    }

    /// The aggregator, for a checkpoint.
    pub fn aggregator(&mut self) -> &mut dyn GradientAggregator {
        self.aggregator.as_mut()
    }

    /// The optimiser, for a checkpoint.
    pub fn optimizer(&self) -> &AdamW<B> {
        &self.optimizer
    }

    /// One update at `factor` times the peak learning rates. Batches without labels, or of a task the model has no head
    /// for, count as nothing. `seed` is for what an aggregator draws.
    ///
    /// `look` asks for what only a reader of logs needs: gradient norms and the Gram matrix, where nothing else does.
    pub fn update(
        &mut self,
        model: MultitaskModel<B>,
        parts: &[TaskPart<B>],
        factor: f64,
        look: bool,
        seed: u64,
    ) -> (MultitaskModel<B>, UpdateOutput<B::InnerBackend>) {
        let mut tasks: Vec<TaskGradients> = Vec::with_capacity(parts.len());
        let mut losses = Vec::with_capacity(parts.len());
        let mut tokens = 0;
        // Gradients that nobody will look at one by one are summed as they come.
        let apart = parts.len() > 1 && (look || !self.settings.aggregator.is_plain_sum());
        for part in parts {
            let Some(done) = self.part_gradients(&model, part) else {
                continue;
            };
            losses.push((part.task, done.loss));
            tokens += done.tokens;
            match tasks.last_mut() {
                Some(last) if !apart => {
                    let mut accumulator = GradientsAccumulator::new();
                    accumulator.accumulate(&model, std::mem::take(&mut last.gradients));
                    accumulator.accumulate(&model, done.gradients);
                    last.gradients = accumulator.grads();
                }
                _ => tasks.push(TaskGradients {
                    task: part.task,
                    gradients: done.gradients,
                }),
            }
        }
        let (mut gradients, merged) = self.merge(&model, tasks, seed);

        let clip = self.settings.max_grad_norm;
        let gradient_norm = (look || clip > 0.0)
            .then(|| global_norm::<B, _>(&model, &gradients))
            .flatten();
        if let (true, Some(norm)) = (clip > 0.0, &gradient_norm) {
            // As torch.nn.utils.clip_grad_norm_: the factor is bounded by 1, so that small gradients stay as they are.
            let factor = ((norm.clone() + 1e-6).recip() * clip).clamp_max(1.0);
            scale_gradients::<B, _>(&model, &mut gradients, factor);
        }

        let (encoder_rate, head_rate) = (
            self.settings.learning_rate * factor,
            self.settings.head_learning_rate * factor,
        );
        let encoder_params = &self.encoder_params;
        let model = self.optimizer.step(model, gradients, |id| {
            if encoder_params.contains(&id) {
                encoder_rate
            } else {
                head_rate
            }
        });
        let output = UpdateOutput {
            losses,
            gradient_norm,
            merged,
            tokens,
        };
        (model, output)
    }

    /// The mean loss of a part's batches, and the gradients of that mean times the task's weight.
    fn part_gradients(
        &self,
        model: &MultitaskModel<B>,
        part: &TaskPart<B>,
    ) -> Option<PartGradients<B::InnerBackend>> {
        let weight = self
            .settings
            .weights
            .get(&part.task)
            .copied()
            .unwrap_or(1.0);
        let share = 1.0 / part.batches.len().max(1) as f64;
        let mut accumulator = GradientsAccumulator::new();
        let mut mean: Option<Tensor<B::InnerBackend, 1>> = None;
        let mut tokens = 0;
        for batch in &part.batches {
            let Some((loss, gradients)) = task_gradients(model, batch, weight * share) else {
                continue;
            };
            accumulator.accumulate(model, gradients);
            let loss = loss * share;
            mean = Some(match mean {
                Some(sum) => sum + loss,
                None => loss,
            });
            tokens += batch.token_count;
        }
        mean.map(|loss| PartGradients {
            loss,
            gradients: accumulator.grads(),
            tokens,
        })
    }

    /// One gradient from the tasks'.
    fn merge(
        &mut self,
        model: &MultitaskModel<B>,
        mut tasks: Vec<TaskGradients>,
        seed: u64,
    ) -> (GradientsParams, Option<Merged>) {
        let settings = self.settings.aggregator;
        let scope = match settings.scope {
            Scope::Shared => Some(&self.encoder_params),
            Scope::All => None,
        };
        if tasks.len() < 2 {
            return (
                tasks.pop().map(|task| task.gradients).unwrap_or_default(),
                None,
            );
        }
        let gram = gram::<B, _>(model, &tasks, scope);
        let mut rng = StepRng::seed_from_u64(seed);
        let weights = self.aggregator.weights(&gram, &mut rng);
        let merged = Merged {
            tasks: tasks.iter().map(|task| task.task).collect(),
            gram,
            weights: weights.clone(),
        };
        (
            combine::<B, _>(model, tasks, &weights, scope, settings.reduction),
            Some(merged),
        )
    }
}

struct PartGradients<B: Backend> {
    loss: Tensor<B, 1>,
    gradients: GradientsParams,
    tokens: usize,
}

struct ParamIds(HashSet<ParamId>);

impl<B: Backend> ModuleVisitor<B> for ParamIds {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.insert(param.id);
    }
}
