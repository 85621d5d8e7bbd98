//! Which setting counts: configs by default, shadowed keys, relative paths, and what may change when a run goes on.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, newest_checkpoint, stderr};

const SMALL: [&str; 9] = [
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
];

fn run_in(dir: &Path, args: &[&str], sets: &[&str]) -> Output {
    let mut command = bertram();
    command
        .current_dir(dir)
        .args(args)
        .args(["--dashboard", "none"]);
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

fn refused(output: &Output) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    text
}

/// The demo corpus as a folder of one's own.
fn demo(dir: &Path, name: &str) {
    let mut command = bertram();
    command.current_dir(dir).args([
        "data",
        "demo",
        "--rows",
        "40",
        "--dev-rows",
        "20",
        "--out",
        name,
    ]);
    ok(&command.output().expect("starts"));
}

fn settings(run: &Path) -> String {
    std::fs::read_to_string(run.join("config.toml")).expect("config.toml")
}

#[test]
fn the_first_line_says_which_config_is_in_effect() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    demo(dir, "data");
    let text = ok(&run_in(dir, &["train", "--out", "a"], &SMALL));
    assert!(text.starts_with("config: quickstart (built in"), "{text}");

    let small = [
        "model.random.hidden-size=16",
        "train.epochs=1",
        "train.batch-size=8",
    ];
    let text = ok(&run_in(
        dir,
        &["train", "--data", "data", "--out", "b"],
        &small,
    ));
    assert!(text.starts_with("config: recommended (built in"), "{text}");
    assert!(settings(&dir.join("b")).contains("kind = \"pcgrad\""));

    let args = [
        "train",
        "--config",
        "quickstart",
        "--data",
        "data",
        "--out",
        "c",
    ];
    let text = ok(&run_in(dir, &args, &small));
    assert!(text.starts_with("config: quickstart (built in"), "{text}");

    std::fs::write(dir.join("mine.toml"), "[tasks.sst]\n[train]\nepochs = 1\n").expect("write");
    let args = ["train", "--config", "mine.toml", "--out", "d"];
    let text = ok(&run_in(dir, &args, &SMALL));
    assert!(text.starts_with("config: mine.toml\n"), "{text}");
}

#[test]
fn an_override_that_changes_nothing_says_so() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    std::fs::write(
        dir.join("limits.toml"),
        "[tasks.sst]\nlimit = 16\n[tasks.sts]\nlimit = 16\n[train]\nepochs = 1\n",
    )
    .expect("write");
    let args = [
        "train",
        "--config",
        "limits.toml",
        "--seed",
        "5",
        "--out",
        "run",
    ];
    let sets = ["data.limit=300", "train.seed=6", "train.score-rows=9"];
    let text = ok(&run_in(dir, &args, &[&SMALL[..], &sets].concat()));
    for said in [
        "data.limit (--set data.limit=300) has no effect: tasks.sst.limit and tasks.sts.limit go over it",
        "--seed 5 has no effect: --set train.seed=6 comes after it",
        "train.score-rows (--set train.score-rows=9) has no effect: train.order (its default) leaves no use for it",
    ] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
    assert!(settings(&dir.join("run")).contains("seed = 6"));
    // A resolved config says every key, and is not nagged about.
    let text = ok(&run_in(
        dir,
        &["train", "--config", "run/config.toml", "--out", "again"],
        &[],
    ));
    assert!(!text.contains("no effect"), "{text}");
}

