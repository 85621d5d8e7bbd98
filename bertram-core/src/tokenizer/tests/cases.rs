//! Folders whose ids went wrong, or must not.

use serde_json::{Value, json};

use super::{BertTokenizer, added, cased, folder, ids, json_file, lines, vocabulary};

/// Name of a case, its files, and texts with their ids in `transformers` 5.24.0.
type Case<'a> = (&'a str, Vec<(&'a str, Value)>, &'a [(&'a str, &'a [u32])]);

fn cases() -> Vec<Case<'static>> {
    let umlauts = vocabulary(&["schön", "möchte", "café", "ö", "##ö", "é", "##é"]);
    let kept: &[(&str, &[u32])] = &[
        ("ich möchte schon", &[2, 21, 85, 90, 120, 35, 3]),
        ("schön café", &[2, 119, 121, 3]),
    ];
    let chinese = vocabulary(&["日本", "##本", "日", "本"]);
    let film: &[(&str, &[u32])] = &[
        ("The Film was good", &[2, 171, 172, 12, 14, 3]),
        ("the film was good", &[2, 7, 8, 12, 14, 3]),
    ];
    let plain = vocabulary(&[]);
    let mut hole = json_file(&plain, json!({}), &[added(119, "[E1]", true)]);
    let vocab = hole["model"]["vocab"]
        .as_object_mut()
        .expect("a vocabulary");
    vocab.shift_remove("guitar");
    let mut twice = plain.clone();
    twice.insert(20, "cat".to_owned());
    let mut presets = json_file(&plain, json!({}), &[]);
    presets["truncation"] =
        json!({ "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0 });
    presets["padding"] = json!({
        "strategy": { "Fixed": 16 }, "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]",
    });
    let entities = [added(119, "[E1]", true), added(120, "[E2]", true)];
    vec![
        (
            "strip-accents-json",
            vec![
                (
                    "tokenizer.json",
                    json_file(&umlauts, json!({ "strip_accents": false }), &[]),
                ),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": true, "strip_accents": false, "tokenizer_class": "BertTokenizer" }),
                ),
            ],
            kept,
        ),
        (
            "strip-accents-vocab",
            vec![
                ("vocab.txt", lines(&umlauts)),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": true, "strip_accents": false }),
                ),
            ],
            kept,
        ),
        (
            "chinese-chars",
            vec![
                (
                    "tokenizer.json",
                    json_file(&chinese, json!({ "handle_chinese_chars": false }), &[]),
                ),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": true, "tokenize_chinese_chars": false, "tokenizer_class": "BertTokenizer" }),
                ),
            ],
            &[("日本 film", &[2, 119, 8, 3]), ("the film", &[2, 7, 8, 3])],
        ),
        (
            "added-tokens-json",
            vec![
                ("vocab.txt", lines(&plain)),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": true, "model_max_length": 1e30 }),
                ),
                ("added_tokens.json", json!({ "[E1]": 119, "[E2]": 120 })),
                (
                    "special_tokens_map.json",
                    json!({ "additional_special_tokens": ["[E1]", "[E2]"] }),
                ),
            ],
            &[
                ("the [E1] cat runs", &[2, 7, 119, 28, 29, 3]),
                ("the man [E2]", &[2, 7, 61, 83, 96, 120, 3]),
            ],
        ),
        (
            "lower-conflict",
            vec![
                ("tokenizer.json", json_file(&cased(), json!({}), &[])),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": false, "tokenizer_class": "BertTokenizer" }),
                ),
            ],
            film,
        ),
        (
            "cased",
            vec![
                (
                    "tokenizer.json",
                    json_file(&cased(), json!({ "lowercase": false }), &[]),
                ),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": false, "tokenizer_class": "BertTokenizer" }),
                ),
            ],
            film,
        ),
        (
            "cased-vocab",
            vec![
                ("vocab.txt", lines(&cased())),
                (
                    "tokenizer_config.json",
                    json!({ "do_lower_case": false, "model_max_length": 1e30 }),
                ),
            ],
            &[
                ("the film was good", &[2, 7, 8, 12, 14, 3]),
                ("the cat runs", &[2, 7, 28, 29, 3]),
            ],
        ),
        (
            "resized",
            vec![("tokenizer.json", json_file(&plain, json!({}), &entities))],
            &[
                ("the [E1] cat", &[2, 7, 119, 28, 3]),
                ("the cat runs", &[2, 7, 28, 29, 3]),
            ],
        ),
        (
            "id-hole",
            vec![("tokenizer.json", hole)],
            &[("the [E1] cat runs", &[2, 7, 118, 28, 29, 3])],
        ),
        (
            "dup-vocab",
            vec![
                ("vocab.txt", lines(&twice)),
                ("tokenizer_config.json", json!({ "do_lower_case": true })),
            ],
            &[("the cat runs", &[2, 7, 29, 30, 3])],
        ),
        (
            "presets",
            vec![("tokenizer.json", presets)],
            &[("the film was good", &[2, 7, 8, 12, 14, 3])],
        ),
    ]
}

#[test]
fn cases_are_read_as_transformers_reads_them_and_stay_so() {
    for (name, files, texts) in cases() {
        let dir = folder(&files);
        let tokenizer = BertTokenizer::from_folder(dir.path()).expect(name);
        let exported = tempfile::tempdir().expect("temp dir");
        tokenizer.save(exported.path(), 64).expect(name);
        let again = BertTokenizer::from_folder(exported.path()).expect(name);
        for (text, expected) in texts {
            assert_eq!(ids(&tokenizer, text), *expected, "{name}: {text}");
            assert_eq!(ids(&again, text), *expected, "{name}, exported: {text}");
        }
        assert_eq!(again.model_max_length(), Some(64));
    }
}
