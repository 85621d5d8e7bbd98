//! Finding and reading run folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bertram_core::fs::{READ_LIMIT, read_text};
use bertram_core::metric::TaskScores;
use bertram_core::task::{TaskId, TaskMap};
use bertram_train::analysis::Analysis;
use bertram_train::config::Settings;
use bertram_train::pipeline::Summary;
use bertram_train::run_folder::{RunError, RunFolder, RunInfo, read_json};
use serde::Deserialize;
use serde_json::Value;

use super::ReportError;

/// A finished run.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Its folder.
    pub path: PathBuf,
    /// The folder's name, with its parent's where two runs have the same.
    pub name: String,
    /// `config.toml`.
    pub settings: Settings,
    /// `summary.json`.
    pub summary: Summary,
    /// `run.json`, where there is one.
    pub info: Option<RunInfo>,
    /// The `train` lines of `metrics.jsonl`; empty where nothing was trained.
    pub training: Vec<TrainLine>,
    /// The `dev` lines of `metrics.jsonl`.
    pub evaluations: Vec<DevLine>,
    /// `analysis.json`, where there is one: older runs have none.
    pub analysis: Option<Analysis>,
}

/// A logged step.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainLine {
    /// Updates made.
    pub update: usize,
    /// Mean loss by task since the last logged step.
    pub loss: BTreeMap<String, f64>,
    /// Mean cosine of two tasks' gradients, by pair (`sst-para`).
    pub gradient_cosine: BTreeMap<String, f64>,
    /// Share of pairs whose gradients point against each other.
    pub conflict_share: Option<f64>,
}

/// An evaluation on dev.
#[derive(Clone, Debug, PartialEq)]
pub struct DevLine {
    /// Updates made.
    pub update: usize,
    /// The epoch it followed.
    pub epoch: usize,
    /// Scores by task.
    pub tasks: TaskMap<TaskScores>,
    /// The overall score.
    pub overall: Option<f64>,
}

/// A run that has no `summary.json` yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its folder.
    pub path: PathBuf,
    /// The folder's name.
    pub name: String,
    /// Logged updates, and how many there will be, where the log says so.
    pub updates: Option<(u64, u64)>,
}

/// A finished run of which a file does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its folder.
    pub path: PathBuf,
    /// The folder's name.
    pub name: String,
    /// The file, and what is wrong with it.
    pub reason: String,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct RunSet {
    /// Finished runs, in the order of the arguments and of their paths.
    pub runs: Vec<RunRecord>,
    /// Those that are not finished.
    pub unfinished: Vec<Unfinished>,
    /// Those that cannot be read: one of them keeps nobody from reading the others.
    pub unreadable: Vec<Unreadable>,
}

/// Reads the runs in `paths`: run folders, or folders that hold some at any depth. None is read twice.
pub fn read_runs(paths: &[PathBuf]) -> Result<RunSet, ReportError> {
    let mut set = RunSet::default();
    for run in find_runs(paths)? {
        let path = run.path().to_owned();
        let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let name = last_part(&real);
        if run.summary().is_file() {
            match read_run(&run, name.clone()) {
                Ok(record) => set.runs.push(record),
                Err(error) => set.unreadable.push(Unreadable {
                    path,
                    name,
                    reason: error.to_string(),
                }),
            }
        } else {
            set.unfinished.push(Unfinished {
                updates: run.progress().map(|it| (it.update, it.updates)),
                path,
                name,
            });
        }
    }
    tell_apart(&mut set);
    Ok(set)
}

/// The runs in `paths`, as [`read_runs`] finds them, unread.
///
/// # Errors
/// A path that is no folder, or holds no run.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<RunFolder>, ReportError> {
    let mut runs = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        if !path.is_dir() {
            return Err(ReportError::NoSuchFolder(path.clone()));
        }
        let mut folders = Vec::new();
        find(path, &mut folders)?;
        if folders.is_empty() {
            return Err(ReportError::NoRuns(path.clone()));
        }
        for folder in folders {
            let real = std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
            if seen.insert(real) {
                runs.push(RunFolder::open(&folder)?);
            }
        }
    }
    Ok(runs)
}

