//! Model soups: the mean of the weights of finished runs, as a model like a run's (Wortsman et al. 2022, *Model soups*,
//! <https://arxiv.org/abs/2203.05482>).
//!
//! ```text
//! theta = 1/k sum_i theta_i
//! ```
//!
//! Uniform takes all runs. Greedy (recipe 1 there) goes through them from the best on dev to the worst, and keeps each that
//! does not make the soup worse. Runs must have started from the same weights, heads included, and have stayed near each
//! other: the mean of models that did not says little.

use std::collections::HashMap;

use bertram_core::data::{Split, halves};
use bertram_core::encoder::WeightSum;
use bertram_core::metric::SplitScores;
use bertram_core::task::{
    ModelFolder, MultitaskModel, Prediction, TaskConfig, TaskHead, TaskMap, score_predictions,
};
use bertram_kernels::Kernels;
use burn::module::Module;
use serde_json::Value;

use crate::config::Settings;
use crate::corpus::{TaskData, read_corpus, tokenize_corpus};
use crate::ensemble::{
    Member, MixtureError, Origin, begin, check_files, epochs_chosen_on, of_folder,
};
use crate::evaluate::split_logits;
use crate::made_of::{Half, MadeOf, Mixture, Select, Share};
use crate::phase::{Phase, PhaseClock};
use crate::pipeline::{
    PipelineError, Predicted, Summary, TrainedModel, check_unchanged, export_model, open_trained,
    predict_and_analyse,
};
use crate::run_folder::{RunFolder, write_json};

/// Which runs go into a soup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoupMethod {
    /// All of them.
    Uniform,
    /// From the best on dev to the worst, each that does not make the overall score worse.
    Greedy,
}

impl SoupMethod {
    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            SoupMethod::Uniform => "uniform",
            SoupMethod::Greedy => "greedy",
        }
    }
}

/// Makes a soup of runs in the new folder `run`: config, model, predictions on dev, scores.
///
/// `seed` is that of the halves of dev, by which a greedy choice is scored on rows that did not make it. `clock` is told
/// what goes on.
///
/// # Errors
/// Fewer than two runs; models that are not built alike, by the first tensor, task or key that differs; other dev rows; and
/// those of reading and writing.
pub fn average<B: Kernels>(
    members: &[Member],
    method: SoupMethod,
    seed: u64,
    run: &RunFolder,
    origin: &Origin,
    device: &B::Device,
    clock: &PhaseClock,
) -> Result<Summary, MixtureError> {
    if members.len() < 2 {
        return Err(MixtureError::TooFew(members.len()));
    }
    if let Some(member) = members.iter().find(|it| !it.run.model().is_dir()) {
        return Err(MixtureError::NoModel(member.path()));
    }
    clock.enter(Phase::Importing);
    let first = Opened::<B>::read(&members[0], device)?;
    for member in &members[1..] {
        first.check_like(&members[0], member, &Opened::read(member, device)?)?;
    }
    let Opened { settings, folder } = first;
    clock.enter(Phase::Reading);
    for task in &settings.tasks {
        check_files(members, task.task, Split::Dev)?;
    }
    let corpus = read_corpus(&settings, &[Split::Dev]).map_err(PipelineError::from)?;
    check_unchanged(&members[0].run.read_info()?, &corpus)?;
    clock.enter(Phase::Tokenizing);
    let tasks = tokenize_corpus(&settings, &corpus, &folder.tokenizer);
    let tasks = tasks.map_err(PipelineError::from)?;
    clock.enter_part(Phase::Predicting, Split::Dev.name());
    let mut kitchen = Kitchen::<B> {
        members,
        settings: &settings,
        tasks: &tasks,
        device,
        clock,
        known: HashMap::new(),
    };
    let (chosen, ways) = match method {
        SoupMethod::Uniform => ((0..members.len()).collect(), None),
        SoupMethod::Greedy => kitchen.chosen(seed)?,
    };
    let model = kitchen.soup(&chosen)?;

    let names: Vec<_> = settings.tasks.iter().map(|task| task.task).collect();
    let (_, info) = begin(run, members, &names, origin, "A model soup")?;
    let Predicted {
        scores, analysis, ..
    } = predict_and_analyse(
        &model,
        &settings,
        &tasks,
        Split::Dev,
        &run.predictions(),
        device,
        |done, rows| clock.progress(done, rows),
    )?;
    let shares = shares(members.len(), &chosen);
    let ingredients = members.iter().zip(shares);
    let made_of = MadeOf {
        kind: Mixture::Soup,
        method: method.name().to_owned(),
        runs: ingredients
            .map(|(member, share)| member.ingredient(share))
            .collect(),
        epochs_chosen_on: epochs_chosen_on(members),
        select: ways.map(|ways| Select::new("runs of the soup", seed, ways, &scores)),
        test: None,
    };
    clock.enter(Phase::Exporting);
    export_model(
        &run.model(),
        &TrainedModel {
            settings: &settings,
            info: &info,
            run: &run.name(),
            config: &folder.config,
            tokenizer: &folder.tokenizer,
            model: &model,
            scores: &scores,
            best_epoch: 0,
            last_weights: false,
            averaged: false,
            unchosen: None,
            made_of: Some(&made_of),
        },
    )?;
    write_json(&run.analysis(), &analysis)?;
    let summary = of_folder(run, info, scores, made_of, model.num_params());
    write_json(&run.summary(), &summary)?;
    clock.end();
    Ok(summary)
}

