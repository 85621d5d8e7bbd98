//! What a folder's files say together: flags, special tokens, added tokens.
//!
//! The order in which files win over one another is that of `PreTrainedTokenizerBase._from_pretrained` in
//! `transformers` 5.24.0 (`tokenization_utils_base.py`). It is not obvious: `added_tokens_decoder` in
//! `tokenizer_config.json` puts `special_tokens_map.json`, `added_tokens.json` and the added tokens of `tokenizer.json`
//! out of use; without it the three are read, each over the one before.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::TokenizerError;
use super::added::{DescribedToken, Token, added_token, malformed};
use super::files::{ADDED_TOKENS, CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER, TokenizerFiles};
use super::word_piece::BertRules;

/// Keys of the special tokens that every tokenizer may have, in the order in which they are added.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
const ADDITIONAL: &str = "additional_special_tokens";
const EXTRA: &str = "extra_special_tokens";
const DECODER: &str = "added_tokens_decoder";

/// What the files say together.
pub(super) struct Settings {
    /// Flags of a `BertTokenizer`.
    pub rules: BertRules,
    /// Whether special tokens in a text are cut up like any other word.
    pub split_special_tokens: bool,
    /// Most tokens of a sequence, where there is a limit.
    pub model_max_length: Option<usize>,
    /// Special tokens with a name (`cls_token`), in the order in which they are added. `None`: there is none of the name.
    pub named: Vec<(String, Option<Token>)>,
    /// Special tokens without a name.
    pub extra: Vec<Token>,
    /// Added tokens by the ids that the files give them; only the order of the ids counts.
    pub declared: BTreeMap<u32, DescribedToken>,
}

impl Settings {
    /// Reads them; `defaults` are named special tokens that are there when no file says otherwise.
    pub fn new(files: &TokenizerFiles, defaults: &[(&str, &str)]) -> Result<Self, TokenizerError> {
        Merge {
            files,
            values: files.config.clone().unwrap_or_default(),
            own_names: Map::new(),
            declared: BTreeMap::new(),
            by_content: HashMap::new(),
        }
        .run(defaults)
    }

    /// The special token of a name.
    pub fn named(&self, name: &str) -> Option<&Token> {
        let (_, token) = self.named.iter().find(|(known, _)| known == name)?;
        token.as_ref()
    }
}

struct Merge<'a> {
    files: &'a TokenizerFiles,
    /// Keys of `tokenizer_config.json`, and what other files put over them.
    values: Map<String, Value>,
    /// Special tokens with names that not every tokenizer has.
    own_names: Map<String, Value>,
    declared: BTreeMap<u32, DescribedToken>,
    by_content: HashMap<String, DescribedToken>,
}

