//! The loop over epochs and updates.

mod scoring;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use bertram_core::seed::mix;
use bertram_core::task::MultitaskModel;
use bertram_kernels::TrainBackend;
use burn::data::dataloader::Progress;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::train::{
    EventProcessorTraining, LearnerEvent, SupervisedTrainingEventProcessor, TrainingItem,
};
use serde_json::{Value, json};

use super::series::SeriesItem;
use super::session::{Components, Outcome, StopFlag, TrainError, TrainingSession};
use super::window::{Window, WindowNumbers};
use crate::config::Settings;
use crate::corpus::TaskData;
use crate::device::DeviceWatch;
use crate::epoch::{Epoch, HostPart};
use crate::finite::{NotFinite, NotFiniteValue, non_finite_parameter, task_without_finite_output};
use crate::frozen::{FrozenVectors, Rows};
use crate::optim::LearningRateSchedule;
use crate::phase::{Phase, PhaseClock};
use crate::run_folder::{
    CheckpointState, CheckpointStore, MetricsLog, RunError, RunFolder, TensorBoardLog,
};
use crate::schedule::Schedule;
use crate::step::{Merged, TaskPart, UpdatePlan, UpdateSettings, Updater};

/// Keeps an aggregator's draws apart from the backend's.
const AGGREGATOR_STREAM: u64 = 1;

type Events<B> = SupervisedTrainingEventProcessor<Components<B>>;

/// Why an epoch's updates were not all made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Somebody asked to stop; the run can go on.
    Stopped,
    /// No evaluation was better for long enough.
    NoBetter,
    /// `train.max-updates` are made.
    MaxUpdates,
}

pub(super) struct TrainLoop<B: AutodiffBackend> {
    settings: Settings,
    tasks: Arc<[TaskData]>,
    updater: Updater<B>,
    schedule: Box<dyn Schedule>,
    state: CheckpointState,
    store: CheckpointStore,
    metrics: MetricsLog,
    tensorboard: Option<TensorBoardLog>,
    device: B::Device,
    watch: DeviceWatch,
    clock: PhaseClock,
    stop: StopFlag,
    rates: LearningRateSchedule,
    /// Updates of the whole run, if nothing stops it early.
    updates: usize,
    last_evaluation_seconds: f64,
    /// The model was just found the best so far, which the next checkpoint is to say.
    best_is_new: bool,
    started: Instant,
    seconds_before: f64,
    /// Vectors of an encoder that gives the same for a row each time.
    frozen: Option<FrozenVectors<B::InnerBackend>>,
}

