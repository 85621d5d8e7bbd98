//! Updates with everything on (SMART on all three tasks, the Bregman term, PCGrad, clipping) give the same numbers on every
//! backend. On a GPU: `--features bertram-tests/vulkan` or `bertram-tests/cuda`.

use std::collections::HashMap;

use bertram_core::encoder::Pooling;
use bertram_core::task::TaskId;
use bertram_kernels::{KernelKind, TrainBackend};
use bertram_train::aggregator::AggregatorConfig;
use bertram_train::optim::AdamWConfig;
use bertram_train::regulariser::{
    BregmanConfig, Classifier, ForwardPass, Penalty, RDropConfig, Regulariser, RegulariserSettings,
    Smart, SmartConfig, Teacher,
};
use bertram_train::schedule::{Merge, OptimizerSlot};
use bertram_train::step::{UpdatePlan, UpdateSettings, UpdateState, Updater};
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{ElementConversion, Tensor, TensorData};

use crate::{tiny, turn};

const UPDATES: usize = 3;

/// SMART from a start that does not depend on the backend's random numbers.
struct FromStart(Smart);

impl<B: AutodiffBackend> Regulariser<B> for FromStart {
    fn name(&self) -> &'static str {
        "smart_penalty"
    }

    fn weight(&self) -> f64 {
        self.0.config().lambda
    }

    fn penalty(&self, model: &dyn Classifier<B>, forward: &ForwardPass<B>) -> Penalty<B> {
        let shape = forward.embedded.dims();
        let start = tiny::numbers(shape.iter().product(), 77);
        let start = Tensor::from_data(TensorData::new(start, shape), &forward.embedded.device());
        let found = self
            .0
            .perturbation(model, forward, start * self.0.config().sigma);
        Penalty {
            value: self.0.penalty_at(model, forward, &found),
            measures: Vec::new(),
        }
    }
}

/// Every number that a few updates leave behind.
struct Trace {
    losses: Vec<f64>,
    penalties: Vec<f64>,
    divergences: Vec<f64>,
    cosines: Vec<f64>,
    weights: Vec<f64>,
    parameters: Vec<f64>,
}

fn trace<B: TrainBackend>() -> Trace {
    trace_of_masks::<B>(Pooling::Mean, false, 1.0)
}

/// With masks that have `token` where there is a token.
fn trace_of_masks<B: TrainBackend>(pooling: Pooling, layer_mix: bool, token: f32) -> Trace {
    let _turn = turn();
    let device = B::Device::default();
    let mut model = tiny::model_with::<B>(&device, 0.0, |task| {
        (task.pooling, task.layer_mix) = (pooling, layer_mix);
    });
    let regularisers = RegulariserSettings {
        bregman: Some(BregmanConfig {
            beta: 0.5,
            late_beta: 0.5,
            ..BregmanConfig::default()
        }),
        ..RegulariserSettings::default()
    };
    let settings = tiny::pcgrad(1e-3, UPDATES, regularisers);
    let state = UpdateState {
        teacher: Some(Teacher::of(&model)),
        // A large eps keeps parameters without much gradient from stepping by its sign.
        ..UpdateState::plain(AdamWConfig {
            eps: 1e-3,
            ..AdamWConfig::default()
        })
    };
    let mut updater = Updater::new(settings, state, &model);
    // A maximum has kinks, and what SMART's ascent finds is f32's rounding in part: behind it another token may be the
    // greatest, and the losses of the third update are 1e-5 apart.
    let is_smooth = !pooling.has(Pooling::Max);
    for task in TaskId::PAPER.into_iter().filter(|_| is_smooth) {
        // Wide enough that the penalty is more than f32's rounding.
        let smart = Smart::new(SmartConfig {
            epsilon: Some(0.1),
            sigma: 0.05,
            eta: 0.2,
            ..SmartConfig::default()
        });
        updater.add_regulariser(task, Box::new(FromStart(smart)));
    }
    let mut trace = Trace {
        losses: Vec::new(),
        penalties: Vec::new(),
        divergences: Vec::new(),
        cosines: Vec::new(),
        weights: Vec::new(),
        parameters: Vec::new(),
    };
    for number in 0..UPDATES {
        let parts = TaskId::PAPER.map(|task| {
            let mut part = tiny::part::<B>(task, number, &device);
            for batch in &mut part.batches {
                let mask = batch.tokens.attention_mask.clone();
                batch.tokens.attention_mask = mask * token;
            }
            part
        });
        let plan = UpdatePlan {
            parts: &parts,
            merge: Merge::Aggregate,
            optimizer: OptimizerSlot::Main,
            number,
            lr_factor: 1.0,
            log_diagnostics: true,
            seed: number as u64,
        };
        let (next, output) = updater.update(model, &plan);
        model = next;
        let host = |value: Tensor<B::InnerBackend, 1>| value.into_scalar().elem::<f64>();
        trace
            .losses
            .extend(output.losses.into_iter().map(|(_, loss)| host(loss)));
        for (_, measure) in output.measures {
            match measure.name {
                "bregman" => trace.divergences.push(host(measure.value)),
                _ => trace.penalties.push(host(measure.value)),
            }
        }
        let merged = output.merged.expect("three tasks");
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            trace.cosines.push(merged.gram.cosine(i, j));
        }
        trace.weights.extend(merged.weights);
    }
    let mut read = Read(Vec::new());
    Module::<B>::visit(&model, &mut read);
    trace.parameters = read.0;
    trace
}

