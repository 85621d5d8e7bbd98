//! What a run leaves: scores, predictions, the exported model, `summary.json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use bertram_core::data::{
    BadRow, BertTokenizer, PredictionRow, Split, neutral_prediction, with_bad_rows,
    write_glue_predictions, write_prediction_table, write_predictions,
};
use bertram_core::encoder::read_config;
use bertram_core::fs::WriteError;
use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::task::{
    LabelKind, ModelFolder, MultitaskModel, Prediction, SecondFiles, TaskId, TaskSpec,
    load_model_folder,
};
use bertram_kernels::Kernels;
use burn::module::Module;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::mistakes::Answers;
use super::resume::{check_unchanged, ended_early};
use super::start::{build_model, compute_as_trained, warn_of_preprocessing};
use super::{PipelineError, TrainedModel, export_model, peak_memory_bytes};
use crate::analysis::{Analysis, TaskAnalysis};
use crate::calibration::Calibration;
use crate::config::{ExportedWeights, Settings};
use crate::corpus::{
    DataFile, TaskCorpus, TaskData, data_files, read_corpus_again, tokenize_corpus,
};
use crate::device::DeviceUse;
use crate::evaluate::{EvaluationSet, evaluate, task_without_finite_logits};
use crate::learner::Outcome;
use crate::made_of::MadeOf;
use crate::phase::{Phase, PhaseSeconds};
use crate::run_folder::{
    CheckpointState, CheckpointStore, RunError, RunFolder, RunInfo, write_json,
};
use crate::selection::CrossSelected;

/// What a finished run says of itself: `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the run's folder.
    pub run: String,
    /// Scores of the exported model on dev.
    pub dev: SplitScores,
    /// The epoch whose model is exported.
    pub best_epoch: usize,
    /// Whether that was chosen on dev.
    #[serde(default, skip_serializing_if = "ExportedWeights::is_best")]
    pub exported: ExportedWeights,
    /// Whether it is an average of weights that is exported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub averaged: bool,
    /// Updates that its model had made; unknown of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_update: Option<usize>,
    /// With `data.select-share`: scores on the part of dev that chose it, and on the part that did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<ScoredParts>,
    /// What the run scores where each half of dev chooses for the other; not with `data.select-share`, and unknown of older
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_selected: Option<CrossSelected>,
    /// Scores on dev of the last weights themselves, where an average of them is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_weights: Option<SplitScores>,
    /// Scores on further dev files, as `mnli-mismatched`; they choose no epoch and are in no mean.
    #[serde(default, skip_serializing_if = "FurtherScores::is_empty")]
    pub further: FurtherScores,
    /// Epochs asked for.
    pub epochs: usize,
    /// Evaluations without a better score that ended the training before that, where early stopping did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<usize>,
    /// Updates made.
    pub updates: usize,
    /// Seconds of training and evaluation, over all sittings.
    pub seconds: f64,
    /// Seconds of updates alone.
    pub training_seconds: f64,
    /// Seconds of all that the run's processes did, from their start to here; 0 in summaries of 0.1.0.
    #[serde(default)]
    pub wall_seconds: f64,
    /// What they went to. They add up to `wall_seconds`.
    #[serde(default)]
    pub phase_seconds: PhaseSeconds,
    /// Tokens trained on, without padding.
    pub tokens: u64,
    /// `tokens / training_seconds`.
    pub tokens_per_second: f64,
    /// Most memory the process held; host memory only. `null` where the system does not say.
    pub peak_memory_bytes: Option<u64>,
    /// Seconds from the start of the process until its first update was made; of several sittings, the last one's.
    #[serde(default)]
    pub first_update_seconds: Option<f64>,
    /// What the device said of itself; `null` for a CPU.
    #[serde(default)]
    pub device: Option<DeviceUse>,
    /// What the folder was made of, where it was not trained: an ensemble or a soup of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<MadeOf>,
    /// Trained numbers in the model; of an ensemble, in all of its models.
    pub parameters: usize,
    /// Backend.
    pub backend: String,
    /// Seed.
    pub seed: u64,
    /// Versions of the software.
    pub versions: Versions,
    /// Data files with their hashes.
    pub data: Vec<DataFile>,
}

/// Scores on the two [`parts`](crate::selection::parts) of dev.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredParts {
    /// On the rows that chose the epoch: too high by what chance gave it.
    pub chosen_on: SplitScores,
    /// On the others.
    pub held_out: SplitScores,
}

