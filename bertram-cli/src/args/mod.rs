//! The command line.

mod bench;
mod calibrate;
mod compare;
mod encode;
mod experiments;
mod export;
mod mixture;
mod runs;
mod tune;

use std::path::PathBuf;

use bertram_core::data::{Format, Split};
use bertram_core::task::TaskId;
use bertram_train::device::DeviceName;
use bertram_train::learner::Dashboard;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use bench::{BenchArgs, BenchCommand, BenchCommonArgs, BenchMethodsArgs, BenchTrainStepArgs};
pub use calibrate::CalibrateArgs;
pub use compare::CompareArgs;
pub use encode::EncodeArgs;
pub use experiments::{
    AblateArgs, EXPERIMENTS, ExperimentsArgs, ExperimentsCommand, ExperimentsListArgs,
    ExperimentsRunArgs, RunsArgs, SearchArgs,
};
pub use export::ExportArgs;
pub use mixture::{AverageArgs, EnsembleArgs};
pub use runs::{RunFoldersArgs, RunFoldersCommand, RunsCleanArgs, RunsListArgs};
pub use tune::TuneArgs;

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
    long_version = crate::version::long(),
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:
  bertram-cli train
  bertram-cli train --config minilm-cpu --data DATA
  bertram-cli train --resume runs/2026-11-23-quickstart
  bertram-cli evaluate --run RUN --split dev
  echo 'a lovely film' | bertram-cli predict --run RUN --task sst
  bertram-cli report runs --out report.html"
)]
pub struct Cli {
    /// Say more (-v: what happens, -vv: details). RUST_LOG overrides.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = LAST)]
    pub verbose: u8,
    /// Say only errors and results.
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
    /// Write a run's model as a folder for transformers, sentence-transformers and the hub.
    Export(ExportArgs),
    /// Put finished runs side by side: one page, a page for each, Markdown or CSV.
    Report(ReportArgs),
    /// Average what finished runs say: probabilities and scores of the same rows.
    ///
    /// The folder that comes of it has predictions and scores like a run's, for `report`, `compare` and leaderboards, and no
    /// model.
    Ensemble(EnsembleArgs),
    /// Average the weights of finished runs into one model, a soup.
    ///
    /// The folder that comes of it is that of a finished run: its model is used like any other.
    Average(AverageArgs),
    /// Fit a temperature to a run's probabilities on dev, so that they are meant as they are.
    ///
    /// Of each task with classes or yes and no: the temperature, and how good probabilities are before and after (mean
    /// negative log-likelihood, expected calibration error). `predict` uses it from then on.
    Calibrate(CalibrateArgs),
    /// Say whether two finished runs differ by more than chance.
    ///
    /// Of each task that both have: the scores on dev, their difference, its 95 % interval, and the p-value of a test of
    /// pairs. Several runs a side that differ by seed are compared over their seeds, too.
    Compare(CompareArgs),
    /// List run folders, say what is known of one, or free the space that finished ones take.
    Runs(RunFoldersArgs),
    /// List the backends of this build, their devices, and how fast they are.
    ///
    /// For each device, the speed of a 512x512 product of 32-bit matrices is measured; for each backend that is not
    /// compiled in, the command whose build has it is shown.
    Backends,
    /// Start from a recipe or from data files, and check config files.
    Config(ConfigArgs),
    /// Make data, or say what is in yours.
    Data(DataArgs),
    /// The experiments of the paper's Table 1, and ablations.
    Experiments(ExperimentsArgs),
    /// Measure what training steps cost on this machine.
    Bench(BenchArgs),
    /// Search the fastest matrix products of a GPU, and keep them for the runs to come.
    Tune(TuneArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:
  bertram-cli completions bash > ~/.local/share/bash-completion/completions/bertram-cli
  bertram-cli completions zsh > ~/.zfunc/_bertram-cli
  bertram-cli completions fish > ~/.config/fish/completions/bertram-cli.fish")]
    Completions {
        /// Shell that the script is for.
        shell: clap_complete::Shell,
    },
}

/// Where to compute.
#[derive(Clone, Debug, Args)]
pub struct BackendArgs {
    /// Where to compute; `bertram-cli backends` lists what this build has. Without it: flex, or the build's first.
    #[arg(long, value_enum)]
    pub backend: Option<BackendKind>,
    /// Which device of the backend, counted from 0; for libtorch its name: cpu, cuda:N or mps, without it the first that is
    /// listed.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceName>,
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
      the quick start: generated data, half a minute
  bertram-cli train --data data --model bert-base-uncased
      your data, and a pretrained model from a folder or from the hub, by the recommended recipe
  bertram-cli train --set train.epochs=3 --set tasks.para.head=cross-encoder
      the quick start with other settings
  bertram-cli train --resume runs/2026-11-23-quickstart
      go on after Ctrl-C, a kill or a crash
  bertram-cli train --resume runs/2026-11-23-quickstart --set train.epochs=20
      go on longer, after its end, too

Every key of a config can be set with --set; `bertram-cli config validate FILE` checks a file.")]
pub struct TrainArgs {
    /// Config file, or the name of a recipe (`bertram-cli config list`). Without it: quickstart on the generated data, recommended on your own.
    #[arg(long, value_name = "FILE|NAME")]
    pub config: Option<PathBuf>,
    /// Data folder in the layout of data.format (sets data.dir). With --resume: where the data has moved to.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Pretrained BERT: a folder or a Hugging Face hub id (sets model.path).
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Folder of the run; must be new. Without it: runs/DATE-CONFIG.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "model", "out", "seed"])]
    pub resume: Option<PathBuf>,
    /// Seed (sets train.seed).
    #[arg(long)]
    pub seed: Option<u64>,
    /// Stop after so many of the config's epochs, and keep the training state: --resume goes on, to the result of a run without the stop.
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub until_epoch: Option<usize>,
    /// Predict no test rows when the run is trained (sets data.test-limit = 0); `evaluate --split test` does it later.
    #[arg(long)]
    pub no_test: bool,
    /// Set any key of the config; can be given more than once. With --resume: epochs, rates, early stopping, logging, checkpointing, evaluation batch.
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
  bertram-cli evaluate --run RUN --data data --out scores.json
  bertram-cli evaluate --run RUN --set tasks.nli.dev=other.csv
      one task's rows from another file")]
