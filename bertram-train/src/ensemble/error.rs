//! Why runs cannot be averaged.

use std::path::PathBuf;

use bertram_core::data::PredictionTableError;

use crate::pipeline::PipelineError;
use crate::run_folder::RunError;

/// Errors of ensembles and soups.
#[derive(Debug, thiserror::Error)]
pub enum MixtureError {
    /// Reading a run, computing with its model, or writing the new folder.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A run without a summary.
    #[error(
        "{run} is not finished (it has no summary.json), and only finished runs are averaged; go on with: bertram-cli train --resume {run}", run = .0.display()
    )]
    Unfinished(PathBuf),
    /// Fewer than two runs.
    #[error(
        "a mean is of two runs or more, and {0} was found: name several, or a folder that holds several"
    )]
    TooFew(usize),
    /// No task that all runs have.
    #[error(
        "no task is scored on dev in all runs: {} has {tasks_of_first}, {} has {tasks_of_other}", first.display(), other.display()
    )]
    NoCommonTask {
        /// A run.
        first: PathBuf,
        /// Its tasks.
        tasks_of_first: String,
        /// A run that has none of them.
        other: PathBuf,
        /// Its tasks.
        tasks_of_other: String,
    },
    /// Runs whose labels are not the same.
    #[error(
        "{}: {task} has other labels than in {} (tasks.{task} of config.toml): what they say has no mean", other.display(), first.display()
    )]
    OtherLabels {
        /// The task.
        task: String,
        /// A run.
        first: PathBuf,
        /// Another.
        other: PathBuf,
    },
    /// Runs that are of different files, or of different rows of one.
    #[error(
        "{}: {task} has other {split} rows than in {} ({how}); average runs of the same files", other.display(), first.display()
    )]
    OtherRows {
        /// The task.
        task: String,
        /// `dev` or `test`.
        split: &'static str,
        /// A run.
        first: PathBuf,
        /// Another.
        other: PathBuf,
        /// In what they differ.
        how: String,
    },
    /// Answers without probabilities, and no model that has some.
    #[error(
        "{} has no probabilities of the {split} rows of {task}, and no model to compute them with: leave it out", run.display()
    )]
    NoProbabilities {
        /// The run.
        run: PathBuf,
        /// The task.
        task: String,
        /// `dev` or `test`.
        split: &'static str,
    },
    /// A run has no such rows.
    #[error("no task has {0} rows in all runs: take another --split")]
    NoRows(&'static str),
    /// Choosing needs rows to choose by.
    #[error(
        "{task} has fewer than two labelled dev rows, and no choice can be made by them; take {instead}"
    )]
    NothingToChooseBy {
        /// The task.
        task: String,
        /// What needs no choice.
        instead: &'static str,
    },
    /// A table of predictions that is none.
    #[error("{error}; write it anew with: bertram-cli evaluate --run {}", run.display())]
    Predictions {
        /// What is wrong.
        error: PredictionTableError,
        /// The run.
        run: PathBuf,
    },
    /// A run whose model is not there.
    #[error("{} has no model/ to average: it is a baseline or an ensemble; leave it out", .0.display())]
    NoModel(PathBuf),
    /// Models that have no mean.
    #[error(
        "{} and {} are not models of one kind, and their weights have no mean: {what}", other.display(), first.display()
    )]
    OtherModel {
        /// A run.
        first: PathBuf,
        /// Another.
        other: PathBuf,
        /// The first thing in which they differ.
        what: String,
    },
}

impl MixtureError {
    /// Whether the user's input is at fault, and not the machine.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Pipeline(error) => error.is_input(),
            Self::Predictions { error, .. } => match error {
                PredictionTableError::Malformed { .. } => true,
                // Bytes that are no text.
                PredictionTableError::Io { source, .. } => {
                    source.kind() == std::io::ErrorKind::InvalidData
                }
            },
            _ => true,
        }
    }
}

impl From<RunError> for MixtureError {
    fn from(error: RunError) -> Self {
        Self::Pipeline(error.into())
    }
}
