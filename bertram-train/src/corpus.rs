//! From settings to tokenised data: which file each split comes from, its rows, and what is noted about them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bertram_core::data::{
    BadRow, BadRows, Batcher, BertTokenizer, DataError, Dataset, DemoConfig, DemoCorpus, Format,
    LabelColumn, LabelNumbers, Mend, ReadOptions, Split, TokenizedDataset, TokenizerError,
    file_sha256, label_numbers, layout_file, read_dataset_noting, written_labels,
};
use bertram_core::task::{LabelKind, SecondFiles, TaskConfig, TaskId, TaskSpec};
use serde::{Deserialize, Serialize};

use crate::config::{ClassWeights, LabelShares, Limit, LimitDraw, Settings, TaskSettings};
use crate::data_source::{fetched, is_url};
use crate::evaluate::EvaluationSet;
use crate::label_shares::{SharedRows, label_counts};

/// What a run notes about a data file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Whose rows it holds.
    pub task: TaskId,
    /// `train`, `dev` or `test`, or the name of a further file of these ([`SecondFiles`]).
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
    /// Whose rows they are.
    pub task: TaskId,
    /// What the task is.
    pub spec: Arc<TaskSpec>,
    /// Rows to learn from.
    pub train: Dataset,
    /// Rows to score on.
    pub dev: Dataset,
    /// Rows to predict, where there are any.
    pub test: Option<Dataset>,
    /// Further rows to score and predict, where the task has such files.
    pub second: Option<SecondCorpus>,
}

impl TaskCorpus {
    /// The task's own splits; those that are not wanted, or not there, have no rows.
    pub fn splits(&self) -> impl Iterator<Item = (Split, &Dataset)> {
        [
            (Split::Train, Some(&self.train)),
            (Split::Dev, Some(&self.dev)),
            (Split::Test, self.test.as_ref()),
        ]
        .into_iter()
        .filter_map(|(split, dataset)| Some((split, dataset?)))
    }
}

/// Dev and test rows of a task beside its own.
pub struct SecondCorpus {
    /// Names of the files, and what they are called together.
    pub files: SecondFiles,
    /// Rows to score on, where they are there and wanted.
    pub dev: Option<Dataset>,
    /// Rows to predict, where they are there and wanted.
    pub test: Option<Dataset>,
}

/// Reads every split of every task that the settings name, or generates the demo corpus.
///
/// `splits` says which are wanted; those left out are empty. What is odd about a file and no fault is said as a warning.
pub fn read_corpus(settings: &Settings, splits: &[Split]) -> Result<Vec<TaskCorpus>, DataError> {
    read(settings, splits, |note| tracing::warn!("{note}"))
}

