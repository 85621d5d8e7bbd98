//! Averaged weights, evaluations within epochs, a bound on updates, and parts of dev, from the command line.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{bertram, finish, stderr, stdout, summary};
use serde_json::Value;

/// 45 updates an epoch, of which the last epoch makes some.
const TINY: &str = "
[data.demo]
sst = 120
para = 90
sts = 60
dev = 40
[tasks.sst]
[tasks.para]
[tasks.sts]
[model.random]
hidden-size = 32
heads = 2
intermediate-size = 64
[train]
epochs = 3
batch-size = 6
log-every = 5
learning-rate = 1e-3
";

fn train(dir: &Path, name: &str, more: &str, sets: &[&str]) -> Command {
    let config = dir.join(format!("{name}.toml"));
    std::fs::write(&config, format!("{TINY}{more}")).expect("written");
    let mut command = bertram();
    command.args(["train", "--dashboard", "plain", "--config"]);
    command.arg(config).arg("--out").arg(dir.join(name));
    for set in sets {
        command.args(["--set", set]);
    }
    command
}

/// The lines of a kind in `metrics.jsonl`, without what clocks say.
fn lines(run: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line["seconds"] = Value::Null;
        line
    });
    lines.filter(|line| line["kind"] == kind).collect()
}

const AVERAGED: &str = "
average = \"ema\"
average-decay = 0.9
average-start = 0.2
evaluate-every = 20
max-updates = 100
checkpoint-every = 5
";

