//! `heads.json` and `heads.safetensors`: what a trained model says of itself, and the heads' weights.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::backend::Backend;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ModelExport, ModelFolderError, write_json};
use crate::encoder::weights::{load_tensors_as, save_tensors_as, tensor_names};
use crate::encoder::{BertConfig, Pooling};
use crate::loss::{LossKind, LossOptions};
use crate::task::{LabelKind, Legal, Preset, TaskConfig, TaskHead, TaskId, TaskSpec, names};
use crate::tokenizer::Preprocess;

/// How a model's heads are described.
pub(super) const FILE: &str = "heads.json";
/// The heads' weights.
const WEIGHTS: &str = "heads.safetensors";
/// Version of [`FILE`]'s format. The first was a bare list of tasks; the third says what tasks are that are no presets; the
/// fourth has losses that the third does not know; the fifth has poolings and mixes of layers that the fourth does not know.
const VERSION: u64 = 5;
/// The version that a file has whose vectors are made as those of the fourth.
const VERSION_OF_LOSSES: u64 = 4;
/// The version that a file has whose losses are those of the third.
const VERSION_OF_OWN_TASKS: u64 = 3;
/// The version that a file has of which, besides, every task is known by its name: older programs read it, too.
const VERSION_OF_PRESETS: u64 = 2;
/// Room for `[CLS]`, `[SEP]` and one token.
pub(super) const SHORTEST: usize = 3;

/// How a trained model's texts go in and its sentence vectors come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EncodeSettings {
    /// What is done to texts before tokenisation.
    pub preprocess: Preprocess,
    /// Most tokens of a sequence, special tokens counted.
    pub max_length: usize,
    /// How hidden states become a sentence vector. (A task's head has its own.)
    pub pooling: Pooling,
    /// Whether sentence vectors are scaled to length 1.
    pub normalize: bool,
    /// Whether hidden states are a mix of all layers' that each task's head learns
    /// ([`LayerMix`](crate::encoder::LayerMix)), and not the last one's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub layer_mix: bool,
}

impl EncodeSettings {
    /// Whether sentence vectors are learnt task by task, with the heads: by an attention pooler or a mix of layers. Then only
    /// a task's are sentence vectors.
    pub fn is_learnt(&self) -> bool {
        self.layer_mix || self.pooling.has(Pooling::Attention)
    }
}

/// What `heads.json` says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stated {
    /// `None` in the first version of the file, which does not say.
    pub(super) encode: Option<EncodeSettings>,
    /// The tasks, in the order of the heads.
    pub(super) tasks: Vec<TaskConfig>,
}

/// Writes both files.
pub(super) fn write<B: Backend>(
    dir: &Path,
    export: &ModelExport<'_, B>,
) -> Result<(), ModelFolderError> {
    let path = dir.join(FILE);
    let heads = &export.model.heads;
    let value = describe(&export.encode, heads.iter().map(TaskHead::config))
        .map_err(|error| ModelFolderError::file(&path, error))?;
    write_json(&path, &value)?;
    let tasks: Vec<&TaskConfig> = heads.iter().map(TaskHead::config).collect();
    save_tensors_as(&dir.join(WEIGHTS), heads, |parameter| {
        by_task(&tasks, parameter)
    })?;
    Ok(())
}

