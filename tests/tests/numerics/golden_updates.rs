//! Whole updates against `transformers` and PyTorch's autograd (`golden/updates/export.py`): a tiny BERT with three
//! heads, trained by [`Updater`], ends where the same formulas in Python end.
//!
//! The references are computed in f64. On flex everything agrees to 1e-5, relative to the largest value of a tensor; on
//! ndarray parameters agree to 2e-5 absolute, and its gradients to what its division allows (see [`NDARRAY`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bertram_core::data::{TaskBatch, TokenBatch};
use bertram_core::encoder::{
    BertConfig, Pooling, load_encoder, load_tensors, save_encoder, save_tensors,
};
use bertram_core::head::{HeadKind, Threshold, cosine_similarity};
use bertram_core::loss::{LossKind, LossOptions};
use bertram_core::task::{MultitaskModel, TaskConfig, TaskHead, TaskId, TaskMap, TaskSpec};
use bertram_kernels::TrainBackend;
use bertram_train::aggregator::{AggregatorConfig, AggregatorKind};
use bertram_train::optim::{AdamW, AdamWConfig};
use bertram_train::regulariser::{BregmanConfig, RegulariserSettings, Teacher};
use bertram_train::schedule::{
    EpochContext, EpochEndSurgery, Merge, OptimizerSlot, Order, Schedule, Sequential, Update,
};
use bertram_train::step::{
    TaskPart, UpdateOutput, UpdatePlan, UpdateSettings, UpdateState, Updater,
};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::turn;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/updates")
        .join(name)
}

fn reference() -> Value {
    serde_json::from_slice(&std::fs::read(golden("updates.json")).expect("updates.json"))
        .expect("JSON")
}

/// All numbers of a list, or of a list of lists.
fn floats(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(values) => values.iter().flat_map(floats).collect(),
        None => vec![value.as_f64().expect("a number")],
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn count(value: &Value) -> usize {
    value.as_u64().expect("a count") as usize
}

fn task(value: &Value) -> TaskId {
    TaskId::new(value.as_str().expect("a name")).expect("a task")
}

fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().expect("a number")
}

fn largest(values: &[f64]) -> f64 {
    let larger = |largest: f64, value: &f64| largest.max(value.abs());
    values.iter().fold(0.0, larger)
}

/// Compares relative to the largest value that is expected.
fn check(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    check_absolute(what, ours, expected, tolerance * largest(expected));
}

fn check_absolute(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let gaps: Vec<f64> = ours.iter().zip(expected).map(|(a, b)| a - b).collect();
    let error = largest(&gaps);
    assert!(
        ours.iter().all(|value| value.is_finite()) && error <= tolerance,
        "{what}: {error:.1e} from what is expected, and {tolerance:.1e} is allowed"
    );
}

/// A tensor file: name to values.
fn tensors(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let bytes = std::fs::read(path).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    file.iter()
        .map(|(name, view)| {
            let words = view.data().chunks_exact(4);
            let values = words.map(|word| f32::from_le_bytes(word.try_into().expect("4 bytes")));
            (name.to_owned(), values.map(f64::from).collect())
        })
        .collect()
}

fn head_configs(sts: LossKind, margin: f64) -> Vec<TaskConfig> {
    let config = |task, head, loss, pooling| TaskConfig {
        task,
        spec: TaskSpec::preset(task).expect("a preset"),
        head,
        loss,
        pooling,
        layer_mix: false,
        head_dropout: 0.0,
        threshold: Threshold::Calibrated,
        margin,
        loss_options: LossOptions::default(),
    };
    vec![
        config(
            TaskId::SST,
            HeadKind::Linear,
            LossKind::CrossEntropy,
            Pooling::Pooler,
        ),
        config(TaskId::PARA, HeadKind::Cosine, LossKind::Bce, Pooling::Mean),
        config(TaskId::STS, HeadKind::Cosine, sts, Pooling::Cls),
    ]
}

/// A backend, and how far from the reference its results may be.
#[derive(Clone, Copy)]
struct On {
    backend: &'static str,
    /// Of parameters after updates: a bound relative to the largest value of each tensor, or an absolute one.
    parameters: Bound,
    /// Of what is computed from gradients (cosines, weights, norms), relative.
    gradients: f64,
    /// Of outputs after updates, relative.
    outputs: f64,
}

#[derive(Clone, Copy)]
enum Bound {
    Relative(f64),
    Absolute(f64),
}

