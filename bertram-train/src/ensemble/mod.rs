//! Ensembles: the mean of what finished runs say of the same rows, as a folder that is read like a run's.
//!
//! For each task that the runs share, with weights `w` that sum to 1,
//!
//! ```text
//! p(row) = sum_r w_r p_r(row)
//! ```
//!
//! where `p_r` is run `r`'s softmax (classes), sigmoid (yes or no, several labels), or score before it is put into the label's
//! range. Weights are the same for all runs, or chosen on dev for each task ([`select_greedily`]). A choice is scored on
//! rows that did not make it, too: [`Select`].

mod error;
mod folder;
mod greedy;
mod members;
#[cfg(test)]
mod tests;

pub use error::MixtureError;
pub use folder::Origin;
pub(crate) use folder::{begin, epochs_chosen_on, of_folder};
pub use greedy::{ROUNDS, select_greedily, uniform};
pub(crate) use members::check_files;
pub use members::{Member, RowsOfTask, shared_tasks, with_rows};

use bertram_core::data::{Split, halves};
use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::task::TaskMap;

use crate::analysis::{Analysis, TaskAnalysis};
use crate::made_of::{Half, MadeOf, Mixture, Select, Share};
use crate::pipeline::{SplitPredictions, Summary, save_predictions};
use crate::run_folder::{RunFolder, write_json};

/// Whose answer counts how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// All runs weigh the same.
    Uniform,
    /// Weights of each task by its score on dev, by [`select_greedily`] with [`ROUNDS`].
    Dev,
}

impl Weights {
    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Weights::Uniform => "uniform",
            Weights::Dev => "dev",
        }
    }
}

/// How an ensemble is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnsembleOptions {
    /// Whose answer counts how much.
    pub weights: Weights,
    /// Seed of the halves of dev.
    pub seed: u64,
    /// Whether test rows are predicted, too.
    pub test: bool,
}

/// Makes an ensemble of runs in the new folder `run`: config, predictions, scores.
///
/// The runs' tables of predictions must be there, with probabilities ([`Member::lacks`], [`Member::predict`]).
///
/// # Errors
/// Fewer than two runs, runs without a common task, of other labels or other rows, and those of writing.
pub fn ensemble(
    members: &[Member],
    options: EnsembleOptions,
    run: &RunFolder,
    origin: &Origin,
) -> Result<Summary, MixtureError> {
    if members.len() < 2 {
        return Err(MixtureError::TooFew(members.len()));
    }
    let shared = shared_tasks(members)?;
    let read = |tasks: &[_], split: Split| -> Result<Vec<RowsOfTask>, MixtureError> {
        let tasks = tasks.iter();
        tasks
            .map(|task| RowsOfTask::read(members, *task, split))
            .collect()
    };
    let dev = read(&shared, Split::Dev)?;
    let test = match options.test {
        true => read(&with_rows(members, &shared, Split::Test), Split::Test)?,
        false => Vec::new(),
    };
    if options.test && test.is_empty() {
        return Err(MixtureError::NoRows(Split::Test.name()));
    }
    let mixer = Mixer {
        members,
        tasks: &dev,
    };
    let (weights, select) = match options.weights {
        Weights::Uniform => (mixer.uniform(), None),
        Weights::Dev => {
            let (weights, select) = mixer.chosen(options.seed)?;
            (weights, Some(select))
        }
    };
    let scores = mixer.scores(&weights, |task| (0..task.rows()).collect());

    let (settings, info) = begin(run, members, &shared, origin, "An ensemble")?;
    let mut analysis = Analysis::default();
    let mut test_scores = TaskMap::new();
    for (rows, split) in [(&dev, Split::Dev), (&test, Split::Test)] {
        for task in rows {
            let weights = weights.get(&task.task).map_or(&[][..], Vec::as_slice);
            let predictions = task.predictions(weights, 0..task.rows());
            save_predictions(
                &run.predictions(),
                &SplitPredictions {
                    task: task.task,
                    spec: &task.spec,
                    split,
                    files: None,
                    ids: &task.ids,
                    labels: task.labels.as_deref(),
                    predictions: &predictions,
                    bad: &task.bad,
                    whole: true,
                },
            )?;
            let Some(labels) = &task.labels else {
                continue;
            };
            if split == Split::Dev {
                let of_task = TaskAnalysis::of_predictions(task.spec.label, &predictions, labels);
                analysis.tasks.insert(task.task, of_task);
            } else if let Some(scores) = task.score(weights, &(0..task.rows()).collect::<Vec<_>>())
            {
                test_scores.insert(task.task, scores);
            }
        }
    }
    write_json(&run.analysis(), &analysis)?;
    let shares = mixer.shares(&weights);
    let ingredients = members.iter().zip(shares);
    let made_of = MadeOf {
        kind: Mixture::Ensemble,
        method: options.weights.name().to_owned(),
        runs: ingredients
            .map(|(member, share)| member.ingredient(share))
            .collect(),
        epochs_chosen_on: epochs_chosen_on(members),
        select,
        test: (!test_scores.is_empty())
            .then(|| SplitScores::weighted(test_scores, |task| settings.overall_weight(task))),
    };
    let parameters = members.iter().map(|member| member.summary.parameters).sum();
    let summary = of_folder(run, info, scores, made_of, parameters);
    write_json(&run.summary(), &summary)?;
    Ok(summary)
}

