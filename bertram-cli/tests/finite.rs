//! Numbers that are not finite: a run ends where they arise, and nothing of them is kept.

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{bertram, stderr};

/// A small run on the generated corpus.
fn train(out: &Path, sets: &[&str]) -> Output {
    let small = [
        "data.demo.sst=40",
        "data.demo.para=40",
        "data.demo.sts=40",
        "data.demo.dev=20",
        "model.random.hidden-size=16",
        "model.random.intermediate-size=32",
        "train.epochs=2",
        "train.warmup=0",
        "train.lr-schedule=constant",
    ];
    let mut command = bertram();
    command
        .args(["train", "--dashboard", "none", "--out"])
        .arg(out);
    for set in small.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command.output().expect("bertram-cli starts")
}

fn checkpoints(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run.join("checkpoints")).expect("checkpoints");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn exports_nothing(run: &Path) {
    for name in ["model", "predictions", "summary.json"] {
        assert!(
            !run.join(name).exists(),
            "{name} of a model that says nothing"
        );
    }
}

/// Rate, how often it is logged and kept, and what the message must say.
#[test]
fn a_run_that_diverges_ends_there_and_its_last_good_checkpoint_goes_on() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, rate, sets, said) in [
        // Finite losses and gradients, and weights that are none after the only update.
        (
            "weights",
            "1e300",
            &[
                "train.batch-size=1000",
                "train.epochs=1",
                "train.max-grad-norm=0",
            ][..],
            "update 1: the model's weights are not finite",
        ),
        // Weights that are finite, and too large to compute with.
        (
            "predictions",
            "1e30",
            &["train.batch-size=1000", "train.epochs=1"],
            "update 1: what the model says of sst is not finite",
        ),
        // Found at the end of an epoch, though nothing is logged in between.
        (
            "loss",
            "1e20",
            &["train.log-every=1000"],
            "update 2: the loss of sst is not finite",
        ),
        // And before a checkpoint.
        (
            "checkpoints",
            "1e20",
            &[
                "train.log-every=1000",
                "train.checkpoint-every=1",
                "aggregator.kind=pcgrad",
            ],
            "update 1: what the model says of sst is not finite",
        ),
    ] {
        let run: PathBuf = dir.path().join(name);
        let (rate, head) = (
            format!("train.learning-rate={rate}"),
            format!("train.head-learning-rate={rate}"),
        );
        let output = train(&run, &[&[rate.as_str(), head.as_str()], sets].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains(said), "{name}: {text}");
        assert!(
            text.contains("last good checkpoint is that of update"),
            "{text}"
        );
        exports_nothing(&run);
        for checkpoint in checkpoints(&run) {
            let best = run
                .join("checkpoints")
                .join(checkpoint)
                .join("best.safetensors");
            assert!(!best.exists(), "{name}");
        }

        // What the message advises works.
        let advice = text
            .lines()
            .find_map(|line| line.split_once("bertram-cli "))
            .expect("advice");
        let output = bertram()
            .args(advice.1.split_whitespace())
            .args(["--dashboard", "none"])
            .output();
        let output = output.expect("starts");
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert!(run.join("model/model.safetensors").is_file(), "{name}");
        let info = std::fs::read_to_string(run.join("run.json")).expect("run.json");
        assert!(
            info.contains("\"train.learning-rate\""),
            "the change is noted: {info}"
        );
    }
}
