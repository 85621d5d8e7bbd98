//! Arguments of `experiments`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{BackendArgs, ReportArgs};

/// The folder of experiments in a checkout.
pub const EXPERIMENTS: &str = "configs/experiments";

/// Arguments of `experiments`.
#[derive(Clone, Debug, Args)]
pub struct ExperimentsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ExperimentsCommand,
}

/// What to do with experiments.
#[derive(Clone, Debug, Subcommand)]
pub enum ExperimentsCommand {
    /// List the experiments and the paper's scores.
    List(ExperimentsListArgs),
    /// Make the runs of experiments: what is done is not done again, what was interrupted goes on.
    Run(ExperimentsRunArgs),
    /// Make the runs of a factorial grid: which change contributes what.
    Ablate(AblateArgs),
    /// Search for good settings: random search, or successive halving (ASHA).
    Search(SearchArgs),
    /// Report on runs: the same as `bertram-cli report`.
    Report(ReportArgs),
}

/// Arguments of `experiments list`.
#[derive(Clone, Debug, Args)]
pub struct ExperimentsListArgs {
    /// Folder of experiment configs; where it is not there, those that are built in.
    #[arg(long, default_value = EXPERIMENTS, value_name = "DIR")]
    pub configs: PathBuf,
}

/// What all runs of a grid share.
#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// Data folder (sets data.dir); without one, the demo corpus.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Pretrained BERT: a folder or a hub id (sets model.path).
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Seeds: the config's, and those after it.
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub seeds: usize,
    /// One seed, named.
    #[arg(long, conflicts_with = "seeds", value_name = "SEED")]
    pub seed: Option<u64>,
    /// Share of each task's training rows (sets data.rows-scale).
    #[arg(long, value_name = "SHARE")]
    pub rows_scale: Option<f64>,
    /// Dev rows of each task (sets data.dev-limit).
    #[arg(long, value_name = "N")]
    pub dev_rows: Option<usize>,
    /// Epochs (sets train.epochs).
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Share of each config's own epochs, at least one: 10 and 20 epochs stay 1 to 2.
    #[arg(long, conflicts_with = "epochs", value_name = "SHARE")]
    pub epochs_scale: Option<f64>,
    /// Set any key of every config; can be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the runs' folders.
    #[arg(long, default_value = "runs/experiments", value_name = "DIR")]
    pub out: PathBuf,
    /// Runs at a time.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub jobs: usize,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

impl RunsArgs {
    /// Runs of each config.
    pub fn replicates(&self) -> usize {
        if self.seed.is_some() { 1 } else { self.seeds }
    }
}

/// Arguments of `experiments run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli experiments run --data data --model bert-base-uncased
  bertram-cli experiments run --only e04,e06 --data data --rows-scale 0.1 --epochs-scale 0.3
  bertram-cli experiments run --seeds 5 --data data --emit slurm")]
pub struct ExperimentsRunArgs {
    /// Folder of experiment configs; where it is not there, those that are built in.
    #[arg(long, default_value = EXPERIMENTS, value_name = "DIR")]
    pub configs: PathBuf,
    /// Which experiments; without it, all.
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    pub only: Vec<String>,
    /// Write a job array in place of running.
    #[arg(long, value_enum, value_name = "SCHEDULER")]
    pub emit: Option<JobScheduler>,
    #[command(flatten)]
    pub common: RunsArgs,
}

/// For which scheduler a job array is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum JobScheduler {
    /// Slurm.
    Slurm,
}

/// Arguments of `experiments ablate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli experiments ablate --config ablation-demo --factors smart,pcgrad
  bertram-cli experiments ablate --config C.toml --factors smart,order=fixed+lowest-last

Factors: smart, r-drop, bregman, pcgrad (off, on); order, schedule, loss, head, pooling. NAME=ONE+OTHER names levels.
The report of the runs (`bertram-cli report OUT`) shows main effects and interactions with intervals.")]
pub struct AblateArgs {
    /// Config that the grid varies: a file, or the name of a recipe.
    #[arg(long, value_name = "FILE|NAME")]
    pub config: PathBuf,
    /// Factors: NAME, or NAME=ONE+OTHER.
    #[arg(
        long,
        required = true,
        value_delimiter = ',',
        value_name = "FACTOR,..."
    )]
    pub factors: Vec<String>,
    /// Half of the grid (of factors with two levels): main effects at half the price, aliased with the highest interaction.
    #[arg(long)]
    pub half: bool,
    #[command(flatten)]
    pub common: RunsArgs,
}

/// Arguments of `experiments search`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli experiments search --config quickstart --space space.toml --trials 20
  bertram-cli experiments search --config C.toml --space space.toml --trials 20 --dry-run
  bertram-cli experiments search --config C.toml --space space.toml --trials 60 --jobs 2
      more trials: the first ones stay as they are

A space says what is drawn for which keys, and how:
  method = \"asha\"                  # or \"random\": each trial is trained to its end
  [space]
  train.learning-rate = { min = 1e-5, max = 1e-3, scale = \"log\" }
  train.batch-size = { values = [8, 16, 32] }

Each trial is a run in OUT/trial-NNN; OUT/trials.csv has their scores on dev.")]
pub struct SearchArgs {
    /// Config that the trials vary: a file, or the name of a recipe.
    #[arg(long, value_name = "FILE|NAME")]
    pub config: PathBuf,
    /// What is drawn, and how the search goes on: a TOML file.
    #[arg(long, value_name = "FILE")]
    pub space: PathBuf,
    /// How many trials there are, those that are made already among them.
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub trials: usize,
    /// Say what the trials draw, check all their configs, and train nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Which trials, by number (random search only); without it, all.
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub only: Vec<usize>,
    /// Write a job array in place of running (random search only).
    #[arg(long, value_enum, value_name = "SCHEDULER", conflicts_with = "only")]
    pub emit: Option<JobScheduler>,
    #[command(flatten)]
    pub common: RunsArgs,
}