impl<B: TrainBackend> TrainLoop<B> {
    pub(super) fn run(
        session: TrainingSession<B>,
        events: &mut Events<B>,
    ) -> (MultitaskModel<B>, Result<Outcome, TrainError>) {
        let TrainingSession {
            settings,
            tasks,
            model,
            methods,
            schedule,
            update_state,
            state,
            run,
            device,
            watch,
            clock,
            stop,
        } = session;
        let train = &settings.train;
        let metrics = match MetricsLog::open(&run.metrics(), state.updates) {
            Ok(metrics) => metrics,
            Err(error) => return (model, Err(error.into())),
        };
        let tensorboard = match tensorboard(&settings, &run, state.updates) {
            Ok(tensorboard) => tensorboard,
            Err(error) => return (model, Err(error.into())),
        };
        let updates = Epoch::updates_of_run(&*schedule, &settings, &tasks);
        if updates == 0 && train.epochs > 0 {
            return (model, Err(TrainError::NoBatches));
        }
        let mut updater = Updater::with_methods(
            UpdateSettings {
                learning_rate: train.learning_rate,
                head_learning_rate: train.head_learning_rate,
                module_rates: settings.module_rates(),
                max_grad_norm: train.max_grad_norm,
                weights: settings
                    .tasks
                    .iter()
                    .map(|task| (task.task, task.weight))
                    .collect(),
                aggregator: settings.aggregator,
                regularisers: settings.regulariser.clone(),
                updates,
            },
            methods,
            update_state,
            &model,
        );
        updater.aggregator().restore(&state.aggregator);
        let frozen = settings.model.encodes_once().then(|| {
            // Regularisers look into the encoder, and what is learnt behind it changes vectors.
            let kept = tasks.iter().filter(|task| !task.config.learns_vectors());
            let kept = kept.map(|task| task.config.task);
            let kept = kept.filter(|task| !updater.has_regulariser(*task));
            FrozenVectors::new(kept, train.eval_batch_size, device.clone())
        });
        let mut training = Self {
            rates: LearningRateSchedule::new(train.lr_schedule, train.warmup, updates),
            store: CheckpointStore::new(run.checkpoints(), train.keep_checkpoints)
                .with_config(settings.to_toml()),
            updater,
            schedule,
            seconds_before: state.seconds,
            state,
            metrics,
            tensorboard,
            device,
            watch,
            clock,
            stop,
            updates,
            last_evaluation_seconds: 0.0,
            best_is_new: false,
            started: Instant::now(),
            frozen,
            tasks: tasks.into(),
            settings,
        };
        let mut model = Some(model);
        let result = training.epochs(&mut model, events);
        let outcome = result.map(|interrupted| Outcome {
            state: training.state,
            interrupted,
            watch: training.watch,
            clock: training.clock,
        });
        match model {
            Some(model) => (model, outcome),
            // `epochs` puts the model back after every update.
            None => unreachable!("the loop holds a model between updates"),
        }
    }

