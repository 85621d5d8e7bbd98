//! Arguments of `runs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `runs`.
#[derive(Clone, Debug, Args)]
pub struct RunFoldersArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub what: RunFoldersCommand,
}

/// What to do with run folders.
#[derive(Clone, Debug, Subcommand)]
pub enum RunFoldersCommand {
    /// List runs: how they stand, their scores, the space they take.
    #[command(after_help = "Examples:
  bertram-cli runs list
  bertram-cli runs list runs other-runs
  bertram-cli runs list --json > runs.json      # pandas.read_json('runs.json')")]
    List(RunsListArgs),
    /// Say what is known of one run, and what can be done with it.
    #[command(after_help = "Examples:
  bertram-cli runs show runs/2026-11-23-quickstart")]
    Show {
        /// The run's folder.
        run: PathBuf,
    },
    /// Remove the checkpoints of finished runs: their models and scores stay, and they cannot be trained longer.
    #[command(after_help = "Examples:
  bertram-cli runs clean runs
  bertram-cli runs clean runs/2026-11-23-quickstart --yes")]
    Clean(RunsCleanArgs),
}

/// Arguments of `runs list`.
#[derive(Clone, Debug, Args)]
pub struct RunsListArgs {
    /// Run folders, or folders that hold some at any depth.
    #[arg(default_value = "runs", value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Print a JSON array, an object a run.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `runs clean`.
#[derive(Clone, Debug, Args)]
pub struct RunsCleanArgs {
    /// Run folders, or folders that hold some at any depth.
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}
