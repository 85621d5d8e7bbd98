//! One update: a forward and a backward pass for each task's part, then one optimiser step.

mod gradients;
mod methods;
mod noise;

pub use methods::UpdateMethods;
pub use noise::{GRADIENT_NOISE, GRADIENT_SIGNAL, NOISE_SCALE};

use std::collections::{HashMap, HashSet};

use bertram_core::data::TaskBatch;
use bertram_core::task::{MultitaskModel, TaskId, TaskMap};
use bertram_kernels::TrainBackend;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use rand::SeedableRng;
use serde_json::{Map, Value, json};

use crate::aggregator::{AggregatorConfig, GradientAggregator, Gram, Reduction, Scope, StepRng};
use crate::average::Average;
use crate::finite::{FiniteGuard, NotFinite};
use crate::loss_scale::{self, LossScale};
use crate::measure::{Measure, Measured, MeasuredNumbers};
use crate::merge::{TaskGradients, add, combine, gram};
use crate::optim::{AdamW, AdamWConfig, ModuleRates, global_norm, gradient_factor};
use crate::read::read_scalar;
use crate::regulariser::{Regulariser, RegulariserSettings, Teacher};
use crate::schedule::{Merge, OptimizerSlot};
use crate::weighting::Uncertainty;

/// What stays the same over all updates of a run.
#[derive(Clone, Debug)]
pub struct UpdateSettings {
    /// Peak learning rate of the encoder.
    pub learning_rate: f64,
    /// Peak learning rate of the heads.
    pub head_learning_rate: f64,
    /// Rates that parts of the model have of their own.
    pub module_rates: ModuleRates,
    /// Bound of the global gradient norm; 0 for none.
    pub max_grad_norm: f64,
    /// Weight of each task's objective; 1 where absent.
    pub weights: HashMap<TaskId, f64>,
    /// How the tasks' gradients are merged.
    pub aggregator: AggregatorConfig,
    /// What is added to the tasks' losses.
    pub regularisers: RegulariserSettings,
    /// Updates of the whole run.
    pub updates: usize,
}

/// All but the model that updates change: what a checkpoint keeps beside it.
pub struct UpdateState<B: AutodiffBackend> {
    /// The optimiser with its moments.
    pub optimizer: AdamW<B>,
    /// The second one, of epoch-end surgery.
    pub surgery_optimizer: Option<AdamW<B>>,
    /// The teacher of the Bregman term.
    pub teacher: Option<Teacher<B, MultitaskModel<B>>>,
    /// Learnt weights of the losses.
    pub uncertainty: Option<Uncertainty<B>>,
    /// Scale of the losses, where gradients need one.
    pub loss_scale: Option<LossScale>,
    /// The average of the weights, where one is kept.
    pub average: Option<Average<B>>,
}

impl<B: AutodiffBackend> UpdateState<B> {
    /// The state of a run with one optimiser and no more.
    pub fn plain(config: AdamWConfig) -> Self {
        Self {
            optimizer: AdamW::new(config),
            surgery_optimizer: None,
            teacher: None,
            uncertainty: None,
            loss_scale: None,
            average: None,
        }
    }
}

/// A task's batches in one update.
pub struct TaskPart<B: Backend> {
    /// Whose gradient it makes.
    pub task: TaskId,
    /// Batches whose mean gradient is the task's.
    pub batches: Vec<TaskBatch<B>>,
}

/// One update, ready to be made.
pub struct UpdatePlan<'a, B: Backend> {
    /// What it takes of each task. Batches without labels, or of a task the model has no head for, count as nothing.
    pub parts: &'a [TaskPart<B>],
    /// How the parts' gradients are merged.
    pub merge: Merge,
    /// Which optimiser applies them.
    pub optimizer: OptimizerSlot,
    /// Its number in the run, counted from 0.
    pub number: usize,
    /// Learning rates as shares of their peaks.
    pub lr_factor: f64,
    /// Whether somebody will look: gradient norms and the Gram matrix are then computed even where nothing else needs
    /// them.
    pub log_diagnostics: bool,
    /// For what an aggregator draws.
    pub seed: u64,
}

