//! `config init`: a config for data files, guessed, and as good as one that was written by hand.
#![allow(clippy::print_stdout, reason = "a test that skips says so")]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};

use bertram_core::data::{Dataset, Split};
use bertram_core::task::{LabelKind, Metric};
use bertram_train::config::Settings;
use bertram_train::corpus::{TaskCorpus, read_corpus_again, with_labels};
use common::{bertram, refused, said, stderr};
use flate2::Compression;
use flate2::write::GzEncoder;

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    std::fs::write(path, text).expect("written");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text.as_bytes()).expect("packs");
    packer.finish().expect("packs")
}

const ALL: [Split; 3] = [Split::Train, Split::Dev, Split::Test];

fn load(config: &Path) -> Settings {
    let settings = Settings::load(config, &[]).expect("a config");
    with_labels(&settings).expect("labels").into_owned()
}

fn corpus(settings: &Settings) -> Vec<TaskCorpus> {
    read_corpus_again(settings, &ALL).expect("a corpus")
}

/// Identifier, texts and the label by its name of every row.
fn rows(
    task: &TaskCorpus,
    dataset: &Dataset,
) -> Vec<(String, String, Option<String>, Option<String>)> {
    let rows = dataset.examples.iter().map(|row| {
        let label = row
            .label
            .as_ref()
            .map(|label| task.spec.labels_text(label.numbers()));
        (
            row.id.clone(),
            row.text_a.clone(),
            row.text_b.clone(),
            label,
        )
    });
    rows.collect()
}

fn splits(task: &TaskCorpus) -> Vec<&Dataset> {
    [&task.train, &task.dev]
        .into_iter()
        .chain(&task.test)
        .collect()
}

fn own_tasks(dir: &Path) {
    let rows = ["--rows", "80", "--dev-rows", "20"];
    said(
        dir,
        &[&["data", "demo", "--own-tasks", "own"], &rows[..]].concat(),
    );
}

/// A model of a few seconds, in place of the recipe's.
const SMALL: [&str; 8] = [
    "--set",
    "model.random.layers=1",
    "--set",
    "model.random.hidden-size=32",
    "--set",
    "model.random.heads=2",
    "--set",
    "model.random.intermediate-size=64",
];

#[test]
fn generated_tasks_are_understood_and_trained() {
    let dir = tempfile::tempdir().expect("temp dir");
    own_tasks(dir.path());
    let files = [
        "own/nli/dev.csv",
        "own/nli/test.csv",
        "own/nli/train.csv",
        "own/reviews/train.jsonl",
        "own/reviews/dev.jsonl",
        "own/similarity/train.parquet",
        "own/similarity/dev.parquet",
        "own/similarity/test.parquet",
    ];
    let printed = said(dir.path(), &[&["config", "init"], &files[..]].concat());
    insta::assert_snapshot!(printed);
    let saved = said(
        dir.path(),
        &[&["config", "init", "--out", "own/my.toml"], &files[..]].concat(),
    );
    assert!(saved.starts_with("own/my.toml; check it with"), "{saved}");
    let text = std::fs::read_to_string(dir.path().join("own/my.toml")).expect("a config");
    // Beside its data, the config says short paths; moved elsewhere with it, it works.
    assert!(text.contains("train = \"nli/train.csv\""), "{text}");
    std::fs::rename(dir.path().join("own"), dir.path().join("moved")).expect("moved");

    let validated = said(
        dir.path(),
        &[&["config", "validate", "moved/my.toml"], &SMALL[..]].concat(),
    );
    assert!(
        validated.contains("first batch of each task"),
        "{validated}"
    );
    let train = [
        "train",
        "--config",
        "moved/my.toml",
        "--out",
        "run",
        "--dashboard",
        "none",
    ];
    let epochs = ["--set", "train.epochs=1"];
    said(dir.path(), &[&train[..], &SMALL, &epochs].concat());
    assert!(dir.path().join("run/summary.json").is_file());

    // The same rows as by the config that knows.
    let guessed = corpus(&load(&dir.path().join("moved/my.toml")));
    let known = load(&dir.path().join("moved/own-tasks.toml"));
    for (guessed, known) in guessed.iter().zip(&corpus(&known)) {
        assert_eq!(guessed.task, known.task);
        assert_eq!(guessed.spec.inputs, known.spec.inputs);
        let count = |task: &TaskCorpus| task.spec.labels.len();
        assert_eq!(count(guessed), count(known));
        for (guessed_rows, known_rows) in splits(guessed).iter().zip(splits(known)) {
            let labels = |task, dataset| -> Vec<_> {
                rows(task, dataset).into_iter().map(|row| row.3).collect()
            };
            assert_eq!(labels(guessed, guessed_rows), labels(known, known_rows));
        }
    }
    assert_eq!(guessed[1].spec.labels, ["bad", "good"]);
    assert_eq!(
        guessed[2].spec.label,
        LabelKind::Score { min: 0.0, max: 1.0 }
    );
}

