//! From settings to a finished run: start, resume, finish.

use std::path::{Path, PathBuf};

use bertram_core::data::{BertTokenizer, DataError, Split, TokenizerError, write_predictions};
use bertram_core::encoder::{Bert, BertConfig, WeightsError, load_encoder, read_config};
use bertram_core::metric::SplitScores;
use bertram_core::task::{ModelFolderError, MultitaskModel, TaskHead, save_model_folder};
use bertram_kernels::{Kernels, Precision};
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Deserialize, Serialize};

use crate::analysis::{Analysis, TaskAnalysis};
use crate::config::{ConfigError, RandomModel, Settings};
use crate::corpus::{DataFile, TaskCorpus, TaskData, data_files, read_corpus, tokenize_corpus};
use crate::epoch::mix;
use crate::evaluate::{EvaluationSet, evaluate};
use crate::learner::{Outcome, StopFlag, TrainingSession};
use crate::loss_scale::LossScale;
use crate::optim::AdamW;
use crate::regulariser::Teacher;
use crate::run_folder::{
    CheckpointState, CheckpointStore, RunError, RunFolder, read_json, write_json,
};
use crate::step::UpdateState;
use crate::weighting::{LossWeighting, Uncertainty};

/// Errors before and after training.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The run folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The exported model.
    #[error(transparent)]
    ModelFolder(#[from] ModelFolderError),
    /// A prediction file.
    #[error("{path}: {message}")]
    Predictions {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A shape that the config asks for cannot be built.
    #[error("[model.random]: {0}")]
    Shape(String),
    /// The device does not compute in the precision that the config asks for.
    #[error(
        "train.precision = \"{precision}\": backend {backend} does not compute in it here; use \"f32\", or another backend"
    )]
    Precision {
        /// What the config asks for.
        precision: &'static str,
        /// The backend.
        backend: String,
    },
    /// Sequences would be longer than the model has positions for.
    #[error(
        "data.max-length = {max_length} is more than the {positions} positions of the model; lower data.max-length"
    )]
    TooLong {
        /// What the config asks for.
        max_length: usize,
        /// What the model has.
        positions: usize,
    },
    /// The tokenizer's vocabulary does not fit the model's embeddings.
    #[error(
        "the tokenizer has {tokens} tokens and the model embeddings for {rows}: they do not belong together"
    )]
    Vocabulary {
        /// Size of the vocabulary.
        tokens: usize,
        /// Rows of the embedding matrix.
        rows: usize,
    },
    /// Data changed since the run began.
    #[error(
        "{path} is not what the run was begun with (SHA-256 {found}, then {expected}): a resumed run must read the same rows"
    )]
    DataChanged {
        /// The file.
        path: PathBuf,
        /// Its hash now.
        found: String,
        /// Its hash at the start.
        expected: String,
    },
    /// Nothing to go on from.
    #[error("{0} has no checkpoint to go on from")]
    NoCheckpoint(PathBuf),
    /// A finished run.
    #[error("{0} is finished: there is nothing to resume")]
    Finished(PathBuf),
}

impl PipelineError {
    /// Whether the user's input is at fault, and not the machine.
    pub fn is_input(&self) -> bool {
        match self {
            PipelineError::Run(error) => {
                matches!(
                    error,
                    RunError::Exists(_) | RunError::NotARun(..) | RunError::Locked(_)
                )
            }
            PipelineError::Weights(WeightsError::Write { .. })
            | PipelineError::ModelFolder(_)
            | PipelineError::Predictions { .. } => false,
            _ => true,
        }
    }
}

/// What a run notes about itself beside its config: `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of bertram.
    pub bertram: String,
    /// Version of Burn.
    pub burn: String,
    /// Backend and device.
    pub backend: String,
    /// Device number.
    pub device: usize,
    /// Seed.
    pub seed: u64,
    /// Folder of the pretrained model, if one was given.
    pub model: Option<PathBuf>,
    /// SHA-256 of its `model.safetensors` or index.
    pub model_sha256: Option<String>,
    /// When the run began (UTC, RFC 3339).
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// The data files.
    pub data: Vec<DataFile>,
}