/// The runs that recipe 1 of Wortsman et al. (2022) puts into a soup, in ascending order.
///
/// `score` gives the score on dev of the soup of some runs, in ascending order; larger is better. Runs are tried from the
/// best to the worst, of equal ones the first, and each stays that gives no lower score than there was without it.
///
/// # Errors
/// Those of `score`.
pub fn choose_greedily<E>(
    runs: usize,
    mut score: impl FnMut(&[usize]) -> Result<f64, E>,
) -> Result<Vec<usize>, E> {
    let mut alone = Vec::new();
    for run in 0..runs {
        alone.push((run, score(&[run])?));
    }
    // The sort is stable.
    alone.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut tried = alone.into_iter();
    let Some((best, mut reached)) = tried.next() else {
        return Ok(Vec::new());
    };
    let mut chosen = vec![best];
    for (run, _) in tried {
        let mut with = chosen.clone();
        with.push(run);
        with.sort_unstable();
        let scored = score(&with)?;
        if scored >= reached {
            (chosen, reached) = (with, scored);
        }
    }
    Ok(chosen)
}

/// The share of each run in the mean of those that were chosen.
fn shares(runs: usize, chosen: &[usize]) -> Vec<Share> {
    let share = |run: usize| match chosen.contains(&run) {
        true => 1.0 / chosen.len() as f64,
        false => 0.0,
    };
    (0..runs).map(|run| Share::All(share(run))).collect()
}

/// A run's model, and its settings with what the model says of itself.
struct Opened<B: Kernels> {
    settings: Settings,
    folder: ModelFolder<B>,
}

impl<B: Kernels> Opened<B> {
    fn read(member: &Member, device: &B::Device) -> Result<Self, PipelineError> {
        let (settings, folder) = open_trained::<B>(&member.run, member.settings.clone(), device)?;
        Ok(Self { settings, folder })
    }

