//! Arguments of `export`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `export`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli export --run RUN --to my-model
  hf upload USER/my-model my-model

A run's own model/ has the same files; this writes them anew in the form of this version, runs of earlier versions included.")]
pub struct ExportArgs {
    /// Folder of a finished run.
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// Folder to write to; must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}
