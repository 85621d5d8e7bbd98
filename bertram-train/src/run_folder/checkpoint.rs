//! Resumable checkpoints: model, optimiser, and the place in the run.

use std::path::{Path, PathBuf};

use bertram_core::encoder::{load_tensors, save_tensors};
use bertram_core::fs::{atomic_write, sync_folder};
use bertram_core::metric::SplitScores;
use bertram_core::task::{MultitaskModel, TaskMap};
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Deserialize, Serialize};

use super::window::WindowState;
use super::{RunError, read_json, sums, write_json};
use crate::average::Average;
use crate::loss_scale::LossScale;
use crate::optim::{AdamW, AdamWConfig, AdamWState};
use crate::phase::PhaseSeconds;
use crate::regulariser::Teacher;
use crate::selection::EvaluatedParts;
use crate::step::UpdateState;

/// The best evaluation of a run so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// The epoch after which (or, with `train.evaluate-every`, in which) it was made, counted from 1.
    pub epoch: usize,
    /// Updates made by then; unknown of older versions.
    #[serde(default)]
    pub update: Option<usize>,
    /// Whether it was of an average of the weights, and not of the weights before there was one.
    #[serde(default)]
    pub averaged: bool,
    /// Its scores on dev.
    pub scores: SplitScores,
}

/// The place of a checkpoint in its run. Random numbers need no state: the backend is seeded anew for every update
/// from the run's seed and the update's number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// The epoch to go on with, counted from 1.
    pub epoch: usize,
    /// Updates of that epoch already made.
    pub updates_in_epoch: usize,
    /// Updates made in all.
    pub updates: usize,
    /// The best evaluation so far.
    pub best: Option<BestSoFar>,
    /// Updates that had been made at the last evaluation.
    #[serde(default)]
    pub evaluated_at: Option<usize>,
    /// What each evaluation said of the two parts of dev, so that one part can choose and the other score.
    #[serde(default)]
    pub parts: Vec<EvaluatedParts>,
    /// Scores of the weights themselves at the last evaluation, where an average of them is what is evaluated.
    #[serde(default)]
    pub last_weights: Option<SplitScores>,
    /// Updates in the average of the weights.
    #[serde(default)]
    pub averaged_updates: u32,
    /// Evaluations since the best one.
    pub evaluations_since_best: usize,
    /// Seconds spent in training and evaluation.
    pub seconds: f64,
    /// Seconds spent in updates alone.
    pub training_seconds: f64,
    /// Seconds of all that the run's processes did so far, by phase.
    #[serde(default)]
    pub phase_seconds: PhaseSeconds,
    /// Tokens trained on, without padding.
    pub tokens: u64,
    /// What the aggregator remembers.
    #[serde(default)]
    pub aggregator: Vec<f64>,
    /// Primary score of each task on its training rows after the last epoch, where the schedule asks for it.
    #[serde(default)]
    pub train_scores: TaskMap<f64>,
    /// Optimiser steps of each parameter, in visiting order.
    pub optimizer_steps: Vec<u32>,
    /// Those of the second optimiser, where there is one.
    #[serde(default)]
    pub surgery_steps: Vec<u32>,
    /// Those of the learnt loss weights' optimiser, where there is one.
    #[serde(default)]
    pub weighting_steps: Vec<u32>,
    /// The scale of the losses, where there is one.
    #[serde(default)]
    pub loss_scale: Option<LossScale>,
    /// What was gathered since the last logged step, in the middle of an epoch; checkpoints of 0.1.0 have none.
    #[serde(default)]
    pub window: Option<WindowState>,
}

