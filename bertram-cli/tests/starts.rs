//! Runs that were stopped while they began: each can be gone on with, or begun under its name.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, newest_checkpoint, stderr};

const SMALL: [&str; 10] = [
    "data.demo.sst=40",
    "data.demo.para=40",
    "data.demo.sts=40",
    "data.demo.dev=20",
    "model.random.hidden-size=16",
    "model.random.intermediate-size=32",
    "train.epochs=1",
    "train.batch-size=8",
    // They are trained longer.
    "train.keep-training-state=true",
    "train.kernels=fused",
];

fn train(dir: &Path, args: &[&str], sets: &[&str]) -> Output {
    let mut command = bertram();
    command.current_dir(dir).arg("train").args(args);
    command.args(["--dashboard", "none"]);
    for set in sets {
        command.args(["--set", set]);
    }
    command.output().expect("bertram-cli starts")
}

fn ok(output: &Output) -> String {
    let text = stderr(output);
    assert!(output.status.success(), "{text}");
    text
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_run_without_a_whole_checkpoint_begins_anew_from_its_config() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    ok(&train(dir, &["--out", "whole"], &SMALL));
    // With and without run.json: the config is written first.
    for (name, files) in [
        ("early", &["config.toml"][..]),
        ("late", &["config.toml", "run.json"]),
    ] {
        let run = dir.join(name);
        let partial = run.join("checkpoints/update-00000000.partial");
        std::fs::create_dir_all(&partial).expect("folder");
        std::fs::write(partial.join("model.safetensors"), "half").expect("write");
        std::fs::write(run.join(".partial-a1b2c3"), "half").expect("write");
        std::fs::create_dir_all(run.join("model/sst")).expect("folder");
        std::fs::write(run.join("model/sst/.partial-d4e5f6"), "half").expect("write");
        for file in files {
            std::fs::copy(dir.join("whole").join(file), run.join(file)).expect("copy");
        }
        let text = ok(&train(dir, &["--resume", name], &[]));
        assert!(text.contains("begins anew"), "{text}");
        for file in ["model/model.safetensors", "model/heads.safetensors"] {
            assert!(
                bytes(&run.join(file)) == bytes(&dir.join("whole").join(file)),
                "{file}"
            );
        }
        for left in [
            "checkpoints/update-00000000.partial",
            ".partial-a1b2c3",
            "model/sst/.partial-d4e5f6",
        ] {
            assert!(!run.join(left).exists(), "{left}");
        }
    }
    // What may not change in a run may not change here.
    let late = dir.join("late");
    std::fs::remove_dir_all(late.join("checkpoints")).expect("remove");
    std::fs::remove_file(late.join("summary.json")).expect("remove");
    let output = train(dir, &["--resume", "late"], &["train.seed=5"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(late.join("config.toml").is_file(), "what there is stays");
}

#[test]
fn a_folder_with_nothing_but_the_first_files_of_a_start_is_begun_in() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let run = dir.join("run");
    std::fs::create_dir(&run).expect("folder");
    for name in [".lock", "train.log", ".partial-a1b2c3"] {
        std::fs::write(run.join(name), "").expect("write");
    }
    let output = train(dir, &["--resume", "run"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    ok(&train(dir, &["--out", "run"], &SMALL));
    assert!(run.join("summary.json").is_file());

    std::fs::write(dir.join("file"), "mine").expect("write");
    let output = train(dir, &["--out", "file"], &SMALL);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(bytes(&dir.join("file")), b"mine");
}

#[test]
fn experiments_go_on_with_runs_that_were_stopped_while_they_began() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    std::fs::create_dir(dir.join("mine")).expect("folder");
    std::fs::write(dir.join("mine/one.toml"), "[tasks.sst]\n").expect("write");
    let experiments = || {
        let mut command = bertram();
        command
            .current_dir(dir)
            .args(["experiments", "run", "--configs", "mine", "--out", "grid"]);
        for set in SMALL {
            command.args(["--set", set]);
        }
        command.output().expect("starts")
    };
    ok(&experiments());
    let run = dir.join("grid/one-seed11711");
    let before = bytes(&run.join("model/model.safetensors"));
    for entry in ["model", "predictions"] {
        std::fs::remove_dir_all(run.join(entry)).expect("remove");
    }
    std::fs::remove_file(run.join("summary.json")).expect("remove");
    std::fs::create_dir_all(run.join("checkpoints/update-00000000.partial")).expect("folder");
    ok(&experiments());
    assert!(bytes(&run.join("model/model.safetensors")) == before);
}

#[test]
fn a_run_goes_on_as_what_it_is_or_says_what_is_different() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    ok(&train(dir, &["--out", "run"], &SMALL));
    let edit = |file: &str, from: &str, to: &str| {
        let path = dir.join("run").join(file);
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&path, text.replace(from, to)).expect("write");
    };
    let resume = || train(dir, &["--resume", "run"], &["train.epochs=2"]);
    let refused = |output: &Output| {
        let text = stderr(output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        text
    };

    edit("config.toml", "batch-size = 8", "batch-size = 16");
    let text = refused(&resume());
    assert!(
        text.contains("train.batch-size is 16 and was 8") && text.contains("config.toml"),
        "{text}"
    );
    edit("config.toml", "batch-size = 16", "batch-size = 8");

    edit(
        "run.json",
        "\"backend\": \"flex\"",
        "\"backend\": \"abacus\"",
    );
    let text = refused(&resume());
    assert!(
        text.contains("abacus") && text.contains("--backend"),
        "{text}"
    );
    edit(
        "run.json",
        "\"backend\": \"abacus\"",
        "\"backend\": \"flex\"",
    );

    let newest = newest_checkpoint(&dir.join("run"));
    let state = newest.join("state.json");
    let whole = bytes(&state);
    let mut value: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    std::fs::write(&state, value.to_string()).expect("write");
    let text = refused(&resume());
    assert!(
        text.contains("state.json") && text.contains("is not what was written"),
        "{text}"
    );
    // Checkpoints of 0.1.0 say no hashes.
    std::fs::remove_file(newest.join("SHA256SUMS")).expect("remove");
    value["optimizer_steps"] = serde_json::json!([]);
    std::fs::write(&state, value.to_string()).expect("write");
    let text = refused(&resume());
    assert!(text.contains("step counts of 0 parameters"), "{text}");
    std::fs::write(&state, &whole).expect("write");

    edit("run.json", "\"bertram\": \"", "\"bertram\": \"0.0.");
    let text = ok(&resume());
    assert!(
        text.contains("this run was begun with bertram 0.0."),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_was_there_stays_when_a_run_cannot_begin() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    for name in ["empty", "real"] {
        std::fs::create_dir(dir.join(name)).expect("folder");
    }
    std::os::unix::fs::symlink("real", dir.join("link")).expect("link");
    let sets = [
        &SMALL[..],
        &["train.epochs=0", "tasks.sst.train=nowhere.csv"],
    ]
    .concat();
    for out in ["empty", "link", "new"] {
        let output = train(dir, &["--out", out], &sets);
        assert_eq!(output.status.code(), Some(2), "{out}: {}", stderr(&output));
    }
    let output = train(&dir.join("real"), &["--out", "."], &sets);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        !stderr(&output).contains("could not"),
        "{}",
        stderr(&output)
    );
    assert!(!dir.join("new").exists());
    let link = dir.join("link").symlink_metadata().expect("is there");
    assert!(link.is_symlink());
    for name in ["empty", "real"] {
        let mut left = std::fs::read_dir(dir.join(name)).expect("is there");
        assert!(left.next().is_none(), "nothing is left in {name}");
    }
}