/// As [`read_corpus`], for files that were read before: says nothing.
pub fn read_corpus_again(
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
                second: None,
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

/// Whether a task takes the generated corpus: one of the paper's, and not another under its name.
pub(crate) fn uses_demo(settings: &Settings, task: &TaskSettings) -> bool {
    let files = task.train.is_some() || task.dev.is_some() || task.test.is_some();
    let is_paper = TaskId::PAPER.contains(&task.task) && task.spec.preset.is_some();
    is_paper && settings.data.dir.is_none() && !files
}

fn read_task(
    settings: &Settings,
    task: &TaskSettings,
    splits: &[Split],
    say: &mut impl FnMut(&str),
) -> Result<TaskCorpus, DataError> {
    let mut read = |split: Split| -> Result<Option<Dataset>, DataError> {
        if !splits.contains(&split) {
            return Ok(None);
        }
        let Some(path) = file_of(settings, task, split)? else {
            return Ok(None);
        };
        let options = read_options(settings, task, &path, split);
        let (dataset, notes) = read_dataset_noting(&path, &options)?;
        notes.iter().for_each(|note| say(note));
        // Where a copy lies is of this machine; what was copied is of the run.
        let url = task.file(split).filter(|path| is_url(path));
        Ok(Some(Dataset {
            path: url.cloned().unwrap_or(path),
            ..dataset
        }))
    };
    let none = || Dataset {
        task: task.task,
        path: PathBuf::new(),
        sha256: String::new(),
        examples: Vec::new(),
        skipped: Vec::new(),
    };
    let train = match task.train_on {
        true => read(Split::Train)?,
        false => None,
    };
    Ok(TaskCorpus {
        task: task.task,
        spec: task.spec.clone(),
        train: train.unwrap_or_else(none),
        dev: read(Split::Dev)?.unwrap_or_else(none),
        test: read(Split::Test)?,
        second: read_second(settings, task, splits, say)?,
    })
}

/// The further files of a preset that lie beside its own in a data folder of GLUE's layout.
fn read_second(
    settings: &Settings,
    task: &TaskSettings,
    splits: &[Split],
    say: &mut impl FnMut(&str),
) -> Result<Option<SecondCorpus>, DataError> {
    let preset = task.spec.preset;
    let files = preset.and_then(|preset| Some((&preset.glue, preset.glue.second?)));
    let (Some(dir), Some((glue, files))) = (&settings.data.dir, files) else {
        return Ok(None);
    };
    let mut read = |split: Split, stem: &str| -> Result<Option<Dataset>, DataError> {
        let path = dir.join(glue.folder).join(format!("{stem}.tsv"));
        let options = read_options(settings, task, &path, split);
        let is_wanted = splits.contains(&split) && options.format == Format::Glue;
        if !is_wanted || !path.is_file() {
            return Ok(None);
        }
        let (dataset, notes) = read_dataset_noting(&path, &options)?;
        notes.iter().for_each(|note| say(note));
        Ok(Some(dataset))
    };
    let dev = read(Split::Dev, files.dev)?;
    let test = read(Split::Test, files.test)?;
    Ok((dev.is_some() || test.is_some()).then_some(SecondCorpus { files, dev, test }))
}

/// The file of a split, where the settings say one: the one that they name, or that of the data folder. A test file is
/// optional in a data folder, and a must where the config names it.
fn file_of(
    settings: &Settings,
    task: &TaskSettings,
    split: Split,
) -> Result<Option<PathBuf>, DataError> {
    if let Some(path) = task.file(split) {
        if let Some(fetched) = fetched(path) {
            return fetched.map(Some).map_err(|message| DataError::Fetch {
                url: path.display().to_string(),
                task: task.task,
                split: split.name(),
                message,
            });
        }
        return match path.metadata() {
            Ok(_) => Ok(Some(path.clone())),
            Err(source) => Err(DataError::Named {
                path: path.clone(),
                task: task.task,
                split: split.name(),
                source,
            }),
        };
    }
    let Some(dir) = &settings.data.dir else {
        return Ok(None);
    };
    match file_in(dir, settings, task, split) {
        Err(DataError::NoFile { .. }) if split == Split::Test => Ok(None),
        found => found.map(Some),
    }
}

/// The file of a split in a data folder: where a preset's format has it, or by the task's name.
fn file_in(
    dir: &Path,
    settings: &Settings,
    task: &TaskSettings,
    split: Split,
) -> Result<PathBuf, DataError> {
    // A link to nowhere is there.
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let missing = |looked: String| DataError::NoFile {
        dir: dir.to_owned(),
        task: task.task,
        split: split.name(),
        looked,
    };
    if task.spec.preset.is_some() {
        let path = layout_file(dir, format_of(settings, task, None), task.task, split);
        let name = path
            .strip_prefix(dir)
            .unwrap_or(&path)
            .display()
            .to_string();
        return Some(path).filter(is_there).ok_or_else(|| missing(name));
    }
    let found: Vec<PathBuf> = names_of(task.task, split)
        .into_iter()
        .map(|name| dir.join(name))
        .filter(is_there)
        .collect();
    // Of several files, those whose ending says the format that the config says are meant.
    let meant: Vec<PathBuf> = found
        .iter()
        .filter(|path| task.format.is_some() && Format::of_ending(path) == task.format)
        .cloned()
        .collect();
    let found = if meant.is_empty() { found } else { meant };
    match &found[..] {
        [] => Err(missing(looked_for(task.task, split))),
        [path] => Ok(path.clone()),
        several => Err(DataError::SeveralFiles {
            dir: dir.to_owned(),
            task: task.task,
            split: split.name(),
            names: several
                .iter()
                .map(|path| path.strip_prefix(dir).unwrap_or(path).display().to_string())
                .collect(),
        }),
    }
}

/// The names under which a data folder may have a file of a task that is no preset: `NAME-train.csv`, `NAME/train.csv`, with
/// any ending that says a format, packed or not.
fn names_of(task: TaskId, split: Split) -> Vec<String> {
    let split = split.name();
    let mut names = Vec::new();
    for stem in [format!("{task}-{split}"), format!("{task}/{split}")] {
        for (ending, _) in Format::ENDINGS {
            names.push(format!("{stem}.{ending}"));
            names.push(format!("{stem}.{ending}.gz"));
        }
    }
    names
}

/// [`names_of`], in words.
fn looked_for(task: TaskId, split: Split) -> String {
    let split = split.name();
    let endings = Format::ENDINGS.map(|(ending, _)| format!(".{ending}"));
    format!(
        "{task}-{split} or {task}/{split} with one of {}, and .gz after it or not",
        endings.join(", ")
    )
}

/// The format of a task's file: its own; of a preset the data folder's, or GLUE's where the course has no such task; of
/// another task that of the file's ending. The ending of Parquet files goes over all but the task's own.
fn format_of(settings: &Settings, task: &TaskSettings, path: Option<&Path>) -> Format {
    let ending = path.and_then(Format::of_ending);
    let implied = match task.spec.preset {
        // No layout has a file of this ending that is anything else.
        _ if ending == Some(Format::Parquet) => ending,
        Some(preset) => preset.course.is_none().then_some(Format::Glue),
        None => ending,
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
        labels: LabelColumn::of(split),
        weights: split == Split::Train,
        label_numbers: task.label_numbers,
    }
}

/// How rows of a task that are to be predicted are read from a table or JSON lines. `format` is what the user says; else
/// it is the task's own, as far as it goes with the ending of `path`. `None` where neither says a format.
pub fn options_to_predict<'a>(
    settings: &Settings,
    task: &'a TaskSettings,
    path: &Path,
    format: Option<Format>,
) -> Option<ReadOptions<'a>> {
    let by_ending = Format::of_ending(path);
    let by_task = by_ending
        .map(|_| format_of(settings, task, Some(path)))
        .filter(|format| format.is_table());
    let format = format.or(match by_ending {
        Some(Format::JsonLines | Format::Parquet) => by_ending,
        _ => by_task.or(by_ending),
    })?;
    Some(ReadOptions {
        format,
        // A row that is left out would have no prediction.
        bad_rows: BadRows::Error,
        labels: LabelColumn::Ignored,
        ..read_options(settings, task, path, Split::Test)
    })
}

