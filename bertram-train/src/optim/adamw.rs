//! AdamW as the CS224N course defines it (Loshchilov & Hutter 2019 with the efficient bias correction at the end of
//! section 2 of Kingma & Ba 2015).

use std::collections::HashMap;

use bertram_kernels::{AdamWStep, KernelKind, Moments, TrainBackend};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, backend::AutodiffBackend};
use serde::{Deserialize, Serialize};

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment, before bias correction.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            weight_decay: 0.0,
        }
    }
}

/// For a parameter `x` with gradient `g`, at its `t`-th step:
///
/// ```text
/// m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
/// a_t = lr sqrt(1 - b2^t) / (1 - b1^t)
/// x <- x - a_t m / (sqrt(v) + eps)
/// x <- x - lr wd x
/// ```
///
/// `eps` stands before bias correction and the decay comes after the step: Burn's AdamW does both the other way, so it
/// cannot stand in for this one. `t` counts a parameter's own steps: one without a gradient is left as it is.
pub struct AdamW<B: AutodiffBackend> {
    config: AdamWConfig,
    kernels: KernelKind,
    first_moments: GradientsParams,
    second_moments: GradientsParams,
    steps: HashMap<ParamId, u32>,
    backend: std::marker::PhantomData<B>,
}

impl<B: AutodiffBackend> AdamW<B> {
    /// An optimiser without history.
    pub fn new(config: AdamWConfig) -> Self {
        Self {
            config,
            kernels: KernelKind::default(),
            first_moments: GradientsParams::new(),
            second_moments: GradientsParams::new(),
            steps: HashMap::new(),
            backend: std::marker::PhantomData,
        }
    }

    /// Whether it has made a step on any parameter.
    pub fn has_stepped(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Sets which kernel makes its steps.
    pub fn set_kernels(&mut self, kernels: KernelKind) {
        self.kernels = kernels;
    }

    /// The moments as two modules of the shape of `module` (zeros where a parameter has none yet), and the step counts
    /// in the order in which the module's parameters are visited: the state, in a form that a checkpoint can write.
    pub fn state<M: AutodiffModule<B>>(&self, module: &M) -> AdamWState<M::InnerModule> {
        let moments = |moments| module.valid().map(&mut ReadMoments { moments });
        let mut order = StepOrder::<B> {
            steps: &self.steps,
            counts: Vec::new(),
            backend: std::marker::PhantomData,
        };
        module.visit(&mut order);
        AdamWState {
            first_moments: moments(&self.first_moments),
            second_moments: moments(&self.second_moments),
            steps: order.counts,
        }
    }

    /// An optimiser with the history that [`state`](Self::state) gave for a module of the same shape.
    pub fn from_state<M: AutodiffModule<B>>(
        config: AdamWConfig,
        module: &M,
        state: &AdamWState<M::InnerModule>,
    ) -> Self {
        let mut optimizer = Self::new(config);
        let mut ids = Ids(Vec::new());
        module.visit::<Ids>(&mut ids);
        let stepped: HashMap<ParamId, u32> = ids
            .0
            .into_iter()
            .zip(state.steps.iter().copied())
            .filter(|&(_, steps)| steps > 0)
            .collect();
        for (from, to) in [
            (&state.first_moments, &mut optimizer.first_moments),
            (&state.second_moments, &mut optimizer.second_moments),
        ] {
            from.visit(&mut WriteMoments {
                ids: stepped.keys().copied().collect(),
                moments: to,
            });
        }
        optimizer.steps = stepped;
        optimizer
    }
}

impl<B: TrainBackend> AdamW<B> {
    /// One step on every parameter that has a gradient.
    ///
    /// Gradients are multiplied by `gradient_factor` first, where there is one; a negative factor leaves the step out
    /// ([`Kernels::adamw`](bertram_kernels::Kernels::adamw)). `learning_rate` gives each parameter its rate.
    ///
    /// # Shapes
    ///
    /// - `gradient_factor`: `[1]`
    pub fn step<M: AutodiffModule<B>>(
        &mut self,
        module: M,
        gradients: GradientsParams,
        gradient_factor: Option<&Tensor<B::InnerBackend, 1>>,
        learning_rate: impl Fn(ParamId) -> f64,
    ) -> M {
        module.map(&mut Step {
            optimizer: self,
            gradients,
            gradient_factor,
            learning_rate,
        })
    }
}

/// What a checkpoint keeps of an [`AdamW`].
pub struct AdamWState<M> {
    /// First moments, in the place of the parameters.
    pub first_moments: M,
    /// Second moments, in the place of the parameters.
    pub second_moments: M,
    /// Steps made on each parameter, in visiting order.
    pub steps: Vec<u32>,
}

struct Step<'a, B: AutodiffBackend, F> {
    optimizer: &'a mut AdamW<B>,
    gradients: GradientsParams,
    gradient_factor: Option<&'a Tensor<B::InnerBackend, 1>>,
    learning_rate: F,
}

