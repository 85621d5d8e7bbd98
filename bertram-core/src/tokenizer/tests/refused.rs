//! Folders that are refused, and with which words.

use serde_json::{Value, json};

use super::{BertTokenizer, added, error, folder, json_file, lines, vocabulary};

#[test]
fn broken_files_are_named_with_the_place() {
    let vocab = || ("vocab.txt", lines(&vocabulary(&[])));
    let config = |text: &str| ("tokenizer_config.json", Value::String(text.into()));
    let cut_off = error(&[vocab(), config("{\"do_lower_case\": false,\n")]);
    assert!(
        cut_off.contains("DIR/tokenizer_config.json: ") && cut_off.contains("line 2 column 0"),
        "{cut_off}"
    );
    for name in [
        "added_tokens.json",
        "special_tokens_map.json",
        "tokenizer.json",
    ] {
        let message = error(&[vocab(), (name, Value::String("{\"a\": [1,}".into()))]);
        assert!(
            message.contains(&format!("DIR/{name}: ")) && message.contains("line 1 column 10"),
            "{message}"
        );
    }
    for (text, says) in [
        ("[]", "JSON object"),
        (
            r#"{"do_lower_case": "false"}"#,
            "do_lower_case must be true or false, and is \"false\"",
        ),
        (r#"{"do_lower_case": null}"#, "do_lower_case"),
        (r#"{"strip_accents": 0}"#, "strip_accents"),
        (r#"{"tokenize_chinese_chars": 1}"#, "tokenize_chinese_chars"),
        (r#"{"mask_token": {"content": "[MASK]"}}"#, "mask_token"),
        (r#"{"added_tokens_decoder": []}"#, "added_tokens_decoder"),
        (
            r#"{"added_tokens_decoder": {"x": {"content": "y"}}}"#,
            "\"x\" is not an id",
        ),
        (r#"{"added_tokens_decoder": {"9": "y"}}"#, "id 9"),
        (r#"{"extra_special_tokens": "x"}"#, "extra_special_tokens"),
        (r#"{"tokenizer_class": 3}"#, "tokenizer_class"),
        (
            r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#,
            "BertJapaneseTokenizer",
        ),
        (
            r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#,
            "has none",
        ),
    ] {
        let message = error(&[vocab(), config(text)]);
        assert!(
            message.contains("DIR/tokenizer_config.json: ") && message.contains(says),
            "{text}: {message}"
        );
    }
    let message = error(&[vocab(), ("added_tokens.json", json!({ "[E1]": "119" }))]);
    assert!(
        message.contains("DIR/added_tokens.json: \"[E1]\""),
        "{message}"
    );
    let message = error(&[
        vocab(),
        ("special_tokens_map.json", json!({ "cls_token": 3 })),
    ]);
    assert!(
        message.contains("DIR/special_tokens_map.json: cls_token"),
        "{message}"
    );
    assert!(error(&[]).contains("neither tokenizer.json nor vocab.txt"));
}

#[test]
fn a_missing_special_token_is_named() {
    let mut vocab = vocabulary(&[]);
    vocab.remove(4);
    for (name, file) in [
        ("tokenizer.json", json_file(&vocab, json!({}), &[])),
        ("vocab.txt", lines(&vocab)),
    ] {
        let message = error(&[(name, file)]);
        assert!(
            message.contains(&format!("DIR/{name} has no [MASK]")),
            "{message}"
        );
    }
    let message = error(&[
        ("vocab.txt", lines(&vocabulary(&[]))),
        ("tokenizer_config.json", json!({ "cls_token": "<s>" })),
    ]);
    assert!(message.contains("has no <s>"), "{message}");
}

#[test]
fn the_largest_id_counts_and_not_the_number_of_tokens() {
    let plain = vocabulary(&[]);
    let entities = [added(119, "[E1]", true), added(120, "[E2]", true)];
    let dir = folder(&[("tokenizer.json", json_file(&plain, json!({}), &entities))]);
    let tokenizer = BertTokenizer::from_folder(dir.path()).expect("read");
    assert_eq!((tokenizer.vocab_size(), tokenizer.largest_id()), (121, 120));
    tokenizer.check_fits(121).expect("fits");
    let message = tokenizer
        .check_fits(120)
        .expect_err("too small")
        .to_string();
    assert!(
        message.contains("largest id is 120 (\"[E2]\")")
            && message.contains("120 rows, for ids 0 to 119"),
        "{message}"
    );
    // 118 tokens, and the last has id 118.
    let mut hole = json_file(&plain, json!({}), &[]);
    let vocab = hole["model"]["vocab"]
        .as_object_mut()
        .expect("a vocabulary");
    vocab.shift_remove("guitar");
    let dir = folder(&[("tokenizer.json", hole)]);
    let tokenizer = BertTokenizer::from_folder(dir.path()).expect("read");
    assert_eq!((tokenizer.vocab_size(), tokenizer.largest_id()), (118, 118));
    assert!(tokenizer.check_fits(118).is_err());
}