const FLEX: On = On {
    backend: "flex",
    parameters: Bound::Relative(1e-5),
    gradients: 1e-5,
    outputs: 2e-6,
};

/// burn-ndarray 0.21 differentiates quotients (in LayerNorm and softmax) with the processor's approximate reciprocal,
/// of 14 bits where there is AVX-512 and 12 elsewhere. Its gradients are that far from the truth, and a small cosine of two
/// of them farther (1e-3 and 2e-3 relative, on a machine of each kind); the parameters that they lead to, by steps of 5e-2 at
/// most, are held to 2e-5 absolute.
const NDARRAY: On = On {
    backend: "ndarray",
    parameters: Bound::Absolute(2e-5),
    gradients: 6e-3,
    outputs: 1e-5,
};

#[cfg(feature = "libtorch")]
const LIBTORCH: On = On {
    backend: "libtorch",
    ..FLEX
};

/// Losses and other values of a forward pass, relative.
const FORWARD: f64 = 1e-5;

/// The tiny model and its data.
struct Case<B: AutodiffBackend> {
    on: On,
    reference: Value,
    config: BertConfig,
    model: MultitaskModel<B>,
}

impl<B: TrainBackend> Case<B> {
    fn new(on: On) -> Self {
        Self::with_sts(on, LossKind::Mse, 0.0)
    }

    fn with_sts(on: On, loss: LossKind, margin: f64) -> Self {
        let device = B::Device::default();
        let (config, encoder, _) = load_encoder::<B>(&golden("tiny"), &device).expect("an encoder");
        let heads: Vec<TaskHead<B>> = head_configs(loss, margin)
            .into_iter()
            .map(|head| TaskHead::new(head, config.hidden_size, 0.02, &device))
            .collect();
        let heads = load_tensors(&golden("tiny/heads.safetensors"), heads, &device).expect("heads");
        Self {
            on,
            reference: reference(),
            model: MultitaskModel::new(encoder, heads),
            config,
        }
    }

    fn batch(&self, task: TaskId, index: usize) -> TaskBatch<B> {
        let data = &self.reference["data"][task.name()][index];
        let device = B::Device::default();
        let rows = data["ids"].as_array().expect("rows").len();
        let ids: Vec<i32> = floats(&data["ids"])
            .into_iter()
            .map(|id| id as i32)
            .collect();
        let shape = [rows, ids.len() / rows];
        let real = |name: &str| floats(&data[name]);
        let labels = real("labels");
        TaskBatch {
            task,
            examples: labels.len(),
            token_count: real("mask").iter().sum::<f64>() as usize,
            pooled: None,
            weights: None,
            tokens: TokenBatch {
                token_type_ids: Tensor::zeros(shape, &device),
                input_ids: Tensor::from_data(TensorData::new(ids, shape), &device),
                attention_mask: Tensor::from_data(
                    TensorData::new(real("mask"), shape),
                    (&device, DType::F32),
                ),
            },
            labels: Some(Tensor::from_data(
                TensorData::new(labels.clone(), [labels.len()]),
                (&device, DType::F32),
            )),
        }
    }

    fn part(&self, task: TaskId, batches: &[usize]) -> TaskPart<B> {
        TaskPart {
            task,
            batches: batches
                .iter()
                .map(|&index| self.batch(task, index))
                .collect(),
        }
    }

    /// Settings of a section of the reference.
    fn settings(&self, section: &str) -> UpdateSettings {
        let section = &self.reference[section];
        UpdateSettings {
            learning_rate: number(&section["rate"]),
            head_learning_rate: number(&section["head_rate"]),
            module_rates: Default::default(),
            max_grad_norm: 0.0,
            weights: Default::default(),
            aggregator: AggregatorConfig::default(),
            regularisers: RegulariserSettings::default(),
            updates: 5,
        }
    }

    fn adamw(&self, section: &str) -> AdamWConfig {
        let section = &self.reference[section];
        AdamWConfig {
            eps: number(&section["eps"]),
            weight_decay: number(&section["weight_decay"]),
            ..AdamWConfig::default()
        }
    }

    fn run(
        &mut self,
        updater: &mut Updater<B>,
        plan: &UpdatePlan<'_, B>,
    ) -> UpdateOutput<B::InnerBackend> {
        let (model, output) = updater.update(self.model.clone(), plan);
        self.model = model;
        output
    }

    fn check(&self, what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
        let what = format!("{}, {what}", self.on.backend);
        check(&what, ours, expected, tolerance);
    }

