//! `experiments search`: trials that are drawn, random search and successive halving, killed and gone on with.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{bertram, finish, shown, stderr, stdout};

/// A model and a corpus of a few seconds.
const TINY: &[&str] = &[
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

const KEYS: &str = "\
[space]
train.learning-rate = { min = 1e-4, max = 1e-2, scale = \"log\" }
train.batch-size = { values = [4, 8] }
tasks.sts.loss = { values = [\"mse\", \"bce\"] }
";

fn space(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("space.toml");
    std::fs::write(&path, text).expect("write");
    path
}

fn search(dir: &Path, trials: usize) -> Command {
    let mut command = bertram();
    command.current_dir(dir).args([
        "experiments",
        "search",
        "--config",
        "quickstart",
        "--space",
        "space.toml",
        "--out",
        "runs",
        "--trials",
        &trials.to_string(),
    ]);
    command.args(TINY);
    command
}

/// `trials.json`.
fn trials(dir: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(dir.join("runs/trials.json")).expect("trials.json");
    serde_json::from_str(&text).expect("JSON")
}

/// A field of each trial.
fn each(record: &serde_json::Value, field: &str) -> Vec<serde_json::Value> {
    let trials = record["trials"].as_array().expect("trials");
    trials.iter().map(|trial| trial[field].clone()).collect()
}

fn modified(path: &Path) -> std::time::SystemTime {
    let metadata = std::fs::metadata(path).expect("a file");
    metadata.modified().expect("a time")
}

#[test]
fn random_search_trains_each_trial_and_more_of_them_later() {
    let dir = tempfile::tempdir().expect("temp dir");
    space(dir.path(), KEYS);
    let mut dry = search(dir.path(), 5);
    dry.args(["--epochs", "1", "--dry-run"]);
    let plan = stdout(&finish(dry));
    assert!(
        !dir.path().join("runs").exists(),
        "a dry run leaves nothing"
    );

    let mut two = search(dir.path(), 2);
    two.args(["--epochs", "1", "--jobs", "2"]);
    finish(two);
    let first = dir.path().join("runs/trial-001/summary.json");
    let before = modified(&first);
    let mut three = search(dir.path(), 3);
    three.args(["--epochs", "1"]);
    let output = finish(three);
    assert!(
        stderr(&output).contains("2 of 3 runs are done already"),
        "{}",
        stderr(&output)
    );
    assert_eq!(before, modified(&first), "nothing is made twice");
    let record = trials(dir.path());
    assert_eq!(each(&record, "state"), ["finished"; 3]);
    // What was planned is what is in the folders, resolved.
    let config = std::fs::read_to_string(dir.path().join("runs/trial-003/config.toml"));
    let config = config.expect("config");
    let values = &each(&record, "values")[2];
    assert!(plan.contains(&values[0].to_string()), "{plan}\n{values}");
    for line in [
        format!("\nlearning-rate = {}", values[0]),
        format!("\nbatch-size = {}", values[1]),
        format!("\nloss = {}", values[2]),
        "\nid = \"trial-003\"".to_owned(),
    ] {
        assert!(config.contains(&line), "{line} in {config}");
    }
    let text = stdout(&output);
    for said in [
        "best of those trained to their end: runs/trial-00",
        "chose nothing",
    ] {
        assert!(text.contains(said), "{text}");
    }
    let csv = std::fs::read_to_string(dir.path().join("runs/trials.csv")).expect("CSV");
    assert!(
        csv.starts_with("rank,trial,folder,state,epochs,score,train.learning-rate,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);

    // The score is that of the run.
    let summary = std::fs::read_to_string(&first).expect("summary");
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
    let score = each(&record, "score")[0].as_f64().expect("a score");
    assert!((summary["dev"]["overall"].as_f64().expect("a score") - score).abs() < 1e-6);

    // Another space does not pass for this one.
    space(dir.path(), &KEYS.replace("[4, 8]", "[5, 6]"));
    let mut other = search(dir.path(), 3);
    other.args(["--epochs", "1"]);
    let output = other.output().expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("was made with other settings"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_search_goes_on_by_another_method_and_says_so() {
    let dir = tempfile::tempdir().expect("temp dir");
    let go = |method: &str| {
        space(dir.path(), &format!("{method}{KEYS}"));
        let mut command = search(dir.path(), 1);
        command.args(["--epochs", "2"]);
        stderr(&finish(command))
    };
    let begun = go("");
    assert!(!begun.contains("was begun as"), "{begun}");
    let other = go(ASHA);
    let part = "was begun as random search, and goes on as successive halving (asha) with reduction-factor = 2";
    assert!(other.contains(part), "{other}");
    assert!(other.contains("1 of 1 runs are done already"), "{other}");
}

const ASHA: &str = "method = \"asha\"\nreduction-factor = 2\n";

/// Weights, predictions and scores of two runs are the same bits.
fn assert_same_result(one: &Path, other: &Path) {
    for file in [
        "model/model.safetensors",
        "model/heads.safetensors",
        "predictions/sts-dev-output.csv",
        "predictions/sst-test-output.csv",
    ] {
        let read = |run: &Path| std::fs::read(run.join(file)).expect(file);
        assert!(read(one) == read(other), "{file} differs");
    }
    // But for what clocks say, every line of the log.
    let lines = |run: &Path| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let fields = line.as_object_mut().expect("an object");
            fields.remove("seconds");
            fields.remove("tokens_per_second");
            line
        });
        lines.collect()
    };
    assert_eq!(lines(one), lines(other));
}

#[test]
fn halving_stops_trials_and_promotes_the_best_to_the_bits_of_a_whole_run() {
    let dir = tempfile::tempdir().expect("temp dir");
    space(dir.path(), &format!("{ASHA}{KEYS}"));
    let asha = |trials: usize| {
        let mut command = search(dir.path(), trials);
        command.args(["--epochs", "4"]);
        command
    };
    let output = finish(asha(4));
    let record = trials(dir.path());
    assert_eq!(record["rungs"], serde_json::json!([1, 2, 4]));
    // By hand, from the scores after an epoch: one worker has decided as the paper's algorithm does.
    let scores: Vec<Vec<f64>> = each(&record, "rung_scores")
        .iter()
        .map(|scores| {
            let scores = scores.as_array().expect("scores").iter();
            scores
                .map(|score| score.as_f64().expect("a number"))
                .collect()
        })
        .collect();
    assert!(scores.iter().all(|scores| !scores.is_empty()), "{scores:?}");
    let mut best: Vec<usize> = (0..4).collect();
    best.sort_by(|one, other| scores[*other][0].total_cmp(&scores[*one][0]));
    for trial in &best[..2] {
        assert!(
            scores[*trial].len() > 1,
            "the best half went on: {scores:?}"
        );
    }
    let epochs: Vec<u64> = each(&record, "epochs")
        .iter()
        .map(|epochs| epochs.as_u64().expect("a number"))
        .collect();
    let made: u64 = epochs.iter().sum();
    assert!(made < 16 && epochs.contains(&4), "{epochs:?}");
    let stopped = epochs
        .iter()
        .position(|epochs| *epochs < 4)
        .expect("one that stopped");
    assert_eq!(each(&record, "state")[stopped], "stopped");
    let log = stderr(&output);
    assert!(
        log.contains("after epoch 1") && log.contains("goes on, up to epoch 2 of 4"),
        "{log}"
    );

    // A trial that was stopped twice is the run that never was.
    let whole = epochs
        .iter()
        .position(|epochs| *epochs == 4)
        .expect("one of all epochs");
    let trial = dir.path().join(format!("runs/trial-{:03}", whole + 1));
    let straight = dir.path().join("straight");
    let mut train = bertram();
    train.args(["train", "--dashboard", "none", "--config"]);
    train
        .arg(trial.join("config.toml"))
        .arg("--out")
        .arg(&straight);
    finish(train);
    assert_same_result(&straight, &trial);

    // The report has the trials, and does not call those unfinished that the search has stopped.
    let mut report = bertram();
    report
        .arg("report")
        .arg(dir.path().join("runs"))
        .args(["--format", "markdown"]);
    let text = stdout(&finish(report));
    for said in [
        "## Search",
        "asynchronous successive halving",
        "the best 1/2 go on",
        "| Spearman's rho squared |",
        "| eta squared |",
        "too few to tell keys apart",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    assert!(
        !text.contains("not finished") && !text.contains("nfinished"),
        "{text}"
    );

    // Without the record, what the folders say is enough, and more trials go on from there.
    let before = modified(&trial.join("summary.json"));
    std::fs::remove_file(dir.path().join("runs/trials.json")).expect("removed");
    finish(asha(4));
    assert_eq!(each(&trials(dir.path()), "epochs"), each(&record, "epochs"));
    assert_eq!(each(&trials(dir.path()), "score"), each(&record, "score"));
    finish(asha(6));
    assert_eq!(before, modified(&trial.join("summary.json")));
    assert_eq!(
        trials(dir.path())["trials"].as_array().map(Vec::len),
        Some(6)
    );
}

#[cfg(unix)]
#[test]
fn a_killed_search_goes_on_to_the_same_end() {
    let dir = tempfile::tempdir().expect("temp dir");
    let text = format!("{ASHA}{KEYS}");
    let asha = |dir: &Path| {
        let mut command = search(dir, 3);
        command.args(["--epochs", "2", "--set", "train.checkpoint-every=2"]);
        command
    };
    let [killed, whole] = ["killed", "whole"].map(|name| {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).expect("folder");
        space(&dir, &text);
        dir
    });
    finish(asha(&whole));
    // Killed while the second trial is on its way.
    let mut runner = asha(&killed)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bertram-cli starts");
    let begun = Instant::now();
    while !killed.join("runs/trial-002/metrics.jsonl").is_file() {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "no second trial"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    runner.kill().expect("SIGKILL");
    runner.wait().expect("it ends");
    // Its child may still be at work: the next one waits for it, and takes over.
    finish(asha(&killed));
    let (one, other) = (trials(&killed), trials(&whole));
    for field in ["state", "epochs", "score", "rung_scores", "sent_to"] {
        assert_eq!(each(&one, field), each(&other, field), "{field}");
    }
    let csv = |dir: &Path| std::fs::read_to_string(dir.join("runs/trials.csv")).expect("CSV");
    assert_eq!(csv(&killed), csv(&whole));
}

#[test]
fn a_trial_that_diverges_is_last_and_not_tried_again() {
    let dir = tempfile::tempdir().expect("temp dir");
    let keys = "method = \"asha\"\nreduction-factor = 2\n[space]\ntrain.learning-rate = { values = [1e-3, 1e30] }\n";
    space(dir.path(), keys);
    let asha = || {
        let mut command = search(dir.path(), 2);
        command.args(["--epochs", "2", "--set", "train.max-grad-norm=0"]);
        command
    };
    let output = finish(asha());
    let record = trials(dir.path());
    let states = each(&record, "state");
    assert!(states.contains(&"diverged".into()), "{record}");
    assert!(
        states.contains(&"finished".into()),
        "few trials have one that is trained: {record}"
    );
    assert!(stdout(&output).contains("diverged"), "{}", stdout(&output));
    let again = finish(asha());
    assert!(
        stderr(&again).contains("2 of 2 runs are done already"),
        "{}",
        stderr(&again)
    );
    assert_eq!(trials(dir.path()), record);
}

/// What a search says that does not begin.
fn refused(dir: &Path, text: &str, trials: usize, more: &[&str]) -> String {
    space(dir, text);
    let mut command = search(dir, trials);
    command.args(more);
    let output = command.output().expect("starts");
    assert!(!dir.join("runs").exists(), "{}", stderr(&output));
    shown(&output)
}

#[test]
fn what_cannot_be_is_said_before_anything_is_trained() {
    let dir = tempfile::tempdir().expect("temp dir");
    let refused = |text: &str, trials, more: &[&str]| refused(dir.path(), text, trials, more);
    // Problems of the file, and of the configs that are drawn from it: by its lines.
    insta::assert_snapshot!(
        "search_space",
        refused(
            "method = \"asha\"\n[space]\ntrain.epochs = { values = [1, 2] }\ntrain.warmup = { min = 1 }\n",
            3,
            &[]
        )
    );
    insta::assert_snapshot!(
        "search_drawn",
        refused(
            "metric = \"nli\"\n[space]\ntrain.warmup = { min = 0.5, max = 1.5 }\ntrain.learning-rat = { values = [1, 2] }\ntrain.order = { values = [\"fixed\", \"rotating\"] }\n",
            4,
            &[],
        )
    );
    let random = KEYS;
    let asha = format!("{ASHA}{KEYS}");
    for (text, trials, more, said) in [
        (
            asha.as_str(),
            3,
            &["--epochs", "1"][..],
            "train.epochs = 1 is less than reduction-factor = 2 times min-epochs = 1",
        ),
        (&asha, 3, &["--emit", "slurm"], "one process makes them"),
        (&asha, 3, &["--only", "2"], "one process makes them"),
        (random, 3, &["--only", "4"], "the trials are 1 to 3"),
        (
            random,
            3,
            &["--seeds", "2"],
            "--seeds 2: a trial is one run",
        ),
        (
            random,
            3,
            &["--set", "train.batch-size=4"],
            "train.batch-size is drawn (space.toml:3)",
        ),
        (random, 3, &["--epochs", "0"], "train.epochs is 0"),
        (
            "[space]\ntrain.batch-size = { values = [4, 8] }\n",
            3,
            &[],
            "no more than 2 different ones",
        ),
    ] {
        let shown = refused(text, trials, more);
        assert!(
            shown.contains("exit code: 2") && shown.contains(said),
            "{shown}"
        );
    }
}

#[test]
fn random_search_is_a_job_array() {
    let dir = tempfile::tempdir().expect("temp dir");
    space(dir.path(), KEYS);
    let mut emit = search(dir.path(), 3);
    emit.args(["--epochs", "1", "--seed", "5", "--emit", "slurm"]);
    finish(emit);
    let script = std::fs::read_to_string(dir.path().join("runs/search.sbatch")).expect("script");
    for said in [
        "#SBATCH --array=1-3",
        "experiments search --config 'quickstart' --space 'space.toml' --trials 3 --only \"$SLURM_ARRAY_TASK_ID\"",
        "--epochs 1",
        "--seed 5",
    ] {
        assert!(script.contains(said), "{said} in {script}");
    }
    // What a task of the array does, as its last line has it.
    let task = script.lines().last().expect("a command");
    let run = Command::new("bash")
        .args(["-c", task])
        .env("SLURM_ARRAY_TASK_ID", "2")
        .current_dir(dir.path())
        .output()
        .expect("bash");
    assert!(run.status.success(), "{}", stderr(&run));
    let runs = dir.path().join("runs");
    assert!(runs.join("trial-002/summary.json").is_file());
    assert!(!runs.join("trial-001").exists() && !runs.join("trials.json").exists());
}

#[test]
fn the_example_is_a_space_for_the_quick_start() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/spaces/quickstart.toml");
    let dir = tempfile::tempdir().expect("temp dir");
    let mut dry = bertram();
    dry.current_dir(dir.path()).args([
        "experiments",
        "search",
        "--config",
        "quickstart",
        "--trials",
        "9",
        "--dry-run",
        "--space",
    ]);
    dry.arg(file);
    insta::assert_snapshot!(stdout(&finish(dry)));
}