impl CheckpointState {
    /// Whether it is the state of some run: what a damaged disk or an edit leaves is found here, and not by what it leads
    /// to.
    ///
    /// # Errors
    /// A sentence that names the key.
    fn check(&self) -> Result<(), String> {
        if self.updates_in_epoch > self.updates {
            return Err(format!(
                "updates_in_epoch is {}, and the run has made {} updates",
                self.updates_in_epoch, self.updates
            ));
        }
        let steps = [
            ("optimizer_steps", &self.optimizer_steps),
            ("surgery_steps", &self.surgery_steps),
            ("weighting_steps", &self.weighting_steps),
            ("averaged_updates", &vec![self.averaged_updates]),
        ];
        // Each optimiser makes at most one step an update.
        for (key, steps) in steps {
            if let Some(steps) = steps.iter().find(|steps| **steps as usize > self.updates) {
                return Err(format!(
                    "{key} has {steps}, and the run has made {} updates",
                    self.updates
                ));
            }
        }
        for (key, seconds) in [
            ("seconds", self.seconds),
            ("training_seconds", self.training_seconds),
        ] {
            if !is_time(seconds) {
                return Err(format!("{key} is {seconds}, which is no time"));
            }
        }
        if let Some(seconds) = self.phase_seconds.values().find(|it| !is_time(**it)) {
            return Err(format!("phase_seconds has {seconds}, which is no time"));
        }
        self.window
            .as_ref()
            .map_or(Ok(()), |window| window.check(self.updates))
    }
}

/// Whether a number of seconds is one that a run can take.
fn is_time(seconds: f64) -> bool {
    (0.0..1e12).contains(&seconds)
}

/// A checkpoint read back.
pub struct Checkpoint<B: AutodiffBackend> {
    /// The model's weights.
    pub model: MultitaskModel<B>,
    /// All else that updates change.
    pub update_state: UpdateState<B>,
    /// The place in the run.
    pub state: CheckpointState,
}

const MODEL: &str = "model.safetensors";
const TEACHER: &str = "teacher.safetensors";
const AVERAGE: &str = "average.safetensors";
const LOG_VARIANCES: &str = "log_variances.safetensors";
const MAIN_OPTIMIZER: &str = "";
const SURGERY_OPTIMIZER: &str = "surgery_";
const WEIGHTING_OPTIMIZER: &str = "weighting_";
const STATE: &str = "state.json";
const CONFIG: &str = "config.toml";
const PREFIX: &str = "update-";
/// Ends the name of a folder that is being written.
const PARTIAL: &str = ".partial";
/// In a checkpoint: the best model so far. 0.1.0 had one beside the checkpoints, which the next best replaced.
const BEST: &str = "best.safetensors";

/// The checkpoints of a run.
///
/// Each also holds the best model so far, as a hard link where it can: what `state.json` says of the best epoch and that
/// model are written together, and a run that goes on from an older checkpoint has that checkpoint's best.
///
/// A checkpoint is a folder `update-N`, written under another name and renamed when complete: one that is there is whole.
/// None is ever replaced: a second checkpoint of the same update (Ctrl-C on an epoch's last update, then what followed the
/// evaluation) is `update-N.2`, and the old ones go last.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    keep: usize,
    config: Option<String>,
}

impl CheckpointStore {
    /// Checkpoints in `folder`, of which the newest `keep` stay (at least one).
    pub fn new(folder: PathBuf, keep: usize) -> Self {
        Self {
            folder,
            keep: keep.max(1),
            config: None,
        }
    }

    /// Writes the resolved config into each checkpoint, so that a run that goes on can tell whether its config was edited
    /// meanwhile.
    pub fn with_config(mut self, config: String) -> Self {
        self.config = Some(config);
        self
    }

    /// Writes a checkpoint and deletes the oldest beyond those kept. `is_best` says that `model` (its average, where there is
    /// one) is the best one so far;
    /// else that of the last checkpoint still is, where [`CheckpointState::best`] says that there is one.
    pub fn save<B: AutodiffBackend>(
        &self,
        model: &MultitaskModel<B>,
        update_state: &UpdateState<B>,
        state: CheckpointState,
        is_best: bool,
    ) -> Result<(), RunError> {
        let version = 1 + self
            .all()?
            .iter()
            .filter(|(place, _)| place.updates == state.updates)
            .map(|(place, _)| place.version)
            .max()
            .unwrap_or(0);
        let name = match version {
            1 => format!("{PREFIX}{:08}", state.updates),
            _ => format!("{PREFIX}{:08}.{version}", state.updates),
        };
        let partial = self.folder.join(format!("{name}{PARTIAL}"));
        if partial.exists() {
            std::fs::remove_dir_all(&partial).map_err(RunError::io(&partial))?;
        }
        self.make_folder()?;
        std::fs::create_dir(&partial).map_err(RunError::io(&partial))?;
        // What was evaluated is the average, from its first update on.
        let evaluated = match update_state.average.as_ref().and_then(Average::model) {
            Some(_) => AVERAGE,
            None => MODEL,
        };
        let best = match (is_best, &state.best) {
            (true, _) => Some(partial.join(evaluated)),
            (false, Some(_)) => Some(self.best()?),
            (false, None) => None,
        };
        Self::write(&partial, model, update_state, state)?;
        if let Some(best) = best {
            link_or_copy(&best, &partial.join(BEST))?;
        }
        if let Some(config) = &self.config {
            atomic_write(&partial.join(CONFIG), config.as_bytes())?;
        }
        sums::write(&partial)?;
        sync_folder(&partial).map_err(RunError::io(&partial))?;
        let target = self.folder.join(name);
        std::fs::rename(&partial, &target).map_err(RunError::io(&target))?;
        sync_folder(&self.folder).map_err(RunError::io(&self.folder))?;
        self.prune()
    }

