//! Why two runs cannot be compared.

use std::path::PathBuf;

use bertram_core::data::PredictionTableError;

use crate::ReportError;

/// Errors of a comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The runs cannot be found.
    #[error(transparent)]
    Runs(#[from] ReportError),
    /// A run without a summary.
    #[error(
        "{0} is not finished (it has no summary.json), and only finished runs are compared; go on with: bertram-cli train --resume {0}"
    )]
    Unfinished(PathBuf),
    /// A run of which a file does not say what it should.
    #[error("{0}; leave the run out, or make it anew")]
    Unreadable(String),
    /// Two runs of one seed on one side, which would count as one more seed.
    #[error(
        "{first} and {second} have the same seed, {seed}, and are on one side: name one of them"
    )]
    SameSeed {
        /// A run.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// Their seed.
        seed: u64,
    },
    /// No task that all runs are scored on.
    #[error(
        "no task is scored on {split} in all runs: {first} has {tasks_of_first}, {other} has {tasks_of_other}; compare runs that have one in common"
    )]
    NoCommonTask {
        /// `dev` or `test`.
        split: &'static str,
        /// A run.
        first: PathBuf,
        /// Its tasks.
        tasks_of_first: String,
        /// A run that has none of them.
        other: PathBuf,
        /// Its tasks.
        tasks_of_other: String,
    },
    /// A task that was asked for, and that not all runs have.
    #[error("--tasks {name}: the runs have no such task in common; they have {known}")]
    NoSuchTask {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A run without its predictions.
    #[error(
        "{path} is missing, and differences are told row by row; write it with: bertram-cli evaluate --run {run}{}", of_split(split), path = path.display(), run = run.display()
    )]
    NoPredictions {
        /// `dev` or `test`.
        split: &'static str,
        /// The table that is missing.
        path: PathBuf,
        /// The run.
        run: PathBuf,
    },
    /// A table of predictions that is none.
    #[error("{error}; write it anew with: bertram-cli evaluate --run {run}{}", of_split(split), run = run.display())]
    Predictions {
        /// `dev` or `test`.
        split: &'static str,
        /// What is wrong.
        error: PredictionTableError,
        /// The run.
        run: PathBuf,
    },
    /// A table of predictions with other rows than the summary has scored.
    #[error("{path}: {found} rows with labels, where {scored} are to be scored; write it anew with: bertram-cli evaluate --run {run}{}", of_split(split), path = path.display(), run = run.display())]
    OtherCount {
        /// `dev` or `test`.
        split: &'static str,
        /// The table.
        path: PathBuf,
        /// The run.
        run: PathBuf,
        /// Rows of the table.
        found: usize,
        /// Rows of the summary, or of the table.
        scored: usize,
    },
    /// Rows without labels.
    #[error("{} has no labels: what is right is not known; without --split the runs are compared on dev", path.display())]
    NoLabels {
        /// The table.
        path: PathBuf,
    },
    /// Runs whose labels are not the same.
    #[error("{other}: {task} has other labels than in {first} (tasks.{task} of config.toml), and the runs cannot be compared on it; leave it out with --tasks", other = other.display(), first = first.display())]
    OtherLabels {
        /// The task.
        task: String,
        /// A run.
        first: PathBuf,
        /// Another.
        other: PathBuf,
    },
    /// Runs that are scored on different files, or on different rows of one.
    #[error("{other}: {task} has other {split} rows than in {first} ({how}); compare runs of one {split} file, or leave the task out with --tasks", other = other.display(), first = first.display())]
    OtherRows {
        /// The task.
        task: String,
        /// `dev` or `test`.
        split: &'static str,
        /// Where the rows of a run are told: its folder, or its table.
        first: PathBuf,
        /// Where those of another are.
        other: PathBuf,
        /// In what they differ.
        how: String,
    },
}

/// The flag of `evaluate` that its default is not.
fn of_split(split: &str) -> &'static str {
    match split {
        "test" => " --split test",
        _ => "",
    }
}

impl CompareError {
    /// Whether the user's input is at fault, and not the machine.
    pub fn is_input(&self) -> bool {
        match self {
            CompareError::Runs(error) => error.is_input(),
            CompareError::Predictions { error, .. } => {
                matches!(error, PredictionTableError::Malformed { .. })
            }
            _ => true,
        }
    }
}