/// Weights by task, of each run.
type WeightsByTask = TaskMap<Vec<f64>>;

/// Runs and what they say of dev.
struct Mixer<'a> {
    members: &'a [Member],
    tasks: &'a [RowsOfTask],
}

impl Mixer<'_> {
    fn uniform(&self) -> WeightsByTask {
        let tasks = self.tasks.iter();
        tasks
            .map(|task| (task.task, uniform(self.members.len())))
            .collect()
    }

    /// The weights that score best on some rows of each task.
    fn best(&self, rows: impl Fn(&RowsOfTask) -> Vec<usize>) -> WeightsByTask {
        let tasks = self.tasks.iter();
        tasks
            .map(|task| {
                let rows = rows(task);
                let score = |weights: &[f64]| {
                    let scores = task.score(weights, &rows);
                    scores.as_ref().map_or(f64::NAN, TaskScores::primary)
                };
                let weights = select_greedily(self.members.len(), ROUNDS, score);
                (task.task, weights)
            })
            .collect()
    }

    /// Weights by all rows, and what it is worth to choose them.
    fn chosen(&self, seed: u64) -> Result<(WeightsByTask, Select), MixtureError> {
        let too_few = |task: &&RowsOfTask| task.rows() < 2 || task.labels.is_none();
        if let Some(task) = self.tasks.iter().find(too_few) {
            return Err(MixtureError::NothingToChooseBy {
                task: task.task.name().to_owned(),
                instead: "--weights uniform",
            });
        }
        let all = |task: &RowsOfTask| (0..task.rows()).collect::<Vec<usize>>();
        let weights = self.best(all);
        let rows = |task: &RowsOfTask, half: usize| halves(task.rows(), seed)[half].clone();
        let ways = [0, 1].map(|half: usize| {
            let weights = self.best(|task| rows(task, half));
            Half {
                scores: self.scores(&weights, |task| rows(task, 1 - half)),
                weights: self.shares(&weights),
            }
        });
        let plain = self.scores(&weights, all);
        let chosen = "weights of the runs, by task";
        Ok((weights, Select::new(chosen, seed, ways.into(), &plain)))
    }

    fn scores(
        &self,
        weights: &WeightsByTask,
        rows: impl Fn(&RowsOfTask) -> Vec<usize>,
    ) -> SplitScores {
        let tasks = self.tasks.iter();
        let scores = tasks.filter_map(|task| {
            let scores = task.score(weights.get(&task.task)?, &rows(task))?;
            Some((task.task, scores))
        });
        let first = self.members.first();
        SplitScores::weighted(scores.collect(), |task| {
            first.map_or(1.0, |member| member.settings.overall_weight(task))
        })
    }

    /// The weights by run.
    fn shares(&self, weights: &WeightsByTask) -> Vec<Share> {
        let share = |run: usize| {
            let tasks = weights.iter();
            let of_run = tasks.filter_map(|(task, weights)| Some((*task, *weights.get(run)?)));
            Share::Tasks(of_run.collect())
        };
        (0..self.members.len()).map(share).collect()
    }
}