/// The tasks that `config init` makes of a folder in the course's layout read the rows that the presets read.
fn assert_as_the_presets(folder: &Path, tasks: [&str; 3]) {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "csv"))
        .collect();
    files.sort();
    let config = dir.path().join("my.toml");
    let output = bertram()
        .args(["config", "init", "--out"])
        .arg(&config)
        .args(&files)
        .output()
        .expect("starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let guessed = load(&config);
    let sets = [
        format!(
            "data.dir={}",
            bertram_train::config::quoted(&folder.to_string_lossy())
        ),
        "data.bad-rows=skip".to_owned(),
    ];
    let presets = Settings::from_text("presets", "", &sets).expect("settings");
    let names: Vec<&str> = guessed.tasks.iter().map(|task| task.task.name()).collect();
    assert_eq!(names, tasks);
    let metrics: Vec<Metric> = guessed.tasks.iter().map(|task| task.spec.metric).collect();
    assert_eq!(
        metrics,
        [Metric::Accuracy, Metric::Accuracy, Metric::Pearson]
    );
    let presets = corpus(&presets);
    for (guessed, preset) in corpus(&guessed).iter().zip(&presets) {
        assert_eq!(guessed.spec.inputs, preset.spec.inputs);
        assert_eq!(guessed.spec.label, preset.spec.label);
        assert_eq!(splits(guessed).len(), splits(preset).len());
        for (guessed, preset) in splits(guessed).iter().zip(splits(preset)) {
            // Classes, yes and no, and scores are the same numbers, whatever the labels are called.
            assert_eq!(
                guessed.examples,
                preset.examples,
                "{}",
                guessed.path.display()
            );
            assert_eq!(guessed.skipped, preset.skipped);
            assert_eq!(guessed.sha256, preset.sha256);
        }
    }
}

#[test]
fn files_of_the_course_give_the_rows_of_the_presets() {
    let dir = tempfile::tempdir().expect("temp dir");
    said(
        dir.path(),
        &[
            "data",
            "demo",
            "--out",
            "demo",
            "--rows",
            "120",
            "--dev-rows",
            "30",
        ],
    );
    assert_as_the_presets(&dir.path().join("demo"), ["ids_sst", "quora", "sts"]);
}

#[test]
fn the_courses_own_files_give_the_rows_of_the_presets() {
    let folder = std::env::var_os("BERTRAM_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cs224n"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!(
            "skipped: no course data in {} (set BERTRAM_DATA)",
            folder.display()
        );
        return;
    }
    assert_as_the_presets(&folder, ["ids_sst", "quora", "sts"]);
}

