//! Files of tasks that are no presets: evaluated in place of the run's, predicted, found in folders, and checked.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use common::{bertram, copy_folder, stderr, stdout};
use serde_json::Value;

/// A finished run of the generated tasks, `own` with their files and `run`; made once, and left as it is.
static FINISHED: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("temp dir");
    finish(&mut command(
        dir.path(),
        "data demo --own-tasks own --rows 60 --dev-rows 20",
    ));
    let mut train = command(
        dir.path(),
        "train --dashboard none --config own/own-tasks.toml --out run",
    );
    for set in [
        "model.random.hidden-size=32",
        "model.random.heads=2",
        "model.random.intermediate-size=64",
        "model.random.layers=1",
        "train.epochs=1",
    ] {
        train.args(["--set", set]);
    }
    finish(&mut train);
    dir
});

fn command(dir: &Path, line: &str) -> Command {
    let mut command = bertram();
    command.current_dir(dir).args(line.split(' '));
    command
}

fn finish(command: &mut Command) -> Output {
    let output = command.output().expect("bertram-cli starts");
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    output
}

/// Runs a command that must end with exit code 2 and a message that has all of `parts`.
#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    let output = command.output().expect("bertram-cli starts");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{command:?}: no {part:?} in {text}");
    }
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        std::fs::write(path, text).expect("write");
    }
}

/// A copy of the finished run, to change.
fn finished() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temp dir");
    copy_folder(FINISHED.path(), dir.path());
    let path = dir.path().to_owned();
    (dir, path)
}

fn first_lines(path: &Path, count: usize) -> String {
    let text = std::fs::read_to_string(path).expect("a file");
    text.split_inclusive('\n').take(count).collect()
}

