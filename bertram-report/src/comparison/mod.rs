//! Two runs, or two sets of them that differ by seed, on the same dev rows: how far they are apart, and whether that is more
//! than chance.
//!
//! [`Comparison::new`] reads what finished runs have predicted (`predictions/NAME-dev.csv`, or `-test.csv` where test rows have
//! labels) and tests the differences, B less
//! A, by [`statistics`](crate::statistics):
//!
//! | runs a side | interval | test |
//! |---|---|---|
//! | one | paired bootstrap over rows | exact McNemar for accuracy and exact matches, approximate randomisation for other scores and the overall one |
//! | several, of the same seeds | bootstrap over seeds and rows | paired t over seeds |
//! | several, of other seeds | the same, with each side's seeds drawn apart | Welch's t over seeds |
//! | one against several | the same | none: one seed does not tell how far seeds differ |
//!
//! The tasks' p-values are corrected by Holm's method; the overall score's is not one of them.

mod answers;
mod error;
mod side;
#[cfg(test)]
mod tests;

pub use error::CompareError;

use std::path::PathBuf;

use bertram_core::data::{Split, WrittenPrediction};
use bertram_core::seed::mix;
use bertram_core::task::{Metric, TaskId, TaskSpec};
use serde::{Serialize, Serializer};

use crate::read::RunRecord;
use crate::statistics::{Interval, Resampling, Units, holm, mcnemar, paired_t, welch};
use answers::{Answers, Numbers};
use side::Runs;

/// The random streams of seeds; tasks have their own ([`TaskId::stream`]).
const SEEDS: [u64; 2] = [1 << 40, 1 << 41];

/// Differences of two sides, and what speaks against reading much into them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whose rows are compared: `dev` or `test`.
    pub split: &'static str,
    /// The runs of one side, by their seeds.
    pub a: Vec<ComparedRun>,
    /// Those of the other.
    pub b: Vec<ComparedRun>,
    /// Probability that an interval covers the truth.
    pub confidence: f64,
    /// Draws behind an interval.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// What each task's scores are apart.
    pub tasks: Vec<Difference>,
    /// What the overall scores of these tasks are apart; none of one task.
    pub overall: Option<Difference>,
    /// What is to be known before the numbers are believed.
    pub warnings: Vec<String>,
}

/// A run of a side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedRun {
    /// Its folder.
    pub run: PathBuf,
    /// Its seed.
    pub seed: u64,
    /// The epoch whose model is scored; 0 for one that was not trained.
    pub best_epoch: usize,
}

/// How far two sides are apart in a score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Name of the task, or `overall`.
    pub name: String,
    /// What the score is; none for the overall one.
    #[serde(serialize_with = "metric_key")]
    pub metric: Option<Metric>,
    /// Rows that both are scored on.
    pub rows: usize,
    /// Scores of A's runs.
    pub a: Vec<f64>,
    /// Scores of B's runs.
    pub b: Vec<f64>,
    /// Mean of A's runs.
    pub mean_a: f64,
    /// Mean of B's runs.
    pub mean_b: f64,
    /// B less A.
    pub difference: f64,
    /// Where the difference may lie.
    #[serde(flatten)]
    pub interval: Interval,
    /// Half of the interval's width: on these rows, and with runs like these, a smaller difference cannot be told from none.
    pub half_width: f64,
    /// Which test the p-value is of.
    pub test: Option<Test>,
    /// Probability of a difference as large where there is none; not corrected.
    pub p_value: Option<f64>,
    /// The same, corrected for the number of tasks; none for the overall score.
    pub p_holm: Option<f64>,
    /// What may be said.
    pub verdict: Verdict,
}

impl Difference {
    /// Says what may be said at a level. Nothing is shown by an interval alone, nor by a test alone.
    pub(crate) fn judge(&mut self, level: f64) {
        let p = self.p_holm.or(self.p_value);
        self.verdict = match p.is_some_and(|p| p < level) && !self.interval.contains(0.0) {
            false => Verdict::NotShown,
            true if self.difference > 0.0 => Verdict::B,
            true => Verdict::A,
        };
    }
}

