//! Training from the command line: the run folder, a kill in the middle of an epoch, Ctrl-C.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{bertram, finish, stderr, stdout, summary};

/// A demo corpus and a model small enough for a test; checkpoints in the middle of epochs.
const TINY: &[&str] = &[
    "--set",
    "data.demo.sst=120",
    "--set",
    "data.demo.para=90",
    "--set",
    "data.demo.sts=60",
    "--set",
    "data.demo.dev=40",
    "--set",
    "model.random.hidden-size=32",
    "--set",
    "model.random.heads=2",
    "--set",
    "model.random.intermediate-size=64",
    "--set",
    "train.batch-size=6",
    "--set",
    "train.epochs=2",
    "--set",
    "train.log-every=5",
    "--set",
    "train.checkpoint-every=4",
    "--set",
    "train.schedule=sequential",
];

fn train(out: &Path, backend: &str) -> Command {
    let mut command = bertram();
    command
        .args([
            "train",
            "--dashboard",
            "plain",
            "--backend",
            backend,
            "--out",
        ])
        .arg(out)
        .args(TINY);
    command
}

/// Every part of a run that has a memory of its own between updates.
const EVERYTHING: &[&str] = &[
    "--set",
    "train.order=lowest-last",
    "--set",
    "train.score-rows=30",
    "--set",
    "train.epoch-end-surgery=true",
    "--set",
    "train.loss-weighting=uncertainty",
    "--set",
    "aggregator.kind=gradvac",
    "--set",
    "regulariser.smart.tasks=[\"sst\", \"sts\"]",
    "--set",
    "regulariser.r-drop.alpha=0.5",
    "--set",
    "regulariser.bregman.mu=1",
];

/// Waits until `metrics.jsonl` tells of at least `update` updates.
fn wait_for_update(child: &mut Child, run: &Path, update: u64) {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        let reached = text.lines().any(|line| {
            serde_json::from_str::<serde_json::Value>(line)
                .is_ok_and(|value| value["update"].as_u64().is_some_and(|at| at >= update))
        });
        if reached {
            return;
        }
        if let Some(status) = child.try_wait().expect("child can be asked") {
            panic!("the run ended before update {update}: {status}");
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "no update {update}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn scores(run: &Path) -> serde_json::Value {
    summary(run)["dev"].clone()
}

fn assert_same_result(one: &Path, other: &Path) {
    for file in [
        "model/model.safetensors",
        "model/heads.safetensors",
        "predictions/sts-dev-output.csv",
    ] {
        let read = |run: &Path| std::fs::read(run.join(file)).expect(file);
        assert!(read(one) == read(other), "{file} differs");
    }
    assert_eq!(scores(one), scores(other));
}

/// The lines of `metrics.jsonl`, without what clocks say.
fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let lines = text.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON line");
        let fields = line.as_object_mut().expect("an object");
        for of_a_clock in ["seconds", "tokens_per_second"] {
            fields.remove(of_a_clock);
        }
        line
    });
    lines.collect()
}

/// No line is there twice, none is missing, and each says the same, the first after the resume too.
fn assert_same_metrics(one: &Path, other: &Path) {
    let (one, other) = (metrics(one), metrics(other));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let backends = [
        "flex",
        "ndarray",
        #[cfg(feature = "libtorch")]
        "libtorch",
    ];
    for backend in backends {
        let dir = tempfile::tempdir().expect("temp dir");
        let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
        finish(train(&whole, backend));

        let mut child = train(&killed, backend)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("bertram-cli starts");
        // 20 + 15 + 10 updates an epoch: this is in the middle of the second task.
        wait_for_update(&mut child, &killed, 25);
        child.kill().expect("SIGKILL");
        child.wait().expect("child ends");
        assert!(
            !killed.join("summary.json").exists(),
            "killed before its end"
        );

        let mut resume = bertram();
        resume.args([
            "train",
            "--dashboard",
            "plain",
            "--backend",
            backend,
            "--resume",
        ]);
        resume.arg(&killed);
        finish(resume);
        assert_same_result(&whole, &killed);

        assert_same_metrics(&whole, &killed);
    }
}

