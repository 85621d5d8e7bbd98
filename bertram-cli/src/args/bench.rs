//! Arguments of `bench`.

use bertram_core::encoder::Pooling;
use bertram_kernels::{KernelKind, Precision};
use clap::{Args, Subcommand, ValueEnum};

use super::BackendArgs;
use super::encode::parse_pooling;

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
  bertram-cli bench train-step --shape base --sequence 128 --backend cuda --json
  bertram-cli bench train-step --shape base --sequence 128 --backend cuda --profile")]
    TrainStep(BenchTrainStepArgs),
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
    /// What is read of the hidden states: cls, mean, max, pooler, attention, or several as in cls+mean. Of cls and pooler a CPU computes less of the last layer.
    #[arg(long, default_value = "cls", value_name = "POOLING", value_parser = parse_pooling)]
    pub pooling: Pooling,
    /// f32 products in f32 on CUDA, not in TF32.
    #[arg(long)]
    pub no_tf32: bool,
    /// Compute cheap activations again in the backward pass rather than keep them.
    #[arg(long)]
    pub activation_checkpointing: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bench train-step`.
#[derive(Clone, Debug, Args)]
pub struct BenchTrainStepArgs {
    #[command(flatten)]
    pub common: BenchCommonArgs,
    /// On a GPU: the launches and the time of each kernel in one step.
    #[arg(long)]
    pub profile: bool,
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

pub(super) fn parse_precision(text: &str) -> Result<Precision, String> {
    Precision::from_name(text).ok_or_else(|| "use f32, bf16 or f16".into())
}
