//! Data files on their way through a run: what is checked before the first update, and what the predictions hold.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, stderr, stdout};

/// Runs in a folder with a data folder `data` of one task, on a model small enough for a test.
fn run(folder: &Path, command: &str, task: &str, more: &[&str]) -> Output {
    let mut args: Vec<&str> = command.split(' ').collect();
    let tasks = format!("tasks={{{task}={{}}}}");
    if !task.is_empty() {
        args.extend(["--set", &tasks]);
        for setting in [
            "model.random.hidden-size=16",
            "model.random.intermediate-size=16",
            "data.max-length=24",
            "train.epochs=1",
            "train.batch-size=4",
        ] {
            args.extend(["--set", setting]);
        }
    }
    args.extend(more);
    bertram()
        .current_dir(folder)
        .args(args)
        .output()
        .expect("bertram-cli starts")
}

const TRAIN: &str = "train --data data --dashboard none --out run";

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join("data").join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        std::fs::write(path, text).expect("write");
    }
}

/// Rows of the course's sentiment format.
fn sentiment(rows: usize) -> String {
    (0..rows).fold(String::from("\tid\tsentence\tsentiment\n"), |text, row| {
        format!("{text}{row}\tid{row}\tthe film {row}\t{}\n", row % 5)
    })
}

/// GLUE's rows of paraphrases.
fn questions(rows: usize) -> String {
    (0..rows).fold(
        String::from("id\tquestion1\tquestion2\tis_duplicate\n"),
        |text, row| {
            format!(
                "{text}{row}\twhat is {row} ?\thow is {row} ?\t{}\n",
                row % 2
            )
        },
    )
}

fn sentiment_data(folder: &Path, test: &str) {
    write(
        folder,
        &[
            ("ids-sst-train.csv", &sentiment(12)),
            ("ids-sst-dev.csv", &sentiment(8)),
            ("ids-sst-test-student.csv", test),
        ],
    );
}

fn predictions(folder: &Path, name: &str) -> Vec<String> {
    let path = folder.join("run/predictions").join(name);
    let text = std::fs::read_to_string(path).expect("predictions");
    text.lines().skip(1).map(str::to_owned).collect()
}

#[track_caller]
fn assert_refused(output: &Output, folder: &Path, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!folder.join("run").exists(), "no run folder is left");
}

#[test]
fn a_test_file_is_checked_before_the_first_update() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    sentiment_data(
        folder,
        "\tid\tsentence\n0\tt0\ta film\n1\tt1\t\n2\tt2\ta cat\n",
    );
    let output = run(folder, TRAIN, "sst", &[]);
    assert_refused(
        &output,
        folder,
        &["ids-sst-test-student.csv: 1 bad row", "line 3: no sentence"],
    );
    let misspelt = ["--set", "tasks.sst.test=data/no-such.csv"];
    let output = run(folder, TRAIN, "sst", &misspelt);
    assert_refused(&output, folder, &["no-such.csv"]);
}

#[test]
fn minus_one_in_a_test_file_is_no_label() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    sentiment_data(
        folder,
        "\tid\tsentence\tsentiment\n0\tt0\ta film\t-1\n1\tt1\ta dog\t-1\n2\tt2\ta cat\t-1\n",
    );
    let output = run(folder, TRAIN, "sst", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(predictions(folder, "sst-test-output.csv").len(), 3);
    // The run has noted the file from the start, and as it is at the end.
    let read = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(folder.join("run").join(name)).expect(name);
        serde_json::from_str(&text).expect("JSON")
    };
    let (info, summary) = (read("run.json"), read("summary.json"));
    assert_eq!(info["data"], summary["data"]);
    let splits: Vec<_> = info["data"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| &file["split"])
        .collect();
    assert_eq!(splits, ["train", "dev", "test"]);
    let output = run(folder, "evaluate --run run --split test", "", &[]);
    assert!(
        stdout(&output).contains("has no labels"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn bad_rows_of_a_test_file_keep_their_places_and_count_in_no_score() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    let good = questions(7);
    let with_bad = good
        .replace("4\twhat is 4 ?\thow is 4 ?\t0", "4\tone field only")
        .replace("6\twhat is 6 ?", "6\t");
    write(
        folder,
        &[
            ("QQP/train.tsv", &questions(12)),
            ("QQP/dev.tsv", &questions(8)),
            ("QQP/test.tsv", &with_bad),
        ],
    );
    let glue = ["--set", "data.format=glue"];
    let output = run(folder, TRAIN, "para", &glue);
    assert_refused(
        &output,
        folder,
        &[
            "2 bad rows",
            "line 6: 2 columns",
            "line 8: no first sentence",
        ],
    );

    let skip = [&glue[..], &["--set", "data.bad-rows=skip"]].concat();
    let output = run(folder, TRAIN, "para", &skip);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output).matches("kept in the predictions").count(),
        1,
        "{}",
        stderr(&output)
    );
    let rows = predictions(folder, "para-test-output.csv");
    let ids: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split(' ').next())
        .collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(
        (rows[4].as_str(), rows[6].as_str()),
        ("4 , 0.0 ", "6 , 0.0 ")
    );

    std::fs::remove_dir_all(folder.join("run/predictions")).expect("remove");
    let scores = |out: &str| -> serde_json::Value {
        let evaluate = format!("evaluate --run run --split test --out {out}");
        let output = run(folder, &evaluate, "", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&std::fs::read(folder.join(out)).expect("scores")).expect("JSON")
    };
    let with_bad = scores("bad.json");
    assert_eq!(predictions(folder, "para-test-output.csv"), rows);
    // The same file without the two rows.
    let lines = good.lines().filter(|line| !line.starts_with(['4', '6']));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    write(folder, &[("QQP/test.tsv", &without)]);
    assert_eq!(scores("without.json"), with_bad);
    // Other data than the run's: its own predictions stay.
    assert_eq!(predictions(folder, "of-data/para-test-output.csv").len(), 5);
    assert_eq!(predictions(folder, "para-test-output.csv"), rows);
}

