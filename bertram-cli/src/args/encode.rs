//! Arguments of `encode`.

use std::path::PathBuf;

use bertram_core::encoder::{Pooling, PoolingError};
use bertram_core::task::TaskId;
use clap::Args;

use super::BackendArgs;

/// Arguments of `encode`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  echo 'a lovely film' | bertram-cli encode --model sentence-transformers/all-MiniLM-L6-v2
  bertram-cli encode --model RUN --input sentences.txt --output vectors.jsonl
  bertram-cli encode --model ./bert-base-uncased --pooling cls --input sentences.txt
  bertram-cli encode --model RUN --task para --input questions.txt

Pooling, longest text, lower-casing and length-1 vectors are what the model says of itself: a run's model in heads.json, a sentence-transformers model in modules.json. A plain BERT says nothing: mean pooling, and all tokens that it has positions for. With attention pooling or a mix of layers vectors are learnt by each task's head: --task says whose.

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
    /// How hidden states become one vector: cls, mean, max or pooler, or several side by side, as in cls+mean. Without it: as the model says, else mean.
    #[arg(long, value_parser = parse_plain_pooling)]
    pub pooling: Option<Pooling>,
    /// The vectors that this task's head takes, of a model that bertram trained: with the task's own pooling, and what its head has learnt of it.
    #[arg(long, value_name = "TASK", value_parser = super::parse_task, conflicts_with = "pooling")]
    pub task: Option<TaskId>,
    /// Vectors, a line {"text": …, "embedding": […]} a sentence; - for standard output.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub output: PathBuf,
    /// Sentences of a batch, at the least: of short ones there are more.
    #[arg(long, default_value_t = 32, value_parser = parse_batch_size)]
    pub batch_size: usize,
    /// Most tokens of a sentence. Without it: as the model says, else all that it has positions for.
    #[arg(long)]
    pub max_length: Option<usize>,
    /// Where to compute.
    #[command(flatten)]
    pub backend: BackendArgs,
}

pub(super) fn parse_pooling(text: &str) -> Result<Pooling, String> {
    text.parse()
        .map_err(|error: PoolingError| error.to_string())
}

/// A pooling of an encoder alone.
fn parse_plain_pooling(text: &str) -> Result<Pooling, String> {
    let pooling = parse_pooling(text)?;
    if pooling.has(Pooling::Attention) {
        return Err("attention is learnt by a task's head: --task TASK takes that task's".into());
    }
    Ok(pooling)
}

fn parse_batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("use a whole number of at least 1".into()),
        Ok(size) => Ok(size),
    }
}