/// Most labels of a task with `labels = "auto"`: more are no classes, or another column.
const MOST_LABELS: usize = 1000;

/// The settings with what only the training rows say of labels: those of tasks that have `labels = "auto"` (numbers in their
/// order and names in the alphabet's), what numbers mean where labels have names, and what classes weigh by their frequency.
///
/// # Errors
/// Those of reading, [`DataError::Labels`] for a column that has too few or too many, [`DataError::LabelNumbers`], and
/// [`DataError::ClassWeights`].
pub fn with_labels(settings: &Settings) -> Result<Cow<'_, Settings>, DataError> {
    let is_open =
        |task: &TaskSettings| lacks_labels(task) || lacks_numbers(task) || lacks_weights(task);
    if !settings.tasks.iter().any(is_open) {
        return Ok(Cow::Borrowed(settings));
    }
    let mut resolved = settings.clone();
    for task in resolved.tasks.iter_mut().filter(|task| is_open(task)) {
        if lacks_labels(task) {
            take_labels(settings, task)?;
        } else if lacks_numbers(task) {
            take_numbers(settings, task)?;
        }
        if lacks_weights(task) {
            take_weights(settings, task)?;
        }
    }
    Ok(Cow::Owned(resolved))
}

fn lacks_labels(task: &TaskSettings) -> bool {
    task.spec.labels.is_empty()
}

/// Whether numbers among the labels may mean this or that. Files of presets are known, and where names are numbers there
/// is no doubt.
fn lacks_numbers(task: &TaskSettings) -> bool {
    let spec = &task.spec;
    let is_number = |name: &String| name.parse::<f32>().is_ok();
    let renamed = spec
        .preset
        .is_none_or(|preset| preset.labels != spec.labels);
    task.label_numbers.is_none()
        && spec.has_text_labels()
        && renamed
        && !spec.labels.iter().any(is_number)
}

/// Whether the weights of classes are those of the training rows. A task that is not trained has none of these.
fn lacks_weights(task: &TaskSettings) -> bool {
    task.train_on && task.loss_settings.class_weights == Some(ClassWeights::InverseFrequency)
}

