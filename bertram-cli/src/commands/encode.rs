//! `bertram-cli encode`: sentence vectors from any BERT.

use std::fmt::Write as _;
use std::path::Path;

use bertram_core::data::{BertTokenizer, batches_by_length, in_order_of_rows, sequence_batch};
use bertram_core::encoder::{Bert, Pooling, Readout, load_dense_pooler, load_encoder, read_config};
use bertram_core::task::{
    Encoding, EncodingSource, Inputs, MultitaskModel, TaskHead, load_model_folder,
};
use bertram_kernels::{Kernels, TrainBackend};
use burn::tensor::{Tensor, backend::Backend};
use serde_json::json;

use super::texts::{Output, check_lines, lines, next_window};
use crate::args::EncodeArgs;
use crate::backend::{BackendJob, dispatch};
use crate::error::{CliResult, input, pipeline_error};
use crate::hub::resolve_model;
use crate::out;
use crate::pretrained::{self, Chosen};
use crate::progress::PhaseDisplay;

/// Runs the command.
pub fn run(args: &EncodeArgs) -> CliResult {
    out::check_folder_of(Some(&args.output))?;
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
    let mut encoding = pretrained::encoding(&dir)?;
    let trained = trained::<B>(args, &dir, &encoding, device)?;
    if let Some((_, head)) = &trained {
        encoding.pooling = Some(head.config().pooling);
    }
    let weights = &encoding.weights;
    let config = read_config(weights).map_err(|error| pipeline_error(error.into()))?;
    let chosen = pretrained::choose(&dir, &encoding, args.pooling, args.max_length, &config)?;
    let tokenizer =
        BertTokenizer::from_folder(weights).map_err(|error| pipeline_error(error.into()))?;
    let fits = tokenizer.check_fits(config.vocab_size);
    fits.map_err(|error| pipeline_error(error.into()))?;
    let reader = match trained {
        Some((model, head)) => {
            let task = head.config().task;
            out::progress(&format!(
                "{}: vectors of {task}, {}",
                args.model, chosen.line
            ));
            Reader {
                encoder: model.encoder,
                head: Some(head),
                pooling: chosen.pooling,
            }
        }
        None => {
            let encoder = plain_encoder(&dir, &encoding, chosen.pooling, device)?;
            out::progress(&format!("{}: {}", args.model, chosen.line));
            Reader {
                encoder,
                head: None,
                pooling: chosen.pooling,
            }
        }
    };
    let total = check_lines(&args.input, |line| line.map(|_| ()))?;
    let mut texts = lines(&args.input)?;
    let mut output = Output::new((args.output != Path::new("-")).then_some(&*args.output));
    let mut progress = Progress {
        display: PhaseDisplay::new(),
        // The number of a stream's lines is not known.
        total: total.unwrap_or(0),
        before: 0,
    };
    progress.display.begin("encoding");
    loop {
        let window = next_window(&mut texts, args.batch_size, |_| true, String::len)?;
        if window.is_empty() {
            break;
        }
        let prepared: Vec<String> = window
            .iter()
            .map(|text| {
                let text = format!("{}{text}", encoding.prompt);
                encoding.preprocess.apply(Inputs::Single, &text)
            })
            .collect();
        let show = |done| progress.show(done);
        let mut vectors = embed(&reader, &tokenizer, &prepared, &chosen, args, device, show)?;
        progress.before += window.len();
        if encoding.normalize {
            vectors.iter_mut().for_each(|vector| normalize(vector));
        }
        let mut lines = String::new();
        for (text, embedding) in window.iter().zip(vectors) {
            let line = json!({ "text": text, "embedding": embedding });
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{line}");
        }
        if output.is_terminal() {
            // The vectors themselves show how it goes.
            progress.display.end();
        }
        if !output.write(&lines)? {
            break;
        }
    }
    progress.display.end();
    output.finish()
}

/// An encoder, and what makes vectors of its hidden states.
struct Reader<B: Backend> {
    encoder: Bert<B>,
    /// Whose vectors they are, of a model that bertram trained.
    head: Option<TaskHead<B>>,
    pooling: Pooling,
}

impl<B: Backend> Reader<B> {
    fn readout(&self) -> Readout<'_, B> {
        match &self.head {
            Some(head) => head.readout(),
            None => self.pooling.into(),
        }
    }
}

