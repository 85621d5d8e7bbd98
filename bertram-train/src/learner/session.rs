//! What a training takes and gives, and its place in Burn's `SupervisedTraining`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bertram_core::task::{Metric, MultitaskModel, TaskId};
use bertram_kernels::TrainBackend;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW as BurnAdamW, AdamWConfig as BurnAdamWConfig};
use burn::tensor::backend::AutodiffBackend;
use burn::train::{
    Learner, LearningComponentsMarker, SupervisedLearningStrategy, SupervisedTraining,
    SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingStrategy,
    ValidLoader,
};

use super::burn_parts::{NoBatches, NoMetricFiles, Trainee};
use super::dashboard::{Dashboard, SeriesKind, ShownRun, ShownSeries};
use super::series::Series;
use super::train_loop::TrainLoop;
use super::window::{gradient_norm_series, measure_series};
use crate::config::Settings;
use crate::corpus::TaskData;
use crate::device::DeviceWatch;
use crate::finite::NotFinite;
use crate::measure::{MeasureKind, OverUpdates};
use crate::phase::PhaseClock;
use crate::regulariser;
use crate::run_folder::{CheckpointState, RunError, RunFolder};
use crate::schedule::Schedule;
use crate::step::{UpdateMethods, UpdateState};
use crate::weighting::LOSS_WEIGHT;

/// Errors while training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The run folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Losses, gradients, weights or predictions left the numbers. Nothing was saved from there on.
    #[error(
        "update {}: {}; try a lower train.learning-rate (and train.head-learning-rate), a bound in train.max-grad-norm, or train.warmup",
        cause.update,
        cause.what
    )]
    Diverged {
        /// What, and at which update.
        cause: NotFinite,
        /// Updates that the newest checkpoint holds: those before it were finite. `None` without a checkpoint.
        checkpoint: Option<usize>,
    },
    /// Every update of an epoch was left out.
    #[error(
        "all {updates} updates so far overflowed in half precision and were left out: the model is as it was; use train.precision = \"bf16\" or \"f32\", or lower tasks.X.weight"
    )]
    NothingLearnt {
        /// Updates that were tried.
        updates: usize,
    },
    /// There is nothing to learn from.
    #[error("there are no batches to train on: every task's training split is empty")]
    NoBatches,
    /// burn-train gave up.
    #[error("the dashboard ended the training at once; the last checkpoint of the run is whole")]
    Killed,
}

/// Asks a training to stop, after its current update or after an epoch; shared with signal handlers.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    stop: AtomicBool,
    update_made: AtomicBool,
    /// 0 where no epoch is the last one.
    last_epoch: AtomicUsize,
}

impl StopFlag {
    /// Asks to stop. Gives whether it was asked before.
    pub fn stop(&self) -> bool {
        self.0.stop.swap(true, Ordering::SeqCst)
    }

    /// Whether a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.stop.load(Ordering::SeqCst)
    }

    /// Asks to stop once so many epochs are made, counted from the run's first: evaluated, with their checkpoint written, and
    /// nothing else changed. The run that goes on from there is the one that was never stopped. A run of fewer epochs ends as
    /// ever; 0 asks for nothing.
    pub fn stop_after_epoch(&self, epochs: usize) {
        self.0.last_epoch.store(epochs, Ordering::SeqCst);
    }

    /// Whether a training is to stop before it begins with an epoch, counted from 1.
    pub(super) fn stops_before(&self, epoch: usize) -> bool {
        let last = self.0.last_epoch.load(Ordering::SeqCst);
        self.is_set() || (last > 0 && epoch > last)
    }

    /// Whether this process has made an update, which a training that is stopped keeps. Without one, nothing is lost with
    /// the process.
    pub fn update_was_made(&self) -> bool {
        self.0.update_made.load(Ordering::SeqCst)
    }

    pub(super) fn update_made(&self) {
        self.0.update_made.store(true, Ordering::SeqCst);
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
    /// Regularisers and aggregator: those that the settings name, and whatever is put beside or in place of them. A run
    /// that goes on needs the same again.
    pub methods: UpdateMethods<B>,
    /// What lists the updates of an epoch: the settings' schedule, or one in its place.
    pub schedule: Box<dyn Schedule>,
    /// All else that updates change, as it is at `state`.
    pub update_state: UpdateState<B>,
    /// Where to go on; epoch 1 for a new run.
    pub state: CheckpointState,
    /// The run's folder.
    pub run: RunFolder,
    /// Where to compute.
    pub device: B::Device,
    /// What the device says meanwhile.
    pub watch: DeviceWatch,
    /// Counts what the time goes to.
    pub clock: PhaseClock,
    /// Set from outside to stop after an update or an epoch.
    pub stop: StopFlag,
}

