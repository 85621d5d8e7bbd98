//! `bertram-cli runs`: run folders listed, shown and cleaned.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, stderr, stdout};
use serde_json::Value;

fn run(folder: &Path, args: &[&str]) -> Output {
    let output = bertram().current_dir(folder).args(args).output();
    output.expect("starts")
}

fn succeeds(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn train(folder: &Path, out: &str) {
    let mut args = vec!["train", "--dashboard", "none", "--out", out];
    for set in [
        "data.demo.sst=20",
        "data.demo.para=20",
        "data.demo.sts=20",
        "data.demo.dev=10",
        "model.random.hidden-size=16",
        "model.random.heads=2",
        "model.random.layers=1",
        "model.random.intermediate-size=32",
        "train.epochs=1",
        "train.keep-training-state=true",
    ] {
        args.extend(["--set", set]);
    }
    succeeds(folder, &args);
}

#[test]
fn runs_are_listed_shown_and_cleaned() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    train(at, "runs/one");
    train(at, "runs/other");
    // As a kill leaves it.
    std::fs::remove_file(at.join("runs/other/summary.json")).expect("is there");

    let listed = succeeds(at, &["runs", "list"]);
    assert!(listed.contains("finished"), "{listed}");
    assert!(listed.contains("stopped at update"), "{listed}");
    let json: Value =
        serde_json::from_str(&succeeds(at, &["runs", "list", "--json"])).expect("JSON");
    let [one, other] = &json.as_array().expect("a list")[..] else {
        panic!("two runs: {json}");
    };
    assert_eq!(one["run"], "runs/one");
    assert!(
        one["dev.overall"].is_number() && one["dev.sst.accuracy"].is_number(),
        "{one}"
    );
    assert!(one["bytes"].as_u64() > one["bytes_to_be_freed"].as_u64());
    assert!(one["bytes_to_be_freed"].as_u64() > Some(0));
    assert_eq!(other["bytes_to_be_freed"], 0);

    let shown = succeeds(at, &["runs", "show", "runs/one"]);
    assert!(
        shown.contains("bertram-cli evaluate --run runs/one"),
        "{shown}"
    );
    let shown = succeeds(at, &["runs", "show", "runs/other"]);
    assert!(
        shown.contains("bertram-cli train --resume runs/other"),
        "{shown}"
    );

    // Without a terminal to ask on, nothing is removed.
    let refused = run(at, &["runs", "clean", "runs"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--yes"), "{}", stderr(&refused));
    let before = succeeds(at, &["runs", "list", "--json"]);
    assert_eq!(
        before,
        serde_json::to_string_pretty(&json).expect("JSON") + "\n"
    );

    let cleaned = run(at, &["runs", "clean", "runs", "--yes"]);
    assert!(cleaned.status.success() && stdout(&cleaned).contains("freed"));
    assert!(
        stderr(&cleaned).contains("runs/other: stopped at update"),
        "{}",
        stderr(&cleaned)
    );
    assert_eq!(
        succeeds(at, &["runs", "clean", "runs", "--yes"]),
        "nothing to remove\n"
    );

    // What is left of the finished run is what it is for; the other one goes on.
    succeeds(at, &["evaluate", "--run", "runs/one"]);
    let longer = ["train", "--resume", "runs/one", "--set", "train.epochs=2"];
    let longer = run(at, &longer);
    assert_eq!(longer.status.code(), Some(2));
    assert!(
        stderr(&longer).contains("not trained longer"),
        "{}",
        stderr(&longer)
    );
    succeeds(
        at,
        &["train", "--dashboard", "none", "--resume", "runs/other"],
    );
}

#[test]
fn folders_without_runs_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = run(folder.path(), &["runs", "list"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(
        stderr(&nothing).contains("runs does not exist"),
        "{}",
        stderr(&nothing)
    );
}
