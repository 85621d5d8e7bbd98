//! The trials of a search as they stand, and what comes next.

use std::collections::BTreeSet;

use bertram_core::fs::atomic_write;
use bertram_train::config::SearchMethod;
use bertram_train::run_folder::{RunFolder, RunState, read_json};
use bertram_train::search::{
    Decision, EpochScores, Halving, SearchRecord, SearchedKey, TrialProgress, TrialRecord,
    TrialState,
};

use super::plan::Plan;
use crate::args::RunsArgs;
use crate::commands::experiments::execute::{self, Ended, Job, Next, Queue, Until, last_words};
use crate::commands::train::DIVERGED;
use crate::error::{CliResult, input, work};

/// A search at work.
pub struct Trials<'a> {
    plan: &'a Plan,
    args: &'a RunsArgs,
    halving: Halving,
    trials: Vec<Trial>,
    /// Those that a process of this one is at work in.
    running: BTreeSet<usize>,
    /// Names of those that failed.
    pub failed: Vec<String>,
}

/// A trial as it stands.
#[derive(Clone, Debug, Default)]
struct Trial {
    sent_to: Option<usize>,
    scores: EpochScores,
    is_at_work: bool,
    has_diverged: bool,
    /// In this sitting: what it was that failed may be mended by the next.
    has_failed: bool,
    /// In this sitting, by Ctrl-C or by somebody who meant this one run: it is not begun again at once.
    was_interrupted: bool,
}

/// How a search chooses its trials, in words.
fn how(method: SearchMethod, reduction_factor: Option<usize>) -> String {
    match (method, reduction_factor) {
        (SearchMethod::Asha, Some(factor)) => {
            format!("successive halving (asha) with reduction-factor = {factor}")
        }
        (SearchMethod::Asha, None) => "successive halving (asha) with one rung".to_owned(),
        (SearchMethod::Random, _) => "random search".to_owned(),
    }
}

impl<'a> Trials<'a> {
    /// Looks at what there is of the trials.
    pub fn new(plan: &'a Plan, args: &'a RunsArgs) -> CliResult<Self> {
        let mut trials = Self {
            plan,
            args,
            halving: Halving {
                rungs: plan.rungs.len().max(1),
                reduction_factor: plan.space.reduction_factor,
            },
            trials: vec![Trial::default(); plan.trials.len()],
            running: BTreeSet::new(),
            failed: Vec::new(),
        };
        let file = args.out.join(SearchRecord::FILE);
        let record: Option<SearchRecord> = match file.is_file() {
            true => Some(read_json(&file).map_err(input)?),
            false => None,
        };
        if let Some(record) = &record {
            let before = how(record.method, record.reduction_factor);
            let now = how(plan.space.method, plan.reduction_factor());
            if before != now {
                tracing::warn!(
                    "{}: the search was begun as {before}, and goes on as {now}; the scores of its trials stay",
                    file.display()
                );
            }
        }
        for index in 0..trials.trials.len() {
            trials.look(index)?;
            let noted = record.as_ref().and_then(|record| {
                let sent_to = record.trials.get(index)?.sent_to?;
                // Rungs may be others now; at the last of random search a training ends.
                let epochs = record.rungs.get(sent_to).copied();
                Some(plan.rung_from(epochs.unwrap_or(usize::MAX)))
            });
            let trial = &mut trials.trials[index];
            // A folder says how far its run is, and the record how far it was to go; where the two are apart, the farther counts.
            let seen = plan.rung_from(trial.scores.epochs + usize::from(trial.scores.is_between));
            let has_begun = execute::state(&plan.trials[index].run) != RunState::None;
            trial.sent_to = (has_begun || noted.is_some()).then(|| noted.unwrap_or(0).max(seen));
        }
        Ok(trials)
    }