/// Run folders at or below `folder`, sorted; links are not followed, so that a loop of them cannot be.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), ReportError> {
    if folder.join("config.toml").is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    let mut below = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(RunError::io(folder))? {
        let entry = entry.map_err(RunError::io(folder))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below.push(entry.path());
        }
    }
    below.sort();
    below.iter().try_for_each(|folder| find(folder, found))
}

fn last_part(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Runs of one name get their parents' names before it: `e04/seed-1`.
fn tell_apart(set: &mut RunSet) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let names: Vec<(&mut String, &Path)> = set
        .runs
        .iter_mut()
        .map(|run| (&mut run.name, run.path.as_path()))
        .chain(
            set.unfinished
                .iter_mut()
                .map(|run| (&mut run.name, run.path.as_path())),
        )
        .collect();
    for (name, _) in &names {
        *counts.entry((*name).clone()).or_default() += 1;
    }
    for (name, path) in names {
        let parent = std::fs::canonicalize(path)
            .ok()
            .and_then(|path| path.parent().map(last_part));
        if let (Some(parent), true) = (parent, counts.get(name).is_some_and(|&count| count > 1)) {
            *name = format!("{parent}/{name}");
        }
    }
}

fn read_run(run: &RunFolder, name: String) -> Result<RunRecord, ReportError> {
    let optional = |path: PathBuf| path.is_file().then_some(path);
    let (training, evaluations) = match optional(run.metrics()) {
        Some(path) => read_metrics(&path)?,
        None => (Vec::new(), Vec::new()),
    };
    Ok(RunRecord {
        path: run.path().to_owned(),
        name,
        settings: Settings::load(&run.config(), &[])?,
        summary: read_json(&run.summary())?,
        info: optional(run.run_info())
            .map(|path| read_json(&path))
            .transpose()?,
        training,
        evaluations,
        analysis: optional(run.analysis()).map(read_analysis).transpose()?,
    })
}

fn read_analysis(path: PathBuf) -> Result<Analysis, RunError> {
    let analysis: Analysis = read_json(&path)?;
    match analysis.check() {
        Ok(()) => Ok(analysis),
        Err(message) => Err(RunError::Malformed { path, message }),
    }
}

/// What a `train` line holds; numbers that were not finite are `null` in JSON.
#[derive(Deserialize)]
struct RawTrainLine {
    update: usize,
    #[serde(default)]
    loss: BTreeMap<String, Option<f64>>,
    #[serde(default)]
    gradient_cosine: Option<BTreeMap<String, Option<f64>>>,
    #[serde(default)]
    conflict_share: Option<f64>,
}

fn read_metrics(path: &Path) -> Result<(Vec<TrainLine>, Vec<DevLine>), RunError> {
    let text = read_text(path, READ_LIMIT).map_err(RunError::io(path))?;
    let (mut training, mut evaluations) = (Vec::new(), Vec::new());
    let present = |numbers: BTreeMap<String, Option<f64>>| {
        numbers
            .into_iter()
            .filter_map(|(key, number)| Some((key, number?)))
            .collect()
    };
    // A line that is not JSON was cut off by a kill, and is no news.
    for line in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        match line["kind"].as_str() {
            Some("train") => {
                if let Ok(raw) = serde_json::from_value::<RawTrainLine>(line) {
                    training.push(TrainLine {
                        update: raw.update,
                        loss: present(raw.loss),
                        gradient_cosine: present(raw.gradient_cosine.unwrap_or_default()),
                        conflict_share: raw.conflict_share,
                    });
                }
            }
            Some("dev") => evaluations.push(DevLine {
                update: line["update"].as_u64().unwrap_or(0) as usize,
                epoch: line["epoch"].as_u64().unwrap_or(0) as usize,
                tasks: task_scores(&line),
                overall: line["overall"].as_f64(),
            }),
            _ => {}
        }
    }
    Ok((training, evaluations))
}

/// What of a line of scores belongs to tasks.
fn task_scores(line: &Value) -> TaskMap<TaskScores> {
    let entries = line.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, scores)| {
            let scores = serde_json::from_value(scores.clone()).ok()?;
            Some((TaskId::new(name).ok()?, scores))
        })
        .collect()
}
