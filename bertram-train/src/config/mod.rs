//! Configuration: TOML in, checked settings out.
//!
//! Every problem of a file is reported at once, with its line and key. `--set key=value` replaces or adds keys before
//! anything is checked.

mod check;
mod experiment;
mod extends;
mod loss;
mod names;
mod one_file;
mod overrides;
mod paths;
mod regulariser;
mod rows;
mod shadow;
mod source;
mod space;
mod task;
#[cfg(test)]
mod tests;

pub use experiment::{ExperimentSettings, LEVEL_NAMES, PaperScores, PaperSplit};
pub use extends::BuiltIn;
pub use loss::{ClassWeights, LossSettings};
pub use one_file::{built_in_in_one_file, file_in_one_file};
pub use overrides::{Override, quoted};
pub use rows::{Augment, LabelShares};
pub use source::{ConfigError, Problem};
pub use space::{Choice, Domain, DrawnValue, Range, Scale, SearchKey, SearchMethod, SearchSpace};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bertram_core::data::{BadRows, Columns, Format, LabelNumbers, Preprocess, Split};
use bertram_core::encoder::Pooling;
use bertram_core::fs::read_text_of_any_kind;
use bertram_core::head::{HeadKind, Threshold};
use bertram_core::loss::LossKind;
use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::task::{Inputs, LabelKind, Metric, TaskConfig, TaskId, TaskSpec};
use bertram_kernels::{KernelKind, Precision};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use toml::{Table, Value};

use self::extends::Origin;
use self::source::Source;
use crate::aggregator::AggregatorConfig;
use crate::average::{AverageConfig, AverageKind};
use crate::optim::{AdamWConfig, LrSchedule, ModuleRates};
use crate::regulariser::RegulariserSettings;
use crate::schedule::{CombinedStop, Order, ScheduleKind};
use crate::weighting::LossWeighting;

/// A run's settings, checked, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// `[model]`.
    pub model: ModelSettings,
    /// `[data]`.
    pub data: DataSettings,
    /// `[tasks.*]`, in the order of the config ([`TaskId::in_order`]).
    #[serde(serialize_with = "tasks_by_name")]
    pub tasks: Vec<TaskSettings>,
    /// `[train]`.
    pub train: TrainSettings,
    /// `[baseline]`: with it there is no model, and nothing is trained. Scores are drawn at random, by the seed.
    pub baseline: Option<BaselineSettings>,
    /// `[aggregator]`.
    pub aggregator: AggregatorConfig,
    /// `[regulariser.*]`.
    pub regulariser: RegulariserSettings,
    /// `[optimizer]`.
    #[serde(serialize_with = "optimizer_with_kind")]
    pub optimizer: AdamWConfig,
    /// `[logging]`.
    pub logging: LoggingSettings,
    /// `[experiment]`: what the run is called in reports; changes nothing that is computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentSettings>,
}

/// `[logging]`: what a run writes beside `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoggingSettings {
    /// Whether it writes TensorBoard's event files, too.
    pub tensorboard: bool,
}

/// `[model]`: the encoder.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelSettings {
    /// Folder or hub id of a pretrained BERT; without one, `random`.
    pub path: Option<String>,
    /// Revision of a hub id.
    pub revision: String,
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// Whether they are a mix of all layers' that each task learns, and not the last one's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub layer_mix: bool,
    /// Dropout in the heads.
    pub head_dropout: f64,
    /// Whether the encoder stays as it is.
    pub freeze: bool,
    /// Whether an encoder that stays as it is has dropout while heads are trained. Without it each row goes through the
    /// encoder once.
    pub frozen_dropout: bool,
    /// Dropout in the encoder, where it is not the checkpoint's own.
    pub dropout: DropoutSettings,
    /// Shape of a random encoder; there where `path` is not.
    pub random: Option<RandomModel>,
}