/// A test of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// The exact test of McNemar.
    Mcnemar,
    /// Approximate randomisation.
    Randomisation,
    /// Student's t test of pairs of seeds.
    PairedT,
    /// Welch's t test.
    Welch,
}

/// What a difference shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A is better.
    A,
    /// B is better.
    B,
    /// The difference may be chance: the interval has zero in it, or the (corrected) p-value is not below the level.
    NotShown,
}

fn metric_key<S: Serializer>(metric: &Option<Metric>, serializer: S) -> Result<S::Ok, S::Error> {
    metric.map(Metric::key).serialize(serializer)
}

/// A task on both sides: A's runs first.
struct Task {
    id: TaskId,
    answers: Answers,
    weight: f64,
}

impl Task {
    fn units(&self) -> Units {
        Units {
            count: self.answers.rows(),
            stream: self.id.stream(),
        }
    }

    fn score(&self, run: usize) -> f64 {
        self.score_of(run, 0..self.answers.rows())
    }

    fn score_of(&self, run: usize, rows: impl Iterator<Item = usize>) -> f64 {
        self.answers.score(rows.map(|row| (run, row)))
    }
}

/// How many runs the sides have, and whether they pair.
#[derive(Clone, Copy)]
struct Sides {
    a: usize,
    b: usize,
    paired: bool,
}

impl Sides {
    fn units(self) -> Vec<Units> {
        let of = |count, stream| Units { count, stream };
        match self.paired {
            true => vec![of(self.a, SEEDS[0])],
            false => vec![of(self.a, SEEDS[0]), of(self.b, SEEDS[1])],
        }
    }
}

impl Comparison {
    /// Compares the runs in `b` with those in `a` (run folders, or folders that hold some at any depth) on all tasks that they
    /// have in common, or on those of `tasks`: on the rows of `split`, which need labels.
    ///
    /// # Errors
    /// Runs that are not there, not finished or of one seed; without a common task; without predictions; scored on other rows
    /// or with other labels, or on rows without.
    pub fn new(
        a: &[PathBuf],
        b: &[PathBuf],
        tasks: &[TaskId],
        split: Split,
        resampling: &Resampling,
    ) -> Result<Self, CompareError> {
        Self::of(Runs::read(a)?, Runs::read(b)?, tasks, split, resampling)
    }

    /// As [`new`](Self::new), of runs that are read already: none of a side has the seed of another.
    pub(crate) fn of_runs(
        a: Vec<RunRecord>,
        b: Vec<RunRecord>,
        tasks: &[TaskId],
        split: Split,
        resampling: &Resampling,
    ) -> Result<Self, CompareError> {
        Self::of(Runs::of(a)?, Runs::of(b)?, tasks, split, resampling)
    }

    fn of(
        a: Runs,
        b: Runs,
        tasks: &[TaskId],
        split: Split,
        resampling: &Resampling,
    ) -> Result<Self, CompareError> {
        let sides = Sides {
            a: a.0.len(),
            b: b.0.len(),
            paired: a.seeds() == b.seeds() && a.0.len() > 1,
        };
        let runs: Vec<&RunRecord> = a.0.iter().chain(&b.0).collect();
        let names = chosen(&runs, tasks, split)?;
        let mut warnings = of_sides(&a, &b, sides, split);
        let tasks = names
            .into_iter()
            .filter_map(|id| task(id, split, &runs, &mut warnings).transpose())
            .collect::<Result<Vec<Task>, _>>()?;
        warnings.extend(of_overall(&runs, &tasks));
        let (tasks, overall) = differences(&tasks, sides, resampling);
        let compared = |runs: &Runs| {
            let run = |run: &RunRecord| ComparedRun {
                run: run.path.clone(),
                seed: run.settings.train.seed,
                best_epoch: run.summary.best_epoch,
            };
            runs.0.iter().map(run).collect()
        };
        Ok(Self {
            split: split.name(),
            a: compared(&a),
            b: compared(&b),
            confidence: resampling.confidence,
            resamples: resampling.resamples,
            seed: resampling.seed,
            tasks,
            overall,
            warnings,
        })
    }