#[test]
fn every_kind_of_file_gives_the_same_task() {
    let table = |delimiter: &str, quote: &str| {
        let mut text =
            [format!("{quote}text{quote}"), format!("{quote}mood{quote}")].join(delimiter);
        for row in 0..12 {
            let mood = ["calm", "glad", "sad"][row % 3];
            let cells = [
                format!("{quote}day {row} it was{quote}"),
                format!("{quote}{mood}{quote}"),
            ];
            text.push('\n');
            text.push_str(&cells.join(delimiter));
        }
        text + "\n"
    };
    let objects: String = (0..12)
        .map(|row| {
            let mood = ["calm", "glad", "sad"][row % 3];
            format!("{{\"text\": \"day {row} it was\", \"mood\": \"{mood}\"}}\n")
        })
        .collect();
    let mut first: Option<Vec<_>> = None;
    for (name, text) in [
        ("mood-train.csv", table(",", "")),
        ("mood-train.csv", table(";", "")),
        ("mood-train.csv", table("\t", "\"")),
        ("mood-train.tsv", table("\t", "")),
        ("mood-train.tsv", table("\t", "\"")),
        ("mood-train.jsonl", objects),
    ] {
        for packed in [false, true] {
            let dir = tempfile::tempdir().expect("temp dir");
            let name = match packed {
                true => format!("{name}.gz"),
                false => name.to_owned(),
            };
            let bytes = match packed {
                true => gzip(&text),
                false => text.clone().into_bytes(),
            };
            std::fs::write(dir.path().join(&name), bytes).expect("written");
            said(dir.path(), &["config", "init", &name, "--out", "my.toml"]);
            let validate = [&["config", "validate", "my.toml"], &SMALL[..]].concat();
            said(dir.path(), &validate);
            let corpus = corpus(&load(&dir.path().join("my.toml")));
            assert_eq!(corpus[0].spec.labels, ["calm", "glad", "sad"]);
            // Rows without an identifier have their lines.
            let rows: Vec<_> = rows(&corpus[0], &corpus[0].train)
                .into_iter()
                .map(|(_, text, second, label)| (text, second, label))
                .collect();
            assert_eq!(&rows, first.get_or_insert_with(|| rows.clone()), "{name}");
        }
    }
}

#[test]
fn several_labels_a_row_are_seen_in_tables_and_in_lists() {
    let sets: [&[&str]; 4] = [&["sport", "law"], &["art"], &[], &["law", "art"]];
    let row = |row: usize| (format!("what day {row} was like"), sets[row % 4]);
    let table: String = (0..16)
        .map(row)
        .map(|(text, labels)| format!("{text},{}\n", labels.join("|")))
        .collect();
    let objects: String = (0..16)
        .map(row)
        .map(|(text, labels)| format!("{}\n", serde_json::json!({"text": text, "topics": labels})))
        .collect();
    for (name, text) in [
        ("news-train.csv", format!("text,topics\n{table}")),
        ("news-train.jsonl", objects),
    ] {
        let dir = tempfile::tempdir().expect("temp dir");
        write(dir.path(), name, &text);
        said(dir.path(), &["config", "init", name, "--out", "my.toml"]);
        let corpus = corpus(&load(&dir.path().join("my.toml")));
        assert_eq!(corpus[0].spec.labels, ["art", "law", "sport"], "{name}");
        let numbers: Vec<_> = corpus[0].train.examples.iter().take(4).collect();
        let numbers: Vec<&[f32]> = numbers
            .iter()
            .map(|row| row.label.as_ref().expect("labels").numbers())
            .collect();
        assert_eq!(
            numbers,
            [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0; 3], [1.0, 1.0, 0.0]],
            "{name}"
        );
    }
}

