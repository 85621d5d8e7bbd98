//! `bertram-cli ensemble`: the mean of what finished runs say.

use std::path::PathBuf;

use bertram_core::data::Split;
use bertram_core::task::TaskId;
use bertram_kernels::TrainBackend;
use bertram_report::{ReportError, find_runs};
use bertram_train::device::DeviceName;
use bertram_train::ensemble::{
    EnsembleOptions, Member, MixtureError, Origin, ensemble, shared_tasks, with_rows,
};
use bertram_train::made_of::{MadeOf, Share};
use bertram_train::phase::Phase;
use bertram_train::pipeline::{PipelineError, Summary};
use bertram_train::run_folder::RunFolder;
use comfy_table::{Table, presets};

use super::bench::right_align;
use super::train::command_line;
use crate::args::{EnsembleArgs, SplitArg};
use crate::backend::{BackendJob, DeviceOptions, dispatch_with};
use crate::error::{CliError, CliResult, input, pipeline_error, work};
use crate::out;
use crate::progress::PhaseDisplay;
use crate::table::scores_table;
use crate::version::commit;

/// Runs the command.
pub fn run(args: &EnsembleArgs) -> CliResult {
    let members = members(&args.runs)?;
    let shared = shared_tasks(&members).map_err(mixture_error)?;
    warn_of_left_out(&members, &shared);
    let test = matches!(args.split, SplitArg::Test);
    let mut missing = Vec::new();
    for member in &members {
        for (split, wanted) in [(Split::Dev, true), (Split::Test, test)] {
            let tasks = match split {
                Split::Test => with_rows(&members, &shared, split),
                Split::Train | Split::Dev => shared.clone(),
            };
            if wanted && member.lacks(&tasks, split).map_err(mixture_error)? {
                missing.push((member.clone(), split));
            }
        }
    }
    let folder = NewFolder::create(&args.out)?;
    if !missing.is_empty() {
        let options = DeviceOptions::plain(args.backend.device);
        let predict = Predict { missing };
        let predicted = dispatch_with(args.backend.kind()?, options, predict);
        predicted
            .and_then(|predicted| predicted)
            .inspect_err(|_| folder.remove())?;
    }
    let options = EnsembleOptions {
        weights: args.weights.into(),
        seed: args.seed,
        test,
    };
    let first = &members[0].summary;
    let origin = Origin {
        command: command_line(),
        commit: commit(),
        backend: first.backend.clone(),
        device: DeviceName::default(),
    };
    let summary = ensemble(&members, options, &folder.run, &origin)
        .map_err(mixture_error)
        .inspect_err(|_| folder.remove())?;
    report(&summary, &folder.run)
}

/// The runs in `paths`, each once.
pub(super) fn members(paths: &[PathBuf]) -> CliResult<Vec<Member>> {
    let report = |error: ReportError| match error.is_input() {
        true => input(error),
        false => work(error),
    };
    let runs = find_runs(paths).map_err(report)?;
    if runs.len() < 2 {
        return Err(input(MixtureError::TooFew(runs.len())));
    }
    runs.into_iter()
        .map(|run| Member::open(run).map_err(mixture_error))
        .collect()
}

pub(super) fn mixture_error(error: MixtureError) -> CliError {
    match error {
        MixtureError::Pipeline(error) => pipeline_error(error),
        error if error.is_input() => input(error),
        error => work(error),
    }
}

/// A folder that goes again where nothing comes of it.
pub(super) struct NewFolder {
    pub(super) run: RunFolder,
    was_there: bool,
}

impl NewFolder {
    pub(super) fn create(path: &std::path::Path) -> CliResult<Self> {
        let was_there = path.exists();
        let run = RunFolder::create(path.to_owned()).map_err(PipelineError::from);
        Ok(Self {
            run: run.map_err(pipeline_error)?,
            was_there,
        })
    }

    pub(super) fn remove(&self) {
        if let Err(error) = self.run.remove_new(self.was_there) {
            tracing::warn!("{error}");
        }
    }
}

/// A word on tasks that not all runs have.
fn warn_of_left_out(members: &[Member], shared: &[TaskId]) {
    let mut left: Vec<&str> = Vec::new();
    for task in members.iter().flat_map(|member| &member.settings.tasks) {
        if !shared.contains(&task.task) && !left.contains(&task.task.name()) {
            left.push(task.task.name());
        }
    }
    if !left.is_empty() {
        tracing::warn!(
            "left out, as not all runs are scored on it: {}",
            left.join(", ")
        );
    }
}

/// Predicts with the runs' models what their folders do not have.
struct Predict {
    missing: Vec<(Member, Split)>,
}

impl BackendJob for Predict {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let clock = PhaseDisplay::clock();
        for (member, split) in &self.missing {
            out::progress(&format!(
                "{} has no probabilities of all {} rows: its model predicts them, into its predictions/",
                member.run.path().display(),
                split.name()
            ));
            clock.enter_part(Phase::Predicting, split.name());
            member
                .predict::<B::InnerBackend>(*split, &device, |done, rows| {
                    clock.progress(done, rows);
                })
                .map_err(pipeline_error)?;
        }
        clock.end();
        Ok(())
    }
}

/// Prints scores, weights, and what choosing them was worth.
pub(super) fn report(summary: &Summary, run: &RunFolder) -> CliResult {
    let Some(made_of) = &summary.made_of else {
        return Ok(());
    };
    if !summary.dev.tasks.is_empty() {
        out::line(&scores_table(&summary.dev, &summary.further).to_string())?;
    }
    out::line(&ingredients(made_of).to_string())?;
    if let Some(select) = &made_of.select {
        out::line(&format!(
            "chosen on one half of dev and scored on the other, both ways: overall {:.4} (chosen and scored on all of it: {:.4})",
            select.overall, select.overall_chosen_on_all
        ))?;
    }
    out::line(&format!(
        "the epochs of the runs were chosen on {}",
        made_of.epochs_chosen_on.name()
    ))?;
    if let Some(test) = &made_of.test {
        out::line("on test:")?;
        out::line(&scores_table(test, &summary.further).to_string())?;
    }
    out::line(&format!("run folder: {}", run.path().display()))
}

/// A row a run: its own score, and its weights.
fn ingredients(made_of: &MadeOf) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let first = made_of.runs.first();
    let tasks: Vec<TaskId> = match first.map(|run| &run.weight) {
        Some(Share::Tasks(tasks)) => tasks.keys().copied().collect(),
        _ => Vec::new(),
    };
    let weights: Vec<String> = match tasks.is_empty() {
        true => vec!["weight".to_owned()],
        false => tasks.iter().map(|task| format!("weight, {task}")).collect(),
    };
    let header = ["run", "seed", "overall"].map(str::to_owned).into_iter();
    table.set_header(header.chain(weights));
    for run in &made_of.runs {
        let weights: Vec<f64> = match &run.weight {
            Share::All(weight) => vec![*weight],
            Share::Tasks(weights) => weights.values().copied().collect(),
        };
        let cells = [
            run.run.display().to_string(),
            run.seed.to_string(),
            format!("{:.3}", run.overall),
        ];
        let weights = weights.iter().map(|weight| format!("{weight:.3}"));
        table.add_row(cells.into_iter().chain(weights));
    }
    let columns: Vec<usize> = (1..3 + tasks.len().max(1)).collect();
    right_align(&mut table, &columns);
    table
}
