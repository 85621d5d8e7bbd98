//! SMART's smoothness-inducing adversarial regularisation (Jiang et al. 2020, section 2.1 and algorithm 1,
//! <https://arxiv.org/abs/1911.03437>).

use bertram_core::loss::divergence;
use bertram_core::task::TaskId;
use bertram_kernels::at_least_f32;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Distribution, Tensor};
use serde::{Deserialize, Serialize};

use super::{Classifier, ForwardPass, Penalty, Regulariser};
use crate::measure::{MeasureKind, Measured};

/// Whose way of ascent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmartVariant {
    /// The paper's algorithm 1: a normalised step, then a projection on the ball of radius `epsilon`; norms are an
    /// example's. An example of two sentences has one perturbation over both.
    Paper,
    /// `namisan/mt-dnn`'s: an unnormalised step, then each token's perturbation is divided by its norm (plus 1e-6), so
    /// that it ends near norm 1, whatever `epsilon` is. (That code ascends another divergence, with detached log ratios;
    /// here it is SMART's own in both variants.)
    MtDnn,
}

/// In which norm a perturbation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PerturbationNorm {
    /// Largest absolute coordinate.
    Linf,
    /// Euclidean.
    L2,
}

/// `[regulariser.smart]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SmartConfig {
    /// The tasks whose loss it is added to.
    pub tasks: Vec<TaskId>,
    /// Whose way of ascent.
    pub variant: SmartVariant,
    /// In which norm.
    pub norm: PerturbationNorm,
    /// Ascent steps.
    pub steps: usize,
    /// Radius of the ball that the perturbation stays in. Of the paper's variant; 1e-5 where absent.
    pub epsilon: Option<f64>,
    /// Standard deviation of the first perturbation.
    pub sigma: f64,
    /// Length of an ascent step.
    pub eta: f64,
    /// Weight of the penalty.
    pub lambda: f64,
}

impl Default for SmartConfig {
    fn default() -> Self {
        Self {
            tasks: vec![TaskId::SST],
            variant: SmartVariant::Paper,
            norm: PerturbationNorm::Linf,
            steps: 1,
            epsilon: Some(1e-5),
            sigma: 1e-5,
            eta: 1e-3,
            lambda: 1.0,
        }
    }
}

/// With `e` the embeddings of a batch, `f` the rest of the model and `l` the [`divergence`]:
///
/// ```text
/// d ~ N(0, sigma^2);  `steps` times:  g = grad_d l(f(e + d), f(e) detached),  d <- ascend(d, g)
/// R = mean over examples of l(f(e + d), f(e))
/// ```
///
/// The ascent's `l` is summed over the batch, so that an example's perturbation does not depend on its neighbours. It
/// computes the gradient of `d` and of nothing else. Padding is never perturbed.
#[derive(Clone, Debug)]
pub struct Smart {
    config: SmartConfig,
}

/// What an ascent found.
#[derive(Clone, Debug)]
pub struct Perturbation<B: Backend> {
    /// What is added to the embeddings, in f32 at least; 0 at padding. `[sequences, seq_len, hidden_size]`.
    pub delta: Tensor<B, 3>,
    /// The examples whose gradient was not finite: they are not perturbed and have no penalty. `[examples]`.
    pub skipped: Tensor<B, 1, Bool>,
    /// The examples whose gradient was exactly 0 in the last step: they stay where that step found them. At a `sigma` of
    /// 1e-5 the divergence of some examples has no gradient left in f32. `[examples]`.
    pub flat: Tensor<B, 1, Bool>,
}

/// Mean norm of the perturbations that the ascent found.
pub(super) const PERTURBATION_NORM: MeasureKind = MeasureKind::mean("smart_perturbation_norm");
/// Examples without a finite perturbation.
pub(super) const SKIPPED: MeasureKind = MeasureKind::count("smart_skipped");
/// Examples whose gradient was exactly 0 in the last step of the ascent.
pub(super) const NO_ASCENT: MeasureKind = MeasureKind::count("smart_no_ascent");

/// Kept above zero before a division; far below any gradient that means something, and a normal number in f32.
const TINY: f64 = 1e-30;

