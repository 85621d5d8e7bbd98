//! Parquet files of pyarrow and `datasets` (`golden/parquet/export.py`): their rows here are those that Python reads back.

use std::path::{Path, PathBuf};

use bertram_core::data::{
    BadRows, Columns, DataError, Dataset, Format, LabelColumn, LabelNumbers, Preprocess,
    ReadOptions, read_dataset, read_texts,
};
use bertram_core::task::{Inputs, LabelKind, Metric, TaskId, TaskSpec};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/parquet")
}

fn golden() -> Value {
    let text = std::fs::read_to_string(folder().join("rows.json")).expect("rows");
    serde_json::from_str(&text).expect("JSON")
}

fn spec(label: LabelKind, labels: &[&str]) -> TaskSpec {
    TaskSpec {
        title: "mine".into(),
        inputs: Inputs::Pair,
        label,
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        metric: Metric::of(label)[0],
        preset: None,
    }
}

fn columns(label: &str) -> Columns {
    Columns {
        text_a: Some("premise".into()),
        text_b: Some("hypothesis".into()),
        label: Some(label.into()),
        ..Columns::default()
    }
}

fn options<'a>(spec: &'a TaskSpec, columns: &'a Columns) -> ReadOptions<'a> {
    ReadOptions {
        task: TaskId::new("mine").expect("a name"),
        spec,
        format: Format::Parquet,
        columns,
        bad_rows: BadRows::Error,
        preprocess: Preprocess::None,
        labels: LabelColumn::Required,
        weights: true,
        label_numbers: None,
    }
}

fn labels(rows: &Dataset) -> Vec<f32> {
    rows.examples
        .iter()
        .filter_map(|row| row.number())
        .collect()
}

const NLI: LabelKind = LabelKind::Classes { classes: 3 };

#[test]
fn rows_are_those_that_python_reads_back() {
    let golden = golden();
    let expected = golden["rows"].as_array().expect("rows");
    let columns = columns("score");
    let scores = spec(LabelKind::Score { min: 0.0, max: 5.0 }, &["likeness"]);
    let files = [
        "snappy",
        "zstd",
        "gzip",
        "lz4",
        "plain",
        "delta",
        "v2-groups",
        "large-strings",
    ];
    for name in files {
        let path = folder().join(format!("{name}.parquet"));
        let read = read_dataset(&path, &options(&scores, &columns)).expect(name);
        assert_eq!(read.examples.len(), expected.len(), "{name}");
        for (row, expected) in read.examples.iter().zip(expected) {
            assert_eq!(
                row.text_a,
                expected["premise"].as_str().expect("text"),
                "{name}"
            );
            assert_eq!(
                row.text_b.as_deref(),
                expected["hypothesis"].as_str(),
                "{name}"
            );
            let score = expected["score"].as_f64().expect("score") as f32;
            assert_eq!(row.number(), Some(score), "{name}");
        }
        assert_eq!(
            read.examples[3].id, "4",
            "{name}: a row's number stands in for its id"
        );
    }
}

#[test]
fn numbered_classes_have_the_names_that_the_file_says() {
    let path = folder().join("datasets.parquet");
    let columns = columns("label");
    // In another order than in the file: only the names say which is which.
    let nli = spec(NLI, &["contradiction", "neutral", "entailment"]);
    let golden = golden();
    let rows = golden["rows"].as_array().expect("rows");
    let numbers: Vec<f32> = rows
        .iter()
        .map(|row| row["label"].as_f64().expect("a class") as f32)
        .collect();
    let turned: Vec<f32> = numbers.iter().map(|number| 2.0 - number).collect();
    let read = read_dataset(&path, &options(&nli, &columns)).expect("by name");
    assert_eq!(labels(&read), turned);

    let by_number = ReadOptions {
        label_numbers: Some(LabelNumbers::From0),
        ..options(&nli, &columns)
    };
    let read = read_dataset(&path, &by_number).expect("by number");
    assert_eq!(labels(&read), numbers, "the config goes over the file");

    let other = spec(NLI, &["yes", "maybe", "no"]);
    let error = read_dataset(&path, &options(&other, &columns)).expect_err("other names");
    assert!(
        error
            .to_string()
            .contains("row 1: label \"entailment\" is none of"),
        "{error}"
    );

    // The hub's test splits have -1 everywhere.
    let test = ReadOptions {
        labels: LabelColumn::Optional,
        ..options(&nli, &columns)
    };
    let read = read_dataset(&folder().join("datasets-test.parquet"), &test).expect("a test file");
    assert_eq!((read.examples.len(), labels(&read).len()), (15, 0));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let nli = spec(NLI, &["entailment", "neutral", "contradiction"]);
    let other = Columns {
        text_a: Some("question".into()),
        ..columns("label")
    };
    let error = read_dataset(&folder().join("plain.parquet"), &options(&nli, &other))
        .expect_err("no such column")
        .to_string();
    for part in ["question", "premise", "hypothesis", "tasks.mine.columns"] {
        assert!(error.contains(part), "{part}: {error}");
    }

    let bytes = std::fs::read(folder().join("plain.parquet")).expect("bytes");
    let columns = columns("label");
    let table = ReadOptions {
        format: Format::Csv,
        ..options(&nli, &columns)
    };
    let error = read_texts(Path::new("x.csv"), &bytes, &table).expect_err("no table");
    assert!(
        error
            .to_string()
            .contains("tasks.mine.format = \"parquet\""),
        "{error}"
    );

    for cut in [0, 3, 4, 100, bytes.len() - 1] {
        let error = read_texts(Path::new("x"), &bytes[..cut], &options(&nli, &columns));
        assert!(
            matches!(error, Err(DataError::Parquet { .. })),
            "{cut}: {error:?}"
        );
    }
}

/// A byte of each file changed, anywhere: rows or an error, and never a panic.
#[test]
fn broken_files_are_refused_or_read() {
    let nli = spec(NLI, &["entailment", "neutral", "contradiction"]);
    let columns = columns("label");
    for name in [
        "snappy",
        "zstd",
        "gzip",
        "lz4",
        "delta",
        "v2-groups",
        "datasets",
    ] {
        let whole = std::fs::read(folder().join(format!("{name}.parquet"))).expect("bytes");
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let _ = read_texts(Path::new("x"), &bytes, &options(&nli, &columns));
            }
        }
    }
}
