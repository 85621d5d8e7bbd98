//! From a [`Bert`] to a Hugging Face checkpoint folder.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{TensorData, backend::Backend};
use serde_json::{Map, Value, json};

use super::import::transpose;
use super::remap::{Layout, to_hugging_face};
use super::walk::{HostTensor, values, write_file, write_tensors};
use super::{CONFIG_FILE, WEIGHTS_FILE, WeightsError};
use crate::encoder::{Bert, BertConfig};

/// Writes `model.safetensors` (f32, Hugging Face names) and `config.json` into `dir`, which is created if need be, so
/// that `transformers.BertModel.from_pretrained(dir)` reads it without missing or unexpected keys.
///
/// Each file appears whole or not at all. Unknown keys that `config.json` had when it was read are kept.
///
/// # Errors
/// [`WeightsError::Write`].
pub fn save_encoder<B: Backend>(
    dir: &Path,
    config: &BertConfig,
    model: &Bert<B>,
) -> Result<(), WeightsError> {
    write_tensors(&dir.join(WEIGHTS_FILE), encoder_tensors(model, "")?)?;
    write_config(dir, config, "BertModel", Map::new())
}

/// A classifier on an encoder, as `transformers.BertForSequenceClassification` has it.
pub(crate) struct Classifier {
    /// In place of the encoder's own pooler: this times the identity, without a bias.
    pub(crate) pooler: Option<f32>,
    /// Weights, `[labels, hidden]`.
    pub(crate) weight: TensorData,
    /// Bias, `[labels]`.
    pub(crate) bias: TensorData,
}

/// Writes `model.safetensors` and `config.json` of a `BertForSequenceClassification` into `dir`. `keys` go over the
/// encoder's in `config.json`.
///
/// # Errors
/// [`WeightsError::Write`].
pub(crate) fn save_classifier<B: Backend>(
    dir: &Path,
    config: &BertConfig,
    model: &Bert<B>,
    classifier: Classifier,
    keys: Map<String, Value>,
) -> Result<(), WeightsError> {
    const POOLER: &str = "bert.pooler.dense";
    let mut tensors = encoder_tensors(model, "bert.")?;
    let mut put = |name: String, data: TensorData| -> Result<(), WeightsError> {
        let tensor = HostTensor::new(&name, data)?;
        tensors.insert(name, tensor);
        Ok(())
    };
    if let Some(scale) = classifier.pooler {
        let hidden = config.hidden_size;
        let mut identity = vec![0.0_f32; hidden * hidden];
        identity
            .iter_mut()
            .step_by(hidden + 1)
            .for_each(|value| *value = scale);
        put(
            format!("{POOLER}.weight"),
            TensorData::new(identity, [hidden, hidden]),
        )?;
        put(
            format!("{POOLER}.bias"),
            TensorData::new(vec![0.0_f32; hidden], [hidden]),
        )?;
    }
    put("classifier.weight".to_owned(), classifier.weight)?;
    put("classifier.bias".to_owned(), classifier.bias)?;
    write_tensors(&dir.join(WEIGHTS_FILE), tensors)?;
    write_config(dir, config, "BertForSequenceClassification", keys)
}

/// Writes the pooler as the layer of a sentence-transformers `Dense` module, `linear.weight` and `linear.bias`.
///
/// # Errors
/// [`WeightsError::Write`].
pub(crate) fn save_dense_pooler<B: Backend>(
    dir: &Path,
    model: &Bert<B>,
) -> Result<(), WeightsError> {
    let mut tensors = BTreeMap::new();
    for (path, data) in values(&model.pooler.dense) {
        let data = data.convert::<f32>();
        let name = format!("linear.{path}");
        let data = if path == "weight" {
            transpose(data)
        } else {
            data
        };
        let tensor = HostTensor::new(&name, data)?;
        tensors.insert(name, tensor);
    }
    write_tensors(&dir.join(WEIGHTS_FILE), tensors)
}

/// The encoder's tensors in f32, under Hugging Face names after `prefix`.
fn encoder_tensors<B: Backend>(
    model: &Bert<B>,
    prefix: &str,
) -> Result<BTreeMap<String, HostTensor>, WeightsError> {
    let mut tensors = BTreeMap::new();
    for (path, data) in values(model) {
        let data = data.convert::<f32>();
        // Every parameter of `Bert` is in the table; a test walks them all.
        let (name, data) = match to_hugging_face(&path) {
            Some((name, Layout::Same)) => (name, data),
            Some((name, Layout::Transposed)) => (name, transpose(data)),
            None => (path, data),
        };
        let name = format!("{prefix}{name}");
        let tensor = HostTensor::new(&name, data)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn write_config(
    dir: &Path,
    config: &BertConfig,
    architecture: &str,
    more: Map<String, Value>,
) -> Result<(), WeightsError> {
    let path = dir.join(CONFIG_FILE);
    let text = config_json(config, architecture, more).map_err(|source| WeightsError::Json {
        path: path.clone(),
        source,
    })?;
    write_file(&path, |temporary| std::fs::write(temporary, text))
}

/// `config.json` as `transformers` expects it beside f32 weights of an architecture; `more` goes over the encoder's keys.
fn config_json(
    config: &BertConfig,
    architecture: &str,
    more: Map<String, Value>,
) -> Result<String, serde_json::Error> {
    let mut keys = Map::from_iter([
        ("architectures".to_owned(), json!([architecture])),
        ("model_type".to_owned(), json!("bert")),
    ]);
    if let Value::Object(own) = serde_json::to_value(config)? {
        for (key, value) in own {
            keys.entry(key).or_insert(value);
        }
    }
    keys.extend(more);
    // The type that the checkpoint came in may be another than the f32 written beside this file.
    for key in ["torch_dtype", "dtype"] {
        if let Some(value) = keys.get_mut(key) {
            *value = json!("float32");
        }
    }
    serde_json::to_string_pretty(&Value::Object(keys)).map(|text| text + "\n")
}
