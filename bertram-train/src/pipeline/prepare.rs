//! What a run does before it writes anything: every file is read and checked, down to the first batch of each task.

use std::path::Path;
use std::time::Instant;

use bertram_core::data::{BertTokenizer, HostBatch, Split};
use bertram_core::encoder::{BertConfig, read_config};
use bertram_core::task::TaskMap;

use super::PipelineError;
use super::fit::check_fit;
use super::start::{random_config, warn_of_preprocessing};
use crate::config::{BestMetric, Settings, TaskSettings};
use crate::corpus::{
    DataFile, TaskCorpus, TaskData, data_files, read_corpus, tokenize_for_training, uses_demo,
    with_labels,
};
use crate::describe::leak_warning;
use crate::epoch::Epoch;
use crate::phase::{Phase, PhaseClock};

/// All that a run starts from besides weights.
pub struct Prepared {
    /// The settings, with the labels that training rows gave.
    pub settings: Settings,
    /// Shape of the encoder.
    pub config: BertConfig,
    /// The model's tokenizer, or one made from the training texts.
    pub tokenizer: BertTokenizer,
    /// The tasks' training and dev rows as tokens. Test rows are read and checked only: they would take memory until the
    /// training ends.
    pub tasks: Vec<TaskData>,
    /// The data files, test files included.
    pub files: Vec<DataFile>,
}

/// Reads and checks the data, the tokenizer and the shape of the model, tokenises, and makes the first batch of each task.
/// Needs no device, draws nothing and writes nothing.
///
/// `model_dir` is the folder that `settings.model.path` stands for (a hub id is resolved before).
///
/// # Errors
/// [`PipelineError`], of the user's input.
pub fn prepare(settings: &Settings, model_dir: Option<&Path>) -> Result<Prepared, PipelineError> {
    prepare_timed(settings, model_dir, &PhaseClock::new(Instant::now()))
}

/// As [`prepare`], with a clock that is told of each phase.
///
/// # Errors
/// Those of [`prepare`].
pub fn prepare_timed(
    settings: &Settings,
    model_dir: Option<&Path>,
    clock: &PhaseClock,
) -> Result<Prepared, PipelineError> {
    clock.enter(Phase::Reading);
    let settings = with_labels(settings)?;
    let settings = settings.as_ref();
    let corpus = read_corpus(settings, &[Split::Train, Split::Dev, Split::Test])?;
    warn_of_generated_tasks(settings);
    if let Some(warning) = leak_warning(settings, &corpus) {
        tracing::warn!("{warning}");
    }
    clock.enter(Phase::Tokenizing);
    let (config, tokenizer) = match model_dir {
        Some(dir) => {
            let tokenizer = BertTokenizer::from_folder(dir)?;
            (read_config(dir)?, tokenizer)
        }
        None => random_model(settings, &corpus)?,
    };
    check_fit(settings, &config, &tokenizer)?;
    warn_of_preprocessing(settings, &tokenizer);
    let tasks = tokenize_for_training(settings, &corpus, &tokenizer, |done, rows| {
        clock.progress(done, rows);
    })?;
    check_batches(settings, &config, &tasks)?;
    Ok(Prepared {
        settings: settings.clone(),
        config,
        tokenizer,
        tasks,
        files: data_files(&corpus),
    })
}

/// Logs where some tasks have files of their own and the others take the generated corpus.
fn warn_of_generated_tasks(settings: &Settings) {
    let (generated, own): (Vec<_>, Vec<_>) =
        (settings.tasks.iter()).partition(|task| uses_demo(settings, task));
    if own.is_empty() || generated.is_empty() {
        return;
    }
    let names = |tasks: &[&TaskSettings]| {
        let names: Vec<&str> = tasks.iter().map(|task| task.task.name()).collect();
        names.join(" and ")
    };
    tracing::warn!(
        "beside the files of {}, these tasks take generated rows, in training and in every score: {}; name their files too, or name the tasks to train, as in --set 'tasks={{{}={{...}}}}'",
        names(&own),
        names(&generated),
        own[0].task
    );
}