pub struct EvaluateArgs {
    /// Folder of a finished run.
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// Which split. Test splits often have no labels: then predictions are written, and there is no score.
    #[arg(long, value_enum, default_value = "dev")]
    pub split: SplitArg,
    /// Data folder in place of the run's: every task's file is looked for in it, also of tasks whose files the config names.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Name a file (tasks.NAME.dev, tasks.NAME.test), or say how files are read (tasks.NAME.format, .columns, .label-numbers, data.bad-rows); can be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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
  bertram-cli predict --run RUN --task sts --input pairs.jsonl
  bertram-cli predict --run RUN --task nli --input nli/test.csv
      a table with a header, read as in training")]
pub struct PredictArgs {
    /// Folder of a finished run.
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The task, by its name in the config: sst, para, sts or one of your own.
    #[arg(long, value_parser = parse_task)]
    pub task: TaskId,
    /// Sentences; - for standard input. Of an empty line `null` is said, so that lines stay lines.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub input: PathBuf,
    /// How the sentences are given. Without it: as the ending of FILE says (.csv, .tsv, .jsonl, .parquet; a table as in the task's training), else lines.
    #[arg(long, value_enum)]
    pub format: Option<TextFormat>,
    /// Predictions, a JSON object a line (label, confidence and the probability of each label, by the temperature that `calibrate` has fitted); standard output without it.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// How sentences are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextFormat {
    /// A sentence a line; two of a pair with a tab between them.
    Lines,
    /// A JSON object a line, with the task's own fields or the standard ones.
    JsonLines,
    /// A table with a header: commas, semicolons or tabs, with CSV quoting.
    Csv,
    /// A table with a header: tabs, without quoting.
    Tsv,
    /// A table with a header: tabs, with CSV quoting.
    TsvQuoted,
    /// A table as the CS224N course has them.
    Cs224n,
    /// A table as GLUE has them.
    Glue,
    /// Columns of a Parquet file.
    Parquet,
}

impl TextFormat {
    /// The format of a data file; `None` for lines.
    pub fn of_file(self) -> Option<Format> {
        match self {
            TextFormat::Lines => None,
            TextFormat::JsonLines => Some(Format::JsonLines),
            TextFormat::Csv => Some(Format::Csv),
            TextFormat::Tsv => Some(Format::Tsv),
            TextFormat::TsvQuoted => Some(Format::TsvQuoted),
            TextFormat::Cs224n => Some(Format::Cs224n),
            TextFormat::Glue => Some(Format::Glue),
            TextFormat::Parquet => Some(Format::Parquet),
        }
    }
}

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli report runs --out report.html
      every finished run below runs/, as one page that needs no network
  bertram-cli report runs/e04 runs/e06 --baseline e04 --out report.html
  bertram-cli report runs --format markdown
  bertram-cli report runs --out report.csv
  bertram-cli report runs --format pages --out pages
      a page for each run, with an index

Runs that differ by seed only are one row: mean and standard deviation. Unfinished runs are listed, and not counted.")]
pub struct ReportArgs {
    /// Run folders, or folders that hold run folders at any depth.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The report; a file of that name is replaced, pages go into the folder. Without it: standard output (not for html).
    #[arg(long, value_name = "FILE|FOLDER")]
    pub out: Option<PathBuf>,
    /// Kind of report. Without it: what the name of --out ends in (.html, .md, .csv), else html.
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// What the others are compared with: a run, its folder, or an experiment id. Without it: the first.
    #[arg(long, value_name = "RUN|ID")]
    pub baseline: Option<String>,
    /// Leave out the rows that a model is wrong about: a report without texts of the data can be published where they cannot.
    #[arg(long)]
    pub no_texts: bool,
}

/// Kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One self-contained page with charts.
    Html,
    /// A folder of such pages: an index, one of all runs side by side, and one of each run.
    Pages,
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
    /// List the recipes: configs by name, for --config.
    List,
    /// Print a recipe.
    #[command(after_help = "Examples:
  bertram-cli config show recommended
  bertram-cli config show e11")]
    Show {
        /// Name of a recipe, or a config file.
        #[arg(value_name = "NAME")]
        name: PathBuf,
    },
    /// Make a config to start from: for data files, or of a recipe.
    ///
    /// Files that are named as the training, dev and test rows of a task (nli-train.csv, nli-dev.csv, nli/test.csv) become a
    /// task of the config; a file without labels is one of test rows. Columns and labels are guessed from the training rows,
    /// and comments say from what. A recipe is written as one file, with what it extends.
    #[command(after_help = "Examples:
  bertram-cli config init nli-train.csv nli-dev.csv reviews/*.jsonl --out my.toml
  bertram-cli config init recommended --out my.toml
  bertram-cli train --config my.toml --model bert-base-uncased")]
    Init(InitArgs),
    /// Check files; every problem is named with its line.
    ///
    /// Where a file names data, or with --data or --model, the check goes on as far as a run does before its first update:
    /// every data file is read and checked, the tokenizer and the shapes of the weights as well, and the first batch of each
    /// task is made. (A model that the file names by a hub id is checked with --model only.) Nothing is written.
    #[command(after_help = "Examples:
  bertram-cli config validate configs/quickstart.toml
  bertram-cli config validate configs/*.toml
  bertram-cli config validate --data data --model bert-base-uncased my.toml")]
    Validate(ValidateArgs),
}

/// Arguments of `config init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Data files (.csv, .tsv, .jsonl, and .gz of each; .parquet), or the name of a recipe.
    #[arg(required = true, value_name = "FILE|NAME")]
    pub files: Vec<PathBuf>,
    /// Write the config to a file, which must be new. Without it: standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `config validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// Config files, or names of recipes.
    #[arg(required = true, value_name = "FILE|NAME")]
    pub files: Vec<PathBuf>,
    /// Check with the data of a folder in the layout of data.format (sets data.dir).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Check with a pretrained BERT: a folder or a Hugging Face hub id (sets model.path).
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Set any key of the configs; can be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Arguments of `data`.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// What to do with data.
#[derive(Clone, Debug, Subcommand)]
pub enum DataCommand {
    /// Write the generated demo corpus in the course's file format.
    #[command(after_help = "Examples:
  bertram-cli data demo --out demo
  bertram-cli train --config quickstart --data demo
  bertram-cli data demo --own-tasks own
  bertram-cli train --config own/own-tasks.toml")]
    Demo(DemoArgs),
    /// Say what is in the data of a config: rows, lengths in tokens, labels, and rows that come again.
    ///
    /// The config is found as `train` finds it, and lengths are those of its model's tokenizer. A row is repeated if an
    /// earlier one of its split has the same text, or the same pair in either order; it is in train if a training row has.
    #[command(after_help = "Examples:
  bertram-cli data describe --data data --model bert-base-uncased
  bertram-cli data describe --config my.toml --format json")]
    Describe(DescribeArgs),
}

/// Arguments of `data demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Folder to write to; must be new or empty.
    #[arg(long, value_name = "DIR", required_unless_present = "own_tasks")]
    pub out: Option<PathBuf>,
    /// Folder to write other tasks to, in other formats, with the config that trains them; must be new or empty.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub own_tasks: Option<PathBuf>,
    /// Seed of the generator.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Training rows of each task.
    #[arg(long, default_value_t = 2400)]
    pub rows: usize,
    /// Dev and test rows of each task.
    #[arg(long, default_value_t = 500)]
    pub dev_rows: usize,
}

/// Arguments of `data describe`.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// Config file, or the name of a recipe. Without it: quickstart on the generated data, recommended on your own.
    #[arg(long, value_name = "FILE|NAME")]
    pub config: Option<PathBuf>,
    /// Data folder in the layout of data.format (sets data.dir).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Pretrained BERT, whose tokenizer counts: a folder or a Hugging Face hub id (sets model.path).
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Set any key of the config; can be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How to say it.
    #[arg(long, value_enum, default_value = "text")]
    pub format: DescribeFormat,
}

/// How data is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// Tables.
    Text,
    /// A list of objects, one a task.
    Json,
}

fn parse_task(text: &str) -> Result<TaskId, String> {
    TaskId::new(text).map_err(|error| error.to_string())
}

fn parse_dashboard(text: &str) -> Result<Dashboard, String> {
    serde_json::from_value(text.into()).map_err(|_| "use tui, plain or none".into())
}
