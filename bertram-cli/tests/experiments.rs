//! `experiments`: the grid of Table 1 on the demo corpus, a killed runner, ablations.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{bertram, finish, stderr, stdout, summary};

/// A model and a corpus of a few seconds.
const TINY: &[&str] = &[
    "--epochs",
    "1",
    "--set",
    "model.random.hidden-size=16",
    "--set",
    "model.random.heads=2",
    "--set",
    "model.random.intermediate-size=32",
    "--set",
    "model.random.vocab-size=300",
    "--set",
    "data.demo.sst=48",
    "--set",
    "data.demo.para=48",
    "--set",
    "data.demo.sts=32",
    "--set",
    "data.demo.dev=24",
];

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn experiments(what: &str, out: &Path) -> Command {
    let mut command = bertram();
    command.args(["experiments", what]);
    command.arg("--out").arg(out).args(TINY);
    command
}

fn run(out: &Path) -> Command {
    let mut command = experiments("run", out);
    command.arg("--configs").arg(configs().join("experiments"));
    command
}

#[test]
fn all_fourteen_run_on_the_demo_corpus_and_are_reported() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("runs");
    finish(run(&out));
    for number in 1..=14 {
        let folder = out.join(format!("e{number:02}-seed11711"));
        let summary = summary(&folder);
        for task in ["sst", "para", "sts"] {
            assert!(
                summary["dev"][task]["rows"] == 24,
                "e{number:02} scores {task}: {summary}"
            );
            assert!(
                folder
                    .join(format!("predictions/{task}-test-output.csv"))
                    .is_file(),
                "e{number:02} predicts the test rows of {task}"
            );
        }
    }
    // Nothing is made twice.
    let before = std::fs::metadata(out.join("e04-seed11711/summary.json")).expect("summary");
    let again = finish(run(&out));
    assert!(
        stderr(&again).contains("14 of 14 runs are done"),
        "{}",
        stderr(&again)
    );
    let after = std::fs::metadata(out.join("e04-seed11711/summary.json")).expect("summary");
    assert_eq!(
        before.modified().expect("time"),
        after.modified().expect("time")
    );

    // What was made with other settings is not taken for what is asked for now.
    let mut other = run(&out);
    other.args(["--only", "e04", "--set", "train.batch-size=4"]);
    let output = other.output().expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("other settings (there: batch-size = 8; now: batch-size = 4)"),
        "{}",
        stderr(&output)
    );

    let page = dir.path().join("report.html");
    let mut report = bertram();
    report.arg("report").arg(&out).arg("--out").arg(&page);
    finish(report);
    let page = std::fs::read_to_string(&page).expect("report");
    for id in ["e01", "e14", "lowest score last"] {
        assert!(page.contains(id), "{id} is in the report");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_runner_goes_on_and_a_failed_run_stops_nobody() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("runs");
    let command = |out: &Path| {
        let mut command = run(out);
        command.args(["--only", "e02,e04,e05", "--set", "data.demo.sst=400"]);
        command
    };
    let mut runner = command(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bertram-cli starts");
    let first = out.join("e02-seed11711/summary.json");
    let begun = Instant::now();
    while !first.is_file() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no first run");
        std::thread::sleep(Duration::from_millis(10));
    }
    runner.kill().expect("SIGKILL");
    runner.wait().expect("it ends");
    let written = std::fs::metadata(&first)
        .expect("summary")
        .modified()
        .expect("time");
    // The runner's death leaves a run at work; a new runner waits for it or goes on with it, and repeats nothing.
    finish(command(&out));
    let now = std::fs::metadata(&first)
        .expect("summary")
        .modified()
        .expect("time");
    assert_eq!(written, now);
    for id in ["e04", "e05"] {
        summary(&out.join(format!("{id}-seed11711")));
    }

    // A run that cannot begin is reported, and the others are made.
    let other = dir.path().join("other");
    std::fs::create_dir_all(other.join("e02-seed11711/summary.json.d")).expect("folder");
    let mut failing = command(&other);
    failing.args(["--set", "tasks.sts.dev=/nowhere/sts.csv"]);
    let output = failing.output().expect("starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("/nowhere/sts.csv"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("3 of 3 runs failed"),
        "{}",
        stderr(&output)
    );
    assert!(
        other.join("e02-seed11711.broken-1").is_dir(),
        "set aside, not deleted"
    );
}

#[test]
fn an_ablation_gives_effects() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("runs");
    let mut ablate = experiments("ablate", &out);
    ablate
        .arg("--config")
        .arg(configs().join("experiments/e11.toml"));
    ablate.args([
        "--factors",
        "smart,order=fixed+rotating",
        "--seeds",
        "2",
        "--jobs",
        "2",
    ]);
    finish(ablate);
    for folder in [
        "smart=off,order=fixed-seed11711",
        "smart=on,order=rotating-seed11712",
    ] {
        summary(&out.join(folder));
    }
    let mut report = bertram();
    report
        .arg("report")
        .arg(&out)
        .args(["--format", "markdown"]);
    let text = stdout(&finish(report));
    for word in [
        "smart",
        "order",
        "on vs off",
        "| no change: smart=off,order=fixed |",
        "| smart+rotating: ",
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    // The config is the paper's e11; the cells are not.
    assert!(!text.contains("Beside the paper"), "{text}");

    let mut wrong = experiments("ablate", &out);
    wrong
        .arg("--config")
        .arg(configs().join("experiments/e11.toml"));
    wrong.args(["--factors", "smrt"]);
    let output = wrong.output().expect("starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--factors smrt: unknown"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_job_array_names_every_run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("runs");
    let mut command = run(&out);
    command.args(["--only", "e01,e04", "--seeds", "2", "--emit", "slurm"]);
    finish(command);
    let script = std::fs::read_to_string(out.join("experiments.sbatch")).expect("script");
    assert!(script.contains("#SBATCH --array=0-3"), "{script}");
    assert!(script.contains("experiments=(e01 e04 e01 e04)"), "{script}");
    assert!(
        script.contains("seeds=(11711 11711 11712 11712)"),
        "{script}"
    );
}