impl Smart {
    /// With these settings.
    pub fn new(config: SmartConfig) -> Self {
        Self { config }
    }

    /// Its settings.
    pub fn config(&self) -> &SmartConfig {
        &self.config
    }

    /// The first perturbation, from the backend's random numbers.
    ///
    /// # Shapes
    ///
    /// - `like`, output: `[sequences, seq_len, hidden_size]`
    pub fn start<B: Backend>(&self, like: &Tensor<B, 3>) -> Tensor<B, 3> {
        let normal = Distribution::Normal(0.0, self.config.sigma);
        let drawn: Tensor<B, 3> = Tensor::random(like.shape(), normal, &like.device());
        drawn.cast(at_least_f32(like.clone()).dtype())
    }

    /// The perturbation that the ascent reaches from `start`.
    ///
    /// # Shapes
    ///
    /// - `start`: `[sequences, seq_len, hidden_size]`
    pub fn perturbation<B: AutodiffBackend>(
        &self,
        model: &dyn Classifier<B>,
        forward: &ForwardPass<B>,
        start: Tensor<B::InnerBackend, 3>,
    ) -> Perturbation<B::InnerBackend> {
        let embedded = forward.embedded.clone().inner();
        let target: Tensor<B, 2> = Tensor::from_inner(forward.logits.clone().inner());
        let examples = target.dims()[0];
        let mask = model.mask().cast(start.dtype()).unsqueeze_dim::<3>(2);
        let dtype = embedded.dtype();
        // The task's loss is a mean over examples and this one a sum: so both overflow alike.
        let scale = match model.loss_scale() {
            1.0 => 1.0,
            scale => scale / examples as f64,
        };

        let mut delta = start * mask.clone();
        let mut skipped: Option<Tensor<B::InnerBackend, 3, Bool>> = None;
        let mut flat: Option<Tensor<B::InnerBackend, 3, Bool>> = None;
        for _ in 0..self.config.steps {
            let leaf = Tensor::<B, 3>::from_inner(delta.clone()).require_grad();
            let perturbed = Tensor::from_inner(embedded.clone()) + leaf.clone().cast(dtype);
            let logits = model.classify_frozen(perturbed);
            let mut loss = divergence(model.output(), logits, target.clone()).sum();
            if scale != 1.0 {
                loss = loss * scale;
            }
            let gradients = loss.backward();
            // A model that does not look at its embeddings has no direction to go.
            let Some(mut gradient) = leaf.grad(&gradients) else {
                break;
            };
            if scale != 1.0 {
                gradient = gradient / scale;
            }
            let gradient = by_example(gradient * mask.clone(), examples);
            let size = over_example(gradient.clone().abs(), Tensor::sum_dim);
            flat = Some(size.clone().equal_elem(0.0));
            let bad = size.is_finite().bool_not();
            let bad = match skipped.take() {
                Some(before) => before.bool_or(bad),
                None => bad,
            };
            let wide = bad.clone().expand(gradient.shape());
            let gradient = gradient.mask_fill(wide.clone(), 0.0);
            let shape = delta.shape();
            delta = self
                .ascend(by_example(delta, examples), gradient, shape.dims::<3>()[2])
                .mask_fill(wide, 0.0)
                .reshape(shape);
            skipped = Some(bad);
        }
        let device = delta.device();
        let by_example = |marks: Option<Tensor<B::InnerBackend, 3, Bool>>| match marks {
            Some(marks) => marks.reshape([examples]),
            None => Tensor::<B::InnerBackend, 1>::zeros([examples], &device).bool(),
        };
        Perturbation {
            delta,
            skipped: by_example(skipped),
            flat: by_example(flat),
        }
    }