/// Weighs each class by `rows / (classes * rows of the class)`, so that a row weighs 1 in the mean. All training rows count,
/// whatever the limit of an epoch.
fn take_weights(settings: &Settings, task: &mut TaskSettings) -> Result<(), DataError> {
    let train = if uses_demo(settings, task) {
        DemoCorpus::generate(&demo_config(settings)).dataset(task.task, Split::Train)
    } else {
        // What is odd about the file is said when it is read for the training.
        read_task(settings, task, &[Split::Train], &mut |_: &str| {})?.train
    };
    if train.examples.is_empty() {
        // Nothing is trained, which others say.
        return Ok(());
    }
    let counts = label_counts(&train, task.spec.labels.len());
    if let Some(absent) = counts.iter().position(|count| *count == 0) {
        return Err(DataError::ClassWeights {
            path: train.path,
            task: task.task,
            label: task.spec.labels[absent].clone(),
        });
    }
    let rows: usize = counts.iter().sum();
    let weights: Vec<f64> = (counts.iter())
        .map(|count| rows as f64 / (counts.len() * count) as f64)
        .collect();
    task.loss_settings.class_weights = Some(ClassWeights::Each(weights));
    Ok(())
}

/// Settles by the training rows what numbers mean, for dev and test rows, too: a smaller file may leave it open. Where there
/// is no such file, each file must settle it.
fn take_numbers(settings: &Settings, task: &mut TaskSettings) -> Result<(), DataError> {
    // What is wrong with the file is said by whoever reads its rows.
    let path = file_of(settings, task, Split::Train).ok().flatten();
    let Some(path) = path.filter(|path| path.is_file()) else {
        return Ok(());
    };
    let options = read_options(settings, task, &path, Split::Train);
    task.label_numbers = label_numbers(&path, &options)?;
    if task.label_numbers == Some(LabelNumbers::From1) {
        tracing::warn!(
            "{}: the labels of {} are numbers, and their largest says that they are counted from 1: 1 is {:?} (noted as tasks.{}.label-numbers = \"from-1\")",
            path.display(),
            task.task,
            task.spec
                .numbered_labels()
                .first()
                .copied()
                .unwrap_or_default(),
            task.task
        );
    }
    Ok(())
}

/// Makes classes of the labels in the training rows.
fn take_labels(settings: &Settings, task: &mut TaskSettings) -> Result<(), DataError> {
    let path = file_of(settings, task, Split::Train)?.unwrap_or_default();
    let options = read_options(settings, task, &path, Split::Train);
    let found = written_labels(&path, &options)?;
    let (mut labels, rows) = (found.labels, found.rows);
    if labels.len() < 2 {
        // Rows that cannot be read, or none at all, are what is wrong with the file.
        let mend = match (settings.data.bad_rows, rows) {
            (_, 0) => Some(Mend::All),
            (BadRows::Error, _) => Some(Mend::OrSkip),
            (BadRows::Skip, _) => None,
        };
        if let Some(mend) = mend.filter(|_| !found.bad.is_empty()) {
            return Err(DataError::BadRows {
                path,
                place: options.format.place(),
                rows: found.bad,
                mend,
                hint: None,
            });
        }
        if rows == 0 {
            return Err(read_dataset_noting(&path, &options)
                .err()
                .unwrap_or(DataError::Empty { path }));
        }
    }
    // Scores, ids and texts hardly repeat.
    let too_many = labels.len() > MOST_LABELS || (labels.len() > 50 && labels.len() * 2 > rows);
    if labels.len() < 2 || too_many {
        return Err(DataError::Labels {
            path,
            task: task.task,
            labels: labels.len(),
            rows,
        });
    }
    let numbers: Option<Vec<f64>> = labels.iter().map(|label| label.parse().ok()).collect();
    match &numbers {
        Some(_) => labels.sort_by(|one, other| {
            let number = |label: &str| label.parse().unwrap_or(f64::NAN);
            number(one).total_cmp(&number(other))
        }),
        None => labels.sort(),
    }
    for warning in odd_classes(task.task, &labels, numbers.as_deref()) {
        tracing::warn!("{}: {warning}", path.display());
    }
    // The alphabet's order is nobody's numbering.
    let is_number = |label: &String| label.parse::<f32>().is_ok();
    if !labels.iter().any(is_number) {
        task.label_numbers = Some(LabelNumbers::Meaningless);
    }
    task.spec = Arc::new(TaskSpec {
        label: match task.spec.label {
            LabelKind::MultiLabel { .. } => LabelKind::MultiLabel {
                classes: labels.len(),
            },
            _ => LabelKind::Classes {
                classes: labels.len(),
            },
        },
        labels,
        ..TaskSpec::clone(&task.spec)
    });
    Ok(())
}

