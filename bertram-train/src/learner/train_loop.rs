//! The loop over epochs and updates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bertram_core::data::{TokenizedDataset, sample_rows};
use bertram_core::metric::SplitScores;
use bertram_core::task::{MultitaskModel, TaskId};
use bertram_kernels::TrainBackend;
use burn::data::dataloader::Progress;
use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW as BurnAdamW, AdamWConfig as BurnAdamWConfig};
use burn::tensor::backend::AutodiffBackend;
use burn::train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, LearningComponentsMarker,
    SupervisedLearningStrategy, SupervisedTraining, SupervisedTrainingEventProcessor, TrainLoader,
    TrainingComponents, TrainingItem, TrainingStrategy, ValidLoader,
};
use serde_json::{Value, json};

use super::burn_parts::{NoBatches, NoMetricFiles, Trainee};
use super::dashboard::Dashboard;
use super::series::{Series, SeriesItem};
use super::window::{Window, WindowNumbers, gradient_norm_series, measure_series};
use crate::config::Settings;
use crate::corpus::TaskData;
use crate::epoch::{Epoch, HostPart, mix};
use crate::evaluate::{EvaluationSet, evaluate};
use crate::optim::LearningRateSchedule;
use crate::run_folder::{
    BestSoFar, CheckpointState, CheckpointStore, MetricsLog, RunError, RunFolder,
};
use crate::schedule::Order;
use crate::step::{Merged, TaskPart, UpdatePlan, UpdateSettings, UpdateState, Updater};

/// Errors while training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The run folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A loss left the numbers.
    #[error(
        "the loss of {task} is not finite at update {update}; try a lower train.learning-rate, a bound in train.max-grad-norm, or train.warmup"
    )]
    Diverged {
        /// The task.
        task: TaskId,
        /// The update.
        update: usize,
    },
    /// There is nothing to learn from.
    #[error("there are no batches to train on: every task's training split is empty")]
    NoBatches,
    /// burn-train gave up.
    #[error("the dashboard ended the training at once; the last checkpoint of the run is whole")]
    Killed,
}

/// Asks a training to stop after its current update; shared with signal handlers.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks to stop. Gives whether it was asked before.
    pub fn stop(&self) -> bool {
        self.0.swap(true, Ordering::SeqCst)
    }

    /// Whether a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Everything a training needs.
pub struct TrainingSession<B: AutodiffBackend> {
    /// Checked settings.
    pub settings: Settings,
    /// Tokenised data.
    pub tasks: Vec<TaskData>,
    /// The model as it is at `state`.
    pub model: MultitaskModel<B>,
    /// All else that updates change, as it is at `state`.
    pub update_state: UpdateState<B>,
    /// Where to go on; epoch 1 for a new run.
    pub state: CheckpointState,
    /// The run's folder.
    pub run: RunFolder,
    /// Where to compute.
    pub device: B::Device,
    /// Set from outside to stop after an update.
    pub stop: StopFlag,
}

/// How a training ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The place it ended at.
    pub state: CheckpointState,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

type Components<B> =
    LearningComponentsMarker<B, f64, Trainee<B>, OptimizerAdaptor<BurnAdamW, Trainee<B>, B>>;

