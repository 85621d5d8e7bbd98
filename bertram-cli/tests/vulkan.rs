//! Training on Vulkan: compiled kernels between processes. Mesa's lavapipe will do; without a device the tests say so and
//! pass. They take minutes, most of it for a software device to compile kernels: `.ci/long` runs them.
#![cfg(feature = "vulkan")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{bertram, stderr, stdout};
use serde_json::Value;

/// The quick start, shrunk: a model and rows that a software device trains in seconds once its kernels are there.
const TINY: &[&str] = &[
    "data.demo.sst=36",
    "data.demo.para=36",
    "data.demo.sts=36",
    "data.demo.dev=12",
    "model.random.hidden-size=16",
    "model.random.heads=2",
    "model.random.layers=1",
    "model.random.intermediate-size=32",
    "train.batch-size=8",
    "train.eval-batch-size=12",
    "train.epochs=2",
];

/// A command whose compiled kernels are kept in `cache`.
fn on_vulkan(command: &str, cache: &Path) -> Command {
    let mut program = bertram();
    program
        .args([command, "--backend", "vulkan"])
        .env("BERTRAM_CACHE", cache);
    program
}

fn train(cache: &Path, run: &Path) -> Command {
    let mut command = on_vulkan("train", cache);
    command.args(["--dashboard", "plain", "--out"]).arg(run);
    for set in TINY {
        command.args(["--set", set]);
    }
    command
}

/// Whether there is a device to run on.
fn has_device() -> bool {
    let output = bertram().arg("backends").output().expect("runs");
    let found = stdout(&output)
        .lines()
        .any(|line| line.contains("vulkan") && line.contains("GFLOP/s"));
    if !found {
        eprintln!("skipped: no Vulkan device was found");
    }
    found
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn summary(run: &Path) -> Value {
    let text = std::fs::read_to_string(run.join("summary.json")).expect("the run is finished");
    serde_json::from_str(&text).expect("JSON")
}

fn compiled(run: &Path) -> u64 {
    summary(run)["device"]["kernels_compiled"]
        .as_u64()
        .expect("a GPU counts its kernels")
}

/// The file of compiled kernels.
fn store(cache: &Path) -> PathBuf {
    let files = std::fs::read_dir(cache.join("kernels")).expect("a folder");
    let mut files = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|it| it == "kernels"));
    files.next().expect("kernels are kept")
}

/// Scores a run, and gives whether kernels were compiled for it.
fn evaluate(cache: &Path, run: &Path) -> bool {
    let output = succeeds(on_vulkan("evaluate", cache).arg("--run").arg(run));
    stderr(&output).contains("compiling kernels for")
}

const COMPILING: &str = "compiling kernels for";

#[test]
fn kernels_are_compiled_once_and_a_damaged_cache_is_built_anew() {
    if !has_device() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (cache, cold, warm) = (at("cache"), at("cold"), at("warm"));
    let output = succeeds(&mut train(&cache, &cold));
    assert!(stderr(&output).contains(COMPILING), "{}", stderr(&output));
    let output = succeeds(&mut train(&cache, &warm));
    assert!(!stderr(&output).contains(COMPILING), "{}", stderr(&output));
    for run in [&cold, &warm] {
        let summary = summary(run);
        println!(
            "{}: {} kernels compiled, {:.1} s until the first update, {} bytes of device memory",
            summary["device"]["name"],
            summary["device"]["kernels_compiled"],
            summary["first_update_seconds"].as_f64().expect("a number"),
            summary["device"]["peak_memory_bytes"],
        );
        assert!(summary["device"]["peak_memory_bytes"].as_u64() > Some(0));
    }
    assert!(compiled(&cold) > 50);
    assert_eq!(compiled(&warm), 0);
    assert_eq!(summary(&cold)["dev"], summary(&warm)["dev"]);

    // Cut off, damaged, and somebody else's file.
    let whole = std::fs::read(store(&cache)).expect("reads");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    for bytes in [&whole[..middle], &damaged, b"something else"] {
        std::fs::write(store(&cache), bytes).expect("writes");
        assert!(evaluate(&cache, &cold), "it compiles anew");
        assert!(!evaluate(&cache, &cold), "and keeps that");
    }

    // No folder can be made below a file.
    let file = at("file");
    std::fs::write(&file, "").expect("writes");
    assert!(evaluate(&file.join("cache"), &cold));
}

#[test]
fn two_processes_at_once_share_a_cache() {
    if !has_device() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let cache = at("cache");
    let start = |name: &str| {
        train(&cache, &at(name))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts")
    };
    let mut both = [start("one"), start("other")];
    for process in &mut both {
        assert!(process.wait().expect("ends").success());
    }
    let third = at("third");
    succeeds(&mut train(&cache, &third));
    assert_eq!(compiled(&third), 0);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_run_that_is_compiling() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::io::{BufRead, BufReader};
    if !has_device() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (cache, run) = (at("cache"), at("run"));
    let mut process = train(&cache, &run)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.contains(COMPILING)));
    // The first of them is compiled for the model's random weights; the rest for the first update.
    while !run.join("checkpoints").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    let pid = i32::try_from(process.id()).expect("a process number");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("is there");
    let begun = Instant::now();
    let status = process.wait().expect("ends");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(status.code(), Some(130));
    assert!(lines.any(|line| line.contains("go on with: bertram-cli train --resume")));
    // What it had compiled is kept, and the run goes on.
    assert!(store(&cache).is_file());
    succeeds(on_vulkan("train", &cache).arg("--resume").arg(&run));
}

/// What a search found for a tiny model is kept, and the next process takes it; a damaged file is named and left out.
#[test]
fn tuned_products_are_kept_for_the_next_process() {
    if !has_device() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let shape = folder.path().join("config.json");
    let config = r#"{"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 64}"#;
    std::fs::write(&shape, config).expect("writes");
    let sizes = ["--batch", "4", "--sequence", "16", "--shape"];
    let mut tune = on_vulkan("tune", &cache);
    let output = succeeds(tune.args(sizes).arg(&shape).args(["--seconds", "20"]));
    assert!(
        stdout(&output).contains("64×32 · 32×64"),
        "{}",
        stdout(&output)
    );
    let files = std::fs::read_dir(cache.join("products")).expect("a folder");
    let [file] = &files.flatten().collect::<Vec<_>>()[..] else {
        panic!("one file for the device");
    };
    let text = std::fs::read_to_string(file.path()).expect("reads");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert!(!found["products"].as_array().expect("a list").is_empty());
    let step = || {
        let mut step = on_vulkan("bench", &cache);
        step.args(["train-step", "--seconds", "0.1"])
            .args(sizes)
            .arg(&shape);
        stderr(&succeeds(&mut step))
    };
    assert!(!step().contains("products are computed by rule"));
    std::fs::write(file.path(), &text[..text.len() / 2]).expect("writes");
    assert!(step().contains("products are computed by rule"));
}
