//! `data describe`, and what training says of rows that are scored and also learnt from.

mod common;

use std::path::Path;
use std::process::Output;

use common::{bertram, run_in, stderr, stdout};
use serde_json::Value;

fn works(dir: &Path, args: &[&str]) -> Output {
    let output = run_in(dir, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    output
}

/// Pairs with two labels, of which some come again; and a model that is small.
fn write(dir: &Path) {
    std::fs::write(
        dir.join("my.toml"),
        "[model.random]\nlayers = 1\nhidden-size = 32\nheads = 2\nintermediate-size = 64\nvocab-size = 200\n\
         [data]\nmax-length = 8\n\
         [tasks.same]\ninputs = \"pair\"\nbinary = [\"no\", \"yes\"]\nhead = \"cross-encoder\"\n\
         train = \"train.csv\"\ndev = \"dev.csv\"\ntest = \"test.csv\"\n\
         [train]\nepochs = 1\n",
    )
    .expect("written");
    let rows: String = (0..10)
        .map(|row| {
            format!(
                "a cat {row},a dog,{}\n",
                ["no", "yes"][usize::from(row > 6)]
            )
        })
        .collect();
    let header = "sentence1,sentence2,label\n";
    // Twice the same pair, once in the other order.
    let train = format!("{header}{rows}a dog,a cat 3,no\na cat 4,a dog,yes\n");
    std::fs::write(dir.join("train.csv"), train).expect("written");
    let dev = format!("{header}a dog,a cat 5,no\na fox,a dog,yes\na fox,,yes\n");
    std::fs::write(dir.join("dev.csv"), dev).expect("written");
    std::fs::write(
        dir.join("test.csv"),
        "sentence1,sentence2\na long cat that sleeps on a roof,a fox\na dog,a dog\n",
    )
    .expect("written");
}

const CONFIG: [&str; 4] = ["data", "describe", "--config", "my.toml"];

#[test]
fn rows_lengths_labels_and_repeats_are_counted() {
    let dir = tempfile::tempdir().expect("temp dir");
    write(dir.path());
    let output = works(dir.path(), &CONFIG);
    let folder = dir.path().display().to_string();
    insta::assert_snapshot!(stdout(&output).replace(&folder, "DIR"));
    let output = works(dir.path(), &[&CONFIG[..], &["--format", "json"]].concat());
    let tasks: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let splits = &tasks[0]["splits"];
    assert_eq!(tasks[0]["task"], "same");
    let numbers = |split: usize, key: &str| splits[split][key].clone();
    assert_eq!(
        [0, 1, 2].map(|split| numbers(split, "rows").as_u64()),
        [Some(12), Some(2), Some(2)]
    );
    assert_eq!(
        [0, 1, 2].map(|split| numbers(split, "repeated").as_u64()),
        [Some(2), Some(0), Some(0)]
    );
    assert_eq!(
        [0, 1, 2].map(|split| numbers(split, "in_train").as_u64()),
        [None, Some(1), Some(0)]
    );
    assert_eq!(splits[1]["bad_rows"][0]["line"], 4);
    assert_eq!(splits[0]["labels"]["counts"]["yes"], 4);
    assert_eq!(splits[2]["labels"]["unlabelled"], 2);
    let tokens = &splits[2]["tokens"];
    assert_eq!(tokens["sequences"], 2);
    assert_eq!(tokens["max_length"], 8);
    assert_eq!(tokens["truncated"], 1);
    assert_eq!(tokens["truncated_share"], 0.5);
}

#[test]
fn training_warns_once_of_rows_that_are_scored_and_learnt_from() {
    let dir = tempfile::tempdir().expect("temp dir");
    write(dir.path());
    let train = [
        "train",
        "--config",
        "my.toml",
        "--dashboard",
        "none",
        "--set",
        "data.bad-rows=skip",
    ];
    let warning = "1 of 2 dev rows of same are also in train";
    let output = works(dir.path(), &[&train[..], &["--out", "leak"]].concat());
    assert_eq!(
        stderr(&output).matches(warning).count(),
        1,
        "{}",
        stderr(&output)
    );
    let output = run_in(
        dir.path(),
        &[
            "config",
            "validate",
            "my.toml",
            "--set",
            "data.bad-rows=skip",
        ],
    );
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    let output = works(dir.path(), &CONFIG);
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));

    // Without these rows there is nothing to say.
    std::fs::write(
        dir.path().join("dev.csv"),
        "sentence1,sentence2,label\na fox,a dog,yes\n",
    )
    .expect("written");
    let output = works(dir.path(), &[&train[..], &["--out", "clean"]].concat());
    assert!(
        !stderr(&output).contains("also in train"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn generated_rows_come_again_and_training_does_not_warn_of_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows = [
        "--set",
        "data.demo.sst=200",
        "--set",
        "data.demo.para=50",
        "--set",
        "data.demo.sts=50",
    ];
    let output = works(dir.path(), &[&["data", "describe"], &rows[..]].concat());
    let text = stdout(&output);
    assert!(text.contains("come again in all splits"), "{text}");
    assert!(
        !stderr(&output).contains("also in train"),
        "{}",
        stderr(&output)
    );
    let small = [
        "--set",
        "train.epochs=1",
        "--set",
        "model.random.layers=1",
        "--set",
        "data.demo.dev=40",
    ];
    let train = ["train", "--dashboard", "none", "--out", "run"];
    let output = works(dir.path(), &[&train[..], &rows, &small].concat());
    assert!(
        !stderr(&output).contains("also in train"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_a_run_would_refuse_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (args, part) in [
        (&["--data", "nowhere"][..], "there is no such folder"),
        (
            &["--model", "nowhere/to/be"],
            "neither a folder nor a hub id",
        ),
        (&["--set", "data.max-length=x"], "data.max-length"),
        (&["--config", "nothing"], "no recipe of that name"),
    ] {
        let output = run_in(dir.path(), &[&["data", "describe"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(part),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    // A model that only the config names, and that cannot be had: the rest is said.
    let output = bertram()
        .current_dir(dir.path())
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", dir.path().join("cache"))
        .args(["data", "describe", "--config", "minilm-cpu"])
        .output()
        .expect("starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("lengths in tokens are left out"),
        "{}",
        stderr(&output)
    );
    assert!(!stdout(&output).contains("90 %"), "{}", stdout(&output));
}

#[test]
fn what_an_epoch_takes_of_each_label_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    write(dir.path());
    let describe = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let args: Vec<&str> = CONFIG.into_iter().chain(sets).collect();
        let text = stdout(&works(dir.path(), &args));
        let said = text.lines().find(|line| line.contains("an epoch takes"));
        said.unwrap_or_default().to_owned()
    };
    let balanced = "tasks.same.label-shares=balanced";
    assert_eq!(
        describe(&[balanced]),
        "same: an epoch takes 8 of 12 rows (no 4, yes 4)"
    );
    assert_eq!(
        describe(&["tasks.same.label-shares=[0.5, 1]", "data.limit=6"]),
        "same: an epoch takes 6 of 12 rows, drawn of the 8 that label-shares leave (no 4, yes 4)"
    );
    let args = [&CONFIG[..], &["--format", "json", "--set", balanced]].concat();
    let tasks: Value = serde_json::from_str(&stdout(&works(dir.path(), &args))).expect("JSON");
    let splits = &tasks[0]["splits"];
    assert_eq!(splits[0]["epoch"]["rows"], 8);
    assert_eq!(splits[0]["epoch"]["counts"]["no"], 4);
    assert!(splits[1].get("epoch").is_none(), "of training rows alone");
}