/// `[model.dropout]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DropoutSettings {
    /// On embeddings and sub-layer outputs; the checkpoint's own where absent.
    pub hidden: Option<f64>,
    /// On attention probabilities; the checkpoint's own where absent.
    pub attention: Option<f64>,
}

/// `[model.random]`: a BERT with random weights and a vocabulary trained on the training texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RandomModel {
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads of a layer.
    pub heads: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Longest sequence.
    pub max_positions: usize,
    /// Most tokens of the vocabulary.
    pub vocab_size: usize,
    /// Dropout everywhere in the encoder.
    pub dropout: f64,
}

/// `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DataSettings {
    /// Data folder in the layout of `format`; without one, the demo corpus.
    pub dir: Option<PathBuf>,
    /// Format of the files.
    pub format: Format,
    /// What is done to texts.
    pub preprocess: Preprocess,
    /// What is done about bad rows.
    pub bad_rows: BadRows,
    /// Most tokens of a sequence, special tokens counted.
    pub max_length: usize,
    /// Training rows of a task in an epoch; all where absent.
    pub limit: Option<usize>,
    /// Share of each task's training rows (after its limit) that an epoch takes; all where absent.
    pub rows_scale: Option<f64>,
    /// Dev rows of a task; all where absent.
    pub dev_limit: Option<usize>,
    /// Test rows of each task that a finished run predicts, from the first; 0 for none.
    pub test_limit: Option<usize>,
    /// Whether limited rows are drawn once or for each epoch.
    pub limit_draw: LimitDraw,
    /// Share of each task's dev rows that chooses the best evaluation; the others score it. All do both where absent.
    pub select_share: Option<f64>,
    /// Whether rows of like length share batches.
    pub length_buckets: bool,
    /// Batches are padded to a multiple of so many tokens; 1 pads to the longest row. Where absent, whoever names the
    /// backend says ([`pad_to_multiple_of`](Self::pad_to_multiple_of)).
    pub pad_to_multiple_of: Option<usize>,
    /// The generated corpus; used where neither a folder nor files are named.
    pub demo: DemoSettings,
}

impl ModelSettings {
    /// Whether the encoder gives the same for a row each time: it stays as it is, and has no dropout.
    pub fn encodes_once(&self) -> bool {
        self.freeze && !self.frozen_dropout
    }
}

impl DataSettings {
    /// The multiple that batches are padded to: 1 where nobody said.
    pub fn pad_to_multiple_of(&self) -> usize {
        self.pad_to_multiple_of.unwrap_or(1)
    }
}

/// `[data.demo]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DemoSettings {
    /// Seed of the generator.
    pub seed: u64,
    /// Training rows of sentiment.
    pub sst: usize,
    /// Training rows of paraphrase.
    pub para: usize,
    /// Training rows of similarity.
    pub sts: usize,
    /// Dev and test rows of each task.
    pub dev: usize,
}

/// Rows of a task: a number, or `"all"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Every row, whatever `data.limit` says.
    All,
    /// So many.
    Rows(usize),
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::All => serializer.serialize_str("all"),
            Limit::Rows(rows) => rows.serialize(serializer),
        }
    }
}

/// `[baseline]`: answers that look at no input, in place of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BaselineSettings {
    /// The class of every example of a classification task.
    pub class: usize,
    /// The answer to every yes-or-no question: 1 for yes, 0 for no.
    pub binary: usize,
}

/// When the rows of a limited task are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitDraw {
    /// Once, by the seed.
    Fixed,
    /// Anew for each epoch, by seed and epoch.
    Fresh,
}