/// The tokenizer of a run: the model's, or one made from the training texts. `model_dir` is as [`prepare`] has it.
///
/// # Errors
/// [`PipelineError`], of the user's input.
pub fn tokenizer(
    settings: &Settings,
    corpus: &[TaskCorpus],
    model_dir: Option<&Path>,
) -> Result<BertTokenizer, PipelineError> {
    match model_dir {
        Some(dir) => Ok(BertTokenizer::from_folder(dir)?),
        None => Ok(random_model(settings, corpus)?.1),
    }
}

/// The shape that `[model.random]` asks for, and a vocabulary made from the training texts.
fn random_model(
    settings: &Settings,
    corpus: &[TaskCorpus],
) -> Result<(BertConfig, BertTokenizer), PipelineError> {
    let Some(random) = &settings.model.random else {
        return Err(PipelineError::Shape(
            "there is neither a model nor a shape".into(),
        ));
    };
    let sentences = corpus.iter().flat_map(|task| {
        task.train.examples.iter().flat_map(|example| {
            std::iter::once(example.text_a.as_str()).chain(example.text_b.as_deref())
        })
    });
    let tokenizer = BertTokenizer::train_word_piece(sentences, random.vocab_size)?;
    let config = random_config(random, tokenizer.vocab_size());
    config
        .validate()
        .map_err(|error| PipelineError::Shape(error.to_string()))?;
    Ok((config, tokenizer))
}

/// Makes the first batch of each task, of training and of dev rows, and holds it against the model's tables.
fn check_batches(
    settings: &Settings,
    config: &BertConfig,
    tasks: &[TaskData],
) -> Result<(), PipelineError> {
    let epoch = Epoch::plan(settings, tasks, 1, &TaskMap::new());
    if epoch.updates.is_empty() && settings.train.epochs > 0 {
        return Err(PipelineError::NoBatches);
    }
    let train = epoch
        .first_batches(tasks)
        .map(|(task, batch)| (task, Split::Train, batch));
    let dev = tasks
        .iter()
        .filter(|task| !task.dev.is_empty())
        .map(|task| {
            let rows: Vec<usize> = (0..task.dev.len())
                .take(settings.train.eval_batch_size.max(1))
                .collect();
            (task, Split::Dev, task.batcher.batch(&task.dev, &rows))
        });
    for (task, split, batch) in train.chain(dev) {
        if let Some(problem) = misfit(config, &batch) {
            return Err(PipelineError::Batch {
                task: task.config.task,
                split: split.name(),
                problem,
            });
        }
    }
    if let BestMetric::Task(watched) = settings.train.best_metric
        && tasks
            .iter()
            .any(|task| task.config.task == watched && task.dev.is_empty())
    {
        return Err(PipelineError::NothingToWatch(watched));
    }
    for task in tasks {
        let name = task.config.task;
        if task.train_on && task.train.is_empty() && settings.train.epochs > 0 {
            tracing::warn!(
                "{name} has no training rows and is not trained: name tasks.{name}.train, or set tasks.{name}.train-on = false"
            );
        }
        if task.dev.is_empty() {
            tracing::warn!("{name} has no dev rows and is not scored: name tasks.{name}.dev");
        }
    }
    Ok(())
}

/// What of a batch goes beyond the model's tables: a token, the segments or the length. ([`check_fit`] has looked at the
/// largest id that the tokenizer can give.)
fn misfit(config: &BertConfig, batch: &HostBatch) -> Option<String> {
    let largest = batch.input_ids.iter().copied().max().unwrap_or(0);
    if usize::try_from(largest).is_ok_and(|largest| largest >= config.vocab_size) {
        return Some(format!(
            "the tokenizer gives id {largest}, and the word embeddings have {} rows; take the tokenizer and the weights of one model",
            config.vocab_size
        ));
    }
    let segments = batch.token_type_ids.iter().copied().max().unwrap_or(0) + 1;
    if usize::try_from(segments).is_ok_and(|segments| segments > config.type_vocab_size) {
        return Some(format!(
            "a packed pair has {segments} segments, and type_vocab_size of config.json is {}; take another head than cross-encoder",
            config.type_vocab_size
        ));
    }
    (batch.seq_len > config.max_position_embeddings).then(|| {
        format!(
            "a sequence has {} tokens, and the model has {} positions; lower data.max-length",
            batch.seq_len, config.max_position_embeddings
        )
    })
}
