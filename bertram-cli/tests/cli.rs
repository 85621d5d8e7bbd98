//! What the program says: help, errors and exit codes.

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{bertram, shown, stderr, stdout};

fn run(args: &[&str]) -> Output {
    bertram().args(args).output().expect("bertram-cli starts")
}

fn run_in(dir: &Path, args: &[&str]) -> Output {
    bertram()
        .current_dir(dir)
        .args(args)
        .output()
        .expect("bertram-cli starts")
}

#[test]
fn help() {
    insta::assert_snapshot!("help", shown(&run(&["--help"])));
    for command in [
        "train", "evaluate", "predict", "encode", "report", "compare",
    ] {
        insta::assert_snapshot!(format!("help_{command}"), shown(&run(&[command, "--help"])));
    }
    for (name, command) in [
        ("experiments_run", ["experiments", "run", "--help"]),
        ("experiments_ablate", ["experiments", "ablate", "--help"]),
        ("experiments_search", ["experiments", "search", "--help"]),
    ] {
        insta::assert_snapshot!(format!("help_{name}"), shown(&run(&command)));
    }
    for command in [
        &["backends"][..],
        &["experiments", "list"],
        &["export"],
        &["config", "list"],
        &["config", "show"],
        &["config", "init"],
        &["config", "validate"],
        &["data", "demo"],
        &["data", "describe"],
        &["completions"],
    ] {
        let output = run(&[command, &["--help"]].concat());
        assert!(output.status.success(), "{command:?}");
        assert!(
            stdout(&output).contains("Usage: bertram-cli"),
            "{command:?}"
        );
    }
}

/// A wrapped example cannot be copied into a shell.
#[test]
fn examples_are_not_wrapped() {
    for command in [
        &[][..],
        &["train"],
        &["evaluate"],
        &["predict"],
        &["encode"],
        &["report"],
        &["compare"],
        &["experiments", "run"],
        &["experiments", "ablate"],
        &["experiments", "search"],
        &["bench", "train-step"],
        &["bench", "evaluate"],
        &["bench", "kernels"],
        &["bench", "methods"],
        &["config", "show"],
        &["config", "init"],
        &["config", "validate"],
        &["data", "demo"],
        &["data", "describe"],
        &["completions"],
    ] {
        let help = stdout(&run(&[command, &["--help"]].concat()));
        let (_, examples) = help.split_once("Examples:\n").expect("examples");
        let examples = examples.split("\n\n").next().unwrap_or_default();
        for line in examples.lines() {
            assert!(line.starts_with("  "), "{command:?} wraps at {line:?}");
        }
        for command in examples.lines().filter(|line| line.contains("bertram-cli")) {
            assert!(command.len() < 100, "{command}");
        }
    }
}

#[test]
fn usage_errors_are_exit_code_2() {
    for args in [
        &[][..],
        &["trian"],
        &["train", "--resume", "x", "--seed", "1"],
        &["train", "--dashboard", "fancy"],
        &["predict", "--run", "x", "--task", "qqp"],
        &["encode", "--model", "x", "--batch-size", "0"],
        &["encode", "--model", "x", "--backend", "tpu"],
        &["evaluate"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stdout(&output).is_empty(), "{args:?}");
        assert!(!stderr(&output).contains("panicked"), "{args:?}");
    }
}

#[test]
fn config_validate_names_every_problem_of_every_file() {
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::write(
        dir.path().join("bad.toml"),
        "\
[model]
path = \"bert-base-uncased\"
pooling = \"max\"
poling = \"cls\"
[model.random]
hidden-size = 100
heads = 3
[data]
limit = 0
bad-rows = \"ignore\"
max_length = 64
[tasks.sst]
head = \"cosine\"
loss = \"mse\"
[tasks.qqp]
head = \"concat\"
[tasks.sts]
head = \"concat\"
loss = \"cosine-embedding\"
weight = -1
[train]
epochs = 2.5
batch-size = \"8\"
warmup = 10
[training]
seed = 1
",
    )
    .expect("write");
    std::fs::write(dir.path().join("good.toml"), "[train]\nepochs = 1\n").expect("write");
    std::fs::write(dir.path().join("broken.toml"), "[train\n").expect("write");
    let output = run_in(
        dir.path(),
        &[
            "config",
            "validate",
            "bad.toml",
            "broken.toml",
            "good.toml",
            "missing.toml",
        ],
    );
    insta::assert_snapshot!("config_validate", shown(&output));
}

