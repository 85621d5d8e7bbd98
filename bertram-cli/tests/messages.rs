//! What the program says when something is wrong with its input: message, exit code, no backtrace.

mod common;

use std::path::Path;

use common::{bertram, stderr};

/// Runs with arguments and gives `exit code`, then standard error with the folder's name replaced.
fn message(folder: &Path, args: &[&str]) -> String {
    let output = bertram()
        .current_dir(folder)
        .args(args)
        .output()
        .expect("starts");
    let text = stderr(&output).replace(&folder.display().to_string(), "DIR");
    assert!(
        !text.contains("panicked") && !text.contains("backtrace"),
        "{text}"
    );
    format!("exit {}\n{text}", output.status.code().unwrap_or(-1))
}

/// A small course-format folder: only similarity, so that one task's files are enough.
fn sts_folder(folder: &Path, train: &[u8]) {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("folder");
    std::fs::write(data.join("sts-train.csv"), train).expect("train");
    std::fs::write(
        data.join("sts-dev.csv"),
        "\tid\tsentence1\tsentence2\tsimilarity\n0\ta\tone cat\ta cat\t4.0\n1\tb\ta dog\tthe sky\t0.5\n",
    )
    .expect("dev");
    std::fs::write(
        folder.join("sts.toml"),
        "[data]\ndir = \"data\"\n[tasks.sts]\n[train]\nepochs = 1\n",
    )
    .expect("config");
}

#[test]
fn bad_rows() {
    let dir = tempfile::tempdir().expect("temp dir");
    sts_folder(
        dir.path(),
        b"\tid\tsentence1\tsentence2\tsimilarity\n\
          0\ta\tone cat\ta cat\t4.0\n\
          1\tb\tone cat\ta cat\n\
          2\tc\tone cat\t\t3.0\n\
          3\td\tone cat\ta cat\tfour\n\
          4\te\tone cat\ta cat\t7.5\n\
          5\tf\tone \xFF cat\ta cat\t1.0\n",
    );
    insta::assert_snapshot!(message(
        dir.path(),
        &["train", "--config", "sts.toml", "--out", "run"]
    ));
    assert!(
        !dir.path().join("run").exists(),
        "a run that never began leaves no folder"
    );
}

#[test]
fn a_missing_column_and_a_missing_file() {
    let dir = tempfile::tempdir().expect("temp dir");
    sts_folder(dir.path(), b"\tid\ts1\ts2\tsimilarity\n0\ta\tx\ty\t4.0\n");
    insta::assert_snapshot!(message(
        dir.path(),
        &["train", "--config", "sts.toml", "--out", "run"]
    ));
    insta::assert_snapshot!(message(
        dir.path(),
        &["train", "--data", "nowhere", "--out", "run"]
    ));
}

#[test]
fn unknown_config_keys() {
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::write(
        dir.path().join("bad.toml"),
        "[train]\nepocs = 3\nbatch-size = \"eight\"\n\n[tasks.quora]\n\n[data]\nbad-rows = \"ignore\"\n",
    )
    .expect("config");
    insta::assert_snapshot!(message(dir.path(), &["config", "validate", "bad.toml"]));
    insta::assert_snapshot!(message(
        dir.path(),
        &["train", "--set", "train.lerning-rate=1"]
    ));
}

#[test]
fn an_uncompiled_backend() {
    if cfg!(feature = "cuda") {
        return;
    }
    let dir = tempfile::tempdir().expect("temp dir");
    insta::assert_snapshot!(message(
        dir.path(),
        &["train", "--backend", "cuda", "--out", "run"]
    ));
    assert!(!dir.path().join("run").exists(), "nothing was begun");
}

#[test]
fn activation_checkpointing_in_a_build_without() {
    if cfg!(feature = "activation-checkpointing") || !cfg!(feature = "flex") {
        return;
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let checkpointing = ["--set", "train.activation-checkpointing=true"];
    let train = ["train", "--backend", "flex", "--out", "run"];
    insta::assert_snapshot!(message(dir.path(), &[&train[..], &checkpointing].concat()));
    assert!(!dir.path().join("run").exists(), "nothing was begun");
}

#[test]
fn a_precision_that_the_backend_has_not() {
    if !cfg!(feature = "ndarray") {
        return;
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let precision = ["--set", "train.precision=bf16", "--backend", "ndarray"];
    let train = ["train", "--out", "run"];
    insta::assert_snapshot!(message(dir.path(), &[&train[..], &precision].concat()));
    assert!(!dir.path().join("run").exists(), "nothing was begun");
    insta::assert_snapshot!(message(
        dir.path(),
        &[
            "bench",
            "train-step",
            "--precision",
            "f16",
            "--backend",
            "ndarray"
        ]
    ));
}

/// A model folder, exported by a run of one epoch on almost nothing.
fn exported_model(folder: &Path) {
    let output = bertram()
        .current_dir(folder)
        .args(["train", "--dashboard", "none", "--out", "made"])
        .args([
            "--set",
            "train.epochs=0",
            "--set",
            "data.demo.sst=60",
            "--set",
            "data.demo.para=60",
        ])
        .args([
            "--set",
            "data.demo.sts=60",
            "--set",
            "data.demo.dev=10",
            "--set",
            "model.random.hidden-size=16",
        ])
        .args([
            "--set",
            "model.random.heads=2",
            "--set",
            "model.random.intermediate-size=16",
        ])
        .output()
        .expect("starts");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn broken_model_folders() {
    let dir = tempfile::tempdir().expect("temp dir");
    exported_model(dir.path());
    let weights = dir.path().join("made/model/model.safetensors");
    let whole = std::fs::read(&weights).expect("weights");
    let encode = ["encode", "--model", "made/model", "--input", "texts.txt"];
    std::fs::write(dir.path().join("texts.txt"), "a film\n").expect("texts");

    std::fs::write(&weights, &whole[..whole.len() - 100]).expect("truncate");
    insta::assert_snapshot!("truncated_safetensors", message(dir.path(), &encode));

    // The same file with one tensor renamed in its header.
    let missing = String::from("encoder.layer.0.output.dense.bias");
    let renamed = String::from("encoder.layer.0.output.dense.bigs");
    let position = whole
        .windows(missing.len())
        .position(|window| window == missing.as_bytes())
        .expect("the tensor is there");
    let mut broken = whole.clone();
    broken[position..position + missing.len()].copy_from_slice(renamed.as_bytes());
    std::fs::write(&weights, &broken).expect("rename");
    insta::assert_snapshot!("missing_tensor", message(dir.path(), &encode));

    std::fs::remove_file(&weights).expect("remove");
    insta::assert_snapshot!("no_weights", message(dir.path(), &encode));
    insta::assert_snapshot!(
        "no_model",
        message(dir.path(), &["encode", "--model", "./nowhere"])
    );
    insta::assert_snapshot!(
        "not_a_run",
        message(dir.path(), &["evaluate", "--run", "made/model"])
    );
}

#[test]
fn nothing_to_tune_on_a_cpu() {
    let dir = tempfile::tempdir().expect("temp dir");
    insta::assert_snapshot!(message(dir.path(), &["tune", "--backend", "flex"]), @r"
    exit 2
    error: backend flex has one way to multiply matrices, and nothing to tune; use --backend cuda, vulkan, metal or wgpu
    ");
    let refused = message(
        dir.path(),
        &["tune", "--backend", "flex", "--seconds", "nan"],
    );
    assert!(refused.starts_with("exit 2\nerror: --seconds"), "{refused}");
}
