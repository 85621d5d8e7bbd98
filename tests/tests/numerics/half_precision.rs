//! Updates in half precision: they go where those in f32 go, parameters stay in f32, and what overflows is left out. On a GPU:
//! `--features bertram-tests/cuda`.

use bertram_core::loss::OutputKind;
use bertram_core::task::TaskId;
use bertram_kernels::{Precision, TrainBackend};
use bertram_train::loss_scale::LossScale;
use bertram_train::optim::AdamWConfig;
use bertram_train::regulariser::{
    BregmanConfig, RegulariserSettings, SmartConfig, SmartVariant, Teacher,
};
use bertram_train::schedule::{Merge, OptimizerSlot};
use bertram_train::step::{TaskPart, UpdatePlan, UpdateSettings, UpdateState, Updater};
use bertram_train::weighting::Uncertainty;
use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, ElementConversion, Tensor};

use crate::{tiny, turn};

/// SMART in its larger variant, the Bregman term, PCGrad and clipping.
fn settings() -> UpdateSettings {
    let regularisers = RegulariserSettings {
        smart: Some(SmartConfig {
            variant: SmartVariant::MtDnn,
            epsilon: None,
            lambda: 0.1,
            ..SmartConfig::default()
        }),
        bregman: Some(BregmanConfig::default()),
        ..RegulariserSettings::default()
    };
    tiny::pcgrad(1e-2, 1, regularisers)
}

/// One update of all tasks.
fn plan<B: Backend>(parts: &[TaskPart<B>]) -> UpdatePlan<'_, B> {
    UpdatePlan {
        parts,
        merge: Merge::Aggregate,
        optimizer: OptimizerSlot::Main,
        number: 0,
        lr_factor: 1.0,
        log_diagnostics: true,
        seed: 0,
    }
}

/// What an update did: parameters before and
/// after, what it left to look at, and the loss scale.
struct Updated {
    before: Vec<f64>,
    after: Vec<f64>,
    losses: Vec<f64>,
    gradient_norm: Option<f64>,
    measures: Vec<(&'static str, f64)>,
    scale: Option<LossScale>,
}

fn update<B: TrainBackend>(precision: Precision, scale: Option<LossScale>) -> Updated {
    let device = Default::default();
    B::seed(&device, 5);
    let mut model = tiny::model::<B>(&device, 0.0);
    model.encoder = model.encoder.with_precision(precision);
    let state = UpdateState {
        teacher: Some(Teacher::of(&model)),
        loss_scale: scale,
        // A large eps keeps parameters without much gradient from stepping by its sign.
        ..UpdateState::plain(AdamWConfig {
            eps: 1e-2,
            ..AdamWConfig::default()
        })
    };
    let parts = TaskId::PAPER.map(|task| tiny::part::<B>(task, 0, &device));
    let before = parameters::<B, _>(&model);
    let mut updater = Updater::new(settings(), state, &model);
    let (model, output) = updater.update(model, &plan(&parts));
    let host = |value: Tensor<B::InnerBackend, 1>| {
        assert_eq!(value.dtype(), DType::F32);
        value.into_scalar().elem::<f64>()
    };
    let losses = output.losses.into_iter().map(|(_, loss)| host(loss));
    let measures = output.measures.into_iter();
    Updated {
        before,
        after: parameters::<B, _>(&model),
        losses: losses.collect(),
        gradient_norm: output.gradient_norm.map(host),
        measures: measures.map(|(_, it)| (it.name, host(it.value))).collect(),
        scale: updater.state().loss_scale,
    }
}

fn parameters<B: Backend, M: Module<B>>(model: &M) -> Vec<f64> {
    struct Read(Vec<f64>);
    impl<B: Backend> ModuleVisitor<B> for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            assert_eq!(param.val().dtype(), DType::F32);
            self.0.extend(param.val().into_data().iter::<f64>());
        }
    }
    let mut read = Read(Vec::new());
    model.visit(&mut read);
    read.0
}

fn cosine(one: &Updated, other: &Updated) -> f64 {
    let moved = |it: &Updated| -> Vec<f64> {
        let pairs = it.after.iter().zip(&it.before);
        pairs.map(|(after, before)| after - before).collect()
    };
    let (one, other) = (moved(one), moved(other));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt()
}

fn measured(updated: &Updated, name: &str) -> Vec<f64> {
    let of_name = updated.measures.iter().filter(|(it, _)| *it == name);
    of_name.map(|(_, value)| *value).collect()
}