/// The losses and scores that a run has logged.
fn numbers(run: &Path) -> Vec<f64> {
    let lines = metrics(run).into_iter();
    lines
        .flat_map(|line| {
            let losses = line["loss"].as_object().cloned().into_iter().flatten();
            let losses: Vec<f64> = losses.filter_map(|(_, loss)| loss.as_f64()).collect();
            losses.into_iter().chain(line["overall"].as_f64())
        })
        .collect()
}

/// A frozen encoder without dropout, rows drawn afresh for each epoch, and an order that asks for scores of training rows.
const FROZEN: &[&str] = &[
    "--set",
    "model.freeze=true",
    "--set",
    "train.learning-rate=0.01",
    "--set",
    "data.limit=40",
    "--set",
    "data.limit-draw=fresh",
    "--set",
    "train.order=lowest-last",
    "--set",
    "train.score-rows=30",
    "--set",
    "train.epochs=3",
];

#[test]
fn a_frozen_encoder_is_run_once_a_row_and_nothing_else_changes() {
    // Seven updates of each task make an epoch: this is in the second.
    frozen_changes_nothing(&[], 30);
}

/// Packed pairs that change places are other sequences, those that are encoded apart are not.
const SWAPPED: &[&str] = &[
    "--set",
    "tasks={ sst = {}, para = { head = \"cross-encoder\" }, sts = { head = \"concat\" } }",
    "--set",
    "tasks.para.augment=swap",
    "--set",
    "tasks.sts.augment=swap",
    "--set",
    "train.batch-tokens=80",
];

#[test]
fn so_it_is_where_sentences_change_places_and_batches_are_of_tokens() {
    // About thirty updates make an epoch.
    frozen_changes_nothing(SWAPPED, 45);
}

/// `update` is one in the middle of a later epoch.
fn frozen_changes_nothing(more: &[&str], update: u64) {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = |name: &str| dir.path().join(name);
    finish({
        let mut once = train(&path("once"), "flex");
        once.args(FROZEN).args(more);
        once
    });
    // Without dropout, and still row by row in every epoch.
    finish({
        let mut again = train(&path("again"), "flex");
        again.args(FROZEN).args(more).args([
            "--set",
            "model.frozen-dropout=true",
            "--set",
            "model.dropout={ hidden = 0.0, attention = 0.0 }",
        ]);
        again
    });
    let (once, again) = (numbers(&path("once")), numbers(&path("again")));
    assert_eq!(once.len(), again.len());
    assert!(once.len() > 9, "{once:?}");
    for (once, again) in once.iter().zip(&again) {
        assert!((once - again).abs() < 1e-5, "{once} is not {again}");
    }

    let killed = path("killed");
    let mut child = train(&killed, "flex")
        .args(FROZEN)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bertram-cli starts");
    wait_for_update(&mut child, &killed, update);
    child.kill().expect("SIGKILL");
    child.wait().expect("child ends");
    let mut resume = bertram();
    resume.args(["train", "--dashboard", "plain", "--resume"]);
    resume.arg(&killed);
    finish(resume);
    assert_same_result(&path("once"), &killed);
    assert_same_metrics(&path("once"), &killed);
}

