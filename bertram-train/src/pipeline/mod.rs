//! From settings to a finished run: start, resume, finish.

mod calibrate;
mod card;
mod evaluation;
mod export;
mod finish;
mod fit;
mod memory;
mod mistakes;
mod prepare;
mod resume;
mod start;

pub use calibrate::calibrate;
pub use evaluation::{EVALUATION_KEYS, settings_to_evaluate};
pub use export::{TrainedModel, export_model, export_run, open_trained};
pub use finish::{
    FurtherScores, ScoredParts, Summary, Versions, finish, load_trained, predict_split,
};
pub(crate) use finish::{
    Predicted, SplitPredictions, is_whole, limit_test, predict_and_analyse, save_predictions,
};
pub use fit::check_fit;
pub use memory::peak_memory_bytes;
pub use prepare::{Prepared, prepare, prepare_timed, tokenizer};
pub use resume::{RESUMABLE_KEYS, check_unchanged, lower_rates, resume, settings_to_begin_anew};
pub use start::start;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bertram_core::data::{DataError, Split, TokenizerError};
use bertram_core::encoder::WeightsError;
use bertram_core::task::{ModelFolderError, TaskId};

use crate::config::ConfigError;
use crate::device::{DeviceName, DeviceReport};
use crate::phase::PhaseClock;
use crate::run_folder::RunError;

/// Errors before and after training.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A config that cannot be read, or is not right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A tokenizer that cannot be read, or that a text cannot go through.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Weights that cannot be read or written.
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
        /// Path of the file that the message is about.
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
        /// Name of the backend that the message is about.
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
    /// There is nothing to learn from.
    #[error(
        "there are no batches to train on: no task has a training split. Name them with data.dir or tasks.X.train, or set train.epochs = 0"
    )]
    NoBatches,
    /// The score that chooses the best epoch is of a task that has none.
    #[error(
        "train.best-metric = \"{0}\", and {0} has no dev rows to score: name tasks.{0}.dev, or another task"
    )]
    NothingToWatch(TaskId),
    /// A task's sequences are not what the model takes.
    #[error("the {split} split of {task} does not go with the model: {problem}")]
    Batch {
        /// Whose sequences they are.
        task: TaskId,
        /// `train` or `dev`.
        split: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// A packed pair needs a second token type.
    #[error(
        "tasks.{task}.head = \"cross-encoder\" marks the second sentence as token type 1, and the model's config.json has `type_vocab_size` 1; set tasks.{task}.head to \"concat\" or \"cosine\", or take a model with two token types"
    )]
    Segments {
        /// Whose head packs its pairs.
        task: TaskId,
    },
    /// The exported model lacks a task of the config.
    #[error(
        "{} has no head for the task {task}, which config.toml names: they do not belong together", model.display()
    )]
    NoHead {
        /// Which task of the config it is.
        task: TaskId,
        /// The exported model.
        model: PathBuf,
    },
    /// Data changed since the run began.
    #[error(
        "{path} is not what the run was begun with (SHA-256 {found}, then {expected}): a run must read the same rows from its start to its end"
    )]
    DataChanged {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Its hash now.
        found: String,
        /// Its hash at the start.
        expected: String,
    },
    /// A model that says nothing.
    #[error(
        "what the model says of the {} rows of {task} is not finite: its weights are too large to compute with, and nothing was written; train it anew at a lower train.learning-rate",
        split.name()
    )]
    NotFinite {
        /// Whose rows they are.
        task: TaskId,
        /// The split that the message is about.
        split: Split,
    },
    /// Nothing to go on from.
    #[error("{0} has no checkpoint to go on from")]
    NoCheckpoint(PathBuf),
    /// A finished run.
    #[error(
        "{0} is finished: there is nothing to resume; to go on longer, add --set train.epochs=N with more epochs than it has"
    )]
    Finished(PathBuf),
    /// A finished run without checkpoints.
    #[error(
        "{0} is finished, and its training state is gone: it can be evaluated, exported and predicted with, and not trained longer; a run that is to go on after its end needs train.keep-training-state = true before it ends"
    )]
    Cleaned(PathBuf),
    /// An ensemble or a soup, which has no training to go on with.
    #[error(
        "{run} was not trained, but made of runs ({made_of}): train these longer, and make it of them again under another name"
    )]
    NotTrained {
        /// Folder of the ensemble or the soup.
        run: PathBuf,
        /// What it is, in words.
        made_of: String,
    },
    /// A run that early stopping ended.
    #[error(
        "{run} was ended by early stopping, after {evaluations} evaluation(s) without a better score; to go on, raise it with --set train.early-stopping=N, or switch it off with 0"
    )]
    StoppedEarly {
        /// Folder of the run.
        run: PathBuf,
        /// Evaluations since the best.
        evaluations: usize,
    },
    /// Fewer epochs than the run has made.
    #[error("train.epochs = {asked} is less than the {begun} epochs that the run has begun")]
    TooFewEpochs {
        /// What was asked for.
        asked: usize,
        /// Epochs that are done or begun.
        begun: usize,
    },
    /// Fewer updates than the run has made.
    #[error("train.max-updates = {asked} is less than the {made} updates that the run has made")]
    TooFewUpdates {
        /// What was asked for.
        asked: usize,
        /// Updates that are made.
        made: usize,
    },
    /// A finished run that its bound on updates has ended.
    #[error(
        "{run} is finished: it has made the {updates} updates of train.max-updates; to go on longer, add --set train.max-updates=N with more"
    )]
    AllUpdatesMade {
        /// Folder of the run.
        run: PathBuf,
        /// Updates that are made.
        updates: usize,
    },
    /// A config that somebody edited.
    #[error(
        "{config} was edited since {checkpoint}: {key} is {is} and was {was}, which cannot change when a run goes on; put it back"
    )]
    ConfigEdited {
        /// The run's.
        config: PathBuf,
        /// The checkpoint's.
        checkpoint: PathBuf,
        /// A key that differs.
        key: String,
        /// Its value in the checkpoint's.
        was: String,
        /// Its value in the run's.
        is: String,
    },
    /// Settings that are not of where the data lies.
    #[error(
        "{} cannot be set for an evaluation; these can: {}",
        keys.join(", "),
        EVALUATION_KEYS.join(", ")
    )]
    NotOfEvaluation {
        /// Keys of the config that may not be set here.
        keys: Vec<String>,
    },
    /// Settings that cannot change in the middle of a run.
    #[error(
        "{} cannot change when a run goes on; these can: {}",
        keys.join(", "),
        RESUMABLE_KEYS.join(", ")
    )]
    NotResumable {
        /// Keys of the config that may not be set here.
        keys: Vec<String>,
    },
}

