//! Tokenisation, once for a data set, and vocabularies trained on a corpus.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer,
};

use super::Dataset;
use crate::fs::{WriteError, atomic_write};
use crate::task::TaskId;

const TOKENIZER_FILE: &str = "tokenizer.json";
const VOCAB_FILE: &str = "vocab.txt";
const CONFIG_FILE: &str = "tokenizer_config.json";
const SPECIAL_FILE: &str = "special_tokens_map.json";

/// BERT's special tokens, in the order in which a trained vocabulary starts.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Errors of a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
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
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A special token is missing.
    #[error("the vocabulary of {path} has no {token}: it is not a BERT vocabulary")]
    NoSpecial {
        /// The file.
        path: PathBuf,
        /// The token.
        token: &'static str,
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

/// Ids of the special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
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

/// A BERT tokenizer without truncation, padding or special tokens: batches add these (see [`super::Batcher`]).
#[derive(Clone, Debug)]
pub struct BertTokenizer {
    inner: Tokenizer,
    special: Special,
}

impl BertTokenizer {
    /// The tokenizer of a model folder: `tokenizer.json`, or else `vocab.txt` with `do_lower_case` of `tokenizer_config.json`.
    pub fn from_folder(dir: &Path) -> Result<Self, TokenizerError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TokenizerError::Io {
                path: path.to_owned(),
                source,
            })
        };
        let path = dir.join(TOKENIZER_FILE);
        if path.is_file() {
            return Self::from_bytes(&path, &read(&path)?);
        }
        let path = dir.join(VOCAB_FILE);
        if !path.is_file() {
            return Err(TokenizerError::None(dir.to_owned()));
        }
        let vocab = String::from_utf8(read(&path)?).map_err(|error| TokenizerError::Malformed {
            path: path.clone(),
            message: error.to_string(),
        })?;
        let lowercase = std::fs::read(dir.join(CONFIG_FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .and_then(|config| config.get("do_lower_case")?.as_bool())
            .unwrap_or(true);
        let tokens: Vec<&str> = vocab.lines().collect();
        let json = word_piece_json(&tokens, lowercase);
        Self::from_bytes(&path, json.to_string().as_bytes())
    }

    /// The tokenizer that the bytes of a `tokenizer.json` describe; `path` is for messages.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, TokenizerError> {
        let malformed = |message: String| TokenizerError::Malformed {
            path: path.to_owned(),
            message,
        };
        let mut inner =
            Tokenizer::from_bytes(bytes).map_err(|error| malformed(error.to_string()))?;
        // Checkpoints preset both; a batch is padded to its own longest row, and truncated by the config.
        inner
            .with_truncation(None)
            .map_err(|error| malformed(error.to_string()))?;
        inner.with_padding(None);
        let [pad, unk, cls, sep, mask] = SPECIAL_TOKENS.map(|token| {
            inner
                .token_to_id(token)
                .ok_or_else(|| TokenizerError::NoSpecial {
                    path: path.to_owned(),
                    token,
                })
        });
        let special = Special {
            pad: pad?,
            unk: unk?,
            cls: cls?,
            sep: sep?,
            mask: mask?,
        };
        Ok(Self { inner, special })
    }

    /// A WordPiece tokenizer whose vocabulary is made from sentences: the special tokens, every character (at the start
    /// of a word and, with `##`, inside one), and the most frequent words, up to `vocab_size` tokens.
    ///
    /// The same sentences give the same vocabulary: ties go by spelling. (The trainer of the `tokenizers` crate numbers
    /// pieces in the order of a randomly seeded hash map.)
    pub fn train_word_piece<'a>(
        sentences: impl Iterator<Item = &'a str>,
        vocab_size: usize,
    ) -> Result<Self, TokenizerError> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for sentence in sentences {
            for word in words(sentence)? {
                *counts.entry(word).or_insert(0) += 1;
            }
        }
        let characters: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
        let mut vocab: Vec<String> = SPECIAL_TOKENS.map(str::to_owned).to_vec();
        vocab.extend(characters.iter().map(char::to_string));
        vocab.extend(characters.iter().map(|character| format!("##{character}")));
        if vocab.len() > vocab_size {
            return Err(TokenizerError::Vocabulary {
                asked: vocab_size,
                needed: vocab.len(),
            });
        }
        let mut ranked: Vec<(String, usize)> = counts
            .into_iter()
            // A word seen once teaches its embedding nothing that its characters' could not.
            .filter(|(word, count)| *count > 1 && word.chars().nth(1).is_some())
            .collect();
        ranked.sort_by(|(word, count), (other, than)| than.cmp(count).then(word.cmp(other)));
        ranked.truncate(vocab_size - vocab.len());
        vocab.extend(ranked.into_iter().map(|(word, _)| word));
        let tokens: Vec<&str> = vocab.iter().map(String::as_str).collect();
        Self::from_bytes(
            Path::new("the trained vocabulary"),
            word_piece_json(&tokens, true).to_string().as_bytes(),
        )
    }

    /// Writes the files from which `transformers.AutoTokenizer` and [`from_folder`](Self::from_folder) read the tokenizer.
    pub fn save(&self, dir: &Path) -> Result<(), TokenizerError> {
        let path = dir.join(TOKENIZER_FILE);
        let text = self
            .inner
            .to_string(true)
            .map_err(|error| TokenizerError::Malformed {
                path: path.clone(),
                message: error.to_string(),
            })?;
        atomic_write(&path, text.as_bytes())?;
        let mut vocab: Vec<(String, u32)> = self.inner.get_vocab(true).into_iter().collect();
        vocab.sort_by_key(|(_, id)| *id);
        let mut lines = String::new();
        for (token, _) in &vocab {
            lines.push_str(token);
            lines.push('\n');
        }
        atomic_write(&dir.join(VOCAB_FILE), lines.as_bytes())?;
        let lowercase = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|json| json.pointer("/normalizer/lowercase")?.as_bool())
            .unwrap_or(true);
        let special = json!({
            "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
        });
        let mut config = json!({
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": lowercase,
            "model_max_length": 512,
        });
        if let (Some(config), Some(special)) = (config.as_object_mut(), special.as_object()) {
            config.extend(special.clone());
        }
        for (name, value) in [(CONFIG_FILE, config), (SPECIAL_FILE, special)] {
            atomic_write(&dir.join(name), format!("{value:#}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> Special {
        self.special
    }

    /// Token ids of each text, in parallel, without special tokens and not truncated.
    pub fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TokenizerError> {
        use rayon::prelude::*;
        texts
            .par_iter()
            .map(|text| {
                self.inner
                    .encode_fast(*text, false)
                    .map(|encoding| encoding.get_ids().to_vec())
                    .map_err(|error| TokenizerError::Encode {
                        text: text.chars().take(60).collect(),
                        message: error.to_string(),
                    })
            })
            .collect()
    }
}

/// The words that BERT's normaliser and pre-tokenizer make of a text.
fn words(text: &str) -> Result<Vec<String>, TokenizerError> {
    let failed = |error: tokenizers::Error| TokenizerError::Encode {
        text: text.chars().take(60).collect(),
        message: error.to_string(),
    };
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default()
        .normalize(&mut normalized)
        .map_err(failed)?;
    let mut split = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut split).map_err(failed)?;
    Ok(split
        .get_splits(OffsetReferential::Normalized, OffsetType::Byte)
        .into_iter()
        .map(|(word, _, _)| word.to_owned())
        .collect())
}

