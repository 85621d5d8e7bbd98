//! The runs of one side, and what they say of a task's rows.

use std::path::PathBuf;

use bertram_core::data::{Split, WrittenPrediction, read_prediction_table};
use bertram_core::task::{LabelKind, TaskId, TaskSpec};
use bertram_train::config::ExportedWeights;
use bertram_train::corpus::DataFile;

use super::CompareError;
use crate::keys::{difference, keys};
use crate::read::{RunRecord, read_runs};

/// Finished runs, by their seeds.
pub(super) struct Runs(pub(super) Vec<RunRecord>);

impl Runs {
    /// Reads the runs in `paths`: run folders, or folders that hold some.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, CompareError> {
        let set = read_runs(paths)?;
        if let Some(run) = set.unfinished.first() {
            return Err(CompareError::Unfinished(run.path.clone()));
        }
        if let Some(run) = set.unreadable.first() {
            return Err(CompareError::Unreadable(run.reason.clone()));
        }
        Self::of(set.runs)
    }

    /// Runs that are read already.
    pub(super) fn of(mut runs: Vec<RunRecord>) -> Result<Self, CompareError> {
        runs.sort_by_key(|run| run.settings.train.seed);
        let mut pairs = runs.windows(2);
        let same = pairs.find(|pair| pair[0].settings.train.seed == pair[1].settings.train.seed);
        match same {
            Some(pair) => Err(CompareError::SameSeed {
                first: pair[0].path.clone(),
                second: pair[1].path.clone(),
                seed: pair[0].settings.train.seed,
            }),
            None => Ok(Self(runs)),
        }
    }

    pub(super) fn seeds(&self) -> Vec<u64> {
        let seeds = self.0.iter().map(|run| run.settings.train.seed);
        seeds.collect()
    }

    /// The keys in which runs differ that should differ by their seed only, where there are some.
    pub(super) fn mixed(&self) -> Option<String> {
        const MOST: usize = 3;
        let (first, others) = self.0.split_first()?;
        let first = keys(&first.settings);
        let mut found: Vec<String> = others
            .iter()
            .flat_map(|run| difference(&first, &keys(&run.settings)))
            .map(|(key, ..)| key)
            .collect();
        found.sort();
        found.dedup();
        let more = match found.len().saturating_sub(MOST) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        found.truncate(MOST);
        (!found.is_empty()).then(|| format!("{}{more}", found.join(", ")))
    }

    /// How many epochs a run has chosen its best from, the most of any; `None` where none had a choice.
    pub(super) fn epochs_chosen_from(&self) -> Option<usize> {
        let trained = self.0.iter().filter(|run| {
            run.summary.best_epoch > 0 && run.settings.train.export == ExportedWeights::Best
        });
        // Where the log is not there, the epochs asked for are the best guess.
        let epochs = trained.map(|run| match run.evaluations.len() {
            0 => run.summary.epochs,
            evaluations => evaluations,
        });
        epochs.max().filter(|epochs| *epochs > 1)
    }
}

/// What a task is in a run.
pub(super) fn spec(run: &RunRecord, task: TaskId) -> Option<&TaskSpec> {
    Some(&run.settings.task(task)?.spec)
}

/// A task's file of a split, where the run has noted it.
pub(super) fn file(run: &RunRecord, task: TaskId, split: Split) -> Option<&DataFile> {
    let mut files = run.summary.data.iter();
    files.find(|file| file.task == task && file.split == split.name())
}

/// Where a run's predictions of a task's rows are.
pub(super) fn table(run: &RunRecord, task: TaskId, split: Split) -> PathBuf {
    let name = format!("predictions/{task}-{}.csv", split.name());
    run.path.join(name)
}

/// The numbers of several runs' predictions. Scores are those before they are cut to the label's range, where all runs have
/// written them: Pearson's r is that of these.
pub(super) fn said(spec: &TaskSpec, tables: Vec<Vec<WrittenPrediction>>) -> Vec<Vec<Vec<f64>>> {
    let mut rows = tables.iter().flatten();
    let unclamped =
        matches!(spec.label, LabelKind::Score { .. }) && rows.all(|row| row.numbers.is_some());
    let tables = tables.into_iter().map(|rows| {
        let rows = rows.into_iter().map(|row| match row.numbers {
            Some(numbers) if unclamped => numbers,
            _ => row.prediction,
        });
        rows.collect()
    });
    tables.collect()
}

/// What a run says of a task's rows; each has a label.
pub(super) fn predictions(
    run: &RunRecord,
    task: TaskId,
    split: Split,
    spec: &TaskSpec,
) -> Result<Vec<WrittenPrediction>, CompareError> {
    let path = table(run, task, split);
    if !path.is_file() {
        return Err(CompareError::NoPredictions {
            path,
            run: run.path.clone(),
            split: split.name(),
        });
    }
    let mut rows =
        read_prediction_table(&path, spec).map_err(|error| CompareError::Predictions {
            split: split.name(),
            error,
            run: run.path.clone(),
        })?;
    if split == Split::Test {
        if rows.iter().all(|row| row.gold.is_none()) {
            return Err(CompareError::NoLabels { path });
        }
        // Rows that could not be read have an answer all the same, and no label.
        if rows.iter().any(|row| row.numbers.is_some()) {
            rows.retain(|row| row.numbers.is_some());
        }
    }
    if let LabelKind::MultiLabel { classes } = spec.label {
        for row in &mut rows {
            row.gold.get_or_insert_with(|| vec![0.0; classes]);
        }
    }
    let found = rows.iter().filter(|row| row.gold.is_some()).count();
    let dev = (split == Split::Dev).then_some(&run.summary.dev);
    let scores = dev.and_then(|dev| dev.tasks.get(&task));
    let scored = scores.map_or(found, bertram_core::metric::TaskScores::rows);
    if found != scored || found != rows.len() {
        return Err(CompareError::OtherCount {
            path,
            run: run.path.clone(),
            split: split.name(),
            found,
            scored: scored.max(rows.len()),
        });
    }
    Ok(rows)
}