#[test]
fn set_errors_name_the_argument() {
    let dir = tempfile::tempdir().expect("temp dir");
    let output = run_in(
        dir.path(),
        &[
            "train",
            "--set",
            "train.epoch=3",
            "--set",
            "tasks.sts.loss=bec",
            "--set",
            "train.seed",
        ],
    );
    insta::assert_snapshot!("set_errors", shown(&output));
    assert!(!dir.path().join("runs").exists(), "no run folder is left");
}

/// The default config is in the binary: it is there in an empty folder.
#[test]
fn the_built_in_config_is_used_where_none_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let output = run_in(dir.path(), &["train", "--set", "no.such=1"]);
    let text = stderr(&output);
    assert!(
        text.contains("1 problem in quickstart (built in)"),
        "{text}"
    );
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_backend_that_is_not_compiled_in() {
    let dir = tempfile::tempdir().expect("temp dir");
    let output = run_in(dir.path(), &["train", "--backend", "cuda"]);
    insta::assert_snapshot!("uncompiled_backend", shown(&output));
}

/// The machines that test this have no GPU, or the test of GPUs is another's.
#[cfg(feature = "cuda")]
#[test]
fn a_backend_without_a_device() {
    let output = run(&[
        "encode",
        "--model",
        ".",
        "--backend",
        "cuda",
        "--device",
        "99",
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("backend cuda"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_device_that_the_cpu_does_not_have() {
    let output = run(&[
        "encode",
        "--model",
        ".",
        "--backend",
        "ndarray",
        "--device",
        "1",
    ]);
    insta::assert_snapshot!("no_such_device", shown(&output));
}

#[test]
fn backends_are_listed_with_devices_and_speeds() {
    let output = run(&["backends"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    for backend in ["flex", "ndarray"] {
        let row = table
            .lines()
            .find(|line| line.trim_start().starts_with(backend))
            .unwrap_or_else(|| panic!("no {backend} in {table}"));
        assert!(row.contains("CPU") && row.contains("GFLOP/s"), "{row}");
        assert!(row.trim_end().ends_with("yes"), "{row}");
    }
    #[cfg(not(feature = "wgpu"))]
    assert!(
        table.contains("cargo build --release -p bertram-cli --features vulkan"),
        "{table}"
    );
}

#[test]
fn the_demo_corpus_is_written_once() {
    let dir = tempfile::tempdir().expect("temp dir");
    let demo = [
        "data",
        "demo",
        "--rows",
        "20",
        "--dev-rows",
        "5",
        "--out",
        "demo",
    ];
    let output = run_in(dir.path(), &demo);
    assert!(output.status.success(), "{}", stderr(&output));
    let written = stdout(&output);
    assert!(written.lines().count() >= 9, "{written}");
    for file in written.lines() {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    insta::assert_snapshot!("demo_into_a_full_folder", shown(&run_in(dir.path(), &demo)));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        assert!(stdout(&output).contains("validate"), "{shell}");
    }
}

/// `bertram-cli … | head -0` is no error.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().expect("temp dir");
    let config = dir.path().join("empty.toml");
    std::fs::write(&config, "").expect("write");
    let config = config.to_str().expect("UTF-8");
    for args in [
        &["completions", "bash"][..],
        &["config", "validate", config],
    ] {
        let mut child = Command::new(bertram().get_program())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bertram-cli starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

/// As root, replacing a device by renaming damages the machine.
#[cfg(unix)]
#[test]
fn output_into_a_pipe_or_through_a_link_leaves_both_as_they_are() {
    use std::os::unix::fs::{FileTypeExt, symlink};

    let dir = tempfile::tempdir().expect("temp dir");
    let path = |name: &str| dir.path().join(name);
    let made = Command::new("mkfifo").arg(path("pipe")).status();
    assert!(made.expect("mkfifo").success());
    symlink("page.html", path("link")).expect("link");
    std::fs::create_dir(path("runs")).expect("mkdir");
    let report = |out: &str| run_in(dir.path(), &["report", "runs", "--out", out]);
    // A folder without runs has no report; `data demo` writes none either, so a run of nothing will do.
    let trained = run_in(
        dir.path(),
        &[
            "train",
            "--out",
            "runs/a",
            "--set",
            "train.epochs=0",
            "--dashboard",
            "plain",
        ],
    );
    assert!(trained.status.success(), "{}", stderr(&trained));
    assert_eq!(report("link").status.code(), Some(0));
    assert!(path("link").is_symlink());
    assert!(
        std::fs::read_to_string(path("page.html"))
            .expect("page")
            .contains("<html")
    );
    let pipe = path("pipe");
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).expect("read"));
    assert_eq!(report("pipe").status.code(), Some(0));
    assert!(reader.join().expect("reader").contains("<html"));
    let kind = std::fs::metadata(path("pipe"))
        .expect("metadata")
        .file_type();
    assert!(kind.is_fifo());
}
