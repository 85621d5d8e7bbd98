//! Arguments of `calibrate`.

use std::path::PathBuf;

use bertram_core::data::PARTS_SEED;
use clap::Args;

use super::BackendArgs;

/// Arguments of `calibrate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli calibrate --run RUN
  echo 'a lovely film' | bertram-cli predict --run RUN --task sst
      the same label, with a probability that is meant as it is

Labels stay what they are. Removing RUN/model/calibration.json undoes it.")]
pub struct CalibrateArgs {
    /// Folder of a finished run.
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// Seed of the two halves of dev, of which one fits and the other is scored.
    #[arg(long, default_value_t = PARTS_SEED, value_name = "N")]
    pub seed: u64,
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}