struct Read(Vec<f64>);

impl<B: Backend> ModuleVisitor<B> for Read {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.extend(param.val().into_data().iter::<f64>());
    }
}

fn close(what: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs
        .iter()
        .fold(0.0f64, |max, value| max.max(value.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (ours - theirs).abs() <= tolerance * scale,
            "{what} {index}: {ours} is not {theirs} (largest {scale})"
        );
    }
}

fn same(ours: &Trace, theirs: &Trace) {
    same_within(1.0, ours, theirs);
}

/// `noise` is how much coarser than f32 the products are.
fn same_within(noise: f64, ours: &Trace, theirs: &Trace) {
    close("loss", &ours.losses, &theirs.losses, 1e-4 * noise);
    close("penalty", &ours.penalties, &theirs.penalties, 1e-3 * noise);
    close(
        "divergence",
        &ours.divergences,
        &theirs.divergences,
        1e-2 * noise,
    );
    close("cosine", &ours.cosines, &theirs.cosines, 2e-3 * noise);
    close("weight", &ours.weights, &theirs.weights, 2e-3 * noise);
    close(
        "parameter",
        &ours.parameters,
        &theirs.parameters,
        1e-4 * noise,
    );
}

#[test]
fn ndarray_and_flex_agree() {
    let flex = trace::<Autodiff<Flex>>();
    assert_eq!(flex.losses.len(), 3 * UPDATES);
    assert_eq!(flex.penalties.len(), 3 * UPDATES);
    assert!(flex.penalties.iter().all(|penalty| *penalty > 1e-6));
    assert!(
        flex.divergences[..3].iter().all(|value| *value < 1e-9),
        "the teacher begins as the model"
    );
    assert!(flex.divergences[3..].iter().all(|value| *value > 0.0));
    assert!(
        flex.cosines.iter().any(|cosine| *cosine < 0.0),
        "there is a conflict to project: {:?}",
        flex.cosines
    );
    same(&trace::<Autodiff<NdArray>>(), &flex);
}

/// Rows of tokens, and a last layer that computes what is read, beside whole padded batches.
#[test]
fn what_flex_does_not_compute_changes_no_update() {
    // Where a token is not exactly 1 a mask is not taken for one of lengths. The shift is the same for all tokens of a
    // sequence, so it changes no probability.
    let almost_one = 1.0 - f32::EPSILON / 2.0;
    let cases = [
        ("cls", false),
        ("mean", false),
        ("pooler", false),
        ("max", false),
        ("attention", false),
        ("cls+mean", false),
        ("mean+max", false),
        ("cls", true),
        ("mean", true),
        ("attention+pooler", true),
    ];
    let mut apart = Vec::new();
    for (pooling, layer_mix) in cases {
        let of: Pooling = pooling.parse().expect("a pooling");
        let [packed, padded] =
            [1.0, almost_one].map(|token| trace_of_masks::<Autodiff<Flex>>(of, layer_mix, token));
        let parts = [
            ("loss", &packed.losses, &padded.losses),
            ("parameter", &packed.parameters, &padded.parameters),
        ];
        for (what, packed, padded) in parts {
            let scale = padded.iter().fold(0.0f64, |most, it| most.max(it.abs()));
            for (at, (a, b)) in packed.iter().zip(padded).enumerate() {
                if (a - b).abs() > 1e-6 * scale {
                    apart.push(format!("{pooling}, mix {layer_mix}, {what} {at}: {a}, {b}"));
                }
            }
        }
        if apart.is_empty() {
            same_within(0.1, &packed, &padded);
        }
    }
    assert!(apart.is_empty(), "{apart:#?}");
}

