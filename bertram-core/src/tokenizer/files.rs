//! The files of a tokenizer, as they lie in a model folder.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::TokenizerError;
use super::added::malformed;
use crate::fs::{READ_LIMIT, read_file};

/// The whole tokenizer, as the `tokenizers` library writes it.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// A token a line; the line's number, from 0, is the token's id.
pub(super) const VOCAB: &str = "vocab.txt";
/// Flags and special tokens.
pub(super) const CONFIG: &str = "tokenizer_config.json";
/// Added tokens and their ids, as `transformers` before 5 wrote them.
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
/// Special tokens by their names, as `transformers` before 5 wrote them.
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
/// The model's own config, which may name the tokenizer's class.
const MODEL_CONFIG: &str = "config.json";

/// What a folder has of them; none is looked into beyond its being a JSON object.
pub(super) struct TokenizerFiles {
    pub dir: PathBuf,
    pub tokenizer: Option<TokenizerJson>,
    pub vocab: Option<Vec<u8>>,
    pub config: Option<Map<String, Value>>,
    pub added_tokens: Option<Map<String, Value>>,
    pub special_tokens_map: Option<Map<String, Value>>,
    /// The class that the model's own config names.
    pub model_class: Option<String>,
}

/// A `tokenizer.json`.
pub(super) struct TokenizerJson {
    pub bytes: Vec<u8>,
    pub object: Map<String, Value>,
}

impl TokenizerFiles {
    /// Reads the files of `dir`. Each is optional, but one of `tokenizer.json` and `vocab.txt`.
    pub fn read(dir: &Path) -> Result<Self, TokenizerError> {
        let tokenizer = match read(&dir.join(TOKENIZER))? {
            Some(bytes) => Some(TokenizerJson {
                object: object(&dir.join(TOKENIZER), &bytes)?,
                bytes,
            }),
            None => None,
        };
        let vocab = read(&dir.join(VOCAB))?;
        if tokenizer.is_none() && vocab.is_none() {
            return Err(TokenizerError::None(dir.to_owned()));
        }
        let json = |name: &str| -> Result<Option<Map<String, Value>>, TokenizerError> {
            let path = dir.join(name);
            read(&path)?.map(|bytes| object(&path, &bytes)).transpose()
        };
        let model_class = read(&dir.join(MODEL_CONFIG))?
            // Whether the model's config can be understood is for its own reader to say.
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .and_then(|config| Some(config.get("tokenizer_class")?.as_str()?.to_owned()));
        let files = Self {
            dir: dir.to_owned(),
            tokenizer,
            vocab,
            config: json(CONFIG)?,
            added_tokens: json(ADDED_TOKENS)?,
            special_tokens_map: json(SPECIAL_TOKENS_MAP)?,
            model_class,
        };
        files.check_added_tokens()?;
        Ok(files)
    }

    /// Refuses an added token that is longer than any is. They are looked for in texts by one automaton, which takes the
    /// square of their length to build.
    fn check_added_tokens(&self) -> Result<(), TokenizerError> {
        let check = |file: &str, token: &str| match token.chars().nth(LONGEST_ADDED) {
            None => Ok(()),
            Some(_) => Err(malformed(
                &self.path(file),
                format!(
                    "an added token has {} characters, and may have {LONGEST_ADDED}: {:?}",
                    token.chars().count(),
                    token.chars().take(20).collect::<String>() + "…"
                ),
            )),
        };
        let mut contents = Vec::new();
        if let Some(tokenizer) = &self.tokenizer
            && let Some(added) = tokenizer.object.get("added_tokens")
        {
            collect_tokens(added, &mut contents);
        }
        contents.drain(..).try_for_each(|it| check(TOKENIZER, it))?;
        for (file, map) in [
            (CONFIG, &self.config),
            (SPECIAL_TOKENS_MAP, &self.special_tokens_map),
        ] {
            let keys = map.iter().flatten();
            // Other keys have texts that are no tokens, as a template.
            let keys = keys.filter(|(key, _)| {
                key.ends_with("_token") || key.ends_with("_tokens") || key.ends_with("_decoder")
            });
            keys.for_each(|(_, value)| collect_tokens(value, &mut contents));
            contents.drain(..).try_for_each(|it| check(file, it))?;
        }
        let added = self.added_tokens.iter().flatten();
        added
            .map(|(token, _)| token)
            .try_for_each(|token| check(ADDED_TOKENS, token))
    }

    /// The path of one of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The file that the vocabulary is read from.
    pub fn vocabulary_path(&self) -> PathBuf {
        self.path(match self.tokenizer {
            Some(_) => TOKENIZER,
            None => VOCAB,
        })
    }
}

/// Most characters of an added token.
const LONGEST_ADDED: usize = 1000;

/// The tokens of a value: itself, its `content`, or those of its parts.
fn collect_tokens<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(token) => into.push(token),
        Value::Array(all) => all.iter().for_each(|it| collect_tokens(it, into)),
        Value::Object(all) => match all.get("content") {
            Some(content) => collect_tokens(content, into),
            None => all.values().for_each(|it| collect_tokens(it, into)),
        },
        _ => {}
    }
}

/// The bytes of a file, where there is one.
fn read(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    match read_file(path, READ_LIMIT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenizerError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, TokenizerError> {
    serde_json::from_slice(bytes).map_err(|error| {
        malformed(
            path,
            format!(
                "not the JSON object that it should be: {error}; the file may be cut off, download it again"
            ),
        )
    })
}
