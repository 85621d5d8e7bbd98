//! A list of runs to make, in its order: experiments, and the cells of an ablation.

use std::collections::VecDeque;

use bertram_core::task::TaskId;
use bertram_train::pipeline::Summary;
use bertram_train::run_folder::{RunState, read_json};
use comfy_table::{CellAlignment, Table, presets};

use super::execute::{self, Ended, Job, Next, Queue, label, state};
use super::plan::PlannedRun;
use crate::args::RunsArgs;
use crate::error::{CliResult, work};
use crate::out;

/// Makes all of them, and shows what they scored.
pub fn make(runs: &[PlannedRun], args: &RunsArgs) -> CliResult {
    for run in runs {
        execute::check_settings(run)?;
    }
    let is_done = |run: &&PlannedRun| state(run) == RunState::Finished;
    let (done, waiting): (Vec<_>, Vec<_>) = runs.iter().partition(is_done);
    let mut list = List {
        waiting: waiting.into(),
        done: done.len(),
        runs: runs.len(),
        failed: Vec::new(),
    };
    let is_stopped = execute::all(&mut list, args)?;
    out::line(&table(runs).to_string())?;
    if is_stopped {
        return Err(execute::stopped());
    }
    if !list.failed.is_empty() {
        return Err(work(anyhow::anyhow!(
            "{} of {} runs failed: {}; what each said lies beside its folder, in NAME.log",
            list.failed.len(),
            runs.len(),
            list.failed.join(", ")
        )));
    }
    out::line(&format!(
        "report: bertram-cli report {} --out report.html",
        args.out.display()
    ))
}

struct List<'a> {
    waiting: VecDeque<&'a PlannedRun>,
    done: usize,
    runs: usize,
    failed: Vec<String>,
}

impl Queue for List<'_> {
    fn next(&mut self) -> CliResult<Next> {
        loop {
            let mut waiting = self.waiting.iter();
            let ready = waiting.position(|run| state(run) != RunState::AtWork);
            let Some(run) = ready.and_then(|index| self.waiting.remove(index)) else {
                break;
            };
            // Another runner has made it meanwhile.
            if state(run) == RunState::Finished {
                self.done += 1;
                continue;
            }
            let run = run.clone();
            return Ok(Next::Job(Job { run, until: None }));
        }
        Ok(match self.waiting.is_empty() {
            true => Next::Done,
            false => Next::Wait,
        })
    }

    fn ended(&mut self, job: &Job, how: &Ended) -> CliResult<String> {
        Ok(match how {
            Ended::Finished(summary) => {
                self.done += 1;
                scores(summary)
            }
            // Nothing stops before its end but by Ctrl-C.
            Ended::Interrupted | Ended::Stopped => "interrupted".to_owned(),
            Ended::Failed(said) => {
                self.failed.push(label(&job.run));
                format!("failed: {said}")
            }
        })
    }

    fn count(&self) -> (usize, usize) {
        (self.done, self.runs)
    }

    fn waiting(&self) -> Option<usize> {
        Some(self.waiting.len())
    }
}

/// `overall 0.742  sst 0.467  para 0.839`.
fn scores(summary: &Summary) -> String {
    let tasks = summary.dev.tasks.iter();
    let tasks = tasks.map(|(task, scores)| format!("  {task} {:.3}", scores.primary()));
    format!(
        "overall {:.3}{}",
        summary.dev.overall,
        tasks.collect::<String>()
    )
}

fn table(runs: &[PlannedRun]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let summaries: Vec<Option<Summary>> = runs
        .iter()
        .map(|run| read_json(&run.folder.join("summary.json")).ok())
        .collect();
    let mut tasks: Vec<TaskId> = Vec::new();
    for task in summaries
        .iter()
        .flatten()
        .flat_map(|it| it.dev.tasks.keys())
    {
        if !tasks.contains(task) {
            tasks.push(*task);
        }
    }
    let tasks = TaskId::in_order(tasks);
    let names = tasks.iter().map(|task| task.name());
    table.set_header(["run", "seed"].into_iter().chain(names).chain(["overall"]));
    for (run, summary) in runs.iter().zip(&summaries) {
        let score = |task: &TaskId| {
            let scores = summary.as_ref()?.dev.tasks.get(task)?;
            Some(format!("{:.3}", scores.primary()))
        };
        let cells = tasks
            .iter()
            .map(|task| score(task).unwrap_or_else(|| "-".into()));
        let overall = summary.as_ref().map_or("not done".into(), |summary| {
            format!("{:.3}", summary.dev.overall)
        });
        let start = [run.name.clone(), run.seed.to_string()];
        table.add_row(start.into_iter().chain(cells).chain([overall]));
    }
    for column in 1..tasks.len() + 3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
