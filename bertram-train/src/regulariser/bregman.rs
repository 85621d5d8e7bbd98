//! SMART's Bregman proximal point optimisation with momentum (Jiang et al. 2020, section 2.2 and algorithm 1,
//! <https://arxiv.org/abs/1911.03437>): to a task's loss comes `mu` times the mean
//! [`divergence`](bertram_core::loss::divergence) of the training pass from a teacher's pass, which has no dropout and no
//! gradient.

use bertram_core::task::TaskId;
use serde::Serialize;

use crate::average::AveragedModel;
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

/// The teacher: after each update `teacher <- beta teacher + (1 - beta) model`.
///
/// With `beta = 0` it is the iterate that the next update starts from, the basic version. One gradient step from there
/// the divergence has no gradient but through dropout, which the teacher has not.
pub type Teacher<B, M> = AveragedModel<B, M>;