impl<B: TrainBackend, F: Fn(ParamId) -> f64> ModuleMapper<B> for Step<'_, B, F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = self.optimizer.config;
        let steps = self.optimizer.steps.entry(id).or_insert(0);
        *steps += 1;
        let t = f64::from(*steps);
        let learning_rate = (self.learning_rate)(id);

        let optimizer = &mut *self.optimizer;
        let first = optimizer.first_moments.remove(id);
        let second = optimizer.second_moments.remove(id);
        let moments = (first.zip(second)).map(|(first, second)| Moments { first, second });
        let requires_grad = tensor.is_require_grad();
        let step = AdamWStep {
            beta1,
            beta2,
            eps,
            rate: learning_rate * (1.0 - beta2.powf(t)).sqrt() / (1.0 - beta1.powf(t)),
            shrink: 1.0 - learning_rate * weight_decay,
        };
        let value = tensor.inner();
        let (value, moments) =
            (optimizer.kernels).adamw(value, gradient, self.gradient_factor, moments, &step);
        optimizer.first_moments.register(id, moments.first);
        optimizer.second_moments.register(id, moments.second);

        let mut value = Tensor::from_inner(value);
        if requires_grad {
            value = value.require_grad();
        }
        Param::from_mapped_value(id, value, mapper)
    }
}

struct ReadMoments<'a> {
    moments: &'a GradientsParams,
}

impl<B: burn::tensor::backend::Backend> ModuleMapper<B> for ReadMoments<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let moment = self
            .moments
            .get::<B, D>(id)
            .unwrap_or_else(|| tensor.zeros_like());
        Param::from_mapped_value(id, moment, mapper)
    }
}

struct WriteMoments<'a> {
    ids: std::collections::HashSet<ParamId>,
    moments: &'a mut GradientsParams,
}

impl<B: burn::tensor::backend::Backend> ModuleVisitor<B> for WriteMoments<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if self.ids.contains(&param.id) {
            self.moments.register(param.id, param.val());
        }
    }
}

struct StepOrder<'a, B> {
    steps: &'a HashMap<ParamId, u32>,
    counts: Vec<u32>,
    backend: std::marker::PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for StepOrder<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.counts
            .push(self.steps.get(&param.id).copied().unwrap_or(0));
    }
}

struct Ids(Vec<ParamId>);

impl<B: AutodiffBackend> ModuleVisitor<B> for Ids {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.push(param.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, NdArray};
    use burn::module::Module;

    type B = Autodiff<NdArray<f64>>;

    #[derive(Module, Debug)]
    struct Pair<B: burn::tensor::backend::Backend> {
        touched: Param<Tensor<B, 1>>,
        untouched: Param<Tensor<B, 1>>,
    }

    fn pair(device: &<B as burn::tensor::backend::BackendTypes>::Device) -> Pair<B> {
        let param = |value: f64| {
            Param::from_tensor(Tensor::from_data(
                [value],
                (device, burn::tensor::DType::F64),
            ))
        };
        Pair {
            touched: param(1.0),
            untouched: param(2.0),
        }
    }

    fn gradients(module: &Pair<B>, factor: f64) -> GradientsParams {
        let loss = (module.touched.val().square() * factor).sum();
        GradientsParams::from_grads(loss.backward(), module)
    }

    /// Weight decay and a large eps, so that a wrong place of either shows.
    const CONFIG: AdamWConfig = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-2,
        weight_decay: 0.1,
    };

    #[test]
    fn follows_the_course_formula_step_by_step() {
        let device = Default::default();
        let mut module = pair(&device);
        let mut optimizer = AdamW::<B>::new(CONFIG);
        let (mut x, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for t in 1..=5 {
            let grads = gradients(&module, t as f64);
            module = optimizer.step(module, grads, None, |_| 0.1);
            let g = 2.0 * x * t as f64;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let corrected = 0.1 * (1.0 - 0.999f64.powi(t)).sqrt() / (1.0 - 0.9f64.powi(t));
            x -= corrected * m / (v.sqrt() + 1e-2);
            x -= 0.1 * 0.1 * x;
            let ours: f64 = module.touched.val().into_scalar();
            assert!((ours - x).abs() < 1e-12, "step {t}: {ours} is not {x}");
        }
        let untouched: f64 = module.untouched.val().into_scalar();
        assert_eq!(untouched, 2.0, "no gradient, no step, no decay");
    }

    #[test]
    fn state_round_trip_continues_exactly() {
        let device = Default::default();
        let mut module = pair(&device);
        let mut optimizer = AdamW::<B>::new(CONFIG);
        for t in 1..=3 {
            let grads = gradients(&module, t as f64);
            module = optimizer.step(module, grads, None, |_| 0.1);
        }
        let state = optimizer.state(&module);
        assert_eq!(state.steps, vec![3, 0]);
        let mut resumed = AdamW::<B>::from_state(CONFIG, &module, &state);
        let one = optimizer.step(module.clone(), gradients(&module, 1.0), None, |_| 0.1);
        let other = resumed.step(module.clone(), gradients(&module, 1.0), None, |_| 0.1);
        let (one, other): (f64, f64) = (
            one.touched.val().into_scalar(),
            other.touched.val().into_scalar(),
        );
        assert_eq!(one.to_bits(), other.to_bits());
    }
}