#[test]
fn rows_that_cannot_be_read_are_said_and_left_out() {
    let dir = tempfile::tempdir().expect("temp dir");
    let row = |number: usize| format!("the row {number},{}\n", ["no", "yes"][number % 2]);
    let rows: String = (0..12).map(row).collect();
    write(
        dir.path(),
        "x-train.csv",
        &format!("text,label\n{rows}a row,\nanother,no,1\n"),
    );
    write(dir.path(), "x-dev.csv", &format!("text,label\n{rows}"));
    let text = said(dir.path(), &["config", "init", "x-train.csv", "x-dev.csv"]);
    let line = text.lines().find(|line| line.starts_with("bad-rows"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.starts_with("bad-rows = \"skip\"")
            && line.contains("x-train.csv: 2 rows cannot be read (line 14: no label"),
        "{line}"
    );
    write(dir.path(), "my.toml", &text);
    said(
        dir.path(),
        &[&["config", "validate", "my.toml"], &SMALL[..]].concat(),
    );
}

#[test]
fn a_file_without_labels_is_one_of_test_rows() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows: String = (0..12)
        .map(|row| format!("the row {row},{}\n", row % 3))
        .collect();
    write(dir.path(), "x.csv", &format!("words,label\n{rows}"));
    write(
        dir.path(),
        "x/dev.csv",
        "words\nto be told\nto be told too\n",
    );
    let text = said(dir.path(), &["config", "init", "x.csv", "x/dev.csv"]);
    assert!(text.contains("test = \"x/dev.csv\""), "{text}");
    assert!(text.contains("2 rows, no labels"), "{text}");
    assert!(
        text.contains("without dev rows the task is not scored"),
        "{text}"
    );
    assert!(text.contains("labels = [\"0\", \"1\", \"2\"]"), "{text}");
    write(dir.path(), "my.toml", &text);
    said(
        dir.path(),
        &[&["config", "validate", "my.toml"], &SMALL[..]].concat(),
    );
}

#[test]
fn a_task_with_the_name_of_a_preset_is_read_as_its_files_are() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows: String = (0..60)
        .map(|row| format!("one {row},other {row},{}.5\n", row % 5))
        .collect();
    write(
        dir.path(),
        "sts-train.csv",
        &format!("sentence1,sentence2,label\n{rows}"),
    );
    let rows: String = (0..12)
        .map(|row| {
            format!(
                "{{\"sentence\": \"no {row} here\", \"label\": {}}}\n",
                row % 2
            )
        })
        .collect();
    write(dir.path(), "cola-train.jsonl", &rows);
    said(
        dir.path(),
        &[
            "config",
            "init",
            "sts-train.csv",
            "cola-train.jsonl",
            "--out",
            "my.toml",
        ],
    );
    said(
        dir.path(),
        &[&["config", "validate", "my.toml"], &SMALL[..]].concat(),
    );
    let corpus = corpus(&load(&dir.path().join("my.toml")));
    assert_eq!(
        (
            corpus[0].train.examples.len(),
            corpus[1].train.examples.len()
        ),
        (60, 12)
    );
}

#[test]
fn large_tasks_take_as_many_rows_of_an_epoch_as_others() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, rows) in [("a", 10), ("b", 20), ("c", 50)] {
        let rows: String = (0..rows)
            .map(|row| format!("row {row} of it,{}\n", row % 2))
            .collect();
        write(
            dir.path(),
            &format!("{name}-train.csv"),
            &format!("text,label\n{rows}"),
        );
    }
    let init = ["config", "init", "a-train.csv", "b-train.csv"];
    let text = said(dir.path(), &init);
    assert!(!text.contains("limit"), "{text}");
    let text = said(dir.path(), &[&init[..], &["c-train.csv"]].concat());
    assert_eq!(text.matches("\nlimit = 20 ").count(), 1, "{text}");
    assert!(text.contains("limit-draw = \"fresh\""), "{text}");
}