impl PipelineError {
    /// Whether the user's input is at fault, and not the machine.
    pub fn is_input(&self) -> bool {
        match self {
            PipelineError::Run(RunError::Weights(error)) | PipelineError::Weights(error) => {
                error.is_input()
            }
            PipelineError::Run(error) => {
                matches!(
                    error,
                    RunError::Exists(_)
                        | RunError::NotAFolder(_)
                        | RunError::NotARun(..)
                        | RunError::Locked(_)
                        | RunError::Malformed { .. }
                )
            }
            PipelineError::Tokenizer(error) => error.is_input(),
            PipelineError::ModelFolder(error) => error.is_input(),
            PipelineError::NotFinite { .. } | PipelineError::Predictions { .. } => false,
            _ => true,
        }
    }
}

/// Where to compute, and under what name.
#[derive(Clone, Debug)]
pub struct Place<D> {
    /// What the device is asked; `None` where it has nothing to say.
    pub report: Option<Arc<dyn DeviceReport>>,
    /// Counts what the process spends its time on, since it began to work.
    pub clock: PhaseClock,
    /// The commit that the program was built from, where the build knew it.
    pub commit: Option<String>,
    /// Name of the backend.
    pub backend: String,
    /// Which of its devices.
    pub name: DeviceName,
    /// The device that it runs on.
    pub device: D,
}

/// Version of Burn that this build is pinned to.
pub const BURN_VERSION: &str = "0.21.0";

pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), RunError> {
    Ok(bertram_core::fs::atomic_write(path, text.as_bytes())?)
}
