//! Arguments of `tune`.

use bertram_kernels::Precision;
use clap::Args;

use super::BackendArgs;
use super::bench::parse_precision;

/// Arguments of `tune`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bertram-cli tune --backend cuda
  bertram-cli tune --backend cuda --shape models/bert-base-uncased/config.json --batch 64 --sequence 128 --precision bf16")]
pub struct TuneArgs {
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Shape of the encoder: minilm, base, or a model's config.json.
    #[arg(long, default_value = "base", value_name = "SHAPE")]
    pub shape: String,
    /// Examples of a batch.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub batch: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub sequence: usize,
    /// What the encoder's layers compute in: f32, bf16 or f16, where the backend has it.
    #[arg(long, default_value = "f32", value_name = "TYPE", value_parser = parse_precision)]
    pub precision: Precision,
    /// Longest time of the search, in seconds.
    #[arg(long, default_value_t = 300.0, value_name = "S")]
    pub seconds: f64,
    /// Print everything that is tried, a line of JSON each.
    #[arg(long)]
    pub json: bool,
}
