//! SMART's Bregman proximal point optimisation with momentum (Jiang et al. 2020, section 2.2 and algorithm 1,
//! <https://arxiv.org/abs/1911.03437>): to a task's loss comes `mu` times the mean
//! [`divergence`](bertram_core::loss::divergence) of the training pass from a teacher's pass, which has no dropout and no
//! gradient.

use bertram_core::task::TaskId;
use bertram_kernels::{KernelKind, Kernels, TrainBackend};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use serde::Serialize;

use crate::measure::MeasureKind;

/// Mean divergence of the model from its teacher.
pub const BREGMAN: MeasureKind = MeasureKind::mean("bregman");

/// `[regulariser.bregman]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BregmanConfig {
    /// The tasks whose loss it is added to.
    pub tasks: Vec<TaskId>,
    /// Weight of the divergence.
    pub mu: f64,
    /// Decay of the teacher, at first.
    pub beta: f64,
    /// Decay of the teacher, later.
    pub late_beta: f64,
    /// Share of all updates that are made with `beta`.
    pub late_from: f64,
}

impl Default for BregmanConfig {
    fn default() -> Self {
        Self {
            tasks: TaskId::PAPER.to_vec(),
            mu: 1.0,
            beta: 0.99,
            late_beta: 0.999,
            late_from: 0.1,
        }
    }
}

impl BregmanConfig {
    /// The decay at update `update` of `updates`, counted from 0.
    pub fn beta_at(&self, update: usize, updates: usize) -> f64 {
        if (update as f64) < self.late_from * updates as f64 {
            self.beta
        } else {
            self.late_beta
        }
    }
}

/// A copy of the model that follows it: `teacher <- beta teacher + (1 - beta) model` after each update.
///
/// With `beta = 0` it is the iterate that the next update starts from, the basic version. One gradient step from there
/// the divergence has no gradient but through dropout, which the teacher has not.
pub struct Teacher<B: AutodiffBackend, M: AutodiffModule<B>> {
    module: M::InnerModule,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Teacher<B, M> {
    /// A teacher that is the model as it is.
    pub fn of(model: &M) -> Self {
        Self {
            module: model.valid(),
        }
    }

    /// A teacher with weights of its own, from a checkpoint. Their parameter ids must be the model's.
    pub fn from_module(module: M::InnerModule) -> Self {
        Self { module }
    }

    /// The teacher's weights.
    pub fn module(&self) -> &M::InnerModule {
        &self.module
    }
}

impl<B: TrainBackend, M: AutodiffModule<B>> Teacher<B, M> {
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
        self.values
            .register::<B::InnerBackend, D>(param.id, param.val().inner());
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
