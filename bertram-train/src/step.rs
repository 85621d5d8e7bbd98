//! One update: a forward and a backward pass for each task's part, then one optimiser step.

use std::collections::{HashMap, HashSet};

use bertram_core::data::TaskBatch;
use bertram_core::task::{MultitaskModel, TaskId};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

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
    /// Tokens that went through the encoder, without padding.
    pub tokens: usize,
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
    encoder_params: HashSet<ParamId>,
}

impl<B: AutodiffBackend> Updater<B> {
    /// An updater for `model` and its successors.
    pub fn new(settings: UpdateSettings, optimizer: AdamW<B>, model: &MultitaskModel<B>) -> Self {
        let mut ids = ParamIds(HashSet::new());
        Module::<B>::visit(&model.encoder, &mut ids);
        Self {
            settings,
            optimizer,
            encoder_params: ids.0,
        }
    }

    /// The optimiser, for a checkpoint.
    pub fn optimizer(&self) -> &AdamW<B> {
        &self.optimizer
    }

    /// One update at `factor` times the peak learning rates. Batches without labels, or of a task the model has no head
    /// for, count as nothing.
    ///
    /// `want_norm` asks for the gradient norm where clipping does not need it.
    pub fn update(
        &mut self,
        model: MultitaskModel<B>,
        parts: &[TaskPart<B>],
        factor: f64,
        want_norm: bool,
    ) -> (MultitaskModel<B>, UpdateOutput<B::InnerBackend>) {
        let mut accumulator = GradientsAccumulator::new();
        let mut losses = Vec::with_capacity(parts.len());
        let mut tokens = 0;
        for part in parts {
            let weight = self
                .settings
                .weights
                .get(&part.task)
                .copied()
                .unwrap_or(1.0);
            let share = 1.0 / part.batches.len().max(1) as f64;
            let mut part_loss: Option<Tensor<B::InnerBackend, 1>> = None;
            for batch in &part.batches {
                let Some((loss, gradients)) = task_gradients(&model, batch, weight * share) else {
                    continue;
                };
                accumulator.accumulate(&model, gradients);
                let loss = loss * share;
                part_loss = Some(match part_loss {
                    Some(sum) => sum + loss,
                    None => loss,
                });
                tokens += batch.token_count;
            }
            losses.extend(part_loss.map(|loss| (part.task, loss)));
        }
        let mut gradients = accumulator.grads();

        let clip = self.settings.max_grad_norm;
        let gradient_norm = (want_norm || clip > 0.0)
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
            tokens,
        };
        (model, output)
    }
}

struct ParamIds(HashSet<ParamId>);

impl<B: Backend> ModuleVisitor<B> for ParamIds {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.insert(param.id);
    }
}
