//! What the tests of the command line share.

// Each test file is a crate of its own and uses its part.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::borrow::BorrowMut;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program, away from the tester's environment, and with backtraces asked for: nobody is to see one.
pub fn bertram() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bertram-cli"));
    command.stdin(Stdio::null());
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        let ours = name.starts_with("HF_") || name.to_lowercase().ends_with("_proxy");
        if ours || name == "RUST_LOG" || name == "XDG_CACHE_HOME" {
            command.env_remove(&name);
        }
    }
    command
        .env("RUST_BACKTRACE", "1")
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1");
    command
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Exit code, standard output and standard error in one text, for snapshots.
pub fn shown(output: &Output) -> String {
    let code = output
        .status
        .code()
        .map_or("killed".to_owned(), |code| code.to_string());
    format!(
        "exit code: {code}\n--- stdout\n{}--- stderr\n{}",
        stdout(output),
        stderr(output)
    )
}

/// A small BERT with known weights, without a tokenizer.
pub fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/encoder/tiny")
}

/// The folder of a run's newest checkpoint.
pub fn newest_checkpoint(run: &Path) -> PathBuf {
    let entries = std::fs::read_dir(run.join("checkpoints")).expect("checkpoints");
    let folders = entries.map(|entry| entry.expect("an entry").path());
    folders.max().expect("a checkpoint")
}

/// A folder with all that is in it, copied.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// What a command line does in a folder.
pub fn run_in(dir: &Path, args: &[&str]) -> Output {
    let output = bertram().current_dir(dir).args(args).output();
    output.expect("bertram-cli starts")
}

/// Standard output of a command line that works in a folder.
#[track_caller]
pub fn said(dir: &Path, args: &[&str]) -> String {
    let output = run_in(dir, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Standard error of a command line that is refused in a folder.
#[track_caller]
pub fn refused(dir: &Path, args: &[&str]) -> String {
    let output = run_in(dir, args);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{args:?}: {}",
        stdout(&output)
    );
    stderr(&output)
}

/// What a command says that must succeed.
#[track_caller]
pub fn finish(mut command: impl BorrowMut<Command>) -> Output {
    let command = command.borrow_mut();
    let output = command.output().expect("bertram-cli starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

/// `summary.json` of a run.
pub fn summary(run: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(run.join("summary.json")).expect("summary");
    serde_json::from_str(&text).expect("JSON")
}

/// Trains a run on a small generated corpus, with a smaller model.
pub fn train_small(dir: &Path, out: &str, sets: &[&str]) {
    let mut command = bertram();
    let train = ["train", "--dashboard", "none", "--no-test", "--out", out];
    command.current_dir(dir).args(train);
    let small = [
        "data.demo.sst=60",
        "data.demo.para=60",
        "data.demo.sts=60",
        "data.demo.dev=40",
        "model.random.hidden-size=16",
        "model.random.heads=2",
        "model.random.layers=1",
        "model.random.intermediate-size=32",
    ];
    finish(with_sets(&mut command, small.iter().chain(sets)));
}

/// Adds `--set` with each of the keys.
pub fn with_sets<'a>(
    command: &'a mut Command,
    sets: impl IntoIterator<Item = &'a &'a str>,
) -> &'a mut Command {
    for set in sets {
        command.args(["--set", set]);
    }
    command
}