/// Two tasks of pairs whose rows have weights, in one file that only training has; their sentences change places, labels are
/// balanced afresh for each epoch, and batches are of tokens.
fn write_weighted(dir: &Path) {
    std::fs::write(
        dir.join("weighted.toml"),
        "[model.random]\nlayers = 1\nhidden-size = 32\nheads = 2\nintermediate-size = 64\nvocab-size = 200\n\
         [data]\nlimit-draw = \"fresh\"\n\
         [tasks.same]\ninputs = \"pair\"\nbinary = [\"no\", \"yes\"]\nhead = \"cross-encoder\"\nlimit = 100\n\
         augment = \"swap\"\nlabel-shares = \"balanced\"\ntrain = \"same.csv\"\ndev = \"same-dev.csv\"\n\
         columns = { weight = \"sure\" }\n\
         [tasks.near]\ninputs = \"pair\"\nscore = [0, 4]\nhead = \"concat\"\naugment = \"swap\"\n\
         train = \"near.csv\"\ndev = \"near-dev.csv\"\ncolumns = { weight = \"sure\" }\n\
         [regulariser.r-drop]\ntasks = [\"same\"]\n\
         [train]\nepochs = 3\nbatch-tokens = 96\nlearning-rate = 1e-3\nlr-schedule = \"linear\"\nlog-every = 5\ncheckpoint-every = 4\n",
    )
    .expect("written");
    let words = ["cat", "dog", "fox", "hen", "cow"];
    let table = |rows: usize, scores: bool, weights: bool| -> String {
        let header = if weights { ",sure" } else { "" };
        let mut text = format!("sentence1,sentence2,label{header}\n");
        for row in 0..rows {
            let (one, other) = (words[row % 5], words[row * 7 % 11 % 5]);
            let more = "and so on ".repeat(row % 4);
            let label = match (scores, one == other) {
                (true, same) => {
                    if same {
                        "4"
                    } else {
                        "1"
                    }
                }
                (false, true) => "yes",
                (false, false) => "no",
            };
            let weight = if weights {
                format!(",{}", [1.0, 0.25, 3.0, 0.5][row % 4])
            } else {
                String::new()
            };
            text.push_str(&format!(
                "a {one} sleeps {more},here is a {other},{label}{weight}\n"
            ));
        }
        text
    };
    for (name, scores) in [("same", false), ("near", true)] {
        let write =
            |file: String, text: String| std::fs::write(dir.join(file), text).expect("written");
        write(format!("{name}.csv"), table(240, scores, true));
        write(format!("{name}-dev.csv"), table(40, scores, false));
    }
}

fn train_weighted(dir: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = bertram();
    command.args([
        "train",
        "--dashboard",
        "plain",
        "--backend",
        "flex",
        "--config",
    ]);
    command.arg(dir.join("weighted.toml")).arg("--out").arg(out);
    for set in more {
        command.args(["--set", set]);
    }
    command
}

#[test]
fn swapped_weighted_rows_in_batches_of_tokens_resume_to_the_same_bits() {
    let dir = tempfile::tempdir().expect("temp dir");
    write_weighted(dir.path());
    let path = |name: &str| dir.path().join(name);
    let (whole, killed) = (path("whole"), path("killed"));
    finish(train_weighted(dir.path(), &whole, &[]));
    let log = std::fs::read_to_string(whole.join("train.log")).expect("a log");
    assert!(log.contains("same: label-shares leave"), "{log}");
    let mut child = train_weighted(dir.path(), &killed, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bertram-cli starts");
    let lines = metrics(&whole);
    let of_kind = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind);
    let ends: Vec<u64> = of_kind("dev")
        .filter_map(|line| line["update"].as_u64())
        .collect();
    let [first, second, last] = ends[..] else {
        panic!("three epochs: {ends:?}");
    };
    // What the learning rate is planned over is what is made.
    for line in of_kind("train") {
        assert_eq!(line["updates"].as_u64(), Some(last), "{line}");
    }
    let rate = of_kind("train")
        .next_back()
        .and_then(|line| line["learning_rate"].as_f64());
    assert!(
        rate.is_some_and(|rate| rate > 0.0 && rate < 2e-3 / last as f64),
        "{rate:?} of {last}"
    );
    wait_for_update(&mut child, &killed, first.midpoint(second));
    child.kill().expect("SIGKILL");
    child.wait().expect("child ends");
    assert!(!killed.join("summary.json").exists());
    let mut resume = bertram();
    resume.args(["train", "--dashboard", "plain", "--resume"]);
    resume.arg(&killed);
    finish(resume);
    let bytes = |run: &Path, file: &str| std::fs::read(run.join(file)).expect(file);
    for file in ["model/model.safetensors", "model/heads.safetensors"] {
        assert!(
            bytes(&whole, file) == bytes(&killed, file),
            "{file} differs"
        );
    }
    assert_same_metrics(&whole, &killed);

    // Weights, batches and shares each make another run.
    let mut runs = Vec::new();
    for (name, set) in [
        ("as it is", "train.log-every=5"),
        ("without weights", "tasks.same.columns={}"),
        ("of rows", "train.batch-tokens=0"),
        ("of all labels", "tasks.same.label-shares=[1, 1]"),
    ] {
        finish(train_weighted(
            dir.path(),
            &path(name),
            &["train.epochs=1", set],
        ));
        let weights = bytes(&path(name), "model/model.safetensors");
        assert!(!runs.contains(&weights), "{name}");
        runs.push(weights);
    }
}

