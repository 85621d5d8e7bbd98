//! Runs side by side.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bertram_core::task::{Metric, TaskId, TaskSpec};

use crate::error::ReportError;
use crate::group::{Group, Measure, gather};
use crate::paired::Paired;
use crate::read::{RunRecord, RunSet, Unfinished, Unreadable, read_runs};
use crate::search::{Search, find_searches};

/// Runs, gathered by setting, beside a baseline.
#[derive(Clone, Debug)]
pub struct Report {
    /// Settings, in the order of their first runs. There is at least one.
    pub groups: Vec<Group>,
    /// Index of the baseline in `groups`.
    pub baseline: usize,
    /// Whether the baseline was asked for, and is not just the first.
    pub baseline_chosen: bool,
    /// Runs without results.
    pub unfinished: Vec<Unfinished>,
    /// Finished runs that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Searches that the runs are trials of.
    pub searches: Vec<Search>,
    /// Whether texts of the data are shown: rows that a model is wrong about.
    pub with_texts: bool,
    /// What [`paired`](Self::paired) has found, once it was asked.
    pub(crate) found: OnceLock<Paired>,
}

impl Report {
    /// Reads the runs in `paths` (run folders, or folders that hold some at any depth).
    ///
    /// `baseline` is an experiment id, the name of a run or its folder; without it, the first setting.
    pub fn read(paths: &[PathBuf], baseline: Option<&str>) -> Result<Self, ReportError> {
        let RunSet {
            runs,
            mut unfinished,
            mut unreadable,
        } = read_runs(paths)?;
        let (searches, wrong) = find_searches(paths);
        if runs.is_empty()
            && let Some(first) = unreadable.first()
        {
            return Err(ReportError::NoneReadable {
                count: unreadable.len(),
                reason: first.reason.clone(),
            });
        }
        if runs.is_empty()
            && let Some(first) = unfinished.first()
        {
            return Err(ReportError::NoneFinished {
                count: unfinished.len(),
                first: first.path.clone(),
            });
        }
        // What a search has stopped is not to go on, and is told of with the search.
        unfinished.retain(|run| !searches.iter().any(|search| search.has_stopped(&run.path)));
        unreadable.extend(wrong);
        let groups = gather(runs);
        let index = match baseline {
            None => 0,
            Some(name) => groups
                .iter()
                .position(|group| is_called(group, name))
                .ok_or_else(|| ReportError::NoBaseline {
                    name: name.to_owned(),
                    known: groups
                        .iter()
                        .map(|group| group.label.as_str())
                        .collect::<Vec<_>>()
                        .join(", "),
                })?,
        };
        Ok(Self {
            groups,
            baseline: index,
            baseline_chosen: baseline.is_some(),
            unfinished,
            unreadable,
            searches,
            with_texts: true,
            found: OnceLock::new(),
        })
    }

    /// Settings beside each other, row by row; found when it is first asked for. Trials of a search are not compared.
    pub(crate) fn paired(&self) -> &Paired {
        self.found.get_or_init(|| match self.searches.is_empty() {
            true => Paired::of(&self.groups, self.baseline),
            false => Paired::default(),
        })
    }

    /// The setting that the others are compared with.
    pub fn baseline(&self) -> &Group {
        &self.groups[self.baseline]
    }

    /// The setting with the highest mean overall score on dev.
    pub fn best(&self) -> Option<&Group> {
        // Of equals the first.
        self.groups
            .iter()
            .rev()
            .filter_map(|group| Some((group.statistic(Measure::Overall)?.mean, group)))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, group)| group)
    }

    /// The tasks of the runs: in the order of the configs, the first run's first.
    pub fn tasks(&self) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        for run in self.groups.iter().flat_map(|group| &group.runs) {
            for task in run.settings.tasks.iter().map(|task| task.task) {
                if !tasks.contains(&task) {
                    tasks.push(task);
                }
            }
        }
        TaskId::in_order(tasks)
    }

    /// What a task is, by the first run that has it.
    pub fn task(&self, task: TaskId) -> Option<&TaskSpec> {
        self.groups.iter().find_map(|group| group.task(task))
    }

    /// A measure's name for people.
    pub fn title(&self, measure: Measure) -> &str {
        match measure {
            Measure::Task(task) => self.task(task).map_or(task.name(), |spec| &spec.title),
            Measure::Overall => "Overall",
        }
    }

    /// What a measure's number is.
    pub fn unit(&self, measure: Measure) -> &'static str {
        match measure {
            Measure::Task(task) => self.task(task).map_or("score", |spec| spec.metric.title()),
            // As the paper has it, where every task is scored as the paper's are.
            Measure::Overall => {
                let mut tasks = self.tasks().into_iter().filter_map(|task| self.task(task));
                let papers = |metric| matches!(metric, Metric::Accuracy | Metric::Pearson);
                if tasks.all(|spec| papers(spec.metric)) {
                    "mean of accuracies and (r + 1)/2"
                } else {
                    "mean of the tasks' scores, correlations as (r + 1)/2"
                }
            }
        }
    }

    /// What is scored in any of the runs: the overall score, then tasks.
    pub fn measures(&self) -> Vec<Measure> {
        let tasks = self.tasks().into_iter().map(Measure::Task);
        [Measure::Overall]
            .into_iter()
            .chain(tasks)
            .filter(|&measure| {
                self.groups
                    .iter()
                    .any(|group| group.statistic(measure).is_some())
            })
            .collect()
    }
}

fn is_called(group: &Group, name: &str) -> bool {
    let path = Path::new(name).canonicalize().ok();
    let is_run = |run: &RunRecord| {
        run.name == name
            || run.path.file_name().is_some_and(|last| last == name)
            || (path.is_some() && run.path.canonicalize().ok() == path)
    };
    group.label == name
        || group.id() == Some(name)
        || group.runs.iter().chain(&group.repeats).any(is_run)
}
