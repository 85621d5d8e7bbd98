//! `bertram-cli compare`: runs that were just trained, against each other.

mod common;

use std::path::Path;

use common::{refused, run_in, said, shown, train_small};
use serde_json::Value;

/// Trains a run on the generated corpus; the same numbers on any machine are not asked of it.
fn train(dir: &Path, out: &str, sets: &[&str]) {
    train_small(dir, out, &[&["train.epochs=2"], sets].concat());
}

/// Writes what a run has predicted of a task anew, with every `wrong`th row wrong: the same on any machine.
fn predict(dir: &Path, run: &str, task: &str, labels: [&str; 2], wrong: usize) {
    let path = dir.join(format!("{run}/predictions/{task}-dev.csv"));
    let text = std::fs::read_to_string(&path).expect("predictions");
    let (mut rows, mut right) = (0, 0);
    let mut made = "id,gold,prediction\n".to_owned();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let other = if cells[1] == labels[0] {
            labels[1]
        } else {
            labels[0]
        };
        let prediction = if rows % wrong == 0 { other } else { cells[1] };
        right += usize::from(prediction == cells[1]);
        rows += 1;
        made += &format!("{},{},{prediction}\n", cells[0], cells[1]);
    }
    std::fs::write(path, made).expect("written");
    let path = dir.join(format!("{run}/summary.json"));
    let text = std::fs::read_to_string(&path).expect("a summary");
    let mut summary: Value = serde_json::from_str(&text).expect("JSON");
    summary["dev"][task]["accuracy"] = (right as f64 / rows as f64).into();
    // Which epoch was best hangs on rounding.
    summary["best_epoch"] = 1.into();
    std::fs::write(path, summary.to_string()).expect("written");
}

const PARA: [&str; 2] = ["not a paraphrase", "paraphrase"];

#[test]
fn runs_are_compared_row_by_row() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    for (out, seed) in [("a/1", 1), ("a/2", 2), ("b/1", 1), ("b/2", 2)] {
        train(dir, out, &[&format!("train.seed={seed}")]);
    }
    for (run, wrong) in [("a/1", 3), ("a/2", 4), ("b/1", 20), ("b/2", 13)] {
        predict(dir, run, "para", PARA, wrong);
    }
    let para = |a: &str, b: &str| shown(&run_in(dir, &["compare", a, b, "--tasks", "para"]));
    let texts = [para("a/1", "b/1"), para("a", "b"), para("a/1,a/2", "b/2")];
    insta::assert_snapshot!("compare", texts.join("\n"));

    // The same run on both sides.
    let same: Value =
        serde_json::from_str(&said(dir, &["compare", "a/1", "a/1", "--json"])).expect("JSON");
    for row in same["tasks"].as_array().expect("tasks") {
        assert_eq!(
            (&row["difference"], &row["p_value"]),
            (&0.0.into(), &1.0.into())
        );
    }
    assert_eq!(same["overall"]["p_holm"], Value::Null);
    assert_eq!(same["overall"]["verdict"], "not-shown");
    let names: Vec<&Value> = same["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["sst", "para", "sts"]);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    train(dir, "a", &["train.epochs=1"]);
    train(dir, "b", &["train.epochs=1"]);
    train(dir, "other", &["train.epochs=1", "data.demo.seed=8"]);
    let mut messages = Vec::new();
    let mut refuse = |b: &str, more: &[&str]| {
        messages.push(refused(dir, &[&["compare", "a", b], more].concat()));
    };
    refuse("none", &[]);
    refuse("other", &[]);
    refuse("b", &["--tasks", "nli"]);
    std::fs::remove_file(dir.join("b/predictions/sts-dev.csv")).expect("is there");
    refuse("b", &[]);
    std::fs::remove_file(dir.join("b/summary.json")).expect("is there");
    refuse("b", &[]);
    insta::assert_snapshot!("compare_errors", messages.concat());
}
