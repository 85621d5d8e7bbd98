//! BERT's own rules: how `transformers`' `BertTokenizer` is built from a vocabulary and three flags.

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

/// Token to id.
pub(super) type Vocabulary = Map<String, Value>;

/// What `BertTokenizer` lets one choose; all else about it is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BertRules {
    /// `do_lower_case`.
    pub lowercase: bool,
    /// `strip_accents`; as `lowercase` where it is not set.
    pub strip_accents: Option<bool>,
    /// `tokenize_chinese_chars`.
    pub chinese_chars: bool,
}

impl Default for BertRules {
    fn default() -> Self {
        Self {
            lowercase: true,
            strip_accents: None,
            chinese_chars: true,
        }
    }
}

impl BertRules {
    /// Whether accents go.
    pub fn strips_accents(self) -> bool {
        self.strip_accents.unwrap_or(self.lowercase)
    }

    /// The `normalizer` of a `tokenizer.json`.
    pub fn normalizer(self) -> Value {
        json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": self.chinese_chars,
            "strip_accents": self.strip_accents,
            "lowercase": self.lowercase,
        })
    }

    /// What the `normalizer` of a `tokenizer.json` does, at any depth of nested ones.
    pub fn in_effect(normalizer: &Value) -> Self {
        let mut found = Self {
            lowercase: false,
            strip_accents: Some(false),
            chinese_chars: false,
        };
        found.add(normalizer);
        found
    }

    /// The part of a `tokenizer.json` that a `BertTokenizer` with these rules and this unknown token would do otherwise.
    pub fn other_part(self, tokenizer: &Map<String, Value>, unk: &str) -> Option<&'static str> {
        let part = |name: &str| tokenizer.get(name).unwrap_or(&Value::Null);
        let normalizer = part("normalizer");
        let described = Self::in_effect(normalizer);
        if normalizer
            .get("type")
            .is_none_or(|kind| kind != "BertNormalizer")
            || normalizer
                .get("clean_text")
                .is_some_and(|clean| clean != true)
            || described.lowercase != self.lowercase
            || described.strips_accents() != self.strips_accents()
            || described.chinese_chars != self.chinese_chars
        {
            return Some("normalizer");
        }
        let here = word_piece_json(Vocabulary::new(), self, unk);
        if *part("pre_tokenizer") != here["pre_tokenizer"] {
            return Some("pre_tokenizer");
        }
        let model = part("model");
        let same = here["model"].as_object().is_some_and(|here| {
            here.iter()
                .filter(|(key, _)| *key != "vocab")
                // Old files do not say what kind of model they have.
                .all(|(key, value)| model.get(key).map_or(key == "type", |found| found == value))
        });
        (!same).then_some("model")
    }

    fn add(&mut self, normalizer: &Value) {
        let flag = |name: &str| normalizer.get(name).and_then(Value::as_bool);
        match normalizer.get("type").and_then(Value::as_str) {
            Some("BertNormalizer") => {
                let lowercase = flag("lowercase").unwrap_or(true);
                let strip_accents = flag("strip_accents");
                if !self.lowercase && self.strip_accents == Some(false) {
                    // The only one so far: its own words, an accent flag that follows the case among them.
                    self.strip_accents = strip_accents;
                } else if strip_accents.unwrap_or(lowercase) {
                    self.strip_accents = Some(true);
                }
                self.lowercase |= lowercase;
                self.chinese_chars |= flag("handle_chinese_chars").unwrap_or(true);
            }
            Some("Lowercase") => {
                self.strip_accents = Some(self.strips_accents());
                self.lowercase = true;
            }
            Some("StripAccents") => self.strip_accents = Some(true),
            Some("Sequence") => {
                let inner = normalizer.get("normalizers").and_then(Value::as_array);
                for normalizer in inner.into_iter().flatten() {
                    self.add(normalizer);
                }
            }
            _ => {}
        }
    }
}

/// The `tokenizer.json` of a `BertTokenizer` without added tokens and without a post-processor.
pub(super) fn word_piece_json(vocab: Vocabulary, rules: BertRules, unk: &str) -> Value {
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": rules.normalizer(),
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": null,
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    })
}

/// A `BertTokenizer` without added tokens and without a post-processor.
pub(super) fn word_piece(
    vocab: Vocabulary,
    rules: BertRules,
    unk: &str,
) -> tokenizers::Result<Tokenizer> {
    Tokenizer::from_bytes(word_piece_json(vocab, rules, unk).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_normalizers_say_what_they_do_together() {
        let bert = |lowercase: bool, strip: Option<bool>, chinese_chars: bool| BertRules {
            lowercase,
            strip_accents: strip,
            chinese_chars,
        };
        let sequence = |of: &[Value]| json!({ "type": "Sequence", "normalizers": of });
        let kind = |name: &str| json!({ "type": name });
        for rules in [
            bert(true, None, true),
            bert(false, None, false),
            bert(true, Some(false), true),
            bert(false, Some(true), false),
        ] {
            assert_eq!(BertRules::in_effect(&rules.normalizer()), rules);
            let nested = sequence(&[kind("NFC"), sequence(&[rules.normalizer()])]);
            assert_eq!(BertRules::in_effect(&nested), rules);
        }
        for (normalizer, rules) in [
            (Value::Null, bert(false, Some(false), false)),
            (kind("Lowercase"), bert(true, Some(false), false)),
            (
                sequence(&[kind("NFD"), kind("StripAccents"), kind("Lowercase")]),
                bert(true, Some(true), false),
            ),
            (
                sequence(&[bert(false, None, true).normalizer(), kind("Lowercase")]),
                bert(true, Some(false), true),
            ),
            (
                sequence(&[kind("Lowercase"), bert(false, None, true).normalizer()]),
                bert(true, Some(false), true),
            ),
        ] {
            assert_eq!(BertRules::in_effect(&normalizer), rules, "{normalizer}");
        }
    }
}