    /// Whether another run's model is of the same kind: tasks, tensors, shape, tokenizer, preparation of texts.
    fn check_like(
        &self,
        first: &Member,
        member: &Member,
        other: &Self,
    ) -> Result<(), MixtureError> {
        match self
            .difference(other)
            .or_else(|| vocabularies(first, member))
        {
            None => Ok(()),
            Some(what) => Err(MixtureError::OtherModel {
                first: first.path(),
                other: member.path(),
                what,
            }),
        }
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let names = |folder: &ModelFolder<B>| {
            let tasks: Vec<&str> = folder.model.tasks().map(|task| task.name()).collect();
            tasks.join(", ")
        };
        let (here, there) = (names(&self.folder), names(&other.folder));
        if here != there {
            return Some(format!("the tasks are {there} and {here}"));
        }
        let heads = self.folder.model.heads.iter().map(TaskHead::config);
        let mut heads = heads.zip(other.folder.model.heads.iter().map(TaskHead::config));
        if let Some(key) = heads.find_map(|(one, other)| other_head(one, other)) {
            return Some(key);
        }
        let json = |folder: &ModelFolder<B>| serde_json::to_value(&folder.config);
        if let (Ok(Value::Object(here)), Ok(Value::Object(there))) =
            (json(&self.folder), json(&other.folder))
        {
            let mut keys = here.keys().chain(there.keys());
            // Of training alone.
            let dropout = ["hidden_dropout_prob", "attention_probs_dropout_prob"];
            let key = keys
                .find(|key| !dropout.contains(&key.as_str()) && here.get(*key) != there.get(*key));
            if let Some(key) = key {
                let shown = |value: Option<&Value>| value.map_or("none".into(), Value::to_string);
                let (there, here) = (shown(there.get(key)), shown(here.get(key)));
                return Some(format!("{key} of model/config.json is {there} and {here}"));
            }
        }
        if self.folder.encode != other.folder.encode {
            let keys = "data.preprocess, data.max-length, model.pooling";
            return Some(format!("texts are prepared in other ways ({keys})"));
        }
        // What no key says.
        let mut sum = WeightSum::default();
        let mut folders = [&self.folder, &other.folder].into_iter();
        let added = folders.try_for_each(|folder| sum.add(&folder.model));
        added.err().map(|difference| difference.to_string())
    }
}

/// The key in which two heads of one task differ, of those that say what their output is.
fn other_head(one: &TaskConfig, other: &TaskConfig) -> Option<String> {
    let task = one.task;
    let key = if one.spec != other.spec {
        "labels"
    } else if one.head != other.head {
        "head"
    } else if one.pooling != other.pooling {
        "pooling"
    } else if one.loss != other.loss {
        "loss"
    } else if one.threshold != other.threshold || one.margin != other.margin {
        "threshold or margin"
    } else {
        return None;
    };
    Some(format!("tasks.{task} has another {key}"))
}

/// A word where two models do not have the same tokens under the same numbers.
fn vocabularies(first: &Member, other: &Member) -> Option<String> {
    let vocabulary = |member: &Member| std::fs::read(member.run.model().join("vocab.txt")).ok();
    (vocabulary(first) != vocabulary(other)).then(|| "model/vocab.txt has other tokens".to_owned())
}

/// What models say of dev, by task and row: the numbers of [`TaskConfig::numbers`].
type Numbers = TaskMap<Vec<Vec<f64>>>;

/// Where soups are made and tasted.
struct Kitchen<'a, B: Kernels> {
    members: &'a [Member],
    settings: &'a Settings,
    tasks: &'a [TaskData],
    device: &'a B::Device,
    clock: &'a PhaseClock,
    /// What soups say, by their runs.
    known: HashMap<Vec<usize>, Numbers>,
}