/// Trains to the end of the settings' epochs, to early stopping, or until the stop flag is set.
pub fn train<B: TrainBackend>(
    session: TrainingSession<B>,
    dashboard: Dashboard,
) -> Result<Outcome, TrainError> {
    let trainee = Trainee {
        model: session.model.clone(),
    };
    let interrupter = Interrupter::new();
    let run = session.run.path().to_owned();
    let epochs = session.settings.train.epochs;
    let tasks: Vec<TaskId> = session.tasks.iter().map(|task| task.config.task).collect();
    let settings = &session.settings.train;
    // Where every update has one task there is nothing to compare.
    let several_tasks = settings.schedule.takes_several_tasks() || settings.epoch_end_surgery;
    let measures: Vec<String> = session
        .settings
        .measures()
        .into_iter()
        .map(|(name, task)| measure_series(name, task))
        .collect();
    let result = Arc::new(Mutex::new(None));
    let strategy = MultitaskStrategy {
        session: Mutex::new(Some(session)),
        result: result.clone(),
    };

    let mut training =
        SupervisedTraining::<Components<B>>::new(run, NoBatches::loader(), NoBatches::loader())
            .with_application_logger(None)
            .with_metric_logger(NoMetricFiles)
            .with_interrupter(interrupter.clone())
            .num_epochs(epochs)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
    for task in &tasks {
        training = training
            .metric_train_numeric(Series::new(format!("{task} loss"), None, false))
            .metric_valid_numeric(Series::new(
                format!("{task} {}", dev_score_name(*task)),
                None,
                true,
            ));
    }
    if several_tasks {
        for (index, one) in tasks.iter().enumerate() {
            for other in &tasks[index + 1..] {
                training = training.metric_train_numeric(Series::new(
                    format!("cosine {one}-{other}"),
                    None,
                    true,
                ));
            }
        }
        training = training.metric_train_numeric(Series::new("conflict share", None, false));
        for task in &tasks {
            let name = gradient_norm_series(task.name());
            training = training.metric_train_numeric(Series::new(name, None, false));
        }
    }
    for measure in measures {
        training = training.metric_train_numeric(Series::new(measure, None, false));
    }
    training = training
        .metric_valid_numeric(Series::new("overall", None, true))
        .metric_train_numeric(Series::new("learning rate", None, false))
        .metric_train_numeric(Series::new("tokens/s", None, true))
        .metric_train_numeric(Series::new("left", Some("min"), false));
    let training = dashboard.attach(training, interrupter);

    // The learner carries the model into burn-train; rates and steps are the strategy's.
    let learner = Learner::new(trainee, BurnAdamWConfig::new().init(), 0.0);
    drop(training.launch(learner));
    let outcome = result.lock().ok().and_then(|mut slot| slot.take());
    outcome.unwrap_or(Err(TrainError::Killed))
}

fn dev_score_name(task: TaskId) -> &'static str {
    match task.spec().primary {
        bertram_core::task::PrimaryMetric::Accuracy => "accuracy",
        bertram_core::task::PrimaryMetric::Pearson => "pearson",
    }
}

type Slot = Arc<Mutex<Option<Result<Outcome, TrainError>>>>;

struct MultitaskStrategy<B: AutodiffBackend> {
    session: Mutex<Option<TrainingSession<B>>>,
    result: Slot,
}

impl<B: TrainBackend> SupervisedLearningStrategy<Components<B>> for MultitaskStrategy<B> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B>>,
        learner: Learner<Components<B>>,
        _train: TrainLoader<Components<B>>,
        _valid: ValidLoader<Components<B>>,
        _starting_epoch: usize,
    ) -> (Trainee<B>, SupervisedTrainingEventProcessor<Components<B>>) {
        let mut events = components.event_processor;
        let session = self.session.lock().ok().and_then(|mut slot| slot.take());
        let Some(session) = session else {
            return (learner.model(), events);
        };
        // The session's model is the only one left: parameters that nobody shares are updated in place.
        drop(learner);
        let (model, outcome) = TrainLoop::run(session, &mut events, &components.interrupter);
        if let Ok(mut slot) = self.result.lock() {
            *slot = Some(outcome);
        }
        (Trainee { model }, events)
    }
}

/// Keeps an aggregator's draws apart from the backend's.
const AGGREGATOR_STREAM: u64 = 1;

type Events<B> = SupervisedTrainingEventProcessor<Components<B>>;

struct TrainLoop<B: AutodiffBackend> {
    settings: Settings,
    tasks: Arc<[TaskData]>,
    updater: Updater<B>,
    state: CheckpointState,
    store: CheckpointStore,
    metrics: MetricsLog,
    device: B::Device,
    stop: StopFlag,
    rates: LearningRateSchedule,
    updates_per_epoch: usize,
    last_evaluation_seconds: f64,
    started: Instant,
    seconds_before: f64,
}