/// What an update leaves to look at. Tensors stay on the device until somebody shows them.
pub struct UpdateOutput<B: Backend> {
    /// Mean unweighted loss of each part. Shape `[1]`.
    pub losses: Vec<(TaskId, Tensor<B, 1>)>,
    /// What the regularisers measured, batch by batch.
    pub measures: Vec<(TaskId, Measure<B>)>,
    /// Norm of the merged gradients before clipping; none where there was no gradient. Shape `[1]`.
    pub gradient_norm: Option<Tensor<B, 1>>,
    /// How the tasks' gradients were merged, where there were several and their inner products were computed.
    pub merged: Option<Merged>,
    /// Tokens that went through the encoder, without padding; those of a regulariser's passes are not counted.
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

impl Merged {
    /// The part of a `"surgery"` line of `metrics.jsonl` that it is.
    pub fn to_json(&self) -> Value {
        let tasks = || self.tasks.iter().enumerate();
        let cosines: Map<String, Value> = tasks()
            .flat_map(|(i, one)| {
                tasks().skip(i + 1).map(move |(j, other)| {
                    let cosine = self.gram.cosine(i, j);
                    (format!("{one}-{other}"), json!(cosine))
                })
            })
            .collect();
        let by_task = |value: &dyn Fn(usize) -> f64| -> Map<String, Value> {
            tasks()
                .map(|(index, task)| (task.to_string(), json!(value(index))))
                .collect()
        };
        json!({
            "gradient_cosine": cosines,
            "gradient_norm": by_task(&|index| self.gram.norm(index)),
            "conflict_share": self.gram.conflict_share(),
            "weights": by_task(&|index| self.weights[index]),
        })
    }
}

/// Makes the updates of a run.
pub struct Updater<B: AutodiffBackend> {
    settings: UpdateSettings,
    state: UpdateState<B>,
    methods: UpdateMethods<B>,
    encoder_params: HashSet<ParamId>,
    /// Peak learning rates.
    rates: HashMap<ParamId, f64>,
    guard: FiniteGuard<B::InnerBackend>,
}

impl<B: TrainBackend> Updater<B> {
    /// An updater for `model` and its successors, with the regularisers and the aggregator that the settings name.
    pub fn new(settings: UpdateSettings, state: UpdateState<B>, model: &MultitaskModel<B>) -> Self {
        let methods =
            UpdateMethods::of(&settings.aggregator, &settings.regularisers, model.tasks());
        Self::with_methods(settings, methods, state, model)
    }

    /// An updater for `model` and its successors, with regularisers and an aggregator that may be of one's own. Of the
    /// settings, it takes the scope and the reduction of the aggregator, and the Bregman term.
    ///
    /// The optimiser takes the kernels that the encoder does.
    pub fn with_methods(
        settings: UpdateSettings,
        methods: UpdateMethods<B>,
        mut state: UpdateState<B>,
        model: &MultitaskModel<B>,
    ) -> Self {
        let kernels = model.encoder.kernels();
        state.optimizer.set_kernels(kernels);
        if let Some(surgery) = &mut state.surgery_optimizer {
            surgery.set_kernels(kernels);
        }
        let mut ids = ParamIds(HashSet::new());
        Module::<B>::visit(&model.encoder, &mut ids);
        let rates =
            settings
                .module_rates
                .of(model, settings.learning_rate, settings.head_learning_rate);
        Self {
            rates,
            methods,
            settings,
            state,
            encoder_params: ids.0,
            guard: FiniteGuard::default(),
        }
    }

    /// Adds a regulariser to a task's objective, beside those of the settings.
    pub fn add_regulariser(&mut self, task: TaskId, regulariser: Box<dyn Regulariser<B>>) {
        self.methods.add_regulariser(task, regulariser);
    }

    /// Whether anything is added to a task's loss that looks into the encoder: a regulariser, the settings' or another. (The
    /// Bregman term looks at logits alone.)
    pub fn has_regulariser(&self, task: TaskId) -> bool {
        !self.methods.regularisers(task).is_empty()
    }