    /// All that is compared: the tasks, and the overall score.
    pub fn all(&self) -> impl Iterator<Item = &Difference> {
        self.tasks.iter().chain(&self.overall)
    }
}

/// The tasks that all runs are scored on, of those `wanted` where some are. Of test rows no run has scores: those count
/// that have a file of them, or were predicted.
fn chosen(
    runs: &[&RunRecord],
    wanted: &[TaskId],
    split: Split,
) -> Result<Vec<TaskId>, CompareError> {
    let scored = |run: &RunRecord| -> Vec<TaskId> {
        let tasks = run.settings.tasks.iter().map(|task| task.task);
        tasks
            .filter(|task| match split {
                Split::Test => {
                    side::file(run, *task, split).is_some()
                        || side::table(run, *task, split).is_file()
                }
                Split::Train | Split::Dev => run.summary.dev.tasks.get(task).is_some(),
            })
            .collect()
    };
    let names = |tasks: &[TaskId]| match tasks {
        [] => "none".to_owned(),
        tasks => {
            let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
            names.join(", ")
        }
    };
    let mut common = runs.first().map_or_else(Vec::new, |run| scored(run));
    for run in runs {
        let of_run = scored(run);
        let all = common.clone();
        common.retain(|task| of_run.contains(task));
        if common.is_empty() {
            return Err(CompareError::NoCommonTask {
                split: split.name(),
                first: runs[0].path.clone(),
                tasks_of_first: names(&all),
                other: run.path.clone(),
                tasks_of_other: names(&of_run),
            });
        }
    }
    if let Some(unknown) = wanted.iter().find(|task| !common.contains(task)) {
        return Err(CompareError::NoSuchTask {
            name: unknown.name().to_owned(),
            known: names(&common),
        });
    }
    common.retain(|task| wanted.is_empty() || wanted.contains(task));
    Ok(common)
}

/// Warnings about which runs are compared.
fn of_sides(a: &Runs, b: &Runs, sides: Sides, split: Split) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, runs) in [("A", a), ("B", b)] {
        if let Some(keys) = runs.mixed() {
            warnings.push(format!(
                "the runs of {name} differ by more than their seed ({keys}): their mean is of several settings"
            ));
        }
    }
    if (sides.a == 1) != (sides.b == 1) {
        let name = if sides.a == 1 { "A" } else { "B" };
        warnings.push(format!(
            "{name} has one seed, which does not tell how far seeds differ: nothing is tested"
        ));
    } else if sides.a > 1 && !sides.paired {
        let list = |runs: &Runs| {
            let seeds: Vec<String> = runs.seeds().iter().map(u64::to_string).collect();
            seeds.join(", ")
        };
        warnings.push(format!(
            "the seeds of A ({}) and of B ({}) do not pair: the test is Welch's, which shows less than one of pairs",
            list(a),
            list(b)
        ));
    }
    // Test rows have chosen nothing.
    if split == Split::Dev {
        warnings.extend(of_epochs(a, b));
        warnings.extend(of_mixtures(a, b));
    }
    warnings
}

/// Words on ensembles and soups: what was chosen on the rows that are compared.
fn of_mixtures(a: &Runs, b: &Runs) -> Vec<String> {
    let sides = [("A", a), ("B", b)].into_iter();
    let made = sides.flat_map(|(name, runs)| {
        let made = runs.0.iter().filter_map(|run| run.summary.made_of.as_ref());
        made.map(move |made_of| (name, made_of))
    });
    made.map(|(name, made_of)| {
        let also = match &made_of.select {
            Some(select) => format!("; so were the {}, which is worth {:.3} on rows that did not choose them (overall, and {:.3} on those that did)", select.chosen, select.overall, select.overall_chosen_on_all),
            None => String::new(),
        };
        format!(
            "{name} is a mean of {} runs, whose epochs were chosen on {}{also}",
            made_of.runs.len(),
            made_of.epochs_chosen_on.name()
        )
    })
    .collect()
}

