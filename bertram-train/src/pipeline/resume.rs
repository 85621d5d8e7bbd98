//! A run that goes on: from its newest checkpoint, with what may change of its settings.

use std::path::Path;

use bertram_core::data::{BertTokenizer, Split};
use bertram_core::encoder::read_config;
use burn::tensor::backend::AutodiffBackend;
use toml::Value;

use super::fit::check_fit;
use super::start::{build_model, check_precision, methods, update_state, warn_of_preprocessing};
use super::{BURN_VERSION, PipelineError, Place, Summary, write_text};
use crate::config::{Override, Settings};
use crate::corpus::{TaskCorpus, changed_file, data_files, read_corpus, tokenize_for_training};
use crate::device::DeviceWatch;
use crate::epoch::schedule;
use crate::learner::{StopFlag, TrainingSession};
use crate::phase::Phase;
use crate::run_folder::{
    ChangedSetting, CheckpointState, CheckpointStore, RunError, RunFolder, RunInfo, read_json,
    write_json,
};
use crate::weighting::LossWeighting;

/// Keys that may change when a run goes on. `*` stands for a task. Where data lies may change, what it says may not: its
/// hashes are compared.
pub const RESUMABLE_KEYS: &[&str] = &[
    "train.epochs",
    "train.max-updates",
    "train.evaluate-every",
    "train.learning-rate",
    "train.head-learning-rate",
    "train.layer-decay",
    "train.embeddings-learning-rate",
    "tasks.*.head-learning-rate",
    "train.weighting-learning-rate",
    "train.early-stopping",
    "train.log-every",
    "train.checkpoint-every",
    "train.keep-checkpoints",
    "train.keep-training-state",
    "train.eval-batch-size",
    "data.dir",
    "data.test-limit",
    "logging.tensorboard",
    "tasks.*.train",
    "tasks.*.dev",
    "tasks.*.test",
];

/// Goes on with the run in `run` from its newest checkpoint.
///
/// `overrides` may change the keys of [`RESUMABLE_KEYS`]; each is noted in `run.json`, and the run's config is written anew.
/// Schedules are planned anew over the new number of updates, from the checkpoint on. A finished run goes on where that
/// leaves something to do; its summary is kept under another name. Also gives what changed.
pub fn resume<B: AutodiffBackend>(
    run: RunFolder,
    overrides: &[Override],
    place: &Place<B::Device>,
    stop: StopFlag,
) -> Result<(TrainingSession<B>, Vec<ChangedSetting>), PipelineError> {
    let before = Settings::load(&run.config(), &[])?;
    let settings = resumed_settings(&run, &before, overrides)?;
    check_precision::<B>(&settings, place)?;
    let store = CheckpointStore::new(run.checkpoints(), settings.train.keep_checkpoints);
    let newest = store.newest()?;
    let finished = run.summary().is_file();
    let Some(newest) = newest else {
        return Err(without_checkpoint(&run, finished)?);
    };
    CheckpointStore::check_files(&newest)?;
    let state = CheckpointStore::state(&newest)?;
    check_config(&run, &newest, &before)?;
    let done = state.epoch.saturating_sub(1);
    let begun = done + usize::from(state.updates_in_epoch > 0);
    if settings.train.epochs < before.train.epochs && settings.train.epochs < begun {
        return Err(PipelineError::TooFewEpochs {
            asked: settings.train.epochs,
            begun,
        });
    }
    if finished && stopped_early(&state, &settings) {
        return Err(PipelineError::StoppedEarly {
            run: run.path().to_owned(),
            evaluations: state.evaluations_since_best,
        });
    }
    if let Some(asked) = settings.train.max_updates
        && asked < state.updates
        && settings.train.max_updates != before.train.max_updates
    {
        return Err(PipelineError::TooFewUpdates {
            asked,
            made: state.updates,
        });
    }
    if finished && has_made_all(&state, &settings) {
        return Err(PipelineError::AllUpdatesMade {
            run: run.path().to_owned(),
            updates: state.updates,
        });
    }
    if finished && state.epoch > settings.train.epochs {
        return Err(PipelineError::Finished(run.path().to_owned()));
    }
    if state.best.is_some() {
        store.best()?;
    }
    let mut info = run.read_info()?;
    warn_of_versions(&info);
    place.clock.enter(Phase::Reading);
    // Of a file that is another than the run's, what its rows have wrong is not what is wrong.
    let corpus = read_corpus(&settings, &[Split::Train, Split::Dev, Split::Test])
        .map_err(|error| data_changed(&settings, &info).unwrap_or(error.into()))?;
    check_unchanged(&info, &corpus)?;
    let tokenizer = BertTokenizer::from_folder(&run.base())?;
    let config = read_config(&run.base())?;
    check_fit(&settings, &config, &tokenizer)?;
    warn_of_preprocessing(&settings, &tokenizer);
    place.clock.enter(Phase::Importing);
    let model = build_model(
        &settings,
        &config,
        config.init::<B>(&place.device),
        &place.device,
    );
    let fresh = update_state(&settings, &model, &place.device);
    let checkpoint =
        CheckpointStore::load(&newest, model, fresh, settings.optimizer, &place.device)?;
    tracing::info!(
        "resuming at epoch {}, update {}",
        checkpoint.state.epoch,
        checkpoint.state.updates
    );
    let clock = &place.clock;
    clock.enter(Phase::Tokenizing);
    let tasks = tokenize_for_training(&settings, &corpus, &tokenizer, |done, rows| {
        clock.progress(done, rows);
    })?;
    clock.add_earlier(&checkpoint.state.phase_seconds);

    let changes = changes(&before, &settings, checkpoint.state.updates);
    if !changes.is_empty() {
        for change in &changes {
            tracing::info!("{change}");
        }
        info.changed.extend(changes.iter().cloned());
        // The note first: a config that says more than the note would be a run that is another than it says.
        write_json(&run.run_info(), &info)?;
        write_text(&run.config(), &settings.to_toml())?;
    }
    if finished {
        run.set_summary_aside(checkpoint.state.updates)?;
    }
    let session = TrainingSession {
        methods: methods(&settings),
        schedule: schedule(&settings),
        settings,
        tasks,
        model: checkpoint.model,
        update_state: checkpoint.update_state,
        state: checkpoint.state,
        run,
        device: place.device.clone(),
        watch: DeviceWatch::new(place.report.clone(), clock.begun()),
        clock: clock.clone(),
        stop,
    };
    Ok((session, changes))
}