/// Where to compute, and under what name.
#[derive(Clone, Debug)]
pub struct Place<D> {
    /// Name of the backend.
    pub backend: String,
    /// Number of the device.
    pub number: usize,
    /// The device.
    pub device: D,
}

/// Version of Burn that this build is pinned to.
pub const BURN_VERSION: &str = "0.21.0";

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

/// What a finished run says of itself: `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the run's folder.
    pub run: String,
    /// Scores of the exported model on dev.
    pub dev: SplitScores,
    /// The epoch whose model is exported.
    pub best_epoch: usize,
    /// Epochs asked for.
    pub epochs: usize,
    /// Updates made.
    pub updates: usize,
    /// Seconds of training and evaluation, over all sittings.
    pub seconds: f64,
    /// Seconds of updates alone.
    pub training_seconds: f64,
    /// Tokens trained on, without padding.
    pub tokens: u64,
    /// `tokens / training_seconds`.
    pub tokens_per_second: f64,
    /// Most memory the process held; host memory only. `null` where the system does not say.
    pub peak_memory_bytes: Option<u64>,
    /// Trained numbers in the model.
    pub parameters: usize,
    /// Backend.
    pub backend: String,
    /// Seed.
    pub seed: u64,
    /// Versions of the software.
    pub versions: Versions,
    /// Data files with their hashes.
    pub data: Vec<DataFile>,
}

/// Versions of the software a run was made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    /// bertram.
    pub bertram: String,
    /// Burn.
    pub burn: String,
}