/// `[tasks.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskSettings {
    /// `NAME` of its section, `[tasks.NAME]`.
    #[serde(skip)]
    pub task: TaskId,
    /// What the task is.
    #[serde(skip)]
    pub spec: Arc<TaskSpec>,
    /// Kind of head.
    pub head: HeadKind,
    /// Loss.
    pub loss: LossKind,
    /// Pooling.
    pub pooling: Pooling,
    /// `model.layer-mix`, which is that of all tasks.
    #[serde(skip)]
    pub layer_mix: bool,
    /// Dropout in the head.
    pub head_dropout: f64,
    /// How a cosine becomes a decision; `calibrated` where absent.
    pub threshold: Option<Threshold>,
    /// Margin of the cosine embedding loss; 0 where absent.
    pub margin: Option<f64>,
    /// What else the loss is told.
    #[serde(flatten)]
    pub loss_settings: LossSettings,
    /// Weight of the loss.
    pub weight: f64,
    /// Peak learning rate of its head; `train.head-learning-rate` where absent.
    pub head_learning_rate: Option<f64>,
    /// Weight of its score in the overall one; 1 where absent.
    pub overall_weight: Option<f64>,
    /// Whether it is trained; else it is scored and nothing more.
    pub train_on: bool,
    /// Training rows in an epoch; `data.limit` where absent.
    pub limit: Option<Limit>,
    /// Examples of its batches; `train.batch-size` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// When they are drawn; `data.limit-draw` where absent.
    pub limit_draw: Option<LimitDraw>,
    /// What is done to training rows, anew in each epoch.
    #[serde(skip_serializing_if = "Augment::is_none")]
    pub augment: Augment,
    /// How many rows of each label an epoch takes, before its limit; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_shares: Option<LabelShares>,
    /// Training file, where it is not the data folder's.
    pub train: Option<PathBuf>,
    /// Dev file.
    pub dev: Option<PathBuf>,
    /// Test file.
    pub test: Option<PathBuf>,
    /// Format of these files; `data.format` where absent.
    pub format: Option<Format>,
    /// What numbers mean where labels have names; absent where files must leave no doubt.
    pub label_numbers: Option<LabelNumbers>,
    /// Names of columns.
    pub columns: Columns,
}

impl TaskSettings {
    /// The file that the settings name for a split.
    pub fn file(&self, split: Split) -> Option<&PathBuf> {
        match split {
            Split::Train => self.train.as_ref(),
            Split::Dev => self.dev.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }

    /// Whether the settings name any file of the task.
    pub fn names_files(&self) -> bool {
        self.train.is_some() || self.dev.is_some() || self.test.is_some()
    }

    /// Whether sentences of training pairs change places. With a head for which both orders are the same they need not.
    pub fn swaps(&self) -> bool {
        self.augment == Augment::Swap && !rows::is_symmetric(self.head, self.loss)
    }

    /// How the task is modelled.
    pub fn model_config(&self) -> TaskConfig {
        TaskConfig {
            task: self.task,
            spec: self.spec.clone(),
            head: self.head,
            loss: self.loss,
            pooling: self.pooling,
            layer_mix: self.layer_mix,
            head_dropout: self.head_dropout,
            threshold: self.threshold.unwrap_or(Threshold::Calibrated),
            margin: self.margin.unwrap_or(0.0),
            loss_options: self.loss_settings.options(),
        }
    }
}

/// `train.best-metric`: the score by which the best epoch is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BestMetric {
    /// The overall score.
    Overall,
    /// The main score of a task.
    Task(TaskId),
}

impl BestMetric {
    /// Name of the overall score.
    pub(crate) const OVERALL: &str = "overall";

    /// The score among those of a split; the overall one where the task has none.
    pub fn of(self, scores: &SplitScores) -> f64 {
        match self {
            BestMetric::Overall => scores.overall,
            BestMetric::Task(task) => {
                let scores_of_task = scores.tasks.get(&task);
                scores_of_task.map_or(scores.overall, TaskScores::primary)
            }
        }
    }

    /// Its name, as in configs.
    pub fn name(self) -> &'static str {
        match self {
            BestMetric::Overall => Self::OVERALL,
            BestMetric::Task(task) => task.name(),
        }
    }
}

impl Serialize for BestMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// `train.export`: which weights a run exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportedWeights {
    /// Those of the best evaluation by `train.best-metric`.
    #[default]
    Best,
    /// Those of the last evaluation: nothing is chosen on dev.
    Last,
}