impl<B: TrainBackend> TrainLoop<B> {
    fn run(
        session: TrainingSession<B>,
        events: &mut Events<B>,
        interrupter: &Interrupter,
    ) -> (MultitaskModel<B>, Result<Outcome, TrainError>) {
        let TrainingSession {
            settings,
            tasks,
            model,
            update_state,
            state,
            run,
            device,
            stop,
        } = session;
        let train = &settings.train;
        let metrics = match MetricsLog::open(&run.metrics(), state.updates) {
            Ok(metrics) => metrics,
            Err(error) => return (model, Err(error.into())),
        };
        let updates_per_epoch = Epoch::plan(&settings, &tasks, 1, &BTreeMap::new())
            .updates
            .len();
        if updates_per_epoch == 0 && train.epochs > 0 {
            return (model, Err(TrainError::NoBatches));
        }
        let mut updater = Updater::new(
            UpdateSettings {
                learning_rate: train.learning_rate,
                head_learning_rate: train.head_learning_rate,
                max_grad_norm: train.max_grad_norm,
                weights: settings
                    .tasks
                    .iter()
                    .map(|task| (task.task, task.weight))
                    .collect(),
                aggregator: settings.aggregator,
                regularisers: settings.regulariser.clone(),
                updates: train.epochs * updates_per_epoch,
            },
            update_state,
            &model,
        );
        updater.aggregator().restore(&state.aggregator);
        let mut training = Self {
            rates: LearningRateSchedule::new(
                train.lr_schedule,
                train.warmup,
                train.epochs * updates_per_epoch,
            ),
            store: CheckpointStore::new(run.checkpoints(), train.keep_checkpoints),
            updater,
            seconds_before: state.seconds,
            state,
            metrics,
            device,
            stop,
            updates_per_epoch,
            last_evaluation_seconds: 0.0,
            started: Instant::now(),
            tasks: tasks.into(),
            settings,
        };
        let mut model = Some(model);
        let result = training.epochs(&mut model, events, interrupter);
        let outcome = result.map(|interrupted| Outcome {
            state: training.state,
            interrupted,
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
        interrupter: &Interrupter,
    ) -> Result<bool, TrainError> {
        let epochs = self.settings.train.epochs;
        while self.state.epoch <= epochs {
            if self.early_stop() {
                tracing::info!(
                    "stopping early: no better overall score for {} evaluations",
                    self.state.evaluations_since_best
                );
                return Ok(false);
            }
            let epoch = Epoch::plan(
                &self.settings,
                &self.tasks,
                self.state.epoch,
                &self.state.train_scores,
            );
            if self.updates(&epoch, model, events, interrupter)? {
                return Ok(true);
            }
            events.process_train(LearnerEvent::EndEpoch(self.state.epoch));
            self.evaluate(model, events)?;
            self.score_training_rows(model)?;
            self.state.epoch += 1;
            self.state.updates_in_epoch = 0;
            self.checkpoint(model)?;
        }
        if self.state.best.is_none() {
            self.evaluate(model, events)?;
        }
        Ok(false)
    }

    fn early_stop(&self) -> bool {
        let patience = self.settings.train.early_stopping;
        patience > 0 && self.state.evaluations_since_best >= patience
    }

    /// The updates of an epoch that are not yet made. Gives whether it was stopped.
    fn updates(
        &mut self,
        epoch: &Epoch,
        model: &mut Option<MultitaskModel<B>>,
        events: &mut Events<B>,
        interrupter: &Interrupter,
    ) -> Result<bool, TrainError> {
        let tasks = self.tasks.clone();
        std::thread::scope(|scope| {
            let batches = epoch.prefetch(scope, &tasks, self.state.updates_in_epoch);
            self.updates_on(epoch, batches, model, events, interrupter)
        })
    }

    /// [`updates`](Self::updates), with the batches of each.
    fn updates_on(
        &mut self,
        epoch: &Epoch,
        batches: Receiver<Vec<HostPart>>,
        model: &mut Option<MultitaskModel<B>>,
        events: &mut Events<B>,
        interrupter: &Interrupter,
    ) -> Result<bool, TrainError> {
        let train = self.settings.train.clone();
        let mut window = Window::new();
        let begun = Instant::now();
        let seconds_before = self.state.training_seconds;
        while self.state.updates_in_epoch < epoch.updates.len() {
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
            let parts = parts.into_iter().map(|part| part.to_device(&self.device));
            let parts: Vec<TaskPart<B>> = parts.collect();
            let last = self.state.updates_in_epoch + 1 == epoch.updates.len();
            let shown = (number + 1).is_multiple_of(train.log_every) || last;
            let factor = self.rates.factor(number);
            let plan = UpdatePlan {
                parts: &parts,
                merge: update.merge,
                optimizer: update.optimizer,
                number,
                factor,
                look: shown,
                seed: mix(mix(train.seed, number as u64), AGGREGATOR_STREAM),
            };
            let (next, output) = self.updater.update(current, &plan);
            *model = Some(next);
            self.state.updates += 1;
            self.state.updates_in_epoch += 1;
            self.state.tokens += output.tokens as u64;
            window.add(&output);
            if let Some(merged) = &output.merged {
                self.log_surgery(merged)?;
            }

            let numbers = if shown {
                let full = std::mem::replace(&mut window, Window::new());
                let numbers = self.log_step(full.read(), factor)?;
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
                Some(train.learning_rate * factor),
            )));

            if self.stop.is_set() || interrupter.should_stop() {
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                self.checkpoint(model)?;
                return Ok(true);
            }
            let due = train.checkpoint_every > 0
                && self.state.updates.is_multiple_of(train.checkpoint_every);
            if due && !last {
                self.state.training_seconds = seconds_before + begun.elapsed().as_secs_f64();
                self.checkpoint(model)?;
            }
        }
        Ok(false)
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
        Ok(self.metrics.write(&line)?)
    }

