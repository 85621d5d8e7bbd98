//! A vocabulary of word pieces made from sentences.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::word_piece::{BertRules, Vocabulary, word_piece};
use super::{BertTokenizer, SPECIAL_TOKENS, TokenizerError, added};

impl BertTokenizer {
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
        let vocab: Vocabulary = (0u32..)
            .zip(vocab)
            .map(|(id, token)| (token, id.into()))
            .collect();
        let path = Path::new("the trained vocabulary");
        let mut inner = word_piece(vocab, BertRules::default(), SPECIAL_TOKENS[1])
            .map_err(|error| added::malformed(path, error.to_string()))?;
        inner.add_tokens(&SPECIAL_TOKENS.map(added::special));
        Self::finish(inner, SPECIAL_TOKENS.map(str::to_owned), None, path)
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

#[cfg(test)]
mod tests {
    use super::super::SpecialTokens;
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
            SpecialTokens {
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
}
