//! R-Drop: two passes with dropout of their own should agree (Liang et al. 2021, <https://arxiv.org/abs/2106.14448>).

use bertram_core::loss::divergence;
use bertram_core::task::TaskId;
use burn::tensor::backend::AutodiffBackend;
use serde::Serialize;

use super::{Classifier, ForwardPass, Penalty, Regulariser};

/// `[regulariser.r-drop]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RDropConfig {
    /// The tasks whose loss it is added to.
    pub tasks: Vec<TaskId>,
    /// Weight of the penalty.
    pub alpha: f64,
}

impl Default for RDropConfig {
    fn default() -> Self {
        Self {
            tasks: vec![TaskId::SST],
            alpha: 1.0,
        }
    }
}

/// `(KL(P1||P2) + KL(P2||P1)) / 2` between the training pass and a second one (its equation 2); squared error, halved
/// too, for real outputs.
///
/// The paper also takes the task loss of the second pass; here the task loss is that of the first.
#[derive(Clone, Debug)]
pub struct RDrop {
    config: RDropConfig,
}

impl RDrop {
    /// With these settings.
    pub fn new(config: RDropConfig) -> Self {
        Self { config }
    }
}

impl<B: AutodiffBackend> Regulariser<B> for RDrop {
    fn name(&self) -> &'static str {
        "r_drop_penalty"
    }

    fn weight(&self) -> f64 {
        self.config.alpha
    }

    fn penalty(&self, model: &dyn Classifier<B>, forward: &ForwardPass<B>) -> Penalty<B> {
        let second = model.classify(model.embed());
        Penalty {
            value: divergence(model.output(), second, forward.logits.clone()).mean() * 0.5,
            measures: Vec::new(),
        }
    }
}
