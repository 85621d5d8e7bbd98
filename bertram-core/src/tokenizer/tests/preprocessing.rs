//! Warnings of preprocessing.

use serde_json::{Value, json};

use super::{BertTokenizer, added, cased, folder, json_file, lines, vocabulary};
use crate::spec::Inputs;
use crate::tokenizer::Preprocess;

#[test]
fn preprocessing_that_takes_something_away_is_named() {
    let read = |files: &[(&str, Value)]| {
        let dir = folder(files);
        BertTokenizer::from_folder(dir.path()).expect("read")
    };
    let both = [Inputs::Single, Inputs::Pair];
    let warnings = |tokenizer: &BertTokenizer, inputs: &[Inputs]| {
        assert!(
            tokenizer
                .preprocessing_warnings(Preprocess::None, inputs)
                .is_empty()
        );
        tokenizer.preprocessing_warnings(Preprocess::Cs224n, inputs)
    };
    let plain = || ("vocab.txt", lines(&vocabulary(&[])));
    assert!(warnings(&read(&[plain()]), &both).is_empty());

    let config = json!({ "do_lower_case": false });
    let cased = read(&[
        ("vocab.txt", lines(&cased())),
        ("tokenizer_config.json", config),
    ]);
    let found = warnings(&cased, &both);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("data.preprocess = \"cs224n\"") && found[0].contains("keeps the case"),
        "{found:?}"
    );
    assert!(warnings(&cased, &[]).is_empty(), "no task, no text");

    let tokens = |special: bool, contents: &[&str]| {
        let tokens: Vec<Value> = contents
            .iter()
            .zip(119..)
            .map(|(content, id)| added(id, content, special))
            .collect();
        read(&[(
            "tokenizer.json",
            json_file(&vocabulary(&[]), json!({}), &tokens),
        )])
    };
    let found = warnings(&tokens(true, &["[E1]", "lovely day", "[e2]"]), &both);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("data.preprocess") && found[0].contains("([E1])"),
        "{found:?}"
    );
    // What is matched after the tokenizer's own lower-casing is found all the same.
    assert!(warnings(&tokens(false, &["[E1]"]), &both).is_empty());
    // A space before a full stop is put into pairs alone.
    let dotted = tokens(true, &["e.g."]);
    assert!(warnings(&dotted, &[Inputs::Single]).is_empty());
    assert!(warnings(&dotted, &[Inputs::Pair])[0].contains("e.g."));
    let many = ["A1", "A2", "A3", "A4", "A5", "A6", "A7"];
    assert!(warnings(&tokens(true, &many), &both)[0].contains("and 2 more"));
}
