//! Runs that differ by seed only, taken together.

use std::collections::BTreeMap;

use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::task::{TaskId, TaskSpec};
use bertram_train::config::{ExperimentSettings, PaperScores};

use super::keys::{Difference, difference, keys};
use super::read::{DevLine, RunRecord};
use super::statistics::Statistic;

/// A score that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The main score of a task.
    Task(TaskId),
    /// The overall score.
    Overall,
}

impl Measure {
    /// Short name: `sst`, `overall`.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Task(task) => task.name(),
            Measure::Overall => "overall",
        }
    }

    /// The score among those of a split.
    pub fn of(self, scores: &SplitScores) -> Option<f64> {
        match self {
            Measure::Task(task) => scores.tasks.get(&task).map(TaskScores::primary),
            Measure::Overall => (!scores.tasks.is_empty()).then_some(scores.overall),
        }
    }

    /// What a model that has learned nothing reaches on the same rows: the majority class, a correlation of zero, or
    /// the overall score of these.
    pub fn reference(self, scores: &SplitScores, weight: impl Fn(TaskId) -> f64) -> Option<f64> {
        match self {
            Measure::Task(task) => scores.tasks.get(&task).map(TaskScores::reference),
            Measure::Overall => scores.reference(weight),
        }
    }

    /// The published score.
    pub fn paper(self, paper: &PaperScores) -> Option<f64> {
        match self {
            Measure::Task(TaskId::SST) => paper.sst,
            Measure::Task(TaskId::PARA) => paper.para,
            Measure::Task(TaskId::STS) => paper.sts,
            Measure::Overall => paper.overall,
            // The paper has its three tasks.
            Measure::Task(_) => None,
        }
    }

    fn of_line(self, line: &DevLine) -> Option<f64> {
        match self {
            Measure::Task(task) => line.tasks.get(&task).map(TaskScores::primary),
            Measure::Overall => line.overall,
        }
    }
}

/// A point of a curve over training, over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Updates made.
    pub update: usize,
    /// Epoch.
    pub epoch: usize,
    /// The number there.
    pub value: Statistic,
}

/// Runs of one setting.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it is called in tables: the experiment id, else the name of its config with what it changes there, else that of
    /// the first run. Unique in a report.
    pub label: String,
    /// One run for each seed.
    pub runs: Vec<RunRecord>,
    /// Runs whose seed is in `runs` already; they are told of, and not counted.
    pub repeats: Vec<RunRecord>,
}

impl Group {
    /// `[experiment]` of the config, where there is one.
    pub fn experiment(&self) -> Option<&ExperimentSettings> {
        self.runs.first()?.settings.experiment.as_ref()
    }

    /// What a task of the runs is.
    pub fn task(&self, task: TaskId) -> Option<&TaskSpec> {
        Some(&self.runs.first()?.settings.task(task)?.spec)
    }

    /// `experiment.id`.
    pub fn id(&self) -> Option<&str> {
        self.experiment()?.id.as_deref()
    }

    /// `experiment.title`.
    pub fn title(&self) -> Option<&str> {
        self.experiment()?.title.as_deref()
    }

    /// Dotted keys and values of the config, without the seed and without what only names it. What was made of runs has one
    /// key more, that says so.
    pub(super) fn keys(&self) -> BTreeMap<String, String> {
        let first = self.runs.first();
        let mut all = first.map_or_else(BTreeMap::new, |run| keys(&run.settings));
        if let Some(made_of) = first.and_then(|run| run.summary.made_of.as_ref()) {
            all.insert("made-of".to_owned(), made_of.describe());
        }
        all
    }

    /// Keys in which another group's config differs from this one's: the key, its value here, and its value there.
    pub(super) fn difference(&self, other: &Group) -> Vec<Difference> {
        difference(&self.keys(), &other.keys())
    }

    /// The published scores.
    pub fn paper(&self) -> Option<PaperScores> {
        self.experiment()?.paper
    }

    /// Label and title.
    pub fn full_label(&self) -> String {
        match self.title() {
            Some(title) => format!("{}: {title}", self.label),
            None => self.label.clone(),
        }
    }

    /// A score on dev over seeds.
    pub fn statistic(&self, measure: Measure) -> Option<Statistic> {
        let numbers: Vec<f64> = self
            .runs
            .iter()
            .filter_map(|run| measure.of(&run.summary.dev))
            .collect();
        Statistic::new(&numbers)
    }

    /// The line of a model that has learned nothing.
    pub fn reference(&self, measure: Measure) -> Option<f64> {
        let run = self.runs.first()?;
        measure.reference(&run.summary.dev, |task| run.settings.overall_weight(task))
    }

    /// A score over training.
    pub fn curve(&self, measure: Measure) -> Vec<CurvePoint> {
        let mut points: BTreeMap<usize, (usize, Vec<f64>)> = BTreeMap::new();
        for line in self.runs.iter().flat_map(|run| &run.evaluations) {
            if let Some(score) = measure.of_line(line) {
                let (epoch, scores) = points.entry(line.update).or_default();
                *epoch = line.epoch;
                scores.push(score);
            }
        }
        points
            .into_iter()
            .filter_map(|(update, (epoch, scores))| {
                Some(CurvePoint {
                    update,
                    epoch,
                    value: Statistic::new(&scores)?,
                })
            })
            .collect()
    }

    /// A number of the logged steps over training, mean over seeds.
    pub(super) fn logged(
        &self,
        number: impl Fn(&super::read::TrainLine) -> Option<f64>,
    ) -> Vec<(f64, f64)> {
        let mut points: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for line in self.runs.iter().flat_map(|run| &run.training) {
            if let Some(number) = number(line) {
                points.entry(line.update).or_default().push(number);
            }
        }
        points
            .into_iter()
            .filter_map(|(update, numbers)| Some((update as f64, Statistic::new(&numbers)?.mean)))
            .collect()
    }

