//! Runs on LibTorch, on the CPU: devices by name, scores, and runs that resume bit for bit. `.ci/long` runs them.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{bertram, copy_folder, newest_checkpoint, run_in, shown, stdout};
use serde_json::Value;

/// The quick start, shrunk, with SMART, the Bregman term, PCGrad and clipping.
const TINY: &[&str] = &[
    "data.demo.sst=48",
    "data.demo.para=48",
    "data.demo.sts=48",
    "data.demo.dev=24",
    "model.random.hidden-size=32",
    "model.random.heads=2",
    "model.random.layers=2",
    "model.random.intermediate-size=64",
    "model.random.dropout=0.1",
    "train.batch-size=8",
    "train.epochs=3",
    "train.keep-checkpoints=10",
    "train.max-grad-norm=1.0",
    "aggregator.kind=pcgrad",
    "smart.tasks=[\"sst\", \"para\", \"sts\"]",
    "bregman.mu=0.5",
];

fn train(dir: &Path, out: &str, backend: &[&str]) {
    let mut args = vec!["train", "--dashboard", "plain", "--out", out];
    args.extend(backend);
    for set in TINY {
        args.extend(["--set", set]);
    }
    let output = run_in(dir, &args);
    assert!(output.status.success(), "{}", shown(&output));
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn it_is_listed_with_its_version() {
    let output = bertram().arg("backends").output().expect("runs");
    let text = stdout(&output);
    let line = text
        .lines()
        .find(|line| line.contains("cpu: ") && line.contains("LibTorch 2."));
    assert!(line.is_some_and(|line| line.contains("GFLOP/s")), "{text}");
}

#[test]
fn devices_that_are_not_there_leave_no_run() {
    let dir = tempfile::tempdir().expect("folder");
    for (device, said) in [
        ("0", "devices of libtorch have names; this one finds: "),
        (
            "cuda:63",
            "--device cuda:63: this LibTorch does not find it",
        ),
    ] {
        let args = [
            "train",
            "--backend",
            "libtorch",
            "--device",
            device,
            "--out",
            "run",
        ];
        let output = run_in(dir.path(), &args);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
        assert!(!dir.path().join("run").exists());
    }
}

#[test]
fn a_run_resumes_bit_for_bit_and_scores_as_on_flex() {
    let dir = tempfile::tempdir().expect("folder");
    let dir = dir.path();
    train(dir, "whole", &["--backend", "libtorch", "--device", "cpu"]);
    let whole = dir.join("whole");
    let info = json(&whole.join("run.json"));
    assert_eq!(info["backend"], "libtorch");
    assert_eq!(info["device"], "cpu");

    // As it was after its second epoch.
    let half = dir.join("half");
    copy_folder(&whole, &half);
    std::fs::remove_dir_all(newest_checkpoint(&half)).expect("a checkpoint");
    std::fs::remove_dir_all(half.join("model")).expect("a model");
    std::fs::remove_file(half.join("summary.json")).expect("a summary");
    let output = run_in(dir, &["train", "--dashboard", "plain", "--resume", "half"]);
    assert!(output.status.success(), "{}", shown(&output));
    for file in ["model/model.safetensors", "predictions/sst-dev-output.csv"] {
        let read = |run: &Path| std::fs::read(run.join(file)).expect("a file");
        assert!(read(&whole) == read(&half), "{file} is another");
    }

    train(dir, "flex", &["--backend", "flex"]);
    let overall = |run: &str| {
        let summary = json(&dir.join(run).join("summary.json"));
        summary["dev"]["overall"].as_f64().expect("a score")
    };
    let difference = (overall("whole") - overall("flex")).abs();
    // Other dropout masks: as far apart as two seeds.
    assert!(difference < 0.2, "{difference}");
}