/// The trained model and the head whose vectors are asked for: that of `--task`; where vectors are learnt by heads, that of
/// the only task.
fn trained<B: Kernels>(
    args: &EncodeArgs,
    dir: &Path,
    encoding: &Encoding,
    device: &B::Device,
) -> CliResult<Option<(MultitaskModel<B>, TaskHead<B>)>> {
    let attention = encoding
        .pooling
        .is_some_and(|it| it.has(Pooling::Attention));
    let is_learnt = (attention || encoding.layer_mix) && args.pooling.is_none();
    if args.task.is_none() && !is_learnt {
        return Ok(None);
    }
    let is_ours = matches!(
        encoding.source,
        EncodingSource::Heads | EncodingSource::OldHeads
    );
    if !is_ours {
        return Err(input(anyhow::anyhow!(
            "--task is for a model that bertram trained: {} has no heads.json",
            dir.display()
        )));
    }
    let model = load_model_folder::<B>(dir, device)
        .map_err(|error| pipeline_error(error.into()))?
        .model;
    let found = match (args.task, &model.heads[..]) {
        (Some(task), _) => model.head(task).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    };
    if let Some(head) = found {
        return Ok(Some((model, head)));
    }
    let names: Vec<&str> = model.tasks().map(|task| task.name()).collect();
    let names = names.join(", ");
    Err(input(match args.task {
        Some(task) => anyhow::anyhow!(
            "--task {task}: {} has no head for it; there are {names}",
            dir.display()
        ),
        None => anyhow::anyhow!(
            "{}: what makes its vectors is learnt by the head of each task: say whose with --task (there are {names}), or take the encoder alone with --pooling mean",
            dir.display()
        ),
    }))
}

/// The encoder alone, with the pooler that the folder says.
fn plain_encoder<B: Kernels>(
    dir: &Path,
    encoding: &Encoding,
    pooling: Pooling,
    device: &B::Device,
) -> CliResult<Bert<B>> {
    let (_, encoder, imported) = load_encoder::<B>(&encoding.weights, device)
        .map_err(|error| pipeline_error(error.into()))?;
    if !pooling.has(Pooling::Pooler) {
        return Ok(encoder);
    }
    match &encoding.pooler {
        Some(path) => {
            load_dense_pooler(path, encoder, device).map_err(|error| pipeline_error(error.into()))
        }
        None if imported.missing_pooler => Err(input(anyhow::anyhow!(
            "{} has no pooler weights: use --pooling cls or --pooling mean",
            dir.display()
        ))),
        None => Ok(encoder),
    }
}

/// How many of all lines are encoded.
struct Progress {
    display: PhaseDisplay,
    total: usize,
    /// Lines of the windows before.
    before: usize,
}

impl Progress {
    fn show(&mut self, done: usize) {
        self.display.progress(self.before + done, self.total);
    }
}

/// Scales a vector to length 1; a vector of zeros stays (as `torch.nn.functional.normalize` has it).
fn normalize(vector: &mut [f32]) {
    let length = vector
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt()
        .max(1e-12);
    for value in vector {
        *value = (f64::from(*value) / length) as f32;
    }
}

fn embed<B: Kernels>(
    reader: &Reader<B>,
    tokenizer: &BertTokenizer,
    texts: &[String],
    chosen: &Chosen,
    args: &EncodeArgs,
    device: &B::Device,
    mut progress: impl FnMut(usize),
) -> CliResult<Vec<Vec<f32>>> {
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = tokenizer
        .encode_all(&borrowed)
        .map_err(|error| pipeline_error(error.into()))?;
    let special_tokens = 2;
    let lengths: Vec<usize> = tokens
        .iter()
        .map(|tokens| (tokens.len() + special_tokens).min(chosen.max_length))
        .collect();
    let padding = args.backend.kind()?.pad_to_multiple_of();
    // Where batches are padded to a multiple of tokens, the device should meet few shapes.
    let batches = batches_by_length(&lengths, args.batch_size, padding > 1);
    let mut chunks: Vec<Tensor<B, 2>> = Vec::new();
    let mut done = 0;
    for rows in &batches {
        let sequences: Vec<&[u32]> = rows.iter().map(|&row| tokens[row].as_slice()).collect();
        let batch = sequence_batch::<B>(
            &sequences,
            tokenizer.special(),
            chosen.max_length,
            padding,
            device,
        );
        let embedded = reader.encoder.embed(&batch);
        let mask = &batch.attention_mask;
        chunks.push((reader.encoder).encode_pooled(embedded, mask, reader.readout()));
        done += rows.len();
        progress(done);
    }
    if chunks.is_empty() {
        return Ok(Vec::new());
    }
    let all = Tensor::cat(chunks, 0);
    let width = all.dims()[1];
    let values: Vec<f32> = all.into_data().iter::<f32>().collect();
    let vectors = values.chunks(width).map(<[f32]>::to_vec);
    Ok(in_order_of_rows(&batches, vectors))
}