    /// Reads how a trial stands from its folder.
    fn look(&mut self, index: usize) -> CliResult {
        let run = &self.plan.trials[index].run;
        let trial = &mut self.trials[index];
        let state = execute::state(run);
        trial.is_at_work = state == RunState::AtWork;
        if state == RunState::None {
            return Ok(());
        }
        let folder = RunFolder::open(&run.folder).map_err(input)?;
        match EpochScores::read(&folder, self.plan.metric) {
            Ok(scores) => trial.scores = scores,
            // Whoever is at work in it may have taken a checkpoint away meanwhile.
            Err(_) if trial.is_at_work => return Ok(()),
            Err(error) => return Err(work(error)),
        }
        let said = last_words(&execute::log(run));
        trial.has_diverged = !trial.is_at_work
            && !trial.scores.is_finished
            && said.starts_with(&format!("error: {DIVERGED}"));
        Ok(())
    }

    /// The best score of a trial at each rung that it has reached; those that it ended before are as its last.
    fn rung_scores(&self, trial: &Trial) -> Vec<f64> {
        let Some(sent_to) = trial.sent_to else {
            return Vec::new();
        };
        let rungs = (0..=sent_to).map(|rung| self.plan.epochs_at(rung));
        let reached = rungs.filter(|epochs| {
            trial.scores.is_finished || epochs.is_some_and(|it| trial.scores.epochs >= it)
        });
        reached
            .filter_map(|epochs| trial.scores.best_until(epochs.unwrap_or(usize::MAX)))
            .collect()
    }

    fn progress_of(&self, trial: &Trial) -> TrialProgress {
        let mut scores = self.rung_scores(trial);
        if let (true, Some(sent_to)) = (trial.has_diverged, trial.sent_to) {
            scores.resize(sent_to + 1, f64::NEG_INFINITY);
        }
        TrialProgress {
            sent_to: trial.sent_to,
            scores,
            has_ended: trial.scores.is_finished
                || trial.has_diverged
                || trial.has_failed
                || trial.was_interrupted,
        }
    }

    fn progress(&self) -> Vec<TrialProgress> {
        let trials = self.trials.iter();
        trials.map(|trial| self.progress_of(trial)).collect()
    }