    /// Compares every parameter with those of a file whose names have this prefix.
    fn check_parameters(&self, model: &MultitaskModel<B>, file: &str, prefix: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        save_encoder(folder.path(), &self.config, &model.encoder).expect("the encoder");
        let heads = folder.path().join("heads.safetensors");
        save_tensors(&heads, &model.heads).expect("the heads");
        let mut ours = BTreeMap::new();
        for (name, path) in [
            ("encoder", folder.path().join("model.safetensors")),
            ("heads", heads),
        ] {
            let of_file = tensors(&path).into_iter();
            ours.extend(
                of_file.map(|(tensor, values)| (format!("{prefix}{name}/{tensor}"), values)),
            );
        }
        let mut expected = tensors(&golden(&format!("{file}.safetensors")));
        expected.retain(|name, _| name.starts_with("teacher/") == (prefix == "teacher/"));
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (name, ours) in &ours {
            let what = format!("{}, {file}, {name}", self.on.backend);
            match self.on.parameters {
                Bound::Relative(bound) => check(&what, ours, &expected[name], bound),
                Bound::Absolute(bound) => check_absolute(&what, ours, &expected[name], bound),
            }
        }
    }
}

/// An update that takes one batch of each of its parts' tasks.
fn plan<B: Backend>(parts: &[TaskPart<B>], number: usize) -> UpdatePlan<'_, B> {
    UpdatePlan {
        parts,
        merge: Merge::Aggregate,
        optimizer: OptimizerSlot::Main,
        number,
        lr_factor: 1.0,
        log_diagnostics: false,
        seed: 0,
    }
}

/// Runs a test on both backends.
macro_rules! on_both_backends {
    ($($name:ident => $run:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let _turn = turn();
            $run::<Autodiff<Flex>>(FLEX);
            $run::<Autodiff<NdArray>>(NDARRAY);
            #[cfg(feature = "libtorch")]
            $run::<Autodiff<burn::backend::LibTorch>>(LIBTORCH);
        }
    )*};
}

on_both_backends! {
    five_updates_of_the_course_s_adamw => adamw,
    bregman_follows_with_a_teacher => bregman_with_teacher,
    bregman_without_memory_changes_nothing => bregman_basic,
    two_epochs_that_end_in_surgery => epoch_end_surgery,
    one_combined_update => combined,
    cosine_embedding_loss => cosine_embedding,
}

/// Weight decay, a large eps, two learning rates, and heads that take fewer steps than the encoder.
fn adamw<B: TrainBackend>(on: On) {
    let mut case = Case::<B>::new(on);
    let section = case.reference["adamw"].clone();
    let state = UpdateState::plain(case.adamw("adamw"));
    let mut updater = Updater::new(case.settings("adamw"), state, &case.model);
    let mut losses = Vec::new();
    for update in 0..5 {
        let parts = [case.part(
            task(&section["tasks"][update]),
            &[count(&section["batches"][update])],
        )];
        let plan = UpdatePlan {
            lr_factor: number(&section["factors"][update]),
            ..plan(&parts, update)
        };
        let output = case.run(&mut updater, &plan);
        losses.push(scalar(output.losses[0].1.clone()));
    }
    case.check(
        "adamw, losses",
        &losses,
        &floats(&section["losses"]),
        on.gradients,
    );
    case.check_parameters(&case.model, "adamw", "");
}

/// A divergence between equal outputs: a pass that keeps a graph and one that does not may round differently.
const NO_GAP: f64 = 1e-12;

/// Five updates of single tasks with the Bregman term; the divergences that were measured and the last teacher.
fn bregman<B: TrainBackend>(
    case: &mut Case<B>,
    beta: f64,
    late_beta: f64,
) -> (Vec<f64>, MultitaskModel<B>) {
    let section = case.reference["bregman"].clone();
    let mut settings = case.settings("bregman");
    settings.regularisers.bregman = Some(BregmanConfig {
        mu: number(&section["mu"]),
        beta,
        late_beta,
        late_from: number(&section["late_from"]),
        ..BregmanConfig::default()
    });
    let state = UpdateState {
        teacher: Some(Teacher::of(&case.model)),
        ..UpdateState::plain(case.adamw("bregman"))
    };
    let mut updater = Updater::new(settings, state, &case.model);
    let mut divergences = Vec::new();
    for update in 0..5 {
        let parts = [case.part(
            task(&section["tasks"][update]),
            &[count(&section["batches"][update])],
        )];
        let output = case.run(&mut updater, &plan(&parts, update));
        let (_, measure) = &output.measures[0];
        assert_eq!((measure.name, output.measures.len()), ("bregman", 1));
        divergences.push(scalar(measure.value.clone()));
    }
    let teacher = updater.state().teacher.as_ref().expect("a teacher");
    let teacher = burn::module::AutodiffModule::<B>::from_inner(teacher.module().clone());
    (divergences, teacher)
}