impl Summary {
    /// Of a folder in which nothing was trained: what counts training is 0.
    pub(crate) fn untrained(run: &RunFolder, info: RunInfo, dev: SplitScores) -> Self {
        Self {
            run: run.name(),
            dev,
            best_epoch: 0,
            exported: ExportedWeights::Best,
            averaged: false,
            best_update: None,
            parts: None,
            cross_selected: None,
            last_weights: None,
            further: FurtherScores::new(),
            epochs: 0,
            ended_early: None,
            updates: 0,
            seconds: 0.0,
            training_seconds: 0.0,
            wall_seconds: 0.0,
            phase_seconds: PhaseSeconds::new(),
            tokens: 0,
            tokens_per_second: 0.0,
            peak_memory_bytes: peak_memory_bytes(),
            first_update_seconds: None,
            device: None,
            made_of: None,
            parameters: 0,
            backend: info.backend,
            seed: info.seed,
            versions: Versions {
                bertram: info.bertram,
                burn: info.burn,
            },
            data: info.data,
        }
    }

    /// The overall score on dev rows that did not choose the exported weights, where others did.
    pub fn unchosen_overall(&self) -> Option<f64> {
        unchosen_overall(self.parts.as_ref(), self.cross_selected.as_ref())
    }
}

fn unchosen_overall(
    parts: Option<&ScoredParts>,
    cross_selected: Option<&CrossSelected>,
) -> Option<f64> {
    // With a dev row or two a part has no score.
    let held_out = parts.map(|parts| &parts.held_out);
    let held_out = held_out.filter(|scores| !scores.tasks.is_empty());
    let held_out = held_out.map(|scores| scores.overall);
    let crosswise = cross_selected.filter(|it| it.evaluations > 1 && !it.tasks.is_empty());
    held_out.or(crosswise.map(|it| it.overall))
}

/// Scores of tasks on dev files beside their own, by `TASK-FILES`.
pub type FurtherScores = BTreeMap<String, TaskScores>;

/// Versions of the software a run was made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    /// bertram.
    pub bertram: String,
    /// Burn.
    pub burn: String,
}

