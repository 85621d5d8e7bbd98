//! Finished runs, and what they say of the same rows.

use std::path::PathBuf;
use std::sync::Arc;

use bertram_core::data::{BadRow, Split, WrittenPrediction, read_prediction_table};
use bertram_core::metric::TaskScores;
use bertram_core::task::{LabelKind, Prediction, TaskId, TaskSpec, score_predictions};
use bertram_kernels::Kernels;

use super::MixtureError;
use crate::config::Settings;
use crate::corpus::{DataFile, read_corpus, tokenize_corpus};
use crate::made_of::{Ingredient, Share};
use crate::pipeline::{PipelineError, Summary, check_unchanged, open_trained, predict_split};
use crate::run_folder::{RunFolder, read_json};

/// A finished run that is averaged with others.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its folder.
    pub run: RunFolder,
    /// Its config.
    pub settings: Settings,
    /// What it says of itself.
    pub summary: Summary,
}

impl Member {
    /// Reads a run.
    ///
    /// # Errors
    /// A run that is not finished, and files that cannot be read.
    pub fn open(run: RunFolder) -> Result<Self, MixtureError> {
        if !run.summary().is_file() {
            return Err(MixtureError::Unfinished(run.path().to_owned()));
        }
        Ok(Self {
            settings: Settings::load(&run.config(), &[]).map_err(PipelineError::from)?,
            summary: read_json(&run.summary())?,
            run,
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.run.path().to_owned()
    }

    pub(crate) fn spec(&self, task: TaskId) -> Option<&Arc<TaskSpec>> {
        Some(&self.settings.task(task)?.spec)
    }

    pub(crate) fn file(&self, task: TaskId, split: Split) -> Option<&DataFile> {
        let mut files = self.summary.data.iter();
        files.find(|file| file.task == task && file.split == split.name())
    }

    fn has_model(&self) -> bool {
        self.run.model().is_dir()
    }

    pub(crate) fn ingredient(&self, weight: Share) -> Ingredient {
        Ingredient {
            run: self.path(),
            seed: self.summary.seed,
            best_epoch: self.summary.best_epoch,
            overall: self.summary.dev.overall,
            weight,
        }
    }

    /// What the run has written of a task's rows with their probabilities; `None` where there is no such table of all rows.
    fn table(
        &self,
        task: TaskId,
        split: Split,
    ) -> Result<Option<Vec<WrittenPrediction>>, MixtureError> {
        let name = format!("{task}-{}.csv", split.name());
        let path = self.run.predictions().join(name);
        let Some(spec) = self.spec(task).filter(|_| path.is_file()) else {
            return Ok(None);
        };
        let rows =
            read_prediction_table(&path, spec).map_err(|error| MixtureError::Predictions {
                error,
                run: self.path(),
            })?;
        let says = rows.iter().filter(|row| row.numbers.is_some()).count();
        let is_whole = match split {
            // Rows that could not be read have answers, and nothing is probable.
            Split::Test => {
                let file = self.file(task, split);
                file.is_none_or(|file| rows.len() >= file.rows + file.skipped) && says > 0
            }
            Split::Train | Split::Dev => says == rows.len(),
        };
        Ok(is_whole.then_some(rows))
    }

    /// Whether probabilities of some of the tasks' rows are missing, and [`predict`](Self::predict) has to be called.
    ///
    /// # Errors
    /// Tables that cannot be read, and a run without them that has no model.
    pub fn lacks(&self, tasks: &[TaskId], split: Split) -> Result<bool, MixtureError> {
        for task in tasks {
            if self.table(*task, split)?.is_some() {
                continue;
            }
            return match self.has_model() {
                true => Ok(true),
                false => Err(MixtureError::NoProbabilities {
                    run: self.path(),
                    task: task.name().to_owned(),
                    split: split.name(),
                }),
            };
        }
        Ok(false)
    }

    /// Predicts a split with the run's model, and writes the tables into the run's `predictions/`, as `evaluate` does.
    ///
    /// `progress` is told how many of how many rows are done.
    ///
    /// # Errors
    /// Those of reading the model and the data, and data that are not the run's.
    pub fn predict<B: Kernels>(
        &self,
        split: Split,
        device: &B::Device,
        progress: impl FnMut(usize, usize),
    ) -> Result<(), PipelineError> {
        let mut settings = self.settings.clone();
        settings.data.test_limit = None;
        let (settings, folder) = open_trained::<B>(&self.run, settings, device)?;
        let corpus = read_corpus(&settings, &[split])?;
        check_unchanged(&self.run.read_info()?, &corpus)?;
        let tasks = tokenize_corpus(&settings, &corpus, &folder.tokenizer)?;
        let into = self.run.predictions();
        predict_split(
            &folder.model,
            &settings,
            &tasks,
            split,
            &into,
            device,
            progress,
        )?;
        Ok(())
    }
}

/// The tasks that all runs are scored on, in the order of the first; with one kind of labels.
///
/// # Errors
/// No such task, and labels that differ.
pub fn shared_tasks(members: &[Member]) -> Result<Vec<TaskId>, MixtureError> {
    let scored = |member: &Member| -> Vec<TaskId> {
        let tasks = member.settings.tasks.iter().map(|task| task.task);
        tasks
            .filter(|task| member.summary.dev.tasks.get(task).is_some())
            .collect()
    };
    let names = |tasks: &[TaskId]| match tasks {
        [] => "none".to_owned(),
        tasks => {
            let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
            names.join(", ")
        }
    };
    let Some(first) = members.first() else {
        return Ok(Vec::new());
    };
    let all = scored(first);
    let mut shared = all.clone();
    for member in members {
        let here = scored(member);
        shared.retain(|task| here.contains(task));
        if shared.is_empty() {
            return Err(MixtureError::NoCommonTask {
                first: first.path(),
                tasks_of_first: names(&all),
                other: member.path(),
                tasks_of_other: names(&here),
            });
        }
    }
    for task in &shared {
        for member in members {
            let same = first.spec(*task).zip(member.spec(*task));
            let same = same.is_some_and(|(one, other)| {
                one.label == other.label && one.labels == other.labels && one.inputs == other.inputs
            });
            if !same {
                return Err(MixtureError::OtherLabels {
                    task: task.name().to_owned(),
                    first: first.path(),
                    other: member.path(),
                });
            }
        }
    }
    Ok(shared)
}

/// Those of the tasks that have rows of a split in all runs.
pub fn with_rows(members: &[Member], tasks: &[TaskId], split: Split) -> Vec<TaskId> {
    let has =
        |member: &Member, task: TaskId| member.file(task, split).is_some_and(|file| file.rows > 0);
    let tasks = tasks.iter().copied();
    tasks
        .filter(|task| members.iter().all(|member| has(member, *task)))
        .collect()
}

/// Whether all runs have the same file of a task's split, by its hash.
///
/// # Errors
/// The first run that has another one.
pub(crate) fn check_files(
    members: &[Member],
    task: TaskId,
    split: Split,
) -> Result<(), MixtureError> {
    let Some(first) = members.first() else {
        return Ok(());
    };
    for member in members {
        if let (Some(one), Some(other)) = (first.file(task, split), member.file(task, split))
            && one.sha256 != other.sha256
        {
            return Err(MixtureError::OtherRows {
                task: task.name().to_owned(),
                split: split.name(),
                first: first.path(),
                other: member.path(),
                how: format!(
                    "by the SHA-256 of {} and of {}",
                    other.path.display(),
                    one.path.display()
                ),
            });
        }
    }
    Ok(())
}

/// What several models say of the same rows of a task.
#[derive(Clone, Debug)]
pub struct RowsOfTask {
    /// The task.
    pub task: TaskId,
    /// What it is.
    pub spec: Arc<TaskSpec>,
    /// Identifiers of the rows.
    pub ids: Vec<String>,
    /// Rows of a test file that could not be read, and have an answer all the same.
    pub bad: Vec<BadRow>,
    /// Numbers of the rows' labels one row after the other, where all have one.
    pub labels: Option<Vec<f32>>,
    /// By run and row: the probability of each class, or the unclamped score
    /// ([`TaskConfig::numbers`](bertram_core::task::TaskConfig::numbers)).
    pub numbers: Vec<Vec<Vec<f64>>>,
}

impl RowsOfTask {
    /// Reads what the runs have written.
    ///
    /// # Errors
    /// Tables that are missing, without probabilities or of other rows.
    pub fn read(members: &[Member], task: TaskId, split: Split) -> Result<Self, MixtureError> {
        check_files(members, task, split)?;
        let mut read: Option<Self> = None;
        for member in members {
            let rows = member.table(task, split)?;
            let (Some(rows), Some(spec)) = (rows, member.spec(task)) else {
                return Err(MixtureError::NoProbabilities {
                    run: member.path(),
                    task: task.name().to_owned(),
                    split: split.name(),
                });
            };
            let mut here = Self::of_table(task, spec, rows, split);
            match &mut read {
                None => read = Some(here),
                Some(all) => {
                    if let Some(how) = all.other_rows(&here) {
                        return Err(MixtureError::OtherRows {
                            task: task.name().to_owned(),
                            split: split.name(),
                            first: members[0].path(),
                            other: member.path(),
                            how,
                        });
                    }
                    all.numbers.append(&mut here.numbers);
                }
            }
        }
        read.ok_or(MixtureError::TooFew(0))
    }

    fn of_table(
        task: TaskId,
        spec: &Arc<TaskSpec>,
        rows: Vec<WrittenPrediction>,
        split: Split,
    ) -> Self {
        let (mut ids, mut bad, mut golds, mut numbers) = (vec![], vec![], vec![], vec![]);
        // An empty cell says that a row has none of several labels, where other rows have some.
        let labelled = split == Split::Dev || rows.iter().any(|row| row.gold.is_some());
        let none = match spec.label {
            LabelKind::MultiLabel { classes } if labelled => Some(vec![0.0; classes]),
            _ => None,
        };
        for (row, written) in rows.into_iter().enumerate() {
            match written.numbers {
                Some(said) => {
                    ids.push(written.id);
                    golds.push(written.gold.or_else(|| none.clone()));
                    numbers.push(said);
                }
                None => bad.push(BadRow {
                    line: 0,
                    reason: String::new(),
                    row,
                    id: Some(written.id),
                }),
            }
        }
        let labels: Option<Vec<Vec<f64>>> = golds.into_iter().collect();
        Self {
            task,
            spec: spec.clone(),
            ids,
            bad,
            labels: labels.map(|labels| labels.iter().flatten().map(|it| *it as f32).collect()),
            numbers: vec![numbers],
        }
    }

    /// In what other rows differ from these, where they do.
    fn other_rows(&self, other: &Self) -> Option<String> {
        if self.ids.len() != other.ids.len() {
            return Some(format!("{} rows and {}", other.ids.len(), self.ids.len()));
        }
        let mut ids = self.ids.iter().zip(&other.ids).enumerate();
        if let Some((row, (one, other))) = ids.find(|(_, (one, other))| one != other) {
            return Some(format!("row {} is {other} and {one}", row + 1));
        }
        let places = |rows: &Self| rows.bad.iter().map(|bad| bad.row).collect::<Vec<_>>();
        if places(self) != places(other) {
            return Some("other rows could not be read".into());
        }
        (self.labels != other.labels).then(|| "their labels".into())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Predictions by the weighted mean over runs; weights sum to 1.
    ///
    /// Of classes the mean is that of the softmax, of yes or no and of several labels that of the sigmoids, of scores that of
    /// the scores before they are put into the label's range.
    pub fn predictions(
        &self,
        weights: &[f64],
        rows: impl IntoIterator<Item = usize>,
    ) -> Vec<Prediction> {
        let mean = |row: usize| {
            let width = self.numbers.first().map_or(0, |run| run[row].len());
            let mut mean = vec![0.0; width];
            for (run, weight) in self.numbers.iter().zip(weights) {
                for (mean, number) in mean.iter_mut().zip(&run[row]) {
                    *mean += weight * number;
                }
            }
            mean
        };
        rows.into_iter()
            .map(|row| Prediction::of_numbers(self.spec.label, &mean(row)))
            .collect()
    }

    /// Scores of the weighted mean on some rows; `None` where rows have no labels.
    pub fn score(&self, weights: &[f64], rows: &[usize]) -> Option<TaskScores> {
        let labels = self.labels.as_ref()?;
        let width = self.spec.label.width();
        let labels: Vec<f32> = rows
            .iter()
            .flat_map(|row| &labels[row * width..(row + 1) * width])
            .copied()
            .collect();
        let said = self.predictions(weights, rows.iter().copied());
        Some(score_predictions(&self.spec, &said, &labels))
    }
}
