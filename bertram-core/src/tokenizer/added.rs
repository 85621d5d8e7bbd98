//! Tokens beside the vocabulary's, as `transformers` writes them in JSON.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::TokenizerError;

/// A token in a config: its text alone, or with what it does to the text around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Text alone: becomes a special token.
    Text(String),
    /// Described in full.
    Added(DescribedToken),
}

impl Token {
    /// A text, or an object that says that it is an `AddedToken`.
    pub fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Token::Text(text.clone())),
            Value::Object(object)
                if object.get("__type").and_then(Value::as_str) == Some("AddedToken") =>
            {
                Some(Token::Added(added_token(object, None)?))
            }
            _ => None,
        }
    }

    /// As [`parse`](Self::parse), and an object that does not say what it is is a special token.
    pub fn parse_special(value: &Value) -> Option<Self> {
        match value {
            Value::Object(object) if !object.contains_key("__type") => {
                Some(Token::Added(added_token(object, Some(true))?))
            }
            _ => Self::parse(value),
        }
    }

    /// What the token is in a text.
    pub fn content(&self) -> &str {
        match self {
            Token::Text(text) => text,
            Token::Added(token) => token.content(),
        }
    }
}

/// A token described in full, but for what follows from its being special.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DescribedToken {
    token: AddedToken,
    /// Whether nothing is said of `normalized`: a special token is then matched as it is written, another is not.
    normalized_follows: bool,
}

impl DescribedToken {
    /// What the token is in a text.
    pub fn content(&self) -> &str {
        &self.token.content
    }

    /// The token; a special one if `named` says that it has a name (`cls_token`).
    pub fn into_added(self, named: bool) -> AddedToken {
        let mut token = self.token;
        token.special |= named;
        if self.normalized_follows {
            token.normalized = !token.special;
        }
        token
    }
}

impl From<AddedToken> for DescribedToken {
    fn from(token: AddedToken) -> Self {
        Self {
            token,
            normalized_follows: false,
        }
    }
}

/// A token that is matched as it is written, and whole.
pub(super) fn special(content: &str) -> AddedToken {
    AddedToken::from(content, true)
}

/// An added token from its JSON object. Keys that are not there have the `tokenizers` library's defaults.
pub(super) fn added_token(
    object: &Map<String, Value>,
    special: Option<bool>,
) -> Option<DescribedToken> {
    let flag = |name: &str| match object.get(name) {
        None => Some(None),
        Some(value) => value.as_bool().map(Some),
    };
    let content = match object.get("content") {
        // As Python has it: a token without text, which is then left out.
        None => "",
        Some(value) => value.as_str()?,
    };
    let special = match special {
        Some(special) => special,
        None => flag("special")?.unwrap_or(false),
    };
    let normalized = flag("normalized")?;
    Some(DescribedToken {
        token: AddedToken::from(content, special)
            .single_word(flag("single_word")?.unwrap_or(false))
            .lstrip(flag("lstrip")?.unwrap_or(false))
            .rstrip(flag("rstrip")?.unwrap_or(false))
            .normalized(normalized.unwrap_or(!special)),
        normalized_follows: normalized.is_none(),
    })
}

/// A file that cannot be understood.
pub(super) fn malformed(path: &Path, message: String) -> TokenizerError {
    TokenizerError::Malformed {
        path: path.to_owned(),
        message,
    }
}
