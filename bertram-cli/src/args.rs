//! The command line.

use std::path::PathBuf;

use bertram_core::data::Split;
use bertram_core::encoder::Pooling;
use bertram_core::task::TaskId;
use bertram_kernels::{KernelKind, Precision};
use bertram_train::learner::Dashboard;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::backend::BackendKind;
use crate::error::CliResult;

/// Places the flags that every command has after a command's own.
const LAST: usize = 900;

/// Multitask BERT fine-tuning: one encoder for sentiment, paraphrase and similarity.
///
/// Without any data, `bertram-cli train` trains a small BERT on a generated corpus and leaves a run folder.
#[derive(Debug, Parser)]
#[command(
    name = "bertram-cli",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:
  bertram-cli train
  bertram-cli train --config configs/minilm-cpu.toml --data DATA
  bertram-cli train --resume runs/2026-11-23-quickstart
  bertram-cli evaluate --run RUN --split dev
  echo 'a lovely film' | bertram-cli predict --run RUN --task sst
  bertram-cli report runs --out report.html"
)]
pub struct Cli {
    /// Say more (-v: what happens, -vv: details). RUST_LOG overrides.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = LAST)]
    pub verbose: u8,
    /// Say only errors.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model, or go on with an interrupted run.
    Train(TrainArgs),
    /// Score a run's model on a split and write its predictions.
    Evaluate(EvaluateArgs),
    /// Predict sentences of your own with a run's model.
    Predict(PredictArgs),
    /// Turn sentences into vectors with any BERT.
    Encode(EncodeArgs),
    /// Compare finished runs: one page, or Markdown, or CSV.
    Report(ReportArgs),
    /// List the backends of this build, their devices, and how fast they are.
    ///
    /// For each device, the speed of a 512x512 product of 32-bit matrices is measured; for each backend that is not
    /// compiled in, the command whose build has it is shown.
    Backends,
    /// Check config files.
    Config(ConfigArgs),
    /// Make data.
    Data(DataArgs),
    /// The experiments of the paper's Table 1, and ablations.
    Experiments(ExperimentsArgs),
    /// Measure what training steps cost on this machine.
    Bench(BenchArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:
  bertram-cli completions bash > ~/.local/share/bash-completion/completions/bertram-cli
  bertram-cli completions zsh > ~/.zfunc/_bertram-cli
  bertram-cli completions fish > ~/.config/fish/completions/bertram-cli.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where to compute.
#[derive(Clone, Debug, Args)]
pub struct BackendArgs {
    /// Where to compute; `bertram-cli backends` lists what this build has. Without it: flex, or the build's first.
    #[arg(long, value_enum)]
    pub backend: Option<BackendKind>,
    /// Which device of the backend, counted from 0.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub device: usize,
}

impl BackendArgs {
    /// The backend asked for, or this build's first.
    pub fn kind(&self) -> CliResult<BackendKind> {
        match self.backend {
            Some(kind) => Ok(kind),
            None => BackendKind::default_of_build(),
        }
    }
}

/// Arguments of `train`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli train
      the quick start: generated data, about a minute
  bertram-cli train --config configs/minilm-cpu.toml --data data --model bert-base-uncased
      your data, and a pretrained model from a folder or from the hub
  bertram-cli train --set train.epochs=3 --set tasks.para.head=cross-encoder
      the quick start with other settings
  bertram-cli train --resume runs/2026-11-23-quickstart
      go on after Ctrl-C, a kill or a crash

Every key of a config can be set with --set; `bertram-cli config validate FILE` checks a file.")]
pub struct TrainArgs {
    /// Config file; without one, the built-in quick start.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder in the layout of data.format (sets data.dir).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Pretrained BERT: a folder or a Hugging Face hub id (sets model.path).
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Folder of the run; must be new. Without it: runs/DATE-CONFIG.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "data", "model", "out", "seed", "set"])]
    pub resume: Option<PathBuf>,
    /// Seed (sets train.seed).
    #[arg(long)]
    pub seed: Option<u64>,
    /// Set any key of the config; can be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How to show progress. Without it: tui on a terminal, plain elsewhere.
    #[arg(long, value_parser = parse_dashboard, value_name = "tui|plain|none")]
    pub dashboard: Option<Dashboard>,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// Arguments of `evaluate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli evaluate --run RUN
  bertram-cli evaluate --run RUN --split test
  bertram-cli evaluate --run RUN --data data --out scores.json")]