#[test]
fn weights_of_one_are_no_weights() {
    let dir = tempfile::tempdir().expect("temp dir");
    write_weighted(dir.path());
    let path = |name: &str| dir.path().join(name);
    for name in ["same.csv", "near.csv"] {
        let text = std::fs::read_to_string(path(name)).expect("rows");
        let ones = text.lines().map(|line| match line.rsplit_once(',') {
            Some((rest, "sure")) => format!("{rest},sure\n"),
            Some((rest, _)) => format!("{rest},1.0\n"),
            None => String::new(),
        });
        std::fs::write(path(name), ones.collect::<String>()).expect("written");
    }
    finish(train_weighted(
        dir.path(),
        &path("ones"),
        &["train.epochs=1"],
    ));
    finish(train_weighted(
        dir.path(),
        &path("none"),
        &[
            "train.epochs=1",
            "tasks.same.columns={}",
            "tasks.near.columns={}",
        ],
    ));
    for file in ["model/model.safetensors", "model/heads.safetensors"] {
        let bytes = |run: &str| std::fs::read(path(run).join(file)).expect(file);
        assert!(bytes("ones") == bytes("none"), "{file} differs");
    }
    assert_same_metrics(&path("ones"), &path("none"));
}

/// Losses are scaled, too.
const IN_F16: &[&str] = &[
    "--set",
    "train.precision=f16",
    "--set",
    "regulariser.smart.variant=mt-dnn",
];

#[test]
fn a_killed_run_with_everything_on_resumes_to_the_same_bits() {
    everything_resumes(&[], &[]);
}

#[test]
fn so_does_one_in_f16() {
    everything_resumes(
        IN_F16,
        &[("loss_scale", "sts"), ("gradient_overflows", "sst")],
    );
}

#[test]
fn so_does_one_whose_heads_learn_how_vectors_are_made() {
    everything_resumes(
        &[
            "--set",
            "model.pooling=attention+max",
            "--set",
            "model.layer-mix=true",
            "--set",
            "tasks.sst.dropout-samples=3",
        ],
        &[],
    );
}

/// `measures` are those beyond the usual ones.
fn everything_resumes(more: &[&str], measures: &[(&str, &str)]) {
    let dir = tempfile::tempdir().expect("temp dir");
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let train = |out: &Path| {
        let mut command = train(out, "flex");
        command.args(EVERYTHING).args(more);
        command
    };
    finish(train(&whole));
    let mut child = train(&killed)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bertram-cli starts");
    // 45 updates and one of surgery make an epoch: this is in the second.
    wait_for_update(&mut child, &killed, 60);
    child.kill().expect("SIGKILL");
    child.wait().expect("child ends");
    assert!(!killed.join("summary.json").exists());
    let mut resume = bertram();
    resume.args(["train", "--dashboard", "plain", "--resume"]);
    resume.arg(&killed);
    finish(resume);
    assert_same_result(&whole, &killed);
    assert_same_metrics(&whole, &killed);

    let metrics = std::fs::read_to_string(whole.join("metrics.jsonl")).expect("metrics");
    let lines: Vec<serde_json::Value> = metrics
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON line"))
        .collect();
    let of_kind = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind);
    assert_eq!(of_kind("surgery").count(), 2, "one at each epoch's end");
    for line in of_kind("surgery") {
        let cosine = line["gradient_cosine"]["sst-para"].as_f64();
        assert!(cosine.is_some_and(|cosine| cosine.abs() <= 1.0 + 1e-6));
    }
    assert_eq!(of_kind("train_scores").count(), 2);
    let usual = [
        ("smart_penalty", "sst"),
        ("smart_perturbation_norm", "sts"),
        ("r_drop_penalty", "sst"),
        ("bregman", "para"),
        ("loss_weight", "sts"),
    ];
    for (name, task) in usual.iter().chain(measures) {
        let value = of_kind("train").find_map(|line| line[name][task].as_f64());
        assert!(value.is_some_and(f64::is_finite), "{name} of {task}");
    }

    // `evaluate` computes as the run did, in half precision as well.
    let scores = dir.path().join("scores.json");
    let mut evaluate = bertram();
    evaluate.arg("evaluate").arg("--run").arg(&whole);
    evaluate.args(["--backend", "flex", "--split", "dev", "--out"]);
    evaluate.arg(&scores);
    finish(evaluate);
    let read = |path: &Path| -> serde_json::Value {
        let text = std::fs::read_to_string(path).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(read(&scores), read(&whole.join("summary.json"))["dev"]);
}

