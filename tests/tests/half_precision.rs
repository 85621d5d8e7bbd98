//! Updates in half precision: they go where those in f32 go, parameters stay in f32, and what overflows is left out.

#[path = "support/tiny.rs"]
mod tiny;

use std::collections::HashMap;

use bertram_core::task::TaskId;
use bertram_kernels::Precision;
use bertram_train::aggregator::{AggregatorConfig, AggregatorKind};
use bertram_train::loss_scale::LossScale;
use bertram_train::optim::AdamWConfig;
use bertram_train::regulariser::{
    BregmanConfig, RegulariserSettings, SmartConfig, SmartVariant, Teacher,
};
use bertram_train::schedule::{Merge, OptimizerSlot};
use bertram_train::step::{UpdateOutput, UpdatePlan, UpdateSettings, UpdateState, Updater};
use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

type B = Autodiff<Flex>;

/// One update of all tasks, with SMART's larger variant, the Bregman term, PCGrad and clipping: parameters before and
/// after, what it left to look at, and the state.
struct Updated {
    before: Vec<f64>,
    after: Vec<f64>,
    output: UpdateOutput<Flex>,
    scale: Option<LossScale>,
}

fn update(precision: Precision, scale: Option<LossScale>) -> Updated {
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
    let settings = UpdateSettings {
        learning_rate: 1e-2,
        head_learning_rate: 1e-2,
        max_grad_norm: 1.0,
        weights: HashMap::new(),
        aggregator: AggregatorConfig {
            kind: AggregatorKind::Pcgrad,
            ..AggregatorConfig::default()
        },
        regularisers: RegulariserSettings {
            smart: Some(SmartConfig {
                variant: SmartVariant::MtDnn,
                epsilon: None,
                lambda: 0.1,
                ..SmartConfig::default()
            }),
            bregman: Some(BregmanConfig::default()),
            ..RegulariserSettings::default()
        },
        updates: 1,
    };
    let parts = TaskId::ALL.map(|task| tiny::part::<B>(task, 0, &device));
    let plan = UpdatePlan {
        parts: &parts,
        merge: Merge::Aggregate,
        optimizer: OptimizerSlot::Main,
        number: 0,
        factor: 1.0,
        look: true,
        seed: 0,
    };
    let before = parameters(&model);
    let mut updater = Updater::new(settings, state, &model);
    let (model, output) = updater.update(model, &plan);
    Updated {
        before,
        after: parameters(&model),
        output,
        scale: updater.state().loss_scale,
    }
}

fn parameters<M: Module<B>>(model: &M) -> Vec<f64> {
    struct Read(Vec<f64>);
    impl ModuleVisitor<B> for Read {
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

fn measured(output: &UpdateOutput<Flex>, name: &str) -> Vec<f32> {
    let of_name = output.measures.iter().filter(|(_, it)| it.name == name);
    of_name
        .map(|(_, measure)| measure.value.clone().into_scalar())
        .collect()
}

/// One test: the backend's random numbers belong to the process.
#[test]
fn half_precision_follows_f32() {
    let full = update(Precision::F32, None);
    assert_ne!(full.before, full.after);
    assert!(cosine(&full, &update(Precision::F32, None)) > 1.0 - 1e-12);
    for (precision, scale, least) in [
        (Precision::Bf16, None, 0.98),
        (Precision::F16, Some(LossScale::default()), 0.999),
    ] {
        let half = update(precision, scale);
        let found = cosine(&full, &half);
        assert!(found > least, "{precision:?}: {found}");
        assert_ne!(half.after, full.after, "{precision:?} was computed in");
        for ((_, full), (_, half)) in full.output.losses.iter().zip(&half.output.losses) {
            assert_eq!(half.dtype(), DType::F32);
            let (full, half) = (full.clone().into_scalar(), half.clone().into_scalar());
            assert!(
                (full - half).abs() < 0.02 * full,
                "{precision:?}: {half} is not {full}"
            );
        }
        let (full, half) = (&full.output.gradient_norm, &half.output.gradient_norm);
        let [full, half] = [full, half].map(|it| it.clone().expect("looked at").into_scalar());
        assert!(
            (full - half).abs() < 0.03 * full,
            "{precision:?}: {half} is not {full}"
        );
        if let Some(scale) = scale {
            let half = update(precision, Some(scale));
            assert_eq!(measured(&half.output, "loss_scale"), [65_536.0; 3]);
            assert_eq!(measured(&half.output, "gradient_overflows"), [0.0; 3]);
        }
    }

    // A scale that f32 itself cannot hold.
    let too_large = LossScale::new(1e39);
    let left_out = update(Precision::F16, Some(too_large));
    assert_eq!(left_out.before, left_out.after);
    let halved = left_out.scale.expect("it has one");
    assert_eq!(halved.factor(), too_large.factor() / 2.0);
    assert_eq!(measured(&left_out.output, "gradient_overflows"), [1.0; 3]);
    // And without one, small gradients vanish: that is what it is for.
    let vanished = update(Precision::F16, Some(LossScale::new(1e-7)));
    assert!(cosine(&full, &vanished) < 0.9);
}
