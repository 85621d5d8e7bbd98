//! `bertram-cli predict`: a trained task on sentences of one's own.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use bertram_core::data::{
    Batcher, BertTokenizer, DataError, Dataset, Example, Preprocess, ReadOptions, TokenizedDataset,
    read_texts,
};
use bertram_core::task::{Inputs, LabelKind, ModelFolder, Prediction, TaskId, TaskSpec};
use bertram_kernels::TrainBackend;
use bertram_train::calibration::{Calibration, predict_calibrated};
use bertram_train::config::{Settings, TaskSettings};
use bertram_train::corpus::options_to_predict;
use bertram_train::evaluate::{EvaluationSet, split_logits};
use bertram_train::pipeline::{PipelineError, open_trained};
use bertram_train::run_folder::RunFolder;
use serde_json::{Value, json};

use super::texts::{Output, check_lines, is_standard_input, lines, named, next_window};
use super::train::{check_exported, options_of_run};
use crate::args::{PredictArgs, TextFormat};
use crate::backend::{BackendJob, dispatch_with};
use crate::error::{CliResult, input, pipeline_error};
use crate::out;

/// Runs the command.
pub fn run(args: &PredictArgs) -> CliResult {
    out::check_folder_of(args.output.as_deref())?;
    dispatch_with(
        args.backend.kind()?,
        options_of_run(&args.run, args.backend.device),
        Predict { args: args.clone() },
    )?
}

struct Predict {
    args: PredictArgs,
}

impl BackendJob for Predict {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let args = &self.args;
        let task = args.task;
        let run = RunFolder::open(&args.run).map_err(|error| pipeline_error(error.into()))?;
        let settings =
            Settings::load(&run.config(), &[]).map_err(|error| pipeline_error(error.into()))?;
        check_exported(&run)?;
        let (settings, folder) =
            open_trained::<B::InnerBackend>(&run, settings, &device).map_err(pipeline_error)?;
        let ModelFolder {
            model, tokenizer, ..
        } = folder;
        let Some(head) = model.head(task) else {
            let known: Vec<&str> = model.tasks().map(TaskId::name).collect();
            return Err(input(anyhow::anyhow!(
                "the run has no task {task}; it has: {}",
                known.join(", ")
            )));
        };
        let config = head.config().clone();
        let calibration = Calibration::read(&run.model()).map_err(PipelineError::from);
        let calibration = calibration.map_err(pipeline_error)?;
        let temperature = calibration.map_or(1.0, |all| all.temperature(&config));
        let inputs = config.spec.inputs;
        let own = settings.task(task).ok_or_else(|| {
            input(anyhow::anyhow!(
                "{}: there is no section tasks.{task}, and the model has the task",
                run.config().display()
            ))
        })?;
        let mut texts: Box<dyn Iterator<Item = CliResult<Text>>> =
            match options(&settings, own, args) {
                Some(options) => Box::new(read_file(&args.input, &options)?.into_iter().map(Ok)),
                None => Box::new(read_pairs(&args.input, inputs)?),
            };
        let batcher = Batcher {
            packing: config.packing(),
            max_length: settings.data.max_length,
            pad_to_multiple_of: args.backend.kind()?.pad_to_multiple_of(),
            special: tokenizer.special(),
        };
        let batch_size = settings.train.eval_batch_size;
        let mut output = Output::new(args.output.as_deref());
        loop {
            let window = next_window(&mut texts, batch_size, is_said, bytes)?;
            if window.is_empty() {
                break;
            }
            let data = tokenized(&window, task, &settings, inputs, args, &tokenizer)?;
            let set = EvaluationSet {
                config: &config,
                batcher: &batcher,
                data: &data,
                overall_weight: 1.0,
            };
            let logits = split_logits(&model, set, batch_size, &device, |_| {});
            crate::gpu::settled();
            let mut lines = String::new();
            let mut logits = logits.iter();
            for text in &window {
                let said = Some(text).filter(|text| is_said(text));
                let said = said.and_then(|_| logits.next());
                let line = said.map_or(Value::Null, |logits| {
                    let prediction = predict_calibrated(&config, logits, temperature);
                    line(&config.spec, text, &prediction)
                });
                // Writing to a string does not fail.
                let _ = writeln!(lines, "{line}");
            }
            if !output.write(&lines)? {
                break;
            }
        }
        output.finish()
    }
}

/// The texts of which something can be said, prepared as in training.
fn tokenized(
    texts: &[Text],
    task: TaskId,
    settings: &Settings,
    inputs: Inputs,
    args: &PredictArgs,
    tokenizer: &BertTokenizer,
) -> CliResult<TokenizedDataset> {
    let prepared = |text: &str| settings.data.preprocess.apply(inputs, text);
    let said = texts.iter().filter(|text| is_said(text)).enumerate();
    let examples = said.map(|(index, (a, b))| Example {
        id: index.to_string(),
        text_a: prepared(a),
        text_b: b.as_deref().map(prepared),
        label: None,
        weight: 1.0,
    });
    let dataset = Dataset {
        task,
        path: args.input.clone(),
        sha256: String::new(),
        examples: examples.collect(),
        skipped: Vec::new(),
    };
    TokenizedDataset::new(&dataset, tokenizer).map_err(input)
}