/// A word where the epoch that is scored was chosen on the rows that it is scored on.
fn of_epochs(a: &Runs, b: &Runs) -> Option<String> {
    let sides = [("A", a), ("B", b)].into_iter();
    let chosen = sides.filter_map(|(name, runs)| {
        let epochs = runs.epochs_chosen_from()?;
        let settings = &runs.0.first()?.settings;
        let share = settings.data.select_share.map_or(String::new(), |share| {
            format!(", on {:.0} % of them", share * 100.0)
        });
        let by = settings.train.best_metric.name();
        Some((format!("{name} (best of {epochs}{share})"), by))
    });
    let (sides, mut by): (Vec<String>, Vec<&str>) = chosen.unzip();
    by.dedup();
    (!sides.is_empty()).then(|| {
        format!(
            "the epoch of {} was chosen on the same dev rows, by the {} score: that gains a little, more with more epochs, and no test sees it",
            sides.join(" and of "),
            by.join(" and the ")
        )
    })
}

/// Reads what all runs say of a task, and checks that it is of the same rows. `None` where a run has no such task.
fn task(
    id: TaskId,
    split: Split,
    runs: &[&RunRecord],
    warnings: &mut Vec<String>,
) -> Result<Option<Task>, CompareError> {
    let first = runs[0];
    let specs: Option<Vec<&TaskSpec>> = runs.iter().map(|run| side::spec(run, id)).collect();
    let Some(specs) = specs else {
        return Ok(None);
    };
    let spec = specs[0];
    let table_of_first = side::table(first, id, split);
    let mut gold: Vec<Numbers> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    let mut tables: Vec<Vec<WrittenPrediction>> = Vec::new();
    for (place, (run, here)) in runs.iter().zip(&specs).enumerate() {
        if here.label != spec.label || here.labels != spec.labels {
            return Err(CompareError::OtherLabels {
                task: id.name().to_owned(),
                first: first.path.clone(),
                other: run.path.clone(),
            });
        }
        if here.metric != spec.metric {
            warnings.push(format!(
                "{id} is judged by {} in {} and by {} in {}: here all are scored by {}",
                spec.metric.title(),
                first.path.display(),
                here.metric.title(),
                run.path.display(),
                spec.metric.title(),
            ));
        }
        let other_rows = |first: PathBuf, other: PathBuf, how: String| CompareError::OtherRows {
            task: id.name().to_owned(),
            split: split.name(),
            first,
            other,
            how,
        };
        if let (Some(one), Some(other)) = (side::file(first, id, split), side::file(run, id, split))
            && one.sha256 != other.sha256
        {
            let how = format!(
                "by the SHA-256 of {} and of {}",
                other.path.display(),
                one.path.display()
            );
            return Err(other_rows(first.path.clone(), run.path.clone(), how));
        }
        let rows = side::predictions(run, id, split, spec)?;
        if place == 0 {
            ids = rows.iter().map(|row| row.id.clone()).collect();
            gold = rows.iter().filter_map(|row| row.gold.clone()).collect();
        }
        let how = if rows.len() != ids.len() {
            Some(format!("{} rows and {}", rows.len(), ids.len()))
        } else {
            let mut all = rows.iter().zip(&ids).zip(&gold).enumerate();
            let other = all
                .find(|(_, ((row, id), gold))| row.id != **id || row.gold.as_ref() != Some(*gold));
            other.map(|(place, ((row, id), _))| match row.id == *id {
                true => format!("row {}, {id}, has another label", place + 1),
                false => format!("row {} is {} and {id}", place + 1, row.id),
            })
        };
        if let Some(how) = how {
            let other = side::table(run, id, split);
            return Err(other_rows(table_of_first, other, how));
        }
        tables.push(rows);
    }
    let said = side::said(spec, tables);
    let weight = first.settings.overall_weight(id);
    let answers = Answers::new(spec.label, spec.metric, &gold, &said);
    let task = Task {
        id,
        answers,
        weight,
    };
    // No summary has scores on test.
    if split == Split::Dev {
        warnings.extend(of_scores(&task, runs));
    }
    Ok(Some(task))
}

