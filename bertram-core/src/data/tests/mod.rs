//! Readers over all formats: what they read, what they refuse, and that nothing makes them panic.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::spec::{TaskId, TaskSpec};

mod cases;
mod line_numbers;
mod own;

const FORMATS: [Format; 3] = [Format::Cs224n, Format::Glue, Format::JsonLines];

fn read(
    bytes: &[u8],
    task: TaskId,
    format: Format,
    bad_rows: BadRows,
    columns: &Columns,
) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().expect("temp dir");
    let path: PathBuf = dir.path().join("file");
    std::fs::write(&path, bytes).expect("write");
    read_at(&path, task, format, bad_rows, columns)
}

fn read_at(
    path: &Path,
    task: TaskId,
    format: Format,
    bad_rows: BadRows,
    columns: &Columns,
) -> Result<Dataset, DataError> {
    read_dataset(
        path,
        &ReadOptions {
            task,
            spec: &TaskSpec::preset(task).expect("a preset"),
            format,
            columns,
            bad_rows,
            preprocess: Preprocess::None,
            labels: LabelColumn::Required,
            weights: false,
            label_numbers: None,
        },
    )
}

#[test]
fn every_format_gives_the_same_rows() {
    let course = b"\tid\tsentence1\tsentence2\tis_duplicate\n9\tq1\t\"a \"\"b\"\"\"\tc\t1.0\n";
    let glue = b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\nq1\t1\t2\ta \"b\"\tc\t1\n";
    let json = br#"{"id": "q1", "sentence1": "a \"b\"", "sentence2": "c", "label": 1}"#;
    let files: [(&[u8], Format); 3] = [
        (course, Format::Cs224n),
        (glue, Format::Glue),
        (json, Format::JsonLines),
    ];
    for (bytes, format) in files {
        let dataset = read(
            bytes,
            TaskId::PARA,
            format,
            BadRows::Error,
            &Columns::default(),
        )
        .expect("one good row");
        assert_eq!(
            dataset.examples,
            [Example {
                id: "q1".into(),
                text_a: "a \"b\"".into(),
                text_b: Some("c".into()),
                label: Some(1.0.into()),
                weight: 1.0,
            }],
            "{format:?}"
        );
    }
}

#[test]
fn columns_have_other_names_on_request() {
    let columns = Columns {
        text_a: Some("left".into()),
        text_b: Some("right".into()),
        label: Some("same".into()),
        ..Columns::default()
    };
    let json = br#"{"left": "a", "right": "b", "same": 0}"#;
    let dataset = read(
        json,
        TaskId::PARA,
        Format::JsonLines,
        BadRows::Error,
        &columns,
    )
    .expect("one good row");
    assert_eq!(
        dataset.examples[0].id, "1",
        "the line number stands in for an id"
    );
    let error = read(
        b"left\tright\na\tb\n",
        TaskId::PARA,
        Format::Glue,
        BadRows::Error,
        &columns,
    )
    .expect_err("no label column");
    let text = error.to_string();
    assert!(
        text.contains("no column \"same\"")
            && text.contains("\"left\", \"right\"")
            && text.contains("tasks.para.columns = { label = \"...\" }"),
        "{text}"
    );
}

#[test]
fn bad_rows_are_named_by_line_or_skipped() {
    let file = b"\tid\tsentence\tsentiment\n0\ta\tgood\t3\n1\tb\tbad\t5\n2\tc\t \t1\n3\td\t\"two\nlines\"\t2.5\n4\te\tfine\t4\n";
    let error = read(
        file,
        TaskId::SST,
        Format::Cs224n,
        BadRows::Error,
        &Columns::default(),
    )
    .expect_err("three bad rows");
    let text = error.to_string();
    for part in [
        "3 bad rows",
        "line 3: label 5 is not a class from 0 to 4",
        "line 4: no sentence",
        "line 5: label 2.5 is not a class",
        "data.bad-rows = \"skip\"",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let dataset = read(
        file,
        TaskId::SST,
        Format::Cs224n,
        BadRows::Skip,
        &Columns::default(),
    )
    .expect("two good rows");
    assert_eq!((dataset.examples.len(), dataset.skipped.len()), (2, 3));
}

#[test]
fn files_that_are_not_there_or_empty_are_named() {
    let spec = TaskSpec::preset(TaskId::SST).expect("a preset");
    let options = ReadOptions {
        task: TaskId::SST,
        spec: &spec,
        format: Format::Cs224n,
        columns: &Columns::default(),
        bad_rows: BadRows::Skip,
        preprocess: Preprocess::None,
        labels: LabelColumn::Required,
        weights: false,
        label_numbers: None,
    };
    let error = read_dataset(Path::new("no/such/file.csv"), &options).expect_err("not there");
    assert!(error.to_string().contains("no/such/file.csv"), "{error}");
    for format in FORMATS {
        let error =
            read(b"", TaskId::SST, format, BadRows::Skip, &Columns::default()).expect_err("empty");
        assert!(error.to_string().contains("no rows"), "{format:?}: {error}");
    }
}

#[test]
fn a_text_longer_than_any_sentence_is_a_bad_row() {
    let long = "film ".repeat(super::lines::MOST_TEXT / 5 + 1);
    let file = format!("\tid\tsentence\tsentiment\n0\ta\tgood\t1\n1\tb\t{long}\t1\n");
    let columns = Columns::default();
    let read = read(
        file.as_bytes(),
        TaskId::SST,
        Format::Cs224n,
        BadRows::Error,
        &columns,
    );
    let text = read.expect_err("too long").to_string();
    assert!(
        text.contains("line 3: the sentence has 1048580 bytes"),
        "{text}"
    );
}

/// A run reads its dev rows again at its end, where a pipe would hold it up.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_data_file() {
    let dir = tempfile::tempdir().expect("temp dir");
    let pipe = dir.path().join("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let columns = Columns::default();
    let read = read_at(&pipe, TaskId::SST, Format::Cs224n, BadRows::Error, &columns);
    let text = read.expect_err("no file").to_string();
    assert!(text.contains("pipe.csv: is a pipe or a device"), "{text}");
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), with_header: bool) {
        for format in FORMATS {
            for task in TaskId::PAPER {
                let mut file = Vec::new();
                if with_header {
                    file.extend_from_slice(b"\tid\tsentence\tsentence1\tsentence2\tsentiment\tis_duplicate\tsimilarity\n");
                }
                file.extend_from_slice(&bytes);
                for bad_rows in [BadRows::Error, BadRows::Skip] {
                    // Rows or an error with a message: nothing else.
                    if let Err(error) = read(&file, task, format, bad_rows, &Columns::default()) {
                        prop_assert!(!error.to_string().is_empty());
                    }
                }
            }
        }
    }
}
