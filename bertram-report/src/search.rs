//! Searches: what was written of their trials, and how much each key explains.

use std::path::{Path, PathBuf};

use bertram_train::run_folder::{RunError, read_json};
use bertram_train::search::{SearchRecord, SearchedKey, TrialRecord, TrialState};
use serde_json::Value;

use super::read::Unreadable;
use super::statistics::{correlation_ratio, squared_rank_correlation};

/// A search whose trials lie in a folder.
#[derive(Clone, Debug)]
pub struct Search {
    /// The folder.
    pub path: PathBuf,
    /// What it says of its trials.
    pub record: SearchRecord,
}

/// How much of the variance of trials' scores a key explains by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The key, dotted.
    pub key: String,
    /// By which measure.
    pub measure: ImportanceMeasure,
    /// The share, from 0 to 1; `None` where it cannot be told.
    pub share: Option<f64>,
    /// The share that a key without any effect has on average.
    pub by_chance: f64,
    /// Trials that it is of.
    pub trials: usize,
}

/// How importance is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportanceMeasure {
    /// [`squared_rank_correlation`], of numbers.
    SquaredSpearman,
    /// [`correlation_ratio`], of what has no order.
    EtaSquared,
}

impl ImportanceMeasure {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ImportanceMeasure::SquaredSpearman => "Spearman's rho squared",
            ImportanceMeasure::EtaSquared => "eta squared",
        }
    }
}

impl Search {
    /// Whether a run is a trial that went no further.
    pub(super) fn has_stopped(&self, run: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        let stopped = self.record.trials.iter().filter(|trial| {
            let state = trial.state;
            matches!(state, TrialState::Stopped | TrialState::Diverged)
        });
        let mut folders = stopped.map(|trial| self.path.join(&trial.folder));
        let run = real(run);
        run.is_some() && folders.any(|folder| real(&folder) == run)
    }

    /// The trials that can be compared, each with the score by which: that of the first rung, which all have reached that went
    /// on; in random search that of the end.
    pub fn comparable(&self) -> Vec<(&TrialRecord, f64)> {
        let trials = self.record.trials.iter();
        let scored = trials.filter_map(|trial| {
            let score = trial.rung_scores.first().copied();
            Some((trial, score.filter(|it| it.is_finite())?))
        });
        scored.collect()
    }

    /// How much each key explains of the scores of [`comparable`](Self::comparable) trials, in the order of the keys.
    pub fn importance(&self) -> Vec<Importance> {
        let trials = self.comparable();
        let scores: Vec<f64> = trials.iter().map(|(_, score)| *score).collect();
        let of = |(index, key): (usize, &SearchedKey)| {
            let values: Vec<Option<&Value>> = trials
                .iter()
                .map(|(trial, _)| trial.values.get(index))
                .collect();
            let count = scores.len().saturating_sub(1).max(1) as f64;
            if key.numeric {
                let numbers = values.iter().map(|value| value.and_then(Value::as_f64));
                let numbers: Option<Vec<f64>> = numbers.collect();
                return Importance {
                    key: key.key.clone(),
                    measure: ImportanceMeasure::SquaredSpearman,
                    share: numbers.and_then(|it| squared_rank_correlation(&it, &scores)),
                    by_chance: 1.0 / count,
                    trials: scores.len(),
                };
            }
            let mut groups: Vec<(Option<&Value>, Vec<f64>)> = Vec::new();
            for (value, score) in values.into_iter().zip(&scores) {
                match groups.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, group)) => group.push(*score),
                    None => groups.push((value, vec![*score])),
                }
            }
            let groups: Vec<Vec<f64>> = groups.into_iter().map(|(_, group)| group).collect();
            Importance {
                key: key.key.clone(),
                measure: ImportanceMeasure::EtaSquared,
                share: correlation_ratio(&groups),
                by_chance: groups.len().saturating_sub(1) as f64 / count,
                trials: scores.len(),
            }
        };
        self.record.keys.iter().enumerate().map(of).collect()
    }
}

/// The searches in `paths`, at any depth; run folders have none. Files of them that cannot be read keep nobody from reading
/// the others.
pub(super) fn find_searches(paths: &[PathBuf]) -> (Vec<Search>, Vec<Unreadable>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    let mut seen = Vec::new();
    let mut folders = Vec::new();
    for path in paths {
        find(path, &mut folders);
    }
    for path in folders {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        match read(&path) {
            Ok(record) => found.push(Search { path, record }),
            Err(error) => unreadable.push(Unreadable {
                name: SearchRecord::FILE.into(),
                reason: error.to_string(),
                path,
            }),
        }
    }
    (found, unreadable)
}

