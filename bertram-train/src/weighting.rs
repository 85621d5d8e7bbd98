//! Loss-side weighting: fixed weights (`tasks.X.weight`), or weights learnt from each task's uncertainty.

use bertram_core::loss::OutputKind;
use bertram_core::task::TaskId;
use bertram_kernels::TrainBackend;
use burn::module::{Module, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Deserialize, Serialize};

use crate::measure::MeasureKind;
use crate::optim::{AdamW, AdamWConfig, AdamWState};

/// The learnt weight of a task's loss.
pub const LOSS_WEIGHT: MeasureKind = MeasureKind::mean("loss_weight");

/// How the tasks' losses are weighted against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossWeighting {
    /// By `tasks.X.weight` alone.
    Fixed,
    /// By [`Uncertainty`], times `tasks.X.weight`.
    Uncertainty,
}

/// The learnt numbers: `s = log sigma^2` of each task.
#[derive(Module, Debug)]
pub struct LogVariances<B: Backend> {
    values: Vec<Param<Tensor<B, 1>>>,
}

/// Homoscedastic uncertainty weighting (Kendall et al. 2018, section 3.2, <https://arxiv.org/abs/1705.07115>): the sum of
///
/// ```text
/// exp(-s) L + s / 2          classification        exp(-s) L / 2 + s / 2          regression
/// ```
///
/// over the tasks, where `s` starts at 0 and is learnt beside the model by an Adam of its own. Which form a task has
/// follows from how its loss reads logits: as probabilities is classification (similarity under `bce`, too), as numbers
/// regression (the squared error, and the losses on cosines).
pub struct Uncertainty<B: AutodiffBackend> {
    tasks: Vec<(TaskId, OutputKind)>,
    log_variances: LogVariances<B>,
    optimizer: AdamW<B>,
    learning_rate: f64,
}

impl<B: AutodiffBackend> Uncertainty<B> {
    /// Weights of these tasks, each with how its logits are read; all variances 1.
    pub fn new(tasks: Vec<(TaskId, OutputKind)>, learning_rate: f64, device: &B::Device) -> Self {
        let values = tasks
            .iter()
            .map(|_| Param::from_tensor(Tensor::zeros([1], device)))
            .collect();
        Self {
            tasks,
            log_variances: LogVariances { values },
            optimizer: AdamW::new(AdamWConfig::default()),
            learning_rate,
        }
    }

    fn param(&self, task: TaskId) -> Option<&Param<Tensor<B, 1>>> {
        Some(self.entry(task)?.1)
    }

    fn entry(&self, task: TaskId) -> Option<(OutputKind, &Param<Tensor<B, 1>>)> {
        let mut entries = self.tasks.iter().zip(&self.log_variances.values);
        entries.find_map(|((known, output), param)| (*known == task).then_some((*output, param)))
    }

    /// The weighted form of a task's loss.
    ///
    /// # Shapes
    ///
    /// - `loss`, output: `[1]`
    pub fn weighted(&self, task: TaskId, loss: Tensor<B, 1>) -> Tensor<B, 1> {
        let Some((output, param)) = self.entry(task) else {
            return loss;
        };
        let log_variance = param.val();
        let half = match output {
            OutputKind::Real => 0.5,
            OutputKind::Categorical | OutputKind::Bernoulli => 1.0,
        };
        loss * log_variance.clone().neg().exp() * half + log_variance * 0.5
    }

    /// `exp(-s)`, by which a task's loss is multiplied. Shape `[1]`.
    pub fn weight(&self, task: TaskId) -> Option<Tensor<B::InnerBackend, 1>> {
        Some(self.param(task)?.val().inner().neg().exp())
    }

    /// Takes the gradient of a task's number out of those of a backward pass.
    pub fn take_gradient(&self, task: TaskId, gradients: &mut B::Gradients) -> GradientsParams {
        let ids: Vec<ParamId> = self.param(task).map(|param| param.id).into_iter().collect();
        GradientsParams::from_params::<B, _>(gradients, &self.log_variances, &ids)
    }

    /// The learnt numbers, for a checkpoint.
    pub fn log_variances(&self) -> &LogVariances<B> {
        &self.log_variances
    }

    /// Their optimiser, for a checkpoint.
    pub fn optimizer(&self) -> &AdamW<B> {
        &self.optimizer
    }

    /// Takes up what a checkpoint kept.
    pub fn restored(
        self,
        log_variances: LogVariances<B>,
        state: &AdamWState<LogVariances<B::InnerBackend>>,
    ) -> Self {
        Self {
            optimizer: AdamW::from_state(AdamWConfig::default(), &log_variances, state),
            log_variances,
            ..self
        }
    }
}

impl<B: TrainBackend> Uncertainty<B> {
    /// One step of its own optimiser, at `lr_factor` times its learning rate.
    ///
    /// `gradient_factor`, of shape `[1]`, is as in [`AdamW::step`].
    pub fn step(
        &mut self,
        gradients: GradientsParams,
        gradient_factor: Option<&Tensor<B::InnerBackend, 1>>,
        lr_factor: f64,
    ) {
        let rate = self.learning_rate * lr_factor;
        self.log_variances = self.optimizer.step(
            self.log_variances.clone(),
            gradients,
            gradient_factor,
            |_| rate,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, NdArray};

    type B = Autodiff<NdArray>;

    const TASKS: [(TaskId, OutputKind); 3] = [
        (TaskId::SST, OutputKind::Categorical),
        (TaskId::PARA, OutputKind::Bernoulli),
        (TaskId::STS, OutputKind::Real),
    ];

    /// For a constant loss L of a classification task, `exp(-s) L + s / 2` is least at `s = log 2L`.
    #[test]
    fn learns_the_variance_that_fits_the_loss() {
        let device = Default::default();
        let mut weights = Uncertainty::<B>::new(TASKS.to_vec(), 0.05, &device);
        for _ in 0..400 {
            let loss = Tensor::<B, 1>::from_floats([3.0], &device).require_grad();
            let mut gradients = weights.weighted(TaskId::SST, loss).backward();
            let gradients = weights.take_gradient(TaskId::SST, &mut gradients);
            weights.step(gradients, None, 1.0);
        }
        let weight = |task| weights.weight(task).expect("a task").into_scalar();
        assert!((weight(TaskId::SST) - 1.0 / 6.0).abs() < 1e-2);
        assert_eq!(weight(TaskId::STS), 1.0, "a task without losses stays");
    }

    #[test]
    fn a_regression_loss_counts_half_whatever_the_task() {
        let device = Default::default();
        let weighted = |task, kind| {
            let weights = Uncertainty::<B>::new(vec![(task, kind)], 0.05, &device);
            let loss = Tensor::<B, 1>::from_floats([3.0], &device);
            weights.weighted(task, loss).into_scalar()
        };
        for (task, kind, expected) in [
            (TaskId::SST, OutputKind::Categorical, 3.0),
            (TaskId::PARA, OutputKind::Bernoulli, 3.0),
            (TaskId::PARA, OutputKind::Real, 1.5),
            (TaskId::STS, OutputKind::Real, 1.5),
            (TaskId::STS, OutputKind::Bernoulli, 3.0),
        ] {
            assert_eq!(weighted(task, kind), expected, "{task} {kind:?}");
        }
    }
}