#[test]
fn paths_of_a_config_are_relative_to_it_and_a_run_resumes_from_anywhere() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    std::fs::create_dir(dir.join("project")).expect("folder");
    demo(dir, "project/data");
    std::fs::write(
        dir.join("project/my.toml"),
        "[data]\ndir = \"data\"\n[tasks.sst]\n[model.random]\nhidden-size = 16\n[train]\nepochs = 1\nbatch-size = 8\nkeep-training-state = true\n",
    )
    .expect("write");
    ok(&run_in(
        dir,
        &["train", "--config", "project/my.toml", "--out", "run"],
        &[],
    ));
    assert!(settings(&dir.join("run")).contains("project/data\""));

    // From another directory, and longer.
    let elsewhere = dir.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("folder");
    let longer = ["train.epochs=2"];
    ok(&run_in(
        &elsewhere,
        &["train", "--resume", "../run"],
        &longer,
    ));
    let info = std::fs::read_to_string(dir.join("run/run.json")).expect("run.json");
    assert!(
        info.contains("\"train.epochs\"") && info.contains("\"update\": 5"),
        "{info}"
    );
    assert!(dir.join("run/summary-at-update-5.json").is_file());
    let summary = std::fs::read_to_string(dir.join("run/summary.json")).expect("summary");
    assert!(summary.contains("\"updates\": 10"), "{summary}");

    // After the data moved.
    std::fs::rename(dir.join("project/data"), dir.join("moved")).expect("rename");
    let args = ["train", "--resume", "../run"];
    let text = refused(&run_in(&elsewhere, &args, &["train.epochs=3"]));
    assert!(text.contains("ids-sst-train.csv"), "{text}");
    let args = ["train", "--resume", "../run", "--data", "../moved"];
    ok(&run_in(&elsewhere, &args, &["train.epochs=3"]));
    assert!(settings(&dir.join("run")).contains("moved\""));
    let card = std::fs::read_to_string(dir.join("run/model/README.md")).expect("card");
    assert!(
        card.contains("| `train.epochs` from update 10 on | 3 (before: 2) |"),
        "{card}"
    );
    let args = [
        "report",
        "run",
        "--format",
        "markdown",
        "--out",
        "report.md",
    ];
    let output = bertram().current_dir(dir).args(args).output();
    ok(&output.expect("starts"));
    let report = std::fs::read_to_string(dir.join("report.md")).expect("report");
    assert!(
        report.contains("| run | 10 | train.epochs | 2 | 3 |"),
        "{report}"
    );

    // Other data under the same names.
    let file = dir.join("moved/ids-sst-dev.csv");
    let mut rows = std::fs::read_to_string(&file).expect("dev");
    rows.push_str("99\tx\ta fine film\t4\n");
    std::fs::write(&file, rows).expect("write");
    let text = refused(&run_in(
        &elsewhere,
        &["train", "--resume", "../run"],
        &["train.epochs=4"],
    ));
    assert!(
        text.contains("ids-sst-dev.csv") && text.contains("SHA-256"),
        "{text}"
    );
    let own = dir.join("run/predictions/sst-dev-output.csv");
    let before = std::fs::read_to_string(&own).expect("predictions");
    let evaluate = bertram()
        .current_dir(dir)
        .args(["evaluate", "--run", "run"])
        .output();
    let text = ok(&evaluate.expect("starts"));
    assert!(text.contains("other data than the run's"), "{text}");
    let after = std::fs::read_to_string(&own).expect("predictions");
    assert_eq!(before, after, "the run's own predictions stay");
    let other = dir.join("run/predictions/of-moved/sst-dev-output.csv");
    let other = std::fs::read_to_string(other).expect("predictions");
    assert_eq!(other.lines().count(), before.lines().count() + 1);
}

#[test]
fn what_a_run_cannot_go_on_without_is_missed_before_it_trains() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    ok(&run_in(dir, &["train", "--out", "run"], &SMALL));
    let resume = ["train", "--resume", "run"];
    let newest = newest_checkpoint(&dir.join("run"));
    for path in [newest.join("best.safetensors"), dir.join("run/run.json")] {
        let aside = dir.join("aside");
        std::fs::rename(&path, &aside).expect("rename");
        let text = refused(&run_in(dir, &resume, &["train.epochs=2"]));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        assert!(text.contains(&*name), "{text}");
        assert!(!text.contains("resuming at"), "{text}");
        std::fs::rename(&aside, &path).expect("rename");
    }
    ok(&run_in(dir, &resume, &["train.epochs=2"]));
}