    /// The files of a checkpoint.
    fn write<B: AutodiffBackend>(
        partial: &Path,
        model: &MultitaskModel<B>,
        update_state: &UpdateState<B>,
        mut state: CheckpointState,
    ) -> Result<(), RunError> {
        save_tensors(&partial.join(MODEL), &model.valid())?;
        state.optimizer_steps =
            save_optimizer(partial, MAIN_OPTIMIZER, &update_state.optimizer, model)?;
        if let Some(surgery) = &update_state.surgery_optimizer {
            state.surgery_steps = save_optimizer(partial, SURGERY_OPTIMIZER, surgery, model)?;
        }
        if let Some(teacher) = &update_state.teacher {
            save_tensors(&partial.join(TEACHER), teacher.module())?;
        }
        if let Some(average) = &update_state.average
            && let Some(model) = average.model()
        {
            save_tensors(&partial.join(AVERAGE), model)?;
            state.averaged_updates = average.updates();
        }
        if let Some(uncertainty) = &update_state.uncertainty {
            let numbers = uncertainty.log_variances();
            save_tensors(&partial.join(LOG_VARIANCES), &numbers.valid())?;
            state.weighting_steps = save_optimizer(
                partial,
                WEIGHTING_OPTIMIZER,
                uncertainty.optimizer(),
                numbers,
            )?;
        }
        state.loss_scale = update_state.loss_scale;
        write_json(&partial.join(STATE), &state)
    }

    /// The newest checkpoint's folder, if there is one.
    pub fn newest(&self) -> Result<Option<PathBuf>, RunError> {
        Ok(self.all()?.pop().map(|(_, folder)| folder))
    }

    /// The number of updates that the newest checkpoint holds, if there is one.
    pub fn newest_update(&self) -> Result<Option<usize>, RunError> {
        Ok(self.all()?.pop().map(|(place, _)| place.updates))
    }

    /// The file that says which config the checkpoint in a folder was made with; those of 0.1.0 have none.
    pub fn config(folder: &Path) -> Option<PathBuf> {
        Some(folder.join(CONFIG)).filter(|path| path.is_file())
    }

    /// The place in its run of the checkpoint in a folder.
    ///
    /// # Errors
    /// [`RunError::Malformed`], where it is that of no run; those of reading.
    pub fn state(folder: &Path) -> Result<CheckpointState, RunError> {
        let path = folder.join(STATE);
        let state: CheckpointState = read_json(&path)?;
        match state.check() {
            Ok(()) => Ok(state),
            Err(message) => Err(RunError::Malformed { path, message }),
        }
    }

    /// Whether the files of the checkpoint in a folder are those that were written, by their SHA-256; those of 0.1.0 do
    /// not say.
    ///
    /// # Errors
    /// [`RunError::Malformed`] names the first file that is another; those of reading.
    pub fn check_files(folder: &Path) -> Result<(), RunError> {
        sums::check(folder)
    }