#[test]
fn what_is_odd_about_a_file_is_said_once() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    sentiment_data(folder, "\tid\tsentence\n0\tt0\t\"a\nfilm\"\n1\tt1\ta dog\n");
    let output = run(folder, TRAIN, "sst", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    assert_eq!(
        text.matches("a quoted field opens in line 2").count(),
        1,
        "{text}"
    );
}

#[test]
fn config_validate_goes_as_far_as_the_first_batch() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    let test = "\tid\tsentence\n0\tt0\ta film\n1\tt1\ta cat\n";
    sentiment_data(folder, test);
    std::fs::write(folder.join("sst.toml"), "[tasks.sst]\n").expect("config");
    std::fs::write(folder.join("all.toml"), "[train]\nepochs = 1\n").expect("config");
    std::fs::write(folder.join("constant.toml"), "[baseline]\n[tasks.sst]\n").expect("config");

    let output = run(folder, "config validate sst.toml", "", &[]);
    assert_eq!(stdout(&output), "sst.toml: ok\n");

    // The other file has tasks without data.
    let output = run(
        folder,
        "config validate --data data all.toml sst.toml constant.toml",
        "",
        &[],
    );
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("quora-train.csv"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        stdout(&output),
        "sst.toml: ok, as far as the first batch of each task (sst: 12 train, 8 dev, 2 test rows)\n\
         constant.toml: ok, as far as a baseline goes (sst: 8 dev, 2 test rows)\n"
    );

    // A model to begin with.
    let output = run(folder, TRAIN, "sst", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let validate = "config validate --data data --model run/model sst.toml";
    let output = run(folder, validate, "", &["--set", "data.max-length=64"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = run(folder, validate, "", &["--set", "data.max-length=500"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("data.max-length = 500"),
        "{}",
        stderr(&output)
    );

    sentiment_data(folder, &test.replace("a film", ""));
    let output = run(folder, validate, "", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("line 2: no sentence"),
        "{}",
        stderr(&output)
    );
    let left: Vec<_> = std::fs::read_dir(folder)
        .expect("folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len(), 5, "nothing is written: {left:?}");
}

#[test]
fn a_run_ends_on_the_rows_it_began_with() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    let test = "\tid\tsentence\n0\tt0\ta film\n1\tt1\ta cat\n";
    sentiment_data(folder, test);
    let output = run(
        folder,
        TRAIN,
        "sst",
        &["--set", "train.keep-training-state=true"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    // As if it had been stopped before its end.
    std::fs::remove_file(folder.join("run/summary.json")).expect("remove");
    sentiment_data(folder, &test.replace("cat", "dog"));
    let resume = "train --resume run --dashboard none";
    let output = run(folder, resume, "", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("ids-sst-test-student.csv is not what the run was begun with"),
        "{}",
        stderr(&output)
    );
    sentiment_data(folder, test);
    let output = run(folder, resume, "", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn nothing_to_train_on_is_said_at_once() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    sentiment_data(folder, "\tid\tsentence\n0\tt0\ta film\n");
    let train = "train --dashboard none --out run";
    let dev = ["--set", "tasks.sst.dev=data/ids-sst-dev.csv"];
    let output = run(folder, train, "sst", &dev);
    assert!(!output.status.success());
    assert!(!folder.join("run").exists(), "no run folder is left");
}

#[test]
fn sentences_with_a_mark_and_with_broken_bytes() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    sentiment_data(folder, "\tid\tsentence\n0\tt0\ta film\n");
    let output = run(folder, TRAIN, "sst", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::write(folder.join("mark.txt"), b"\xEF\xBB\xBFa film\r\n\na cat").expect("write");
    std::fs::write(folder.join("broken.txt"), b"a film\na caf\xE9\n").expect("write");
    std::fs::write(
        folder.join("mark.jsonl"),
        b"\xEF\xBB\xBF{\"sentence\": \"a film\"}\n",
    )
    .expect("write");
    let wide: Vec<u8> = "\u{FEFF}a film\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(folder.join("wide.txt"), wide).expect("write");
    let sentences = |output: &Output, key: &str| -> Vec<String> {
        assert!(output.status.success(), "{}", stderr(output));
        let lines = stdout(output);
        lines
            .lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
                // What `predict` says of an empty line.
                let none = value.is_null().then_some("");
                none.or(value[key].as_str()).expect("text").to_owned()
            })
            .collect()
    };
    for (command, key) in [
        ("encode --model run --input", "text"),
        ("predict --run run --task sst --input", "sentence"),
    ] {
        let output = run(folder, &format!("{command} mark.txt"), "", &[]);
        assert_eq!(sentences(&output, key), ["a film", "", "a cat"]);
        for (file, message) in [
            ("broken.txt", "broken.txt: line 2: broken UTF-8 at byte 5"),
            ("wide.txt", "wide.txt: it looks like UTF-16"),
        ] {
            let output = run(folder, &format!("{command} {file}"), "", &[]);
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            assert!(stderr(&output).contains(message), "{}", stderr(&output));
        }
    }
    let predict = "predict --run run --task sst --format json-lines --input mark.jsonl";
    assert_eq!(
        sentences(&run(folder, predict, "", &[]), "sentence"),
        ["a film"]
    );
}
