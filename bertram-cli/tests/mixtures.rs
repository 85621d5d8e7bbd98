//! `bertram-cli ensemble` and `average`: runs that were just trained, made into one.

mod common;

use std::path::Path;

use common::{copy_folder, refused, said, train_small};
use serde_json::Value;

/// Trains a run on the generated corpus.
fn train(dir: &Path, out: &str, sets: &[&str]) {
    train_small(dir, out, &[&["train.epochs=1"], sets].concat());
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

/// The numbers in the columns after the prediction.
fn numbers(path: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let rows = text.lines().skip(1);
    rows.flat_map(|row| {
        let cells = row.split(',').skip(3);
        cells.map(|cell| cell.parse().expect("a number"))
    })
    .collect()
}

#[test]
fn an_ensemble_is_the_mean_of_what_its_runs_say() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    for (out, seed) in [("runs/a", 1), ("runs/b", 2)] {
        train(dir, out, &[&format!("train.seed={seed}")]);
    }
    let text = said(dir, &["ensemble", "runs", "--out", "uniform"]);
    for part in [
        "overall",
        "0.500",
        "epochs of the runs were chosen on all of dev",
        "run folder: uniform",
    ] {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
    for task in ["sst", "para", "sts"] {
        let of = |run: &str| numbers(&dir.join(format!("{run}/predictions/{task}-dev.csv")));
        let (a, b, mean) = (of("runs/a"), of("runs/b"), of("uniform"));
        assert!(a.len() >= 40 && a.len() == mean.len());
        for ((a, b), mean) in a.iter().zip(&b).zip(&mean) {
            assert!(
                ((a + b) / 2.0 - mean).abs() < 2e-9,
                "{task}: {a} {b} {mean}"
            );
        }
        assert!(
            dir.join(format!("uniform/predictions/{task}-dev-output.csv"))
                .is_file()
        );
    }
    let summary = json(&dir.join("uniform/summary.json"));
    assert_eq!(summary["made_of"]["kind"], "ensemble");
    assert!(summary["made_of"].get("select").is_none());

    // Weights, and test rows that the runs have not predicted.
    let args = [
        "ensemble",
        "runs/a",
        "runs/b",
        "--weights",
        "dev",
        "--split",
        "test",
        "--out",
        "dev",
    ];
    let output = common::run_in(dir, &args);
    assert!(output.status.success(), "{}", common::stderr(&output));
    assert!(common::stdout(&output).contains("chosen on one half of dev and scored on the other"));
    assert!(common::stderr(&output).contains("runs/a has no probabilities of all test rows"));
    assert!(dir.join("dev/predictions/sst-test-output.csv").is_file());
    assert!(dir.join("runs/a/predictions/sst-test.csv").is_file());
    let summary = json(&dir.join("dev/summary.json"));
    let select = &summary["made_of"]["select"];
    let halves = select["halves"].as_array().expect("two halves");
    let mean = halves
        .iter()
        .map(|half| half["scores"]["overall"].as_f64().expect("a score"))
        .sum::<f64>()
        / 2.0;
    assert!((select["overall"].as_f64().expect("a score") - mean).abs() < 1e-12);
    assert_eq!(select["overall_chosen_on_all"], summary["dev"]["overall"]);
    // A second time nothing is to be computed.
    let again = [
        "ensemble", "runs/a", "runs/b", "--split", "test", "--out", "again",
    ];
    let output = common::run_in(dir, &again);
    assert!(
        output.status.success() && common::stderr(&output).is_empty(),
        "{}",
        common::stderr(&output)
    );

    // The folder is read like a run's.
    let listed = said(dir, &["runs", "list", "uniform", "runs"]);
    assert!(listed.contains("finished"), "{listed}");
    let shown = said(dir, &["runs", "show", "uniform"]);
    assert!(
        shown.contains("report uniform") && !shown.contains("predict --run"),
        "{shown}"
    );
    let compared = said(dir, &["compare", "runs/a", "uniform", "--json"]);
    let compared: Value = serde_json::from_str(&compared).expect("JSON");
    let names: Vec<&Value> = compared["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["sst", "para", "sts"]);
    let warnings = compared["warnings"].to_string();
    assert!(warnings.contains("B is a mean of 2 runs"), "{warnings}");
    // Every number of the ensemble is in its table: nothing is scored in two ways.
    assert!(!warnings.contains("in summary.json"), "{warnings}");
    let report = said(
        dir,
        &["report", "runs", "uniform", "dev", "--out", "report.html"],
    );
    assert_eq!(report, "report.html: 4 runs, 3 settings\n");
    let page = std::fs::read_to_string(dir.join("report.html")).expect("a page");
    assert!(page.contains("ensemble of 2 runs, weights dev"));
    for args in [
        &["evaluate", "--run", "uniform"][..],
        &["export", "--run", "uniform", "--to", "none"],
    ] {
        let message = refused(dir, args);
        assert!(
            message.contains("is a baseline or an ensemble"),
            "{message}"
        );
    }
    assert!(!dir.join("none").exists());
    let message = refused(dir, &["train", "--resume", "uniform"]);
    assert!(
        message.contains("made of runs (ensemble of 2 runs, weights uniform)"),
        "{message}"
    );
}

#[test]
fn a_soup_is_a_model_like_any_other() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    train(dir, "a", &["train.seed=1"]);
    copy_folder(&dir.join("a"), &dir.join("copy"));
    // The mean of equal weights is these weights, to the bit.
    let text = said(dir, &["average", "a", "copy", "--out", "same"]);
    assert!(
        text.contains("run folder: same") && text.contains("predict --run same"),
        "{text}"
    );
    for file in [
        "model/model.safetensors",
        "model/heads.safetensors",
        "predictions/sts-dev.csv",
    ] {
        let read = |run: &str| std::fs::read(dir.join(run).join(file)).expect(file);
        assert!(read("a") == read("same"), "{file}");
    }
    let (one, same) = (
        json(&dir.join("a/summary.json")),
        json(&dir.join("same/summary.json")),
    );
    assert_eq!(one["dev"], same["dev"]);
    assert_eq!(one["parameters"], same["parameters"]);
    let card = std::fs::read_to_string(dir.join("same/model/README.md")).expect("a card");
    assert!(
        card.contains("a model soup (Wortsman et al. 2022), uniform"),
        "{card}"
    );

    // The same initial weights and data, other rates.
    train(dir, "b", &["train.seed=1", "train.learning-rate=2e-4"]);
    train(dir, "c", &["train.seed=1", "train.learning-rate=5e-5"]);
    let text = said(
        dir,
        &[
            "average", "a", "b", "c", "--method", "greedy", "--out", "soup",
        ],
    );
    assert!(text.contains("chosen on one half of dev"), "{text}");
    let summary = json(&dir.join("soup/summary.json"));
    let runs = summary["made_of"]["runs"].as_array().expect("runs");
    let weights: f64 = runs
        .iter()
        .map(|run| run["weight"].as_f64().expect("a weight"))
        .sum();
    assert!((weights - 1.0).abs() < 1e-9);
    let best = runs
        .iter()
        .map(|run| run["overall"].as_f64().expect("a score"))
        .fold(0.0, f64::max);
    assert!(summary["dev"]["overall"].as_f64().expect("a score") >= best - 1e-9);
    let scored = said(dir, &["evaluate", "--run", "soup", "--split", "test"]);
    assert!(scored.contains("predictions: soup/predictions"), "{scored}");
    said(dir, &["evaluate", "--run", "soup", "--out", "scores.json"]);
    let scores = json(&dir.join("scores.json"));
    assert_eq!(scores["overall"], summary["dev"]["overall"]);
    std::fs::write(dir.join("texts"), "a lovely film\n").expect("written");
    let line = said(
        dir,
        &[
            "predict", "--run", "soup", "--task", "sst", "--input", "texts",
        ],
    );
    assert!(line.contains("probabilities"), "{line}");
    said(
        dir,
        &["encode", "--model", "soup/model", "--input", "texts"],
    );
    said(dir, &["export", "--run", "soup", "--to", "exported"]);
    let card = std::fs::read_to_string(dir.join("exported/README.md")).expect("a card");
    assert!(card.contains("a model soup"), "{card}");
    let message = refused(dir, &["train", "--resume", "soup"]);
    assert!(
        message.contains("made of runs (soup of 3 runs, method greedy)"),
        "{message}"
    );
    // A soup can be an ingredient; an ensemble has no weights.
    said(dir, &["average", "a", "soup", "--out", "deeper"]);
    said(dir, &["ensemble", "a", "soup", "--out", "ensemble"]);
    let message = refused(dir, &["average", "a", "ensemble", "--out", "none"]);
    assert!(message.contains("ensemble has no model/"), "{message}");
    assert!(!dir.join("none").exists());
}

#[test]
fn calibration_changes_probabilities_and_no_label() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    train(dir, "run", &[]);
    std::fs::write(dir.join("texts"), "a lovely film\na dull one\n").expect("written");
    let predict = |task: &str, input: &str| -> Vec<Value> {
        let args = ["predict", "--run", "run", "--task", task, "--input", input];
        let lines = said(dir, &args);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let before = predict("sst", "texts");
    let text = said(dir, &["calibrate", "--run", "run"]);
    for part in [
        "sst",
        "para",
        "ECE before",
        "fitted on one half of dev",
        "run/model/calibration.json",
    ] {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
    assert!(!text.contains("sts"), "{text}");
    let found: Value =
        serde_json::from_str(&said(dir, &["calibrate", "--run", "run", "--json"])).expect("JSON");
    assert_eq!(found, json(&dir.join("run/model/calibration.json")));
    let temperature = found["tasks"]["sst"]["temperature"]
        .as_f64()
        .expect("a temperature");
    let after = predict("sst", "texts");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["label"], after["label"]);
        let logit = |line: &Value| {
            let of = |label: &str| {
                line["probabilities"][label]
                    .as_f64()
                    .expect("a probability")
                    .ln()
            };
            let names: Vec<&String> = line["probabilities"]
                .as_object()
                .expect("labels")
                .keys()
                .collect();
            of(names[0]) - of(names[1])
        };
        assert!(
            (logit(before) / temperature - logit(after)).abs() < 1e-4,
            "{before} {after}"
        );
    }
    said(dir, &["export", "--run", "run", "--to", "exported"]);
    assert_eq!(json(&dir.join("exported/calibration.json")), found);
    std::fs::write(
        dir.join("run/model/calibration.json"),
        r#"{"version":1,"tasks":{"sst":7}}"#,
    )
    .expect("written");
    let message = refused(
        dir,
        &[
            "predict", "--run", "run", "--task", "sst", "--input", "texts",
        ],
    );
    assert!(message.contains("calibration.json"), "{message}");
    let message = refused(dir, &["calibrate", "--run", "none"]);
    assert!(message.contains("none is not a run folder"), "{message}");
}

