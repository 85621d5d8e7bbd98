//! What a run has scored on dev, epoch by epoch.

use bertram_core::fs::{READ_LIMIT, read_text};
use bertram_core::metric::TaskScores;
use bertram_core::task::TaskId;
use serde_json::Value;

use crate::config::{BestMetric, ExportedWeights, Settings};
use crate::run_folder::{CheckpointStore, RunError, RunFolder};

/// A run's scores on dev so far, by the metric that chooses its best epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochScores {
    /// Epochs that are made: trained, scored, and kept in a checkpoint or in the finished run.
    pub epochs: usize,
    /// Whether the run is on its way through the next one.
    pub is_between: bool,
    /// Whether the run is finished.
    pub is_finished: bool,
    /// Whether it exports its last weights, whatever they score.
    exports_last: bool,
    /// Epoch and score of each evaluation, in their order.
    evaluations: Vec<(usize, f64)>,
}

impl EpochScores {
    /// Those of a run that nobody is at work in.
    ///
    /// # Errors
    /// Files of the run that cannot be read.
    pub fn read(run: &RunFolder, metric: BestMetric) -> Result<Self, RunError> {
        let path = run.metrics();
        let text = match path.is_file() {
            true => read_text(&path, READ_LIMIT).map_err(RunError::io(&path))?,
            false => String::new(),
        };
        // A line that is not JSON was cut off by a kill, and is no news.
        let lines = text.lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let is_dev = line["kind"] == "dev";
            is_dev.then_some(line)
        });
        let evaluations = lines.filter_map(|line| {
            let epoch = line["epoch"].as_u64()? as usize;
            Some((epoch, score(&line, metric)?))
        });
        let mut scores = Self {
            evaluations: evaluations.collect(),
            exports_last: Settings::load(&run.config(), &[])
                .is_ok_and(|settings| settings.train.export == ExportedWeights::Last),
            is_finished: run.summary().is_file(),
            ..Self::default()
        };
        if scores.is_finished {
            let epochs = scores.evaluations.iter().map(|(epoch, _)| *epoch);
            scores.epochs = epochs.max().unwrap_or(0);
        } else if let Some(newest) = CheckpointStore::new(run.checkpoints(), 1).newest()? {
            let state = CheckpointStore::state(&newest)?;
            scores.epochs = state.epoch.saturating_sub(1);
            scores.is_between = state.updates_in_epoch > 0;
        }
        Ok(scores)
    }

    /// The score of what the run would export after its first `epochs` epochs: the best of them, or the last; `None` of none.
    pub fn best_until(&self, epochs: usize) -> Option<f64> {
        let until = epochs.min(self.epochs);
        let evaluations = self.evaluations.iter();
        let scores = evaluations.filter(|(epoch, _)| *epoch <= until);
        let mut scores = scores.map(|(_, score)| *score);
        match self.exports_last {
            true => scores.next_back(),
            false => scores.max_by(f64::total_cmp),
        }
    }

    /// The best score of all epochs that are made.
    pub fn best(&self) -> Option<f64> {
        self.best_until(usize::MAX)
    }
}

/// The score that an evaluation says; `None` where it has no rows to be of, or is no number.
fn score(line: &Value, metric: BestMetric) -> Option<f64> {
    // Of a part of the rows, where the others are not to choose.
    if let Some(score) = line["chosen_by"].as_f64() {
        return Some(score);
    }
    let of_task = |scores: &Value| serde_json::from_value::<TaskScores>(scores.clone()).ok();
    let score = match metric {
        BestMetric::Task(task) => of_task(&line[task.name()])?.primary(),
        BestMetric::Overall => {
            let mut entries = line.as_object()?.iter();
            // Of no task the mean is written as 0.
            entries
                .find(|(name, scores)| TaskId::new(name).is_ok() && of_task(scores).is_some())?;
            line["overall"].as_f64()?
        }
    };
    score.is_finite().then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SST: &str = "\"sst\":{\"accuracy\":0.5,\"macro_f1\":0.4,\"majority\":0.3,\"rows\":10}";

    fn run(dir: &std::path::Path, lines: &[String]) -> RunFolder {
        let run = RunFolder::create(dir.join("run")).expect("new");
        std::fs::write(run.config(), "").expect("config");
        std::fs::write(run.metrics(), lines.join("\n")).expect("metrics");
        run
    }

    fn dev(epoch: usize, overall: f64) -> String {
        format!(
            "{{\"kind\":\"dev\",\"epoch\":{epoch},\"update\":{epoch},{SST},\"overall\":{overall},\"mean\":0.1}}"
        )
    }

    #[test]
    fn the_best_of_the_epochs_that_are_kept_counts() {
        let dir = tempfile::tempdir().expect("temp dir");
        let cut = "{\"kind\":\"dev\",\"epo".to_owned();
        let none =
            "{\"kind\":\"dev\",\"epoch\":2,\"update\":2,\"overall\":0.9,\"mean\":0.9}".to_owned();
        let lines = [
            dev(1, 0.5),
            dev(2, 0.7),
            none,
            dev(3, 0.6),
            dev(4, 0.9),
            cut,
        ];
        let run = run(dir.path(), &lines);
        // Without a checkpoint or a summary nothing of it is made.
        let scores = EpochScores::read(&run, BestMetric::Overall).expect("reads");
        assert_eq!((scores.epochs, scores.best()), (0, None));
        let folder = run.checkpoints().join("update-00000003");
        std::fs::create_dir_all(&folder).expect("folder");
        let state = crate::run_folder::CheckpointState {
            epoch: 4,
            updates: 3,
            ..Default::default()
        };
        let state = serde_json::to_string(&state).expect("JSON");
        std::fs::write(folder.join("state.json"), state).expect("state");
        let scores = EpochScores::read(&run, BestMetric::Overall).expect("reads");
        assert_eq!((scores.epochs, scores.is_finished), (3, false));
        assert_eq!(scores.best_until(1), Some(0.5));
        assert_eq!(scores.best_until(3), Some(0.7));
        assert_eq!(scores.best(), Some(0.7));
        let of_task = BestMetric::Task(TaskId::SST);
        let scores = EpochScores::read(&run, of_task).expect("reads");
        assert_eq!(scores.best(), Some(0.5));
        std::fs::write(run.summary(), "{}").expect("summary");
        let scores = EpochScores::read(&run, BestMetric::Overall).expect("reads");
        assert_eq!((scores.epochs, scores.best()), (4, Some(0.9)));
    }
    #[test]
    fn a_run_counts_by_what_it_exports() {
        let dir = tempfile::tempdir().expect("temp dir");
        // A part of the rows has chosen: the score of all of them is not looked at.
        let chosen_by = dev(2, 0.9).replace("\"kind\"", "\"chosen_by\":0.6,\"kind\"");
        let run = run(dir.path(), &[dev(1, 0.7), chosen_by]);
        std::fs::write(run.summary(), "{}").expect("summary");
        let best = |run: &RunFolder| {
            let scores = EpochScores::read(run, BestMetric::Overall).expect("reads");
            scores.best()
        };
        assert_eq!(best(&run), Some(0.7));
        std::fs::write(run.config(), "[train]\nexport = \"last\"\n").expect("config");
        assert_eq!(best(&run), Some(0.6));
    }
}
