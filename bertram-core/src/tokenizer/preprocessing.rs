//! Where preprocessing and tokenizer work against each other.

use tokenizers::{NormalizedString, Normalizer};

use super::{BertTokenizer, Preprocess};
use crate::spec::Inputs;

impl BertTokenizer {
    /// What `preprocess` takes away from this tokenizer on texts of the given kinds: one sentence for the person who runs
    /// the command each, empty where all is well.
    ///
    /// Looked for are a tokenizer that keeps the case beside preprocessing that does not, and added tokens that no
    /// preprocessed text can contain.
    pub fn preprocessing_warnings(&self, preprocess: Preprocess, inputs: &[Inputs]) -> Vec<String> {
        let name = match preprocess {
            Preprocess::None => return Vec::new(),
            Preprocess::Cs224n => "cs224n",
        };
        let mut warnings = Vec::new();
        let lowercases = inputs
            .iter()
            .any(|inputs| preprocess.apply(*inputs, "A") != "A");
        if lowercases && self.normalized("A") == "A" {
            warnings.push(format!(
                "data.preprocess = \"{name}\" lower-cases every text, and this tokenizer keeps the case: what the model knows of capital letters is not used; set data.preprocess = \"none\" for a cased model"
            ));
        }
        let mut lost: Vec<String> = self
            .own_added_tokens()
            .into_iter()
            .filter(|(id, content)| {
                let reaches = |text: &str| {
                    let text = format!("a {text} b");
                    self.encode(&text).is_ok_and(|ids| ids.contains(id))
                };
                reaches(content)
                    && inputs
                        .iter()
                        .any(|inputs| !reaches(&preprocess.apply(*inputs, content)))
            })
            .map(|(_, content)| content)
            .collect();
        if !lost.is_empty() {
            let total = lost.len();
            lost.truncate(5);
            let more = match total - lost.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            warnings.push(format!(
                "data.preprocess = \"{name}\" changes the spelling of added tokens ({}{more}), so that none is ever found in a text; set data.preprocess = \"none\" to use them",
                lost.join(", ")
            ));
        }
        warnings
    }

    /// Logs what [`preprocessing_warnings`](Self::preprocessing_warnings) finds.
    pub fn warn_of_preprocessing(&self, preprocess: Preprocess, inputs: &[Inputs]) {
        for warning in self.preprocessing_warnings(preprocess, inputs) {
            tracing::warn!("{warning}");
        }
    }

    /// Added tokens with their ids, by id, without the five special ones that every BERT has.
    fn own_added_tokens(&self) -> Vec<(u32, String)> {
        let mut tokens: Vec<(u32, String)> = self
            .inner
            .get_added_tokens_decoder()
            .into_iter()
            .map(|(id, token)| (id, token.content))
            .filter(|(_, content)| !self.names.contains(content))
            .collect();
        tokens.sort();
        tokens
    }

    fn normalized(&self, text: &str) -> String {
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = self.inner.get_normalizer() {
            // One that fails fails on every text, and is reported there.
            let _ = normalizer.normalize(&mut normalized);
        }
        normalized.get().to_owned()
    }
}
