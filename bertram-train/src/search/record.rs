//! What a search writes beside its trials: `trials.json`, and the same as a table, `trials.csv`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Domain, Scale, SearchKey, SearchMethod};

/// A search, as far as it is: `trials.json` in the folder of its trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// How trials are chosen.
    pub method: SearchMethod,
    /// What they are compared by: `overall`, or a task. On dev; higher is better.
    pub metric: String,
    /// Seed of the draws.
    pub seed: u64,
    /// Of so many trials at a rung one goes on; none in random search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction_factor: Option<usize>,
    /// Epochs of each rung, the last of them the whole training; none in random search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<usize>,
    /// The keys that are drawn.
    pub keys: Vec<SearchedKey>,
    /// The trials, in their order.
    pub trials: Vec<TrialRecord>,
}

/// A key that is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchedKey {
    /// The key, dotted.
    pub key: String,
    /// Whether its values are numbers.
    pub numeric: bool,
    /// What of them is uniform.
    #[serde(default)]
    pub scale: Scale,
    /// The values that it may have, where they are listed; each as [`TrialRecord::values`] has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// The least and the most that a number may be, where they are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its number, counted from 1.
    pub trial: usize,
    /// Its run's folder, beside this file.
    pub folder: String,
    /// What it drew, a value for each key: a number where the key's values are all numbers, else the text of the value in
    /// TOML, without the quotation marks of a string.
    pub values: Vec<Value>,
    /// How it stands.
    pub state: TrialState,
    /// Epochs that it has made.
    pub epochs: usize,
    /// The rung, counted from 0, that it was last sent to.
    #[serde(default)]
    pub sent_to: Option<usize>,
    /// Its best score so far.
    #[serde(default)]
    pub score: Option<f64>,
    /// Its best score at each rung that it has reached.
    #[serde(default)]
    pub rung_scores: Vec<f64>,
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialState {
    /// Not begun.
    Waiting,
    /// On its way to a rung.
    Training,
    /// At a rung, from which it may go on later.
    Stopped,
    /// Trained to its end.
    Finished,
    /// Its numbers left the numbers.
    Diverged,
    /// Its process ended for another reason.
    Failed,
}

impl TrialState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TrialState::Waiting => "waiting",
            TrialState::Training => "training",
            TrialState::Stopped => "stopped",
            TrialState::Finished => "finished",
            TrialState::Diverged => "diverged",
            TrialState::Failed => "failed",
        }
    }
}

impl SearchedKey {
    /// What a key of a space is in the record.
    pub fn of(key: &SearchKey) -> Self {
        let numeric = key.domain.is_numeric();
        let (scale, choices, range) = match &key.domain {
            Domain::Values(values) => {
                let values = values.iter();
                let values = values.map(|it| recorded(&it.text, it.number.filter(|_| numeric)));
                (Scale::Linear, values.collect(), None)
            }
            Domain::Range(range) => (range.scale, Vec::new(), Some([range.min, range.max])),
        };
        Self {
            key: key.key.clone(),
            numeric,
            scale,
            choices,
            range,
        }
    }

    /// A value of the key, given as TOML, as the record has it.
    pub fn value(&self, text: &str, number: Option<f64>) -> Value {
        recorded(text, number.filter(|_| self.numeric))
    }
}

fn recorded(text: &str, number: Option<f64>) -> Value {
    if let Some(number) = number {
        // Whole numbers are written as such.
        let whole = text.parse::<i64>().ok();
        return whole.map_or_else(|| Value::from(number), Value::from);
    }
    let unquoted = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    Value::from(unquoted.unwrap_or(text))
}

/// A value of [`TrialRecord::values`] for people.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

impl TrialRecord {
    /// A value for people.
    pub fn shown(&self, key: usize) -> String {
        self.values.get(key).map_or_else(String::new, shown)
    }
}

impl SearchRecord {
    /// Name of the file.
    pub const FILE: &str = "trials.json";
    /// Name of the table.
    pub const TABLE: &str = "trials.csv";

    /// The trials by their scores, the best first; of equals the earlier one. Those without a score come last.
    pub fn ranked(&self) -> Vec<&TrialRecord> {
        let mut trials: Vec<&TrialRecord> = self.trials.iter().collect();
        let score = |trial: &TrialRecord| trial.score.unwrap_or(f64::NEG_INFINITY);
        trials.sort_by(|one, other| score(other).total_cmp(&score(one)));
        trials
    }

