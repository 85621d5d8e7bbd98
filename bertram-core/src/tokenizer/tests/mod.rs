//! Folders that went wrong, or must not. `tests/tests/numerics/golden_tokenizer.rs` compares many more with `transformers`.

mod cases;
mod preprocessing;
mod refused;

use std::path::Path;

use serde_json::{Value, json};

use super::*;

const WORDS: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] a an the film movie cast is was not good bad lovely dull what how do i you \
    get of best mans dog cat runs plays on in stage guitar schon mochte cafe 's n t . , ? ' ! - it he she new";

fn letters(prefix: &str, of: impl Iterator<Item = char>) -> Vec<String> {
    of.map(|letter| format!("{prefix}{letter}")).collect()
}

/// A vocabulary of 119 tokens, and more.
fn vocabulary(more: &[&str]) -> Vec<String> {
    let mut tokens: Vec<String> = WORDS.split_whitespace().map(str::to_owned).collect();
    tokens.extend(letters(
        "",
        ('a'..='z').filter(|letter| !"aint".contains(*letter)),
    ));
    tokens.extend(letters("", '0'..='9'));
    tokens.extend(letters("##", ('a'..='z').chain('0'..='9')));
    assert_eq!(tokens.len(), 119);
    tokens.extend(more.iter().map(|token| (*token).to_owned()));
    tokens
}

/// A vocabulary of 174 tokens, with capital letters.
fn cased() -> Vec<String> {
    let mut tokens = vocabulary(&[]);
    tokens.truncate(83);
    tokens.extend(letters("", 'A'..='Z'));
    tokens.extend(letters("##", ('a'..='z').chain('0'..='9').chain('A'..='Z')));
    tokens.extend(["The", "Film", "Paris"].map(str::to_owned));
    tokens
}

fn lines(vocab: &[String]) -> Value {
    Value::String(vocab.iter().map(|token| format!("{token}\n")).collect())
}

fn added(id: u32, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": !special,
        "special": special,
    })
}

/// A `tokenizer.json` whose normaliser has some keys changed.
fn json_file(vocab: &[String], normalizer: Value, tokens: &[Value]) -> Value {
    let vocab: word_piece::Vocabulary = vocab
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), id.into()))
        .collect();
    let mut all: Vec<Value> = SPECIAL_TOKENS
        .iter()
        .filter_map(|token| Some(added(vocab.get(*token)?.as_u64()? as u32, token, true)))
        .collect();
    all.extend_from_slice(tokens);
    let mut file = word_piece::word_piece_json(vocab, word_piece::BertRules::default(), "[UNK]");
    file["added_tokens"] = all.into();
    for (key, value) in normalizer.as_object().expect("an object") {
        file["normalizer"][key] = value.clone();
    }
    file
}

/// Writes files; a text is written as it is, all else as JSON.
fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, value) in files {
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        std::fs::write(dir.path().join(name), text).expect(name);
    }
    dir
}

/// Ids with special tokens.
fn ids(tokenizer: &BertTokenizer, text: &str) -> Vec<u32> {
    let special = tokenizer.special();
    let ids = tokenizer.encode_all(&[text]).expect("encode").remove(0);
    [&[special.cls], ids.as_slice(), &[special.sep]].concat()
}

fn error(files: &[(&str, Value)]) -> String {
    let dir = folder(files);
    let error = BertTokenizer::from_folder(dir.path()).expect_err("refused");
    assert!(error.is_input());
    let dir = dir.path().to_string_lossy().into_owned();
    error.to_string().replace(&dir, "DIR")
}

#[test]
fn a_model_max_length_without_a_limit_is_none() {
    let read = |length: Value| {
        let dir = folder(&[
            ("vocab.txt", lines(&vocabulary(&[]))),
            (
                "tokenizer_config.json",
                json!({ "model_max_length": length }),
            ),
        ]);
        let tokenizer = BertTokenizer::from_folder(dir.path()).expect("read");
        tokenizer.model_max_length()
    };
    assert_eq!(read(json!(256)), Some(256));
    assert_eq!(read(json!(1e30)), None);
    assert_eq!(read(Value::Null), None);
}