/// Different numbers beyond which labels look like scores.
const MOST_NUMBERS: usize = 20;

/// What is odd about labels that are to be classes.
fn odd_classes(task: TaskId, labels: &[String], numbers: Option<&[f64]>) -> Vec<String> {
    let mut odd = Vec::new();
    let same = |one: &str, other: &str| {
        let number = |label: &str| label.parse::<f64>().ok();
        one.to_lowercase() == other.to_lowercase()
            || (number(one).is_some() && number(one) == number(other))
    };
    let alike: Vec<String> = labels
        .iter()
        .enumerate()
        .filter_map(|(at, one)| {
            let other = labels[at + 1..].iter().find(|other| same(one, other))?;
            Some(format!("{one:?} and {other:?}"))
        })
        .collect();
    if !alike.is_empty() {
        odd.push(format!(
            "labels that differ in their spelling only are classes of their own: {}. If they are one, mend the file, or list one spelling of each in tasks.{task}.labels",
            alike.join(", ")
        ));
    }
    if let Some(numbers) = numbers
        && (numbers.len() > MOST_NUMBERS || numbers.iter().any(|number| number.fract() != 0.0))
    {
        odd.push(format!(
            "each of {} numbers is a class of its own: if they are scores, say tasks.{task}.score = [LOWEST, HIGHEST] in place of labels = \"auto\"",
            numbers.len()
        ));
    }
    odd
}

/// The first file that is there and is not the one that a run has noted, with the hash it has now. What cannot be read is
/// the reader's to say.
pub(crate) fn changed_file<'a>(
    settings: &Settings,
    noted: &'a [DataFile],
) -> Option<(PathBuf, String, &'a DataFile)> {
    settings.tasks.iter().find_map(|task| {
        [Split::Train, Split::Dev, Split::Test]
            .into_iter()
            .find_map(|split| {
                let path = file_of(settings, task, split).ok()??;
                let noted = noted
                    .iter()
                    .find(|it| it.task == task.task && it.split == split.name())?;
                let found = file_sha256(&path).ok()?;
                (found != noted.sha256).then_some((path, found, noted))
            })
    })
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
            let own = task.splits().map(|(split, rows)| (split.name(), rows));
            let second = task.second.iter().flat_map(|second| {
                let dev = second.dev.iter().map(|rows| (second.files.dev, rows));
                let test = second.test.iter().map(|rows| (second.files.test, rows));
                dev.chain(test)
            });
            own.chain(second)
                .map(move |(split, rows)| note(task.task, split, rows))
        })
        .filter(|file| !file.sha256.is_empty())
        .collect()
}