/// Whether the run's config is the one that its checkpoint was made with, but for what may change.
fn check_config(
    run: &RunFolder,
    checkpoint: &Path,
    config: &Settings,
) -> Result<(), PipelineError> {
    // Those of 0.1.0 do not say.
    let Some(path) = CheckpointStore::config(checkpoint) else {
        return Ok(());
    };
    let made_with = Settings::load(&path, &[])?;
    let changed = changes(&made_with, config, 0)
        .into_iter()
        .find(|change| !is_resumable(&change.key));
    match changed {
        None => Ok(()),
        Some(change) => Err(PipelineError::ConfigEdited {
            config: run.config(),
            checkpoint: path,
            was: change.before().to_owned(),
            is: change.since().to_owned(),
            key: change.key,
        }),
    }
}

fn is_resumable(key: &str) -> bool {
    RESUMABLE_KEYS.iter().any(|allowed| matches(allowed, key))
}

/// A run that was begun by another version goes on, and is not bit for bit what that version would have made.
fn warn_of_versions(info: &RunInfo) {
    let here = [
        ("bertram", env!("CARGO_PKG_VERSION")),
        ("Burn", BURN_VERSION),
    ];
    let there = [&info.bertram, &info.burn];
    for ((name, here), there) in here.into_iter().zip(there) {
        if here != there {
            tracing::warn!(
                "this run was begun with {name} {there}, and goes on with {here}: what follows need not be bit for bit what {there} would have made"
            );
        }
    }
}

/// Whether `train.max-updates` leaves nothing to do.
fn has_made_all(state: &CheckpointState, settings: &Settings) -> bool {
    let most = settings.train.max_updates;
    most.is_some_and(|most| state.updates >= most)
}

/// The evaluations without a better score that ended a run before its last update, where early stopping did.
pub(super) fn ended_early(state: &CheckpointState, settings: &Settings) -> Option<usize> {
    let is_whole = state.epoch > settings.train.epochs || has_made_all(state, settings);
    (!is_whole && stopped_early(state, settings)).then_some(state.evaluations_since_best)
}

/// Why a run without checkpoints cannot go on.
///
/// # Errors
/// Those of reading its summary.
fn without_checkpoint(run: &RunFolder, finished: bool) -> Result<PipelineError, RunError> {
    let path = run.path().to_owned();
    if !finished {
        return Ok(PipelineError::NoCheckpoint(path));
    }
    let summary: Summary = read_json(&run.summary())?;
    Ok(match summary.made_of {
        Some(made_of) => PipelineError::NotTrained {
            run: path,
            made_of: made_of.describe(),
        },
        None => PipelineError::Cleaned(path),
    })
}

/// Whether a run at this place would make no other update because of early stopping.
fn stopped_early(state: &CheckpointState, settings: &Settings) -> bool {
    let patience = settings.train.early_stopping;
    patience > 0 && state.evaluations_since_best >= patience
}

