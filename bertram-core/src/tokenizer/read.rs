//! A tokenizer from its folder, as `transformers`' `AutoTokenizer.from_pretrained` reads it.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, AddedVocabulary, Tokenizer};

use super::added::{Token, added_token, malformed};
use super::class::TokenizerClass;
use super::files::{CONFIG, TOKENIZER, TokenizerFiles};
use super::settings::Settings;
use super::word_piece::{BertRules, Vocabulary, word_piece};
use super::{BertTokenizer, SPECIAL_KEYS, SPECIAL_TOKENS, TokenizerError};

/// The keys of `tokenizer_config.json` as bertram 0.1.0 wrote it, whatever the tokenizer did.
const WRITTEN_BY_0_1: [&str; 8] = [
    "tokenizer_class",
    "do_lower_case",
    "model_max_length",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl BertTokenizer {
    /// The tokenizer of a model folder. Its ids are those of `transformers`' `AutoTokenizer` (5.24.0) from the same folder.
    ///
    /// Read are `tokenizer.json`, or else `vocab.txt`, with `tokenizer_config.json`, `special_tokens_map.json` and
    /// `added_tokens.json`. Where they disagree the outcome is that of `transformers`: for a `BertTokenizer` the flags of
    /// `tokenizer_config.json` (and its defaults: lower case) win over the normaliser in `tokenizer.json`, with a warning;
    /// `"tokenizer_class": "PreTrainedTokenizerFast"` takes `tokenizer.json` as it stands. Truncation and padding that
    /// `tokenizer.json` presets are not taken over: batches do both.
    ///
    /// # Errors
    ///
    /// There is no tokenizer; a file is not JSON (the message has its line and column) or a key has no usable value; a
    /// special token (`[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]`, or what the config names in their place) is not there;
    /// the folder is for a tokenizer of another kind.
    pub fn from_folder(dir: &Path) -> Result<Self, TokenizerError> {
        let files = TokenizerFiles::read(dir)?;
        let class = TokenizerClass::of(&files)?;
        let (mut inner, settings, from_json) = match class {
            TokenizerClass::Bert => {
                let defaults: Vec<(&str, &str)> =
                    SPECIAL_KEYS.into_iter().zip(SPECIAL_TOKENS).collect();
                let settings = Settings::new(&files, &defaults)?;
                match written_by_0_1(&files, settings.rules)? {
                    Some(inner) => (inner, settings, json_tokens(&files)),
                    None => (by_bert_rules(&files, &settings)?, settings, Vec::new()),
                }
            }
            TokenizerClass::AsItStands => {
                let settings = Settings::new(&files, &[])?;
                let inner = as_it_stands(&files)?;
                (inner, settings, json_tokens(&files))
            }
        };
        let names = special_names(&inner, &settings, &files)?;
        add_tokens(&mut inner, &settings, from_json);
        inner.set_encode_special_tokens(settings.split_special_tokens);
        let path = files.vocabulary_path();
        let tokenizer = Self::finish(inner, names, settings.model_max_length, &path)?;
        if class == TokenizerClass::AsItStands {
            warn_of_other_template(&files, &tokenizer);
        }
        Ok(tokenizer)
    }
}

/// BERT's rules over the folder's vocabulary.
fn by_bert_rules(files: &TokenizerFiles, settings: &Settings) -> Result<Tokenizer, TokenizerError> {
    let path = files.vocabulary_path();
    let vocab = match (&files.tokenizer, &files.vocab) {
        (Some(tokenizer), _) => json_vocabulary(&path, &tokenizer.object)?,
        (None, Some(lines)) => text_vocabulary(&path, lines)?,
        (None, None) => return Err(TokenizerError::None(files.dir.clone())),
    };
    let unk = settings
        .named("unk_token")
        .map_or(SPECIAL_TOKENS[1], Token::content);
    if let Some(tokenizer) = &files.tokenizer {
        warn_of_other_rules(files, &tokenizer.object, settings.rules, unk);
    }
    word_piece(vocab, settings.rules, unk).map_err(|error| malformed(&path, error.to_string()))
}

/// `model.vocab` of a `tokenizer.json`.
fn json_vocabulary(
    path: &Path,
    tokenizer: &Map<String, Value>,
) -> Result<Vocabulary, TokenizerError> {
    let vocab = tokenizer
        .get("model")
        .and_then(|model| model.get("vocab"))
        .and_then(Value::as_object);
    vocab.cloned().ok_or_else(|| {
        malformed(
            path,
            "model.vocab must be an object of tokens and their ids, as a WordPiece model has it"
                .into(),
        )
    })
}

/// The lines of a `vocab.txt`; of a token that is there twice, the later line counts.
fn text_vocabulary(path: &Path, lines: &[u8]) -> Result<Vocabulary, TokenizerError> {
    let vocab = WordPiece::read_bytes(lines).map_err(|error| {
        let line = String::from_utf8_lossy(lines);
        let line = line.lines().position(|line| line.contains('\u{fffd}'));
        let place = line.map_or(String::new(), |line| format!("line {}: ", line + 1));
        malformed(path, format!("{place}{error}"))
    })?;
    Ok(vocab
        .into_iter()
        .map(|(token, id)| (token, id.into()))
        .collect())
}

/// `tokenizer.json` as it stands, without its truncation and padding.
fn as_it_stands(files: &TokenizerFiles) -> Result<Tokenizer, TokenizerError> {
    let Some(tokenizer) = &files.tokenizer else {
        return Err(TokenizerError::None(files.dir.clone()));
    };
    Tokenizer::from_bytes(&tokenizer.bytes)
        .map_err(|error| malformed(&files.path(TOKENIZER), error.to_string()))
}

/// The tokenizer of a folder that bertram 0.1.0 wrote, where its `tokenizer_config.json` says otherwise than its
/// `tokenizer.json`: the model was trained with the latter.
fn written_by_0_1(
    files: &TokenizerFiles,
    rules: BertRules,
) -> Result<Option<Tokenizer>, TokenizerError> {
    let (Some(tokenizer), Some(config)) = (&files.tokenizer, &files.config) else {
        return Ok(None);
    };
    let same_keys = config.len() == WRITTEN_BY_0_1.len()
        && WRITTEN_BY_0_1.iter().all(|key| config.contains_key(*key))
        && config["model_max_length"] == 512;
    let differs = || rules.other_part(&tokenizer.object, SPECIAL_TOKENS[1]);
    if !same_keys || differs().is_none() {
        return Ok(None);
    }
    tracing::warn!(
        "{}: written by bertram 0.1.0, which left out what tokenizer.json does to accents and Chinese characters, or is no plain BERT's; taken is tokenizer.json, with which the model was trained, but Python reads other ids from this folder",
        files.path(CONFIG).display()
    );
    as_it_stands(files).map(Some)
}

/// The names of `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`, which must be in the vocabulary or among the added tokens.
fn special_names(
    inner: &Tokenizer,
    settings: &Settings,
    files: &TokenizerFiles,
) -> Result<[String; 5], TokenizerError> {
    let mut names = SPECIAL_TOKENS.map(str::to_owned);
    for (name, key) in names.iter_mut().zip(SPECIAL_KEYS) {
        if let Some(token) = settings.named(key) {
            *name = token.content().to_owned();
        }
        let is_declared = settings
            .declared
            .values()
            .any(|token| token.content() == name);
        // `transformers` would give it an id that the model has no row for.
        if inner.token_to_id(name).is_none() && !is_declared {
            return Err(TokenizerError::NoSpecial {
                path: files.vocabulary_path(),
                token: name.clone(),
            });
        }
    }
    Ok(names)
}

/// Adds the tokens that are not the vocabulary's, in the order of `TokenizersBackend.__init__`: those of a `tokenizer.json`
/// that is taken as it stands, those with ids by their ids, then special tokens by name, then the others. Ids are given
/// anew, one after another. Of a token that comes twice the first place counts, and the last description.
fn add_tokens(inner: &mut Tokenizer, settings: &Settings, from_json: Vec<Token>) {
    let mut tokens = from_json;
    tokens.extend(settings.declared.values().cloned().map(Token::Added));
    let known: Vec<String> = tokens
        .iter()
        .map(|token| token.content().to_owned())
        .collect();
    let named = settings
        .named
        .iter()
        .filter_map(|(_, token)| token.as_ref());
    for token in named.clone().chain(&settings.extra) {
        if !known.iter().any(|content| content == token.content()) && !tokens.contains(token) {
            tokens.push(token.clone());
        }
    }
    let names: Vec<&str> = named.map(Token::content).collect();
    let mut added: Vec<AddedToken> = Vec::new();
    for token in tokens {
        let token = match token {
            Token::Text(text) => super::added::special(&text),
            Token::Added(token) => {
                let named = names.contains(&token.content());
                token.into_added(named)
            }
        };
        match added
            .iter_mut()
            .find(|known| known.content == token.content)
        {
            Some(known) => *known = token,
            None => added.push(token),
        }
    }
    inner.with_added_vocabulary(AddedVocabulary::new());
    inner.add_tokens(&added);
}

/// The added tokens of a `tokenizer.json`, in its order.
fn json_tokens(files: &TokenizerFiles) -> Vec<Token> {
    let tokens = files
        .tokenizer
        .as_ref()
        .and_then(|tokenizer| tokenizer.object.get("added_tokens")?.as_array());
    tokens
        .into_iter()
        .flatten()
        // Those that are no tokens are no tokens for the library, either, which says so.
        .filter_map(|token| Some(Token::Added(added_token(token.as_object()?, None)?)))
        .collect()
}

/// A warning where a `BertTokenizer`'s rules are not those that `tokenizer.json` describes.
fn warn_of_other_rules(
    files: &TokenizerFiles,
    tokenizer: &Map<String, Value>,
    rules: BertRules,
    unk: &str,
) {
    let Some(part) = rules.other_part(tokenizer, unk) else {
        return;
    };
    tracing::warn!(
        "{}: its {part} is not that of a BertTokenizer with do_lower_case = {}, strip_accents = {}, tokenize_chinese_chars = {}, which {} asks for (or leaves to the defaults); transformers takes the latter, and so does bertram. Make them agree, or set \"tokenizer_class\": \"PreTrainedTokenizerFast\" there to take tokenizer.json as it stands",
        files.path(TOKENIZER).display(),
        rules.lowercase,
        rules
            .strip_accents
            .map_or("null".to_owned(), |strip| strip.to_string()),
        rules.chinese_chars,
        CONFIG
    );
}

/// A warning where `tokenizer.json` puts other tokens around a text than batches do.
fn warn_of_other_template(files: &TokenizerFiles, tokenizer: &BertTokenizer) {
    let Ok(theirs) = as_it_stands(files) else {
        return;
    };
    let special = tokenizer.special();
    let alone = theirs.encode("", true);
    let pair = theirs.encode(("", ""), true);
    let (Ok(alone), Ok(pair)) = (alone, pair) else {
        return;
    };
    // Presets pad; what counts is what the template adds.
    let added = |ids: &[u32]| -> Vec<u32> {
        let mut ids = ids.to_vec();
        ids.retain(|id| *id != special.pad);
        ids
    };
    let (cls, sep) = (special.cls, special.sep);
    if added(alone.get_ids()) != [cls, sep] || added(pair.get_ids()) != [cls, sep, sep] {
        tracing::warn!(
            "{}: its post_processor does not make [CLS] a [SEP] and [CLS] a [SEP] b [SEP]; bertram does, and writes it so",
            files.path(TOKENIZER).display()
        );
    }
}