impl ExportedWeights {
    pub(crate) fn is_best(&self) -> bool {
        *self == ExportedWeights::Best
    }
}

impl TrainSettings {
    /// How weights are averaged, if they are.
    pub fn average_config(&self) -> Option<AverageConfig> {
        self.average.map(|kind| AverageConfig {
            kind,
            decay: self.average_decay.unwrap_or(AverageConfig::DECAY),
            start: self
                .average_start
                .unwrap_or(AverageConfig::default_start(kind)),
        })
    }
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainSettings {
    /// Epochs; 0 evaluates the model as it is.
    pub epochs: usize,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Examples of a batch.
    pub batch_size: usize,
    /// Most tokens of a batch, padding not counted, of all of its sequences; then `batch_size` means nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
    /// Examples of a batch in evaluation, at the least: of short ones there are more
    /// ([`batches_by_length`](bertram_core::data::batches_by_length)).
    pub eval_batch_size: usize,
    /// Peak learning rate of the encoder.
    pub learning_rate: f64,
    /// Peak learning rate of the heads.
    pub head_learning_rate: f64,
    /// Rate of each encoder layer as a share of that of the layer above it; 1 where absent.
    pub layer_decay: Option<f64>,
    /// Peak learning rate of the embeddings, where it is not what [`layer_decay`](Self::layer_decay) leaves of the encoder's.
    pub embeddings_learning_rate: Option<f64>,
    /// Shape of the learning rate after warm-up.
    pub lr_schedule: LrSchedule,
    /// Share of all updates that warm up.
    pub warmup: f64,
    /// Bound of the global gradient norm; 0 for none.
    pub max_grad_norm: f64,
    /// Batches of a task that make one update.
    pub accumulate: usize,
    /// How an epoch takes the tasks' batches.
    pub schedule: ScheduleKind,
    /// Order of tasks in the sequential schedule.
    pub order: Order,
    /// Training rows of a task on which an order that depends on training scores scores it.
    pub score_rows: usize,
    /// When an epoch of combined or additive updates ends.
    pub combined_stop: CombinedStop,
    /// Of temperature sampling; 1 where absent.
    pub temperature: Option<f64>,
    /// Whether each epoch ends with an update of its own, merged by the aggregator, by a second optimiser.
    pub epoch_end_surgery: bool,
    /// How the tasks' losses are weighted against each other.
    pub loss_weighting: LossWeighting,
    /// Learning rate of learnt loss weights.
    pub weighting_learning_rate: f64,
    /// The score by which the best epoch is chosen, and by which early stopping goes.
    pub best_metric: BestMetric,
    /// Evaluations without a better score after which training stops; 0 for never.
    pub early_stopping: usize,
    /// Which weights a run exports.
    #[serde(skip_serializing_if = "ExportedWeights::is_best")]
    pub export: ExportedWeights,
    /// Updates after which training ends, where its epochs have more.
    pub max_updates: Option<usize>,
    /// Updates between evaluations, besides those at epoch ends.
    pub evaluate_every: Option<usize>,
    /// The average of the weights that is evaluated and exported; none where absent.
    pub average: Option<AverageKind>,
    /// Decay of an exponential average; [`AverageConfig::DECAY`] where absent.
    pub average_decay: Option<f64>,
    /// Share of all updates after which averaging begins; [`AverageConfig::default_start`] where absent.
    pub average_start: Option<f64>,
    /// Updates between logged steps.
    pub log_every: usize,
    /// Updates between checkpoints, besides those at epoch ends; 0 for none.
    pub checkpoint_every: usize,
    /// Checkpoints that stay.
    pub keep_checkpoints: usize,
    /// Whether checkpoints stay when the run is finished, so that it can be trained longer.
    pub keep_training_state: bool,
    /// What the encoder's layers compute in. Parameters, gradients and the optimiser are in f32.
    pub precision: Precision,
    /// Whether the encoder and the optimiser take the backend's fused operations.
    pub kernels: KernelKind,
    /// Whether a device may compute f32 matrix products in TF32: operands rounded to 10 bits of mantissa, sums in f32.
    /// Only CUDA has it. Who names the backend reads this.
    pub tf32: bool,
    /// Whether a backward pass computes cheap activations again rather than keeping them. The `AutodiffBackend` does it
    /// (Burn's `BalancedCheckpointing`): who names one reads this.
    pub activation_checkpointing: bool,
}

/// Key of a config that a program wrote with every default filled in: nobody is warned that keys in it have no effect.
const RESOLVED: &str = "resolved";

/// `optimizer.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OptimizerKind {
    /// [`AdamW`](crate::optim::AdamW).
    Adamw,
}