impl Merge<'_> {
    fn run(mut self, defaults: &[(&str, &str)]) -> Result<Settings, TokenizerError> {
        if !truthy(self.values.get(EXTRA))
            && let Some(additional) = self.values.shift_remove(ADDITIONAL)
        {
            self.values.insert(EXTRA.to_owned(), additional);
        }
        let own: Vec<String> = self
            .values
            .iter()
            .filter(|(key, value)| is_own_name(key) && value.is_string())
            .map(|(key, _)| key.clone())
            .collect();
        for key in own {
            if let Some(value) = self.values.shift_remove(&key) {
                self.own_names.insert(key, value);
            }
        }
        self.take_extra_names();
        if self.values.contains_key(DECODER) {
            self.added_tokens_decoder()?;
        } else {
            self.special_tokens_map()?;
            self.added_tokens()?;
            self.tokenizer_json()?;
        }
        if !self.values.contains_key(EXTRA)
            && let Some(additional) = self.values.shift_remove(ADDITIONAL)
        {
            self.values.insert(EXTRA.to_owned(), additional);
        }
        Ok(Settings {
            rules: self.rules()?,
            split_special_tokens: self.flag("split_special_tokens", false)?,
            model_max_length: self.model_max_length(),
            named: self.named(defaults)?,
            extra: self.extra()?,
            declared: self.declared,
        })
    }

    /// Extra special tokens that have names join those with names.
    fn take_extra_names(&mut self) {
        if let Some(Value::Object(names)) = self.values.get(EXTRA) {
            self.own_names.extend(names.clone());
            self.values.shift_remove(EXTRA);
        }
    }

    fn declare(&mut self, id: u32, token: DescribedToken) {
        let content = token.content().to_owned();
        self.by_content.insert(content, token.clone());
        self.declared.insert(id, token);
    }

    fn added_tokens_decoder(&mut self) -> Result<(), TokenizerError> {
        let path = self.files.path(CONFIG);
        let wrong = |what: String| malformed(&path, format!("{DECODER}: {what}"));
        let Some(Value::Object(tokens)) = self.values.get(DECODER).cloned() else {
            return Err(wrong("must be an object of ids and tokens".into()));
        };
        for (id, token) in tokens {
            let number: u32 = id
                .trim()
                .parse()
                .map_err(|_| wrong(format!("{id:?} is not an id")))?;
            let token = token
                .as_object()
                .and_then(|token| added_token(token, None))
                .ok_or_else(|| {
                    wrong(format!(
                        "the token of id {id} must be an object with \"content\""
                    ))
                })?;
            self.declare(number, token);
        }
        Ok(())
    }

    fn special_tokens_map(&mut self) -> Result<(), TokenizerError> {
        let Some(map) = &self.files.special_tokens_map else {
            return Ok(());
        };
        let path = self.files.path(SPECIAL_TOKENS_MAP);
        for (key, value) in map {
            let value = match (key.as_str(), value) {
                (EXTRA, Value::Array(more)) => {
                    let mut all = match self.values.get(EXTRA) {
                        Some(Value::Array(all)) => all.clone(),
                        _ => Vec::new(),
                    };
                    for token in more {
                        if !all.contains(token) {
                            all.push(token.clone());
                        }
                    }
                    Value::Array(all)
                }
                (EXTRA, other) => other.clone(),
                (key, Value::Object(object)) => {
                    let mut object = object.clone();
                    object.insert("special".to_owned(), Value::Bool(true));
                    object.insert("__type".to_owned(), "AddedToken".into());
                    let value = Value::Object(object);
                    if Token::parse(&value).is_none() {
                        return Err(malformed(&path, format!("{key} is not a token")));
                    }
                    value
                }
                (key, other) => {
                    let is_named = NAMED.contains(&key);
                    if is_named && !other.is_string() && !other.is_null() {
                        return Err(malformed(&path, format!("{key} is not a token")));
                    }
                    other.clone()
                }
            };
            self.values.insert(key.clone(), value);
        }
        self.take_extra_names();
        Ok(())
    }

    fn added_tokens(&mut self) -> Result<(), TokenizerError> {
        let Some(map) = &self.files.added_tokens else {
            return Ok(());
        };
        let path = self.files.path(ADDED_TOKENS);
        let mut special: Vec<String> = NAMED
            .iter()
            .filter_map(|key| Some(Token::parse(self.values.get(*key)?)?.content().to_owned()))
            .collect();
        let extra = self.values.get(EXTRA).and_then(Value::as_array);
        special.extend(
            extra
                .into_iter()
                .flatten()
                .filter_map(|token| Some(Token::parse_special(token)?.content().to_owned())),
        );
        for (token, id) in map {
            let id = id
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| malformed(&path, format!("{token:?}: {id} is not an id")))?;
            let is_special = special.contains(token);
            self.declare(id, AddedToken::from(token.clone(), is_special).into());
        }
        Ok(())
    }

    fn tokenizer_json(&mut self) -> Result<(), TokenizerError> {
        let Some(tokenizer) = &self.files.tokenizer else {
            return Ok(());
        };
        let path = self.files.path(TOKENIZER);
        let Some(tokens) = tokenizer.object.get("added_tokens") else {
            return Ok(());
        };
        let wrong = || {
            malformed(
                &path,
                "added_tokens: each must be an object with \"id\" and \"content\"".into(),
            )
        };
        for token in tokens.as_array().ok_or_else(wrong)? {
            let object = token.as_object().ok_or_else(wrong)?;
            let id = object
                .get("id")
                .and_then(Value::as_u64)
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(wrong)?;
            self.declare(id, added_token(object, None).ok_or_else(wrong)?);
        }
        Ok(())
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, TokenizerError> {
        match self.values.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(malformed(
                &self.files.path(CONFIG),
                format!("{key} must be true or false, and is {other}"),
            )),
        }
    }

    fn rules(&self) -> Result<BertRules, TokenizerError> {
        let strip_accents = match self.values.get("strip_accents") {
            None | Some(Value::Null) => None,
            _ => Some(self.flag("strip_accents", false)?),
        };
        Ok(BertRules {
            lowercase: self.flag("do_lower_case", true)?,
            strip_accents,
            chinese_chars: self.flag("tokenize_chinese_chars", true)?,
        })
    }

    /// `transformers` writes 1e30 where there is no limit.
    fn model_max_length(&self) -> Option<usize> {
        let length = self
            .values
            .get("model_max_length")
            .or_else(|| self.values.get("max_len"))?
            .as_f64()?;
        (0.0..1e9).contains(&length).then_some(length as usize)
    }

    fn named(
        &self,
        defaults: &[(&str, &str)],
    ) -> Result<Vec<(String, Option<Token>)>, TokenizerError> {
        let wrong = |key: &str, value: &Value| {
            malformed(
                &self.files.path(CONFIG),
                format!(
                    "{key} must be a token (a text, or an object with \"__type\": \"AddedToken\"), and is {value}"
                ),
            )
        };
        let mut named = Vec::new();
        for key in NAMED {
            let token = match self.values.get(key) {
                None => defaults
                    .iter()
                    .find(|(known, _)| *known == key)
                    .map(|(_, token)| Token::Text((*token).to_owned())),
                Some(Value::Null) => None,
                Some(value) => {
                    let token = Token::parse(value).ok_or_else(|| wrong(key, value))?;
                    let declared = self.by_content.get(token.content());
                    Some(declared.cloned().map_or(token, Token::Added))
                }
            };
            named.push((key.to_owned(), token));
        }
        let from_map = self
            .values
            .iter()
            .filter(|(key, _)| is_own_name(key))
            .filter_map(|(key, value)| Some((key.clone(), Some(Token::parse(value)?))));
        named.extend(from_map);
        for (key, value) in &self.own_names {
            let token = Token::parse(value).ok_or_else(|| wrong(key, value))?;
            named.push((key.clone(), Some(token)));
        }
        Ok(named)
    }

    fn extra(&self) -> Result<Vec<Token>, TokenizerError> {
        let wrong = || {
            malformed(
                &self.files.path(CONFIG),
                format!("{EXTRA} (or {ADDITIONAL}) must be a list of tokens"),
            )
        };
        match self.values.get(EXTRA) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(tokens)) => tokens
                .iter()
                .map(|token| Token::parse_special(token).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }
}

/// A key like `image_token`.
fn is_own_name(key: &str) -> bool {
    key.ends_with("_token") && !NAMED.contains(&key)
}

/// As Python has it.
fn truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::Object(all)) => !all.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
    }
}
