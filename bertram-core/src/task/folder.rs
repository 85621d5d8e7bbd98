//! A trained model as a folder: an encoder that `transformers` loads, and the heads beside it.
//!
//! ```text
//! config.json  model.safetensors      the encoder, in Hugging Face naming
//! tokenizer.json  vocab.txt  ...      the tokenizer
//! heads.json                          how each task is modelled
//! heads.safetensors                   the heads' weights
//! ```

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;

use super::{MultitaskModel, TaskConfig, TaskHead};
use crate::data::{BertTokenizer, TokenizerError};
use crate::encoder::{
    BertConfig, WeightsError, load_encoder, load_tensors, save_encoder, save_tensors,
};
use crate::fs::atomic_write;

const HEADS: &str = "heads.json";
const HEAD_WEIGHTS: &str = "heads.safetensors";

/// Errors of a model folder.
#[derive(Debug, thiserror::Error)]
pub enum ModelFolderError {
    /// Encoder or head weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A file cannot be read, written or understood.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// A model read from its folder.
pub struct ModelFolder<B: Backend> {
    /// Shape of the encoder.
    pub config: BertConfig,
    /// Encoder and heads.
    pub model: MultitaskModel<B>,
    /// The tokenizer it was trained with.
    pub tokenizer: BertTokenizer,
}

/// Writes a model, its tokenizer and its heads to `dir`, which is made if need be.
pub fn save_model_folder<B: Backend>(
    dir: &Path,
    config: &BertConfig,
    tokenizer: &BertTokenizer,
    model: &MultitaskModel<B>,
) -> Result<(), ModelFolderError> {
    let file = |path: PathBuf| {
        move |error: &dyn std::fmt::Display| ModelFolderError::File {
            path,
            message: error.to_string(),
        }
    };
    std::fs::create_dir_all(dir).map_err(|error| file(dir.to_owned())(&error))?;
    save_encoder(dir, config, &model.encoder)?;
    tokenizer.save(dir, config.max_position_embeddings)?;
    let configs: Vec<&TaskConfig> = model.heads.iter().map(TaskHead::config).collect();
    let path = dir.join(HEADS);
    let text =
        serde_json::to_string_pretty(&configs).map_err(|error| file(path.clone())(&error))?;
    atomic_write(&path, text.as_bytes()).map_err(|error| file(path.clone())(&error))?;
    save_tensors(&dir.join(HEAD_WEIGHTS), &model.heads)?;
    Ok(())
}

/// Reads a folder that [`save_model_folder`] wrote.
pub fn load_model_folder<B: Backend>(
    dir: &Path,
    device: &B::Device,
) -> Result<ModelFolder<B>, ModelFolderError> {
    let (config, encoder, _) = load_encoder::<B>(dir, device)?;
    let tokenizer = BertTokenizer::from_folder(dir)?;
    tokenizer.check_fits(config.vocab_size)?;
    let path = dir.join(HEADS);
    let file = |message: String| ModelFolderError::File {
        path: path.clone(),
        message,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| file(error.to_string()))?;
    let configs: Vec<TaskConfig> =
        serde_json::from_str(&text).map_err(|error| file(error.to_string()))?;
    let heads: Vec<TaskHead<B>> = configs
        .into_iter()
        .map(|task| TaskHead::new(task, config.hidden_size, config.initializer_range, device))
        .collect();
    let heads = load_tensors(&dir.join(HEAD_WEIGHTS), heads, device)?;
    Ok(ModelFolder {
        config,
        model: MultitaskModel::new(encoder, heads),
        tokenizer,
    })
}