#[test]
fn what_has_no_mean_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    train(dir, "a", &[]);
    train(dir, "wide", &["model.random.hidden-size=32"]);
    train(dir, "corpus", &["data.demo.seed=8"]);
    train(dir, "head", &["tasks.para.pooling=pooler"]);
    let mut messages = Vec::new();
    let mut refuse = |args: &[&str]| {
        let message = refused(dir, &[args, &["--out", "out"]].concat());
        assert!(!dir.join("out").exists(), "{args:?} has left a folder");
        messages.push(format!("{}: {message}", args.join(" ")));
    };
    refuse(&["ensemble", "a"]);
    refuse(&["ensemble", "a", "a"]);
    refuse(&["ensemble", "a", "none"]);
    refuse(&["ensemble", "a", "corpus"]);
    refuse(&["average", "a"]);
    refuse(&["average", "a", "wide"]);
    refuse(&["average", "a", "head"]);
    refuse(&["average", "a", "corpus"]);
    std::fs::remove_file(dir.join("wide/summary.json")).expect("is there");
    refuse(&["ensemble", "a", "wide"]);
    refuse(&["average", "a", "wide"]);
    // Weights that are NaN are refused by the name of their file.
    let path = dir.join("head/model/heads.safetensors");
    let mut bytes = std::fs::read(&path).expect("weights");
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    refuse(&["average", "a", "head"]);
    insta::assert_snapshot!("mixture_errors", messages.concat());
    std::fs::write(dir.join("out"), "a file").expect("written");
    let message = refused(dir, &["ensemble", "a", "head", "--out", "out"]);
    assert!(message.contains("out is a file"), "{message}");
    std::fs::write(dir.join("a/predictions/sst-dev.csv"), b"id,\xff").expect("written");
    let message = refused(dir, &["ensemble", "a", "head", "--out", "new"]);
    assert!(message.contains("a/predictions/sst-dev.csv"), "{message}");
    assert!(!dir.join("new").exists());
}
