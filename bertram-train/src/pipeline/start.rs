//! What a new run starts from.

use std::path::Path;

use bertram_core::data::BertTokenizer;
use bertram_core::encoder::{Bert, BertConfig, load_encoder};
use bertram_core::seed::mix;
use bertram_core::task::{Inputs, MultitaskModel, TaskHead};
use bertram_kernels::Precision;
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::prepare::{Prepared, prepare_timed};
use super::{BURN_VERSION, PipelineError, Place, write_text};
use crate::average::Average;
use crate::config::{RandomModel, Settings};
use crate::device::DeviceWatch;
use crate::epoch::schedule;
use crate::learner::{StopFlag, TrainingSession};
use crate::loss_scale::LossScale;
use crate::optim::AdamW;
use crate::phase::Phase;
use crate::regulariser::Teacher;
use crate::run_folder::{
    CheckpointState, CheckpointStore, Machine, RunError, RunFolder, RunInfo, write_json,
};
use crate::step::{UpdateMethods, UpdateState};
use crate::weighting::{LossWeighting, Uncertainty};

/// Begins a new run in `run`: reads and checks the data, builds the model, and writes what the run starts from.
///
/// `model_dir` is the folder that `settings.model.path` stands for (a hub id is resolved before).
pub fn start<B: AutodiffBackend>(
    settings: Settings,
    run: RunFolder,
    model_dir: Option<&Path>,
    place: &Place<B::Device>,
    command: Vec<String>,
    stop: StopFlag,
) -> Result<TrainingSession<B>, PipelineError> {
    check_precision::<B>(&settings, place)?;
    let Prepared {
        settings,
        config,
        tokenizer,
        tasks,
        files,
    } = prepare_timed(&settings, model_dir, &place.clock)?;
    place.clock.enter(Phase::Importing);
    B::seed(&place.device, mix(settings.train.seed, u64::MAX));
    let encoder = match model_dir {
        Some(dir) => load_encoder::<B>(dir, &place.device)?.1,
        None => config.init::<B>(&place.device),
    };
    let model = build_model(&settings, &config, encoder, &place.device);

    write_text(&run.config(), &settings.to_toml())?;
    let info = RunInfo {
        bertram: env!("CARGO_PKG_VERSION").into(),
        burn: BURN_VERSION.into(),
        commit: place.commit.clone(),
        machine: Machine::here(),
        backend: place.backend.clone(),
        device: place.name,
        seed: settings.train.seed,
        model: model_dir.map(Path::to_owned),
        model_sha256: model_dir.and_then(model_hash),
        started: jiff::Timestamp::now().to_string(),
        command,
        data: files,
        changed: Vec::new(),
    };
    write_json(&run.run_info(), &info)?;
    let base = run.base();
    std::fs::create_dir_all(&base).map_err(RunError::io(&base))?;
    write_json(&base.join("config.json"), &config)?;
    tokenizer.save(&base, config.max_position_embeddings)?;

    let update_state = update_state(&settings, &model, &place.device);
    let state = CheckpointState {
        epoch: 1,
        ..CheckpointState::default()
    };
    place.clock.enter(Phase::Checkpointing);
    // The first checkpoint: from here on the run folder is all that a resumed run needs.
    CheckpointStore::new(run.checkpoints(), settings.train.keep_checkpoints)
        .with_config(settings.to_toml())
        .save(&model, &update_state, state.clone(), false)?;
    Ok(TrainingSession {
        methods: methods(&settings),
        schedule: schedule(&settings),
        settings,
        tasks,
        model,
        update_state,
        state,
        run,
        device: place.device.clone(),
        watch: DeviceWatch::new(place.report.clone(), place.clock.begun()),
        clock: place.clock.clone(),
        stop,
    })
}

/// Whether the device computes in the precision that the settings ask for.
pub(super) fn check_precision<B: Backend>(
    settings: &Settings,
    place: &Place<B::Device>,
) -> Result<(), PipelineError> {
    let precision = settings.train.precision;
    if precision.is_supported::<B>(&place.device) {
        return Ok(());
    }
    Err(PipelineError::Precision {
        precision: precision.name(),
        backend: place.backend.clone(),
    })
}

