//! What is in the data of a config: rows, lengths, labels, and rows that come again where they should not.

use std::path::PathBuf;

use bertram_core::data::{
    Batcher, BertTokenizer, Dataset, Label, SeenRows, Split, TokenizedDataset, TokenizerError,
    repeated_rows,
};
use bertram_core::task::{LabelKind, TaskId, TaskSpec};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{Settings, TaskSettings};
use crate::corpus::{TaskCorpus, batcher, limit, uses_demo};
use crate::label_shares::SharedRows;

/// A task's data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskDescription {
    /// Name of the task that this is of.
    pub task: TaskId,
    /// Whether its rows are generated ones, of templates that come again.
    pub generated: bool,
    /// Its splits: those that there are.
    pub splits: Vec<SplitDescription>,
}

/// A split's rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitDescription {
    /// `train`, `dev` or `test`.
    pub split: &'static str,
    /// The file; `demo` for the generated corpus.
    pub path: PathBuf,
    /// Rows that can be read.
    pub rows: usize,
    /// Rows that cannot: where, and why.
    pub bad_rows: Vec<BadRowDescription>,
    /// Rows of which an earlier row of the split has the same text, or the same pair in either order.
    pub repeated: usize,
    /// Rows whose text, or whose pair in either order, is among the training rows; `None` for these themselves, and where
    /// there are none.
    pub in_train: Option<usize>,
    /// Lengths in tokens; `None` where there is no tokenizer.
    pub tokens: Option<TokenLengths>,
    /// What the labels are.
    pub labels: LabelDescription,
    /// What an epoch takes of training rows whose labels have shares (`label-shares`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochDescription>,
}

/// The training rows of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochDescription {
    /// How many there are: fewer than `counts` where a limit is drawn of these.
    pub rows: usize,
    /// What the shares leave of each label, by its name.
    pub counts: Map<String, Value>,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadRowDescription {
    /// Its line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Lengths of the sequences that a model is given: texts, or packed pairs, with their special tokens, before they are cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenLengths {
    /// How many there are: one a row, or one for each text of a pair that is not packed.
    pub sequences: usize,
    /// Their mean.
    pub mean: f64,
    /// Half of them have no more tokens.
    pub p50: usize,
    /// Nine tenths have no more.
    pub p90: usize,
    /// 99 of 100 have no more.
    pub p99: usize,
    /// Tokens of the longest sequence.
    pub max: usize,
    /// `data.max-length`: longer ones are cut.
    pub max_length: usize,
    /// Sequences that are cut.
    pub truncated: usize,
    /// Their share, from 0 to 1.
    pub truncated_share: f64,
}

/// The labels of a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LabelDescription {
    /// Rows that have none.
    pub unlabelled: usize,
    /// Of classes, and of yes and no: rows of each, by its name, in the order of the classes.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub counts: Map<String, Value>,
    /// Of scores, where any row has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoreDescription>,
}

/// Scores of a split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreDescription {
    /// Lowest score of the rows.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// Highest score of the rows.
    pub max: f64,
}

/// Describes a corpus that was read by settings. Lengths are in a tokenizer's tokens, where there is one.
///
/// # Errors
/// [`TokenizerError`] of a text that the tokenizer cannot encode.
pub fn describe(
    settings: &Settings,
    corpus: &[TaskCorpus],
    tokenizer: Option<&BertTokenizer>,
) -> Result<Vec<TaskDescription>, TokenizerError> {
    let tasks = settings.tasks.iter().zip(corpus);
    tasks
        .map(|(task, corpus)| describe_task(settings, task, corpus, tokenizer))
        .collect()
}

fn describe_task(
    settings: &Settings,
    task: &TaskSettings,
    corpus: &TaskCorpus,
    tokenizer: Option<&BertTokenizer>,
) -> Result<TaskDescription, TokenizerError> {
    let seen = SeenRows::of(&corpus.train);
    let has_train = !corpus.train.examples.is_empty();
    let mut splits = Vec::new();
    for (split, dataset) in splits_of(corpus) {
        let is_other = split != Split::Train && has_train;
        let tokens = tokenizer
            .map(|tokenizer| {
                let batcher = batcher(settings, &task.model_config(), tokenizer);
                let tokens = TokenizedDataset::new(dataset, tokenizer)?;
                Ok::<_, TokenizerError>(lengths(&batcher, &tokens))
            })
            .transpose()?;
        let bad_rows = dataset.skipped.iter().map(|row| BadRowDescription {
            line: row.line,
            reason: row.reason.clone(),
        });
        splits.push(SplitDescription {
            split: split.name(),
            path: dataset.path.clone(),
            rows: dataset.examples.len(),
            bad_rows: bad_rows.collect(),
            repeated: repeated_rows(dataset),
            in_train: is_other.then(|| seen.count_in(dataset)),
            tokens: tokens.flatten(),
            labels: labels(&corpus.spec, dataset),
            epoch: epoch(settings, task, dataset).filter(|_| split == Split::Train),
        });
    }
    Ok(TaskDescription {
        task: task.task,
        generated: uses_demo(settings, task),
        splits,
    })
}

