//! Properties that hold for every regulariser, and what is SMART's own. A toy model stands in for BERT: a regulariser sees
//! no more of a model than "embed, then classify".

use bertram_kernels::KernelKind;
use burn::backend::ndarray::NdArrayDevice;
use burn::backend::{Autodiff, NdArray};
use burn::tensor::{DType, TensorData};

use super::*;

type B = Autodiff<NdArray<f64>>;

const SEQUENCES: usize = 4;
const LENGTH: usize = 3;
const HIDDEN: usize = 2;

// The type of a tensor is always named here: a device's default belongs to the whole process, and other tests use f32.
fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<B, D> {
    Tensor::from_data(
        TensorData::new(values, shape),
        (&NdArrayDevice::Cpu, DType::F64),
    )
}

/// Numbers without a pattern, in [-1, 1].
fn numbers(count: usize, seed: f64) -> Vec<f64> {
    (0..count)
        .map(|index| (12.9898 * (index as f64 + 1.0) + 78.233 * seed).sin())
        .collect()
}

/// `logits = pooled tanh(e W) V`; a pair's logit is the product of its sentences' first coordinates.
struct Toy {
    embedded: Tensor<B, 3>,
    inner: Tensor<B, 2>,
    outer: Tensor<B, 2>,
    output: OutputKind,
    pairs: bool,
    /// Stands for dropout: a second embedding is a little different.
    noise: f64,
    /// A weight of 1e200 makes the ascent's gradient overflow for one example.
    overflow: bool,
}

impl Toy {
    fn new(output: OutputKind, pairs: bool) -> Self {
        let outputs = if output == OutputKind::Categorical {
            3
        } else {
            1
        };
        Self {
            embedded: tensor(
                numbers(SEQUENCES * LENGTH * HIDDEN, 1.0),
                [SEQUENCES, LENGTH, HIDDEN],
            ),
            inner: tensor(numbers(HIDDEN * HIDDEN, 2.0), [HIDDEN, HIDDEN]),
            outer: tensor(numbers(HIDDEN * outputs, 3.0), [HIDDEN, outputs]),
            output,
            pairs,
            noise: 0.3,
            overflow: false,
        }
    }

    fn every() -> Vec<Self> {
        vec![
            Self::new(OutputKind::Categorical, false),
            Self::new(OutputKind::Real, true),
            Self::new(OutputKind::Bernoulli, true),
        ]
    }

    fn tracked(mut self) -> Self {
        self.embedded = self.embedded.require_grad();
        self.inner = self.inner.require_grad();
        self.outer = self.outer.require_grad();
        self
    }

    fn forward(
        &self,
        embedded: Tensor<B, 3>,
        inner: Tensor<B, 2>,
        outer: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let mask = Tensor::<B, 2>::from_inner(self.mask()).unsqueeze_dim::<3>(2);
        let hidden = embedded.matmul(inner.unsqueeze()).tanh() * mask;
        let mut pooled: Tensor<B, 2> = hidden.sum_dim(1).squeeze_dim(1);
        if self.overflow {
            let blow_up = tensor(vec![1e200, 1.0, 1.0, 1.0], [SEQUENCES, 1]);
            pooled = (pooled * blow_up.clone()) * blow_up;
        }
        let logits = pooled.matmul(outer);
        if !self.pairs {
            return logits;
        }
        let half = SEQUENCES / 2;
        let [first, second] = [0, half].map(|from| logits.clone().narrow(0, from, half));
        first * second
    }

    fn training_pass(&self) -> ForwardPass<B> {
        ForwardPass {
            logits: self.classify(self.embedded.clone()),
            embedded: self.embedded.clone(),
        }
    }
}

impl Classifier<B> for Toy {
    fn embed(&self) -> Tensor<B, 3> {
        let shape = self.embedded.shape();
        let noise = tensor(numbers(shape.num_elements(), 9.0), shape.dims());
        self.embedded.clone() + noise * self.noise
    }

