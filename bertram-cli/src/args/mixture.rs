//! Arguments of `ensemble` and `average`.

use std::path::PathBuf;

use bertram_core::data::PARTS_SEED;
use bertram_train::ensemble::Weights;
use bertram_train::soup::SoupMethod;
use clap::{Args, ValueEnum};

use super::{BackendArgs, SplitArg};

/// Arguments of `ensemble`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli ensemble runs/seed-1 runs/seed-2 runs/seed-3 --out runs/ensemble
      the mean of the three runs' probabilities and scores
  bertram-cli ensemble runs/seed-1 runs/cross --weights dev --split test --out runs/ensemble
      a weight for each run and task, chosen on dev; predictions of the test rows, too
  bertram-cli compare runs/seed-1 runs/ensemble
      the folder is read like a run's

What runs have not predicted with probabilities is predicted first, with their models.")]
pub struct EnsembleArgs {
    /// Finished runs on the same data: run folders, or folders that hold some at any depth.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Folder of the ensemble; must be new.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Whose answer counts how much.
    #[arg(long, value_enum, default_value = "uniform")]
    pub weights: WeightsArg,
    /// Which rows to predict: dev, or dev and test.
    #[arg(long, value_enum, default_value = "dev")]
    pub split: SplitArg,
    /// Seed of the two halves of dev, of which one chooses and the other is scored.
    #[arg(long, default_value_t = PARTS_SEED, value_name = "N")]
    pub seed: u64,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// Weights of an ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsArg {
    /// All runs count the same.
    Uniform,
    /// By their worth for each task on dev (greedy forward selection, Caruana et al. 2004).
    Dev,
}

impl From<WeightsArg> for Weights {
    fn from(weights: WeightsArg) -> Self {
        match weights {
            WeightsArg::Uniform => Weights::Uniform,
            WeightsArg::Dev => Weights::Dev,
        }
    }
}

/// Arguments of `average`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli average runs/a runs/b runs/c --out runs/soup
  bertram-cli average runs/rates --method greedy --out runs/soup
      from the best on dev to the worst, each that does not make it worse
  bertram-cli evaluate --run runs/soup --split test

Runs must have begun from the same weights, heads included (the same model and train.seed): the mean of others says little.")]
pub struct AverageArgs {
    /// Finished runs of one model and the same tasks: run folders, or folders that hold some at any depth.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Run folder of the averaged model; must be new.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which runs are averaged.
    #[arg(long, value_enum, default_value = "uniform")]
    pub method: MethodArg,
    /// Seed of the two halves of dev, of which one chooses and the other is scored.
    #[arg(long, default_value_t = PARTS_SEED, value_name = "N")]
    pub seed: u64,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// How the runs of a soup are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// All of them.
    Uniform,
    /// From the best on dev to the worst, each that does not lower the overall score.
    Greedy,
}

impl From<MethodArg> for SoupMethod {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Uniform => SoupMethod::Uniform,
            MethodArg::Greedy => SoupMethod::Greedy,
        }
    }
}
