//! Input without an end or beyond any size, and files that are not what was written: refused by name, at once.

#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{bertram, stderr, tiny_bert};

/// Far more than any of these takes, and far less than what they took.
const AT_ONCE: Duration = Duration::from_secs(30);

/// What a command says, which must not wait for input that never comes.
fn ends(mut command: Command) -> Output {
    let begun = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("bertram-cli starts");
    while child.try_wait().expect("child can be asked").is_none() {
        if begun.elapsed() > AT_ONCE {
            child.kill().expect("SIGKILL");
            panic!("{command:?} is still at work");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("output")
}

/// The message of a command that the user's input ends.
fn refused(command: Command) -> String {
    let output = ends(command);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!text.contains("internal error"), "{text}");
    text
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo").success());
}

fn validate(config: &Path) -> Command {
    let mut command = bertram();
    command.args(["config", "validate"]).arg(config);
    command
}

fn encode(model: &Path, input: &Path) -> Command {
    let mut command = bertram();
    command.args(["encode", "--model"]).arg(model);
    command.arg("--input").arg(input);
    command
}

/// A copy of the small BERT, with a tokenizer and a text to encode.
fn model(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let model = dir.join("model");
    std::fs::create_dir(&model).expect("folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny_bert().join(file), model.join(file)).expect("copy");
    }
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nfilm\n";
    std::fs::write(model.join("vocab.txt"), vocab).expect("write");
    let input = dir.join("texts.txt");
    std::fs::write(&input, "a film\n").expect("write");
    (model, input)
}

#[test]
fn a_config_is_read_up_to_a_bound() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    pipe(&dir.join("pipe"));
    let config = dir.join("config.toml");
    for (base, said) in [("pipe", "a pipe or a device"), ("/dev/zero", "a pipe")] {
        std::fs::write(&config, format!("extends = \"{base}\"\n")).expect("write");
        let text = refused(validate(&config));
        assert!(text.contains(base) && text.contains(said), "{text}");
    }
    let text = refused(validate(Path::new("/dev/zero")));
    assert!(text.contains("more than 16 MiB"), "{text}");
}

#[test]
fn many_problems_are_counted_and_the_first_are_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let config = dir.path().join("config.toml");
    let keys: String = (0..50_000).map(|key| format!("key-{key} = 1\n")).collect();
    std::fs::write(&config, format!("[train]\n{keys}")).expect("write");
    let text = refused(validate(&config));
    assert!(text.contains("50000 problems"), "{text}");
    assert!(text.contains("config.toml:2: train.key-0"), "{text}");
    assert!(text.contains("config.toml:21: train.key-19"), "{text}");
    assert!(text.contains("and 49980 more"), "{text}");
    assert_eq!(text.matches("unknown key").count(), 20, "{text}");
}

#[test]
fn sizes_beyond_any_run_are_refused_by_key() {
    for (key, value) in [
        ("model.random.layers", "1000000000"),
        ("model.random.hidden-size", "4611686018427387904"),
        ("model.random.vocab-size", "4611686018427387904"),
        ("train.epochs", "9223372036854775807"),
        ("train.batch-size", "9223372036854775807"),
        ("train.accumulate", "9223372036854775807"),
        ("data.demo.sst", "1000000000"),
        ("data.max-length", "4611686018427387904"),
        ("data.limit", "4611686018427387904"),
        ("tasks.sst.limit", "4611686018427387904"),
        ("train.log-every", "4611686018427387904"),
        ("train.checkpoint-every", "4611686018427387904"),
        ("train.keep-checkpoints", "4611686018427387904"),
        ("train.early-stopping", "4611686018427387904"),
        ("train.score-rows", "4611686018427387904"),
        ("regulariser.smart.steps", "4611686018427387904"),
    ] {
        let mut command = bertram();
        command.args(["config", "validate", "quickstart", "--set"]);
        command.arg(format!("{key}={value}"));
        let text = refused(command);
        assert!(text.contains(key) && text.contains(value), "{text}");
    }
}

#[test]
fn a_model_is_refused_by_its_sizes_and_its_files_by_their_kind() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (model, input) = model(dir.path());
    let output = ends(encode(&model, &input));
    assert!(output.status.success(), "{}", stderr(&output));

    let config = model.join("config.json");
    let whole = std::fs::read(&config).expect("config");
    for (key, size) in [
        ("num_hidden_layers", 2_147_483_647u64),
        ("type_vocab_size", 1 << 63),
        ("hidden_size", 1 << 62),
    ] {
        let mut value: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
        value[key] = size.into();
        std::fs::write(&config, value.to_string()).expect("write");
        let text = refused(encode(&model, &input));
        let said = format!("`{key}` is {size}");
        assert!(
            text.contains("config.json") && text.contains(&said),
            "{text}"
        );
    }
    std::fs::write(&config, &whole).expect("write");

    for name in [
        "tokenizer.json",
        "vocab.txt",
        "config.json",
        "model.safetensors",
    ] {
        let path = model.join(name);
        let aside = dir.path().join("aside");
        let there = std::fs::rename(&path, &aside).is_ok();
        pipe(&path);
        let output = ends(encode(&model, &input));
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        std::fs::remove_file(&path).expect("remove");
        if there {
            std::fs::rename(&aside, &path).expect("back");
        }
    }
}