/// The settings of a run that was stopped before its first checkpoint, to begin it anew with: what may change when a run
/// goes on may change here.
///
/// # Errors
/// A config that cannot be read, and keys that may not change.
pub fn settings_to_begin_anew(
    run: &RunFolder,
    overrides: &[Override],
) -> Result<Settings, PipelineError> {
    let before = Settings::load(&run.config(), &[])?;
    resumed_settings(run, &before, overrides)
}

/// The run's settings with what is to change; all else is refused by name.
fn resumed_settings(
    run: &RunFolder,
    before: &Settings,
    overrides: &[Override],
) -> Result<Settings, PipelineError> {
    if let Some(section) = overrides.iter().find(|it| it.is_section()) {
        return Err(PipelineError::NotResumable {
            keys: vec![format!(
                "{} (a whole section)",
                section.key().unwrap_or_default()
            )],
        });
    }
    let loaded = Settings::load_with(&run.config(), overrides)?;
    loaded.say_warnings();
    let mut settings = loaded.settings;
    let train = &before.train;
    // A head's rate that was the encoder's stays so, unless it is named.
    if train.head_learning_rate == train.learning_rate
        && settings.train.head_learning_rate == train.head_learning_rate
        && !overrides
            .iter()
            .any(|it| it.key() == Some("train.head-learning-rate"))
    {
        settings.train.head_learning_rate = settings.train.learning_rate;
    }
    let refused: Vec<String> = changes(before, &settings, 0)
        .into_iter()
        .map(|change| change.key)
        .filter(|key| !is_resumable(key))
        .collect();
    match refused.is_empty() {
        true => Ok(settings),
        false => Err(PipelineError::NotResumable { keys: refused }),
    }
}

/// Whether a key is one of a pattern, in which `*` stands for one part.
pub(super) fn matches(pattern: &str, key: &str) -> bool {
    let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (pattern, key) = (parts(pattern), parts(key));
    pattern.len() == key.len()
        && (pattern.iter().zip(&key)).all(|(pattern, key)| pattern == "*" || pattern == key)
}

/// The keys whose values differ, in the order of their names.
fn changes(before: &Settings, after: &Settings, update: usize) -> Vec<ChangedSetting> {
    let (before, after) = (before.leaves(), after.leaves());
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| ChangedSetting {
            key: key.clone(),
            from: before.get(key).map(Value::to_string),
            to: after.get(key).map(Value::to_string),
            update,
        })
        .collect()
}

/// Whether the files hold what a run was trained and scored on: the first that does not is an error.
///
/// # Errors
/// [`PipelineError::DataChanged`].
pub fn check_unchanged(info: &RunInfo, corpus: &[TaskCorpus]) -> Result<(), PipelineError> {
    for file in data_files(corpus) {
        let noted = info
            .data
            .iter()
            .find(|noted| noted.task == file.task && noted.split == file.split);
        if let Some(noted) = noted
            && noted.sha256 != file.sha256
        {
            return Err(PipelineError::DataChanged {
                path: file.path,
                found: file.sha256,
                expected: noted.sha256.clone(),
            });
        }
    }
    Ok(())
}

/// The error of a file that is not the run's, where there is one.
fn data_changed(settings: &Settings, info: &RunInfo) -> Option<PipelineError> {
    let (path, found, noted) = changed_file(settings, &info.data)?;
    Some(PipelineError::DataChanged {
        path,
        found,
        expected: noted.sha256.clone(),
    })
}

/// What a message advises where a run diverged: rates to go on with.
pub fn lower_rates(settings: &Settings) -> Vec<(&'static str, f64)> {
    let train = &settings.train;
    let learnt = train.loss_weighting == LossWeighting::Uncertainty;
    [
        ("train.learning-rate", train.learning_rate, 1e-4, true),
        (
            "train.head-learning-rate",
            train.head_learning_rate,
            1e-3,
            true,
        ),
        (
            "train.weighting-learning-rate",
            train.weighting_learning_rate,
            1e-3,
            learnt,
        ),
    ]
    .into_iter()
    .filter(|(.., used)| *used)
    .map(|(key, rate, most, _)| (key, (rate / 10.0).min(most)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(sets: &[&str]) -> Settings {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Settings::from_text("x.toml", "[tasks.sst]\n", &sets).expect("valid")
    }

    #[test]
    fn changes_are_found_by_key() {
        let before = settings(&["data.dir=a"]);
        let after = settings(&["train.epochs=20", "data.dir=b", "tasks.sst.limit=5"]);
        let keys: Vec<String> = changes(&before, &after, 7)
            .into_iter()
            .map(|change| change.key)
            .collect();
        assert_eq!(keys, ["data.dir", "tasks.sst.limit", "train.epochs"]);
        let allowed = |key: &str| RESUMABLE_KEYS.iter().any(|it| matches(it, key));
        assert!(allowed("tasks.sst.train") && allowed("train.epochs"));
        assert!(!allowed("tasks.sst.limit") && !allowed("train.seed"));
    }
}