/// Settings, and what their user should know about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings that the config gives.
    pub settings: Settings,
    /// One sentence each: keys that were said and have no effect, and why; paths that were not found where they should be.
    pub warnings: Vec<String>,
    /// The keys that a file or an argument says; the others have their defaults.
    pub said: BTreeSet<String>,
}

impl Loaded {
    /// Logs the warnings.
    pub fn say_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

/// The name of a config file in messages, and its text.
fn read_config(path: &Path) -> Result<(String, String), ConfigError> {
    let name = path.display().to_string();
    match read_text_of_any_kind(path, extends::MOST_BYTES) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(ConfigError::Unreadable {
            name,
            message: error.to_string(),
        }),
    }
}

impl Settings {
    /// Reads and checks a file and what it extends. `sets` are `key.path=value` arguments that go over it.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self, ConfigError> {
        let overrides: Vec<Override> = sets.iter().map(|set| Override::set(set)).collect();
        Ok(Self::load_with(path, &overrides)?.settings)
    }

    /// As [`load`](Self::load), with arguments of any kind; keeps the warnings.
    pub fn load_with(path: &Path, overrides: &[Override]) -> Result<Loaded, ConfigError> {
        let (name, text) = read_config(path)?;
        check::settings(Source::parse(&name, &text, Origin::File, overrides)?)
    }

    /// As [`load_with`](Self::load_with), for one of the configs of a program, which may extend others of `all`. Relative
    /// paths are relative to the working directory.
    pub fn load_built_in(
        config: &BuiltIn,
        all: &[BuiltIn],
        overrides: &[Override],
    ) -> Result<Loaded, ConfigError> {
        let origin = Origin::BuiltIn { this: config, all };
        let source = Source::parse(&config.shown(), config.text, origin, overrides)?;
        check::settings(source)
    }

    /// Checks the text of a config; `name` stands for the file in messages. Relative paths are relative to the working
    /// directory.
    pub fn from_text(name: &str, text: &str, sets: &[String]) -> Result<Self, ConfigError> {
        let overrides: Vec<Override> = sets.iter().map(|set| Override::set(set)).collect();
        Ok(Self::from_text_with(name, text, &overrides)?.settings)
    }

    /// As [`from_text`](Self::from_text), with arguments of any kind; keeps the warnings.
    pub fn from_text_with(
        name: &str,
        text: &str,
        overrides: &[Override],
    ) -> Result<Loaded, ConfigError> {
        check::settings(Source::parse(name, text, Origin::Text, overrides)?)
    }

    /// Whether the settings name data, and are not about the generated corpus alone.
    pub fn has_own_data(&self) -> bool {
        self.data.dir.is_some() || self.tasks.iter().any(TaskSettings::names_files)
    }

    /// The learning rates that parts of the model have of their own.
    pub fn module_rates(&self) -> ModuleRates {
        let heads = self.tasks.iter();
        let heads = heads.filter_map(|task| Some((task.task, task.head_learning_rate?)));
        ModuleRates {
            layer_decay: self.train.layer_decay.unwrap_or(1.0),
            embeddings: self.train.embeddings_learning_rate,
            heads: heads.collect(),
        }
    }

    /// A task's section; `None` where there is none.
    pub fn task(&self, task: TaskId) -> Option<&TaskSettings> {
        self.tasks.iter().find(|settings| settings.task == task)
    }

    /// Examples of a task's batches, where `train.batch-tokens` does not say how many they are.
    pub fn batch_size(&self, task: TaskId) -> usize {
        let own = self.task(task).and_then(|settings| settings.batch_size);
        own.unwrap_or(self.train.batch_size)
    }

    /// Weight of a task's score in the overall one.
    pub fn overall_weight(&self, task: TaskId) -> f64 {
        let own = self.task(task).and_then(|settings| settings.overall_weight);
        own.unwrap_or(1.0)
    }

    /// The settings as TOML, which [`from_text`](Self::from_text) reads back to the same settings.
    pub fn to_toml(&self) -> String {
        // Every field is a number, a string, a flag or a table of these: TOML has them all.
        let keys = toml::to_string(self).unwrap_or_default();
        format!(
            "# Every default is filled in: keys are said whether they have an effect or not.\n{RESOLVED} = true\n\n{keys}"
        )
    }
}

