//! What can go wrong with a tokenizer.

use std::path::PathBuf;

use crate::fs::WriteError;

/// Errors of a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is no tokenizer.
    #[error(
        "{0} has neither tokenizer.json nor vocab.txt: a BERT needs its tokenizer beside its weights"
    )]
    None(PathBuf),
    /// A tokenizer cannot be understood.
    #[error("{path}: {message}")]
    Malformed {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A tokenizer of another kind.
    #[error(
        "{path}: tokenizer_class {class:?} is not a tokenizer that bertram has; it reads BertTokenizer (WordPiece), and any tokenizer.json as it stands with \"tokenizer_class\": \"PreTrainedTokenizerFast\""
    )]
    Class {
        /// The file that names the class.
        path: PathBuf,
        /// Name of the class that the message is about.
        class: String,
    },
    /// A special token is missing.
    #[error("the vocabulary of {path} has no {token}: it is not a BERT vocabulary")]
    NoSpecial {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// The token that the message is about.
        token: String,
    },
    /// The embedding table is too small for the tokenizer.
    #[error(
        "the tokenizer's largest id is {id} ({token:?}), and the model's table of word embeddings has {rows} rows, for ids 0 to {last}: take the tokenizer that belongs to the model, or make the table larger (in transformers: model.resize_token_embeddings({needed}))",
        last = rows.saturating_sub(1), needed = id + 1
    )]
    DoesNotFit {
        /// The largest id.
        id: u32,
        /// Its token.
        token: String,
        /// Rows of the table.
        rows: usize,
    },
    /// What is written would be read as another tokenizer.
    #[error(
        "the tokenizer cannot be written to {path} so that it is read back the same: {message}; nothing there can be relied on"
    )]
    NotTheSame {
        /// Path of the folder that the message is about.
        path: PathBuf,
        /// What differs.
        message: String,
    },
    /// A text could not be tokenised.
    #[error("cannot tokenise {text:?}: {message}")]
    Encode {
        /// The start of the text.
        text: String,
        /// What is wrong.
        message: String,
    },
    /// A vocabulary too small for the special tokens and the corpus' characters.
    #[error(
        "a vocabulary of {asked} is too small: special tokens and characters alone need {needed}"
    )]
    Vocabulary {
        /// What was asked for.
        asked: usize,
        /// What is needed.
        needed: usize,
    },
}

impl TokenizerError {
    /// Whether what the user gave is at fault, and not the machine.
    pub fn is_input(&self) -> bool {
        !matches!(self, TokenizerError::Write(_))
    }
}