    /// Writes a window's numbers to `metrics.jsonl`, and gives them to the dashboard.
    fn log_step(&mut self, numbers: WindowNumbers, factor: f64) -> Result<SeriesItem, TrainError> {
        let lost = numbers.losses.iter().find(|(_, loss)| !loss.is_finite());
        if let Some((&task, _)) = lost {
            return Err(TrainError::Diverged {
                task,
                update: self.state.updates,
            });
        }
        for (task, skipped) in numbers.measures.get("smart_skipped").into_iter().flatten() {
            if *skipped > 0.0 {
                tracing::warn!(
                    "{task}: SMART found no finite perturbation for {skipped} examples up to update {}; they had no penalty",
                    self.state.updates
                );
            }
        }
        let rate = self.settings.train.learning_rate * factor;
        self.state.seconds = self.seconds();
        let mut line = json!({
            "kind": "train",
            "epoch": self.state.epoch,
            "update": self.state.updates,
            "updates": self.settings.train.epochs * self.updates_per_epoch,
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(numbers.fields());
            line.insert("learning_rate".into(), json!(rate));
            line.insert("tokens_per_second".into(), json!(numbers.tokens_per_second));
            line.insert("seconds".into(), json!(self.state.seconds));
        }
        self.metrics.write(&line)?;
        let mut series = numbers.series();
        series.insert("learning rate".into(), rate);
        series.insert("left".into(), self.seconds_left() / 60.0);
        Ok(SeriesItem(Arc::new(series)))
    }

    /// Scores each task on (some of) its training rows, where the order of the next epoch depends on it.
    fn score_training_rows(&mut self, model: &Option<MultitaskModel<B>>) -> Result<(), TrainError> {
        let train = &self.settings.train;
        let Some(model) = model.as_ref().filter(|_| train.order == Order::LowestLast) else {
            return Ok(());
        };
        let rows: Vec<TokenizedDataset> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(index, task)| {
                let seed = mix(train.seed, index as u64);
                let rows = sample_rows(task.train.len(), train.score_rows, seed);
                task.train.select(&rows)
            })
            .collect();
        let sets: Vec<EvaluationSet<'_>> = self
            .tasks
            .iter()
            .zip(&rows)
            .map(|(task, data)| EvaluationSet {
                config: &task.config,
                batcher: &task.batcher,
                data,
            })
            .collect();
        let (scores, _) = evaluate(
            &model.valid(),
            &sets,
            train.eval_batch_size,
            &self.device,
            |_, _, _| {},
        );
        self.state.train_scores = scores
            .tasks
            .iter()
            .map(|(task, scores)| (*task, scores.primary()))
            .collect();
        let scores = serde_json::to_value(&self.state.train_scores).unwrap_or_default();
        self.metrics.write(&json!({
            "kind": "train_scores",
            "epoch": self.state.epoch,
            "update": self.state.updates,
            "scores": scores,
        }))?;
        Ok(())
    }