#[test]
fn a_line_longer_than_any_sentence_is_refused_by_its_number() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (model, input) = model(dir.path());
    let long = "film ".repeat(10_000_000);
    std::fs::write(&input, format!("a film\n{long}\n")).expect("write");
    let text = refused(encode(&model, &input));
    assert!(
        text.contains("texts.txt: line 2: has more than the 1048576 bytes"),
        "{text}"
    );
}

/// A small run in `dir/run`.
fn train(dir: &Path) -> Command {
    let mut command = bertram();
    command.current_dir(dir).arg("train");
    command.args(["--dashboard", "none", "--out", "run"]);
    for set in [
        "data.demo.sst=40",
        "data.demo.para=40",
        "data.demo.sts=40",
        "data.demo.dev=20",
        "model.random.hidden-size=16",
        "model.random.intermediate-size=32",
        "train.epochs=1",
        "train.keep-training-state=true",
    ] {
        command.args(["--set", set]);
    }
    command
}

#[test]
fn a_log_that_cannot_be_written_is_said_once_and_costs_no_run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    std::fs::create_dir(dir.join("run")).expect("folder");
    std::os::unix::fs::symlink("/dev/full", dir.join("run/train.log")).expect("link");
    let output = train(dir).output().expect("starts");
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    let said = "train.log: No space left on device";
    assert_eq!(text.matches(said).count(), 1, "{text}");
    assert!(dir.join("run/summary.json").is_file());

    std::fs::remove_dir_all(dir.join("run")).expect("remove");
    std::fs::create_dir_all(dir.join("run/train.log")).expect("folder");
    let output = train(dir).output().expect("starts");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("train.log"), "{text}");
}

#[test]
fn files_of_a_run_that_are_no_text_are_the_input_and_a_torn_log_is_mended() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let output = train(dir).output().expect("starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let resume = || {
        let mut command = bertram();
        command.current_dir(dir).args(["train", "--resume", "run"]);
        command.args(["--dashboard", "none", "--set", "train.epochs=2"]);
        command
    };
    let info = dir.join("run/run.json");
    let whole = std::fs::read(&info).expect("run.json");
    std::fs::write(&info, [&whole[..], b"\xff"].concat()).expect("write");
    let text = refused(resume());
    assert!(text.contains("run.json: is not UTF-8 text"), "{text}");
    std::fs::write(&info, whole).expect("write");

    let metrics = dir.join("run/metrics.jsonl");
    let torn = [
        &std::fs::read(&metrics).expect("metrics")[..],
        b"{\"upd\xff\0\0",
    ]
    .concat();
    std::fs::write(&metrics, torn).expect("write");
    let output = ends(resume());
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::read_to_string(&metrics).expect("text again");
}

fn signal(name: &str, child: &std::process::Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status();
    assert!(sent.expect("kill").success());
}

/// Waits until something holds.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_signal_during_the_start_ends_it_at_once_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let mut command = train(dir);
    // Rows that take minutes to make.
    command.args(["--set", "data.demo.para=2000000"]);
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("bertram-cli starts");
    wait_until("the log", || dir.join("run/train.log").exists());
    let begun = Instant::now();
    signal("-INT", &child);
    let output = child.wait_with_output().expect("output");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("the same command begins it"), "{text}");
    assert!(!dir.join("run").exists());
}

#[test]
fn a_second_signal_ends_a_run_at_once_and_names_its_last_whole_checkpoint() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let mut command = train(dir);
    // Updates that take seconds.
    for set in [
        "train.accumulate=1000",
        "train.log-every=1",
        "train.epochs=1000",
        "data.demo.sst=2000",
        "model.random.hidden-size=64",
    ] {
        command.args(["--set", set]);
    }
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("bertram-cli starts");
    wait_until("an update", || {
        std::fs::metadata(dir.join("run/metrics.jsonl")).is_ok_and(|file| file.len() > 0)
    });
    signal("-TERM", &child);
    std::thread::sleep(Duration::from_millis(50));
    signal("-TERM", &child);
    let output = child.wait_with_output().expect("output");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    // Where the step was done in between, the first signal was enough.
    let at_once = text.contains("stopped at once; the last whole checkpoint is run/checkpoints/");
    assert!(at_once || text.contains("stopped at epoch"), "{text}");
    assert!(
        text.contains("go on with: bertram-cli train --resume run"),
        "{text}"
    );
}
