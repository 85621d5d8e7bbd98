//! The gradients of one task's part in an update: a forward pass, the objective, a backward pass for each batch.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use bertram_core::task::MultitaskModel;
use bertram_kernels::TrainBackend;

use super::noise::SquaredNorms;
use super::{TaskPart, Updater};
use crate::loss_scale::{LOSS_SCALE, OVERFLOWS};
use crate::measure::Measure;
use crate::merge::add;
use crate::objective::objective;
use crate::optim::global_norm;
use crate::weighting::LOSS_WEIGHT;

/// What a part's backward passes leave.
pub(super) struct PartGradients<B: Backend> {
    pub(super) loss: Tensor<B, 1>,
    pub(super) measures: Vec<Measure<B>>,
    pub(super) gradients: GradientsParams,
    /// Those of the loss weights that are learnt.
    pub(super) weight_gradients: Option<GradientsParams>,
    pub(super) tokens: usize,
    /// With a loss scale: 1 if a gradient is not finite, otherwise 0. Shape `[1]`.
    pub(super) overflow: Option<Tensor<B, 1>>,
}

impl<B: TrainBackend> Updater<B> {
    /// The mean loss of a part's batches, and the gradients of their mean objective times the task's weight. With
    /// `diagnostics` the gradients of several batches are compared: the noise scale.
    pub(super) fn part_gradients(
        &self,
        model: &MultitaskModel<B>,
        part: &TaskPart<B>,
        diagnostics: bool,
    ) -> Option<PartGradients<B::InnerBackend>> {
        let settings = &self.settings;
        let weight = settings.weights.get(&part.task).copied().unwrap_or(1.0);
        let regularisers = self.methods.regularisers(part.task);
        let bregman = settings.regularisers.active_bregman();
        let bregman = bregman
            .filter(|config| config.tasks.contains(&part.task))
            .and_then(|config| Some((self.state.teacher.as_ref()?, config.mu)));
        let share = 1.0 / part.batches.len().max(1) as f64;
        let kernels = model.encoder.kernels();
        let mut sum: Option<GradientsParams> = None;
        let mut weight_gradients = GradientsAccumulator::new();
        let mut mean: Option<Tensor<B::InnerBackend, 1>> = None;
        let mut measures = Vec::new();
        let mut norms = SquaredNorms::default();
        let mut tokens = 0;
        let scale = self.state.loss_scale;
        let loss_scale = scale.map_or(1.0, |scale| scale.factor());
        for batch in &part.batches {
            let Some(objective) = objective(model, batch, regularisers, bregman, loss_scale) else {
                continue;
            };
            let loss = objective.loss.inner() * share;
            measures.extend(objective.measures);
            tokens += batch.token_count;
            let mut total = objective.total * weight;
            if let Some(uncertainty) = &self.state.uncertainty {
                total = uncertainty.weighted(part.task, total);
                let weight = uncertainty.weight(part.task);
                measures.extend(weight.map(|weight| LOSS_WEIGHT.of(weight)));
            }
            let mut gradients = (total * (share * loss_scale)).backward();
            if let Some(uncertainty) = &self.state.uncertainty {
                let own = uncertainty.take_gradient(part.task, &mut gradients);
                weight_gradients.accumulate(uncertainty.log_variances(), own);
            }
            let gradients = GradientsParams::from_grads(gradients, model);
            if diagnostics && part.batches.len() > 1 {
                let norm = global_norm::<B, _>(model, &gradients, kernels);
                // As if it were the only batch, and not one of several that are averaged.
                if let Some(norm) = norm.map(|norm| norm / (share * loss_scale)) {
                    norms.add(norm, batch.examples);
                }
            }
            sum = Some(match sum.take() {
                Some(sum) => add::<B, _>(model, sum, gradients, kernels),
                None => gradients,
            });
            mean = Some(match mean {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        let loss = mean?;
        let mut gradients = sum.unwrap_or_default();
        if diagnostics && part.batches.len() > 1 {
            let norm = global_norm::<B, _>(model, &gradients, kernels);
            let estimates = norm.and_then(|norm| norms.estimates(norm / loss_scale));
            measures.extend(estimates.into_iter().flatten());
        }
        let mut weight_gradients = self
            .state
            .uncertainty
            .as_ref()
            .map(|_| weight_gradients.grads());
        let mut overflow = None;
        if let Some(scale) = scale {
            let device = loss.device();
            overflow = scale.unscale::<B, _>(model, &mut gradients, kernels, &device);
            if let (Some(uncertainty), Some(own)) = (&self.state.uncertainty, &mut weight_gradients)
            {
                let variances = uncertainty.log_variances();
                let other = scale.unscale::<B, _>(variances, own, kernels, &device);
                overflow = match (overflow, other) {
                    (Some(one), Some(other)) => Some(one.max_pair(other)),
                    (one, other) => one.or(other),
                };
            }
            let scales = Some(loss.full_like(loss_scale));
            for (kind, value) in [(LOSS_SCALE, scales), (OVERFLOWS, overflow.clone())] {
                measures.extend(value.map(|value| kind.of(value)));
            }
        }
        Some(PartGradients {
            loss,
            measures,
            gradients,
            weight_gradients,
            tokens,
            overflow,
        })
    }
}
