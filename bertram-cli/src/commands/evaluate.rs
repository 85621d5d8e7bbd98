//! `bertram-cli evaluate`: score a run's exported model on a split, and write its predictions.

use std::path::Path;

use bertram_core::data::Split;
use bertram_core::task::ModelFolder;
use bertram_kernels::TrainBackend;
use bertram_train::config::{Override, Settings};
use bertram_train::corpus::{DataFile, TaskCorpus, data_files, read_corpus, tokenize_corpus};
use bertram_train::phase::Phase;
use bertram_train::pipeline::{
    PipelineError, check_unchanged, open_trained, predict_split, settings_to_evaluate,
};
use bertram_train::run_folder::{RunFolder, RunInfo, write_json};

use super::train::{check_data_folder, check_exported, options_of_run};
use crate::args::EvaluateArgs;
use crate::backend::{BackendJob, dispatch_with};
use crate::error::{CliResult, input, pipeline_error};
use crate::out;
use crate::progress::PhaseDisplay;
use crate::recipe::sets;
use crate::table::scores_table;

/// Runs the command.
pub fn run(args: &EvaluateArgs) -> CliResult {
    out::check_folder_of(args.out.as_deref())?;
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
        let sets: Vec<Override> = sets(&args.set).collect();
        let settings = settings_to_evaluate(&run, args.data.as_deref(), &sets).map_err(pipeline)?;
        check_data_folder(&settings)?;
        check_exported(&run)?;
        if run.is_locked() {
            tracing::warn!(
                "a process is at work in {}: this scores the model that its last end exported",
                run.path().display()
            );
        }
        let clock = PhaseDisplay::clock();
        clock.enter(Phase::Importing);
        let (settings, folder) =
            open_trained::<B::InnerBackend>(&run, settings, &device).map_err(pipeline)?;
        let ModelFolder {
            model, tokenizer, ..
        } = folder;
        let split: Split = args.split.into();
        clock.enter(Phase::Reading);
        let corpus = read_corpus(&settings, &[split]).map_err(|error| pipeline(error.into()))?;
        check_split(&corpus, split)?;
        clock.enter(Phase::Tokenizing);
        let tasks = tokenize_corpus(&settings, &corpus, &tokenizer)
            .map_err(|error| pipeline(error.into()))?;
        let mut folder = run.predictions();
        let info = run.read_info().map_err(|error| pipeline(error.into()))?;
        if let Some(difference) = other_data(args, &info, &corpus) {
            // The run's own files say how the exported model did on its own data: those stay.
            folder = folder.join(name_of_data(args, &settings));
            tracing::warn!(
                "scored on other data than the run's ({difference}): the run's own predictions stay, and these go to {}",
                folder.display()
            );
        }
        clock.enter_part(Phase::Predicting, split.name());
        let (scores, further) = predict_split(
            &model,
            &settings,
            &tasks,
            split,
            &folder,
            &device,
            |done, rows| clock.progress(done, rows),
        )
        .map_err(pipeline)?;
        clock.end();
        if scores.tasks.is_empty() {
            out::line(&format!(
                "the {} split has no labels, or not in every row: predictions are written, and there is no score",
                split.name()
            ))?;
        } else {
            out::line(&scores_table(&scores, &further).to_string())?;
        }
        if let Some(path) = &args.out {
            write_json(path, &scores).map_err(|error| pipeline(error.into()))?;
        }
        out::line(&format!("predictions: {}", folder.display()))
    }
}

/// Says which tasks have no rows of a split; without any there is nothing to evaluate.
fn check_split(corpus: &[TaskCorpus], split: Split) -> CliResult {
    let rows = |task: &TaskCorpus| match split {
        Split::Train => task.train.examples.len(),
        Split::Dev => task.dev.examples.len(),
        Split::Test => task.test.as_ref().map_or(0, |test| test.examples.len()),
    };
    let without: Vec<&str> = corpus
        .iter()
        .filter(|task| rows(task) == 0)
        .map(|task| task.task.name())
        .collect();
    let name = split.name();
    if without.len() == corpus.len() {
        return Err(input(anyhow::anyhow!(
            "no task has a {name} file: name a folder that has them with --data, or a file with --set tasks.{}.{name}=FILE",
            without.first().copied().unwrap_or("NAME")
        )));
    }
    for task in without {
        tracing::warn!(
            "{task} has no {name} file and is left out: name it with --set tasks.{task}.{name}=FILE"
        );
    }
    Ok(())
}

/// How the data differ from the run's own, where they do. Files that the user names and the run has not noted are others,
/// too.
fn other_data(args: &EvaluateArgs, info: &RunInfo, corpus: &[TaskCorpus]) -> Option<String> {
    if let Err(error) = check_unchanged(info, corpus) {
        return Some(error.to_string());
    }
    let is_noted = |file: &DataFile| {
        let mut noted = info.data.iter();
        noted.any(|noted| noted.task == file.task && noted.split == file.split)
    };
    let names_data = args.data.is_some() || !args.set.is_empty();
    let new = data_files(corpus)
        .into_iter()
        .find(|file| !is_noted(file))?;
    names_data.then(|| format!("{} is none of the run's files", new.path.display()))
}

/// A folder for the predictions of data that are not the run's own, named as the data's folder.
fn name_of_data(args: &EvaluateArgs, settings: &Settings) -> String {
    let named = args.set.is_empty() || args.data.is_some();
    let folder = settings.data.dir.as_deref().filter(|_| named);
    let name = folder.and_then(Path::file_name);
    let name = name.map_or("other-files".into(), |name| name.to_string_lossy());
    format!("of-{name}")
}