/// A word where what a run has predicted does not score what its summary says, by more than is shown.
fn of_scores(task: &Task, runs: &[&RunRecord]) -> Option<String> {
    const SHOWN: f64 = 5e-4;
    let metric = task.answers.metric();
    runs.iter().enumerate().find_map(|(run, record)| {
        let scores = record.summary.dev.tasks.get(&task.id)?.all();
        let (_, summary) = scores.into_iter().find(|(it, _)| *it == metric)?;
        let here = task.score(run);
        ((here - summary).abs() > SHOWN).then(|| {
            format!(
                "{}: {} scores {here:.3} here and {summary:.3} in summary.json; the table of predictions may be of another evaluation, and those of older runs have scores that are cut to the label's range",
                record.path.display(),
                task.id,
            )
        })
    })
}

/// Warnings about what the overall score is of.
fn of_overall(runs: &[&RunRecord], tasks: &[Task]) -> Vec<String> {
    let mut warnings = Vec::new();
    if tasks.len() < 2 {
        return warnings;
    }
    let left_out = |run: &&&RunRecord| run.summary.dev.tasks.len() > tasks.len();
    if let Some(run) = runs.iter().find(left_out) {
        warnings.push(format!(
            "overall is of {} tasks here, and of {} in {}",
            tasks.len(),
            run.summary.dev.tasks.len(),
            run.path.display()
        ));
    }
    let other = tasks.iter().find_map(|task| {
        let mut runs = runs.iter();
        let run = runs.find(|run| run.settings.overall_weight(task.id) != task.weight)?;
        Some((task, run))
    });
    if let Some((task, run)) = other {
        warnings.push(format!(
            "{} weighs {} in the overall score here, and {} in {}",
            task.id,
            task.weight,
            run.settings.overall_weight(task.id),
            run.path.display()
        ));
    }
    warnings
}

/// The overall score of the tasks' scores; `None` where all weights are 0.
fn overall(tasks: &[Task], scores: &[f64]) -> Option<f64> {
    let weights: f64 = tasks.iter().map(|task| task.weight).sum();
    let pairs = tasks.iter().zip(scores);
    let sum: f64 = pairs
        .map(|(task, score)| task.weight * task.answers.metric().normalised(*score))
        .sum();
    (weights > 0.0).then(|| sum / weights)
}

/// B's scores of all tasks, and the overall one, less A's.
fn less(tasks: &[Task], a: &[f64], b: &[f64]) -> Vec<f64> {
    let each = a.iter().zip(b).map(|(a, b)| b - a);
    let all = overall(tasks, a).zip(overall(tasks, b));
    each.chain(all.map(|(a, b)| b - a)).collect()
}