    /// Gives whether the training was stopped before its end.
    fn epochs(
        &mut self,
        model: &mut Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> Result<bool, TrainError> {
        let epochs = self.settings.train.epochs;
        while self.state.epoch <= epochs && !self.is_done() {
            // Before an epoch's first update, too: on a GPU the first of all takes as long as its kernels to compile.
            if self.stop.stops_before(self.state.epoch) {
                return Ok(true);
            }
            if self.early_stop() {
                tracing::info!(
                    "stopping early: no better overall score for {} evaluations",
                    self.state.evaluations_since_best
                );
                return Ok(false);
            }
            self.clock.enter(Phase::Training);
            let epoch = Epoch::plan_by(
                &*self.schedule,
                &self.settings,
                &self.tasks,
                self.state.epoch,
                &self.state.train_scores,
            );
            if self.encode_rows(model, events) {
                return Ok(true);
            }
            let paused = self.updates(&epoch, model, events)?;
            if paused == Some(Pause::Stopped) {
                return Ok(true);
            }
            let ends = self.state.epoch >= epochs || self.state.updates >= self.updates;
            if ends && !self.updater.has_stepped() {
                return Err(TrainError::NothingLearnt {
                    updates: self.state.updates,
                });
            }
            if paused == Some(Pause::NoBetter) {
                continue;
            }
            events.process_train(LearnerEvent::EndEpoch(self.state.epoch));
            self.clock.enter(Phase::Evaluating);
            if !self.is_evaluated() {
                self.evaluate(model, events)?;
            }
            self.watch.look();
            if paused == Some(Pause::MaxUpdates) {
                // In the middle of an epoch: with more updates the run goes on from here.
                self.checkpoint(model)?;
                return Ok(false);
            }
            self.score_training_rows(model, events)?;
            self.state.epoch += 1;
            self.state.updates_in_epoch = 0;
            self.checkpoint(model)?;
        }
        if self.state.best.is_none() {
            self.clock.enter(Phase::Evaluating);
            self.evaluate(model, events)?;
            self.checkpoint(model)?;
        }
        Ok(false)
    }

    /// Whether all updates are made and the model after them is evaluated.
    fn is_done(&self) -> bool {
        self.state.updates >= self.updates && self.is_evaluated()
    }

    /// Whether there was no update since the last evaluation.
    fn is_evaluated(&self) -> bool {
        self.state.evaluated_at == Some(self.state.updates)
    }

    fn early_stop(&self) -> bool {
        let patience = self.settings.train.early_stopping;
        patience > 0 && self.state.evaluations_since_best >= patience
    }

    /// The updates of an epoch that are not yet made. Gives why they were not all made, where they were not.
    fn updates(
        &mut self,
        epoch: &Epoch,
        model: &mut Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> Result<Option<Pause>, TrainError> {
        let tasks = self.tasks.clone();
        std::thread::scope(|scope| {
            let batches = epoch.prefetch(scope, &tasks, self.state.updates_in_epoch);
            self.updates_on(epoch, batches, model, events)
        })
    }

    /// [`updates`](Self::updates), with the batches of each.
    fn updates_on(
        &mut self,
        epoch: &Epoch,
        batches: Receiver<Vec<HostPart>>,
        model: &mut Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> Result<Option<Pause>, TrainError> {
        let train = self.settings.train.clone();
        // What was gathered since the last logged step of an epoch that goes on: its next line is to say the same.
        let mut window = match self.state.window.take() {
            Some(window) => Window::resumed(&window, &self.device),
            None => Window::new(),
        };
        let mut begun = Instant::now();
        let seconds_before = self.state.training_seconds;
        while self.state.updates_in_epoch < epoch.updates.len() {
            if self.state.updates >= self.updates {
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                self.state.window = window.state();
                return Ok(Some(Pause::MaxUpdates));
            }
            if self.evaluation_is_due() {
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                let evaluating = Instant::now();
                self.clock.enter(Phase::Evaluating);
                self.evaluate(model, events)?;
                self.checkpoint_within(model, &window)?;
                self.clock.enter(Phase::Training);
                if self.early_stop() {
                    return Ok(Some(Pause::NoBetter));
                }
                if self.stop.is_set() {
                    return Ok(Some(Pause::Stopped));
                }
                begun += evaluating.elapsed();
                window.pause(evaluating.elapsed());
            }
            // A thread that is gone before its last batches has panicked; the scope says so.
            let Ok(parts) = batches.recv() else {
                break;
            };
            let Some(current) = model.take() else {
                break;
            };
            let number = self.state.updates;
            // Random numbers follow from the seed and the update alone, so that a resumed run draws the same.
            B::seed(&self.device, mix(train.seed, number as u64));
            let update = &epoch.updates[self.state.updates_in_epoch];
            let parts = parts.into_iter().map(|part| self.to_device(part));
            let parts: Vec<TaskPart<B>> = parts.collect();
            let last = self.state.updates_in_epoch + 1 == epoch.updates.len()
                || number + 1 == self.updates;
            let shown = (number + 1).is_multiple_of(train.log_every) || last;
            let lr_factor = self.rates.factor(number);
            let plan = UpdatePlan {
                parts: &parts,
                merge: update.merge,
                optimizer: update.optimizer,
                number,
                lr_factor,
                log_diagnostics: shown,
                seed: mix(mix(train.seed, number as u64), AGGREGATOR_STREAM),
            };
            let (next, output) = self.updater.update(current, &plan);
            *model = Some(next);
            self.state.updates += 1;
            self.state.updates_in_epoch += 1;
            self.state.tokens += output.tokens as u64;
            self.stop.update_made();
            window.add(&output);
            if self.watch.awaits_first_update() {
                // Once in a process: so that it is known when a run has begun to move.
                let _ = B::sync(&self.device);
                self.watch.first_update_made();
            }
            if let Some(merged) = &output.merged {
                self.log_surgery(merged)?;
            }

            if shown || self.updater.check_is_due() {
                self.check_finite()?;
            }
            let numbers = if shown {
                let full = std::mem::replace(&mut window, Window::new());
                let numbers = self.log_step(full.read(), lr_factor)?;
                self.watch.look();
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                numbers
            } else {
                SeriesItem::default()
            };
            events.process_train(LearnerEvent::ProcessedItem(TrainingItem::new(
                numbers,
                Progress::new(self.state.updates_in_epoch, epoch.updates.len()),
                Progress::new(self.state.epoch, train.epochs),
                Some(self.state.updates),
                Some(train.learning_rate * lr_factor),
            )));

            if self.stop.is_set() {
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                self.checkpoint_after(model, &parts, &window)?;
                return Ok(Some(Pause::Stopped));
            }
            let due = train.checkpoint_every > 0
                && self.state.updates.is_multiple_of(train.checkpoint_every);
            // An evaluation leaves a checkpoint of its own.
            if due && !last && !self.evaluation_is_due() {
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                self.checkpoint_after(model, &parts, &window)?;
            }
        }
        Ok(None)
    }

    /// Whether an evaluation in the middle of an epoch is due and was not made yet: a run that was stopped before it makes
    /// it when it goes on.
    fn evaluation_is_due(&self) -> bool {
        let every = self.settings.train.evaluate_every;
        every.is_some_and(|every| {
            self.state.updates_in_epoch > 0
                && self.state.updates.is_multiple_of(every)
                && !self.is_evaluated()
        })
    }

    /// A part on the device, with the vectors of a frozen encoder.
    fn to_device(&self, part: HostPart) -> TaskPart<B> {
        let batches = part.batches.iter();
        let rows: Vec<_> = batches
            .map(|it| (it.rows.clone(), it.swapped.clone()))
            .collect();
        let mut part = part.to_device::<B>(&self.device);
        if let Some(frozen) = &self.frozen {
            for (batch, (rows, swapped)) in part.batches.iter_mut().zip(rows) {
                let pooled = frozen.of(part.task, Rows::Train, &rows, &swapped);
                batch.pooled = pooled.map(Tensor::from_inner);
            }
        }
        part
    }

    /// Writes how an update's task gradients lay to each other.
    fn log_surgery(&mut self, merged: &Merged) -> Result<(), TrainError> {
        let mut line = json!({
            "kind": "surgery",
            "epoch": self.state.epoch,
            "update": self.state.updates,
        });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), merged.to_json()) {
            line.extend(fields);
        }
        self.log(&line)
    }

    /// Writes a window's numbers to `metrics.jsonl`, and gives them to the dashboard.
    fn log_step(
        &mut self,
        numbers: WindowNumbers,
        lr_factor: f64,
    ) -> Result<SeriesItem, TrainError> {
        let updater = &self.updater;
        for warning in updater.warnings(&numbers.measures, self.state.updates) {
            tracing::warn!("{warning}");
        }
        let rate = self.settings.train.learning_rate * lr_factor;
        self.state.seconds = self.seconds();
        let mut line = json!({
            "kind": "train",
            "epoch": self.state.epoch,
            "update": self.state.updates,
            "updates": self.updates,
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(numbers.fields());
            line.insert("learning_rate".into(), json!(rate));
            line.insert("tokens_per_second".into(), json!(numbers.tokens_per_second));
            line.insert("seconds".into(), json!(self.state.seconds));
        }
        self.log(&line)?;
        let mut series = numbers.series();
        series.insert("learning rate".into(), rate);
        series.insert("left".into(), self.seconds_left());
        Ok(SeriesItem(Arc::new(series)))
    }

    /// A line of `metrics.jsonl`, and the same for TensorBoard.
    fn log(&mut self, line: &Value) -> Result<(), TrainError> {
        self.metrics.write(line)?;
        if let Some(tensorboard) = &mut self.tensorboard {
            tensorboard.line(line)?;
        }
        Ok(())
    }

    /// Ends the run where an update was not finite.
    fn check_finite(&mut self) -> Result<(), TrainError> {
        let checked = self.updater.check_finite();
        checked.map_err(|cause| self.diverged(cause))
    }

    /// Ends the run where a model that is about to be kept is not finite.
    fn check_weights(&self, model: &MultitaskModel<B::InnerBackend>) -> Result<(), TrainError> {
        match non_finite_parameter(model) {
            Some(name) => Err(self.diverged(NotFinite {
                update: self.state.updates,
                what: NotFiniteValue::Weights(name),
            })),
            None => Ok(()),
        }
    }

    fn diverged(&self, cause: NotFinite) -> TrainError {
        TrainError::Diverged {
            cause,
            checkpoint: self.store.newest_update().ok().flatten(),
        }
    }

    /// A checkpoint in the middle of an epoch, of a model that nobody has evaluated: an update with a rate far too high
    /// leaves weights that are finite and compute nothing, and a run could not go on from there. So it is shown the batches
    /// of the update once more.
    fn checkpoint_after(
        &mut self,
        model: &Option<MultitaskModel<B>>,
        parts: &[TaskPart<B>],
        window: &Window<B::InnerBackend>,
    ) -> Result<(), TrainError> {
        self.check_finite()?;
        let Some(valid) = model.as_ref().map(AutodiffModule::valid) else {
            return Ok(());
        };
        self.check_weights(&valid)?;
        let first_batches = parts.iter().filter_map(|part| part.batches.first());
        if let Some(task) = task_without_finite_output(&valid, first_batches) {
            return Err(self.diverged(NotFinite {
                update: self.state.updates,
                what: NotFiniteValue::Predictions(task),
            }));
        }
        self.checkpoint_within(model, window)
    }

    /// A checkpoint in the middle of an epoch, of a model that was just found finite.
    fn checkpoint_within(
        &mut self,
        model: &Option<MultitaskModel<B>>,
        window: &Window<B::InnerBackend>,
    ) -> Result<(), TrainError> {
        self.state.window = window.state();
        let saved = self.checkpoint(model);
        // It is the window's own; at an epoch's end there is none.
        self.state.window = None;
        saved
    }

    /// A checkpoint of a model that was just found finite: by an evaluation, or by [`checkpoint_after`](Self::checkpoint_after).
    fn checkpoint(&mut self, model: &Option<MultitaskModel<B>>) -> Result<(), TrainError> {
        if let Some(model) = model {
            self.state.seconds = self.seconds();
            self.state.phase_seconds = self.clock.seconds();
            self.state.aggregator = self.updater.aggregator().state();
            let is_best = std::mem::take(&mut self.best_is_new);
            let state = self.state.clone();
            let (store, updater) = (&self.store, &self.updater);
            self.clock.within(Phase::Checkpointing, || {
                store.save(model, updater.state(), state, is_best)
            })?;
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn seconds_left(&self) -> f64 {
        let epochs = self.settings.train.epochs;
        let updates_left = self.updates.saturating_sub(self.state.updates);
        let within_epochs = |updates: usize| {
            let every = self.settings.train.evaluate_every;
            every.map_or(0, |every| updates / every)
        };
        let evaluations_left =
            (epochs + 1).saturating_sub(self.state.epoch) + within_epochs(updates_left);
        let made = self.state.updates.max(1) as f64;
        // Evaluations are in `seconds`, too; until the first one is made they are unknown.
        let evaluations_made =
            self.state.epoch.saturating_sub(1) + within_epochs(self.state.updates);
        let evaluations_made = evaluations_made as f64;
        let training =
            (self.state.seconds - evaluations_made * self.last_evaluation_seconds).max(0.0);
        updates_left as f64 * training / made
            + evaluations_left as f64 * self.last_evaluation_seconds
    }
}

/// The event file of this sitting, where the settings want one.
fn tensorboard(
    settings: &Settings,
    run: &RunFolder,
    update: usize,
) -> Result<Option<TensorBoardLog>, RunError> {
    if !settings.logging.tensorboard {
        return Ok(None);
    }
    let mut log = TensorBoardLog::create(&run.tensorboard(), update)?;
    if update == 0 {
        let config = settings.to_toml();
        // Markdown shows what is indented as it is.
        let lines: Vec<String> = config.lines().map(|line| format!("    {line}")).collect();
        log.text("config", 0, &lines.join("\n"))?;
        let leaves = settings.leaves().into_iter();
        let leaves = leaves.map(|(key, value)| (key, value.to_string()));
        log.hyperparameters(&leaves.collect::<Vec<_>>())?;
    }
    Ok(Some(log))
}