fn bregman_with_teacher<B: TrainBackend>(on: On) {
    let mut case = Case::<B>::new(on);
    let section = case.reference["bregman"].clone();
    let betas = [number(&section["beta"]), number(&section["late_beta"])];
    let (divergences, teacher) = bregman(&mut case, betas[0], betas[1]);
    let expected = floats(&section["divergences"]);
    for (update, (ours, expected)) in divergences.iter().zip(&expected).enumerate() {
        // The square of a gap between outputs, of which f32 knows so much.
        let tolerance = on.outputs * (expected + expected.sqrt()) + NO_GAP;
        let what = format!("{}, divergence of update {update}", on.backend);
        check_absolute(&what, &[*ours], &[*expected], tolerance);
    }
    case.check_parameters(&case.model, "bregman", "");
    case.check_parameters(&teacher, "bregman", "teacher/");
}

fn bregman_basic<B: TrainBackend>(on: On) {
    let mut case = Case::<B>::new(on);
    let (divergences, teacher) = bregman(&mut case, 0.0, 0.0);
    // Without dropout the teacher agrees.
    check_absolute(on.backend, &divergences, &[0.0; 5], NO_GAP);
    case.check_parameters(&case.model, "bregman_beta_0", "");
    case.check_parameters(&teacher, "bregman_beta_0", "");
}

/// As `"sst0"` or `"sst1+sts1"`.
fn listed(update: &Update) -> String {
    let part = |part: &bertram_train::schedule::Part| format!("{}{}", part.task, part.batches[0]);
    let parts: Vec<String> = update.parts.iter().map(part).collect();
    parts.join("+")
}

fn epoch_end_surgery<B: TrainBackend>(on: On) {
    let mut case = Case::<B>::new(on);
    let section = case.reference["surgery"].clone();
    let mut settings = case.settings("surgery");
    settings.aggregator.kind = AggregatorKind::Pcgrad;
    let state = UpdateState {
        surgery_optimizer: Some(AdamW::new(case.adamw("surgery"))),
        ..UpdateState::plain(case.adamw("surgery"))
    };
    let mut updater = Updater::new(settings, state, &case.model);
    let schedule = EpochEndSurgery {
        schedule: Box::new(Sequential {
            order: Order::Rotating,
            accumulate: 1,
        }),
    };
    let epochs = count(&section["epochs"]);
    let batches = count(&section["batches"]);
    let mut updates = Vec::new();
    for epoch in 1..=epochs {
        updates.extend(schedule.epoch(&EpochContext {
            sizes: &[(TaskId::SST, batches), (TaskId::STS, batches)],
            epoch,
            epochs,
            seed: 1,
            train_scores: &TaskMap::new(),
        }));
    }
    let names: Vec<String> = updates.iter().map(listed).collect();
    let expected: Vec<&str> = section["updates"]
        .as_array()
        .expect("updates")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(names, expected);

    let mut cosines = Vec::new();
    for (index, update) in updates.iter().enumerate() {
        let parts: Vec<TaskPart<B>> = update
            .parts
            .iter()
            .map(|part| case.part(part.task, &part.batches))
            .collect();
        let plan = UpdatePlan {
            merge: update.merge,
            optimizer: update.optimizer,
            seed: index as u64,
            ..plan(&parts, index)
        };
        let output = case.run(&mut updater, &plan);
        cosines.extend(output.merged.map(|merged| merged.gram.cosine(0, 1)));
    }
    let expected = floats(&section["cosines"]);
    assert!(expected.iter().any(|cosine| *cosine < -0.05), "no conflict");
    case.check("surgery, cosines", &cosines, &expected, on.gradients);
    case.check_parameters(&case.model, "surgery", "");
}