    /// A trial that was on its way when a runner was stopped.
    fn left_behind(&mut self) -> CliResult<Option<usize>> {
        let progress = self.progress();
        for (index, progress) in progress.iter().enumerate() {
            if self.running.contains(&index) || !progress.is_at_work() {
                continue;
            }
            self.look(index)?;
            let trial = &self.trials[index];
            if !trial.is_at_work && self.progress_of(trial).is_at_work() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Sends a trial to the rung that it is noted for.
    fn send(&mut self, index: usize) -> CliResult<Next> {
        self.save()?;
        self.running.insert(index);
        let planned = &self.plan.trials[index];
        let rung = self.trials[index].sent_to.unwrap_or(0);
        let epochs = self.plan.rungs.last().copied();
        let until = self.plan.epochs_at(rung).zip(epochs);
        Ok(Next::Job(Job {
            run: planned.run.clone(),
            // At the last rung it ends as ever.
            until: until
                .filter(|(epoch, epochs)| epoch < epochs)
                .map(|(epoch, epochs)| Until { epoch, epochs }),
        }))
    }

    /// What there is to say of the trials so far.
    pub fn record(&self) -> SearchRecord {
        let space = &self.plan.space;
        let keys: Vec<SearchedKey> = space.keys.iter().map(SearchedKey::of).collect();
        let progress = self.progress();
        let trials = self.trials.iter().enumerate().map(|(index, trial)| {
            let planned = &self.plan.trials[index];
            let values = keys.iter().zip(&planned.values);
            let state = if trial.has_failed {
                TrialState::Failed
            } else if trial.has_diverged {
                TrialState::Diverged
            } else if trial.scores.is_finished {
                TrialState::Finished
            } else if trial.sent_to.is_none() {
                TrialState::Waiting
            } else if trial.was_interrupted || progress[index].is_at_work() {
                TrialState::Training
            } else {
                TrialState::Stopped
            };
            TrialRecord {
                trial: index + 1,
                folder: planned.run.name.clone(),
                values: values
                    .map(|(key, value)| key.value(&value.text, value.number))
                    .collect(),
                state,
                epochs: trial.scores.epochs,
                sent_to: trial.sent_to,
                // What diverged has no model to show for its score.
                score: trial.scores.best().filter(|_| !trial.has_diverged),
                rung_scores: self.rung_scores(trial),
            }
        });
        SearchRecord {
            method: space.method,
            metric: self.plan.metric.name().to_owned(),
            seed: space.seed,
            reduction_factor: self.plan.reduction_factor(),
            rungs: self.plan.rungs.clone(),
            trials: trials.collect(),
            keys,
        }
    }

    /// Whether a trial was stopped on its way, and is to go on the next time.
    pub fn was_interrupted(&self) -> bool {
        self.trials.iter().any(|trial| trial.was_interrupted)
    }

    /// Writes `trials.json` and `trials.csv`.
    pub fn save(&self) -> CliResult {
        let record = self.record();
        let json = serde_json::to_string_pretty(&record).map_err(work)? + "\n";
        let csv = record.csv().map_err(|error| work(anyhow::anyhow!(error)))?;
        let out = &self.args.out;
        atomic_write(&out.join(SearchRecord::TABLE), csv.as_bytes()).map_err(work)?;
        atomic_write(&out.join(SearchRecord::FILE), json.as_bytes()).map_err(work)
    }
}

impl Plan {
    /// The epochs of a rung; `None` where it is the end of a training, of whatever length.
    fn epochs_at(&self, rung: usize) -> Option<usize> {
        self.rungs.get(rung).copied()
    }

    /// The first rung of at least so many epochs, or the last one.
    fn rung_from(&self, epochs: usize) -> usize {
        let rung = self.rungs.iter().position(|rung| *rung >= epochs);
        rung.unwrap_or(self.rungs.len().saturating_sub(1))
    }
}

impl Queue for Trials<'_> {
    fn next(&mut self) -> CliResult<Next> {
        if let Some(index) = self.left_behind()? {
            return self.send(index);
        }
        match self.halving.next(&self.progress()) {
            Decision::Begin { trial } => {
                self.trials[trial].sent_to = Some(0);
                self.send(trial)
            }
            Decision::Promote { trial, rung } => {
                self.trials[trial].sent_to = Some(rung);
                self.send(trial)
            }
            Decision::Wait => Ok(Next::Wait),
            Decision::Done => Ok(Next::Done),
        }
    }

    fn ended(&mut self, job: &Job, how: &Ended) -> CliResult<String> {
        let mut trials = self.plan.trials.iter();
        let index = trials.position(|trial| trial.run.name == job.run.name);
        let Some(index) = index else {
            // Jobs come from here.
            return Ok(String::new());
        };
        self.running.remove(&index);
        self.look(index)?;
        let metric = self.plan.metric.name();
        let trial = &mut self.trials[index];
        let best = trial.scores.best();
        let score = best.map_or_else(|| "no score".to_owned(), |it| format!("{metric} {it:.3}"));
        let text = match how {
            _ if trial.has_diverged => DIVERGED.to_owned(),
            Ended::Finished(_) | Ended::Stopped if best.is_none() => {
                trial.has_failed = true;
                format!("failed: no evaluation has {metric}: a search needs dev rows to choose by")
            }
            Ended::Finished(_) => score,
            Ended::Stopped => format!("{score} after epoch {}", trial.scores.epochs),
            Ended::Interrupted => {
                trial.was_interrupted = true;
                "interrupted".to_owned()
            }
            Ended::Failed(said) => {
                trial.has_failed = true;
                format!("failed: {said}")
            }
        };
        if trial.has_failed {
            self.failed.push(job.run.name.clone());
        }
        self.save()?;
        Ok(text)
    }

    fn count(&self) -> (usize, usize) {
        let progress = self.progress();
        let settled = progress.iter().enumerate().filter(|(index, trial)| {
            let is_begun = trial.sent_to.is_some() && !trial.is_at_work();
            is_begun && !self.running.contains(index)
        });
        (settled.count(), self.trials.len())
    }

    fn waiting(&self) -> Option<usize> {
        // How far each goes is not known before.
        let waiting = self.trials.iter().filter(|trial| trial.sent_to.is_none());
        self.plan.rungs.is_empty().then(|| waiting.count())
    }
}
