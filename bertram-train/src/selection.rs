//! Choosing on one part of dev and scoring on the other.
//!
//! The score of an epoch that was chosen for that score is too high by what chance gave it. So each evaluation scores two
//! parts of the dev rows apart: what one part chooses, the other scores.

use bertram_core::data::{PARTS_SEED, two_parts};
use bertram_core::metric::SplitScores;
use bertram_core::task::{TaskId, TaskMap, score};
use serde::{Deserialize, Serialize};

use crate::config::BestMetric;
use crate::evaluate::EvaluationSet;

/// The share of the first part where `data.select-share` says nothing.
pub const HALF: f64 = 0.5;

/// The rows of the two parts of a split of `rows` rows, each in ascending order. The first has `share` of them, rounded; the
/// draw follows from the number of rows alone.
pub fn parts(rows: usize, share: f64) -> [Vec<usize>; 2] {
    two_parts(rows, (rows as f64 * share).round() as usize, PARTS_SEED)
}

/// What one evaluation said of the two [`parts`] of dev.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedParts {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Updates made by then.
    pub update: usize,
    /// The score by which the run chose: of all rows, or, with `data.select-share`, of the first part.
    pub chosen_by: f64,
    /// Scores of each part.
    pub scores: [SplitScores; 2],
}

/// Scores of the two [`parts`] of each set, from the logits of all its rows. A task with fewer than two rows in a part has
/// no score there.
pub fn scores_of_parts(
    sets: &[EvaluationSet<'_>],
    logits: &TaskMap<Vec<Vec<f32>>>,
    share: f64,
) -> [SplitScores; 2] {
    let mut scores = [TaskMap::new(), TaskMap::new()];
    for set in sets {
        let task = set.config.task;
        let (Some(labels), Some(logits)) = (&set.data.labels, logits.get(&task)) else {
            continue;
        };
        let width = set.config.spec.label.width();
        for (rows, scores) in parts(logits.len(), share).iter().zip(&mut scores) {
            if rows.len() < 2 {
                continue;
            }
            let logits: Vec<Vec<f32>> = rows.iter().map(|&row| logits[row].clone()).collect();
            let labels = rows.iter().flat_map(|&row| &labels[row * width..][..width]);
            let labels: Vec<f32> = labels.copied().collect();
            scores.insert(task, score(set.config, &logits, &labels));
        }
    }
    let weight = |task: TaskId| {
        let set = sets.iter().find(|set| set.config.task == task);
        set.map_or(1.0, |set| set.overall_weight)
    };
    scores.map(|scores| SplitScores::weighted(scores, weight))
}

/// The mean overall score of several, and the mean main score of each task that all of them have; 0 and none of none.
pub(crate) fn mean_of(several: &[&SplitScores]) -> (f64, TaskMap<f64>) {
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let Some(first) = several.first() else {
        return (0.0, TaskMap::new());
    };
    let tasks = first.tasks.keys().filter_map(|task| {
        let scores = several.iter().map(|it| Some(it.tasks.get(task)?.primary()));
        let scores: Option<Vec<f64>> = scores.collect();
        Some((*task, mean(&scores?)))
    });
    let overall: Vec<f64> = several.iter().map(|it| it.overall).collect();
    (mean(&overall), tasks.collect())
}

/// What a run scores where each half of dev chooses the evaluation that the other half scores, and the two are averaged:
/// `summary.json`'s `cross_selected`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossSelected {
    /// Mean of the two halves' overall scores.
    pub overall: f64,
    /// Mean of the two halves' main scores, by task.
    pub tasks: TaskMap<f64>,
    /// Evaluations that there were to choose from; 1 where the last was taken, whatever it scored.
    pub evaluations: usize,
    /// The evaluation that each half chose, by its update: the first half's choice is scored on the second.
    pub chosen: [usize; 2],
}

impl CrossSelected {
    /// Of all evaluations of a run, in their order. A half chooses as the run does: the first of the best by `metric`.
    /// `None` where nothing was evaluated.
    pub fn of(evaluations: &[EvaluatedParts], metric: BestMetric) -> Option<Self> {
        let chosen_by = |part: usize| {
            evaluations.iter().reduce(|best, next| {
                let better = metric.of(&next.scores[part]) > metric.of(&best.scores[part]);
                if better { next } else { best }
            })
        };
        let chosen = [chosen_by(0)?, chosen_by(1)?];
        Some(Self::scored(chosen, evaluations.len()))
    }

    /// Of one evaluation that nothing has chosen.
    pub fn unchosen(evaluation: &EvaluatedParts) -> Self {
        Self::scored([evaluation, evaluation], 1)
    }

    fn scored(chosen: [&EvaluatedParts; 2], evaluations: usize) -> Self {
        // Crosswise: what the first half chose is scored on the second.
        let (overall, tasks) = mean_of(&[&chosen[0].scores[1], &chosen[1].scores[0]]);
        Self {
            overall,
            tasks,
            evaluations,
            chosen: chosen.map(|it| it.update),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn evaluation(update: usize, overall: [f64; 2]) -> EvaluatedParts {
        EvaluatedParts {
            epoch: 1,
            update,
            chosen_by: 0.0,
            scores: overall.map(|overall| SplitScores {
                tasks: TaskMap::new(),
                overall,
                mean: overall,
            }),
        }
    }

    #[test]
    fn what_one_half_chooses_the_other_scores() {
        let evaluations = [
            evaluation(10, [0.5, 0.6]),
            evaluation(20, [0.7, 0.4]),
            evaluation(30, [0.7, 0.5]),
        ];
        let found = CrossSelected::of(&evaluations, BestMetric::Overall).expect("evaluations");
        // The first half chooses the first of its best, which has .4 on the second; the second half the first.
        assert_eq!(found.chosen, [20, 10]);
        assert!((found.overall - 0.45).abs() < 1e-12);
        assert_eq!(CrossSelected::of(&[], BestMetric::Overall), None);
        let last = CrossSelected::unchosen(&evaluations[2]);
        assert!((last.overall - 0.6).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn each_row_is_in_one_part(rows in 0_usize..400, share in 0.0..1.0_f64) {
            let [first, second] = parts(rows, share);
            prop_assert_eq!(first.len(), (rows as f64 * share).round() as usize);
            let mut all: Vec<usize> = first.iter().chain(&second).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
            prop_assert!(first.is_sorted() && second.is_sorted());
        }
    }
}