    /// The best of the trials that are trained to their end.
    pub fn best_finished(&self) -> Option<&TrialRecord> {
        let ranked = self.ranked();
        let finished =
            |trial: &&TrialRecord| trial.state == TrialState::Finished && trial.score.is_some();
        ranked.into_iter().find(finished)
    }

    /// The trials as CSV, in the order of [`ranked`](Self::ranked): `rank` (empty without a score), `trial`, `folder`, `state`,
    /// `epochs`, `score`, with rungs `score@EPOCHS` of each but the last, and a column for each key.
    ///
    /// # Errors
    /// A sentence of the CSV library's.
    pub fn csv(&self) -> Result<String, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let first = ["rank", "trial", "folder", "state", "epochs", "score"].map(str::to_owned);
        let rungs = self.rungs.len().saturating_sub(1);
        let of_rungs = self.rungs[..rungs].iter();
        let of_rungs = of_rungs.map(|epochs| format!("score@{epochs}"));
        let keys = self.keys.iter().map(|key| key.key.clone());
        let header = first.into_iter().chain(of_rungs).chain(keys);
        writer.write_record(header).map_err(|it| it.to_string())?;
        let number = |number: Option<f64>| number.map_or_else(String::new, |it| it.to_string());
        for (place, trial) in self.ranked().into_iter().enumerate() {
            let rank = trial.score.map(|_| (place + 1).to_string());
            let first = [
                rank.unwrap_or_default(),
                trial.trial.to_string(),
                trial.folder.clone(),
                trial.state.name().to_owned(),
                trial.epochs.to_string(),
                number(trial.score),
            ];
            let of_rungs = (0..rungs).map(|rung| number(trial.rung_scores.get(rung).copied()));
            let values = (0..self.keys.len()).map(|key| trial.shown(key));
            let row = first.into_iter().chain(of_rungs).chain(values);
            writer.write_record(row).map_err(|it| it.to_string())?;
        }
        let bytes = writer.into_inner().map_err(|it| it.to_string())?;
        String::from_utf8(bytes).map_err(|it| it.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SearchSpace;

    #[test]
    fn a_record_reads_back_and_ranks_its_trials() {
        let text = "\
[space]
train.batch-size = { values = [8, 16] }
train.order = { values = [\"fixed\", \"rotating\"] }
model.freeze = { values = [true, \"no, not at all\"] }
";
        let space = SearchSpace::from_text("s.toml", text).expect("a space");
        let keys: Vec<SearchedKey> = space.keys.iter().map(SearchedKey::of).collect();
        let trial = |trial: usize, state, score: Option<f64>| TrialRecord {
            trial,
            folder: format!("trial-{trial:03}"),
            values: vec![
                keys[0].value("8", Some(8.0)),
                keys[1].value("\"fixed\"", None),
                keys[2].value("true", None),
            ],
            state,
            epochs: 1,
            sent_to: Some(0),
            score,
            rung_scores: score.into_iter().collect(),
        };
        let record = SearchRecord {
            method: SearchMethod::Asha,
            metric: "overall".into(),
            seed: 0,
            reduction_factor: Some(3),
            rungs: vec![1, 3],
            trials: vec![
                trial(1, TrialState::Diverged, None),
                trial(2, TrialState::Finished, Some(0.25)),
                trial(3, TrialState::Stopped, Some(0.5)),
            ],
            keys: keys.clone(),
        };
        let written = serde_json::to_string(&record).expect("JSON");
        let read: SearchRecord = serde_json::from_str(&written).expect("reads");
        assert_eq!(read, record);
        assert_eq!(record.best_finished().map(|it| it.trial), Some(2));
        assert_eq!(
            record.csv().expect("CSV"),
            "rank,trial,folder,state,epochs,score,score@1,train.batch-size,train.order,model.freeze\n\
             1,3,trial-003,stopped,1,0.5,0.5,8,fixed,true\n\
             2,2,trial-002,finished,1,0.25,0.25,8,fixed,true\n\
             ,1,trial-001,diverged,1,,,8,fixed,true\n"
        );
        assert!(!keys[2].numeric && keys[0].numeric);
        assert_eq!(keys[2].choices[1], Value::from("no, not at all"));
    }
}