pub struct EvaluateArgs {
    /// Folder of a finished run.
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// Which split. Test splits often have no labels: then predictions are written, and there is no score.
    #[arg(long, value_enum, default_value = "dev")]
    pub split: SplitArg,
    /// Data folder, where it is not the run's.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Also write the scores to a JSON file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// A split that can be scored.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SplitArg {
    /// The dev split.
    Dev,
    /// The test split.
    Test,
}

impl From<SplitArg> for Split {
    fn from(split: SplitArg) -> Self {
        match split {
            SplitArg::Dev => Split::Dev,
            SplitArg::Test => Split::Test,
        }
    }
}

/// Arguments of `predict`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  echo 'a lovely film' | bertram-cli predict --run RUN --task sst
  printf 'how are you ?\\thow do you do ?\\n' | bertram-cli predict --run RUN --task para
  bertram-cli predict --run RUN --task sts --format json-lines --input pairs.jsonl")]
pub struct PredictArgs {
    /// Folder of a finished run.
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The task: sst, para or sts.
    #[arg(long, value_parser = parse_task)]
    pub task: TaskId,
    /// Sentences; - for standard input.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub input: PathBuf,
    /// lines: a sentence a line, or two with a tab between them. json-lines: objects with `sentence`, or `sentence1` and `sentence2`.
    #[arg(long, value_enum, default_value = "lines")]
    pub format: TextFormat,
    /// Predictions, a JSON object a line; standard output without it.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// How sentences are given.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TextFormat {
    /// A sentence a line; two of a pair with a tab between them.
    Lines,
    /// A JSON object a line.
    JsonLines,
}

/// Arguments of `encode`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  echo 'a lovely film' | bertram-cli encode --model sentence-transformers/all-MiniLM-L6-v2
  bertram-cli encode --model RUN --input sentences.txt --output vectors.jsonl
  bertram-cli encode --model ./bert-base-uncased --pooling cls --input sentences.txt

A hub id is downloaded once into the Hugging Face cache. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean elsewhere.")]
pub struct EncodeArgs {
    /// A folder with a BERT, a run folder, or a hub id.
    #[arg(long, value_name = "DIR|ID|RUN")]
    pub model: String,
    /// Revision of a hub id.
    #[arg(long, default_value = "main")]
    pub revision: String,
    /// A sentence a line (an empty line is an empty sentence); - for standard input.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub input: PathBuf,
    /// How hidden states become one vector: cls, mean or pooler.
    #[arg(long, value_parser = parse_pooling, default_value = "mean")]
    pub pooling: Pooling,
    /// Vectors, a line {"text": …, "embedding": […]} a sentence; - for standard output.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub output: PathBuf,
    /// Sentences of a batch.
    #[arg(long, default_value_t = 32, value_parser = parse_batch_size)]
    pub batch_size: usize,
    /// Most tokens of a sentence; all that the model has positions for without it.
    #[arg(long)]
    pub max_length: Option<usize>,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli report runs --out report.html
      every finished run below runs/, as one page that needs no network
  bertram-cli report runs/e04 runs/e06 --baseline e04 --out report.html
  bertram-cli report runs --format markdown
  bertram-cli report runs --out report.csv

Runs that differ by seed only are one row: mean and standard deviation. Unfinished runs are listed, and not counted.")]
pub struct ReportArgs {
    /// Run folders, or folders that hold run folders at any depth.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The report; a file of that name is replaced. Without it: standard output (not for html).
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Kind of report. Without it: what the name of --out ends in (.html, .md, .csv), else html.
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// What the others are compared with: a run, its folder, or an experiment id. Without it: the first.
    #[arg(long, value_name = "RUN|ID")]
    pub baseline: Option<String>,
}

/// Kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One self-contained page with charts.
    Html,
    /// Tables, for a README or a book.
    Markdown,
    /// All numbers, one a row.
    Csv,
}