    /// Reads a checkpoint into a model of the same shape. `fresh` is the state that the run began with: it says what there
    /// is to read.
    pub fn load<B: AutodiffBackend>(
        folder: &Path,
        model: MultitaskModel<B>,
        fresh: UpdateState<B>,
        config: AdamWConfig,
        device: &B::Device,
    ) -> Result<Checkpoint<B>, RunError> {
        let state = Self::state(folder)?;
        let model = load_tensors(&folder.join(MODEL), model, device)?;
        let optimizer = |name, steps: &[u32]| -> Result<AdamW<B>, RunError> {
            let moments = load_moments(folder, name, model.valid(), steps, device)?;
            Ok(AdamW::from_state(config, &model, &moments))
        };
        let uncertainty = fresh
            .uncertainty
            .map(|uncertainty| -> Result<_, RunError> {
                let numbers = uncertainty.log_variances().clone();
                let steps = &state.weighting_steps;
                let inner = numbers.valid();
                let moments = load_moments(folder, WEIGHTING_OPTIMIZER, inner, steps, device)?;
                let numbers = load_tensors(&folder.join(LOG_VARIANCES), numbers, device)?;
                Ok(uncertainty.restored(numbers, &moments))
            })
            .transpose()?;
        let update_state = UpdateState {
            optimizer: optimizer(MAIN_OPTIMIZER, &state.optimizer_steps)?,
            surgery_optimizer: fresh
                .surgery_optimizer
                .map(|_| optimizer(SURGERY_OPTIMIZER, &state.surgery_steps))
                .transpose()?,
            teacher: fresh
                .teacher
                .map(|_| load_tensors(&folder.join(TEACHER), model.valid(), device))
                .transpose()?
                .map(Teacher::from_module),
            uncertainty,
            loss_scale: fresh
                .loss_scale
                .map(|fresh| state.loss_scale.unwrap_or(fresh)),
            average: fresh
                .average
                .map(|average| -> Result<_, RunError> {
                    if state.averaged_updates == 0 {
                        return Ok(average);
                    }
                    let module = load_tensors(&folder.join(AVERAGE), model.valid(), device)?;
                    Ok(average.restored(module, state.averaged_updates))
                })
                .transpose()?,
        };
        Ok(Checkpoint {
            model,
            update_state,
            state,
        })
    }

    /// The file of the best model so far.
    ///
    /// # Errors
    /// [`RunError::Malformed`] where there is none, which names its file.
    pub fn best(&self) -> Result<PathBuf, RunError> {
        let own = self.newest()?.map(|newest| newest.join(BEST));
        let of_old_versions = self.folder.join(BEST);
        let path = own
            .filter(|own| own.is_file() || !of_old_versions.is_file())
            .unwrap_or(of_old_versions);
        match path.is_file() {
            true => Ok(path),
            false => Err(RunError::Malformed {
                path,
                message: "is missing: it is the best model so far, which the run would export in the end; put it back, \
                          or train anew"
                    .into(),
            }),
        }
    }

    /// Reads the weights of the newest checkpoint, which no evaluation has chosen, into a model of the same shape.
    ///
    /// # Errors
    /// [`RunError::Malformed`] where there is no checkpoint; those of reading.
    pub fn load_last<B: Backend>(
        &self,
        model: MultitaskModel<B>,
        device: &B::Device,
    ) -> Result<MultitaskModel<B>, RunError> {
        let newest = self.newest()?.ok_or_else(|| RunError::Malformed {
            path: self.folder.clone(),
            message: "holds no checkpoint".into(),
        })?;
        Ok(load_tensors(&newest.join(MODEL), model, device)?)
    }

    /// Reads the best model so far into a model of the same shape.
    pub fn load_best<B: Backend>(
        &self,
        model: MultitaskModel<B>,
        device: &B::Device,
    ) -> Result<MultitaskModel<B>, RunError> {
        Ok(load_tensors(&self.best()?, model, device)?)
    }

    /// Removes all checkpoints: of a run that will not go on.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn remove_all(&self) -> Result<(), RunError> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RunError::io(&self.folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Place and folder of each checkpoint, the oldest first.
    fn all(&self) -> Result<Vec<(CheckpointName, PathBuf)>, RunError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RunError::io(&self.folder)(error)),
        };
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry.map_err(RunError::io(&self.folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.and_then(CheckpointName::parse) {
                folders.push((name, path));
            }
        }
        folders.sort();
        Ok(folders)
    }

    /// Makes the folder of checkpoints, and not the run's: one that is gone was moved or removed.
    fn make_folder(&self) -> Result<(), RunError> {
        match std::fs::create_dir(&self.folder) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let run = self.folder.parent().unwrap_or(&self.folder);
                Err(RunError::Gone(run.to_owned()))
            }
            Err(error) => Err(RunError::io(&self.folder)(error)),
        }
    }

    fn prune(&self) -> Result<(), RunError> {
        let all = self.all()?;
        for (_, folder) in &all[..all.len().saturating_sub(self.keep)] {
            std::fs::remove_dir_all(folder).map_err(RunError::io(folder))?;
        }
        let of_old_versions = self.folder.join(BEST);
        if of_old_versions.is_file() && self.best()? != of_old_versions {
            std::fs::remove_file(&of_old_versions).map_err(RunError::io(&of_old_versions))?;
        }
        Ok(())
    }
}