impl<B: AutodiffBackend> TrainingSession<B> {
    /// What the regularisers and the loss weighting measure of each task.
    fn measures(&self) -> impl Iterator<Item = (TaskId, MeasureKind)> {
        let tasks = self.tasks.iter().map(|task| task.config.task);
        let bregman = self.settings.regulariser.active_bregman();
        let of_teacher = tasks
            .clone()
            .filter(move |task| bregman.is_some_and(|config| config.tasks.contains(task)));
        let learns_weights = self.update_state.uncertainty.is_some();
        let of_weights = tasks.clone().filter(move |_| learns_weights);
        tasks
            .flat_map(|task| self.methods.measures(task).map(move |kind| (task, kind)))
            .chain(of_teacher.map(|task| (task, regulariser::BREGMAN)))
            .chain(of_weights.map(|task| (task, LOSS_WEIGHT)))
    }

    /// What a dashboard shows, the most important first.
    fn series(&self) -> Vec<ShownSeries> {
        let mut all = Vec::new();
        let mut add = |kind, name: String, label: &str| {
            let label = label.to_owned();
            all.push(ShownSeries { name, label, kind });
        };
        let tasks = || self.tasks.iter().map(|task| task.config.task);
        add(SeriesKind::Overall, "overall".into(), "overall");
        for task in &self.tasks {
            let (name, metric) = (task.config.task, task.config.spec.metric);
            add(
                SeriesKind::Score,
                dev_series_name(name, metric),
                name.name(),
            );
        }
        for (kind, name) in [(SeriesKind::Left, "left"), (SeriesKind::Speed, "tokens/s")] {
            add(kind, name.into(), name);
        }
        for task in tasks() {
            add(SeriesKind::Loss, format!("{task} loss"), task.name());
        }
        add(SeriesKind::Rate, "learning rate".into(), "learning rate");
        let mut diagnostics = Vec::new();
        // Where every update has one task there is nothing to compare.
        if self.schedule.takes_several_tasks() {
            for (index, one) in tasks().enumerate() {
                let others = tasks().skip(index + 1);
                diagnostics.extend(others.map(|other| format!("cosine {one}-{other}")));
            }
            diagnostics.push("conflict share".into());
            diagnostics.extend(tasks().map(|task| gradient_norm_series(task.name())));
        }
        let measures = self.measures();
        let measures = measures.filter(|(_, measure)| measure.over_updates == OverUpdates::Mean);
        diagnostics.extend(measures.map(|(task, measure)| measure_series(measure.name, task)));
        for name in diagnostics {
            let label = name.clone();
            add(SeriesKind::Diagnostic, name, &label);
        }
        all
    }
}

/// How a training ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The place it ended at.
    pub state: CheckpointState,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// What the device said.
    pub watch: DeviceWatch,
    /// What the time went to.
    pub clock: PhaseClock,
}

pub(super) type Components<B> =
    LearningComponentsMarker<B, f64, Trainee<B>, OptimizerAdaptor<BurnAdamW, Trainee<B>, B>>;

/// Trains to the end of the settings' epochs, to early stopping, or until the stop flag is set.
pub fn train<B: TrainBackend>(
    session: TrainingSession<B>,
    dashboard: Dashboard,
) -> Result<Outcome, TrainError> {
    let trainee = Trainee {
        model: session.model.clone(),
    };
    let run = session.run.path().to_owned();
    let epochs = session.settings.train.epochs;
    let series = session.series();
    let shown = ShownRun {
        run: run.display().to_string(),
        series: series.clone(),
        stop: session.stop.clone(),
    };
    let result = Arc::new(Mutex::new(None));
    let strategy = MultitaskStrategy {
        session: Mutex::new(Some(session)),
        result: result.clone(),
    };

    let mut training =
        SupervisedTraining::<Components<B>>::new(run, NoBatches::loader(), NoBatches::loader())
            .with_application_logger(None)
            .with_metric_logger(NoMetricFiles)
            .num_epochs(epochs)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
    for ShownSeries { name, kind, .. } in series {
        training = match kind {
            SeriesKind::Overall | SeriesKind::Score => {
                training.metric_valid_numeric(Series::new(name, true))
            }
            SeriesKind::Speed => training.metric_train_numeric(Series::new(name, true)),
            _ => training.metric_train_numeric(Series::new(name, false)),
        };
    }
    let training = dashboard.attach(training, shown);

    // The learner carries the model into burn-train; rates and steps are the strategy's.
    let learner = Learner::new(trainee, BurnAdamWConfig::new().init(), 0.0);
    drop(training.launch(learner));
    let outcome = result.lock().ok().and_then(|mut slot| slot.take());
    outcome.unwrap_or(Err(TrainError::Killed))
}

/// Name of the dashboard's series for a task's main score on dev: `sst accuracy`.
pub(super) fn dev_series_name(task: TaskId, metric: Metric) -> String {
    format!("{task} {}", metric.key())
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
        let (model, outcome) = TrainLoop::run(session, &mut events);
        if let Ok(mut slot) = self.result.lock() {
            *slot = Some(outcome);
        }
        (Trainee { model }, events)
    }
}