    fn classify(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2> {
        self.forward(embedded, self.inner.clone(), self.outer.clone())
    }

    fn classify_frozen(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2> {
        let constant = |weight: &Tensor<B, 2>| Tensor::from_inner(weight.clone().inner());
        self.forward(embedded, constant(&self.inner), constant(&self.outer))
    }

    fn mask(&self) -> Tensor<NdArray<f64>, 2> {
        // The last token of the second sequence is padding.
        let mut mask = vec![1.0; SEQUENCES * LENGTH];
        mask[2 * LENGTH - 1] = 0.0;
        tensor(mask, [SEQUENCES, LENGTH]).inner()
    }

    fn output(&self) -> OutputKind {
        self.output
    }
}

/// Large enough that finite differences see the penalty.
fn wide_smart(variant: SmartVariant, norm: PerturbationNorm, steps: usize) -> Smart {
    Smart::new(SmartConfig {
        variant,
        norm,
        steps,
        epsilon: Some(0.2),
        sigma: 0.1,
        eta: 0.5,
        ..SmartConfig::default()
    })
}

fn every_smart() -> Vec<Smart> {
    let mut all = Vec::new();
    for variant in [SmartVariant::Paper, SmartVariant::MtDnn] {
        for norm in [PerturbationNorm::Linf, PerturbationNorm::L2] {
            for steps in [1, 2] {
                all.push(wide_smart(variant, norm, steps));
            }
        }
    }
    all
}

fn start() -> Tensor<NdArray<f64>, 3> {
    let values = numbers(SEQUENCES * LENGTH * HIDDEN, 5.0);
    (tensor(values, [SEQUENCES, LENGTH, HIDDEN]) * 0.1).inner()
}

fn floats<const D: usize>(tensor: Tensor<NdArray<f64>, D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// The gradient of a penalty in all that it depends on against central differences.
fn check_gradient(toy: fn() -> Vec<Toy>, penalty: &dyn Fn(&Toy) -> Tensor<B, 1>) {
    const STEP: f64 = 1e-5;
    for (index, toy_now) in toy().into_iter().enumerate() {
        let tracked = toy_now.tracked();
        let gradients = penalty(&tracked).backward();
        let ours = [
            floats(tracked.embedded.grad(&gradients).expect("embeddings")),
            floats(tracked.inner.grad(&gradients).expect("inner weights")),
            floats(tracked.outer.grad(&gradients).expect("outer weights")),
        ];
        for (which, ours) in ours.iter().enumerate() {
            for (entry, ours) in ours.iter().enumerate() {
                let at = |shift: f64| -> f64 {
                    let mut moved = toy().swap_remove(index);
                    let bump = |values: Vec<f64>| -> Vec<f64> {
                        let mut values = values;
                        values[entry] += shift;
                        values
                    };
                    match which {
                        0 => {
                            let shape = moved.embedded.dims();
                            moved.embedded = tensor(bump(floats(moved.embedded.inner())), shape);
                        }
                        1 => {
                            let shape = moved.inner.dims();
                            moved.inner = tensor(bump(floats(moved.inner.inner())), shape);
                        }
                        _ => {
                            let shape = moved.outer.dims();
                            moved.outer = tensor(bump(floats(moved.outer.inner())), shape);
                        }
                    }
                    penalty(&moved).into_scalar()
                };
                let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                assert!(
                    (ours - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "model {index}, tensor {which}, entry {entry}: {ours} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn gradients_of_every_regulariser_match_finite_differences() {
    check_gradient(Toy::every, &|toy| {
        let r_drop = RDrop::new(RDropConfig::default());
        r_drop.penalty(toy, &toy.training_pass()).value
    });
    for smart in every_smart() {
        // The perturbation is a constant of the penalty: it is found once, on the model as it is.
        let found: Vec<_> = Toy::every()
            .iter()
            .map(|toy| smart.perturbation(toy, &toy.training_pass(), start()))
            .collect();
        check_gradient(Toy::every, &|toy| {
            let index = match toy.output {
                OutputKind::Categorical => 0,
                OutputKind::Real => 1,
                OutputKind::Bernoulli => 2,
            };
            smart.penalty_at(toy, &toy.training_pass(), &found[index])
        });
    }
}

#[test]
fn penalties_are_never_negative_and_zero_without_change() {
    for mut toy in Toy::every() {
        let r_drop = RDrop::new(RDropConfig::default());
        let value = |toy: &Toy| {
            r_drop
                .penalty(toy, &toy.training_pass())
                .value
                .into_scalar()
        };
        assert!(value(&toy) > 0.0);
        toy.noise = 0.0;
        assert_eq!(value(&toy), 0.0);
        for smart in every_smart() {
            let found = smart.perturbation(&toy, &toy.training_pass(), start());
            assert!(
                smart
                    .penalty_at(&toy, &toy.training_pass(), &found)
                    .into_scalar()
                    > 0.0
            );
            let nothing = Perturbation {
                delta: start() * 0.0,
                ..found
            };
            let value = smart.penalty_at(&toy, &toy.training_pass(), &nothing);
            assert_eq!(value.into_scalar(), 0.0);
        }
    }
}

#[test]
fn an_ascent_raises_the_divergence_stays_in_its_ball_and_off_padding() {
    for toy in Toy::every() {
        let forward = toy.training_pass();
        for smart in every_smart() {
            let found = smart.perturbation(&toy, &forward, start());
            let delta = floats(found.delta.clone());
            let padding = (2 * LENGTH - 1) * HIDDEN;
            assert_eq!(delta[padding..padding + HIDDEN], [0.0; HIDDEN]);
            assert!(!found.skipped.clone().any().into_scalar());
            let largest = delta.iter().fold(0.0f64, |max, value| max.max(value.abs()));
            match smart.config().variant {
                SmartVariant::Paper => assert!(largest <= 0.2 + 1e-12),
                SmartVariant::MtDnn => assert!((0.5..=1.0).contains(&largest)),
            }
        }
        // A small ball, where the divergence is convex: going up its gradient helps.
        let smart = Smart::new(SmartConfig {
            epsilon: Some(1e-3),
            eta: 1.0,
            ..SmartConfig::default()
        });
        let start = start() * 1e-3;
        let found = smart.perturbation(&toy, &forward, start.clone());
        let at = |delta| {
            let perturbation = Perturbation {
                delta,
                ..found.clone()
            };
            smart
                .penalty_at(&toy, &forward, &perturbation)
                .into_scalar()
        };
        assert!(at(found.delta.clone()) > 2.0 * at(start));
    }
}

#[test]
fn the_ascent_leaves_no_gradient_on_weights() {
    let toy = Toy::new(OutputKind::Categorical, false).tracked();
    let leaf = start();
    let leaf = Tensor::<B, 3>::from_inner(leaf).require_grad();
    let logits = toy.classify_frozen(leaf.clone());
    let gradients = logits.sum().backward();
    assert!(leaf.grad(&gradients).is_some());
    assert!(toy.inner.grad(&gradients).is_none());
    assert!(toy.outer.grad(&gradients).is_none());
}

#[test]
fn an_example_without_a_finite_gradient_is_skipped_and_counted() {
    let mut toy = Toy::new(OutputKind::Real, false);
    toy.overflow = true;
    let toy = toy.tracked();
    let forward = toy.training_pass();
    let smart = wide_smart(SmartVariant::Paper, PerturbationNorm::Linf, 2);
    let found = smart.perturbation(&toy, &forward, start());
    let skipped: Vec<bool> = found.skipped.clone().into_data().iter().collect();
    assert_eq!(skipped, [true, false, false, false]);
    let delta = floats(found.delta.clone());
    assert!(delta.iter().all(|value| value.is_finite()));
    assert_eq!(delta[..LENGTH * HIDDEN], [0.0; LENGTH * HIDDEN]);
    let value = smart.penalty_at(&toy, &forward, &found).into_scalar();
    assert!(value.is_finite() && value > 0.0, "{value}");
    let penalty = Regulariser::<B>::penalty(&smart, &toy, &forward);
    let counted = penalty
        .measures
        .iter()
        .find(|it| it.name == smart::SKIPPED.name);
    assert_eq!(counted.expect("a count").value.clone().into_scalar(), 1.0);
}

/// A start that is nothing at all has no divergence and so no gradient: nothing is ascended, and that is counted.
#[test]
fn an_example_whose_gradient_is_zero_is_not_perturbed_and_counted() {
    let toy = Toy::new(OutputKind::Real, false).tracked();
    let smart = wide_smart(SmartVariant::Paper, PerturbationNorm::Linf, 1);
    let found = smart.perturbation(&toy, &toy.training_pass(), start().zeros_like());
    let flat: Vec<bool> = found.flat.into_data().iter().collect();
    assert_eq!(flat, [true; 4]);
    assert!(floats(found.delta).iter().all(|value| *value == 0.0));
    let found = smart.perturbation(&toy, &toy.training_pass(), start());
    let flat: Vec<bool> = found.flat.into_data().iter().collect();
    assert_eq!(flat, [false; 4]);
}

#[test]
fn a_model_in_half_precision_is_measured_in_f32() {
    use burn::backend::Flex;
    let half = |values: [f32; 4]| -> Tensor<Flex, 2> {
        let wide: Tensor<Flex, 2> = Tensor::from_data(
            TensorData::new(values.to_vec(), [2, 2]),
            (&Default::default(), DType::F32),
        );
        wide.cast(DType::F16)
    };
    let value = bertram_core::loss::divergence(
        OutputKind::Categorical,
        half([1.0, 2.0, 0.5, -1.0]),
        half([1.001, 2.0, 0.5, -1.0]),
    );
    assert_eq!(value.dtype(), DType::F32);
    let values: Vec<f32> = value.into_data().iter().collect();
    // 0.001 is 0.0009766 in f16; p(1-p) 0.0009766^2 = 1.875e-7, far below what f16 could add up.
    assert!((values[0] - 1.875e-7).abs() < 2e-9, "{values:?}");
    assert_eq!(values[1], 0.0);
}

#[test]
fn the_teacher_follows_its_model() {
    use burn::module::{Module, Param};

    #[derive(Module, Debug)]
    struct One<B: Backend> {
        weight: Param<Tensor<B, 1>>,
    }
    let weight = |value: f64| Param::from_tensor(tensor(vec![value], [1]));
    let mut model = One::<B> {
        weight: weight(1.0),
    };
    let teacher = Teacher::<B, One<B>>::of(&model);
    let id = model.weight.id;
    model.weight = Param::initialized(id, tensor(vec![3.0], [1]).require_grad());
    let teacher = teacher.follow(&model, 0.75, KernelKind::Fused);
    assert_eq!(teacher.module().weight.val().into_scalar(), 1.5);
    let teacher = teacher.follow(&model, 0.0, KernelKind::Fused);
    assert_eq!(teacher.module().weight.val().into_scalar(), 3.0);

    let config = BregmanConfig::default();
    assert_eq!(config.beta_at(9, 100), 0.99);
    assert_eq!(config.beta_at(10, 100), 0.999);
}
