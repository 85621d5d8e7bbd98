//! What a run starts from: a new one, or one that goes on.

use std::path::Path;

use bertram_core::data::{BertTokenizer, Split};
use bertram_core::encoder::{Bert, BertConfig, load_encoder, read_config};
use bertram_core::task::{MultitaskModel, TaskHead};
use bertram_kernels::Precision;
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::{BURN_VERSION, PipelineError, Place, RunInfo, check_fit, write_text};
use crate::config::{RandomModel, Settings};
use crate::corpus::{TaskCorpus, data_files, read_corpus, tokenize_corpus};
use crate::epoch::mix;
use crate::learner::{StopFlag, TrainingSession};
use crate::loss_scale::LossScale;
use crate::optim::AdamW;
use crate::regulariser::Teacher;
use crate::run_folder::{
    CheckpointState, CheckpointStore, RunError, RunFolder, read_json, write_json,
};
use crate::step::UpdateState;
use crate::weighting::{LossWeighting, Uncertainty};

/// Begins a new run in `run`: reads the data, builds the model, and writes what the run starts from.
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
    let corpus = read_corpus(&settings, &[Split::Train, Split::Dev])?;
    B::seed(&place.device, mix(settings.train.seed, u64::MAX));
    let (config, encoder, tokenizer) = match model_dir {
        Some(dir) => {
            let tokenizer = BertTokenizer::from_folder(dir)?;
            let (config, encoder, _) = load_encoder::<B>(dir, &place.device)?;
            (config, encoder, tokenizer)
        }
        None => {
            let sentences = corpus.iter().flat_map(|task| {
                task.train.examples.iter().flat_map(|example| {
                    std::iter::once(example.text_a.as_str()).chain(example.text_b.as_deref())
                })
            });
            let Some(random) = &settings.model.random else {
                return Err(PipelineError::Shape(
                    "there is neither a model nor a shape".into(),
                ));
            };
            let tokenizer = BertTokenizer::train_word_piece(sentences, random.vocab_size)?;
            let config = random_config(random, tokenizer.vocab_size());
            config
                .validate()
                .map_err(|error| PipelineError::Shape(error.to_string()))?;
            let encoder = config.init::<B>(&place.device);
            (config, encoder, tokenizer)
        }
    };
    check_fit(&settings, &config, &tokenizer)?;
    let model = build_model(&settings, &config, encoder, &place.device);
    let tasks = tokenize_corpus(&settings, &corpus, &tokenizer)?;

    write_text(&run.config(), &settings.to_toml())?;
    let info = RunInfo {
        bertram: env!("CARGO_PKG_VERSION").into(),
        burn: BURN_VERSION.into(),
        backend: place.backend.clone(),
        device: place.number,
        seed: settings.train.seed,
        model: model_dir.map(Path::to_owned),
        model_sha256: model_dir.and_then(model_hash),
        started: jiff::Timestamp::now().to_string(),
        command,
        data: data_files(&corpus),
    };
    write_json(&run.run_info(), &info)?;
    let base = run.base();
    std::fs::create_dir_all(&base).map_err(RunError::io(&base))?;
    write_json(&base.join("config.json"), &config)?;
    tokenizer.save(&base)?;

    let update_state = update_state(&settings, &model, &place.device);
    let state = CheckpointState {
        epoch: 1,
        ..CheckpointState::default()
    };
    // The first checkpoint: from here on the run folder is all that a resumed run needs.
    CheckpointStore::new(run.checkpoints(), settings.train.keep_checkpoints).save(
        &model,
        &update_state,
        state.clone(),
    )?;
    Ok(TrainingSession {
        settings,
        tasks,
        model,
        update_state,
        state,
        run,
        device: place.device.clone(),
        stop,
    })
}

/// Goes on with the run in `run` from its newest checkpoint.
pub fn resume<B: AutodiffBackend>(
    run: RunFolder,
    place: &Place<B::Device>,
    stop: StopFlag,
) -> Result<TrainingSession<B>, PipelineError> {
    if run.summary().is_file() {
        return Err(PipelineError::Finished(run.path().to_owned()));
    }
    let settings = Settings::load(&run.config(), &[])?;
    check_precision::<B>(&settings, place)?;
    let store = CheckpointStore::new(run.checkpoints(), settings.train.keep_checkpoints);
    let Some(newest) = store.newest()? else {
        return Err(PipelineError::NoCheckpoint(run.path().to_owned()));
    };
    let info: RunInfo = read_json(&run.run_info())?;
    let corpus = read_corpus(&settings, &[Split::Train, Split::Dev])?;
    check_unchanged(&info, &corpus)?;
    let tokenizer = BertTokenizer::from_folder(&run.base())?;
    let config = read_config(&run.base())?;
    let model = build_model(
        &settings,
        &config,
        config.init::<B>(&place.device),
        &place.device,
    );
    let fresh = update_state(&settings, &model, &place.device);
    let checkpoint =
        CheckpointStore::load(&newest, model, fresh, settings.optimizer, &place.device)?;
    tracing::info!(
        "resuming at epoch {}, update {}",
        checkpoint.state.epoch,
        checkpoint.state.updates
    );
    let tasks = tokenize_corpus(&settings, &corpus, &tokenizer)?;
    Ok(TrainingSession {
        settings,
        tasks,
        model: checkpoint.model,
        update_state: checkpoint.update_state,
        state: checkpoint.state,
        run,
        device: place.device.clone(),
        stop,
    })
}

/// Whether the device computes in the precision that the settings ask for.
fn check_precision<B: Backend>(
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
fn update_state<B: AutodiffBackend>(
    settings: &Settings,
    model: &MultitaskModel<B>,
    device: &B::Device,
) -> UpdateState<B> {
    let train = &settings.train;
    let tasks = settings.tasks.iter().map(|task| task.task).collect();
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
    }
}

/// An encoder and the heads that the settings name, with the settings' dropout and freezing.
pub(super) fn build_model<B: Backend>(
    settings: &Settings,
    config: &BertConfig,
    mut encoder: Bert<B>,
    device: &B::Device,
) -> MultitaskModel<B> {
    let dropout = &settings.model.dropout;
    encoder = encoder.with_dropout(
        dropout.hidden.unwrap_or(config.hidden_dropout_prob),
        dropout
            .attention
            .unwrap_or(config.attention_probs_dropout_prob),
    );
    encoder = compute_as_trained(encoder, settings, device);
    if settings.model.freeze {
        encoder = encoder.no_grad();
    }
    let heads = settings
        .tasks
        .iter()
        .map(|task| {
            TaskHead::new(
                task.model_config(),
                config.hidden_size,
                config.initializer_range,
                device,
            )
        })
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

fn random_config(random: &RandomModel, vocab_size: usize) -> BertConfig {
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

fn check_unchanged(info: &RunInfo, corpus: &[TaskCorpus]) -> Result<(), PipelineError> {
    for file in data_files(corpus) {
        let noted = info
            .data
            .iter()
            .find(|noted| noted.task == file.task && noted.split == file.split);
        if let Some(noted) = noted
            && noted.sha256 != file.sha256
        {
            return Err(PipelineError::DataChanged {
                path: file.path,
                found: file.sha256,
                expected: noted.sha256.clone(),
            });
        }
    }
    Ok(())
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