/// Half precision on `B` against f32 on flex.
fn follows<B: TrainBackend>(full: &Updated) {
    for (precision, scale, least) in [
        (Precision::Bf16, None, 0.98),
        (Precision::F16, Some(LossScale::default()), 0.999),
    ] {
        let half = update::<B>(precision, scale);
        let found = cosine(full, &half);
        assert!(found > least, "{precision:?}: {found}");
        assert_ne!(half.after, full.after, "{precision:?} was computed in");
        assert_eq!(half.losses.len(), 3);
        for (full, half) in full.losses.iter().zip(&half.losses) {
            assert!(
                (full - half).abs() < 0.02 * full,
                "{precision:?}: {half} is not {full}"
            );
        }
        let norms = [full.gradient_norm, half.gradient_norm];
        let [of_full, of_half] = norms.map(|it| it.expect("looked at"));
        assert!(
            (of_full - of_half).abs() < 0.03 * of_full,
            "{precision:?}: {of_half} is not {of_full}"
        );
        if scale.is_some() {
            assert_eq!(measured(&half, "loss_scale"), [65_536.0; 3]);
            assert_eq!(measured(&half, "gradient_overflows"), [0.0; 3]);
        }
    }

    // A scale that f32 itself cannot hold.
    let too_large = LossScale::new(1e39);
    let left_out = update::<B>(Precision::F16, Some(too_large));
    assert_eq!(left_out.before, left_out.after);
    let halved = left_out.scale.expect("it has one");
    assert_eq!(halved.factor(), too_large.factor() / 2.0);
    assert_eq!(measured(&left_out, "gradient_overflows"), [1.0; 3]);
    // And without one, small gradients vanish: that is what it is for.
    let vanished = update::<B>(Precision::F16, Some(LossScale::new(1e-7)));
    assert!(cosine(full, &vanished) < 0.9);
}

#[test]
fn half_precision_follows_f32() {
    let _turn = turn();
    let full = update::<Autodiff<Flex>>(Precision::F32, None);
    assert_ne!(full.before, full.after);
    let again = update::<Autodiff<Flex>>(Precision::F32, None);
    assert!(cosine(&full, &again) > 1.0 - 1e-12);
    follows::<Autodiff<Flex>>(&full);
}

/// An update whose gradients overflowed leaves the learnt weights of the losses, too.
#[test]
fn an_overflow_leaves_out_the_whole_update() {
    let _turn = turn();
    type B = Autodiff<Flex>;
    let device = Default::default();
    let mut weights = Vec::new();
    let outputs = [
        OutputKind::Categorical,
        OutputKind::Bernoulli,
        OutputKind::Real,
    ];
    let outputs: Vec<_> = TaskId::PAPER.into_iter().zip(outputs).collect();
    for scale in [1.0, 1e39] {
        let mut model = tiny::model::<B>(&device, 0.0);
        model.encoder = model.encoder.with_precision(Precision::F16);
        let state = UpdateState {
            uncertainty: Some(Uncertainty::new(outputs.clone(), 0.1, &device)),
            loss_scale: Some(LossScale::new(scale)),
            ..UpdateState::plain(AdamWConfig::default())
        };
        let parts = TaskId::PAPER.map(|task| tiny::part::<B>(task, 0, &device));
        let mut updater = Updater::new(settings(), state, &model);
        updater.update(model, &plan(&parts));
        let uncertainty = updater.state().uncertainty.as_ref().expect("it has one");
        weights.push(TaskId::PAPER.map(|task| {
            let weight = uncertainty.weight(task).expect("a task");
            weight.into_scalar()
        }));
    }
    assert!(weights[0].iter().all(|weight| *weight != 1.0));
    assert_eq!(weights[1], [1.0; 3]);
}

#[cfg(feature = "libtorch")]
#[test]
fn libtorch_follows_f32() {
    let _turn = turn();
    let full = update::<Autodiff<Flex>>(Precision::F32, None);
    follows::<Autodiff<burn::backend::LibTorch>>(&full);
}

#[cfg(feature = "cuda")]
#[test]
fn cuda_follows_f32() {
    let _turn = turn();
    let full = update::<Autodiff<Flex>>(Precision::F32, None);
    follows::<Autodiff<burn::backend::Cuda>>(&full);
}
