//! What commands say of a tokenizer that does not fit its model, its files or the preprocessing.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, stderr};
use serde_json::{Value, json};

/// Runs a command in a folder.
fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = bertram();
    command.current_dir(dir).args(args);
    command.output().expect("bertram-cli starts")
}

/// The smallest run there is: a random model, exported as it began.
const TRAIN: &[&str] = &[
    "train",
    "--dashboard",
    "none",
    "--set",
    "train.epochs=0",
    "--set",
    "tasks={sst={}}",
    "--set",
    "data.demo.sst=60",
    "--set",
    "data.demo.dev=10",
    "--set",
    "train.keep-training-state=true",
];

const SHAPE: &[&str] = &[
    "--set",
    "model.random.hidden-size=16",
    "--set",
    "model.random.heads=2",
    "--set",
    "model.random.intermediate-size=16",
];

/// A folder with a finished run `made` and texts.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    let output = run(dir.path(), &[TRAIN, SHAPE, &["--out", "made"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::write(dir.path().join("texts.txt"), "a good film\nA Good Film\n").expect("texts");
    dir
}

fn edit(dir: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = dir.join(file);
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(&path).expect(file)).expect("JSON");
    change(&mut value);
    std::fs::write(&path, value.to_string()).expect(file);
}

fn remove(dir: &Path, file: &str) {
    std::fs::remove_file(dir.join(file)).expect(file);
}

const ENCODE: &[&str] = &["encode", "--model", "made/model", "--input", "texts.txt"];
const PREDICT: &[&str] = &[
    "predict",
    "--run",
    "made",
    "--task",
    "sst",
    "--input",
    "texts.txt",
];
const EVALUATE: &[&str] = &["evaluate", "--run", "made"];
const RESUME: &[&str] = &["train", "--dashboard", "none", "--resume", "made"];

fn begin() -> Vec<&'static str> {
    [TRAIN, &["--model", "made/model", "--out", "new"]].concat()
}

#[test]
fn a_tokenizer_larger_than_the_table_is_refused_by_every_command() {
    let dir = made();
    let dir = dir.path();
    let config: Value =
        serde_json::from_slice(&std::fs::read(dir.join("made/model/config.json")).expect("config"))
            .expect("JSON");
    let rows = config["vocab_size"].as_u64().expect("rows");
    for folder in ["model", "base"] {
        edit(
            dir,
            &format!("made/{folder}/tokenizer_config.json"),
            |config| {
                config["added_tokens_decoder"]["5000"] =
                    json!({ "content": "[E1]", "special": true });
            },
        );
    }
    remove(dir, "made/summary.json");
    for args in [ENCODE, PREDICT, EVALUATE, RESUME, &begin()] {
        let output = run(dir, args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        let says = format!(
            "largest id is {rows} (\"[E1]\"), and the model's table of word embeddings has {rows} rows"
        );
        assert!(text.contains(&says), "{args:?}: {text}");
    }
    assert!(!dir.join("new").exists());
}

#[test]
fn lower_casing_preprocessing_of_a_cased_model_gets_one_warning() {
    let dir = made();
    let dir = dir.path();
    let warnings = |args: &[&str]| {
        let output = run(dir, args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        let text = stderr(&output);
        let lines = text.lines().filter(|line| line.contains("data.preprocess"));
        lines.count()
    };
    for args in [PREDICT, EVALUATE, &begin()] {
        assert_eq!(warnings(args), 0, "{args:?}");
    }
    std::fs::remove_dir_all(dir.join("new")).expect("new");
    edit(dir, "made/model/tokenizer_config.json", |config| {
        config["do_lower_case"] = json!(false);
    });
    remove(dir, "made/model/tokenizer.json");
    for args in [PREDICT, EVALUATE, &begin()] {
        assert_eq!(warnings(args), 1, "{args:?}");
    }
    std::fs::remove_dir_all(dir.join("new")).expect("new");
    assert_eq!(
        warnings(&[begin(), vec!["--set", "data.preprocess=none"]].concat()),
        0
    );
    assert_eq!(warnings(ENCODE), 0, "encode preprocesses nothing");
}

#[test]
fn a_broken_tokenizer_config_is_named_with_the_place() {
    let dir = made();
    let dir = dir.path();
    std::fs::write(
        dir.join("made/model/tokenizer_config.json"),
        "{\"do_lower_case\": false,",
    )
    .expect("cut off");
    for args in [ENCODE, PREDICT, EVALUATE, &begin()] {
        let output = run(dir, args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(
            text.contains("made/model/tokenizer_config.json") && text.contains("line 1 column 24"),
            "{args:?}: {text}"
        );
    }
}

/// Python's `AutoTokenizer` cuts texts at `model_max_length`: at the model's positions before training, and where training
/// did after it.
#[test]
fn an_exported_model_says_how_long_a_text_may_be() {
    let dir = made();
    for (folder, longest) in [("base", 64), ("model", 48)] {
        let read = |name: &str| -> Value {
            let path = dir.path().join("made").join(folder).join(name);
            serde_json::from_slice(&std::fs::read(path).expect(name)).expect("JSON")
        };
        assert_eq!(read("config.json")["max_position_embeddings"], 64);
        assert_eq!(read("tokenizer_config.json")["model_max_length"], longest);
    }
}
