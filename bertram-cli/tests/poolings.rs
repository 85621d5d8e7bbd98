//! Poolings, mixes of layers and several dropout masks from the command line: trained, saved, read back.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, finish, stderr, stdout, with_sets};
use safetensors::SafeTensors;
use serde_json::Value;

/// A run of one epoch over a few generated rows.
fn train(out: &Path, sets: &[&str]) -> Output {
    let mut command = bertram();
    command
        .args(["train", "--dashboard", "none", "--out"])
        .arg(out);
    let tiny = [
        "data.demo.sst=48",
        "data.demo.para=48",
        "data.demo.sts=48",
        "data.demo.dev=20",
        "data.max-length=40",
        "model.random.hidden-size=32",
        "model.random.layers=2",
        "model.random.heads=2",
        "model.random.intermediate-size=64",
        "train.epochs=1",
        "train.learning-rate=1e-3",
    ];
    finish(with_sets(&mut command, tiny.iter().chain(sets)))
}

fn run(args: &[&str], folder: &Path) -> Output {
    let texts = folder.join("texts.txt");
    std::fs::write(&texts, "a lovely film .\nthe dog\n").expect("written");
    let mut command = bertram();
    command.args(args);
    if args[0] == "encode" {
        command.arg("--input").arg(&texts);
    }
    command.output().expect("starts")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON")
}

/// The vectors that `encode` gives.
fn vectors(args: &[&str], folder: &Path) -> Vec<Vec<f64>> {
    let output = run(args, folder);
    assert!(output.status.success(), "{}", stderr(&output));
    let vector = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let numbers = line["embedding"].as_array().expect("a vector");
        let numbers = numbers.iter().map(|it| it.as_f64().expect("a number"));
        numbers.collect()
    };
    stdout(&output).lines().map(vector).collect()
}

/// The largest number of a tensor of the heads.
fn largest(run: &Path, name: &str) -> f32 {
    let bytes = std::fs::read(run.join("model/heads.safetensors")).expect("there");
    let tensors = SafeTensors::deserialize(&bytes).expect("whole");
    let data = tensors.tensor(name).expect(name).data();
    let numbers = data.chunks(4).map(|bytes| {
        let bytes = bytes.try_into().expect("four bytes");
        f32::from_le_bytes(bytes).abs()
    });
    numbers.fold(0.0, f32::max)
}

#[test]
fn what_is_trained_is_read_back() {
    // Settings, the version of heads.json, whether sentence-transformers reads it, and poolings side by side.
    let cases: [(&[&str], u64, bool, usize); 5] = [
        (
            &["model.pooling=cls", "tasks.sst.dropout-samples=3"],
            2,
            true,
            1,
        ),
        (
            &["model.pooling=mean+max", "tasks.para.head=cross-encoder"],
            5,
            true,
            2,
        ),
        (&["model.pooling=attention"], 5, false, 1),
        (&["model.pooling=mean", "model.layer-mix=true"], 5, false, 1),
        (
            &[
                "model.pooling=attention+cls",
                "model.layer-mix=true",
                "model.freeze=true",
                "regulariser.smart.tasks=[\"sst\"]",
            ],
            5,
            false,
            2,
        ),
    ];
    for (sets, version, is_sentence_transformer, parts) in cases {
        let dir = tempfile::tempdir().expect("temp dir");
        let out = dir.path().join("run");
        train(&out, sets);
        let heads = json(&out.join("model/heads.json"));
        assert_eq!(heads["version"], version, "{sets:?}");
        let tasks = heads["tasks"].as_array().expect("tasks");
        let modules = out.join("model/modules.json");
        assert_eq!(modules.is_file(), is_sentence_transformer, "{sets:?}");
        let card = std::fs::read_to_string(out.join("model/README.md")).expect("a card");
        let is_named = card.contains("library_name: sentence-transformers");
        assert_eq!(is_named, is_sentence_transformer, "{sets:?}");

        // Scores of the model that was read back are those of the run.
        let scores = dir.path().join("scores.json");
        let (run_folder, scores_path) = (out.display().to_string(), scores.display().to_string());
        let output = run(
            &[
                "evaluate",
                "--run",
                &run_folder,
                "--split",
                "dev",
                "--out",
                &scores_path,
            ],
            dir.path(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
        let trained = json(&out.join("summary.json"));
        assert_eq!(json(&scores), trained["dev"], "{sets:?}");

        // A task's vectors, and those of the encoder alone.
        let of_task = vectors(
            &["encode", "--model", &run_folder, "--task", "sst"],
            dir.path(),
        );
        assert_eq!(of_task[0].len(), 32 * parts, "{sets:?}");
        let own = run(&["encode", "--model", &run_folder], dir.path());
        let learnt = sets
            .iter()
            .any(|set| set.contains("attention") || set.contains("mix"));
        if learnt && tasks.len() > 1 {
            let said = stderr(&own);
            assert_eq!(own.status.code(), Some(2), "{said}");
            assert!(said.contains("say whose with --task"), "{said}");
            assert!(said.contains("sst, para, sts"), "{said}");
        } else {
            assert!(own.status.success(), "{}", stderr(&own));
            let own = vectors(&["encode", "--model", &run_folder], dir.path());
            assert_eq!(own, of_task, "all tasks have the model's pooling");
        }
        let plain = ["encode", "--model", &run_folder, "--pooling", "mean"];
        assert_eq!(vectors(&plain, dir.path())[0].len(), 32);

        // What begins at 0 has been learnt, of a frozen encoder, too.
        if sets.iter().any(|set| set.contains("attention")) {
            assert!(largest(&out, "sts.attention.query") > 1e-4, "{sets:?}");
        }
        if sets.iter().any(|set| set.contains("mix")) {
            assert!(largest(&out, "sst.layer_mix.weights") > 1e-4, "{sets:?}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("run").display().to_string();
    let refused = |args: &[&str], parts: &[&str]| {
        let output = run(args, dir.path());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    };
    let train = |set: &str, parts: &[&str]| {
        refused(&["train", "--out", &out, "--set", set], parts);
    };
    train(
        "model.pooling=cls+mean+cls",
        &["model.pooling", "cls is there twice"],
    );
    train(
        "model.pooling=cls+median",
        &["\"median\" is no pooling", "cls+mean"],
    );
    train(
        "tasks.sst.dropout-samples=0",
        &["tasks.sst.dropout-samples", "at least 1"],
    );
    train(
        "tasks.sst.dropout-samples=1001",
        &["more than it may be: 1000"],
    );
    train(
        "model.layer-mix=2",
        &["model.layer-mix", "not true or false"],
    );
    refused(
        &["encode", "--model", "x", "--pooling", "mean+attention"],
        &["--task TASK takes that task's"],
    );
    refused(
        &[
            "encode",
            "--model",
            "x",
            "--pooling",
            "mean",
            "--task",
            "sst",
        ],
        &["cannot be used with"],
    );
    // Without dropout all masks are alike.
    let output = {
        let config = dir.path().join("config.toml");
        let text = "[model]\nhead-dropout = 0.0\n[tasks.sst]\ndropout-samples = 4\n";
        std::fs::write(&config, text).expect("written");
        run(
            &["config", "validate", &config.display().to_string()],
            dir.path(),
        )
    };
    let said = stderr(&output);
    assert!(
        said.contains("tasks.sst.dropout-samples") && said.contains("model.head-dropout"),
        "{said}"
    );
}