    /// The pairs of tasks whose gradients were compared, `sst-para`.
    pub(super) fn pairs(&self) -> Vec<String> {
        let mut pairs: Vec<String> = Vec::new();
        for line in self.runs.iter().flat_map(|run| &run.training) {
            for pair in line.gradient_cosine.keys() {
                if !pairs.contains(pair) {
                    pairs.push(pair.clone());
                }
            }
        }
        pairs
    }
}

/// What must be equal for runs to be of one setting: config and data, without the seed.
fn key(run: &RunRecord) -> String {
    let mut settings = run.settings.clone();
    settings.train.seed = 0;
    let mut key = settings.to_toml();
    for file in &run.summary.data {
        key.push_str(&format!("{} {} {}\n", file.task, file.split, file.sha256));
    }
    // An ensemble has the config of its first run, and is no other seed of it.
    if let Some(made_of) = &run.summary.made_of {
        for part in &made_of.runs {
            key.push_str(&format!("{} of {}\n", made_of.method, part.run.display()));
        }
        key.push_str(&made_of.describe());
    }
    if let Some(hash) = run
        .info
        .as_ref()
        .and_then(|info| info.model_sha256.as_ref())
    {
        key.push_str(hash);
    }
    key
}

/// Gathers runs by setting, in the order of first runs.
pub(super) fn gather(runs: Vec<RunRecord>) -> Vec<Group> {
    let mut groups: Vec<(String, Group)> = Vec::new();
    for run in runs {
        let key = key(&run);
        let Some((_, group)) = groups.iter_mut().find(|(other, _)| *other == key) else {
            let group = Group {
                label: String::new(),
                runs: vec![run],
                repeats: Vec::new(),
            };
            groups.push((key, group));
            continue;
        };
        let seed = run.settings.train.seed;
        if group
            .runs
            .iter()
            .any(|known| known.settings.train.seed == seed)
        {
            group.repeats.push(run);
        } else {
            group.runs.push(run);
        }
    }
    let mut groups: Vec<Group> = groups.into_iter().map(|(_, group)| group).collect();
    name(&mut groups);
    groups
}

/// Labels groups by id, else by their config. Where that is shared, by the levels of their factors, by the keys in which they
/// differ from the first of its name, and at last by the first run.
fn name(groups: &mut [Group]) {
    let first = |group: &Group| {
        group
            .runs
            .first()
            .map_or_else(String::new, |run| run.name.clone())
    };
    // What was made of runs has a name of its own, and the config of one of them.
    let config = |group: &Group| {
        let first = group.runs.first()?;
        let trained = first.summary.made_of.is_none();
        first.info.as_ref().filter(|_| trained)?.config_name()
    };
    let id = |group: &Group| {
        let id = group.id().map(str::to_owned);
        id.or_else(|| config(group)).unwrap_or_else(|| first(group))
    };
    let with_levels = |group: &Group| {
        let levels = group.experiment().map(|it| &it.levels);
        levels
            .into_iter()
            .flatten()
            .fold(id(group), |label, (factor, level)| {
                format!("{label} {factor}={level}")
            })
    };
    let with_run = |group: &Group| format!("{} ({})", id(group), first(group));
    let with_keys = |group: &Group| {
        let first = groups.iter().find(|other| id(other) == id(group));
        let changes = first.map(|first| changes(first, group));
        format!("{}{}", id(group), changes.unwrap_or_default())
    };
    let candidates: [&dyn Fn(&Group) -> String; 4] = [&id, &with_levels, &with_keys, &with_run];
    let candidates = candidates.map(|make| -> Vec<String> { groups.iter().map(make).collect() });
    let path = |group: &Group| {
        let first = group.runs.first();
        first.map_or_else(String::new, |run| run.path.display().to_string())
    };
    let labels: Vec<String> = groups
        .iter()
        .enumerate()
        .map(|(index, group)| {
            let is_unique = |labels: &&Vec<String>| {
                let same = labels.iter().filter(|label| **label == labels[index]);
                same.count() == 1
            };
            let label = candidates.iter().find(is_unique);
            label.map_or_else(|| path(group), |labels| labels[index].clone())
        })
        .collect();
    for (group, label) in groups.iter_mut().zip(labels) {
        group.label = label;
    }
}

/// The keys in which a group's config differs from another's, as a name says them: `, epochs=3, pooling=mean`.
fn changes(from: &Group, to: &Group) -> String {
    const MOST: usize = 3;
    let changes = from.difference(to);
    let mut shown: Vec<String> = changes
        .iter()
        .take(MOST)
        .map(|(key, _, here)| {
            let last = key.rsplit('.').next().unwrap_or(key);
            format!(", {last}={}", here.as_deref().unwrap_or("none"))
        })
        .collect();
    if changes.len() > MOST {
        shown.push(format!(" +{} more", changes.len() - MOST));
    }
    shown.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knowing_nothing_scores_half_on_a_correlation() {
        let scores = SplitScores::new(bertram_core::task::TaskMap::from([(
            TaskId::STS,
            TaskScores::regression(
                &TaskSpec::preset(TaskId::STS).expect("a preset"),
                &[1.0, 2.0],
                &[1.0, 2.0],
            ),
        )]));
        assert_eq!(Measure::Overall.reference(&scores, |_| 1.0), Some(0.5));
        assert_eq!(
            Measure::Task(TaskId::STS).reference(&scores, |_| 1.0),
            Some(0.0)
        );
        assert_eq!(Measure::Task(TaskId::SST).reference(&scores, |_| 1.0), None);
    }
}