#[test]
fn a_killed_run_with_an_average_resumes_to_the_same_bits() {
    let dir = tempfile::tempdir().expect("temp dir");
    finish(train(dir.path(), "whole", AVERAGED, &[]));
    let killed = dir.path().join("killed");
    let mut child = train(dir.path(), "killed", AVERAGED, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bertram-cli starts");
    let begun = Instant::now();
    // In the second epoch, after an evaluation within it.
    while !std::fs::read_to_string(killed.join("metrics.jsonl"))
        .is_ok_and(|text| text.contains("\"update\":70"))
    {
        assert!(begun.elapsed() < Duration::from_secs(120), "no update 70");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("child ends");
    let mut resume = bertram();
    resume.args(["train", "--dashboard", "plain", "--resume"]);
    finish({
        resume.arg(&killed);
        resume
    });
    let whole = dir.path().join("whole");
    for file in [
        "model/model.safetensors",
        "model-last/model.safetensors",
        "model/heads.safetensors",
    ] {
        let read = |run: &Path| std::fs::read(run.join(file)).expect(file);
        assert!(read(&whole) == read(&killed), "{file} differs");
    }
    for kind in ["dev", "dev_last_weights"] {
        assert_eq!(lines(&whole, kind), lines(&killed, kind));
    }
    let at = |kind| -> Vec<u64> {
        let lines = lines(&whole, kind).into_iter();
        lines
            .map(|line| line["update"].as_u64().expect("an update"))
            .collect()
    };
    // Every 20 updates, at the ends of epochs, and at the last update, which is in the middle of one.
    assert_eq!(at("dev"), [20, 40, 45, 60, 80, 90, 100]);
    // The average begins with a fifth of the updates.
    assert_eq!(at("dev_last_weights"), [20, 40, 45, 60, 80, 90, 100]);
    let (summary, last) = (summary(&whole), lines(&whole, "dev_last_weights"));
    assert_eq!(summary["updates"], 100);
    assert_eq!(summary["last_weights"]["overall"], last[6]["overall"]);
    let dev = lines(&whole, "dev");
    let best = dev
        .iter()
        .map(|line| line["overall"].as_f64().expect("a score"))
        .fold(0.0, f64::max);
    assert_eq!(summary["dev"]["overall"].as_f64(), Some(best));
    let chosen = summary["cross_selected"]["chosen"]
        .as_array()
        .expect("two updates");
    assert!(
        chosen
            .iter()
            .all(|update| dev.iter().any(|line| line["update"] == *update))
    );
    // The average is another model than the last weights.
    let read = |folder: &str| {
        std::fs::read(whole.join(folder).join("model.safetensors")).expect("a model")
    };
    assert!(read("model") != read("model-last"));
}

#[test]
fn a_finished_run_goes_on_to_more_updates() {
    let dir = tempfile::tempdir().expect("temp dir");
    let keep = "keep-training-state = true\n";
    finish(train(dir.path(), "run", keep, &["train.max-updates=50"]));
    let run = dir.path().join("run");
    let resume = |set: Option<&str>| {
        let mut resume = bertram();
        resume
            .args(["train", "--dashboard", "plain", "--resume"])
            .arg(&run);
        if let Some(set) = set {
            resume.args(["--set", set]);
        }
        resume
    };
    let refused = resume(None).output().expect("bertram-cli starts");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("--set train.max-updates=N"),
        "{}",
        stderr(&refused)
    );
    let fewer = resume(Some("train.max-updates=40")).output();
    let fewer = fewer.expect("bertram-cli starts");
    assert_eq!(fewer.status.code(), Some(2), "{}", stderr(&fewer));
    let said = "train.max-updates = 40 is less than the 50 updates";
    assert!(stderr(&fewer).contains(said), "{}", stderr(&fewer));
    finish(resume(Some("train.max-updates=70")));
    assert_eq!(summary(&run)["updates"], 70);
    let dev: Vec<Value> = lines(&run, "dev")
        .into_iter()
        .map(|it| it["update"].clone())
        .collect();
    assert_eq!(dev, [45, 50, 70]);
}

#[test]
fn early_stopping_goes_by_evaluations_within_epochs() {
    let dir = tempfile::tempdir().expect("temp dir");
    // A rate at which nothing changes: no evaluation is better than the first.
    let more = "early-stopping = 2\nevaluate-every = 10\nlr-schedule = \"constant\"\n";
    let sets = ["train.learning-rate=1e-12"];
    let text = stdout(&finish(train(dir.path(), "run", more, &sets)));
    assert!(
        text.contains("early stopping ended it: no better score in 2 evaluation(s)"),
        "{text}"
    );
    let run = dir.path().join("run");
    let dev: Vec<Value> = lines(&run, "dev")
        .into_iter()
        .map(|it| it["update"].clone())
        .collect();
    assert_eq!(dev, [10, 20, 30]);
    assert_eq!(summary(&run)["best_update"], 10);
    assert_eq!(summary(&run)["ended_early"], 2);
}

#[test]
fn a_card_does_not_speak_of_an_average_that_never_began() {
    let dir = tempfile::tempdir().expect("temp dir");
    let more = "early-stopping = 1\nevaluate-every = 10\naverage = \"swa\"\n";
    let card = |name: &str, sets: &[&str]| {
        finish(train(dir.path(), name, more, sets));
        let run = dir.path().join(name);
        let card = std::fs::read_to_string(run.join("model/README.md")).expect("a card");
        (summary(&run)["averaged"] == true, card)
    };
    // Nothing changes, so the second evaluation is no better, and averaging begins with the last quarter.
    let (averaged, stopped) = card("stopped", &["train.learning-rate=1e-12"]);
    assert!(
        !averaged && stopped.contains("Its weights are those in epoch 1"),
        "{stopped}"
    );
    let sets = ["train.learning-rate=1e-12", "train.average-start=0"];
    let (averaged, of_all) = card("of-all", &sets);
    assert!(
        averaged && of_all.contains("the mean of those of many updates"),
        "{of_all}"
    );
}

#[test]
fn one_part_of_dev_chooses_and_the_other_scores() {
    let dir = tempfile::tempdir().expect("temp dir");
    let sets = ["data.select-share=0.25", "train.evaluate-every=15"];
    finish(train(dir.path(), "run", "", &sets));
    let run = dir.path().join("run");
    let summary = summary(&run);
    let parts = &summary["parts"];
    assert_eq!(parts["chosen_on"]["sst"]["rows"], 10);
    assert_eq!(parts["held_out"]["sst"]["rows"], 30);
    assert!(summary["cross_selected"].is_null());
    assert_eq!(summary["dev"]["sst"]["rows"], 40);
}

#[test]
fn the_last_weights_can_be_exported_whatever_dev_says() {
    let dir = tempfile::tempdir().expect("temp dir");
    finish(train(
        dir.path(),
        "run",
        "",
        &["train.export=\"last\"", "train.evaluate-every=15"],
    ));
    let run = dir.path().join("run");
    let (summary, dev) = (summary(&run), lines(&run, "dev"));
    assert_eq!(summary["best_update"], 135);
    assert_eq!(summary["dev"]["overall"], dev[dev.len() - 1]["overall"]);
    assert_eq!(
        summary["cross_selected"]["chosen"],
        serde_json::json!([135, 135])
    );
}