#[test]
fn what_may_not_change_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    ok(&run_in(dir, &["train", "--out", "run"], &SMALL));
    let before = settings(&dir.join("run"));
    let resume = ["train", "--resume", "run"];
    let text = refused(&run_in(
        dir,
        &resume,
        &["train.seed=3", "train.batch-size=4"],
    ));
    assert!(
        text.contains("train.batch-size, train.seed cannot change when a run goes on"),
        "{text}"
    );
    assert!(
        text.contains("train.epochs"),
        "what can change is named: {text}"
    );
    let text = refused(&run_in(dir, &resume, &["train.epocs=3"]));
    assert!(text.contains("did you mean train.epochs"), "{text}");
    let text = refused(&run_in(dir, &resume, &[]));
    assert!(
        text.contains("is finished") && text.contains("train.epochs"),
        "{text}"
    );
    assert_eq!(settings(&dir.join("run")), before, "nothing was changed");
}

#[test]
fn a_run_goes_on_with_no_fewer_epochs_and_says_what_ended_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    let early = [
        "train.keep-training-state=true",
        "train.epochs=6",
        "train.early-stopping=1",
        "train.learning-rate=1e-9",
    ];
    let rates = ["train.head-learning-rate=1e-9"];
    let sets = [&SMALL[..6], &early, &rates].concat();
    ok(&run_in(dir, &["train", "--out", "run"], &sets));
    let resume = ["train", "--resume", "run"];
    let text = refused(&run_in(dir, &resume, &["train.epochs=20"]));
    assert!(
        text.contains("ended by early stopping") && text.contains("train.early-stopping"),
        "{text}"
    );
    let text = refused(&run_in(dir, &resume, &["train.epochs=1"]));
    assert!(
        text.contains("train.epochs = 1 is less than the 2 epochs"),
        "{text}"
    );
    let text = refused(&run_in(dir, &resume, &["train={epochs=7}"]));
    assert!(
        text.contains("train (a whole section) cannot change"),
        "{text}"
    );
    let sets = ["train.epochs=7", "train.epochs=3", "train.early-stopping=0"];
    let text = ok(&run_in(dir, &resume, &sets));
    for said in [
        "--set train.epochs=7 has no effect: --set train.epochs=3 comes after it",
        "train.epochs is 3 (before: 6)",
        "train.early-stopping is 0 (before: 1)",
        "from update ",
    ] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
}

#[test]
fn tasks_that_are_dropped_or_generated_unasked_are_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    std::fs::write(dir.join("mine.toml"), "[train]\nepochs = 1\n").expect("write");
    let args = ["train", "--config", "mine.toml", "--out", "a"];
    let text = ok(&run_in(
        dir,
        &args,
        &[&SMALL[..], &["tasks.sst.limit=16"]].concat(),
    ));
    assert!(text.contains("only sst is trained"), "{text}");
    let args = ["train", "--config", "mine.toml", "--out", "b"];
    let whole = ["tasks={sst={limit=16}}"];
    let text = ok(&run_in(dir, &args, &[&SMALL[..], &whole].concat()));
    assert!(
        !text.contains("only sst is trained"),
        "it was asked for: {text}"
    );

    demo(dir, "data");
    let files = [
        "tasks.sst.train=data/ids-sst-train.csv",
        "tasks.sst.dev=data/ids-sst-dev.csv",
    ];
    let args = ["train", "--config", "quickstart", "--out", "c"];
    let text = ok(&run_in(dir, &args, &[&SMALL[..], &files].concat()));
    assert!(
        text.contains("beside the files of sst, these tasks take generated rows, in training and in every score: para and sts"),
        "{text}"
    );
}

#[test]
fn validate_warns_as_train_does_and_knows_what_is_built_in() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut command = bertram();
    command.current_dir(dir.path());
    command.args(["config", "validate", "quickstart", "recommended"]);
    let output = command.output().expect("starts");
    ok(&output);
    std::fs::write(
        dir.path().join("x.toml"),
        "[data]\nlimit = 9\n[tasks.sst]\nlimit = 5\n",
    )
    .expect("write");
    let mut command = bertram();
    command
        .current_dir(dir.path())
        .args(["config", "validate", "x.toml"]);
    let text = ok(&command.output().expect("starts"));
    assert!(
        text.contains("data.limit (x.toml:2) has no effect"),
        "{text}"
    );
}
