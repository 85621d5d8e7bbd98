//! From settings to tokenised data: which file each split comes from, its rows, and what is noted about them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bertram_core::data::{
    BadRow, Batcher, BertTokenizer, DataError, Dataset, DemoConfig, DemoCorpus, Format,
    ReadOptions, Split, TokenizedDataset, TokenizerError, layout_file, read_dataset_noting,
    written_labels,
};
use bertram_core::task::{LabelKind, TaskConfig, TaskId, TaskSpec};
use serde::{Deserialize, Serialize};

use crate::config::{Limit, LimitDraw, Settings, TaskSettings};

/// What a run notes about a data file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// The task.
    pub task: TaskId,
    /// `train`, `dev` or `test`.
    pub split: String,
    /// The file; `demo` for the generated corpus.
    pub path: PathBuf,
    /// SHA-256 of its bytes (of its rows, for the generated corpus).
    pub sha256: String,
    /// Rows read.
    pub rows: usize,
    /// Bad rows; those of a test file have their places in its predictions.
    pub skipped: usize,
}

/// The rows of one task.
pub struct TaskCorpus {
    /// The task.
    pub task: TaskId,
    /// What the task is.
    pub spec: Arc<TaskSpec>,
    /// Rows to learn from.
    pub train: Dataset,
    /// Rows to score on.
    pub dev: Dataset,
    /// Rows to predict, where there are any.
    pub test: Option<Dataset>,
}

/// Reads every split of every task that the settings name, or generates the demo corpus.
///
/// `splits` says which are wanted; those left out are empty. What is odd about a file and no fault is said as a warning.
pub fn read_corpus(settings: &Settings, splits: &[Split]) -> Result<Vec<TaskCorpus>, DataError> {
    read(settings, splits, |note| tracing::warn!("{note}"))
}

/// As [`read_corpus`], for files that were read before: says nothing.
pub(crate) fn read_corpus_again(
    settings: &Settings,
    splits: &[Split],
) -> Result<Vec<TaskCorpus>, DataError> {
    read(settings, splits, |_| {})
}

fn read(
    settings: &Settings,
    splits: &[Split],
    mut say: impl FnMut(&str),
) -> Result<Vec<TaskCorpus>, DataError> {
    let demo = settings
        .tasks
        .iter()
        .any(|task| uses_demo(settings, task))
        .then(|| DemoCorpus::generate(&demo_config(settings)));
    settings
        .tasks
        .iter()
        .map(|task| match &demo {
            Some(demo) if uses_demo(settings, task) => Ok(TaskCorpus {
                task: task.task,
                spec: task.spec.clone(),
                train: demo.dataset(task.task, Split::Train),
                dev: demo.dataset(task.task, Split::Dev),
                test: Some(demo.dataset(task.task, Split::Test)),
            }),
            _ => read_task(settings, task, splits, &mut say),
        })
        .collect()
}

/// The demo corpus that the settings ask for.
pub fn demo_config(settings: &Settings) -> DemoConfig {
    let demo = &settings.data.demo;
    DemoConfig {
        seed: demo.seed,
        sst: demo.sst,
        para: demo.para,
        sts: demo.sts,
        dev: demo.dev,
        test: demo.dev,
    }
}

/// Whether a task takes the generated corpus.
pub(crate) fn uses_demo(settings: &Settings, task: &TaskSettings) -> bool {
    let files = task.train.is_some() || task.dev.is_some() || task.test.is_some();
    TaskId::PAPER.contains(&task.task) && settings.data.dir.is_none() && !files
}

fn read_task(
    settings: &Settings,
    task: &TaskSettings,
    splits: &[Split],
    say: &mut impl FnMut(&str),
) -> Result<TaskCorpus, DataError> {
    let file = |split: Split| file_of(settings, task, split).filter(|_| splits.contains(&split));
    let mut read = |path: Option<PathBuf>, split: Split| -> Result<Dataset, DataError> {
        let Some(path) = path else {
            return Ok(Dataset {
                task: task.task,
                path: PathBuf::new(),
                sha256: String::new(),
                examples: Vec::new(),
                skipped: Vec::new(),
            });
        };
        let options = read_options(settings, task, &path, split);
        let (dataset, notes) = read_dataset_noting(&path, &options)?;
        notes.iter().for_each(|note| say(note));
        Ok(dataset)
    };
    // A test file is optional in a data folder, and a must where the config names it. A link to nowhere is there.
    let there = |path: &PathBuf| task.test.is_some() || path.symlink_metadata().is_ok();
    Ok(TaskCorpus {
        task: task.task,
        spec: task.spec.clone(),
        train: read(file(Split::Train).filter(|_| task.train_on), Split::Train)?,
        dev: read(file(Split::Dev), Split::Dev)?,
        test: match file(Split::Test).filter(there) {
            Some(path) => Some(read(Some(path), Split::Test)?),
            None => None,
        },
    })
}