/// Ends a run: scores its best model, writes predictions, the export and `summary.json`.
pub fn finish<B: Kernels>(
    run: &RunFolder,
    outcome: &Outcome,
    device: &B::Device,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Summary, PipelineError> {
    let settings = Settings::load(&run.config(), &[])?;
    let info: RunInfo = read_json(&run.run_info())?;
    let tokenizer = BertTokenizer::from_folder(&run.base())?;
    let config = read_config(&run.base())?;
    let model = build_model(&settings, &config, config.init::<B>(device), device);
    let model = CheckpointStore::new(run.checkpoints(), settings.train.keep_checkpoints)
        .load_best(model, device)?;

    let mut corpus = read_corpus(&settings, &[Split::Dev, Split::Test])?;
    let test_files: Vec<DataFile> = data_files(&corpus)
        .into_iter()
        .filter(|file| file.split == "test")
        .collect();
    let tasks = tokenize_corpus(&settings, &corpus, &tokenizer)?;
    corpus.clear();
    let (scores, analysis) = predict_and_analyse(
        &model,
        &settings,
        &tasks,
        Split::Dev,
        run,
        device,
        |done, rows| {
            progress("dev", done, rows);
        },
    )?;
    predict_split(
        &model,
        &settings,
        &tasks,
        Split::Test,
        run,
        device,
        |done, rows| {
            progress("test", done, rows);
        },
    )?;
    save_model_folder(&run.model(), &config, &tokenizer, &model)?;
    write_json(&run.analysis(), &analysis)?;

    let state = &outcome.state;
    let mut data = info.data.clone();
    for file in test_files {
        if !data.contains(&file) {
            data.push(file);
        }
    }
    let summary = Summary {
        run: run
            .path()
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        dev: scores,
        best_epoch: state.best.as_ref().map_or(0, |best| best.epoch),
        epochs: settings.train.epochs,
        updates: state.updates,
        seconds: state.seconds,
        training_seconds: state.training_seconds,
        tokens: state.tokens,
        tokens_per_second: state.tokens as f64 / state.training_seconds.max(1e-9),
        peak_memory_bytes: peak_memory_bytes(),
        parameters: model.num_params(),
        backend: info.backend.clone(),
        seed: info.seed,
        versions: Versions {
            bertram: info.bertram.clone(),
            burn: info.burn.clone(),
        },
        data,
    };
    write_json(&run.summary(), &summary)?;
    Ok(summary)
}

/// Predicts a split of every task, writes the course's files, and scores where there are labels.
pub fn predict_split<B: Kernels>(
    model: &MultitaskModel<B>,
    settings: &Settings,
    tasks: &[TaskData],
    split: Split,
    run: &RunFolder,
    device: &B::Device,
    progress: impl FnMut(usize, usize),
) -> Result<SplitScores, PipelineError> {
    let (scores, _) = predict_and_analyse(model, settings, tasks, split, run, device, progress)?;
    Ok(scores)
}

/// As [`predict_split`], and looks at where the predictions are right and wrong.
fn predict_and_analyse<B: Kernels>(
    model: &MultitaskModel<B>,
    settings: &Settings,
    tasks: &[TaskData],
    split: Split,
    run: &RunFolder,
    device: &B::Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<(SplitScores, Analysis), PipelineError> {
    let sets: Vec<EvaluationSet<'_>> = tasks
        .iter()
        .filter_map(|task| {
            Some(EvaluationSet {
                config: &task.config,
                batcher: &task.batcher,
                data: match split {
                    Split::Train => &task.train,
                    Split::Dev => &task.dev,
                    Split::Test => task.test.as_ref()?,
                },
            })
        })
        .collect();
    let (scores, logits) = evaluate(
        model,
        &sets,
        settings.train.eval_batch_size,
        device,
        |_, done, rows| progress(done, rows),
    );
    let folder = run.predictions();
    std::fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
    let mut analysis = Analysis::default();
    for set in &sets {
        let task = set.config.task;
        let Some(logits) = logits.get(&task).filter(|logits| !logits.is_empty()) else {
            continue;
        };
        let values: Vec<f64> = logits
            .iter()
            .map(|logits| set.config.predict(logits).value)
            .collect();
        let path = folder.join(format!("{task}-{}-output.csv", split.name()));
        write_predictions(&path, task, &set.data.ids, &values).map_err(|error| {
            PipelineError::Predictions {
                path: path.clone(),
                message: error.to_string(),
            }
        })?;
        if let Some(labels) = &set.data.labels {
            analysis
                .tasks
                .insert(task, TaskAnalysis::new(set.config, logits, labels));
        }
    }
    Ok((scores, analysis))
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
fn build_model<B: Backend>(
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
    encoder = encoder
        .with_kernels(settings.train.kernels)
        .with_precision(settings.train.precision);
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

fn check_fit(
    settings: &Settings,
    config: &BertConfig,
    tokenizer: &BertTokenizer,
) -> Result<(), PipelineError> {
    if settings.data.max_length > config.max_position_embeddings {
        return Err(PipelineError::TooLong {
            max_length: settings.data.max_length,
            positions: config.max_position_embeddings,
        });
    }
    if tokenizer.vocab_size() > config.vocab_size {
        return Err(PipelineError::Vocabulary {
            tokens: tokenizer.vocab_size(),
            rows: config.vocab_size,
        });
    }
    Ok(())
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

pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), RunError> {
    bertram_core::fs::atomic_write(path, text.as_bytes()).map_err(|error| RunError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })
}

/// Most memory this process has held so far, in bytes.
#[cfg(unix)]
pub fn peak_memory_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    // Linux counts what the parent held before `exec` in `getrusage`; the kernel's own high-water mark does not.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let high_water = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .and_then(|kibibytes| kibibytes.trim().parse::<u64>().ok());
    if let Some(kibibytes) = high_water {
        return Some(kibibytes * 1024);
    }
    let peak = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    // macOS counts bytes, other systems kibibytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(peak).ok().map(|peak| peak * unit)
}

/// Most memory this process has held so far, in bytes: not known on this system.
#[cfg(not(unix))]
pub fn peak_memory_bytes() -> Option<u64> {
    None
}
