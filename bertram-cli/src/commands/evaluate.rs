//! `bertram-cli evaluate`: score a run's exported model on a split, and write its predictions.

use std::path::Path;

use bertram_core::data::Split;
use bertram_core::task::ModelFolder;
use bertram_kernels::TrainBackend;
use bertram_train::config::{Settings, quoted};
use bertram_train::corpus::{read_corpus, tokenize_corpus};
use bertram_train::pipeline::{PipelineError, check_unchanged, open_trained, predict_split};
use bertram_train::run_folder::{RunFolder, write_json};

use super::train::{options_of_run, pipeline_error};
use crate::args::EvaluateArgs;
use crate::backend::{BackendJob, dispatch_with};
use crate::error::{CliResult, input};
use crate::out;
use crate::progress::StageBar;
use crate::table::scores_table;

/// Runs the command.
pub fn run(args: &EvaluateArgs) -> CliResult {
    dispatch_with(
        args.backend.kind()?,
        options_of_run(&args.run, args.backend.device),
        Evaluate { args: args.clone() },
    )?
}

struct Evaluate {
    args: EvaluateArgs,
}

impl BackendJob for Evaluate {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let args = &self.args;
        let pipeline = |error: PipelineError| pipeline_error(error);
        let run = RunFolder::open(&args.run).map_err(|error| pipeline(error.into()))?;
        let mut sets = Vec::new();
        if let Some(data) = &args.data {
            sets.push(format!("data.dir={}", quoted(&data.to_string_lossy())));
        }
        let settings =
            Settings::load(&run.config(), &sets).map_err(|error| pipeline(error.into()))?;
        if !run.model().is_dir() {
            return Err(input(anyhow::anyhow!(
                "{} has no exported model yet; finish it with: bertram-cli train --resume {}",
                run.path().display(),
                run.path().display()
            )));
        }
        let (settings, folder) =
            open_trained::<B::InnerBackend>(&run, settings, &device).map_err(pipeline)?;
        let ModelFolder {
            model, tokenizer, ..
        } = folder;
        let split: Split = args.split.into();
        let corpus = read_corpus(&settings, &[split]).map_err(|error| pipeline(error.into()))?;
        let tasks = tokenize_corpus(&settings, &corpus, &tokenizer)
            .map_err(|error| pipeline(error.into()))?;
        let mut folder = run.predictions();
        let info = run.read_info().map_err(|error| pipeline(error.into()))?;
        if let Err(error) = check_unchanged(&info, &corpus) {
            // The run's own files say how the exported model did on its own data: those stay.
            folder = folder.join(other_data(&settings));
            tracing::warn!(
                "these are other data than the run's ({error}); predictions go to {}",
                folder.display()
            );
        }
        let mut bar = StageBar::default();
        let scores = predict_split(
            &model,
            &settings,
            &tasks,
            split,
            &folder,
            &device,
            |done, rows| bar.show(split.name(), done, rows),
        )
        .map_err(pipeline)?;
        bar.finish();
        if scores.tasks.is_empty() {
            out::line(&format!(
                "the {} split has no labels, or not in every row: predictions are written, and there is no score",
                split.name()
            ))?;
        } else {
            out::line(&scores_table(&scores).to_string())?;
        }
        if let Some(path) = &args.out {
            write_json(path, &scores).map_err(|error| pipeline(error.into()))?;
        }
        out::line(&format!("predictions: {}", folder.display()))
    }
}

/// A folder for the predictions of data that are not the run's own, named as the data's folder.
fn other_data(settings: &Settings) -> String {
    let folder = settings.data.dir.as_deref().and_then(Path::file_name);
    let name = folder.map_or("other-files".into(), |name| name.to_string_lossy());
    format!("of-{name}")
}
