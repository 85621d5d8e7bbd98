//! AdamW as the CS224N course defines it (Loshchilov & Hutter 2019 with the efficient bias correction at the end of
//! section 2 of Kingma & Ba 2015).

use std::any::Any;
use std::collections::HashMap;

use bertram_kernels::{AdamWStep, AdamWUpdate, AdamWUpdated, KernelKind, TrainBackend};
use burn::module::{
    AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId, ParamMapper,
};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
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
    /// What decays.
    #[serde(default, skip_serializing_if = "DecayedParameters::is_all")]
    pub weight_decay_on: DecayedParameters,
}

/// `optimizer.weight-decay-on`: which parameters decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayedParameters {
    /// All, as in the course's optimiser.
    #[default]
    All,
    /// Matrices alone: biases and the gains of LayerNorm, which are vectors, stay, as in BERT's own optimiser and
    /// `transformers.Trainer`.
    Matrices,
}

impl DecayedParameters {
    fn is_all(&self) -> bool {
        *self == DecayedParameters::All
    }

    /// Whether a parameter with so many dimensions decays.
    fn has(self, dimensions: usize) -> bool {
        self == DecayedParameters::All || dimensions > 1
    }
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            weight_decay: 0.0,
            weight_decay_on: DecayedParameters::All,
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
        let mut collect = Collect {
            optimizer: self,
            gradients,
            learning_rate,
            updates: Vec::new(),
            places: HashMap::new(),
        };
        let module = module.map(&mut collect);
        let (updates, places) = (collect.updates, collect.places);
        let updated = self
            .kernels
            .adamw_all::<B::InnerBackend>(updates, gradient_factor);
        module.map(&mut PutBack {
            optimizer: self,
            places,
            updated: updated.into_iter().map(Some).collect(),
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

type Primitive<B> = FloatTensor<<B as AutodiffBackend>::InnerBackend>;

/// Takes every parameter that has a gradient out of a module, with its moments.
struct Collect<'a, B: AutodiffBackend, F> {
    optimizer: &'a mut AdamW<B>,
    gradients: GradientsParams,
    learning_rate: F,
    updates: Vec<AdamWUpdate<Primitive<B>>>,
    /// Where a parameter's update is.
    places: HashMap<ParamId, Place>,
}

/// What the values of a parameter do not say.
struct Place {
    index: usize,
    requires_grad: bool,
    /// The parameter's own, of the tensor type that only the visit knows.
    mapper: Box<dyn Any>,
}

impl<B: TrainBackend, F: Fn(ParamId) -> f64> ModuleMapper<B> for Collect<'_, B, F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let optimizer = &mut *self.optimizer;
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
            weight_decay_on,
        } = optimizer.config;
        let weight_decay = match weight_decay_on.has(D) {
            true => weight_decay,
            false => 0.0,
        };
        let steps = optimizer.steps.entry(id).or_insert(0);
        *steps += 1;
        let t = f64::from(*steps);
        let learning_rate = (self.learning_rate)(id);
        let first = optimizer.first_moments.remove::<B::InnerBackend, D>(id);
        let second = optimizer.second_moments.remove::<B::InnerBackend, D>(id);
        let place = Place {
            index: self.updates.len(),
            requires_grad: tensor.is_require_grad(),
            mapper: Box::new(mapper),
        };
        let (device, shape) = (tensor.device(), tensor.shape());
        self.updates.push(AdamWUpdate {
            parameter: primitive(tensor.inner()),
            gradient: primitive(gradient),
            moments: (first.zip(second)).map(|(first, second)| [first, second].map(primitive)),
            step: AdamWStep {
                beta1,
                beta2,
                eps,
                rate: learning_rate * (1.0 - beta2.powf(t)).sqrt() / (1.0 - beta1.powf(t)),
                shrink: 1.0 - learning_rate * weight_decay,
            },
        });
        // Nothing else holds the values now, so that the step can change them in place. The place is filled again before
        // anybody looks: these zeros are never made.
        let zeros = |device: &B::Device, _| Tensor::zeros([1; D], device);
        let placeholder = Param::uninitialized(id, zeros, device, place.requires_grad, shape);
        self.places.insert(id, place);
        placeholder
    }
}

/// Puts what [`Collect`] took back into its place.
struct PutBack<'a, B: AutodiffBackend> {
    optimizer: &'a mut AdamW<B>,
    places: HashMap<ParamId, Place>,
    updated: Vec<Option<AdamWUpdated<Primitive<B>>>>,
}

impl<B: TrainBackend> ModuleMapper<B> for PutBack<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(place) = self.places.remove(&param.id) else {
            return param;
        };
        let Some(updated) = self.updated.get_mut(place.index).and_then(Option::take) else {
            return param;
        };
        let id = param.id;
        let [first, second] = updated.moments.map(tensor::<B::InnerBackend, D>);
        self.optimizer.first_moments.register(id, first);
        self.optimizer.second_moments.register(id, second);
        let mut value = Tensor::from_inner(tensor(updated.parameter));
        if place.requires_grad {
            value = value.require_grad();
        }
        let mapper = place.mapper.downcast::<ParamMapper<Tensor<B, D>>>();
        Param::from_mapped_value(id, value, mapper.map(|mapper| *mapper).unwrap_or_default())
    }
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

struct ReadMoments<'a> {
    moments: &'a GradientsParams,
}

impl<B: Backend> ModuleMapper<B> for ReadMoments<'_> {
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

impl<B: Backend> ModuleVisitor<B> for WriteMoments<'_> {
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
        weight_decay_on: DecayedParameters::All,
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
    fn vectors_need_not_decay() {
        #[derive(Module, Debug)]
        struct Layer<B: burn::tensor::backend::Backend> {
            weight: Param<Tensor<B, 2>>,
            bias: Param<Tensor<B, 1>>,
        }
        let device = Default::default();
        let options = (&device, burn::tensor::DType::F64);
        let layer = Layer::<B> {
            weight: Param::from_tensor(Tensor::from_data([[2.0]], options)),
            bias: Param::from_tensor(Tensor::from_data([2.0], options)),
        };
        // A gradient of zero moves nothing: what changes has decayed.
        let loss = (layer.weight.val().sum() + layer.bias.val().sum()) * 0.0;
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        let mut optimizer = AdamW::<B>::new(AdamWConfig {
            weight_decay_on: DecayedParameters::Matrices,
            ..CONFIG
        });
        let layer = optimizer.step(layer, gradients, None, |_| 0.5);
        let (weight, bias): (f64, f64) = (
            layer.weight.val().into_scalar(),
            layer.bias.val().into_scalar(),
        );
        assert!((weight - 2.0 * (1.0 - 0.5 * 0.1)).abs() < 1e-12, "{weight}");
        assert_eq!(bias, 2.0);
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