fn differences(
    tasks: &[Task],
    sides: Sides,
    resampling: &Resampling,
) -> (Vec<Difference>, Option<Difference>) {
    let intervals = intervals(tasks, sides, resampling);
    let runs = sides.a + sides.b;
    let by_run: Vec<Vec<f64>> = (0..runs)
        .map(|run| tasks.iter().map(|task| task.score(run)).collect())
        .collect();
    let exchanged = (runs == 2).then(|| {
        let observed = less(tasks, &by_run[0], &by_run[1]);
        randomised(tasks, &observed, resampling)
    });
    let tested = |place: usize, a: &[f64], b: &[f64]| -> Option<(Test, f64)> {
        if let Some(p_values) = &exchanged {
            let discordant = tasks
                .get(place)
                .and_then(|task| task.answers.discordant(0, 1));
            return Some(match discordant {
                Some((first, second)) => (Test::Mcnemar, mcnemar(first, second)),
                None => (Test::Randomisation, *p_values.get(place)?),
            });
        }
        match sides.paired {
            true => Some((Test::PairedT, paired_t(a, b)?)),
            false => Some((Test::Welch, welch(a, b)?)),
        }
    };
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let row = |place: usize, name: &str, metric, rows, scores: Vec<f64>| {
        let (a, b) = scores.split_at(sides.a);
        let test = tested(place, a, b);
        let interval = intervals[place];
        Difference {
            name: name.to_owned(),
            metric,
            rows,
            a: a.to_vec(),
            b: b.to_vec(),
            mean_a: mean(a),
            mean_b: mean(b),
            difference: mean(b) - mean(a),
            interval,
            half_width: interval.half_width(),
            test: test.map(|(test, _)| test),
            p_value: test.map(|(_, p)| p),
            p_holm: None,
            verdict: Verdict::NotShown,
        }
    };
    let mut each: Vec<Difference> = tasks
        .iter()
        .enumerate()
        .map(|(place, task)| {
            let scores = by_run.iter().map(|scores| scores[place]).collect();
            let metric = Some(task.answers.metric());
            row(place, task.id.name(), metric, task.answers.rows(), scores)
        })
        .collect();
    correct(each.iter_mut());
    let scores: Option<Vec<f64>> = by_run.iter().map(|scores| overall(tasks, scores)).collect();
    let rows = tasks.iter().map(|task| task.answers.rows()).sum();
    let mut all = scores
        .filter(|_| tasks.len() > 1)
        .map(|scores| row(tasks.len(), "overall", None, rows, scores));
    for row in each.iter_mut().chain(&mut all) {
        row.judge(1.0 - resampling.confidence);
    }
    (each, all)
}

/// Corrects the p-values of differences that are read together, by Holm.
pub(crate) fn correct<'a>(rows: impl Iterator<Item = &'a mut Difference>) {
    let tested: Vec<(&mut Difference, f64)> = rows
        .filter_map(|row| {
            let p = row.p_value?;
            Some((row, p))
        })
        .collect();
    let corrected = holm(&tested.iter().map(|(_, p)| *p).collect::<Vec<f64>>());
    for ((row, _), p) in tested.into_iter().zip(corrected) {
        row.p_holm = Some(p);
    }
}

/// Bootstrap intervals of each task's difference, and of the overall one: over the rows of each task and over the seeds. All
/// runs of a draw are scored on the same rows.
fn intervals(tasks: &[Task], sides: Sides, resampling: &Resampling) -> Vec<Interval> {
    let mut units = sides.units();
    let of_rows = units.len();
    units.extend(tasks.iter().map(Task::units));
    resampling.bootstrap(&units, |drawn| {
        let (seeds, rows) = drawn.split_at(of_rows);
        let side = |seeds: &[usize], first: usize, count: usize| -> Vec<f64> {
            let mut times = vec![0.0; count];
            for seed in seeds {
                times[*seed] += 1.0;
            }
            let tasks = tasks.iter().zip(rows);
            tasks
                .map(|(task, rows)| {
                    let drawn = times.iter().enumerate().filter(|(_, times)| **times > 0.0);
                    let scores = drawn.map(|(run, times)| {
                        times * task.score_of(first + run, rows.iter().copied())
                    });
                    scores.sum::<f64>() / seeds.len() as f64
                })
                .collect()
        };
        let a = side(&seeds[0], 0, sides.a);
        let b = side(&seeds[of_rows - 1], sides.a, sides.b);
        less(tasks, &a, &b)
    })
}

/// p-values of two runs' differences by approximate randomisation.
fn randomised(tasks: &[Task], observed: &[f64], resampling: &Resampling) -> Vec<f64> {
    let units: Vec<Units> = tasks
        .iter()
        .map(|task| Units {
            // Other numbers than those of the bootstrap.
            stream: mix(task.id.stream(), SEEDS[0]),
            ..task.units()
        })
        .collect();
    resampling.randomisation(&units, observed, |exchanged| {
        let scores = |run: usize| -> Vec<f64> {
            let tasks = tasks.iter().zip(exchanged);
            tasks
                .map(|(task, exchanged)| {
                    let whose = exchanged
                        .iter()
                        .map(|exchanged| run ^ usize::from(*exchanged));
                    task.answers.score(whose.zip(0..))
                })
                .collect()
        };
        less(tasks, &scores(0), &scores(1))
    })
}