/// What an epoch takes of training rows, where their labels have shares.
fn epoch(settings: &Settings, task: &TaskSettings, train: &Dataset) -> Option<EpochDescription> {
    let shared = SharedRows::of(task, train)?;
    let rows = shared.rows();
    let limit = limit(settings, task, rows);
    let labels = shared.labels.into_iter();
    Some(EpochDescription {
        rows: limit.map_or(rows, |limit| limit.min(rows)),
        counts: labels.map(|(name, kept, _)| (name, kept.into())).collect(),
    })
}

/// The splits that there are.
fn splits_of(corpus: &TaskCorpus) -> impl Iterator<Item = (Split, &Dataset)> {
    let has_rows = |(_, dataset): &(Split, &Dataset)| !dataset.examples.is_empty();
    corpus.splits().filter(has_rows)
}

/// `None` where there are no sequences.
fn lengths(batcher: &Batcher, tokens: &TokenizedDataset) -> Option<TokenLengths> {
    let mut lengths = batcher.whole_lengths(tokens);
    lengths.sort_unstable();
    let max = *lengths.last()?;
    let count = lengths.len();
    // The nearest rank: a length that some sequence has.
    let percentile = |percent: usize| lengths[(count * percent).div_ceil(100).max(1) - 1];
    let truncated = count - lengths.partition_point(|length| *length <= batcher.max_length);
    Some(TokenLengths {
        sequences: count,
        mean: lengths.iter().sum::<usize>() as f64 / count as f64,
        p50: percentile(50),
        p90: percentile(90),
        p99: percentile(99),
        max,
        max_length: batcher.max_length,
        truncated,
        truncated_share: truncated as f64 / count as f64,
    })
}

fn labels(spec: &TaskSpec, dataset: &Dataset) -> LabelDescription {
    let rows = dataset.examples.iter();
    let labels: Vec<&Label> = rows.filter_map(|row| row.label.as_ref()).collect();
    let mut description = LabelDescription {
        unlabelled: dataset.examples.len() - labels.len(),
        ..LabelDescription::default()
    };
    if labels.is_empty() {
        return description;
    }
    if matches!(spec.label, LabelKind::Score { .. }) {
        let numbers = labels.iter().flat_map(|label| label.numbers());
        let labels: Vec<f64> = numbers.map(|number| f64::from(*number)).collect();
        let of = |pick: fn(f64, f64) -> f64, from: f64| labels.iter().copied().fold(from, pick);
        description.scores = Some(ScoreDescription {
            min: of(f64::min, f64::INFINITY),
            mean: labels.iter().sum::<f64>() / labels.len() as f64,
            max: of(f64::max, f64::NEG_INFINITY),
        });
        return description;
    }
    let mut counts = vec![0_usize; spec.labels.len()];
    for label in labels {
        let classes: Vec<usize> = match label {
            Label::Number(number) => vec![*number as usize],
            Label::Classes(numbers) => (0..numbers.len())
                .filter(|class| numbers[*class] >= 0.5)
                .collect(),
        };
        for class in classes {
            // Whoever read the rows has held their labels against the task.
            if let Some(count) = counts.get_mut(class) {
                *count += 1;
            }
        }
    }
    description.counts = spec
        .labels
        .iter()
        .zip(counts)
        .map(|(name, count)| (name.clone(), count.into()))
        .collect();
    description
}

