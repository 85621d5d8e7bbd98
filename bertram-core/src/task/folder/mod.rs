//! A trained model as a folder that bertram, `transformers` and sentence-transformers read.
//!
//! ```text
//! config.json  model.safetensors      the encoder, in Hugging Face naming
//! tokenizer.json  vocab.txt  ...      the tokenizer
//! heads.json                          how texts are prepared and pooled, and how each task is modelled
//! heads.safetensors                   the heads' weights, by task
//! modules.json  1_Pooling/  ...       the encoder as a sentence-transformers model, where it has such a pooling
//! TASK/                               the task as a `transformers` model for sequence classification, where it is one
//! README.md                           the model card
//! ```

mod classification;
mod heads;
mod sentence_transformers;

pub use classification::is_sequence_classifier;
pub use heads::EncodeSettings;
pub use sentence_transformers::{Encoding, EncodingSource, encoding_of};

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;

use super::{MultitaskModel, TaskConfig, TaskHead};
use crate::encoder::{BertConfig, WeightsError, load_encoder, save_encoder};
use crate::fs::{WriteError, atomic_write};
use crate::tokenizer::{BertTokenizer, TokenizerError};

/// Errors of a model folder.
#[derive(Debug, thiserror::Error)]
pub enum ModelFolderError {
    /// Encoder or head weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tokenizer that cannot be read, or that a text cannot go through.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A file cannot be read or understood.
    #[error("{}: {message}", path.display())]
    File {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ModelFolderError {
    /// Whether what was read is at fault, and not the writing of a file.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Weights(error) => error.is_input(),
            Self::Tokenizer(error) => !matches!(error, TokenizerError::Write(_)),
            Self::File { .. } => true,
            Self::Write(_) => false,
        }
    }

    fn file(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}

/// A model read from its folder.
pub struct ModelFolder<B: Backend> {
    /// Shape of the encoder.
    pub config: BertConfig,
    /// Encoder and heads.
    pub model: MultitaskModel<B>,
    /// The tokenizer it was trained with.
    pub tokenizer: BertTokenizer,
    /// How texts go in; `None` in a folder of bertram 0.1.0 or before, which does not say.
    pub encode: Option<EncodeSettings>,
}

/// What [`save_model_folder`] writes.
pub struct ModelExport<'a, B: Backend> {
    /// Shape of the encoder.
    pub config: &'a BertConfig,
    /// The tokenizer that made the token ids, which the folder gets too.
    pub tokenizer: &'a BertTokenizer,
    /// Encoder and heads.
    pub model: &'a MultitaskModel<B>,
    /// How texts go in, and how `encode` makes vectors of them.
    pub encode: EncodeSettings,
    /// The text of the model card, `README.md`.
    pub card: &'a str,
}

/// Writes a model, its tokenizer, its heads and its card to `dir`, which is made if need be.
///
/// Each file appears whole or not at all.
///
/// # Errors
/// [`ModelFolderError::Write`], or a [`WeightsError`] or [`TokenizerError`] of writing.
pub fn save_model_folder<B: Backend>(
    dir: &Path,
    export: &ModelExport<'_, B>,
) -> Result<(), ModelFolderError> {
    make_folder(dir)?;
    save_encoder(dir, export.config, &export.model.encoder)?;
    // Longer texts were never seen: Python cuts where `predict` does.
    (export.tokenizer).save(dir, export.encode.max_length)?;
    heads::write(dir, export)?;
    sentence_transformers::write(dir, export)?;
    for head in &export.model.heads {
        classification::write(dir, export, head)?;
    }
    atomic_write(&dir.join(CARD), export.card.as_bytes())?;
    Ok(())
}

/// File name of the model card.
const CARD: &str = "README.md";

/// Reads a folder that [`save_model_folder`] wrote, in this version or an earlier one.
///
/// # Errors
/// Of the encoder, the tokenizer and the heads: each names its file, and the key or the tensor in it.
pub fn load_model_folder<B: Backend>(
    dir: &Path,
    device: &B::Device,
) -> Result<ModelFolder<B>, ModelFolderError> {
    // First the cheap files, so that their faults are found at once.
    let stated = heads::read(dir)?;
    let (config, encoder, _) = load_encoder::<B>(dir, device)?;
    if let Some(encode) = &stated.encode {
        heads::check_positions(dir, encode.max_length, &config)?;
    }
    let tokenizer = BertTokenizer::from_folder(dir)?;
    tokenizer.check_fits(config.vocab_size)?;
    let heads = stated
        .tasks
        .into_iter()
        .map(|task: TaskConfig| TaskHead::of_encoder(task, &config, device))
        .collect();
    let heads = heads::load_weights(dir, heads, device)?;
    Ok(ModelFolder {
        config,
        model: MultitaskModel::new(encoder, heads),
        tokenizer,
        encode: stated.encode,
    })
}

fn make_folder(dir: &Path) -> Result<(), WriteError> {
    std::fs::create_dir_all(dir).map_err(|source| WriteError {
        path: dir.to_owned(),
        source,
    })
}

/// Writes a value as indented JSON.
fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), WriteError> {
    atomic_write(path, format!("{value:#}\n").as_bytes())
}

#[cfg(test)]
mod tests;