    /// Scores the whole dev split of every task; keeps the model if it is the best so far.
    fn evaluate(
        &mut self,
        model: &Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> Result<(), TrainError> {
        let Some(model) = model else {
            return Ok(());
        };
        let begun = Instant::now();
        let valid = model.valid();
        let sets: Vec<EvaluationSet<'_>> = self
            .tasks
            .iter()
            .map(|task| EvaluationSet {
                config: &task.config,
                batcher: &task.batcher,
                data: &task.dev,
            })
            .collect();
        let epochs = Progress::new(self.state.epoch, self.settings.train.epochs);
        let item = |numbers, done, rows| {
            LearnerEvent::ProcessedItem(TrainingItem::new(
                numbers,
                Progress::new(done, rows),
                epochs.clone(),
                Some(self.state.updates),
                None,
            ))
        };
        let total: usize = self.tasks.iter().map(|task| task.dev.len()).sum();
        let mut finished: BTreeMap<TaskId, usize> = BTreeMap::new();
        let (scores, _) = evaluate(
            &valid,
            &sets,
            self.settings.train.eval_batch_size,
            &self.device,
            |task, done, _| {
                finished.insert(task, done);
                let done = finished.values().sum();
                events.process_valid(item(SeriesItem::default(), done, total));
            },
        );
        events.process_valid(item(dev_series(&scores), total, total));
        events.process_valid(LearnerEvent::EndEpoch(self.state.epoch));
        self.last_evaluation_seconds = begun.elapsed().as_secs_f64();
        self.state.seconds = self.seconds();

        let mut line = json!({
            "kind": "dev",
            "epoch": self.state.epoch,
            "update": self.state.updates,
            "seconds": self.state.seconds,
        });
        if let (Some(line), Ok(Value::Object(scores))) =
            (line.as_object_mut(), serde_json::to_value(&scores))
        {
            line.extend(scores);
        }
        self.metrics.write(&line)?;
        tracing::info!(
            "epoch {}: dev overall {:.4}",
            self.state.epoch,
            scores.overall
        );

        let better = self
            .state
            .best
            .as_ref()
            .is_none_or(|best| scores.overall > best.scores.overall);
        if better {
            self.store.save_best(&valid)?;
            self.state.best = Some(BestSoFar {
                epoch: self.state.epoch,
                scores,
            });
            self.state.evaluations_since_best = 0;
        } else {
            self.state.evaluations_since_best += 1;
        }
        Ok(())
    }

    fn checkpoint(&mut self, model: &Option<MultitaskModel<B>>) -> Result<(), TrainError> {
        if let Some(model) = model {
            self.state.seconds = self.seconds();
            self.state.aggregator = self.updater.aggregator().state();
            self.store
                .save(model, self.updater.state(), self.state.clone())?;
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn seconds_left(&self) -> f64 {
        let epochs = self.settings.train.epochs;
        let updates_left = (epochs * self.updates_per_epoch).saturating_sub(self.state.updates);
        let evaluations_left = (epochs + 1).saturating_sub(self.state.epoch);
        let made = self.state.updates.max(1) as f64;
        // Evaluations are in `seconds`, too; until the first one is made they are unknown.
        let evaluations_made = self.state.epoch.saturating_sub(1) as f64;
        let training =
            (self.state.seconds - evaluations_made * self.last_evaluation_seconds).max(0.0);
        updates_left as f64 * training / made
            + evaluations_left as f64 * self.last_evaluation_seconds
    }
}

fn dev_series(scores: &SplitScores) -> SeriesItem {
    let mut series: BTreeMap<String, f64> = scores
        .tasks
        .iter()
        .map(|(task, scores)| {
            (
                format!("{task} {}", dev_score_name(*task)),
                scores.primary(),
            )
        })
        .collect();
    series.insert("overall".into(), scores.overall);
    SeriesItem(Arc::new(series))
}