/// Gives a file, which is never written to again, a second name; copies it where the file system has one name for each.
fn link_or_copy(file: &Path, name: &Path) -> Result<(), RunError> {
    if std::fs::hard_link(file, name).is_ok() {
        return Ok(());
    }
    std::fs::copy(file, name).map_err(RunError::io(name))?;
    let copied = std::fs::File::open(name).and_then(|copy| copy.sync_all());
    copied.map_err(RunError::io(name))
}

/// What the name of a checkpoint's folder says, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CheckpointName {
    updates: usize,
    version: usize,
}

impl CheckpointName {
    fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?;
        let (updates, version) = match name.split_once('.') {
            Some((updates, version)) => (updates, version.parse().ok()?),
            None => (name, 1),
        };
        Some(Self {
            updates: updates.parse().ok()?,
            version,
        })
    }
}

/// Writes an optimiser's moments; gives its step counts.
fn save_optimizer<B: AutodiffBackend, M: AutodiffModule<B>>(
    folder: &Path,
    name: &str,
    optimizer: &AdamW<B>,
    module: &M,
) -> Result<Vec<u32>, RunError> {
    let moments = optimizer.state(module);
    let [first, second] = moment_files(folder, name);
    save_tensors(&first, &moments.first_moments)?;
    save_tensors(&second, &moments.second_moments)?;
    Ok(moments.steps)
}

fn load_moments<B: Backend, M: Module<B>>(
    folder: &Path,
    name: &str,
    module: M,
    steps: &[u32],
    device: &B::Device,
) -> Result<AdamWState<M>, RunError> {
    let [first, second] = moment_files(folder, name);
    let parameters = burn::module::list_param_ids(&module).len();
    if steps.len() != parameters {
        return Err(RunError::Malformed {
            path: folder.join(STATE),
            message: format!(
                "has step counts of {} parameters, and the model has {parameters}",
                steps.len()
            ),
        });
    }
    Ok(AdamWState {
        first_moments: load_tensors(&first, module.clone(), device)?,
        second_moments: load_tensors(&second, module, device)?,
        steps: steps.to_vec(),
    })
}

