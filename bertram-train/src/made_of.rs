//! What a folder says of the runs that it was made of: `made_of` in `summary.json` of ensembles and soups.

use std::path::PathBuf;

use bertram_core::metric::SplitScores;
use bertram_core::task::TaskMap;
use serde::{Deserialize, Serialize};

use crate::selection::mean_of;

/// An ensemble or a soup of finished runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeOf {
    /// What was averaged.
    pub kind: Mixture,
    /// How the weights were chosen: `uniform`, `dev` or `greedy`.
    pub method: String,
    /// The runs, in the order in which they were named.
    pub runs: Vec<Ingredient>,
    /// On which rows the runs' own epochs were chosen: those that `dev` is scored on, too, unless a run kept some apart. No
    /// score here is free of that choice.
    pub epochs_chosen_on: ChosenOn,
    /// Scores of what was chosen on rows that did not choose it; none where nothing was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Scores on test rows, where they were asked for and have labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<SplitScores>,
}

/// The dev rows that have chosen something of a run, the fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChosenOn {
    /// None: the last weights are exported, or there are no rows.
    #[serde(rename = "no rows")]
    Nothing,
    /// Those that `data.select-share` sets aside.
    #[serde(rename = "a part of dev (data.select-share)")]
    Part,
    /// All of them.
    #[serde(rename = "all of dev")]
    All,
}

impl ChosenOn {
    /// In words, as `summary.json` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no rows",
            Self::Part => "a part of dev (data.select-share)",
            Self::All => "all of dev",
        }
    }
}

/// What is averaged over runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mixture {
    /// Probabilities and scores.
    Ensemble,
    /// Weights of models.
    Soup,
}

/// A run that went into a mixture, or was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ingredient {
    /// Its folder.
    pub run: PathBuf,
    /// Its seed.
    pub seed: u64,
    /// Its best epoch.
    pub best_epoch: usize,
    /// Its overall score on dev, over its own tasks.
    pub overall: f64,
    /// Its share; 0 for one that was tried and left out.
    pub weight: Share,
}

/// The share of a run: shares of all runs sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Share {
    /// Of the whole model.
    All(f64),
    /// By task.
    Tasks(TaskMap<f64>),
}

/// What choices are worth: chosen on one half of dev, scored on the other, both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Select {
    /// What was chosen.
    pub chosen: String,
    /// Seed of the halves ([`halves`](bertram_core::data::halves) of each task's rows).
    pub seed: u64,
    /// Mean of the halves' overall scores: the number to report.
    pub overall: f64,
    /// Mean of the halves' main scores of each task.
    pub tasks: TaskMap<f64>,
    /// The overall score where all of dev chooses and all of dev is scored: too high.
    pub overall_chosen_on_all: f64,
    /// What each half chose, and its scores on the other half: what the first chose comes first.
    pub halves: Vec<Half>,
}

/// One of the two ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// Shares of the runs that this half's rows chose.
    pub weights: Vec<Share>,
    /// Scores on the rows of the other half.
    pub scores: SplitScores,
}

impl Select {
    /// Puts both ways together; `chosen_on_all` is the score of what all rows chose, on all rows.
    pub fn new(chosen: &str, seed: u64, halves: Vec<Half>, chosen_on_all: &SplitScores) -> Self {
        let ways: Vec<&SplitScores> = halves.iter().map(|half| &half.scores).collect();
        let (overall, tasks) = mean_of(&ways);
        Self {
            chosen: chosen.to_owned(),
            seed,
            overall,
            tasks,
            overall_chosen_on_all: chosen_on_all.overall,
            halves,
        }
    }
}

impl MadeOf {
    /// In words: `ensemble of 3 runs, weights uniform`.
    pub fn describe(&self) -> String {
        let (what, how) = match self.kind {
            Mixture::Ensemble => ("ensemble", "weights"),
            Mixture::Soup => ("soup", "method"),
        };
        format!("{what} of {} runs, {how} {}", self.runs.len(), self.method)
    }

    /// In a sentence of a model card, without its full stop.
    pub fn sentence(&self) -> String {
        let taken = self.runs.iter().filter(|run| run.weight != Share::All(0.0));
        let seeds: Vec<String> = taken.map(|run| run.seed.to_string()).collect();
        format!(
            "Its weights are the mean of those of {} runs (seeds {}), each at its best epoch on dev: a model soup \
             (Wortsman et al. 2022), {}, of {} runs that were tried",
            seeds.len(),
            seeds.join(", "),
            self.method,
            self.runs.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use bertram_core::metric::TaskScores;
    use bertram_core::task::{TaskId, TaskSpec};

    use super::*;

    fn scores(said: &[f64]) -> SplitScores {
        let sts = TaskSpec::preset(TaskId::STS).expect("a preset");
        let of_sts = TaskScores::regression(&sts, said, &[1.0, 2.0, 4.0]);
        SplitScores::new(TaskMap::from([(TaskId::STS, of_sts)]))
    }

    #[test]
    fn the_number_to_report_is_the_mean_of_both_ways() {
        let ways = [scores(&[1.0, 2.0, 4.0]), scores(&[1.0, 2.0, 0.0])];
        let halves = ways.clone().map(|scores| Half {
            weights: vec![Share::Tasks(TaskMap::from([(TaskId::STS, 1.0)]))],
            scores,
        });
        let select = Select::new("weights", 3, halves.into(), &ways[0]);
        assert_eq!(select.overall, (ways[0].overall + ways[1].overall) / 2.0);
        assert_eq!(select.overall_chosen_on_all, ways[0].overall);
        let text = serde_json::to_string(&select).expect("JSON");
        let read: Select = serde_json::from_str(&text).expect("read back");
        assert!((read.overall - select.overall).abs() < 1e-12);
        assert_eq!(read.halves.len(), 2);
        assert_eq!(read.halves[0].weights, select.halves[0].weights);
    }
}