    /// The aggregator, for a checkpoint.
    pub fn aggregator(&mut self) -> &mut dyn GradientAggregator {
        self.methods.aggregator.as_mut()
    }

    /// The state, for a checkpoint.
    pub fn state(&self) -> &UpdateState<B> {
        &self.state
    }

    /// Whether the losses and gradients of all updates so far were finite. Reads the device.
    ///
    /// # Errors
    /// The first update that was not. It and all after it changed nothing.
    pub fn check_finite(&mut self) -> Result<(), NotFinite> {
        self.guard.check()
    }

    /// Whether an optimiser has made a step: under a loss scale, every update may have been left out.
    pub fn has_stepped(&self) -> bool {
        let surgery = self.state.surgery_optimizer.as_ref();
        self.state.optimizer.has_stepped() || surgery.is_some_and(AdamW::has_stepped)
    }

    /// What a person should know of the numbers of a logged line, each with its task; `update` is the line's last.
    pub fn warnings(&self, numbers: &MeasuredNumbers, update: usize) -> Vec<String> {
        let of_task = |task: TaskId| {
            let measured = Measured {
                task,
                update,
                numbers,
            };
            let regularisers = self.methods.regularisers(task).iter();
            let warnings = regularisers.flat_map(|it| it.warnings(&measured));
            let warnings: Vec<String> = warnings.chain(loss_scale::warning(&measured)).collect();
            warnings
                .into_iter()
                .map(move |warning| format!("{task}: {warning}"))
        };
        let tasks = numbers.values().flat_map(TaskMap::keys);
        let tasks: TaskMap<()> = tasks.map(|task| (*task, ())).collect();
        tasks.keys().copied().flat_map(of_task).collect()
    }

    /// Whether so many updates were made since the last [`check_finite`](Self::check_finite) that it is time for one.
    pub fn check_is_due(&self) -> bool {
        self.guard.is_full()
    }