fn describe<'a>(
    encode: &EncodeSettings,
    tasks: impl Iterator<Item = &'a TaskConfig>,
) -> Result<Value, serde_json::Error> {
    let tasks: Vec<&TaskConfig> = tasks.collect();
    let is_new = |pooling, layer_mix| layer_mix || is_pooling_of_version_5(pooling);
    let version = if is_new(encode.pooling, encode.layer_mix)
        || (tasks.iter()).any(|task| is_new(task.pooling, task.layer_mix))
    {
        VERSION
    } else if tasks.iter().any(|task| is_loss_of_version_4(task.loss)) {
        VERSION_OF_LOSSES
    } else if tasks.iter().all(|task| is_preset(task)) {
        VERSION_OF_PRESETS
    } else {
        VERSION_OF_OWN_TASKS
    };
    let mut value = json!({ "version": version });
    extend(&mut value, serde_json::to_value(encode)?);
    let tasks = tasks
        .into_iter()
        .map(|task| {
            let mut entry = serde_json::to_value(task)?;
            extend(&mut entry, json!({ "label": label(task) }));
            if !is_preset(task) {
                let spec = &task.spec;
                extend(
                    &mut entry,
                    json!({
                        "title": spec.title,
                        "inputs": spec.inputs,
                        "labels": spec.labels,
                        "metric": spec.metric,
                    }),
                );
            }
            Ok(entry)
        })
        .collect::<Result<Vec<Value>, serde_json::Error>>()?;
    extend(&mut value, json!({ "tasks": tasks }));
    Ok(value)
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(value), Value::Object(more)) = (value, more) {
        value.extend(more);
    }
}

/// Whether programs of the third version do not know a loss.
fn is_loss_of_version_4(loss: LossKind) -> bool {
    match loss {
        LossKind::CrossEntropy | LossKind::Bce | LossKind::Mse | LossKind::CosineEmbedding => false,
        LossKind::Focal | LossKind::Ordinal | LossKind::Cosent | LossKind::Angle => true,
    }
}

/// Whether programs of the fourth version do not know a pooling.
fn is_pooling_of_version_5(pooling: Pooling) -> bool {
    match pooling {
        Pooling::Cls | Pooling::Mean | Pooling::Pooler => false,
        Pooling::Max | Pooling::Attention | Pooling::Several(_) => true,
    }
}

/// Whether a task's name says all that it is.
fn is_preset(task: &TaskConfig) -> bool {
    TaskSpec::preset(task.task).is_some_and(|preset| preset == task.spec)
}

/// A task's labels, for the record: a folder of labels other than this build's must not be read as if they were these.
fn label(task: &TaskConfig) -> Value {
    match task.spec.label {
        LabelKind::Classes { classes } => json!({ "kind": "classes", "classes": classes }),
        LabelKind::MultiLabel { classes } => {
            json!({ "kind": "multi-label", "classes": classes })
        }
        LabelKind::Binary => json!({ "kind": "binary" }),
        LabelKind::Score { min, max } => {
            json!({ "kind": "score", "min": f64::from(min), "max": f64::from(max) })
        }
    }
}

