//! What can go wrong with a report.

use std::path::PathBuf;

use bertram_train::config::ConfigError;
use bertram_train::run_folder::RunError;

/// Errors of a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A run folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run's config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A path that is not there.
    #[error("{0} does not exist: name a run folder, or a folder of run folders")]
    NoSuchFolder(PathBuf),
    /// A folder without runs.
    #[error("no run folder in {0}: a run folder has a config.toml; `bertram-cli train` makes one")]
    NoRuns(PathBuf),
    /// Only unfinished runs.
    #[error(
        "none of the {count} runs is finished, and only finished ones are reported; go on with: bertram-cli train --resume {}", first.display()
    )]
    NoneFinished {
        /// How many there are.
        count: usize,
        /// One of them.
        first: PathBuf,
    },
    /// Only runs that cannot be read.
    #[error("none of the {count} finished runs can be read; the first: {reason}")]
    NoneReadable {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        reason: String,
    },
    /// A baseline that no run is.
    #[error("no finished run is called {name}; --baseline takes one of: {known}")]
    NoBaseline {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A chart cannot be drawn.
    #[error(
        "chart {title:?}: {message}; this is a bug in bertram, please report it with this line"
    )]
    Chart {
        /// Title of the chart.
        title: String,
        /// What the plotting library said.
        message: String,
    },
    /// The page cannot be rendered.
    #[error("page: {0}; this is a bug in bertram, please report it with this line")]
    Page(String),
    /// The CSV cannot be written.
    #[error("csv: {0}")]
    Csv(String),
}

impl ReportError {
    /// Whether the user's input is at fault, and not the machine or the program.
    pub fn is_input(&self) -> bool {
        match self {
            ReportError::Run(error) => !matches!(error, RunError::Io { .. }),
            ReportError::Config(_)
            | ReportError::NoSuchFolder(_)
            | ReportError::NoRuns(_)
            | ReportError::NoneFinished { .. }
            | ReportError::NoneReadable { .. }
            | ReportError::NoBaseline { .. } => true,
            ReportError::Chart { .. } | ReportError::Page(_) | ReportError::Csv(_) => false,
        }
    }
}