/// A `tokenizer.json` for a BERT vocabulary, as `transformers` writes it.
fn word_piece_json(tokens: &[&str], lowercase: bool) -> Value {
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let id = |token: &str| vocab.get(token).cloned().unwrap_or(json!(0));
    let added: Vec<Value> = SPECIAL_TOKENS
        .iter()
        .filter(|token| vocab.contains_key(**token))
        .map(|token| {
            json!({
                "id": id(token), "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": lowercase,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", id("[SEP]")], "cls": ["[CLS]", id("[CLS]")] },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    })
}

/// A data set's sentences as token ids, made once.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizedDataset {
    /// The task.
    pub task: TaskId,
    /// Identifier of each row.
    pub ids: Vec<String>,
    /// First (or only) sentence of each row, without special tokens.
    pub a: Vec<Vec<u32>>,
    /// Second sentence of each row; empty for single sentences.
    pub b: Vec<Vec<u32>>,
    /// Label of each row, where every row has one.
    pub labels: Option<Vec<f32>>,
}

impl TokenizedDataset {
    /// Tokenises a data set.
    pub fn new(dataset: &Dataset, tokenizer: &BertTokenizer) -> Result<Self, TokenizerError> {
        let examples = &dataset.examples;
        let a: Vec<&str> = examples.iter().map(|row| row.text_a.as_str()).collect();
        let b: Vec<&str> = examples
            .iter()
            .filter_map(|row| row.text_b.as_deref())
            .collect();
        Ok(Self {
            task: dataset.task,
            ids: examples.iter().map(|row| row.id.clone()).collect(),
            a: tokenizer.encode_all(&a)?,
            b: tokenizer.encode_all(&b)?,
            labels: examples.iter().map(|row| row.label).collect(),
        })
    }

    /// The rows of the given numbers, in their order.
    ///
    /// # Panics
    /// If a number is not below [`len`](Self::len).
    pub fn select(&self, rows: &[usize]) -> Self {
        let sentences = |all: &[Vec<u32>]| rows.iter().map(|&row| all[row].clone()).collect();
        Self {
            task: self.task,
            ids: rows.iter().map(|&row| self.ids[row].clone()).collect(),
            a: sentences(&self.a),
            b: if self.b.is_empty() {
                Vec::new()
            } else {
                sentences(&self.b)
            },
            labels: self
                .labels
                .as_ref()
                .map(|labels| rows.iter().map(|&row| labels[row]).collect()),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.a.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.a.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTENCES: [&str; 4] = [
        "A Fine film, a fine cast.",
        "the cast is fine; the film is Not!",
        "zebra",
        "a café in the film",
    ];

    #[test]
    fn training_is_deterministic_and_covers_every_character() {
        let train = || BertTokenizer::train_word_piece(SENTENCES.into_iter(), 120).expect("train");
        let (one, other) = (train(), train());
        assert_eq!(one.inner.get_vocab(true), other.inner.get_vocab(true));
        assert_eq!(
            one.special(),
            Special {
                pad: 0,
                unk: 1,
                cls: 2,
                sep: 3,
                mask: 4
            }
        );
        let ids = one.encode_all(&["Fine zebra cafe", ""]).expect("encode");
        assert!(!ids[0].contains(&1), "no unknown token in {ids:?}");
        assert!(ids[1].is_empty());
        let error = BertTokenizer::train_word_piece(SENTENCES.into_iter(), 9).expect_err("small");
        assert!(error.to_string().contains("too small"), "{error}");
    }

    #[test]
    fn saved_and_read_back_either_way() {
        let dir = tempfile::tempdir().expect("temp dir");
        let tokenizer = BertTokenizer::train_word_piece(SENTENCES.into_iter(), 120).expect("train");
        tokenizer.save(dir.path()).expect("save");
        let expected = tokenizer.encode_all(&SENTENCES).expect("encode");
        let read = || BertTokenizer::from_folder(dir.path()).expect("read");
        assert_eq!(read().encode_all(&SENTENCES).expect("encode"), expected);
        std::fs::remove_file(dir.path().join(TOKENIZER_FILE)).expect("remove");
        assert_eq!(read().encode_all(&SENTENCES).expect("encode"), expected);
        std::fs::remove_file(dir.path().join(VOCAB_FILE)).expect("remove");
        let error = BertTokenizer::from_folder(dir.path()).expect_err("nothing there");
        assert!(error.to_string().contains("tokenizer.json"), "{error}");
    }
}
