//! Reports: finished run folders in, one page, one Markdown text or one CSV file out.
//!
//! [`Report::read`] finds and reads runs and gathers those that differ by seed only. [`Report::html`],
//! [`Report::markdown`] and [`Report::csv`] say the same in three ways: the first two are renderings of one
//! [`Document`](document::Document), the third is a long table for programs.
//!
//! [`experiment`] has what an ablation needs: the grid of its runs, and the statistics of what they scored.
//!
//! Nothing is printed here, and nothing written: that is the caller's.

mod chart;
mod csv;
pub mod document;
pub mod experiment;
mod group;
mod html;
mod markdown;
mod number;
mod read;
mod section;
#[cfg(test)]
mod tests;

pub use group::{Group, Measure, Statistic};
pub use read::{
    DevLine, RunRecord, RunSet, TrainLine, Unfinished, Unreadable, find_runs, read_runs,
};

use std::path::{Path, PathBuf};

use bertram_core::task::{Metric, TaskId, TaskSpec};
use bertram_train::config::ConfigError;
use bertram_train::run_folder::RunError;

/// Errors of a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A run folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run's config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A path that is not there.
    #[error("{0} does not exist: name a run folder, or a folder of run folders")]
    NoSuchFolder(PathBuf),
    /// A folder without runs.
    #[error("no run folder in {0}: a run folder has a config.toml; `bertram-cli train` makes one")]
    NoRuns(PathBuf),
    /// Only unfinished runs.
    #[error(
        "none of the {count} runs is finished, and only finished ones are reported; go on with: bertram-cli train --resume {}", first.display()
    )]
    NoneFinished {
        /// How many there are.
        count: usize,
        /// One of them.
        first: PathBuf,
    },
    /// Only runs that cannot be read.
    #[error("none of the {count} finished runs can be read; the first: {reason}")]
    NoneReadable {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        reason: String,
    },
    /// A baseline that no run is.
    #[error("no finished run is called {name}; --baseline takes one of: {known}")]
    NoBaseline {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A chart cannot be drawn.
    #[error(
        "chart {title:?}: {message}; this is a bug in bertram, please report it with this line"
    )]
    Chart {
        /// The chart.
        title: String,
        /// What the plotting library said.
        message: String,
    },
    /// The page cannot be rendered.
    #[error("page: {0}; this is a bug in bertram, please report it with this line")]
    Page(String),
    /// The CSV cannot be written.
    #[error("csv: {0}")]
    Csv(String),
}

impl ReportError {
    /// Whether the user's input is at fault, and not the machine or the program.
    pub fn is_input(&self) -> bool {
        match self {
            ReportError::Run(error) => !matches!(error, RunError::Io { .. }),
            ReportError::Config(_)
            | ReportError::NoSuchFolder(_)
            | ReportError::NoRuns(_)
            | ReportError::NoneFinished { .. }
            | ReportError::NoneReadable { .. }
            | ReportError::NoBaseline { .. } => true,
            ReportError::Chart { .. } | ReportError::Page(_) | ReportError::Csv(_) => false,
        }
    }
}

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
}

impl Report {
    /// Reads the runs in `paths` (run folders, or folders that hold some at any depth).
    ///
    /// `baseline` is an experiment id, the name of a run or its folder; without it, the first setting.
    pub fn read(paths: &[PathBuf], baseline: Option<&str>) -> Result<Self, ReportError> {
        let RunSet {
            runs,
            unfinished,
            unreadable,
        } = read_runs(paths)?;
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
        let groups = group::gather(runs);
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

    /// What is scored in any of the runs: tasks, then the overall score.
    pub fn measures(&self) -> Vec<Measure> {
        let tasks = self.tasks().into_iter().map(Measure::Task);
        tasks
            .chain([Measure::Overall])
            .filter(|&measure| {
                self.groups
                    .iter()
                    .any(|group| group.statistic(measure).is_some())
            })
            .collect()
    }

    /// One self-contained HTML page. `made` says when and by what it was made, for its foot.
    pub fn html(&self, made: &str) -> Result<String, ReportError> {
        html::page(&section::document(self)?, made)
    }

    /// The same as Markdown, with tables in place of pictures.
    pub fn markdown(&self) -> Result<String, ReportError> {
        Ok(markdown::text(&section::document(self)?))
    }

    /// The numbers as one long table; `docs/src/report.md` describes its columns.
    pub fn csv(&self) -> Result<String, ReportError> {
        csv::table(self)
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