/// Training rows of a task in an epoch, of as many as its shares of labels leave; all where `None`.
pub(crate) fn limit(settings: &Settings, task: &TaskSettings, rows: usize) -> Option<usize> {
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

/// A row's sentence, and the second one of a pair.
pub type Texts = (String, Option<String>);

/// Dev and test rows of a task beside its own, tokenised.
pub struct SecondData {
    /// Names of the files, and what they are called together.
    pub files: SecondFiles,
    /// Rows to score on.
    pub dev: Option<TokenizedDataset>,
    /// Rows to predict.
    pub test: Option<TokenizedDataset>,
    /// Rows of the test file that could not be read; they have places in its predictions.
    pub bad_test_rows: Vec<BadRow>,
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
    /// Texts of the rows to score on; none while it is trained.
    pub dev_texts: Vec<Texts>,
    /// Further rows to score and predict.
    pub second: Option<SecondData>,
    /// Whether it is trained.
    pub train_on: bool,
    /// Weight of its score in the overall one.
    pub overall_weight: f64,
    /// Rows of an epoch; all where `None`.
    pub limit: Option<usize>,
    /// Whether the rows of an epoch are drawn once or afresh.
    pub draw: LimitDraw,
    /// How many rows of each label an epoch takes, before `limit`; all where `None`.
    pub label_shares: Option<LabelShares>,
    /// Whether sentences of training pairs change places.
    pub swap: bool,
}

impl TaskData {
    /// Rows of the task, to be evaluated as the task is.
    pub fn evaluation_set<'a>(&'a self, data: &'a TokenizedDataset) -> EvaluationSet<'a> {
        EvaluationSet {
            config: &self.config,
            batcher: &self.batcher,
            data,
            overall_weight: self.overall_weight,
        }
    }

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
    let tasks = settings.tasks.iter().zip(corpus);
    tasks
        .map(|(task, corpus)| {
            let dev = dev_rows(settings, &corpus.dev);
            let texts = dev.examples.iter();
            let second = corpus.second.as_ref();
            Ok(TaskData {
                test: tokenized(corpus.test.as_ref(), tokenizer)?,
                bad_test_rows: bad_rows(corpus.test.as_ref()),
                dev_texts: texts
                    .map(|row| (row.text_a.clone(), row.text_b.clone()))
                    .collect(),
                second: second
                    .map(|second| tokenize_second(second, tokenizer))
                    .transpose()?,
                ..tokenize_task(settings, task, corpus, &dev, tokenizer, |_| {})?
            })
        })
        .collect()
}

/// Tokenises what a training works on: all but the test splits, which would take memory until it ends.
///
/// `progress` is told how many of how many rows are done.
pub fn tokenize_for_training(
    settings: &Settings,
    corpus: &[TaskCorpus],
    tokenizer: &BertTokenizer,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<TaskData>, TokenizerError> {
    let rows = |corpus: &TaskCorpus| corpus.train.examples.len() + corpus.dev.examples.len();
    let total = corpus.iter().map(rows).sum();
    let mut done = 0;
    progress(done, total);
    let tasks = settings.tasks.iter().zip(corpus);
    tasks
        .map(|(task, corpus)| {
            if let Some(shared) = SharedRows::of(task, &corpus.train) {
                tracing::info!("{shared}");
            }
            let dev = dev_rows(settings, &corpus.dev);
            let told = |rows| progress(done + rows, total);
            let tokenized = tokenize_task(settings, task, corpus, &dev, tokenizer, told);
            done += rows(corpus);
            tokenized
        })
        .collect()
}

fn tokenized(
    rows: Option<&Dataset>,
    tokenizer: &BertTokenizer,
) -> Result<Option<TokenizedDataset>, TokenizerError> {
    rows.map(|rows| TokenizedDataset::new(rows, tokenizer))
        .transpose()
}

fn bad_rows(rows: Option<&Dataset>) -> Vec<BadRow> {
    rows.map_or(Vec::new(), |rows| rows.skipped.clone())
}

fn tokenize_second(
    second: &SecondCorpus,
    tokenizer: &BertTokenizer,
) -> Result<SecondData, TokenizerError> {
    Ok(SecondData {
        files: second.files,
        dev: tokenized(second.dev.as_ref(), tokenizer)?,
        test: tokenized(second.test.as_ref(), tokenizer)?,
        bad_test_rows: bad_rows(second.test.as_ref()),
    })
}

/// How rows of a task become batches.
pub(crate) fn batcher(
    settings: &Settings,
    config: &TaskConfig,
    tokenizer: &BertTokenizer,
) -> Batcher {
    Batcher {
        packing: config.packing(),
        max_length: settings.data.max_length,
        pad_to_multiple_of: settings.data.pad_to_multiple_of(),
        special: tokenizer.special(),
    }
}

/// A task's rows to learn from, and the dev rows that are scored.
fn tokenize_task(
    settings: &Settings,
    task: &TaskSettings,
    corpus: &TaskCorpus,
    dev: &Dataset,
    tokenizer: &BertTokenizer,
    mut progress: impl FnMut(usize),
) -> Result<TaskData, TokenizerError> {
    let config = task.model_config();
    let shared = SharedRows::of(task, &corpus.train);
    let train_rows = corpus.train.examples.len();
    let train = TokenizedDataset::with_progress(&corpus.train, tokenizer, &mut progress)?;
    let dev = TokenizedDataset::with_progress(dev, tokenizer, |rows| progress(train.len() + rows))?;
    Ok(TaskData {
        batcher: batcher(settings, &config, tokenizer),
        config,
        train,
        dev,
        test: None,
        bad_test_rows: Vec::new(),
        dev_texts: Vec::new(),
        second: None,
        limit: limit(settings, task, shared.map_or(train_rows, |it| it.rows())),
        train_on: task.train_on,
        overall_weight: task.overall_weight.unwrap_or(1.0),
        draw: task.limit_draw.unwrap_or(settings.data.limit_draw),
        label_shares: task.label_shares.clone(),
        swap: task.swaps(),
    })
}
