//! From a [`Bert`] to a Hugging Face checkpoint folder.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::import::transpose;
use super::remap::{Layout, to_hugging_face};
use super::walk::{HostTensor, values, write_atomic, write_tensors};
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
    let mut tensors = BTreeMap::new();
    for (path, data) in values(model) {
        let data = data.convert::<f32>();
        // Every parameter of `Bert` is in the table; a test walks them all.
        let (name, data) = match to_hugging_face(&path) {
            Some((name, Layout::Same)) => (name, data),
            Some((name, Layout::Transposed)) => (name, transpose(data)),
            None => (path, data),
        };
        let tensor = HostTensor::new(&name, data)?;
        tensors.insert(name, tensor);
    }
    write_tensors(&dir.join(WEIGHTS_FILE), tensors)?;

    let path = dir.join(CONFIG_FILE);
    let text = config_json(config).map_err(|source| WeightsError::Json {
        path: path.clone(),
        source,
    })?;
    write_atomic(&path, |temporary| std::fs::write(temporary, text))
}

/// `config.json` as `transformers` expects it beside f32 weights of a bare encoder.
fn config_json(config: &BertConfig) -> Result<String, serde_json::Error> {
    let mut keys = Map::from_iter([
        ("architectures".to_owned(), json!(["BertModel"])),
        ("model_type".to_owned(), json!("bert")),
    ]);
    if let Value::Object(own) = serde_json::to_value(config)? {
        for (key, value) in own {
            keys.entry(key).or_insert(value);
        }
    }
    // The type that the checkpoint came in may be another than the f32 written beside this file.
    for key in ["torch_dtype", "dtype"] {
        if let Some(value) = keys.get_mut(key) {
            *value = json!("float32");
        }
    }
    serde_json::to_string_pretty(&Value::Object(keys)).map(|text| text + "\n")
}
