//! `bertram-cli predict`: a trained task on sentences of one's own.

use std::io::{Read, Write};
use std::path::Path;

use bertram_core::data::{Batcher, Columns, Dataset, Example, TokenizedDataset, text_lines};
use bertram_core::task::{Inputs, ModelFolder, TaskId};
use bertram_kernels::TrainBackend;
use bertram_train::config::Settings;
use bertram_train::evaluate::{EvaluationSet, split_logits};
use bertram_train::pipeline::open_trained;
use bertram_train::run_folder::RunFolder;
use serde_json::{Value, json};

use super::train::{options_of_run, pipeline_error};
use crate::args::{PredictArgs, TextFormat};
use crate::backend::{BackendJob, dispatch_with};
use crate::error::{CliResult, input, work};

/// Runs the command.
pub fn run(args: &PredictArgs) -> CliResult {
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
        let inputs = config.spec.inputs;
        let own = settings.tasks.iter().find(|own| own.task == task);
        let columns = own.map(|own| own.columns.clone()).unwrap_or_default();
        let texts = read_texts(&args.input, args.format, inputs, &columns)?;
        let examples = texts
            .iter()
            .enumerate()
            .map(|(index, (a, b))| Example {
                id: index.to_string(),
                text_a: settings.data.preprocess.apply(inputs, a),
                text_b: b
                    .as_deref()
                    .map(|b| settings.data.preprocess.apply(inputs, b)),
                label: None,
            })
            .collect();
        let data = TokenizedDataset::new(
            &Dataset {
                task,
                path: args.input.clone(),
                sha256: String::new(),
                examples,
                skipped: Vec::new(),
            },
            &tokenizer,
        )
        .map_err(input)?;
        let batcher = Batcher {
            packing: config.packing(),
            max_length: settings.data.max_length,
            pad_to_multiple_of: args.backend.kind()?.pad_to_multiple_of(),
            special: tokenizer.special(),
        };
        let logits = split_logits(
            &model,
            EvaluationSet {
                config: &config,
                batcher: &batcher,
                data: &data,
                overall_weight: 1.0,
            },
            settings.train.eval_batch_size,
            &device,
            |_| {},
        );
        crate::gpu::settled();
        let mut output = String::new();
        for ((a, b), logits) in texts.iter().zip(&logits) {
            let prediction = config.predict(logits);
            let mut line = match b {
                Some(b) => json!({ "sentence1": a, "sentence2": b }),
                None => json!({ "sentence": a }),
            };
            line["prediction"] = json!(prediction.value);
            if !prediction.probabilities.is_empty() {
                line["label"] = json!(config.spec.label_text(prediction.value));
            }
            if !prediction.probabilities.is_empty() {
                line["probabilities"] = json!(prediction.probabilities);
            }
            output.push_str(&format!("{line}\n"));
        }
        write_output(args.output.as_deref(), &output)
    }
}

/// Writes to a file, or to standard output where there is none.
pub fn write_output(path: Option<&Path>, text: &str) -> CliResult {
    match path {
        Some(path) => bertram_core::fs::atomic_write(path, text.as_bytes()).map_err(work),
        None => {
            let mut stdout = std::io::stdout().lock();
            match stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
            {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(work(error)),
                _ => Ok(()),
            }
        }
    }
}

/// The lines of a file, or of standard input for `-`, without a byte order mark. Each carries its number, counted from 1.
pub fn read_lines(path: &Path) -> CliResult<Vec<String>> {
    let named =
        |error: &dyn std::fmt::Display| input(anyhow::anyhow!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    }
    .map_err(|error| named(&error))?;
    text_lines(&bytes).map_err(|error| named(&error))
}

type Text = (String, Option<String>);

fn read_texts(
    path: &Path,
    format: TextFormat,
    inputs: Inputs,
    columns: &Columns,
) -> CliResult<Vec<Text>> {
    let pair = inputs == Inputs::Pair;
    read_lines(path)?
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let parsed = match format {
                TextFormat::Lines => parse_line(&line, pair),
                TextFormat::JsonLines => parse_json(&line, pair, columns),
            };
            parsed.map_err(|reason| {
                input(anyhow::anyhow!(
                    "{}, line {}: {reason}",
                    path.display(),
                    index + 1
                ))
            })
        })
        .collect()
}

fn parse_line(line: &str, pair: bool) -> Result<Text, String> {
    if !pair {
        return Ok((line.to_owned(), None));
    }
    match line.split_once('\t') {
        Some((a, b)) => Ok((a.to_owned(), Some(b.to_owned()))),
        None => Err("a pair task needs two sentences with a tab between them".into()),
    }
}

fn parse_json(line: &str, pair: bool, columns: &Columns) -> Result<Text, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    // The task's own name of a column first, then the standard ones.
    let field = |own: &Option<String>, names: &[&str]| {
        let own = own.as_deref();
        own.iter()
            .chain(names)
            .find_map(|name| value.get(name)?.as_str().map(str::to_owned))
            .ok_or_else(|| format!("no string field {:?}", own.unwrap_or(names[0])))
    };
    if pair {
        let first = field(&columns.text_a, &["sentence1", "text-a", "text_a"])?;
        let second = field(&columns.text_b, &["sentence2", "text-b", "text_b"])?;
        Ok((first, Some(second)))
    } else {
        Ok((
            field(&columns.text_a, &["sentence", "text", "sentence1"])?,
            None,
        ))
    }
}