/// The file of a split, where the settings say one.
fn file_of(settings: &Settings, task: &TaskSettings, split: Split) -> Option<PathBuf> {
    let named = match split {
        Split::Train => &task.train,
        Split::Dev => &task.dev,
        Split::Test => &task.test,
    };
    match (named, &settings.data.dir) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(dir)) if task.spec.preset.is_none() && task.format.is_none() => {
            Some(file_in(dir, task.task, split))
        }
        (None, Some(dir)) => Some(layout_file(
            dir,
            format_of(settings, task, None),
            task.task,
            split,
        )),
        (None, None) => None,
    }
}

/// The file of a task that is no preset in a data folder, by its name: of any format, beside the others or in a folder of
/// the task's. Where there is none, the first that was looked for.
fn file_in(dir: &Path, task: TaskId, split: Split) -> PathBuf {
    let split = split.name();
    let endings = ["csv", "tsv", "jsonl"];
    let candidates = endings
        .iter()
        .map(|ending| dir.join(format!("{task}-{split}.{ending}")))
        .chain(
            endings
                .iter()
                .map(|ending| dir.join(task.name()).join(format!("{split}.{ending}"))),
        );
    let mut candidates = candidates.peekable();
    let first = candidates.peek().cloned().unwrap_or_default();
    candidates.find(|path| path.is_file()).unwrap_or(first)
}

/// The format of a task's file: its own; of a preset the data folder's, or GLUE's where the course has no such task; of
/// another task that of the file's ending.
fn format_of(settings: &Settings, task: &TaskSettings, path: Option<&Path>) -> Format {
    let implied = match task.spec.preset {
        Some(preset) => preset.course.is_none().then_some(Format::Glue),
        None => path.and_then(Format::of_ending),
    };
    task.format.or(implied).unwrap_or(settings.data.format)
}

fn read_options<'a>(
    settings: &Settings,
    task: &'a TaskSettings,
    path: &Path,
    split: Split,
) -> ReadOptions<'a> {
    ReadOptions {
        task: task.task,
        spec: &task.spec,
        format: format_of(settings, task, Some(path)),
        columns: &task.columns,
        bad_rows: settings.data.bad_rows,
        preprocess: settings.data.preprocess,
        labelled: split != Split::Test,
    }
}

/// Most labels of a task with `labels = "auto"`: more are no classes, or another column.
const MOST_LABELS: usize = 1000;

/// The settings with the labels of tasks that have `labels = "auto"`: those of their training rows, numbers in their order
/// and names in the alphabet's.
///
/// # Errors
/// Those of reading, and [`DataError::Labels`] for a column that has too few or too many.
pub fn with_labels(settings: &Settings) -> Result<Cow<'_, Settings>, DataError> {
    let is_open = |task: &TaskSettings| task.spec.labels.is_empty();
    if !settings.tasks.iter().any(is_open) {
        return Ok(Cow::Borrowed(settings));
    }
    let mut resolved = settings.clone();
    for task in resolved.tasks.iter_mut().filter(|task| is_open(task)) {
        let path = file_of(settings, task, Split::Train).unwrap_or_default();
        let options = read_options(settings, task, &path, Split::Train);
        let (mut labels, rows) = written_labels(&path, &options)?;
        // Scores, ids and texts hardly repeat.
        if labels.len() < 2
            || labels.len() > MOST_LABELS
            || (labels.len() > 50 && labels.len() * 2 > rows)
        {
            return Err(DataError::Labels {
                path,
                task: task.task,
                labels: labels.len(),
                rows,
            });
        }
        let numbers: Option<Vec<f64>> = labels.iter().map(|label| label.parse().ok()).collect();
        match numbers {
            Some(_) => labels.sort_by(|one, other| {
                let number = |label: &str| label.parse().unwrap_or(f64::NAN);
                number(one).total_cmp(&number(other))
            }),
            None => labels.sort(),
        }
        task.spec = Arc::new(TaskSpec {
            label: LabelKind::Classes {
                classes: labels.len(),
            },
            labels,
            ..TaskSpec::clone(&task.spec)
        });
    }
    Ok(Cow::Owned(resolved))
}

/// Notes on the files of a corpus.
pub fn data_files(corpus: &[TaskCorpus]) -> Vec<DataFile> {
    let note = |task: TaskId, split: &str, dataset: &Dataset| DataFile {
        task,
        split: split.to_owned(),
        path: dataset.path.clone(),
        sha256: dataset.sha256.clone(),
        rows: dataset.examples.len(),
        skipped: dataset.skipped.len(),
    };
    corpus
        .iter()
        .flat_map(|task| {
            [
                ("train", Some(&task.train)),
                ("dev", Some(&task.dev)),
                ("test", task.test.as_ref()),
            ]
            .into_iter()
            .filter_map(move |(split, dataset)| Some(note(task.task, split, dataset?)))
        })
        .filter(|file| !file.sha256.is_empty())
        .collect()
}