/// What updates change beside the model, at the start of a run.
pub(super) fn update_state<B: AutodiffBackend>(
    settings: &Settings,
    model: &MultitaskModel<B>,
    device: &B::Device,
) -> UpdateState<B> {
    let train = &settings.train;
    let tasks = settings.tasks.iter();
    let tasks = tasks.map(|task| (task.task, task.loss.output(task.spec.label)));
    let tasks = tasks.collect();
    UpdateState {
        optimizer: AdamW::new(settings.optimizer),
        surgery_optimizer: train
            .epoch_end_surgery
            .then(|| AdamW::new(settings.optimizer)),
        teacher: settings
            .regulariser
            .active_bregman()
            .map(|_| Teacher::of(model)),
        uncertainty: (train.loss_weighting == LossWeighting::Uncertainty)
            .then(|| Uncertainty::new(tasks, train.weighting_learning_rate, device)),
        loss_scale: (train.precision == Precision::F16).then(LossScale::default),
        average: train.average_config().map(Average::new),
    }
}

/// The regularisers and the aggregator that the settings name.
pub(super) fn methods<B: AutodiffBackend>(settings: &Settings) -> UpdateMethods<B> {
    let tasks = settings.tasks.iter().map(|task| task.task);
    UpdateMethods::of(&settings.aggregator, &settings.regulariser, tasks)
}

/// An encoder and the heads that the settings name, with the settings' dropout and freezing.
pub(super) fn build_model<B: Backend>(
    settings: &Settings,
    config: &BertConfig,
    mut encoder: Bert<B>,
    device: &B::Device,
) -> MultitaskModel<B> {
    let dropout = &settings.model.dropout;
    encoder = match settings.model.encodes_once() {
        true => encoder.with_dropout(0.0, 0.0),
        false => encoder.with_dropout(
            dropout.hidden.unwrap_or(config.hidden_dropout_prob),
            dropout
                .attention
                .unwrap_or(config.attention_probs_dropout_prob),
        ),
    };
    encoder = compute_as_trained(encoder, settings, device);
    if settings.model.freeze {
        encoder = encoder.no_grad();
    }
    let heads = settings
        .tasks
        .iter()
        .map(|task| TaskHead::of_encoder(task.model_config(), config, device))
        .collect();
    MultitaskModel::new(encoder, heads)
}

/// An encoder that computes with the settings' kernels and precision; in f32 where the device lacks the precision.
pub(super) fn compute_as_trained<B: Backend>(
    encoder: Bert<B>,
    settings: &Settings,
    device: &B::Device,
) -> Bert<B> {
    let precision = Some(settings.train.precision).filter(|it| it.is_supported::<B>(device));
    encoder
        .with_kernels(settings.train.kernels)
        .with_precision(precision.unwrap_or(Precision::F32))
}

pub(super) fn random_config(random: &RandomModel, vocab_size: usize) -> BertConfig {
    BertConfig {
        vocab_size,
        hidden_size: random.hidden_size,
        num_hidden_layers: random.layers,
        num_attention_heads: random.heads,
        intermediate_size: random.intermediate_size,
        max_position_embeddings: random.max_positions,
        hidden_dropout_prob: random.dropout,
        attention_probs_dropout_prob: random.dropout,
        ..BertConfig::default()
    }
}

/// Logs where the preprocessing that the settings ask for takes something away from the tokenizer.
pub(super) fn warn_of_preprocessing(settings: &Settings, tokenizer: &BertTokenizer) {
    let inputs: Vec<Inputs> = settings.tasks.iter().map(|task| task.spec.inputs).collect();
    tokenizer.warn_of_preprocessing(settings.data.preprocess, &inputs);
}

/// SHA-256 of the weights file of a model folder, for the record.
fn model_hash(dir: &Path) -> Option<String> {
    use sha2::{Digest, Sha256};
    let file = ["model.safetensors", "model.safetensors.index.json"]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(file).ok()?, &mut hasher).ok()?;
    Some(format!("{:x}", hasher.finalize()))
}