/// A warning where rows that are scored are among the training rows, task by task: a score then says in part what was learnt
/// by heart. The generated corpus has few sentences, which come again in all of its splits, and is none to warn of.
pub fn leak_warning(settings: &Settings, corpus: &[TaskCorpus]) -> Option<String> {
    let mut leaks = Vec::new();
    for (task, corpus) in settings.tasks.iter().zip(corpus) {
        if corpus.train.examples.is_empty() || uses_demo(settings, task) {
            continue;
        }
        let seen = SeenRows::of(&corpus.train);
        let of_splits: Vec<String> = splits_of(corpus)
            .filter(|(split, _)| *split != Split::Train)
            .map(|(split, dataset)| (split, seen.count_in(dataset), dataset.examples.len()))
            .filter(|(_, count, _)| *count > 0)
            .map(|(split, count, rows)| format!("{count} of {rows} {} rows", split.name()))
            .collect();
        if !of_splits.is_empty() {
            leaks.push(format!("{} of {}", of_splits.join(" and "), task.task));
        }
    }
    (!leaks.is_empty()).then(|| {
        format!(
            "{} are also in train (the same text, or the same pair in either order): scores on them say what was learnt by heart; take them out of the training file",
            leaks.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bertram_core::data::{Packing, SpecialTokens};

    #[test]
    fn percentiles_are_lengths_that_occur() {
        let batcher = Batcher {
            packing: Packing::Single,
            max_length: 92,
            pad_to_multiple_of: 1,
            special: SpecialTokens {
                pad: 0,
                unk: 1,
                cls: 2,
                sep: 3,
                mask: 4,
            },
        };
        // 1 to 100 tokens, and two special ones.
        let tokens = |most: usize| TokenizedDataset {
            task: TaskId::SST,
            ids: vec![String::new(); most],
            a: (1..=most).map(|length| vec![7; length]).collect(),
            b: Vec::new(),
            labels: None,
            weights: None,
        };
        let found = lengths(&batcher, &tokens(100)).expect("lengths");
        assert_eq!(
            (found.p50, found.p90, found.p99, found.max),
            (52, 92, 101, 102)
        );
        assert!((found.mean - 52.5).abs() < 1e-9);
        assert_eq!((found.truncated, found.sequences), (10, 100));
        let one = lengths(&batcher, &tokens(1)).expect("lengths");
        assert_eq!((one.p50, one.p99, one.max, one.truncated), (3, 3, 3, 0));
        assert_eq!(lengths(&batcher, &tokens(0)), None);
    }

    const TEXT: &str = "[data.demo]\nsst = 40\npara = 40\nsts = 40\ndev = 30\n";

    fn corpus(settings: &Settings) -> Vec<TaskCorpus> {
        let all = [Split::Train, Split::Dev, Split::Test];
        crate::corpus::read_corpus(settings, &all).expect("a corpus")
    }

    #[test]
    fn labels_are_counted_by_name_and_scores_by_range() {
        let settings = Settings::from_text("test", TEXT, &[]).expect("settings");
        let corpus = corpus(&settings);
        let tasks = describe(&settings, &corpus, None).expect("described");
        assert!(tasks.iter().all(|task| task.generated));
        let sst = &tasks[0].splits[0];
        let count: u64 = sst.labels.counts.values().filter_map(Value::as_u64).sum();
        assert_eq!((count, sst.labels.counts.len()), (40, 5));
        assert_eq!(sst.in_train, None);
        let sts = tasks[2].splits[0].labels.scores.expect("scores");
        assert!(0.0 <= sts.min && sts.min <= sts.mean && sts.mean <= sts.max && sts.max <= 5.0);
        let test = &tasks[0].splits[2];
        assert_eq!((test.labels.unlabelled, test.rows), (30, 30));
        assert!(test.labels.counts.is_empty() && test.in_train.is_some());
    }

    #[test]
    fn a_leak_is_said_of_files_and_not_of_generated_rows() {
        let settings = Settings::from_text("test", TEXT, &[]).expect("settings");
        let mut corpora = corpus(&settings);
        corpora[0].dev = corpora[0].train.clone();
        assert_eq!(leak_warning(&settings, &corpora), None, "generated");
        let with_folder = Settings::from_text("test", TEXT, &["data.dir=.".into()]);
        let with_folder = with_folder.expect("settings");
        for task in &mut corpora[1..] {
            task.dev.examples.clear();
            task.test = None;
        }
        corpora[0].test = None;
        let warning = leak_warning(&with_folder, &corpora).expect("a warning");
        assert!(
            warning.starts_with("40 of 40 dev rows of sst are also in train"),
            "{warning}"
        );
        corpora[0].train.examples.clear();
        assert_eq!(leak_warning(&with_folder, &corpora), None, "not trained");
    }
}