impl<B: Kernels> Kitchen<'_, B> {
    /// The mean of some runs' models; one model is in memory beside the sum.
    fn soup(&self, chosen: &[usize]) -> Result<MultitaskModel<B>, MixtureError> {
        let mut sum = WeightSum::default();
        let mut last = None;
        for run in chosen {
            let Opened { folder, .. } = Opened::<B>::read(&self.members[*run], self.device)?;
            sum.add(&folder.model)
                .map_err(|difference| MixtureError::OtherModel {
                    first: self.members[chosen[0]].path(),
                    other: self.members[*run].path(),
                    what: difference.to_string(),
                })?;
            last = Some(folder.model);
        }
        match last {
            Some(model) => Ok(sum.mean(model, self.device)),
            None => Err(MixtureError::TooFew(0)),
        }
    }

    /// Predicts dev with a soup, unless that was done before.
    fn taste(&mut self, chosen: &[usize]) -> Result<&Numbers, MixtureError> {
        if !self.known.contains_key(chosen) {
            let model = self.soup(chosen)?;
            let total = self.tasks.iter().map(|task| task.dev.len()).sum();
            let mut before = 0;
            let mut all = Numbers::new();
            for task in self.tasks {
                let logits = split_logits(
                    &model,
                    task.evaluation_set(&task.dev),
                    self.settings.train.eval_batch_size,
                    self.device,
                    |done| self.clock.progress(before + done, total),
                );
                before += logits.len();
                let numbers = logits.iter().map(|row| task.config.numbers(row));
                all.insert(task.config.task, numbers.collect());
            }
            self.known.insert(chosen.to_vec(), all);
        }
        Ok(&self.known[chosen])
    }

    /// Scores a soup on the rows of each task that `rows` gives.
    fn score(
        &mut self,
        chosen: &[usize],
        rows: impl Fn(&TaskData) -> Vec<usize>,
    ) -> Result<SplitScores, MixtureError> {
        let (tasks, settings) = (self.tasks, self.settings);
        let numbers = self.taste(chosen)?;
        let mut scores = TaskMap::new();
        for task in tasks {
            let Some(numbers) = numbers.get(&task.config.task) else {
                continue;
            };
            if task.dev.labels.is_none() || numbers.is_empty() {
                continue;
            }
            let spec = &task.config.spec;
            let rows = rows(task);
            let said: Vec<Prediction> = rows
                .iter()
                .map(|row| Prediction::of_numbers(spec.label, &numbers[*row]))
                .collect();
            let labels = task.dev.labels_of(&rows);
            scores.insert(task.config.task, score_predictions(spec, &said, &labels));
        }
        Ok(SplitScores::weighted(scores, |task| {
            settings.overall_weight(task)
        }))
    }

    /// The runs that all of dev chooses, and what choosing by halves gives.
    fn chosen(&mut self, seed: u64) -> Result<(Vec<usize>, Option<Vec<Half>>), MixtureError> {
        let scored = |task: &&TaskData| task.dev.len() > 1 && task.dev.labels.is_some();
        if self.tasks.iter().find(scored).is_none() {
            let names: Vec<&str> = self.tasks.iter().map(|it| it.config.task.name()).collect();
            return Err(MixtureError::NothingToChooseBy {
                task: names.join(", "),
                instead: "--method uniform",
            });
        }
        let runs = self.members.len();
        let all = |task: &TaskData| (0..task.dev.len()).collect::<Vec<usize>>();
        let chosen = choose_greedily(runs, |soup| self.score(soup, all).map(|it| it.overall))?;
        let mut ways = Vec::new();
        let rows = |task: &TaskData, half: usize| halves(task.dev.len(), seed)[half].clone();
        for half in [0, 1] {
            let chosen = choose_greedily(runs, |soup| {
                let scores = self.score(soup, |task| rows(task, half));
                scores.map(|it| it.overall)
            })?;
            ways.push(Half {
                weights: shares(runs, &chosen),
                scores: self.score(&chosen, |task| rows(task, 1 - half))?,
            });
        }
        Ok((chosen, Some(ways)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn greedy(runs: usize, score: impl Fn(&[usize]) -> f64) -> Vec<usize> {
        let chosen = choose_greedily(runs, |soup| Ok::<_, Infallible>(score(soup)));
        chosen.unwrap_or_else(|error| match error {})
    }

    #[test]
    fn greedy_keeps_what_does_not_make_it_worse() {
        // Alone: run 1 is best, then 2, then 0. With 2 it is as good as without, with 0 worse.
        let score = |soup: &[usize]| match soup {
            [0] => 0.5,
            [1] => 0.7,
            [2] => 0.6,
            [1, 2] => 0.7,
            [0, 1, 2] => 0.69,
            other => panic!("{other:?} is not to be tried"),
        };
        assert_eq!(greedy(3, score), [1, 2]);
        assert!(greedy(0, |_| 0.0).is_empty());
        assert_eq!(greedy(1, |_| 0.0), [0]);
        // Where nothing is told apart all are in.
        assert_eq!(greedy(4, |_| 0.5), [0, 1, 2, 3]);
        assert_eq!(
            shares(3, &[1, 2]),
            [Share::All(0.0), Share::All(0.5), Share::All(0.5)]
        );
    }
}
