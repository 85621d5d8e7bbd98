//! A tokenizer into a folder, so that `transformers` and [`from_folder`](BertTokenizer::from_folder) read the same.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::added::malformed;
use super::files::{CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER, VOCAB};
use super::word_piece::BertRules;
use super::{BertTokenizer, SPECIAL_KEYS, TokenizerError};
use crate::fs::{WriteError, atomic_write};

impl BertTokenizer {
    /// Writes `tokenizer.json`, `vocab.txt`, `tokenizer_config.json` and `special_tokens_map.json`, from which
    /// `transformers.AutoTokenizer` and [`from_folder`](Self::from_folder) read this tokenizer.
    ///
    /// `model_max_length` is the number of positions of the model beside it, so that Python cuts texts to what the model
    /// takes. Flags are those in effect, whatever the folder said that the tokenizer came from. A tokenizer that is not a
    /// `BertTokenizer` with three flags (a `Sequence` of normalisers, say) is written with
    /// `"tokenizer_class": "PreTrainedTokenizerFast"`, by which `tokenizer.json` is read as it stands; it has no
    /// `vocab.txt` where its model is not WordPiece.
    ///
    /// # Errors
    ///
    /// A file cannot be written; or what was written does not read back as the same tokenizer.
    pub fn save(&self, dir: &Path, model_max_length: usize) -> Result<(), TokenizerError> {
        let path = dir.join(TOKENIZER);
        let wrong = |error: String| malformed(&path, error);
        let text = self
            .inner
            .to_string(true)
            .map_err(|error| wrong(error.to_string()))?;
        let tokenizer: Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        atomic_write(&path, text.as_bytes())?;
        self.save_vocabulary(&dir.join(VOCAB), &tokenizer)?;
        let mut special = Map::new();
        for (key, name) in SPECIAL_KEYS.into_iter().zip(&self.names) {
            special.insert(key.to_owned(), json!(name));
        }
        let more: Vec<String> = self
            .added_tokens()
            .into_iter()
            .filter(|(_, token)| token.special && !self.names.contains(&token.content))
            .map(|(_, token)| token.content)
            .collect();
        if !more.is_empty() {
            special.insert("additional_special_tokens".to_owned(), json!(more));
        }
        let config = self.config(&tokenizer, model_max_length, &special);
        for (name, value) in [(CONFIG, config), (SPECIAL_TOKENS_MAP, special)] {
            let text = format!("{:#}\n", Value::Object(value));
            atomic_write(&dir.join(name), text.as_bytes())?;
        }
        self.check_read_back(dir)
    }

    fn config(
        &self,
        tokenizer: &Map<String, Value>,
        model_max_length: usize,
        special: &Map<String, Value>,
    ) -> Map<String, Value> {
        let rules = BertRules::in_effect(tokenizer.get("normalizer").unwrap_or(&Value::Null));
        let class = match rules.other_part(tokenizer, &self.names[1]) {
            None => "BertTokenizer",
            Some(_) => "PreTrainedTokenizerFast",
        };
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("tokenizer_class", json!(class));
        set("do_lower_case", json!(rules.lowercase));
        set("strip_accents", json!(rules.strip_accents));
        set("tokenize_chinese_chars", json!(rules.chinese_chars));
        set("model_max_length", json!(model_max_length));
        if self.inner.get_encode_special_tokens() {
            set("split_special_tokens", json!(true));
        }
        let added: Map<String, Value> = self
            .added_tokens()
            .into_iter()
            .map(|(id, token)| (id.to_string(), json!(token)))
            .collect();
        // Its being there is what makes `transformers` take these and look nowhere else.
        set("added_tokens_decoder", Value::Object(added));
        config.extend(special.clone());
        config
    }

    fn added_tokens(&self) -> Vec<(u32, AddedToken)> {
        let mut tokens: Vec<(u32, AddedToken)> =
            self.inner.get_added_tokens_decoder().into_iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        tokens
    }

    /// Writes the vocabulary without added tokens, where lines can hold it: a line's number is its token's id.
    fn save_vocabulary(
        &self,
        path: &Path,
        tokenizer: &Map<String, Value>,
    ) -> Result<(), TokenizerError> {
        let mut vocab: Vec<(u32, String)> = self
            .inner
            .get_vocab(false)
            .into_iter()
            .map(|(token, id)| (id, token))
            .collect();
        vocab.sort();
        let is_word_piece = tokenizer
            .get("model")
            .and_then(|model| model.get("type"))
            .is_none_or(|kind| kind == "WordPiece");
        // Readers trim a line's end.
        let fits = |token: &str| token.trim_end() == token && !token.contains('\n');
        let unique = vocab.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let last = vocab.last().cloned();
        let Some((_, last)) =
            last.filter(|_| is_word_piece && unique && vocab.iter().all(|(_, token)| fits(token)))
        else {
            return match std::fs::remove_file(path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    Err(TokenizerError::Write(WriteError {
                        path: path.to_owned(),
                        source,
                    }))
                }
                _ => Ok(()),
            };
        };
        let mut lines = String::new();
        let mut next = 0;
        for (id, token) in &vocab {
            // A token that comes again: of two lines with one token the later counts, so a hole stays a hole.
            for _ in next..*id {
                lines.push_str(&last);
                lines.push('\n');
            }
            lines.push_str(token);
            lines.push('\n');
            next = id + 1;
        }
        atomic_write(path, lines.as_bytes())?;
        Ok(())
    }

    /// Reads what was written, and compares.
    fn check_read_back(&self, dir: &Path) -> Result<(), TokenizerError> {
        let differs = |message: String| TokenizerError::NotTheSame {
            path: dir.to_owned(),
            message,
        };
        let read = Self::from_folder(dir)?;
        if read.special != self.special || read.names != self.names {
            return Err(differs("the special tokens differ".into()));
        }
        if read.inner.get_vocab(true) != self.inner.get_vocab(true) {
            return Err(differs("the ids of tokens differ".into()));
        }
        for (_, token) in self.added_tokens() {
            let text = format!("a {} b", token.content);
            if read.encode(&text)? != self.encode(&text)? {
                return Err(differs(format!(
                    "the added token {:?} is found elsewhere in a text",
                    token.content
                )));
            }
        }
        let described = |tokenizer: &Self| -> Result<Value, TokenizerError> {
            let error = |error: String| differs(error);
            let text = tokenizer
                .inner
                .to_string(false)
                .map_err(|failed| error(failed.to_string()))?;
            let mut json: Value =
                serde_json::from_str(&text).map_err(|failed| error(failed.to_string()))?;
            // Compared above, and large.
            json["model"]["vocab"] = Value::Null;
            json["decoder"] = Value::Null;
            Ok(json)
        };
        let (here, there) = (described(self)?, described(&read)?);
        for part in ["added_tokens", "normalizer", "pre_tokenizer", "model"] {
            if here[part] != there[part] {
                return Err(differs(format!("{part} differs")));
            }
        }
        Ok(())
    }
}