/// Ends a run: scores its best model, writes predictions, the export and `summary.json`.
pub fn finish<B: Kernels>(
    run: &RunFolder,
    outcome: &Outcome,
    device: &B::Device,
) -> Result<Summary, PipelineError> {
    let clock = &outcome.clock;
    clock.enter(Phase::Checkpointing);
    let settings = Settings::load(&run.config(), &[])?;
    let info = run.read_info()?;
    let tokenizer = BertTokenizer::from_folder(&run.base())?;
    let config = read_config(&run.base())?;
    let model = build_model(&settings, &config, config.init::<B>(device), device);
    let store = CheckpointStore::new(run.checkpoints(), settings.train.keep_checkpoints);
    let model = store.load_best(model, device)?;

    clock.enter(Phase::Reading);
    let mut corpus = read_corpus_again(&settings, &[Split::Dev, Split::Test])?;
    check_unchanged(&info, &corpus)?;
    let test_files: Vec<DataFile> = data_files(&corpus)
        .into_iter()
        .filter(|file| file.split == "test")
        .collect();
    clock.enter(Phase::Tokenizing);
    limit_test(&settings, &mut corpus);
    let tasks = tokenize_corpus(&settings, &corpus, &tokenizer)?;
    corpus.clear();
    clock.enter_part(Phase::Predicting, Split::Dev.name());
    let Predicted {
        scores,
        further,
        analysis,
    } = predict_and_analyse(
        &model,
        &settings,
        &tasks,
        Split::Dev,
        &run.predictions(),
        device,
        |done, rows| clock.progress(done, rows),
    )?;
    // Before the test splits, which may take long and which nothing but their files needs.
    clock.enter(Phase::Exporting);
    let state = &outcome.state;
    let parts = scored_parts(&settings, state);
    let cross_selected = cross_selected(&settings, state);
    // A run that went on after its end has another model than the one that was calibrated.
    Calibration::remove(&run.model())?;
    let name = run.name();
    let best = TrainedModel {
        settings: &settings,
        info: &info,
        run: &name,
        config: &config,
        tokenizer: &tokenizer,
        model: &model,
        scores: &scores,
        best_epoch: state.best.as_ref().map_or(0, |best| best.epoch),
        last_weights: false,
        averaged: is_averaged(state),
        unchosen: unchosen_overall(parts.as_ref(), cross_selected.as_ref()),
        made_of: None,
    };
    export_model(&run.model(), &best)?;
    if let Some(scores) = &state.last_weights {
        let fresh = build_model(&settings, &config, config.init::<B>(device), device);
        let last = TrainedModel {
            model: &store.load_last(fresh, device)?,
            scores,
            best_epoch: state.parts.last().map_or(0, |last| last.epoch),
            last_weights: true,
            averaged: false,
            unchosen: None,
            ..best
        };
        export_model(&run.last_model(), &last)?;
    }
    write_json(&run.analysis(), &analysis)?;
    if settings.data.test_limit != Some(0) {
        clock.enter_part(Phase::Predicting, Split::Test.name());
        predict_split(
            &model,
            &settings,
            &tasks,
            Split::Test,
            &run.predictions(),
            device,
            |done, rows| clock.progress(done, rows),
        )?;
    }
    clock.enter(Phase::Exporting);

    let mut data = info.data.clone();
    // Runs of older versions have not noted their test files when they began.
    for file in test_files {
        let same = |noted: &DataFile| noted.task == file.task && noted.split == file.split;
        if !data.iter().any(same) {
            data.push(file);
        }
    }
    let summary = Summary {
        run: name,
        dev: scores,
        best_epoch: state.best.as_ref().map_or(0, |best| best.epoch),
        exported: settings.train.export,
        averaged: is_averaged(state),
        best_update: state.best.as_ref().and_then(|best| best.update),
        parts,
        cross_selected,
        last_weights: state.last_weights.clone(),
        further,
        epochs: settings.train.epochs,
        ended_early: ended_early(state, &settings),
        updates: state.updates,
        seconds: state.seconds,
        training_seconds: state.training_seconds,
        wall_seconds: clock.wall_seconds(),
        phase_seconds: clock.seconds(),
        tokens: state.tokens,
        tokens_per_second: state.tokens as f64 / state.training_seconds.max(1e-9),
        peak_memory_bytes: peak_memory_bytes(),
        first_update_seconds: outcome.watch.first_update_seconds(),
        device: outcome.watch.device_use(),
        made_of: None,
        parameters: model.num_params(),
        backend: info.backend.clone(),
        seed: info.seed,
        versions: Versions {
            bertram: info.bertram.clone(),
            burn: info.burn.clone(),
        },
        data,
    };
    write_json(&run.summary(), &summary)?;
    if !settings.train.keep_training_state
        && let Err(error) = store.remove_all()
    {
        tracing::warn!("the run is finished, and its checkpoints stay: {error}");
    }
    clock.end();
    Ok(summary)
}

/// The scores of the exported model on the two parts of dev, where one of them chose it.
fn scored_parts(settings: &Settings, state: &CheckpointState) -> Option<ScoredParts> {
    settings.data.select_share?;
    let best = state.best.as_ref()?.update?;
    let of_best = state.parts.iter().rev().find(|it| it.update == best)?;
    let [chosen_on, held_out] = of_best.scores.clone();
    Some(ScoredParts {
        chosen_on,
        held_out,
    })
}

/// Whether the best model is an average: it may be of a time before there was one.
fn is_averaged(state: &CheckpointState) -> bool {
    state.best.as_ref().is_some_and(|best| best.averaged)
}

/// What a run without parts of its own scores by halves.
fn cross_selected(settings: &Settings, state: &CheckpointState) -> Option<CrossSelected> {
    if settings.data.select_share.is_some() {
        return None;
    }
    match settings.train.export {
        ExportedWeights::Best => CrossSelected::of(&state.parts, settings.train.best_metric),
        ExportedWeights::Last => state.parts.last().map(CrossSelected::unchosen),
    }
}

/// Reads the model that a finished run exported; it computes as it was trained.
pub fn load_trained<B: Backend>(
    run: &RunFolder,
    settings: &Settings,
    device: &B::Device,
) -> Result<ModelFolder<B>, PipelineError> {
    let mut folder = load_model_folder::<B>(&run.model(), device)?;
    warn_of_preprocessing(settings, &folder.tokenizer);
    folder.model.encoder = compute_as_trained(folder.model.encoder, settings, device);
    Ok(folder)
}

/// Predicts a split of every task, writes the course's files into `folder`, and scores where there are labels: the tasks' own
/// files, and further ones.
pub fn predict_split<B: Kernels>(
    model: &MultitaskModel<B>,
    settings: &Settings,
    tasks: &[TaskData],
    split: Split,
    folder: &Path,
    device: &B::Device,
    progress: impl FnMut(usize, usize),
) -> Result<(SplitScores, FurtherScores), PipelineError> {
    let predicted = predict_and_analyse(model, settings, tasks, split, folder, device, progress)?;
    Ok((predicted.scores, predicted.further))
}

