//! Runs on LibTorch, on the CPU: devices by name, and scores. `.ci/long` runs them; that a run resumes to the same bits is
//! in `train.rs`.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{bertram, run_in, shown, stdout};
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
    "train.max-grad-norm=1.0",
    "aggregator.kind=pcgrad",
    "regulariser.smart.tasks=[\"sst\", \"para\", \"sts\"]",
    "regulariser.bregman.mu=0.5",
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
fn a_run_notes_its_device_and_scores_as_on_flex() {
    let dir = tempfile::tempdir().expect("folder");
    let dir = dir.path();
    train(dir, "torch", &["--backend", "libtorch", "--device", "cpu"]);
    let info = json(&dir.join("torch/run.json"));
    assert_eq!(info["backend"], "libtorch");
    assert_eq!(info["device"], "cpu");
    train(dir, "flex", &["--backend", "flex"]);
    let overall = |run: &str| {
        let summary = json(&dir.join(run).join("summary.json"));
        summary["dev"]["overall"].as_f64().expect("a score")
    };
    let difference = (overall("torch") - overall("flex")).abs();
    // Other dropout masks: as far apart as two seeds.
    assert!(difference < 0.2, "{difference}");
}