    /// Makes one update.
    ///
    /// Where a loss or the norm of the gradients is not finite, it and all later ones change nothing; nobody waits for
    /// the device to know ([`check_finite`](Self::check_finite)).
    ///
    /// The tasks' passes come one after another, each graph freed before the next begins: at its peak it holds one task's
    /// activations and as many gradients as there are tasks, plus one.
    pub fn update(
        &mut self,
        model: MultitaskModel<B>,
        plan: &UpdatePlan<'_, B>,
    ) -> (MultitaskModel<B>, UpdateOutput<B::InnerBackend>) {
        let kernels = model.encoder.kernels();
        let mut tasks: Vec<TaskGradients> = Vec::with_capacity(plan.parts.len());
        let mut losses = Vec::with_capacity(plan.parts.len());
        let mut measures = Vec::new();
        let mut tokens = 0;
        let mut weight_gradients = GradientsAccumulator::new();
        let mut overflows: Option<Tensor<B::InnerBackend, 1>> = None;
        // Gradients that nobody will look at one by one are summed as they come.
        let sums = plan.merge == Merge::Sum
            || (self.methods.aggregator.only_adds()
                && self.settings.aggregator.reduction == Reduction::Sum);
        let apart = plan.parts.len() > 1 && (plan.log_diagnostics || !sums);
        for part in plan.parts {
            let Some(done) = self.part_gradients(&model, part, plan.log_diagnostics) else {
                continue;
            };
            losses.push((part.task, done.loss));
            measures.extend(
                done.measures
                    .into_iter()
                    .map(|measure| (part.task, measure)),
            );
            tokens += done.tokens;
            if let (Some(uncertainty), Some(own)) = (&self.state.uncertainty, done.weight_gradients)
            {
                weight_gradients.accumulate(uncertainty.log_variances(), own);
            }
            if let Some(overflow) = done.overflow {
                overflows = Some(match overflows {
                    Some(sum) => sum + overflow,
                    None => overflow,
                });
            }
            match tasks.last_mut() {
                Some(last) if !apart => {
                    let sum = std::mem::take(&mut last.gradients);
                    last.gradients = add::<B, _>(&model, sum, done.gradients, kernels);
                }
                _ => tasks.push(TaskGradients {
                    task: part.task,
                    gradients: done.gradients,
                }),
            }
        }
        let mut output = UpdateOutput {
            losses,
            measures,
            gradient_norm: None,
            merged: None,
            tokens,
        };
        if let (Some(scale), Some(overflows)) = (&mut self.state.loss_scale, overflows) {
            let finite = read_scalar(overflows) == 0.0;
            scale.update(finite);
            if !finite {
                // An overflow under a loss scale is no fault, a loss that is not finite is.
                self.guard.watch(plan.number + 1, &output.losses, None);
                return (model, output);
            }
        }
        let (gradients, merged) = self.merge(&model, tasks, plan);
        let gradient_norm = global_norm::<B, _>(&model, &gradients, kernels);
        let left_out = (self.guard).watch(plan.number + 1, &output.losses, gradient_norm.as_ref());
        let factor = gradient_norm
            .as_ref()
            .map(|norm| gradient_factor(norm, self.settings.max_grad_norm, left_out));
        if let Some(uncertainty) = &mut self.state.uncertainty {
            // Its own gradients are not clipped: only the sign of the factor, which says whether to step, is theirs.
            let sign = factor.as_ref().map(|factor| factor.clone().sign());
            uncertainty.step(weight_gradients.grads(), sign.as_ref(), plan.lr_factor);
        }

        let rates = &self.rates;
        let optimizer = match (plan.optimizer, &mut self.state.surgery_optimizer) {
            (OptimizerSlot::Surgery, Some(surgery)) => surgery,
            _ => &mut self.state.optimizer,
        };
        let model = optimizer.step(model, gradients, factor.as_ref(), |id| {
            rates.get(&id).copied().unwrap_or(0.0) * plan.lr_factor
        });
        if let (Some(teacher), Some(config)) = (
            self.state.teacher.take(),
            self.settings.regularisers.active_bregman(),
        ) {
            let beta = config.beta_at(plan.number, self.settings.updates);
            self.state.teacher = Some(teacher.follow(&model, beta, kernels));
        }
        if let Some(average) = &mut self.state.average {
            average.add(&model, plan.number, self.settings.updates, kernels);
        }
        (output.gradient_norm, output.merged) = (gradient_norm, merged);
        (model, output)
    }

    /// One gradient from the tasks'.
    fn merge(
        &mut self,
        model: &MultitaskModel<B>,
        mut tasks: Vec<TaskGradients>,
        plan: &UpdatePlan<'_, B>,
    ) -> (GradientsParams, Option<Merged>) {
        let settings = self.settings.aggregator;
        if tasks.len() < 2 {
            let gradients = tasks.pop().map(|task| task.gradients);
            return (gradients.unwrap_or_default(), None);
        }
        let scope = match settings.scope {
            Scope::Shared => Some(&self.encoder_params),
            Scope::All => None,
        };
        let kernels = model.encoder.kernels();
        let gram = gram::<B, _>(model, &tasks, scope, kernels);
        let mut rng = StepRng::seed_from_u64(plan.seed);
        let (weights, reduction) = match plan.merge {
            Merge::Aggregate if gram.is_finite() => (
                self.methods.aggregator.weights(&gram, &mut rng),
                settings.reduction,
            ),
            // Nothing sensible can be said of gradients that are not finite: their sum shows the guard what they are.
            Merge::Aggregate | Merge::Sum => (vec![1.0; tasks.len()], Reduction::Sum),
        };
        let merged = Merged {
            tasks: tasks.iter().map(|task| task.task).collect(),
            gram,
            weights: weights.clone(),
        };
        let gradients = tasks.into_iter().map(|task| task.gradients).collect();
        let gradients = combine::<B, _>(model, gradients, &weights, scope, reduction, kernels);
        (gradients, Some(merged))
    }
}

struct ParamIds(HashSet<ParamId>);

impl<B: Backend> ModuleVisitor<B> for ParamIds {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.insert(param.id);
    }
}