impl Settings {
    /// Every key, dotted, with its value.
    pub fn leaves(&self) -> BTreeMap<String, Value> {
        fn collect(path: &str, table: Table, into: &mut BTreeMap<String, Value>) {
            for (key, value) in table {
                let path = match path {
                    "" => key,
                    path => format!("{path}.{key}"),
                };
                match value {
                    Value::Table(table) => collect(&path, table, into),
                    value => {
                        into.insert(path, value);
                    }
                }
            }
        }
        let mut all = BTreeMap::new();
        // What `to_toml` writes reads back; a test of the settings says so.
        collect("", self.to_toml().parse().unwrap_or_default(), &mut all);
        all
    }
}

fn tasks_by_name<S: Serializer>(tasks: &[TaskSettings], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(tasks.len()))?;
    for task in tasks {
        let spec = &*task.spec;
        match spec.preset.map(TaskSpec::from) {
            Some(preset) if preset == *spec => map.serialize_entry(task.task.name(), task)?,
            _ => map.serialize_entry(
                task.task.name(),
                &OwnTask {
                    spec: SpecKeys::of(spec),
                    settings: task,
                },
            )?,
        }
    }
    map.end()
}

/// A task whose name does not say what it is.
#[derive(Serialize)]
struct OwnTask<'a> {
    #[serde(flatten)]
    spec: SpecKeys<'a>,
    #[serde(flatten)]
    settings: &'a TaskSettings,
}

/// The keys of a task that say what it is.
#[derive(Serialize)]
struct SpecKeys<'a> {
    title: &'a str,
    inputs: Inputs,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<[f32; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi: Option<bool>,
    metric: Metric,
}

impl<'a> SpecKeys<'a> {
    fn of(spec: &'a TaskSpec) -> Self {
        let keys = Self {
            title: &spec.title,
            inputs: spec.inputs,
            labels: None,
            binary: None,
            score: None,
            multi: None,
            metric: spec.metric,
        };
        match spec.label {
            LabelKind::Classes { .. } => Self {
                labels: Some(&spec.labels),
                ..keys
            },
            LabelKind::MultiLabel { .. } => Self {
                labels: Some(&spec.labels),
                multi: Some(true),
                ..keys
            },
            LabelKind::Binary => Self {
                binary: Some(&spec.labels),
                ..keys
            },
            LabelKind::Score { min, max } => Self {
                score: Some([min, max]),
                ..keys
            },
        }
    }
}

fn optimizer_with_kind<S: Serializer>(
    config: &AdamWConfig,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Optimizer<'a> {
        kind: OptimizerKind,
        #[serde(flatten)]
        config: &'a AdamWConfig,
    }
    Optimizer {
        kind: OptimizerKind::Adamw,
        config,
    }
    .serialize(serializer)
}