/// What is printed of a text: itself, and what the model says of it.
fn line(spec: &TaskSpec, (a, b): &Text, prediction: &Prediction) -> Value {
    let mut line = match b {
        Some(b) => json!({ "sentence1": a, "sentence2": b }),
        None => json!({ "sentence": a }),
    };
    match spec.label {
        LabelKind::MultiLabel { .. } => {
            line["labels"] = json!(spec.names_of(&prediction.said()));
        }
        LabelKind::Classes { .. } | LabelKind::Binary => {
            let class = prediction.value as usize;
            line["prediction"] = json!(class);
            line["label"] = json!(spec.label_text(prediction.value));
            line["confidence"] = json!(prediction.probabilities.get(class));
        }
        LabelKind::Score { .. } => line["prediction"] = json!(prediction.value),
    }
    if !prediction.probabilities.is_empty() {
        let names = (0..).map(|class| spec.label_text(f64::from(class)));
        let named = names.zip(&prediction.probabilities);
        line["probabilities"] = named.map(|(name, it)| (name, json!(it))).collect();
    }
    line
}

/// The bytes of a file, or of standard input for `-`.
fn read_bytes(path: &Path) -> CliResult<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_standard_input(path) {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    }
    .map_err(|error| named(path, &error))?;
    Ok(bytes)
}

type Text = (String, Option<String>);

/// Whether no sentence is missing: of others nothing can be said, and they are no examples in training either.
fn is_said((a, b): &Text) -> bool {
    let blank = |text: &str| text.trim().is_empty();
    !(blank(a) || b.as_deref().is_some_and(blank))
}

fn bytes((a, b): &Text) -> usize {
    a.len() + b.as_ref().map_or(0, String::len)
}

/// How a table or JSON lines are read; `None` for a sentence a line.
fn options<'a>(
    settings: &Settings,
    task: &'a TaskSettings,
    args: &PredictArgs,
) -> Option<ReadOptions<'a>> {
    if args.format == Some(TextFormat::Lines) {
        return None;
    }
    let format = args.format.and_then(TextFormat::of_file);
    let options = options_to_predict(settings, task, &args.input, format)?;
    Some(ReadOptions {
        // The texts are shown as they are, and prepared after.
        preprocess: Preprocess::None,
        ..options
    })
}

/// The texts of a table or of JSON lines, by the task's columns as in training.
fn read_file(path: &Path, options: &ReadOptions<'_>) -> CliResult<Vec<Text>> {
    let bytes = read_bytes(path)?;
    let (dataset, notes) = match read_texts(path, &bytes, options) {
        // To predict nothing is no fault.
        Err(DataError::Empty { .. }) => return Ok(Vec::new()),
        read => read.map_err(input)?,
    };
    for note in notes {
        tracing::warn!("{note}");
    }
    let rows = dataset.examples.into_iter();
    Ok(rows.map(|row| (row.text_a, row.text_b)).collect())
}

/// A sentence, or two, a line; of an empty line the sentence is empty. A file is looked through before.
fn read_pairs(
    path: &Path,
    inputs: Inputs,
) -> CliResult<impl Iterator<Item = CliResult<Text>> + use<>> {
    let reader = || {
        let path = path.to_owned();
        let mut number = 0_u64;
        move |line: CliResult<String>| {
            let line = line?;
            number += 1;
            if line.trim().is_empty() {
                return Ok((line, None));
            }
            parse_line(&line, inputs).map_err(|reason| {
                input(anyhow::anyhow!(
                    "{}, line {number}: {reason}",
                    path.display()
                ))
            })
        }
    };
    let mut check = reader();
    check_lines(path, |line| check(line).map(|_| ()))?;
    Ok(lines(path)?.map(reader()))
}

fn parse_line(line: &str, inputs: Inputs) -> Result<Text, String> {
    const TABLE: &str =
        "a table with a header is read with --format tsv (or csv, tsv-quoted, cs224n, glue)";
    let mut parts = line.split('\t');
    let (first, second, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    match (inputs, second, more) {
        (Inputs::Single, None, _) => Ok((first.to_owned(), None)),
        (Inputs::Single, Some(_), _) => Err(format!(
            "a tab in the line, where the task has one sentence a line; {TABLE}"
        )),
        (Inputs::Pair, Some(second), None) => Ok((first.to_owned(), Some(second.to_owned()))),
        (Inputs::Pair, None, _) => Err(format!(
            "a pair task needs two sentences with a tab between them; {TABLE}"
        )),
        (Inputs::Pair, Some(_), Some(_)) => Err(format!(
            "more than one tab, where a pair is two sentences with a tab between them; {TABLE}"
        )),
    }
}