#[cfg(unix)]
#[test]
fn one_ctrl_c_leaves_a_resumable_run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    finish(train(&whole, "flex"));
    let mut child = train(&stopped, "flex")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bertram-cli starts");
    wait_for_update(&mut child, &stopped, 10);
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(interrupt.success());
    let output = child.wait_with_output().expect("child ends");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("--resume"), "{message}");

    let mut resume = bertram();
    resume.args(["train", "--dashboard", "none", "--resume"]);
    resume.arg(&stopped);
    finish(resume);
    assert_same_result(&whole, &stopped);
}

#[test]
fn a_run_is_never_overwritten_and_a_finished_one_not_resumed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let run = dir.path().join("run");
    let mut command = train(&run, "flex");
    command.args(["--set", "train.epochs=1"]);
    let output = finish(command);
    let table = stdout(&output);
    for word in ["sst", "para", "sts", "majority"] {
        assert!(table.contains(word), "{word} in {table}");
    }

    let again = train(&run, "flex").output().expect("starts");
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("never overwrites"),
        "{}",
        stderr(&again)
    );

    let resumed = bertram()
        .args(["train", "--resume"])
        .arg(&run)
        .output()
        .expect("starts");
    assert_eq!(resumed.status.code(), Some(2));
    assert!(
        stderr(&resumed).contains("is finished"),
        "{}",
        stderr(&resumed)
    );

    // The run folder serves the other commands.
    let evaluated = bertram()
        .args(["evaluate", "--split", "dev", "--run"])
        .arg(&run)
        .output()
        .expect("starts");
    assert!(evaluated.status.success(), "{}", stderr(&evaluated));
    assert!(
        stdout(&evaluated).contains("pearson"),
        "{}",
        stdout(&evaluated)
    );

    let input = dir.path().join("pairs.jsonl");
    std::fs::write(
        &input,
        "{\"sentence1\": \"a good film\", \"sentence2\": \"a fine movie\"}\n",
    )
    .expect("write");
    let predicted = bertram()
        .args([
            "predict",
            "--task",
            "para",
            "--format",
            "json-lines",
            "--run",
        ])
        .arg(&run)
        .arg("--input")
        .arg(&input)
        .output()
        .expect("starts");
    assert!(predicted.status.success(), "{}", stderr(&predicted));
    let line: serde_json::Value =
        serde_json::from_str(stdout(&predicted).trim()).expect("one JSON line");
    assert_eq!(
        line["probabilities"].as_object().map(|it| it.len()),
        Some(2),
        "{line}"
    );

    let texts = dir.path().join("texts.txt");
    std::fs::write(&texts, "a good film\n\nein schöner Film\n").expect("write");
    let vectors = dir.path().join("vectors.jsonl");
    let encoded = bertram()
        .args(["encode", "--pooling", "mean", "--model"])
        .arg(&run)
        .arg("--input")
        .arg(&texts)
        .arg("--output")
        .arg(&vectors)
        .output()
        .expect("starts");
    assert!(encoded.status.success(), "{}", stderr(&encoded));
    let lines = std::fs::read_to_string(&vectors).expect("vectors");
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON line"))
        .collect();
    assert_eq!(lines.len(), 3, "an empty line is an empty sentence");
    assert_eq!(lines[1]["text"], "");
    assert!(
        lines
            .iter()
            .all(|line| line["embedding"].as_array().map(Vec::len) == Some(32))
    );
}