fn read(folder: &Path) -> Result<SearchRecord, RunError> {
    let path = folder.join(SearchRecord::FILE);
    let record: SearchRecord = read_json(&path)?;
    match check(&record) {
        Ok(()) => Ok(record),
        Err(message) => Err(RunError::Malformed { path, message }),
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("config.toml").is_file() {
        return;
    }
    if folder.join(SearchRecord::FILE).is_file() {
        found.push(folder.to_owned());
    }
    // What cannot be read was said by whoever looked for runs.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut below: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    below.sort();
    for folder in below {
        find(&folder, found);
    }
}

/// What an edit may have left.
fn check(record: &SearchRecord) -> Result<(), String> {
    let keys = record.keys.len();
    match record.trials.iter().find(|it| it.values.len() != keys) {
        Some(trial) => Err(format!(
            "trial {} has {} values, and there are {keys} keys",
            trial.trial,
            trial.values.len()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Report;
    use crate::tests::{E04, write_run};

    /// A search of four trials, of which the second was trained to its end and the third went no further than an epoch.
    fn write_search(dir: &Path) -> PathBuf {
        let trial = |number: usize, state: &str, rate: f64, order: &str, scores: &[f64]| {
            json!({
                "trial": number, "folder": format!("trial-{number:03}"), "values": [rate, order],
                "state": state, "epochs": scores.len(), "sent_to": 0,
                "score": scores.last(), "rung_scores": scores,
            })
        };
        let record = json!({
            "method": "asha", "metric": "overall", "seed": 0, "reduction_factor": 3, "rungs": [1, 3],
            "keys": [
                { "key": "train.learning-rate", "numeric": true, "scale": "log", "range": [1e-5, 1e-3] },
                { "key": "train.order", "numeric": false, "choices": ["fixed", "rotating"] },
            ],
            "trials": [
                trial(1, "diverged", 1e-3, "fixed", &[]),
                trial(2, "finished", 1e-4, "fixed", &[0.5, 0.62]),
                trial(3, "stopped", 2e-5, "rotating", &[0.4]),
                trial(4, "stopped", 1e-5, "rotating", &[0.3]),
                trial(5, "stopped", 3e-5, "fixed", &[0.45]),
            ],
        });
        write_run(&dir.join("trial-002"), E04, 1, Some([0.5, 0.6, 0.7]));
        write_run(&dir.join("trial-003"), E04, 2, None);
        write_run(&dir.join("other"), E04, 3, None);
        let file = dir.join(SearchRecord::FILE);
        std::fs::write(&file, record.to_string()).expect("write");
        file
    }

    #[test]
    fn a_search_is_reported_with_its_trials() {
        let dir = tempfile::tempdir().expect("temp dir");
        write_search(dir.path());
        let paths = [dir.path().to_owned(), dir.path().to_owned()];
        let report = Report::read(&paths, None).expect("a report");
        assert_eq!(report.searches.len(), 1);
        // The trial that the search has stopped is not one that somebody should go on with.
        let unfinished: Vec<&str> = report
            .unfinished
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(unfinished, ["other"]);
        let importance = report.searches[0].importance();
        let rate = &importance[0];
        let share = rate.share.expect("a share");
        assert!((share - 1.0).abs() < 1e-12 && rate.trials == 4);
        assert_eq!(importance[1].measure, ImportanceMeasure::EtaSquared);
        // Means .475 and .35 about .4125; all: .5, .4, .3, .45.
        let between = 4.0 * 0.0625f64.powi(2);
        let total = [0.5, 0.4, 0.3, 0.45].map(|it: f64| (it - 0.4125).powi(2));
        let share = importance[1].share.expect("a share");
        assert!((share - between / total.iter().sum::<f64>()).abs() < 1e-9);
        assert!((importance[1].by_chance - 1.0 / 3.0).abs() < 1e-12);

        let text = report.markdown().expect("markdown");
        let (_, section) = text.split_once("## Search\n").expect("a section");
        let (section, _) = section.split_once("\n## ").expect("more sections");
        insta::assert_snapshot!(section);
        let page = report.html("").expect("a page");
        assert!(page.contains("train.learning-rate (log)") && page.contains("id=\"search\""));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_and_left_out() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = write_search(dir.path());
        let text = std::fs::read_to_string(&file).expect("text");
        for (what, by, said) in [
            ("\"asha\"", "\"grid\"", "grid"),
            (
                "[0.00002,\"rotating\"]",
                "[0.00002]",
                "trial 3 has 1 values",
            ),
        ] {
            assert!(text.contains(what), "{text}");
            std::fs::write(&file, text.replace(what, by)).expect("write");
            let report = Report::read(&[dir.path().to_owned()], None).expect("a report");
            assert!(report.searches.is_empty());
            assert!(
                report.unreadable[0].reason.contains(said),
                "{:?}",
                report.unreadable
            );
        }
    }
}