#[test]
fn what_cannot_be_understood_is_said_with_what_to_write() {
    let dir = tempfile::tempdir().expect("temp dir");
    let labelled = |header: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..12).map(|number| row(number) + "\n").collect();
        format!("{header}\n{rows}")
    };
    write(
        dir.path(),
        "plain.csv",
        &labelled("text,label", &|row| format!("the row {row},{}", row % 2)),
    );
    write(
        dir.path(),
        "one.csv",
        "text\nthe first row\nthe second row\n",
    );
    write(
        dir.path(),
        "open.csv",
        &labelled("text,one,two", &|row| {
            format!("the row {row},{},{}", row % 2, row % 3)
        }),
    );
    write(
        dir.path(),
        "same.csv",
        &labelled("text,label", &|row| format!("the row {row},yes")),
    );
    write(dir.path(), "bars.tsv", "text|label\na b|1\n");
    write(dir.path(), "x-dev.csv", "text,label\na b c,1\n");
    write(dir.path(), "x.txt", "text\n");
    write(dir.path(), "quote.csv", "text,label\n\"a b,1\n");
    write(
        dir.path(),
        "y-train.csv",
        &labelled("text,label", &|row| format!("the row {row},{}", row % 2)),
    );
    write(dir.path(), "y-dev.csv", "words,label\na b,1\n");
    write(dir.path(), "there.toml", "");
    std::fs::create_dir(dir.path().join("folder")).expect("a folder");
    for (args, parts) in [
        (
            &["one.csv"][..],
            &["there is no column of labels", "[tasks.one]"][..],
        ),
        (
            &["open.csv"],
            &[
                "the labels may be in any of \"one\" and \"two\"",
                "[tasks.open]",
            ],
        ),
        (&["same.csv"], &["\"label\", has \"yes\" in every row"]),
        (&["bars.tsv"], &["separated by something else"]),
        (&["x-dev.csv"], &["no file of training rows", "x-train.csv"]),
        (&["x.txt"], &["its ending says no format", ".csv"]),
        (&["quote.csv"], &["line 2", "a quote opens a field"]),
        (
            &["y-train.csv", "y-dev.csv"],
            &["y-dev.csv", "no column \"text\", which y-train.csv has"],
        ),
        (&["plain.csv", "plain.csv"], &["would both be", "plain"]),
        (&["folder"], &["is a folder", "*.csv"]),
        (&["nowhere.csv"], &["no such file"]),
        (
            &["plain.csv", "nowhere.csv"],
            &["nowhere.csv", "no such file"],
        ),
        (
            &["plain.csv", "quickstart"],
            &["quickstart", "no such file"],
        ),
        (&["plain.csv", "there.toml"], &["there.toml is a config"]),
        (
            &["plain.csv", "--out", "there.toml"],
            &["there.toml is there already"],
        ),
        (&["plain.csv", "--out", "no/my.toml"], &["no such folder"]),
    ] {
        let error = refused(dir.path(), &[&["config", "init"], args].concat());
        for part in parts {
            assert!(error.contains(part), "{args:?}: no {part:?} in {error}");
        }
    }
    assert_eq!(
        std::fs::read(dir.path().join("there.toml")).expect("there"),
        b""
    );
}

#[test]
fn a_recipe_is_written_as_one_file() {
    let dir = tempfile::tempdir().expect("temp dir");
    said(dir.path(), &["config", "init", "e11", "--out", "my.toml"]);
    let text = std::fs::read_to_string(dir.path().join("my.toml")).expect("a config");
    assert!(
        text.starts_with("# bertram-cli train --config my.toml --data DATA\n"),
        "{text}"
    );
    assert!(!text.contains("extends"), "{text}");
    let e11 = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/experiments/e11.toml");
    let here = Settings::load(&dir.path().join("my.toml"), &[]).expect("a config");
    assert_eq!(here, Settings::load(&e11, &[]).expect("a config"));
    let printed = said(dir.path(), &["config", "init", "quickstart"]);
    let shown = said(dir.path(), &["config", "show", "quickstart"]);
    assert_eq!(printed, shown.replace("configs/quickstart.toml", "FILE"));
    let error = refused(dir.path(), &["config", "init", "e15"]);
    assert!(error.contains("no recipe of that name"), "{error}");
}