/// Version 0.1.0 wrote no `strip_accents`, and trained with what `tokenizer.json` said.
#[test]
fn what_0_1_0_wrote_is_read_as_it_was_trained() {
    let vocab = vocabulary(&["schön", "möchte", "café", "ö", "##ö", "é", "##é"]);
    let config = json!({
        "tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": 512, "unk_token": "[UNK]",
        "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    });
    let json = json_file(&vocab, json!({ "strip_accents": false }), &[]);
    let dir = folder(&[("tokenizer.json", json), ("tokenizer_config.json", config)]);
    let tokenizer = BertTokenizer::from_folder(dir.path()).expect("read");
    assert_eq!(ids(&tokenizer, "schön café"), [2, 119, 121, 3]);
    // Written anew, it is the same everywhere.
    tokenizer.save(dir.path(), 512).expect("save");
    let text = std::fs::read_to_string(dir.path().join("tokenizer_config.json")).expect("config");
    assert!(text.contains("\"strip_accents\": false"), "{text}");
    let again = BertTokenizer::from_folder(dir.path()).expect("read");
    assert_eq!(ids(&again, "schön café"), [2, 119, 121, 3]);
}

#[test]
fn saved_and_read_back_either_way() {
    let sentences = [
        "A Fine film, a fine cast.",
        "the cast is fine; the film is Not!",
    ];
    let dir = tempfile::tempdir().expect("temp dir");
    let tokenizer = BertTokenizer::train_word_piece(sentences.into_iter(), 120).expect("train");
    tokenizer.save(dir.path(), 32).expect("save");
    let expected = tokenizer.encode_all(&sentences).expect("encode");
    let read = || BertTokenizer::from_folder(dir.path()).expect("read");
    assert_eq!(read().encode_all(&sentences).expect("encode"), expected);
    let remove = |name: &str| std::fs::remove_file(dir.path().join(name)).expect(name);
    remove("tokenizer.json");
    assert_eq!(read().encode_all(&sentences).expect("encode"), expected);
    remove("vocab.txt");
    assert!(BertTokenizer::from_folder(dir.path()).is_err());
}

/// A vocabulary that lines cannot hold, and an old `vocab.txt` in the folder: it does not stay.
#[test]
fn a_vocabulary_that_lines_cannot_hold_has_no_vocab_txt() {
    let dir = folder(&[
        ("vocab.txt", Value::String("old\n".into())),
        (
            "tokenizer.json",
            json_file(&vocabulary(&["new\u{2028}"]), json!({}), &[]),
        ),
    ]);
    let tokenizer = BertTokenizer::from_folder(dir.path()).expect("read");
    tokenizer.save(dir.path(), 32).expect("save");
    assert!(!dir.path().join("vocab.txt").exists());
    BertTokenizer::from_folder(dir.path()).expect("read");
}

#[test]
fn bytes_of_a_tokenizer_json_are_taken_as_they_stand() {
    let json = json_file(&vocabulary(&[]), json!({ "lowercase": false }), &[]);
    let path = Path::new("tokenizer.json");
    let tokenizer = BertTokenizer::from_bytes(path, json.to_string().as_bytes()).expect("read");
    assert_eq!(ids(&tokenizer, "the The"), [2, 7, 1, 3]);
    assert!(BertTokenizer::from_bytes(path, b"{").is_err());
}

/// The automaton that looks for added tokens takes the square of their length to build: minutes for a long one.
#[test]
fn an_added_token_longer_than_any_is_refused_by_its_file() {
    let long = "a".repeat(1001);
    let vocab = vocabulary(&[]);
    let token = json!({ "content": long, "special": true });
    let decoder = json!({ "added_tokens_decoder": { "5": token } });
    let json = json_file(&vocab, json!({}), &[added(900, &long, false)]);
    for (name, value) in [
        ("tokenizer_config.json", decoder),
        ("tokenizer_config.json", json!({ "mask_token": long })),
        (
            "tokenizer_config.json",
            json!({ "additional_special_tokens": [long] }),
        ),
        ("special_tokens_map.json", json!({ "mask_token": token })),
        ("added_tokens.json", json!({ long.clone(): 900 })),
        ("tokenizer.json", json),
    ] {
        let message = error(&[("vocab.txt", lines(&vocab)), (name, value)]);
        assert!(
            message.starts_with(&format!("DIR/{name}: an added token has 1001 characters")),
            "{message}"
        );
    }
    // A template is no token, however long it is.
    let template = json!({ "chat_template": long, "model_max_length": 64 });
    let dir = folder(&[
        ("vocab.txt", lines(&vocab)),
        ("tokenizer_config.json", template),
    ]);
    BertTokenizer::from_folder(dir.path()).expect("read");
}