/// What is new since the fused kernels: no backend has kernels of its own for it, and all agree.
#[test]
fn backends_agree_on_poolings_and_mixes() {
    for (pooling, layer_mix) in [("mean+max", false), ("attention+cls", true)] {
        let pooling: Pooling = pooling.parse().expect("a pooling");
        let flex = trace_of_masks::<Autodiff<Flex>>(pooling, layer_mix, 1.0);
        same(
            &trace_of_masks::<Autodiff<NdArray>>(pooling, layer_mix, 1.0),
            &flex,
        );
        #[cfg(feature = "libtorch")]
        same_within(
            0.1,
            &trace_of_masks::<Autodiff<burn::backend::LibTorch>>(pooling, layer_mix, 1.0),
            &flex,
        );
    }
}

/// Loss, and its gradient with respect to the vectors, of each task under so many masks of a head dropout.
fn losses_of_samples(dropout: f64, samples: usize) -> Vec<(f64, Vec<f64>)> {
    type B = Autodiff<Flex>;
    let device = Default::default();
    // The little noise that weights begin with.
    Flex::seed(&device, 5);
    let model = tiny::model_with::<B>(&device, 0.0, |task| {
        task.head_dropout = dropout;
        task.loss_options.dropout_samples = samples;
    });
    let found = TaskId::PAPER.map(|task| {
        let part = tiny::part::<B>(task, 0, &device);
        let batch = &part.batches[0];
        let head = model.head(task).expect("a head");
        let pooled = model.pooled(head, batch).detach().require_grad();
        let labels = batch.labels.clone().expect("labels");
        let (logits, loss) = head.logits_and_loss(pooled.clone(), labels.clone(), None);
        assert_eq!(logits.dims()[0], 3);
        let gradients = loss.backward();
        let gradient = pooled.grad(&gradients).expect("a gradient").into_data();
        (loss.into_scalar().elem(), gradient.iter::<f64>().collect())
    });
    found.into()
}

/// Inoue 2019: the loss under several masks is the mean of the losses, and so is its gradient.
#[test]
fn several_dropout_masks_give_the_mean_of_their_losses() {
    const SAMPLES: usize = 3;
    let _turn = turn();
    let device = Default::default();
    for task in 0..3 {
        // The random numbers of one task at a time: those of the others' would come between.
        let with = |samples: usize| {
            Flex::seed(&device, 5);
            let model = tiny::model_with::<Autodiff<Flex>>(&device, 0.0, |task| {
                task.head_dropout = 0.4;
                task.loss_options.dropout_samples = samples;
            });
            let id = TaskId::PAPER[task];
            let part = tiny::part::<Autodiff<Flex>>(id, 0, &device);
            let head = model.head(id).expect("a head").clone();
            let pooled = model.pooled(&head, &part.batches[0]).detach();
            (
                head,
                pooled,
                part.batches[0].labels.clone().expect("labels"),
            )
        };
        let measure = |samples: usize, times: usize| -> Vec<f64> {
            let (head, pooled, labels) = with(samples);
            Flex::seed(&device, 7);
            let mut mean: Vec<f64> = Vec::new();
            for _ in 0..times {
                let pooled = pooled.clone().require_grad();
                let (_, loss) = head.logits_and_loss(pooled.clone(), labels.clone(), None);
                let gradient = pooled.grad(&loss.backward()).expect("a gradient");
                let mut numbers = vec![loss.into_scalar().elem::<f64>()];
                numbers.extend(gradient.into_data().iter::<f64>());
                mean.resize(numbers.len(), 0.0);
                for (mean, number) in mean.iter_mut().zip(numbers) {
                    *mean += number / times as f64;
                }
            }
            mean
        };
        let (at_once, one_by_one) = (measure(SAMPLES, 1), measure(1, SAMPLES));
        close("loss and gradient", &at_once, &one_by_one, 1e-6);
        assert!(
            (at_once[0] - measure(1, 1)[0]).abs() > 1e-6,
            "masks differ: {at_once:?}"
        );
    }
    // Without dropout nothing is computed again, bit for bit.
    assert_eq!(losses_of_samples(0.0, 4), losses_of_samples(0.0, 1));
}

/// Parameters after an update of all tasks, with dropout: a term that draws a random number too many shows.
fn parameters_after(regularisers: RegulariserSettings) -> Vec<f64> {
    parameters_with::<Autodiff<Flex>>(KernelKind::Fused, regularisers)
}