/// Arguments of `config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with configs.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check files; every problem is named with its line.
    #[command(after_help = "Examples:
  bertram-cli config validate configs/quickstart.toml
  bertram-cli config validate configs/*.toml")]
    Validate {
        /// Config files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

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
    /// Report on runs: the same as `bertram-cli report`.
    Report(ReportArgs),
}

/// Arguments of `experiments list`.
#[derive(Clone, Debug, Args)]
pub struct ExperimentsListArgs {
    /// Folder of experiment configs.
    #[arg(long, default_value = "configs/experiments", value_name = "DIR")]
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
    /// Folder of experiment configs.
    #[arg(long, default_value = "configs/experiments", value_name = "DIR")]
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
  bertram-cli experiments ablate --config configs/ablation-demo.toml --factors smart,pcgrad
  bertram-cli experiments ablate --config C.toml --factors smart,order=fixed+lowest-last

Factors: smart, r-drop, bregman, pcgrad (off, on); order, schedule, loss, head, pooling. NAME=ONE+OTHER names levels.
The report of the runs (`bertram-cli report OUT`) shows main effects and interactions with intervals.")]
pub struct AblateArgs {
    /// Config that the grid varies.
    #[arg(long, value_name = "FILE")]
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

/// Arguments of `bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: BenchCommand,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// Tokens a second of a training step: forward, backward, AdamW.
    #[command(after_help = "Examples:
  bertram-cli bench train-step --shape minilm --batch 8 --sequence 32 --threads 2
  bertram-cli bench train-step --shape base --sequence 128 --backend cuda --json")]
    TrainStep(BenchCommonArgs),
    /// Tokens a second of an evaluation batch.
    #[command(after_help = "Examples:
  bertram-cli bench evaluate --shape minilm --batch 64 --sequence 32 --threads 2")]
    Evaluate(BenchCommonArgs),
    /// Time of each kernel, in the backend's fused form and composed of Burn's operations.
    #[command(after_help = "Examples:
  bertram-cli bench kernels --shape minilm --batch 8 --sequence 128 --threads 2")]
    Kernels(BenchCommonArgs),
    /// Time and memory of an update with each method, as ratios: SMART, Bregman, R-Drop, PCGrad.
    ///
    /// The methods take turns in one process on random weights and tokens; times are medians. Memory is that of a
    /// process which runs one method alone.
    Methods(BenchMethodsArgs),
}

/// Arguments that every measurement takes.
#[derive(Clone, Debug, Args)]
pub struct BenchCommonArgs {
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Shape of the encoder: minilm, base, or a model's config.json.
    #[arg(long, default_value = "minilm", value_name = "SHAPE")]
    pub shape: String,
    /// Examples of a batch.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub batch: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub sequence: usize,
    /// Threads of a CPU backend; without it, one for each core.
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub threads: Option<usize>,
    /// Seconds to measure for; for each method or kernel, where there are several.
    #[arg(long, default_value_t = 6.0, value_name = "S")]
    pub seconds: f64,
    /// The backend's fused operations, where it has them, or Burn's, one by one.
    #[arg(long, value_enum, default_value = "fused")]
    pub kernels: Kernels,
    /// What the encoder's layers compute in: f32, bf16 or f16, where the backend has it.
    #[arg(long, default_value = "f32", value_name = "TYPE", value_parser = parse_precision)]
    pub precision: Precision,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bench methods`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli bench methods
  bertram-cli bench methods --shape base --sequence 128 --backend cuda --json")]
pub struct BenchMethodsArgs {
    #[command(flatten)]
    pub common: BenchCommonArgs,
    /// One method alone.
    #[arg(long, value_name = "METHOD")]
    pub only: Option<String>,
}

/// Which kernels compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kernels {
    /// The backend's own.
    Fused,
    /// Composed of Burn's operations.
    Composed,
}

impl From<Kernels> for KernelKind {
    fn from(kernels: Kernels) -> Self {
        match kernels {
            Kernels::Fused => KernelKind::Fused,
            Kernels::Composed => KernelKind::Composed,
        }
    }
}

/// Arguments of `data`.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// What data to make.
#[derive(Clone, Debug, Subcommand)]
pub enum DataCommand {
    /// Write the generated demo corpus in the course's file format.
    #[command(after_help = "Examples:
  bertram-cli data demo --out demo
  bertram-cli train --data demo")]
    Demo {
        /// Folder to write to; must be new or empty.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Seed of the generator.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Training rows of each task.
        #[arg(long, default_value_t = 2400)]
        rows: usize,
        /// Dev and test rows of each task.
        #[arg(long, default_value_t = 500)]
        dev_rows: usize,
    },
}

fn parse_task(text: &str) -> Result<TaskId, String> {
    TaskId::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = TaskId::ALL.into_iter().map(TaskId::name).collect();
        format!("the tasks are {}", names.join(", "))
    })
}

fn parse_pooling(text: &str) -> Result<Pooling, String> {
    serde_json::from_value(text.into()).map_err(|_| "use cls, mean or pooler".into())
}

fn parse_precision(text: &str) -> Result<Precision, String> {
    Precision::from_name(text).ok_or_else(|| "use f32, bf16 or f16".into())
}

fn parse_dashboard(text: &str) -> Result<Dashboard, String> {
    serde_json::from_value(text.into()).map_err(|_| "use tui, plain or none".into())
}

fn parse_batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("use a whole number of at least 1".into()),
        Ok(size) => Ok(size),
    }
}