/// Training rows of a task in an epoch; all where `None`.
fn limit(settings: &Settings, task: &TaskSettings, rows: usize) -> Option<usize> {
    let limit = match task.limit {
        Some(Limit::All) => None,
        Some(Limit::Rows(rows)) => Some(rows),
        None => settings.data.limit,
    };
    match settings.data.rows_scale {
        Some(scale) => {
            let whole = limit.map_or(rows, |limit| limit.min(rows));
            Some((whole as f64 * scale).ceil() as usize)
        }
        None => limit,
    }
}

/// The dev rows that are scored: all, or as many as `data.dev-limit` says, drawn by the seed.
pub fn dev_rows<'a>(settings: &Settings, dev: &'a Dataset) -> Cow<'a, Dataset> {
    let Some(limit) = settings
        .data
        .dev_limit
        .filter(|limit| *limit < dev.examples.len())
    else {
        return Cow::Borrowed(dev);
    };
    let mut rows = dev.subsample(limit, settings.train.seed);
    rows.sort_unstable();
    let examples = rows.into_iter().map(|row| dev.examples[row].clone());
    Cow::Owned(Dataset {
        examples: examples.collect(),
        ..dev.clone()
    })
}

/// One task, tokenised.
pub struct TaskData {
    /// How the task is modelled.
    pub config: TaskConfig,
    /// How rows become batches.
    pub batcher: Batcher,
    /// Rows to learn from.
    pub train: TokenizedDataset,
    /// Rows to score on.
    pub dev: TokenizedDataset,
    /// Rows to predict.
    pub test: Option<TokenizedDataset>,
    /// Rows of the test file that could not be read; they have places in its predictions.
    pub bad_test_rows: Vec<BadRow>,
    /// Whether it is trained.
    pub train_on: bool,
    /// Weight of its score in the overall one.
    pub overall_weight: f64,
    /// Rows of an epoch; all where `None`.
    pub limit: Option<usize>,
    /// Whether the rows of an epoch are drawn once or afresh.
    pub draw: LimitDraw,
}

impl TaskData {
    /// The rows of a split; `None` where there is no such split.
    pub fn split(&self, split: Split) -> Option<&TokenizedDataset> {
        match split {
            Split::Train => Some(&self.train),
            Split::Dev => Some(&self.dev),
            Split::Test => self.test.as_ref(),
        }
    }
}

/// Tokenises a corpus.
pub fn tokenize_corpus(
    settings: &Settings,
    corpus: &[TaskCorpus],
    tokenizer: &BertTokenizer,
) -> Result<Vec<TaskData>, TokenizerError> {
    tokenize_tasks(settings, corpus, tokenizer, |corpus| corpus.test.as_ref())
}

/// Tokenises what a training works on: all but the test splits, which would take memory until it ends.
pub fn tokenize_for_training(
    settings: &Settings,
    corpus: &[TaskCorpus],
    tokenizer: &BertTokenizer,
) -> Result<Vec<TaskData>, TokenizerError> {
    tokenize_tasks(settings, corpus, tokenizer, |_| None)
}

fn tokenize_tasks(
    settings: &Settings,
    corpus: &[TaskCorpus],
    tokenizer: &BertTokenizer,
    test: impl Fn(&TaskCorpus) -> Option<&Dataset>,
) -> Result<Vec<TaskData>, TokenizerError> {
    let tasks = settings.tasks.iter().zip(corpus);
    tasks
        .map(|(task, corpus)| tokenize_task(settings, task, corpus, test(corpus), tokenizer))
        .collect()
}

fn tokenize_task(
    settings: &Settings,
    task: &TaskSettings,
    corpus: &TaskCorpus,
    test: Option<&Dataset>,
    tokenizer: &BertTokenizer,
) -> Result<TaskData, TokenizerError> {
    let config = task.model_config();
    Ok(TaskData {
        batcher: Batcher {
            packing: config.packing(),
            max_length: settings.data.max_length,
            pad_to_multiple_of: settings.data.pad_to_multiple_of(),
            special: tokenizer.special(),
        },
        config,
        train: TokenizedDataset::new(&corpus.train, tokenizer)?,
        dev: TokenizedDataset::new(&dev_rows(settings, &corpus.dev), tokenizer)?,
        test: test
            .map(|test| TokenizedDataset::new(test, tokenizer))
            .transpose()?,
        bad_test_rows: test.map_or(Vec::new(), |test| test.skipped.clone()),
        limit: limit(settings, task, corpus.train.examples.len()),
        train_on: task.train_on,
        overall_weight: task.overall_weight.unwrap_or(1.0),
        draw: task.limit_draw.unwrap_or(settings.data.limit_draw),
    })
}
