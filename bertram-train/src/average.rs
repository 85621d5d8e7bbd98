//! Averages of a model's weights over its updates: exponential moving averages and stochastic weight averaging.
//!
//! The average is a model of its own, evaluated and exported in place of the last weights; training never reads it. It
//! costs one more copy of the weights and one pass over them each update.

use bertram_core::task::MultitaskModel;
use bertram_kernels::{KernelKind, Kernels, TrainBackend};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};

/// `train.average`: which average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AverageKind {
    /// Exponential moving average: `a <- d a + (1 - d) w` (Polyak & Juditsky 1992 average all iterates alike; the
    /// exponential form as in Tarvainen & Valpola 2017, <https://arxiv.org/abs/1703.01780>, section 2). While it is of `n`
    /// updates, `d` is at most `(1 + n) / (10 + n)`, as in TensorFlow's `ExponentialMovingAverage`: else a run of fewer than
    /// some `1 / (1 - d)` updates would keep the weights that it began with.
    Ema,
    /// Stochastic weight averaging: the plain mean of the weights since the start (Izmailov et al. 2018,
    /// <https://arxiv.org/abs/1803.05407>, algorithm 1, with a model taken after every update).
    Swa,
}

/// How weights are averaged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AverageConfig {
    /// Which average.
    pub kind: AverageKind,
    /// Decay `d` of the exponential average, from 0 to below 1. It looks back over some `1 / (1 - d)` updates, of a short run
    /// over the last tenth.
    pub decay: f64,
    /// Share of all updates after which averaging begins, from 0 to below 1.
    pub start: f64,
}

impl AverageConfig {
    /// Where `train.average-decay` says nothing.
    pub const DECAY: f64 = 0.999;

    /// Where `train.average-start` says nothing: from the first update, or over the last quarter of a run as in the
    /// experiments of Izmailov et al.
    pub fn default_start(kind: AverageKind) -> f64 {
        match kind {
            AverageKind::Ema => 0.0,
            AverageKind::Swa => 0.75,
        }
    }

    /// Weight of the average so far when the weights after one more update come to it. `averaged` is the number of updates
    /// in it; at 0 it is the weights as they are, as in `torch.optim.swa_utils.AveragedModel`.
    fn weight_of_average(&self, averaged: u32) -> f64 {
        match self.kind {
            _ if averaged == 0 => 0.0,
            AverageKind::Ema => {
                let averaged = f64::from(averaged);
                self.decay.min((1.0 + averaged) / (10.0 + averaged))
            }
            AverageKind::Swa => f64::from(averaged) / f64::from(averaged + 1),
        }
    }
}

/// The average of a run's weights, from its start on.
pub struct Average<B: AutodiffBackend> {
    config: AverageConfig,
    model: Option<AveragedModel<B, MultitaskModel<B>>>,
    updates: u32,
}

impl<B: AutodiffBackend> Average<B> {
    /// One that has not begun.
    pub fn new(config: AverageConfig) -> Self {
        Self {
            config,
            model: None,
            updates: 0,
        }
    }

    /// The average of `updates` updates, from a checkpoint. The ids of its parameters must be the model's.
    pub fn restored(
        self,
        module: <MultitaskModel<B> as AutodiffModule<B>>::InnerModule,
        updates: u32,
    ) -> Self {
        Self {
            model: Some(AveragedModel::from_module(module)),
            updates,
            ..self
        }
    }

    /// The averaged model; none before the start.
    pub fn model(&self) -> Option<&<MultitaskModel<B> as AutodiffModule<B>>::InnerModule> {
        self.model.as_ref().map(AveragedModel::module)
    }

    /// Updates that are in the average.
    pub fn updates(&self) -> u32 {
        self.updates
    }
}

impl<B: TrainBackend> Average<B> {
    /// Takes the weights after update `number` (counted from 0) of `total`.
    pub fn add(
        &mut self,
        model: &MultitaskModel<B>,
        number: usize,
        total: usize,
        kernels: KernelKind,
    ) {
        // An average that has begun goes on, whatever a longer run would make of its start.
        if self.updates == 0 && ((number + 1) as f64) < self.config.start * total as f64 {
            return;
        }
        let weight = self.config.weight_of_average(self.updates);
        self.model = Some(match self.model.take() {
            Some(average) => average.follow(model, weight, kernels),
            None => AveragedModel::of(model),
        });
        self.updates += 1;
    }
}

/// A copy of a model that follows it: `copy <- beta copy + (1 - beta) model`, each time [`follow`](Self::follow) is called.
pub struct AveragedModel<B: AutodiffBackend, M: AutodiffModule<B>> {
    module: M::InnerModule,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> AveragedModel<B, M> {
    /// The model as it is.
    pub fn of(model: &M) -> Self {
        Self {
            module: model.valid(),
        }
    }

    /// A copy with weights of its own, from a checkpoint. Their parameter ids must be the model's.
    pub fn from_module(module: M::InnerModule) -> Self {
        Self { module }
    }

    /// The copy's weights.
    pub fn module(&self) -> &M::InnerModule {
        &self.module
    }
}

impl<B: TrainBackend, M: AutodiffModule<B>> AveragedModel<B, M> {
    /// Follows the model.
    pub fn follow(self, model: &M, beta: f64, kernels: KernelKind) -> Self {
        if beta == 0.0 {
            return Self::of(model);
        }
        let mut values = GradientsParams::new();
        model.visit(&mut Values {
            values: &mut values,
        });
        Self {
            module: self.module.map(&mut Follow {
                values,
                beta,
                kernels,
            }),
        }
    }
}

/// The model's parameters by id, shared and not copied.
struct Values<'a> {
    values: &'a mut GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Values<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let value = param.val();
        // A frozen parameter is its own average; computing it would only round.
        if value.is_require_grad() {
            self.values
                .register::<B::InnerBackend, D>(param.id, value.inner());
        }
    }
}

struct Follow {
    values: GradientsParams,
    beta: f64,
    kernels: KernelKind,
}

impl<B: Kernels> ModuleMapper<B> for Follow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let followed = match self.values.remove::<B, D>(id) {
            Some(value) => self.kernels.moving_average(tensor, value, self.beta),
            None => tensor,
        };
        Param::from_mapped_value(id, followed, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: AverageKind) -> AverageConfig {
        AverageConfig {
            kind,
            decay: 0.9,
            start: 0.0,
        }
    }

    /// The average of numbers, as the models' weights are averaged.
    fn average(config: AverageConfig, numbers: &[f64]) -> f64 {
        let mut average = 0.0;
        for (averaged, number) in numbers.iter().enumerate() {
            let weight = config.weight_of_average(averaged as u32);
            average = weight * average + (1.0 - weight) * number;
        }
        average
    }

    #[test]
    fn swa_is_the_mean_and_ema_begins_with_the_first() {
        let numbers = [3.0, -1.0, 4.0, 1.5];
        assert!((average(config(AverageKind::Swa), &numbers) - 1.875).abs() < 1e-12);
        // The decays are 2/11, 3/12 and 4/13 here, and would be .9 after 81 updates.
        let after =
            |average: f64, decay: f64, number: f64| decay * average + (1.0 - decay) * number;
        let expected = after(
            after(after(3.0, 2.0 / 11.0, -1.0), 0.25, 4.0),
            4.0 / 13.0,
            1.5,
        );
        assert!((average(config(AverageKind::Ema), &numbers) - expected).abs() < 1e-12);
        assert_eq!(config(AverageKind::Ema).weight_of_average(81), 0.9);
    }
}
