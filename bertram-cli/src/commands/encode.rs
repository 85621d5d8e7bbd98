//! `bertram-cli encode`: sentence vectors from any BERT.

use std::fmt::Write as _;
use std::path::Path;

use bertram_core::data::{BertTokenizer, sequence_batch};
use bertram_core::encoder::{Bert, Pooling, load_encoder};
use bertram_kernels::{Kernels, TrainBackend};
use burn::tensor::Tensor;
use serde_json::json;

use super::predict::{read_lines, write_output};
use super::train::pipeline_error;
use crate::args::EncodeArgs;
use crate::backend::{BackendJob, dispatch};
use crate::error::{CliResult, input};
use crate::hub::resolve_model;
use crate::progress::StageBar;

/// Runs the command.
pub fn run(args: &EncodeArgs) -> CliResult {
    dispatch(
        args.backend.kind()?,
        args.backend.device,
        Encode { args: args.clone() },
    )?
}

struct Encode {
    args: EncodeArgs,
}

impl BackendJob for Encode {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        encode::<B::InnerBackend>(&self.args, &device)
    }
}

fn encode<B: Kernels>(args: &EncodeArgs, device: &B::Device) -> CliResult {
    let dir = resolve_model(&args.model, &args.revision)?;
    let tokenizer =
        BertTokenizer::from_folder(&dir).map_err(|error| pipeline_error(error.into()))?;
    let (config, encoder, imported) =
        load_encoder::<B>(&dir, device).map_err(|error| pipeline_error(error.into()))?;
    let fits = tokenizer.check_fits(config.vocab_size);
    fits.map_err(|error| pipeline_error(error.into()))?;
    if args.pooling == Pooling::Pooler && imported.missing_pooler {
        return Err(input(anyhow::anyhow!(
            "{} has no pooler weights: use --pooling cls or --pooling mean",
            dir.display()
        )));
    }
    let positions = config.max_position_embeddings;
    let max_length = args.max_length.unwrap_or(positions);
    if max_length > positions || max_length < 2 {
        return Err(input(anyhow::anyhow!(
            "--max-length {max_length} must be between 2 and the model's {positions} positions"
        )));
    }
    let texts = read_lines(&args.input)?;
    let vectors = embed(&encoder, &tokenizer, &texts, max_length, args, device)?;
    let mut output = String::new();
    for (text, embedding) in texts.iter().zip(vectors) {
        // Writing to a string does not fail.
        let _ = writeln!(
            output,
            "{}",
            json!({ "text": text, "embedding": embedding })
        );
    }
    let path = (args.output != Path::new("-")).then_some(args.output.as_path());
    write_output(path, &output)
}

fn embed<B: Kernels>(
    encoder: &Bert<B>,
    tokenizer: &BertTokenizer,
    texts: &[String],
    max_length: usize,
    args: &EncodeArgs,
    device: &B::Device,
) -> CliResult<Vec<Vec<f32>>> {
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = tokenizer
        .encode_all(&borrowed)
        .map_err(|error| pipeline_error(error.into()))?;
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&row| tokens[row].len());
    let mut bar = StageBar::default();
    let mut chunks: Vec<Tensor<B, 2>> = Vec::new();
    let mut done = 0;
    for rows in order.chunks(args.batch_size) {
        let sequences: Vec<&[u32]> = rows.iter().map(|&row| tokens[row].as_slice()).collect();
        let batch = sequence_batch::<B>(&sequences, tokenizer.special(), max_length, device);
        let hidden = encoder.forward(&batch);
        chunks.push(encoder.pool(hidden, &batch.attention_mask, args.pooling));
        done += rows.len();
        bar.show("encode", done, texts.len());
    }
    bar.finish();
    let mut vectors = vec![Vec::new(); texts.len()];
    if chunks.is_empty() {
        return Ok(vectors);
    }
    let all = Tensor::cat(chunks, 0);
    let width = all.dims()[1];
    let values: Vec<f32> = all.into_data().iter::<f32>().collect();
    for (&row, values) in order.iter().zip(values.chunks(width)) {
        vectors[row] = values.to_vec();
    }
    Ok(vectors)
}