/// Reads and checks `heads.json`.
///
/// # Errors
/// [`ModelFolderError::File`] names the key and what it may be.
pub(super) fn read(dir: &Path) -> Result<Stated, ModelFolderError> {
    let path = dir.join(FILE);
    let fault = |message: String| ModelFolderError::file(&path, message);
    let text = crate::fs::read_text(&path, crate::fs::READ_LIMIT)
        .map_err(|error| fault(error.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
    parse(&value).map_err(fault)
}

fn parse(value: &Value) -> Result<Stated, String> {
    let (encode, tasks) = match value {
        Value::Array(tasks) => (None, tasks),
        Value::Object(keys) => {
            let version = keys.get("version").and_then(Value::as_u64).unwrap_or(0);
            if version > VERSION {
                return Err(format!(
                    "was written by a newer bertram: its version is {version}, and this bertram reads up to {VERSION}; update bertram"
                ));
            }
            if version < VERSION_OF_PRESETS {
                return Err(format!(
                    "`version` is not {VERSION_OF_PRESETS} to {VERSION}"
                ));
            }
            let encode = EncodeSettings {
                preprocess: key(value, "preprocess")?,
                max_length: key(value, "max-length")?,
                pooling: key(value, "pooling")?,
                normalize: key(value, "normalize")?,
                layer_mix: key_or(value, "layer-mix", false)?,
            };
            if encode.max_length < SHORTEST {
                return Err(format!(
                    "`max-length` is {}; it must be at least {SHORTEST}",
                    encode.max_length
                ));
            }
            let tasks = keys.get("tasks").and_then(Value::as_array);
            (Some(encode), tasks.ok_or("`tasks` is not a list")?)
        }
        _ => return Err("is neither an object nor a list of tasks".into()),
    };
    let mut read: Vec<TaskConfig> = Vec::new();
    for (number, entry) in tasks.iter().enumerate() {
        let named = |message: String| match entry.get("task").and_then(Value::as_str) {
            Some(name) => format!("task {name}: {message}"),
            None => format!("task {}: {message}", number + 1),
        };
        let task = task_config(entry).map_err(named)?;
        check(&task).map_err(named)?;
        if let Some(stated) = entry.get("label").filter(|stated| **stated != label(&task)) {
            return Err(named(format!(
                "`label` is {stated}, and this bertram's is {}",
                label(&task)
            )));
        }
        if read.iter().any(|other| other.task == task.task) {
            return Err(named("is there twice".into()));
        }
        read.push(task);
    }
    Ok(Stated {
        encode,
        tasks: read,
    })
}

/// The value of a key, or a message that names it.
fn key<T: DeserializeOwned>(object: &Value, name: &str) -> Result<T, String> {
    let value = object
        .get(name)
        .ok_or_else(|| format!("there is no `{name}`"))?;
    serde_json::from_value(value.clone()).map_err(|error| format!("`{name}`: {error}"))
}

/// As [`key`], with a default for what is not said.
fn key_or<T: DeserializeOwned>(object: &Value, name: &str, default: T) -> Result<T, String> {
    match object.get(name) {
        Some(_) => key(object, name),
        None => Ok(default),
    }
}

/// What a loss is told; older files say nothing of it.
fn loss_options(entry: &Value) -> Result<LossOptions, String> {
    let default = LossOptions::default();
    Ok(LossOptions {
        label_smoothing: key_or(entry, "label-smoothing", default.label_smoothing)?,
        class_weights: key_or(entry, "class-weights", default.class_weights)?,
        focal_gamma: key_or(entry, "focal-gamma", default.focal_gamma)?,
        scale: key_or(entry, "scale", default.scale)?,
        dropout_samples: key_or(entry, "dropout-samples", default.dropout_samples)?,
    })
}

fn task_config(entry: &Value) -> Result<TaskConfig, String> {
    let task: TaskId = key(entry, "task")?;
    Ok(TaskConfig {
        task,
        spec: spec(task, entry)?,
        head: key(entry, "head")?,
        loss: key(entry, "loss")?,
        pooling: key(entry, "pooling")?,
        layer_mix: key_or(entry, "layer-mix", false)?,
        head_dropout: key(entry, "head-dropout")?,
        threshold: key(entry, "threshold")?,
        margin: key(entry, "margin")?,
        loss_options: loss_options(entry)?,
    })
}

/// What a task is: said by its entry, or by its name.
fn spec(task: TaskId, entry: &Value) -> Result<Arc<TaskSpec>, String> {
    let preset = TaskSpec::preset(task);
    if entry.get("inputs").is_none() {
        return preset.ok_or_else(|| "there is no `inputs`, and it is no preset".to_owned());
    }
    let stated: Value = key(entry, "label")?;
    let number = |name: &str| {
        let number = stated.get(name).and_then(Value::as_f64);
        number.ok_or_else(|| format!("`label` has no number `{name}`"))
    };
    let labels: Vec<String> = key(entry, "labels")?;
    let label = match stated.get("kind").and_then(Value::as_str) {
        Some("classes") => LabelKind::Classes {
            classes: labels.len(),
        },
        Some("multi-label") => LabelKind::MultiLabel {
            classes: labels.len(),
        },
        Some("binary") => LabelKind::Binary,
        Some("score") => LabelKind::Score {
            min: number("min")? as f32,
            max: number("max")? as f32,
        },
        _ => return Err("`label` has no `kind` of classes, multi-label, binary or score".into()),
    };
    let fits = match label {
        LabelKind::Classes { classes } | LabelKind::MultiLabel { classes } => classes >= 2,
        LabelKind::Binary => labels.len() == 2,
        LabelKind::Score { min, max } => labels.len() == 1 && min < max,
    };
    if !fits {
        return Err("`labels` do not go with `label`".into());
    }
    let inputs = key(entry, "inputs")?;
    Ok(Arc::new(TaskSpec {
        title: key(entry, "title")?,
        inputs,
        label,
        labels,
        metric: key(entry, "metric")?,
        preset: Preset::of_kind(task, inputs, label),
    }))
}

/// Whether a head can be built from this, and its logits be read.
fn check(task: &TaskConfig) -> Result<(), String> {
    if !(0.0..1.0).contains(&task.head_dropout) {
        return Err(format!(
            "`head-dropout` is {}; it must be in [0, 1)",
            task.head_dropout
        ));
    }
    if !(-1.0..1.0).contains(&task.margin) {
        return Err(format!(
            "`margin` is {}; it must be in [-1, 1)",
            task.margin
        ));
    }
    if let Some((key, allowed)) = task.loss_options.problem(&task.spec) {
        return Err(format!("`{key}`: {allowed}"));
    }
    match Legal::of(&task.spec).problem(task.task, task.head, task.loss) {
        None => Ok(()),
        Some((key, allowed)) => {
            let value = match key {
                "head" => names(&[task.head]),
                _ => names(&[task.loss]),
            };
            Err(format!("`{key}` is {value}; {allowed}"))
        }
    }
}

/// Refuses a `max-length` that the encoder has no positions for.
pub(super) fn check_positions(
    dir: &Path,
    max_length: usize,
    config: &BertConfig,
) -> Result<(), ModelFolderError> {
    let positions = config.max_position_embeddings;
    if max_length <= positions {
        return Ok(());
    }
    Err(ModelFolderError::file(
        &dir.join(FILE),
        format!(
            "`max-length` is {max_length}; it must be from {SHORTEST} to the model's {positions} positions"
        ),
    ))
}

/// Reads the heads' weights: named by task, or by number as in the first version.
pub(super) fn load_weights<B: Backend>(
    dir: &Path,
    heads: Vec<TaskHead<B>>,
    device: &B::Device,
) -> Result<Vec<TaskHead<B>>, ModelFolderError> {
    let path = dir.join(WEIGHTS);
    let numbered = tensor_names(&path)?
        .iter()
        .any(|name| name.starts_with(|first: char| first.is_ascii_digit()));
    let tasks: Vec<TaskConfig> = heads.iter().map(|head| head.config().clone()).collect();
    let tasks: Vec<&TaskConfig> = tasks.iter().collect();
    let heads = load_tensors_as(&path, heads, device, |parameter| {
        if numbered {
            parameter.to_owned()
        } else {
            by_task(&tasks, parameter)
        }
    })?;
    Ok(heads)
}

/// `0.head.Linear.linear.weight` -> `sst.linear.weight`: the task's name for its number, and no variant of an enum; and
/// `0.attention.query` -> `sst.attention.query`.
fn by_task(tasks: &[&TaskConfig], parameter: &str) -> String {
    let named = || {
        let (number, rest) = parameter.split_once('.')?;
        let task = tasks.get(number.parse::<usize>().ok()?)?;
        let rest = match rest.strip_prefix("head.") {
            Some(of_variant) => of_variant.split_once('.')?.1,
            None => rest,
        };
        Some(format!("{}.{rest}", task.task))
    };
    // Should heads be named otherwise one day, the path itself is a fair name.
    named().unwrap_or_else(|| parameter.to_owned())
}
