//! BERT's tokenizer: read and written as `transformers` does, so that ids are the same in Python and here.

mod added;
mod class;
mod error;
mod files;
mod preprocess;
mod preprocessing;
mod read;
mod settings;
mod train;
mod word_piece;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

use tokenizers::Tokenizer;
use tokenizers::processors::bert::BertProcessing;

pub use error::TokenizerError;
pub use preprocess::Preprocess;

/// BERT's special tokens, in the order in which a trained vocabulary starts.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// The keys by which configs name them.
const SPECIAL_KEYS: [&str; 5] = [
    "pad_token",
    "unk_token",
    "cls_token",
    "sep_token",
    "mask_token",
];

/// Ids of the special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `[PAD]`.
    pub pad: u32,
    /// `[UNK]`.
    pub unk: u32,
    /// `[CLS]`.
    pub cls: u32,
    /// `[SEP]`.
    pub sep: u32,
    /// `[MASK]`.
    pub mask: u32,
}

/// A BERT tokenizer without truncation, padding or special tokens: batches add these (see
/// [`Batcher`](crate::data::Batcher)).
#[derive(Clone, Debug)]
pub struct BertTokenizer {
    inner: Tokenizer,
    special: SpecialTokens,
    /// What the special tokens are called, in the order of [`SPECIAL_KEYS`].
    names: [String; 5],
    model_max_length: Option<usize>,
    /// The largest id, and its token.
    largest: (u32, String),
}

impl BertTokenizer {
    /// The tokenizer that the bytes of a `tokenizer.json` describe; `path` is for messages.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, TokenizerError> {
        let inner = Tokenizer::from_bytes(bytes)
            .map_err(|error| added::malformed(path, error.to_string()))?;
        Self::finish(inner, SPECIAL_TOKENS.map(str::to_owned), None, path)
    }

    /// Takes off what batches do, and looks the special tokens up.
    fn finish(
        mut inner: Tokenizer,
        names: [String; 5],
        model_max_length: Option<usize>,
        path: &Path,
    ) -> Result<Self, TokenizerError> {
        // Checkpoints preset both; a batch is padded to its own longest row, and truncated by the config.
        inner
            .with_truncation(None)
            .map_err(|error| added::malformed(path, error.to_string()))?;
        inner.with_padding(None);
        let id = |index: usize| {
            inner
                .token_to_id(&names[index])
                .ok_or_else(|| TokenizerError::NoSpecial {
                    path: path.to_owned(),
                    token: names[index].clone(),
                })
        };
        let special = SpecialTokens {
            pad: id(0)?,
            unk: id(1)?,
            cls: id(2)?,
            sep: id(3)?,
            mask: id(4)?,
        };
        inner.with_post_processor(Some(BertProcessing::new(
            (names[3].clone(), special.sep),
            (names[2].clone(), special.cls),
        )));
        let largest = inner
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| (id, token))
            .max()
            .unwrap_or_default();
        Ok(Self {
            inner,
            special,
            names,
            model_max_length,
            largest,
        })
    }

    /// Number of tokens. Ids may be larger: a vocabulary may have holes.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The largest id that a text can be turned into.
    pub fn largest_id(&self) -> u32 {
        self.largest.0
    }

    /// Whether a model with `vocab_rows` rows in its table of word embeddings has one for every id.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::DoesNotFit`] with the largest id and the rows.
    pub fn check_fits(&self, vocab_rows: usize) -> Result<(), TokenizerError> {
        let (id, token) = &self.largest;
        if (*id as usize) < vocab_rows {
            return Ok(());
        }
        Err(TokenizerError::DoesNotFit {
            id: *id,
            token: token.clone(),
            rows: vocab_rows,
        })
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// Most tokens of a sequence, special tokens counted, as the folder's `tokenizer_config.json` has it; `None` where it
    /// sets no limit. Nothing here truncates to it.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// Token ids of each text, in parallel, without special tokens and not truncated.
    pub fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TokenizerError> {
        use rayon::prelude::*;
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// Token ids of one text, as [`encode_all`](Self::encode_all).
    fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.inner
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| TokenizerError::Encode {
                text: text.chars().take(60).collect(),
                message: error.to_string(),
            })
    }
}