fn moment_files(folder: &Path, name: &str) -> [PathBuf; 2] {
    ["first", "second"].map(|moment| folder.join(format!("{name}{moment}_moments.safetensors")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bertram_core::encoder::BertConfig;
    use burn::backend::{Autodiff, Flex};

    type B = Autodiff<Flex>;

    fn tiny_model(device: &burn::tensor::Device<B>) -> MultitaskModel<B> {
        let config = BertConfig {
            vocab_size: 4,
            hidden_size: 2,
            num_hidden_layers: 0,
            num_attention_heads: 1,
            intermediate_size: 2,
            max_position_embeddings: 2,
            ..BertConfig::default()
        };
        MultitaskModel::new(config.init::<B>(device), Vec::new())
    }

    #[test]
    fn a_loss_scale_comes_back_with_its_count() {
        let device = Default::default();
        let model = tiny_model(&device);
        let mut scale = LossScale::new(1024.0);
        scale.update(true);
        let state = |scale| UpdateState {
            loss_scale: scale,
            ..UpdateState::<B>::plain(AdamWConfig::default())
        };
        let dir = tempfile::tempdir().expect("temp dir");
        let store = CheckpointStore::new(dir.path().to_owned(), 1);
        let (before, place) = (state(Some(scale)), CheckpointState::default());
        store.save(&model, &before, place, false).expect("saves");
        let folder = store.newest().expect("reads").expect("one");
        for (fresh, expected) in [(Some(LossScale::default()), Some(scale)), (None, None)] {
            let config = AdamWConfig::default();
            let fresh = state(fresh);
            let read = CheckpointStore::load(&folder, model.clone(), fresh, config, &device);
            let found = read.expect("loads").update_state.loss_scale;
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_state_that_is_that_of_no_run_is_refused_by_key() {
        let dir = tempfile::tempdir().expect("temp dir");
        let whole = CheckpointState {
            epoch: 1,
            updates: 3,
            updates_in_epoch: 3,
            optimizer_steps: vec![3, 0],
            ..CheckpointState::default()
        };
        let state_of = |value: &serde_json::Value| {
            std::fs::write(dir.path().join(STATE), value.to_string()).expect("write");
            CheckpointStore::state(dir.path())
        };
        let value = serde_json::to_value(&whole).expect("JSON");
        assert_eq!(state_of(&value).expect("a state"), whole);
        let loss = |count: u64| serde_json::json!({"losses": {"sst": {"sum": 1.0, "count": count, "over_updates": "mean"}}});
        for (key, wrong) in [
            ("optimizer_steps", serde_json::json!([3, 4_294_967_295u32])),
            ("surgery_steps", serde_json::json!([4])),
            ("weighting_steps", serde_json::json!([4])),
            ("updates_in_epoch", serde_json::json!(4)),
            ("training_seconds", serde_json::json!(-1.0)),
            ("seconds", serde_json::json!(1e300)),
            ("phase_seconds", serde_json::json!({"reading": -2.0})),
            ("window", loss(0)),
            ("window", loss(4)),
            ("window", serde_json::json!({"surgery": {"updates": 4}})),
        ] {
            let mut value = value.clone();
            value[key] = wrong;
            let error = state_of(&value).expect_err(key);
            assert!(matches!(error, RunError::Malformed { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("state.json") && text.contains(key), "{text}");
        }
        // One of 0.1.0 has neither a window nor what came after it.
        let mut old = value;
        let keys = old.as_object_mut().expect("an object");
        keys.retain(|key, _| !["window", "aggregator", "loss_scale"].contains(&key.as_str()));
        assert_eq!(state_of(&old).expect("a state"), whole);
    }

    #[test]
    fn a_checkpoint_whose_files_were_changed_is_refused_by_name() {
        let device = Default::default();
        let model = tiny_model(&device);
        let dir = tempfile::tempdir().expect("temp dir");
        let store = CheckpointStore::new(dir.path().to_owned(), 1).with_config("a = 1\n".into());
        let update_state = UpdateState::<B>::plain(AdamWConfig::default());
        store
            .save(&model, &update_state, CheckpointState::default(), true)
            .expect("saves");
        let folder = store.newest().expect("reads").expect("one");
        CheckpointStore::check_files(&folder).expect("as written");
        // A name of its own for each file: one that is written to here would be two.
        std::fs::remove_file(folder.join(BEST)).expect("remove");
        std::fs::copy(folder.join(MODEL), folder.join(BEST)).expect("copy");
        let names = [
            MODEL,
            BEST,
            "first_moments.safetensors",
            "second_moments.safetensors",
            STATE,
            CONFIG,
        ];
        for name in names {
            let path = folder.join(name);
            let whole = std::fs::read(&path).expect(name);
            let mut bytes = whole.clone();
            let last = bytes.last_mut().expect("not empty");
            *last ^= 1;
            std::fs::write(&path, &bytes).expect("write");
            let changed = CheckpointStore::check_files(&folder).expect_err(name);
            std::fs::remove_file(&path).expect("remove");
            let missing = CheckpointStore::check_files(&folder).expect_err(name);
            for error in [changed, missing] {
                assert!(matches!(error, RunError::Malformed { .. }), "{error}");
                assert!(error.to_string().contains(name), "{error}");
            }
            std::fs::write(&path, whole).expect("write");
        }
        std::fs::remove_file(folder.join(sums::FILE)).expect("remove");
        CheckpointStore::check_files(&folder).expect("those of 0.1.0 do not say");
    }

    /// The numbers of a model's first parameter.
    fn numbers(model: &MultitaskModel<Flex>) -> Vec<f32> {
        let table = model.encoder.embeddings.word.weight.val();
        table.into_data().to_vec().expect("numbers")
    }

    #[test]
    fn each_checkpoint_has_the_best_model_of_its_time() {
        let device = Default::default();
        let models: Vec<_> = (0..4).map(|_| tiny_model(&device)).collect();
        let update_state = UpdateState::<B>::plain(AdamWConfig::default());
        let dir = tempfile::tempdir().expect("temp dir");
        let store = CheckpointStore::new(dir.path().to_owned(), 3);
        let scores = SplitScores {
            tasks: TaskMap::new(),
            overall: 0.5,
            mean: 0.5,
        };
        let save = |updates: usize, is_best: bool| {
            let state = CheckpointState {
                updates,
                best: (updates > 0).then(|| BestSoFar {
                    epoch: 1,
                    update: Some(updates),
                    averaged: false,
                    scores: scores.clone(),
                }),
                ..CheckpointState::default()
            };
            store.save(&models[updates], &update_state, state, is_best)
        };
        let best = || {
            let read = store.load_best(tiny_model(&device).valid(), &device);
            numbers(&read.expect("reads"))
        };
        save(0, false).expect("saves");
        let missing = store.best().expect_err("nothing was scored").to_string();
        assert!(missing.contains(BEST), "{missing}");
        save(1, true).expect("saves");
        save(2, false).expect("saves");
        assert_eq!(best(), numbers(&models[1].valid()));
        save(3, true).expect("saves");
        assert_eq!(best(), numbers(&models[3].valid()));
        // From an older checkpoint, its best.
        std::fs::remove_dir_all(store.newest().expect("reads").expect("one")).expect("remove");
        assert_eq!(best(), numbers(&models[1].valid()));

        // One of 0.1.0 lies beside the checkpoints, until the next one has it.
        let newest = store.newest().expect("reads").expect("one");
        let old = dir.path().join(BEST);
        std::fs::rename(newest.join(BEST), &old).expect("rename");
        assert_eq!(best(), numbers(&models[1].valid()));
        save(3, false).expect("saves");
        assert_eq!(best(), numbers(&models[1].valid()));
        assert!(!old.exists());

        store.remove_all().expect("removes");
        assert!(!dir.path().exists());
        store.remove_all().expect("nothing to remove");
    }

    #[test]
    fn no_checkpoint_is_replaced_and_old_ones_go_last() {
        let model = tiny_model(&Default::default());
        let update_state = UpdateState::<B>::plain(AdamWConfig::default());
        let dir = tempfile::tempdir().expect("temp dir");
        let store = CheckpointStore::new(dir.path().to_owned(), 1);
        let save = |updates: usize, tokens: u64| {
            let state = CheckpointState {
                updates,
                tokens,
                ..CheckpointState::default()
            };
            store.save(&model, &update_state, state, false)
        };
        let names = || {
            let entries = std::fs::read_dir(dir.path()).expect("list");
            let names = entries.map(|entry| entry.expect("entry").file_name());
            let mut names: Vec<_> = names
                .map(|name| name.to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        save(9, 1).expect("saves");
        save(9, 2).expect("saves again");
        assert_eq!(names(), ["update-00000009.2"]);
        save(9, 3).expect("saves again");
        assert_eq!(names(), ["update-00000009.3"]);

        // What stands in the way of the new one leaves the old one as it is.
        std::fs::write(dir.path().join("update-00000009.4.partial"), "x").expect("write");
        save(9, 4).expect_err("a file where the folder goes");
        let newest = store.newest().expect("reads").expect("one");
        assert_eq!(CheckpointStore::state(&newest).expect("state").tokens, 3);

        save(10, 5).expect("saves");
        assert_eq!(store.newest_update().expect("reads"), Some(10));
        assert_eq!(names(), ["update-00000009.4.partial", "update-00000010"]);
    }

    proptest::proptest! {
        #[test]
        fn numbers_of_a_state_are_read_as_they_were_written(
            seconds in proptest::num::f64::NORMAL,
            score in 0.0..1.0f64,
            aggregator in proptest::collection::vec(proptest::num::f64::NORMAL, 0..4),
            tokens: u64,
        ) {
            let state = CheckpointState {
                best: Some(BestSoFar {
                    epoch: 1,
                    update: None,
                    averaged: false,
                    scores: SplitScores { tasks: TaskMap::new(), overall: score, mean: score },
                }),
                seconds,
                aggregator,
                tokens,
                ..CheckpointState::default()
            };
            let text = serde_json::to_string(&state).expect("writes");
            let read: CheckpointState = serde_json::from_str(&text).expect("reads");
            proptest::prop_assert_eq!(read, state);
        }
    }
}