/// What comes of predicting a split.
pub(crate) struct Predicted {
    pub(crate) scores: SplitScores,
    pub(crate) further: FurtherScores,
    pub(crate) analysis: Analysis,
}

/// What a task's model, or a baseline, says of the rows of a split.
pub(crate) struct SplitPredictions<'a> {
    pub(crate) task: TaskId,
    pub(crate) spec: &'a TaskSpec,
    pub(crate) split: Split,
    /// Where they are not of the task's own files.
    pub(crate) files: Option<SecondFiles>,
    pub(crate) ids: &'a [String],
    /// The numbers of all rows' labels, where all have one.
    pub(crate) labels: Option<&'a [f32]>,
    pub(crate) predictions: &'a [Prediction],
    /// Rows among them that could not be read, and have an answer all the same.
    pub(crate) bad: &'a [BadRow],
    /// Whether they are of all rows of the files: only then a leaderboard can take them.
    pub(crate) whole: bool,
}

/// Writes predictions into a folder of them: a table, and for presets the course's format beside it.
pub(crate) fn save_predictions(
    folder: &Path,
    said: &SplitPredictions<'_>,
) -> Result<(), PipelineError> {
    let SplitPredictions { task, spec, .. } = *said;
    std::fs::create_dir_all(folder).map_err(RunError::io(folder))?;
    let neutral = neutral_prediction(spec);
    let width = spec.label.width();
    let answer_to_bad = spec.labels_text(&vec![neutral as f32; width]);
    let rows = said.ids.iter().zip(said.predictions).enumerate();
    let rows = rows.map(|(index, (id, prediction))| PredictionRow {
        id: Cow::Borrowed(id.as_str()),
        gold: said
            .labels
            .and_then(|labels| labels.chunks(width).nth(index)),
        answer: prediction.text(spec),
        prediction: prediction.value,
        unclamped: matches!(spec.label, LabelKind::Score { .. }).then_some(prediction.unclamped),
        probabilities: &prediction.probabilities,
    });
    let rows = with_bad_rows(rows, said.bad, |bad| PredictionRow {
        id: Cow::Owned(bad.name()),
        gold: None,
        answer: answer_to_bad.clone(),
        prediction: neutral,
        unclamped: None,
        probabilities: &[],
    });
    let failed = |path: &Path, error: WriteError| PipelineError::Predictions {
        message: error.to_string(),
        path: path.to_owned(),
    };
    let name = match said.files {
        Some(files) => format!("{task}-{}", files.name),
        None => task.name().to_owned(),
    };
    let path = folder.join(format!("{name}-{}.csv", said.split.name()));
    write_prediction_table(&path, spec, &rows).map_err(|error| failed(&path, error))?;
    let values: Vec<f64> = rows.iter().map(|row| row.prediction).collect();
    let Some(preset) = spec.preset.filter(|_| said.whole) else {
        return Ok(());
    };
    if preset.course.is_some() && said.files.is_none() {
        let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
        let path = folder.join(format!("{task}-{}-output.csv", said.split.name()));
        write_predictions(&path, spec, &ids, &values).map_err(|error| failed(&path, error))?;
    }
    let submission = match said.files {
        Some(files) => Some(files.submission),
        None => preset.glue.submission,
    };
    if let (Split::Test, Some(name)) = (said.split, submission) {
        let path = folder.join(format!("{name}.tsv"));
        write_glue_predictions(&path, spec, &values).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// As [`predict_split`], and looks at where the predictions are right and wrong.
pub(crate) fn predict_and_analyse<B: Kernels>(
    model: &MultitaskModel<B>,
    settings: &Settings,
    tasks: &[TaskData],
    split: Split,
    folder: &Path,
    device: &B::Device,
    progress: impl FnMut(usize, usize),
) -> Result<Predicted, PipelineError> {
    let (sets, bad): (Vec<EvaluationSet<'_>>, Vec<&[BadRow]>) = tasks
        .iter()
        .filter_map(|task| {
            let set = task.evaluation_set(task.split(split)?);
            // A leaderboard counts the rows of a test file; of the others the bad ones are left out.
            let bad: &[BadRow] = match split {
                Split::Train | Split::Dev => &[],
                Split::Test => task.bad_test_rows.as_slice(),
            };
            Some((set, bad))
        })
        .unzip();
    let (scores, logits) = evaluate(
        model,
        &sets,
        settings.train.eval_batch_size,
        device,
        progress,
    );
    if let Some(task) = task_without_finite_logits(&logits) {
        return Err(PipelineError::NotFinite { task, split });
    }
    let mut analysis = Analysis::default();
    let whole = is_whole(settings, split);
    for (set, bad) in sets.iter().zip(bad) {
        let task = set.config.task;
        let Some(logits) = logits.get(&task).filter(|logits| !logits.is_empty()) else {
            continue;
        };
        let predictions = save_set(folder, split, None, set, logits, bad, whole)?;
        if let Some(labels) = &set.data.labels {
            if let Some(of_task) = tasks.iter().find(|it| it.config.task == task)
                && split == Split::Dev
            {
                let answers = Answers {
                    spec: &set.config.spec,
                    data: set.data,
                    texts: &of_task.dev_texts,
                    predictions: &predictions,
                };
                let path = |what: &str| folder.join(format!("{task}-dev-{what}.csv"));
                let written = answers
                    .write_labels(&path("labels"))
                    .and_then(|()| answers.write_mistakes(&path("mistakes")));
                written.map_err(|error| PipelineError::Predictions {
                    message: error.to_string(),
                    path: error.path.clone(),
                })?;
            }
            analysis
                .tasks
                .insert(task, TaskAnalysis::new(set.config, logits, labels));
        }
    }
    let further = predict_second(model, settings, tasks, split, folder, device)?;
    Ok(Predicted {
        scores,
        further,
        analysis,
    })
}

/// Whether all rows of a split are predicted.
pub(crate) fn is_whole(settings: &Settings, split: Split) -> bool {
    split != Split::Test || settings.data.test_limit.is_none()
}

/// Leaves of the test splits the rows that the settings want predicted.
pub(crate) fn limit_test(settings: &Settings, corpus: &mut [TaskCorpus]) {
    let Some(limit) = settings.data.test_limit else {
        return;
    };
    for task in corpus {
        let second = task.second.as_mut().and_then(|second| second.test.as_mut());
        for test in task.test.as_mut().into_iter().chain(second) {
            test.examples.truncate(limit);
            // Their places are among rows that are not predicted.
            test.skipped.clear();
        }
    }
}

/// Reads and saves the logits of a task's rows; gives what they say.
fn save_set(
    folder: &Path,
    split: Split,
    files: Option<SecondFiles>,
    set: &EvaluationSet<'_>,
    logits: &[Vec<f32>],
    bad: &[BadRow],
    whole: bool,
) -> Result<Vec<Prediction>, PipelineError> {
    let predictions: Vec<Prediction> = logits
        .iter()
        .map(|logits| set.config.predict(logits))
        .collect();
    save_predictions(
        folder,
        &SplitPredictions {
            task: set.config.task,
            spec: &set.config.spec,
            split,
            files,
            ids: &set.data.ids,
            labels: set.data.labels.as_deref(),
            predictions: &predictions,
            bad,
            whole,
        },
    )?;
    Ok(predictions)
}

/// Predicts the further files of tasks that have some.
fn predict_second<B: Kernels>(
    model: &MultitaskModel<B>,
    settings: &Settings,
    tasks: &[TaskData],
    split: Split,
    folder: &Path,
    device: &B::Device,
) -> Result<FurtherScores, PipelineError> {
    let mut further = FurtherScores::new();
    let whole = is_whole(settings, split);
    for task in tasks {
        let Some(second) = &task.second else {
            continue;
        };
        let (data, bad): (_, &[BadRow]) = match split {
            Split::Train => (None, &[]),
            Split::Dev => (second.dev.as_ref(), &[]),
            Split::Test => (second.test.as_ref(), &second.bad_test_rows),
        };
        let Some(data) = data else {
            continue;
        };
        let set = task.evaluation_set(data);
        let (scores, logits) = evaluate(
            model,
            &[set],
            settings.train.eval_batch_size,
            device,
            |_, _| {},
        );
        let name = task.config.task;
        if let Some(task) = task_without_finite_logits(&logits) {
            return Err(PipelineError::NotFinite { task, split });
        }
        let logits = logits.get(&name).map_or(&[][..], Vec::as_slice);
        save_set(folder, split, Some(second.files), &set, logits, bad, whole)?;
        if let Some(scores) = scores.tasks.get(&name) {
            further.insert(format!("{name}-{}", second.files.name), scores.clone());
        }
    }
    Ok(further)
}
