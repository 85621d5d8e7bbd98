//! What a run says of its time, what it leaves out when asked to, and what it writes beside `metrics.jsonl`.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, finish, stderr, stdout, summary, with_sets};
use serde_json::Value;

fn train(dir: &Path, out: &str, args: &[&str], sets: &[&str]) -> Output {
    let mut command = bertram();
    command.current_dir(dir).args(["train", "--out", out]);
    command.args(args);
    let small = [
        "data.demo.sst=60",
        "data.demo.para=60",
        "data.demo.sts=60",
        "data.demo.dev=30",
        "model.random.hidden-size=16",
        "model.random.intermediate-size=32",
        "train.epochs=2",
        "train.log-every=3",
    ];
    finish(with_sets(&mut command, small.iter().chain(sets)))
}

#[test]
fn all_time_of_a_run_is_counted_and_lines_fit() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let output = train(
        dir,
        "run",
        &["--dashboard", "plain"],
        &["logging.tensorboard=true"],
    );
    let summary = summary(&dir.join("run"));
    let wall = summary["wall_seconds"].as_f64().expect("a number");
    let phases = summary["phase_seconds"].as_object().expect("by phase");
    let sum: f64 = phases.values().filter_map(Value::as_f64).sum();
    assert!((sum - wall).abs() <= 0.02 * wall, "{sum} of {wall}");
    for phase in [
        "reading",
        "tokenizing",
        "importing",
        "training",
        "evaluating",
        "checkpointing",
        "predicting",
        "exporting",
    ] {
        assert!(phases.contains_key(phase), "{phase} in {phases:?}");
    }

    let text = stderr(&output);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("epoch "))
        .collect();
    for line in &lines {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let dev = lines.iter().filter(|line| line.contains("  dev overall "));
    assert_eq!(dev.count(), 2, "{text}");
    assert!(
        lines[0].contains("tok/s  left ") && lines[0].contains("  loss sst "),
        "{text}"
    );

    // The last lines say what there is to do with it, and one of them does it.
    let text = stdout(&output);
    let (_, next) = text.split_once("next:\n").expect("what is next");
    let evaluate = next.lines().find(|line| line.contains(" evaluate "));
    let mut words = evaluate.expect("a command").split_whitespace();
    assert_eq!(words.next(), Some("bertram-cli"));
    let evaluated = bertram().current_dir(dir).args(words).output();
    assert!(evaluated.expect("starts").status.success());

    let events = std::fs::read_dir(dir.join("run/tensorboard")).expect("a folder");
    let events: Vec<_> = events.flatten().map(|entry| entry.path()).collect();
    assert_eq!(events.len(), 1);
    let bytes = std::fs::read(&events[0]).expect("events");
    for tag in ["train/loss/sst", "dev/overall", "dev/sst/confusion"] {
        let tag = tag.as_bytes();
        let there = bytes.windows(tag.len()).any(|window| window == tag);
        assert!(there, "{}", String::from_utf8_lossy(tag));
    }
}

#[test]
fn a_quiet_run_prints_its_table_alone() {
    let dir = tempfile::tempdir().expect("temp dir");
    let output = train(dir.path(), "run", &["-q"], &[]);
    assert_eq!(stderr(&output), "");
    assert!(stdout(&output).contains("overall"));
}

#[test]
fn test_rows_are_predicted_as_far_as_is_asked_for() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let predictions = |run: &str, name: &str| dir.join(run).join("predictions").join(name);
    train(dir, "none", &["-q", "--no-test"], &[]);
    for name in ["sst-test.csv", "sst-test-output.csv"] {
        assert!(!predictions("none", name).exists(), "{name}");
    }
    assert!(predictions("none", "sst-dev-output.csv").exists());

    train(dir, "some", &["-q"], &["data.test-limit=7"]);
    let table = std::fs::read_to_string(predictions("some", "sst-test.csv")).expect("a table");
    assert_eq!(table.lines().count(), 8, "a header and seven rows");
    assert!(
        !predictions("some", "sst-test-output.csv").exists(),
        "a leaderboard wants them all"
    );

    // All of them, whenever they are asked for.
    let mut evaluate = bertram();
    evaluate.current_dir(dir);
    evaluate.args(["evaluate", "--run", "some", "--split", "test"]);
    assert!(evaluate.output().expect("starts").status.success());
    let table = std::fs::read_to_string(predictions("some", "sst-test.csv")).expect("a table");
    assert!(table.lines().count() > 8);
    assert!(predictions("some", "sst-test-output.csv").exists());
}

/// Nothing tells one epoch from another there, and the last has learned most.
#[test]
fn without_dev_rows_the_last_epoch_is_the_run_s() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let rows: String = (0..40)
        .map(|row| format!("text {row} of it,{}\n", ["x", "y"][row % 2]))
        .collect();
    std::fs::write(dir.join("own.csv"), format!("text,label\n{rows}")).expect("write");
    std::fs::write(
        dir.join("own.toml"),
        "[tasks.own]\ninputs = \"single\"\nlabels = [\"x\", \"y\"]\ntrain = \"own.csv\"\ncolumns = { text = \"text\", label = \"label\" }\n[train]\nlr-schedule = \"constant\"\nwarmup = 0\nlearning-rate = 1e-3\n",
    )
    .expect("write");
    let run = |out: &str, epochs: &str| {
        let mut command = bertram();
        command
            .current_dir(dir)
            .args(["train", "--config", "own.toml", "--out", out]);
        for set in [
            "model.random.hidden-size=16",
            "model.random.intermediate-size=32",
            epochs,
        ] {
            command.args(["--set", set]);
        }
        let output = command.output().expect("starts");
        assert!(output.status.success(), "{}", stderr(&output));
        (stdout(&output), stderr(&output))
    };
    run("one", "train.epochs=1");
    let (said, lines) = run("three", "train.epochs=3");
    assert!(
        said.contains("the model is that of the last epoch, 3") && !said.contains("was best"),
        "{said}"
    );
    assert!(!lines.contains("dev overall"), "{lines}");
    // There are no test rows to advise of.
    assert!(
        said.contains("--split dev") && !said.contains("--split test"),
        "{said}"
    );
    let model = |run: &str| std::fs::read(dir.join(run).join("model/model.safetensors"));
    assert!(model("one").expect("a model") != model("three").expect("a model"));
    assert_eq!(summary(&dir.join("three"))["best_epoch"], 3);
}