    /// One step, on tensors `[sentences, examples, seq_len * hidden_size]`.
    fn ascend<B: Backend>(
        &self,
        delta: Tensor<B, 3>,
        gradient: Tensor<B, 3>,
        hidden_size: usize,
    ) -> Tensor<B, 3> {
        let SmartConfig { norm, eta, .. } = self.config;
        match self.config.variant {
            SmartVariant::Paper => {
                let epsilon = self.config.epsilon.unwrap_or(1e-5);
                let length = example_norm(gradient.clone(), norm).clamp_min(TINY);
                let moved = delta + gradient / length * eta;
                match norm {
                    PerturbationNorm::Linf => moved.clamp(-epsilon, epsilon),
                    PerturbationNorm::L2 => {
                        let length = example_norm(moved.clone(), norm);
                        moved / (length / epsilon).clamp_min(1.0)
                    }
                }
            }
            SmartVariant::MtDnn => {
                let shape = delta.shape();
                let moved = delta + gradient * eta;
                let tokens: Tensor<B, 2> = moved.reshape([-1, hidden_size as i64]);
                let length = match norm {
                    PerturbationNorm::Linf => tokens.clone().abs().max_dim(1),
                    PerturbationNorm::L2 => tokens.clone().square().sum_dim(1).sqrt(),
                };
                (tokens / (length + 1e-6)).reshape(shape)
            }
        }
    }

    /// The penalty at a given perturbation.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    pub fn penalty_at<B: AutodiffBackend>(
        &self,
        model: &dyn Classifier<B>,
        forward: &ForwardPass<B>,
        perturbation: &Perturbation<B::InnerBackend>,
    ) -> Tensor<B, 1> {
        let delta = perturbation.delta.clone().cast(forward.embedded.dtype());
        let logits = model.classify(forward.embedded.clone() + Tensor::from_inner(delta));
        let skipped = Tensor::from_inner(perturbation.skipped.clone());
        divergence(model.output(), logits, forward.logits.clone())
            .mask_fill(skipped, 0.0)
            .mean()
    }
}

impl<B: AutodiffBackend> Regulariser<B> for Smart {
    fn name(&self) -> &'static str {
        "smart_penalty"
    }

    fn weight(&self) -> f64 {
        self.config.lambda
    }

    fn penalty(&self, model: &dyn Classifier<B>, forward: &ForwardPass<B>) -> Penalty<B> {
        let start = self.start(&forward.embedded.clone().inner());
        let perturbation = self.perturbation(model, forward, start);
        let value = self.penalty_at(model, forward, &perturbation);
        let examples = forward.logits.dims()[0];
        let length = example_norm(by_example(perturbation.delta, examples), self.config.norm);
        Penalty {
            value,
            measures: vec![
                PERTURBATION_NORM.of(length.mean()),
                SKIPPED.of(perturbation.skipped.int().sum().float()),
                NO_ASCENT.of(perturbation.flat.int().sum().float()),
            ],
        }
    }

    fn measures(&self) -> &'static [MeasureKind] {
        &[PERTURBATION_NORM, SKIPPED, NO_ASCENT]
    }

    fn warnings(&self, measured: &Measured<'_>) -> Vec<String> {
        let skipped = measured.get(SKIPPED).filter(|skipped| *skipped > 0.0);
        let warning = skipped.map(|skipped| {
            format!(
                "SMART found no finite perturbation for {skipped} examples up to update {}; they had no penalty",
                measured.update
            )
        });
        warning.into_iter().collect()
    }
}

/// `[sentences * examples, seq_len, hidden]` as `[sentences, examples, seq_len * hidden]`: first sentences come first.
fn by_example<B: Backend>(tensor: Tensor<B, 3>, examples: usize) -> Tensor<B, 3> {
    let [sequences, seq_len, hidden] = tensor.dims();
    tensor.reshape([sequences / examples.max(1), examples, seq_len * hidden])
}

/// A reduction over all that belongs to an example: `[1, examples, 1]`.
fn over_example<B: Backend>(
    tensor: Tensor<B, 3>,
    reduce: impl Fn(Tensor<B, 3>, usize) -> Tensor<B, 3>,
) -> Tensor<B, 3> {
    reduce(reduce(tensor, 2), 0)
}

/// Norm of each example's part: `[1, examples, 1]`.
fn example_norm<B: Backend>(tensor: Tensor<B, 3>, norm: PerturbationNorm) -> Tensor<B, 3> {
    match norm {
        PerturbationNorm::Linf => over_example(tensor.abs(), Tensor::max_dim),
        PerturbationNorm::L2 => over_example(tensor.square(), Tensor::sum_dim).sqrt(),
    }
}
