//! `bertram-cli experiments search`: trials that are drawn from a space of configs.

mod plan;
mod trials;

use std::fs::{File, TryLockError};

use anyhow::Context;
use bertram_train::config::SearchMethod;
use bertram_train::search::{SearchRecord, TrialRecord, TrialState};
use comfy_table::{CellAlignment, Table, presets};

use self::plan::Plan;
use self::trials::Trials;
use super::{execute, list, slurm};
use crate::args::{RunsArgs, SearchArgs};
use crate::error::{CliResult, input, work};
use crate::out;

/// Keeps a second runner out of a search.
const LOCK: &str = ".search.lock";

/// Runs the command.
pub fn run(args: &SearchArgs) -> CliResult {
    let plan = Plan::new(args)?;
    if plan.space.method == SearchMethod::Asha && (args.emit.is_some() || !args.only.is_empty()) {
        return Err(input(anyhow::anyhow!(
            "{}: method = \"asha\" decides by the scores of all trials which of them goes on, so one process makes them: run this command in one allocation, with --jobs for as many as fit, or take method = \"random\" for an array of jobs",
            plan.space.name
        )));
    }
    if args.dry_run {
        let trials = Trials::new(&plan, &args.common)?;
        return out::line(&drawn(&trials.record()).to_string());
    }
    if args.emit.is_some() {
        return slurm::emit_search(args);
    }
    if !args.only.is_empty() {
        return some(&plan, args);
    }
    all(&plan, args)
}

/// Some of the trials, as an array of jobs makes them.
fn some(plan: &Plan, args: &SearchArgs) -> CliResult {
    let mut runs = Vec::new();
    for number in &args.only {
        let trial = number.checked_sub(1).and_then(|it| plan.trials.get(it));
        let trial = trial.ok_or_else(|| {
            input(anyhow::anyhow!(
                "--only {number}: the trials are 1 to {}",
                plan.trials.len()
            ))
        })?;
        runs.push(trial.run.clone());
    }
    list::make(&runs, &args.common)
}

/// All trials, as the method has it.
fn all(plan: &Plan, args: &SearchArgs) -> CliResult {
    let out = &args.common.out;
    let _lock = lock(&args.common)?;
    for trial in &plan.trials {
        execute::check_settings(&trial.run)?;
    }
    let mut trials = Trials::new(plan, &args.common)?;
    let is_stopped = execute::all(&mut trials, &args.common)?;
    trials.save()?;
    let record = trials.record();
    out::line(&ranking(&record).to_string())?;
    if is_stopped || trials.was_interrupted() {
        return Err(execute::stopped());
    }
    if !trials.failed.is_empty() {
        return Err(work(anyhow::anyhow!(
            "{} of {} trials failed: {}; what each said lies beside its folder, in NAME.log; the same command tries them again",
            trials.failed.len(),
            plan.trials.len(),
            trials.failed.join(", ")
        )));
    }
    let Some(best) = record.best_finished() else {
        return Err(work(anyhow::anyhow!(
            "all {} trials diverged; lower the learning rates of {}, or see what each said in NAME.log beside its folder",
            plan.trials.len(),
            plan.space.name
        )));
    };
    out::line(&format!(
        "best of those trained to their end: {} ({})",
        out.join(&best.folder).display(),
        values(&record, best)
    ))?;
    out::line(&format!(
        "Its {} on dev is the highest of {}, and so probably higher than it would be on rows that chose nothing.",
        record.metric,
        record.trials.len()
    ))?;
    out::line(&format!(
        "table: {}; report: bertram-cli report {} --out report.html",
        out.join(SearchRecord::TABLE).display(),
        out.display()
    ))
}

/// Keeps others out until it is dropped.
fn lock(args: &RunsArgs) -> CliResult<File> {
    let out = &args.out;
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot make {}", out.display()))
        .map_err(work)?;
    let path = out.join(LOCK);
    let file = File::create(&path)
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(work)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(input(anyhow::anyhow!(
            "{}: another process searches in this folder; wait for it, or stop it",
            out.display()
        ))),
        // Some network file systems have no locks: then there is nothing to wait for.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// `train.learning-rate = 0.0003, train.batch-size = 16`.
fn values(record: &SearchRecord, trial: &TrialRecord) -> String {
    let keys = record.keys.iter().enumerate();
    let values = keys.map(|(index, key)| format!("{} = {}", key.key, trial.shown(index)));
    values.collect::<Vec<_>>().join(", ")
}

/// Keys as headings: their last parts where these are different.
fn headings(record: &SearchRecord) -> Vec<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let keys = record.keys.iter().map(|key| key.key.as_str());
    let lasts: Vec<String> = keys.clone().map(last).collect();
    let heading = |key: &str| {
        let short = last(key);
        match lasts.iter().filter(|other| **other == short).count() {
            1 => short,
            _ => key.to_owned(),
        }
    };
    keys.map(heading).collect()
}

/// What the trials draw.
fn drawn(record: &SearchRecord) -> Table {
    let mut table = table(["trial"], record);
    for trial in &record.trials {
        let values = (0..record.keys.len()).map(|key| trial.shown(key));
        table.add_row([trial.trial.to_string()].into_iter().chain(values));
    }
    aligned(table, 0..1, 1, record)
}

/// The trials by their scores.
fn ranking(record: &SearchRecord) -> Table {
    let mut table = table(["rank", "trial", &record.metric, "epochs", ""], record);
    for (place, trial) in record.ranked().into_iter().enumerate() {
        let rank = trial
            .score
            .map_or("-".to_owned(), |_| (place + 1).to_string());
        let score = trial.score.map_or("-".to_owned(), |it| format!("{it:.3}"));
        let state = match trial.state {
            TrialState::Finished => "",
            state => state.name(),
        };
        let start = [
            rank,
            trial.trial.to_string(),
            score,
            trial.epochs.to_string(),
            state.to_owned(),
        ];
        let values = (0..record.keys.len()).map(|key| trial.shown(key));
        table.add_row(start.into_iter().chain(values));
    }
    aligned(table, 0..4, 5, record)
}

fn table<const N: usize>(first: [&str; N], record: &SearchRecord) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let first = first.into_iter().map(str::to_owned);
    table.set_header(first.chain(headings(record)));
    table
}

/// A table whose numbers are on the right: those of `columns`, and those of keys, which begin at `keys`.
fn aligned(
    mut table: Table,
    columns: std::ops::Range<usize>,
    keys: usize,
    record: &SearchRecord,
) -> Table {
    let numeric = record.keys.iter().enumerate();
    let numeric = numeric.filter(|(_, key)| key.numeric);
    for column in columns.chain(numeric.map(|(index, _)| keys + index)) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