fn parameters_with<B: TrainBackend>(
    kernels: KernelKind,
    regularisers: RegulariserSettings,
) -> Vec<f64> {
    let _turn = turn();
    let device = Default::default();
    B::seed(&device, 5);
    let mut model = tiny::model::<B>(&device, 0.1);
    model.encoder = model.encoder.with_kernels(kernels);
    let state = UpdateState {
        teacher: regularisers.bregman.as_ref().map(|_| Teacher::of(&model)),
        ..UpdateState::plain(AdamWConfig::default())
    };
    let settings = UpdateSettings {
        learning_rate: 1e-3,
        head_learning_rate: 1e-3,
        module_rates: Default::default(),
        max_grad_norm: 0.0,
        weights: HashMap::new(),
        aggregator: AggregatorConfig::default(),
        regularisers,
        updates: 1,
    };
    let parts = TaskId::PAPER.map(|task| tiny::part::<B>(task, 0, &device));
    let plan = UpdatePlan {
        parts: &parts,
        merge: Merge::Aggregate,
        optimizer: OptimizerSlot::Main,
        number: 0,
        lr_factor: 1.0,
        log_diagnostics: false,
        seed: 0,
    };
    let mut updater = Updater::new(settings, state, &model);
    let (model, _) = updater.update(model, &plan);
    let mut read = Read(Vec::new());
    Module::<B>::visit(&model, &mut read);
    read.0
}

/// With dropout and SMART's own random numbers: the seed decides, and nothing else.
#[cfg(feature = "libtorch")]
#[test]
fn libtorch_repeats_an_update_bit_for_bit() {
    type B = Autodiff<burn::backend::LibTorch>;
    let regularisers = || RegulariserSettings {
        smart: Some(SmartConfig::default()),
        bregman: Some(BregmanConfig::default()),
        ..RegulariserSettings::default()
    };
    let update = || parameters_with::<B>(KernelKind::Fused, regularisers());
    assert_eq!(update(), update());
}

#[test]
fn activation_checkpointing_changes_nothing() {
    for kernels in [KernelKind::Fused, KernelKind::Composed] {
        let regularisers = || RegulariserSettings {
            smart: Some(SmartConfig::default()),
            bregman: Some(BregmanConfig::default()),
            ..RegulariserSettings::default()
        };
        let kept = parameters_with::<Autodiff<Flex>>(kernels, regularisers());
        let again =
            parameters_with::<Autodiff<Flex, BalancedCheckpointing>>(kernels, regularisers());
        assert_eq!(kept, again, "{kernels:?}");
    }
}

#[test]
fn a_regulariser_of_weight_0_changes_nothing() {
    let none = parameters_after(RegulariserSettings::default());
    let smart = |lambda| RegulariserSettings {
        smart: Some(SmartConfig {
            lambda,
            ..SmartConfig::default()
        }),
        ..RegulariserSettings::default()
    };
    let r_drop = |alpha| RegulariserSettings {
        r_drop: Some(RDropConfig {
            alpha,
            ..RDropConfig::default()
        }),
        ..RegulariserSettings::default()
    };
    let bregman = |mu| RegulariserSettings {
        bregman: Some(BregmanConfig {
            mu,
            ..BregmanConfig::default()
        }),
        ..RegulariserSettings::default()
    };
    let every: [(&str, &dyn Fn(f64) -> RegulariserSettings); 3] = [
        ("smart", &smart),
        ("r-drop", &r_drop),
        ("bregman", &bregman),
    ];
    for (name, settings) in every {
        assert_eq!(parameters_after(settings(0.0)), none, "{name}");
        assert_ne!(
            parameters_after(settings(1.0)),
            none,
            "{name} does something"
        );
    }
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_agrees() {
    same(
        &trace::<Autodiff<burn::backend::Wgpu>>(),
        &trace::<Autodiff<Flex>>(),
    );
}

/// A tenth of what other backends are allowed: losses and parameters within 1e-5.
#[cfg(feature = "libtorch")]
#[test]
fn libtorch_agrees() {
    same_within(
        0.1,
        &trace::<Autodiff<burn::backend::LibTorch>>(),
        &trace::<Autodiff<Flex>>(),
    );
}

/// Burn computes f32 products in TF32 where that is fastest.
#[cfg(feature = "cuda")]
#[test]
fn cuda_agrees() {
    same_within(
        20.0,
        &trace::<Autodiff<burn::backend::Cuda>>(),
        &trace::<Autodiff<Flex>>(),
    );
}