/// Scores of `evaluate` with further arguments.
fn scores(dir: &Path, more: &[&str]) -> Value {
    finish(command(dir, "evaluate --run run --out scores.json").args(more));
    let text = std::fs::read_to_string(dir.join("scores.json")).expect("scores");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn other_data_takes_the_place_of_files_that_the_config_names() {
    let (_guard, dir) = finished();
    let own = scores(&dir, &[]);
    let rows = |scores: &Value, task: &str| scores[task]["rows"].as_u64();
    assert_eq!(rows(&own, "nli"), Some(20));
    let kept = std::fs::read_to_string(dir.join("run/predictions/nli-dev.csv")).expect("table");

    for (task, ending) in [("nli", "csv"), ("reviews", "jsonl")] {
        let text = first_lines(&dir.join(format!("own/{task}/dev.{ending}")), 11);
        write(&dir, &[(&format!("other/{task}-dev.{ending}"), &text)]);
    }
    let table: String = (0..10)
        .map(|row| format!("a {row}\tb\t0.{row}\n"))
        .collect();
    let table = format!("left\tright\tlikeness\n{table}");
    write(&dir, &[("other/similarity-dev.tsv", &table)]);
    let other = scores(&dir, &["--data", "other"]);
    assert_eq!(
        [
            rows(&other, "nli"),
            rows(&other, "reviews"),
            rows(&other, "similarity")
        ],
        [Some(10), Some(11), Some(10)]
    );
    assert!(dir.join("run/predictions/of-other/nli-dev.csv").is_file());

    // A file by its key, alone or over the folder.
    let more = ["--set", "tasks.nli.dev=own/nli/test.csv"];
    let named = scores(&dir, &more);
    assert_eq!(rows(&named, "nli"), Some(20));
    assert!(
        dir.join("run/predictions/of-other-files/nli-dev.csv")
            .is_file()
    );
    let both = scores(&dir, &[&["--data", "other"], &more[..]].concat());
    assert_eq!(
        [rows(&both, "nli"), rows(&both, "reviews")],
        [Some(20), Some(11)]
    );

    let after = std::fs::read_to_string(dir.join("run/predictions/nli-dev.csv")).expect("table");
    assert_eq!(kept, after, "the run's own predictions stay");

    let evaluate = |more: &[&str]| {
        let mut command = command(&dir, "evaluate --run run");
        command.args(more);
        command
    };
    refused(
        &mut evaluate(&["--data", "nowhere"]),
        &["nowhere: there is no such folder"],
    );
    std::fs::remove_file(dir.join("other/nli-dev.csv")).expect("removed");
    refused(
        &mut evaluate(&["--data", "other"]),
        &[
            "other: there is no file of the dev rows of nli",
            "nli-dev or nli/dev",
            ".csv",
            "tasks.nli.dev",
        ],
    );
    refused(
        &mut evaluate(&["--data", "other", "--split", "test"]),
        &["no task has a test file", "tasks.nli.test=FILE"],
    );
    refused(
        &mut evaluate(&["--set", "tasks.nli.dev=nosuch.csv"]),
        &["nosuch.csv", "tasks.nli.dev names it"],
    );
    refused(
        &mut evaluate(&["--set", "train.epochs=3"]),
        &[
            "train.epochs cannot be set for an evaluation",
            "tasks.*.dev",
        ],
    );
}

#[test]
fn what_the_model_was_trained_on_goes_over_an_edited_config() {
    let (_guard, dir) = finished();
    let before = scores(&dir, &[]);
    let path = dir.join("run/config.toml");
    let config = std::fs::read_to_string(&path).expect("config");
    let edited = config
        .replace("\"entailment\"", "\"x\"")
        .replace("\"neutral\"", "\"entailment\"");
    assert_ne!(config, edited);
    std::fs::write(&path, edited.replace("\"x\"", "\"neutral\"")).expect("written");
    assert_eq!(scores(&dir, &[])["nli"], before["nli"]);
}

fn predict(dir: &Path, line: &str) -> Vec<Value> {
    let output = finish(&mut command(dir, &format!("predict --run run {line}")));
    stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_file_of_the_task_is_predicted_by_its_header() {
    let (_guard, dir) = finished();
    for (task, file) in [
        ("similarity", "own/similarity/test.parquet"),
        ("nli", "own/nli/test.csv"),
        ("reviews", "own/reviews/test.jsonl"),
    ] {
        let rows = predict(&dir, &format!("--task {task} --input {file}"));
        assert_eq!(rows.len(), 20, "{task}");
        for row in &rows {
            let second = row["sentence2"].as_str().unwrap_or_default();
            assert!(
                !second.contains('\t') && second != "hypothesis" && second != "right",
                "{row}"
            );
        }
    }
    write(
        &dir,
        &[
            (
                "blank.jsonl",
                "{\"review\": \"a film\"}\n\n{\"sentence\": 5}\n",
            ),
            ("table.txt", "left\tright\tlikeness\na\tb\t0.5\n"),
            ("tab.txt", "a\tb\n"),
            ("none.jsonl", ""),
            ("other.tsv", "a\tb\na man\ta dog\n"),
        ],
    );
    let rows = predict(&dir, "--task reviews --input blank.jsonl");
    assert_eq!(rows[1]["sentence"], "5");
    assert!(predict(&dir, "--task reviews --input none.jsonl").is_empty());
    let rows = predict(&dir, "--task similarity --format tsv --input table.txt");
    assert_eq!((rows.len(), rows[0]["sentence2"].as_str()), (1, Some("b")));
    let rows = predict(&dir, "--task similarity --format lines --input other.tsv");
    assert_eq!(rows.len(), 2);
    for (line, parts) in [
        (
            "--task similarity --input table.txt",
            &["table.txt, line 1: more than one tab", "--format tsv"][..],
        ),
        (
            "--task reviews --input tab.txt",
            &["tab.txt, line 1: a tab in the line"],
        ),
        (
            "--task similarity --input other.tsv",
            &["no column \"left\"", "--format lines"],
        ),
    ] {
        refused(
            &mut command(&dir, &format!("predict --run run {line}")),
            parts,
        );
    }
}

#[test]
fn a_presets_name_with_other_inputs_or_labels_takes_nothing_of_the_preset() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let validate = |set: &str, more: &[&str]| {
        let mut command = command(dir, "config validate quickstart");
        command.args(["--set", set]).args(more);
        command
    };
    for set in [
        "tasks={sst={inputs=\"pair\"}}",
        "tasks={sst={labels=[\"neg\",\"pos\"]}}",
        "tasks={sst={binary=[\"a\",\"b\"]}}",
        "tasks={sst={score=[0,1]}}",
        "tasks={para={inputs=\"single\"}}",
        "tasks={sts={score=[2,3]}}",
    ] {
        refused(
            &mut validate(set, &[]),
            &[
                "1 problem",
                ".train: is not said: with other inputs or labels this is not",
            ],
        );
    }
    refused(
        &mut validate("tasks={sst={labels=\"auto\"}}", &[]),
        &[
            "1 problem",
            "tasks.sst.labels: \"auto\" is for tasks of your own",
        ],
    );
    // Nor its files, nor its columns.
    let rows = "\tid\tsentence\tsentiment\n0\ta\ta film\t1\n1\tb\ta cat\t0\n";
    write(
        dir,
        &[
            ("course/ids-sst-train.csv", rows),
            ("course/ids-sst-dev.csv", rows),
            ("named/sst-train.csv", rows),
            ("named/sst-dev.csv", rows),
        ],
    );
    let pair = "tasks={sst={inputs=\"pair\", labels=[\"0\",\"1\"]}}";
    refused(
        &mut validate(pair, &["--data", "course"]),
        &["no file of the train rows of sst", "sst-train"],
    );
    refused(
        &mut validate(pair, &["--data", "named"]),
        &["no column \"sentence1\", no column \"sentence2\"", "text-b"],
    );
    // Other names for the same labels leave it what it is.
    finish(&mut validate(
        "tasks={sst={labels=[\"a\",\"b\",\"c\",\"d\",\"e\"]}}",
        &["--data", "course"],
    ));
}

/// Writes a config with one task of single sentences and checks it; rows are `LABEL`s.
fn check(dir: &Path, keys: &str, train: &[&str], dev: &[&str]) -> Output {
    let rows = |labels: &[&str]| {
        labels
            .iter()
            .enumerate()
            .fold("text,label\n".to_owned(), |text, (row, label)| {
                format!("{text}film {row},{label}\n")
            })
    };
    write(
        dir,
        &[
            ("train.csv", &rows(train)),
            ("dev.csv", &rows(dev)),
            (
                "c.toml",
                &format!(
                    "[baseline]\n[tasks.mine]\ninputs = \"single\"\ntrain = \"train.csv\"\ndev = \"dev.csv\"\n{keys}\n"
                ),
            ),
        ],
    );
    let output = command(dir, "train --dashboard none --config c.toml --out run").output();
    output.expect("starts")
}

#[test]
fn training_rows_say_what_numbers_mean_in_all_files() {
    let named = "labels = [\"bad\", \"ok\", \"good\"]";
    let fresh = || tempfile::tempdir().expect("temp dir");
    let dir = fresh();
    // The dev file alone would leave it open.
    let output = check(dir.path(), named, &["1", "2", "3", "1"], &["1", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("counted from 1: 1 is \"bad\""),
        "{}",
        stderr(&output)
    );
    let config = std::fs::read_to_string(dir.path().join("run/config.toml")).expect("config");
    assert!(config.contains("label-numbers = \"from-1\""), "{config}");
    let table =
        std::fs::read_to_string(dir.path().join("run/predictions/mine-dev.csv")).expect("table");
    assert!(
        table.contains("2,bad,") && table.contains("3,ok,"),
        "{table}"
    );

    let skip = format!("{named}\n[data]\nbad-rows = \"skip\"");
    for (keys, train, dev, parts) in [
        (
            named,
            &["1", "2"][..],
            &["1"][..],
            &["train.csv", "label-numbers"][..],
        ),
        // Counted from 0 here, and from 1 there.
        (
            named,
            &["0", "1", "2"],
            &["1", "3"],
            &["dev.csv: labels are numbers", "found in the training rows"],
        ),
        (
            &skip,
            &["0", "1", "7"],
            &["1"],
            &["train.csv: labels are numbers from 0 (line 2) to 7 (line 4)"],
        ),
        (
            "labels = \"auto\"",
            &["x", "y", "x"],
            &["0", "1"],
            &["label \"0\" is none of \"x\", \"y\"", "training rows"],
        ),
        (
            "labels = \"auto\"",
            &["x", "y", "x"],
            &["z"],
            &["tasks.mine.labels = [\"x\", \"y\", \"z\"]"],
        ),
    ] {
        let dir = fresh();
        let output = check(dir.path(), keys, train, dev);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{keys}: {text}");
        for part in parts {
            assert!(text.contains(part), "{keys}: no {part:?} in {text}");
        }
    }
    let said = format!("{named}\nlabel-numbers = \"from-0\"");
    let output = check(fresh().path(), &said, &["1", "2"], &["1"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn class_weights_by_frequency_are_those_of_the_training_rows() {
    let dir = tempfile::tempdir().expect("temp dir");
    let keys = |labels: &str| format!("labels = {labels}\nclass-weights = \"inverse-frequency\"");
    for labels in ["[\"x\", \"y\"]", "\"auto\""] {
        let _ = std::fs::remove_dir_all(dir.path().join("run"));
        let output = check(dir.path(), &keys(labels), &["x", "y", "x"], &["y"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let config = std::fs::read_to_string(dir.path().join("run/config.toml")).expect("config");
        assert!(config.contains("class-weights = [0.75, 1.5]"), "{config}");
    }
    let _ = std::fs::remove_dir_all(dir.path().join("run"));
    let output = check(
        dir.path(),
        &keys("[\"x\", \"y\", \"z\"]"),
        &["x", "y", "x"],
        &["y"],
    );
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in [
        "train.csv: no training row has the label \"z\"",
        "tasks.mine.class-weights = [...]",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn labels_from_the_training_rows_are_looked_at() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (labels, parts) in [
        (
            &["Yes", "yes", "No"][..],
            &["\"Yes\" and \"yes\"", "tasks.mine.labels"][..],
        ),
        (&["1", "1.0", "2"], &["\"1\" and \"1.0\""]),
        (
            &["0.5", "1.5", "2"],
            &["tasks.mine.score = [LOWEST, HIGHEST]"],
        ),
    ] {
        let _ = std::fs::remove_dir_all(dir.path().join("run"));
        let output = check(dir.path(), "labels = \"auto\"", labels, labels);
        let text = stderr(&output);
        assert!(output.status.success(), "{text}");
        for part in parts {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }
    // What is wrong with the file is said, and not that labels are missing.
    let config = "[tasks.mine]\ninputs = \"single\"\nlabels = \"auto\"\ntrain = \"t.csv\"\n";
    write(dir.path(), &[("d.toml", config)]);
    for (bytes, parts) in [
        (
            &b"text,label\ncaf\xE9,x\nb,y\n"[..],
            &["line 2: broken UTF-8", "data.bad-rows"][..],
        ),
        (b"text,label\n", &["there are no rows in it"]),
        (b"text,label\na,x\n", &["1 label in 1 row,"]),
    ] {
        std::fs::write(dir.path().join("t.csv"), bytes).expect("written");
        refused(&mut command(dir.path(), "config validate d.toml"), parts);
    }
}

#[test]
fn a_data_folder_is_searched_for_every_ending_and_a_doubt_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let json = "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n";
    let csv = "text,label\na,x\nb,y\n";
    write(
        dir,
        &[
            (
                "f.toml",
                "[tasks.mine]\ninputs = \"single\"\nlabels = [\"x\", \"y\"]\n",
            ),
            ("one/mine-train.ndjson", json),
            ("one/mine/dev.json", json),
            ("said/mine/train.csv", csv),
            ("said/mine/dev.csv", csv),
            ("two/mine-train.csv", csv),
            ("two/mine-train.tsv", csv),
            ("two/mine-dev.csv", csv),
            ("none/readme.txt", ""),
        ],
    );
    let validate = |data: &str, more: &[&str]| {
        let mut command = command(dir, "config validate f.toml --data");
        command.arg(data).args(more);
        command
    };
    finish(&mut validate("one", &[]));
    finish(&mut validate("said", &["--set", "tasks.mine.format=csv"]));
    finish(&mut validate("two", &["--set", "tasks.mine.format=csv"]));
    refused(
        &mut validate("two", &[]),
        &["mine-train.csv, mine-train.tsv", "tasks.mine.train"],
    );
    refused(
        &mut validate("none", &[]),
        &["mine-train or mine/train", ".jsonl", ".gz"],
    );
}

#[test]
fn config_validate_reads_the_files_that_a_config_names() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let csv = "text,label\na,x\nb,y\n";
    let task = "[tasks.mine]\ninputs = \"single\"\nlabels = [\"x\", \"y\"]\ntrain = \"train.csv\"\ndev = \"dev.csv\"\n";
    write(
        dir,
        &[
            ("c.toml", task),
            (
                "hub.toml",
                &format!("[model]\npath = \"somebody/some-model\"\n{task}"),
            ),
            ("train.csv", csv),
        ],
    );
    refused(
        &mut command(dir, "config validate c.toml"),
        &["dev.csv: No such file", "tasks.mine.dev names it"],
    );
    write(dir, &[("dev.csv", csv)]);
    let output = finish(&mut command(dir, "config validate c.toml hub.toml"));
    let text = stdout(&output);
    assert!(
        text.contains("c.toml: ok, as far as the first batch"),
        "{text}"
    );
    assert!(
        text.contains("hub.toml: ok, as far as its data goes (mine: 2 train, 2 dev rows)"),
        "{text}"
    );
}
