//! Arguments of `compare`.

use bertram_core::task::TaskId;
use clap::Args;

use super::{SplitArg, parse_task};

/// Arguments of `compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli compare runs/base runs/smart
      the difference of each score (B less A), its 95 % interval, and a test
  bertram-cli compare runs/base-1,runs/base-2,runs/base-3 runs/smart-1,runs/smart-2,runs/smart-3
      several seeds a side
  bertram-cli compare 'runs/experiments/e04-*' 'runs/experiments/e11-*'
      the same; the quotes keep the shell from taking the stars
  bertram-cli compare runs/base runs/smart --tasks sst,sts --json

Nothing is computed anew: what the runs have predicted when they ended is compared row by row.")]
pub struct CompareArgs {
    /// Finished runs of one side: a run folder, a folder of some, or several with commas between them; * stands for any text.
    #[arg(value_name = "A")]
    pub a: String,
    /// Those of the other side, on the same dev rows.
    #[arg(value_name = "B")]
    pub b: String,
    /// Compare these tasks only. Without it: all that both sides have.
    #[arg(long, value_delimiter = ',', value_parser = parse_task, value_name = "NAME,...")]
    pub tasks: Vec<TaskId>,
    /// Which rows. Those of test need labels, and predictions: `evaluate --split test` writes them where a run has not.
    #[arg(long, value_enum, default_value = "dev")]
    pub split: SplitArg,
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
}