/// One update on a batch of every task, clipped: gradients added, and by PCGrad. Its orders are drawn; each seed's
/// result must be that of one of the orders, and every result must turn up.
fn combined<B: TrainBackend>(on: On) {
    let start = Case::<B>::new(on).model;
    let section = reference()["combined"].clone();
    let update = |merge, seed| {
        let mut case = Case::<B>::new(on);
        case.model = start.clone();
        let mut settings = case.settings("combined");
        settings.max_grad_norm = number(&section["max_grad_norm"]);
        settings.aggregator.kind = AggregatorKind::Pcgrad;
        let state = UpdateState::plain(case.adamw("combined"));
        let mut updater = Updater::new(settings, state, &case.model);
        let parts = TaskId::PAPER.map(|task| case.part(task, &[0]));
        let plan = UpdatePlan {
            merge,
            log_diagnostics: true,
            seed,
            ..plan(&parts, 0)
        };
        let output = case.run(&mut updater, &plan);
        let norm = scalar(output.gradient_norm.expect("a norm"));
        (case, norm, output.merged.expect("three tasks"))
    };

    let (case, norm, merged) = update(Merge::Sum, 0);
    case.check(
        "norm of the sum",
        &[norm],
        &[number(&section["norm"])],
        on.gradients,
    );
    let cosines = merged.to_json()["gradient_cosine"].clone();
    for (pair, expected) in section["cosines"].as_object().expect("cosines") {
        let ours = number(&cosines[pair]);
        case.check(
            &format!("combined, cosine {pair}"),
            &[ours],
            &[number(expected)],
            on.gradients,
        );
    }
    case.check_parameters(&case.model, "combined_sum", "");

    let expected = section["pcgrad"].as_array().expect("results");
    let mut seen = vec![false; expected.len()];
    for seed in 0..16 {
        let (case, norm, merged) = update(Merge::Aggregate, seed);
        let found = expected.iter().position(|result| {
            let weights = floats(&result["weights"]);
            let gaps = merged.weights.iter().zip(&weights);
            gaps.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 0.02
        });
        let found = found.expect("weights of some order");
        let result = &expected[found];
        case.check(
            "pcgrad, weights",
            &merged.weights,
            &floats(&result["weights"]),
            on.gradients,
        );
        let expected = [number(&result["norm"])];
        case.check("pcgrad, norm", &[norm], &expected, on.gradients);
        case.check_parameters(&case.model, result["file"].as_str().expect("a file"), "");
        seen[found] = true;
    }
    assert!(seen.iter().all(|seen| *seen), "not every order was drawn");
}

/// Value and gradient at given vectors, and one update of the model.
fn cosine_embedding<B: TrainBackend>(on: On) {
    let section = reference()["cosine_embedding"].clone();
    let device = B::Device::default();
    for expected in section["cases"].as_array().expect("cases") {
        let margin = number(&expected["margin"]);
        let config = head_configs(LossKind::CosineEmbedding, margin).remove(2);
        let head = TaskHead::<B>::new(config, 16, 0.02, &device);
        let labels = floats(&expected["labels"]);
        let examples = labels.len();
        let labels = TensorData::new(labels, [examples]);
        let labels: Tensor<B, 1> = Tensor::from_data(labels, (&device, DType::F32));
        let vectors = ["u", "v"].map(|name| {
            let data = TensorData::new(floats(&expected[name]), [examples, 16]);
            Tensor::<B, 2>::from_data(data, (&device, DType::F32)).require_grad()
        });
        let [u, v] = vectors.clone();
        let loss = head.loss(cosine_similarity(u, v), labels);
        let gradients = loss.backward();
        let what = |part: &str| format!("{}, margin {margin}, {part}", on.backend);
        check(
            &what("loss"),
            &[scalar(loss)],
            &[number(&expected["loss"])],
            FORWARD,
        );
        for (name, vector) in ["u_gradient", "v_gradient"].iter().zip(vectors) {
            let gradient = vector.grad(&gradients).expect("a gradient");
            let ours: Vec<f64> = gradient.into_data().iter().collect();
            check(&what(name), &ours, &floats(&expected[*name]), on.gradients);
        }
    }

    let margin = number(&section["margin"]);
    let mut case = Case::<B>::with_sts(on, LossKind::CosineEmbedding, margin);
    let state = UpdateState::plain(case.adamw("cosine_embedding"));
    let mut updater = Updater::new(case.settings("cosine_embedding"), state, &case.model);
    let parts = [case.part(TaskId::STS, &[0])];
    let output = case.run(&mut updater, &plan(&parts, 0));
    let loss = scalar(output.losses[0].1.clone());
    case.check(
        "cosine embedding, loss",
        &[loss],
        &[number(&section["loss"])],
        FORWARD,
    );
    case.check_parameters(&case.model, "cosine_embedding", "");
}
