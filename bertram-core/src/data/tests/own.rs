//! Files of tasks that are no presets.

use std::io::Write;

use super::*;
use crate::spec::{Inputs, LabelKind, Metric};

fn nli() -> TaskSpec {
    TaskSpec {
        title: "nli".into(),
        inputs: Inputs::Pair,
        label: LabelKind::Classes { classes: 3 },
        labels: ["yes", "maybe", "no"].map(str::to_owned).into(),
        metric: Metric::Accuracy,
        preset: None,
    }
}

fn read_own(name: &str, bytes: &[u8], columns: &Columns) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("write");
    read_dataset(
        &path,
        &ReadOptions {
            task: TaskId::new("nli").expect("a name"),
            spec: &nli(),
            format: Format::of_ending(&path).expect("a format"),
            columns,
            bad_rows: BadRows::Error,
            preprocess: Preprocess::None,
            labels: LabelColumn::Required,
            weights: true,
            label_numbers: None,
        },
    )
}

/// Reads a file of single sentences.
fn read_single(
    spec: &TaskSpec,
    name: &str,
    text: &str,
    change: impl Fn(ReadOptions<'_>) -> ReadOptions<'_>,
) -> Result<(Dataset, Vec<String>), DataError> {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("write");
    let columns = Columns::default();
    let options = ReadOptions {
        task: TaskId::new("mine").expect("a name"),
        spec,
        format: Format::of_ending(&path).expect("a format"),
        columns: &columns,
        bad_rows: BadRows::Error,
        preprocess: Preprocess::None,
        labels: LabelColumn::Required,
        weights: true,
        label_numbers: None,
    };
    read_dataset_noting(&path, &change(options))
}

fn single(labels: &[&str]) -> TaskSpec {
    TaskSpec {
        inputs: Inputs::Single,
        label: match labels.len() {
            2 => LabelKind::Binary,
            classes => LabelKind::Classes { classes },
        },
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..nli()
    }
}

fn rows_of(labels: &[&str]) -> String {
    labels
        .iter()
        .fold("text,label\n".to_owned(), |text, label| {
            format!("{text}a film,{label}\n")
        })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn every_format_and_delimiter_gives_the_same_rows() {
    let columns = Columns {
        text_a: Some("premise".into()),
        text_b: Some("hypothesis".into()),
        label: Some("gold".into()),
        ..Columns::default()
    };
    let comma = b"premise,hypothesis,gold\n\"a, b\",c,maybe\n";
    let semicolon = b"premise;hypothesis;gold\r\na, b;c;maybe\r\n";
    let tab = b"\xEF\xBB\xBFpremise\thypothesis\tgold\n\na, b\tc\tmaybe\n";
    let json = b"{\"premise\": \"a, b\", \"hypothesis\": \"c\", \"gold\": \"maybe\"}\n";
    for (name, bytes) in [
        ("a.csv", &comma[..]),
        ("b.csv", semicolon),
        ("c.csv", tab),
        ("d.tsv", tab),
        ("e.jsonl", json),
        ("f.csv.gz", &gzip(semicolon)),
        ("g.jsonl.gz", &gzip(json)),
    ] {
        let read = read_own(name, bytes, &columns).unwrap_or_else(|error| panic!("{error}"));
        let row = &read.examples[0];
        assert_eq!(
            (row.text_a.as_str(), row.text_b.as_deref(), row.number()),
            ("a, b", Some("c"), Some(1.0)),
            "{name}"
        );
        assert_eq!(read.examples.len(), 1, "{name}");
    }
    let error = read_own("h.csv.gz", &gzip(comma)[..20], &columns).expect_err("cut off");
    assert!(error.to_string().contains("cannot be unpacked"), "{error}");
}

#[test]
fn standard_names_need_no_columns() {
    let none = Columns::default();
    for (name, text) in [
        ("a.csv", "sentence1,sentence2,label\na,b,no\n"),
        ("b.csv", "id,text_a,text_b,label\n7,a,b,no\n"),
        (
            "c.jsonl",
            "{\"text-a\": \"a\", \"text-b\": \"b\", \"label\": \"no\"}\n",
        ),
    ] {
        let read = read_own(name, text.as_bytes(), &none).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.examples[0].number(), Some(2.0), "{name}");
    }
    let error = read_own("d.csv", b"a,b,label\nx,y,no\n", &none).expect_err("no columns");
    let text = error.to_string();
    assert!(
        text.contains("no column \"sentence1\"") && text.contains("tasks.nli.columns = { text-a"),
        "{text}"
    );
}

#[test]
fn numbers_for_names_are_read_where_they_leave_no_doubt() {
    use LabelNumbers::{From0, From1, Meaningless};
    let three = single(&["bad", "ok", "good"]);
    let two = single(&["no", "yes"]);
    let numbered = single(&["1", "3", "5"]);
    type Outcome = Result<&'static [f32], &'static [&'static str]>;
    let cases: [(&TaskSpec, &[&str], Option<LabelNumbers>, Outcome); 16] = [
        (&three, &["0", "1", "2"], None, Ok(&[0.0, 1.0, 2.0])),
        (&three, &["0", "1"], None, Ok(&[0.0, 1.0])),
        (&three, &["1", "3", "2"], None, Ok(&[0.0, 2.0, 1.0])),
        (&three, &["3.0", "2"], None, Ok(&[2.0, 1.0])),
        (
            &three,
            &["bad", "Good", "2", "0"],
            None,
            Ok(&[0.0, 2.0, 2.0, 0.0]),
        ),
        (
            &three,
            &["1", "2"],
            None,
            Err(&[
                "from 1 (line 2) to 2 (line 3)",
                "tasks.mine.labels has 3 names",
                "counted from 0, 1 is \"ok\"; counted from 1, 1 is \"bad\"",
                "tasks.mine.label-numbers = \"from-0\" or \"from-1\"",
            ]),
        ),
        (&three, &["1", "2"], Some(From0), Ok(&[1.0, 2.0])),
        (&three, &["1", "2"], Some(From1), Ok(&[0.0, 1.0])),
        (
            &three,
            &["1", "3"],
            Some(From0),
            Err(&[
                "from 0 to 2",
                "They fit tasks.mine.label-numbers = \"from-1\"",
            ]),
        ),
        (
            &three,
            &["-1", "0", "1"],
            None,
            Err(&[
                "from 0 to 2 or from 1 to 3",
                "tasks.mine.labels = [\"-1\", \"0\", \"1\"]",
            ]),
        ),
        (&three, &["0", "3"], None, Err(&["Mend the file"])),
        (
            &three,
            &["0", "0.5", "2"],
            None,
            Err(&["(line 3: 0.5)", "tasks.mine.score"]),
        ),
        (
            &three,
            &["1", "ok"],
            Some(Meaningless),
            Err(&["label \"1\" is none of"]),
        ),
        (&two, &["1", "2"], None, Ok(&[0.0, 1.0])),
        (
            &two,
            &["-1", "1"],
            None,
            Err(&["tasks.mine.binary = [\"-1\", \"1\"]"]),
        ),
        (&numbered, &["1", "5.0", "3"], None, Ok(&[0.0, 2.0, 1.0])),
    ];
    for (spec, labels, label_numbers, outcome) in cases {
        // What is left out must not hide that all others are shifted by one.
        for bad_rows in [BadRows::Error, BadRows::Skip] {
            if bad_rows == BadRows::Skip && label_numbers == Some(Meaningless) {
                continue;
            }
            let read = read_single(spec, "a.csv", &rows_of(labels), |options| ReadOptions {
                bad_rows,
                label_numbers,
                ..options
            });
            match (read, outcome) {
                (Ok((read, _)), Ok(classes)) => {
                    let found: Vec<f32> = read
                        .examples
                        .iter()
                        .filter_map(|row| row.number())
                        .collect();
                    assert_eq!(found, classes, "{labels:?}");
                }
                (Err(error), Err(parts)) => {
                    let text = error.to_string();
                    for part in parts {
                        assert!(text.contains(part), "{labels:?}: no {part:?} in {text}");
                    }
                }
                (read, _) => panic!("{labels:?} {label_numbers:?}: {read:?}"),
            }
        }
    }
    let (_, notes) = read_single(&three, "a.csv", &rows_of(&["1", "3"]), |it| it).expect("read");
    assert!(
        notes.iter().any(|note| note.contains("counted from 1")),
        "{notes:?}"
    );
    // -1 in a test file is none.
    let (test, _) = read_single(&three, "a.csv", &rows_of(&["-1", "-1"]), |options| {
        ReadOptions {
            labels: LabelColumn::Optional,
            ..options
        }
    })
    .expect("read");
    assert!(test.examples.iter().all(|row| row.label.is_none()));
}

#[test]
fn numbers_of_glue_presets_are_those_of_the_hub() {
    // https://huggingface.co/datasets/nyu-mll/glue: of rte and qnli 0 is entailment, of wnli 1 is.
    for (task, labels) in [
        ("rte", ["entailment", "not_entailment"]),
        ("qnli", ["entailment", "not_entailment"]),
        ("wnli", ["not_entailment", "entailment"]),
        ("mnli", ["entailment", "neutral"]),
    ] {
        let task = TaskId::new(task).expect("a name");
        let spec = TaskSpec::preset(task).expect("a preset");
        for (number, name) in labels.into_iter().enumerate() {
            let json =
                format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": {number}}}\n");
            let read = read(
                json.as_bytes(),
                task,
                Format::JsonLines,
                BadRows::Error,
                &Columns::default(),
            )
            .unwrap_or_else(|error| panic!("{error}"));
            let label = read.examples[0].number().expect("a label");
            assert_eq!(spec.label_text(f64::from(label)), name, "{task}: {number}");
        }
    }
    // Other names for these labels leave the hub's numbers open.
    let rte = TaskSpec {
        labels: vec!["no".into(), "yes".into()],
        ..TaskSpec::clone(&TaskSpec::preset(TaskId::new("rte").expect("a name")).expect("a preset"))
    };
    let pairs = "sentence1,sentence2,label\na,b,0\na,b,1\n";
    let error = read_single(&rte, "a.csv", pairs, |it| it).expect_err("open");
    assert!(error.to_string().contains("label-numbers"), "{error}");
}

#[test]
fn rows_to_predict_are_read_by_the_tasks_columns_and_labels_are_not_looked_at() {
    fn to_predict(options: ReadOptions<'_>) -> ReadOptions<'_> {
        ReadOptions {
            labels: LabelColumn::Ignored,
            ..options
        }
    }
    let mine = single(&["bad", "good"]);
    for (name, text) in [
        ("a.csv", "id,text,label\n7,a film,0.58\n8,a cat,\n"),
        ("a.tsv", "sentence\tgold\na film\t1\na cat\t2\n"),
        (
            "a.jsonl",
            "{\"text\": \"a film\", \"label\": [1]}\n\n{\"sentence\": \"a cat\"}\n",
        ),
    ] {
        let (read, _) =
            read_single(&mine, name, text, to_predict).unwrap_or_else(|error| panic!("{error}"));
        let texts: Vec<&str> = read
            .examples
            .iter()
            .map(|row| row.text_a.as_str())
            .collect();
        assert_eq!(texts, ["a film", "a cat"], "{name}");
        assert!(read.examples.iter().all(|row| row.label.is_none()));
    }
    // A preset's own names do as well as the standard ones.
    let qnli = TaskSpec::preset(TaskId::new("qnli").expect("a name")).expect("a preset");
    for keys in ["question sentence", "sentence1 sentence2"] {
        let (first, second) = keys.split_once(' ').expect("two");
        let json = format!("{{\"{first}\": \"a\", \"{second}\": 5}}\n");
        let (read, _) = read_single(&qnli, "a.jsonl", &json, to_predict)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.examples[0].text_b.as_deref(), Some("5"));
    }
    let error =
        read_single(&mine, "a.tsv", "a film\nanother\n", to_predict).expect_err("no header");
    assert!(error.to_string().contains("--format lines"), "{error}");
    let error = read_single(&mine, "a.tsv", "text,n\na film,1\n", to_predict).expect_err("commas");
    assert!(error.to_string().contains("say --format csv"), "{error}");
    let error = read_single(&mine, "a.csv", "text,n\na film,1\na cat\n", to_predict)
        .expect_err("a short row");
    assert!(
        error.to_string().contains("every row gets a prediction"),
        "{error}"
    );
}

#[test]
fn a_wrong_format_is_named_with_the_key_that_helps() {
    let mine = single(&["x", "y"]);
    for (name, text, parts) in [
        (
            "a.jsonl",
            "text\tlabel\na\tx\n",
            &["set tasks.mine.format = \"tsv\" or \"tsv-quoted\""][..],
        ),
        (
            "a.jsonl",
            "text,label\na,x\n",
            &["set tasks.mine.format = \"csv\""],
        ),
        (
            "a.tsv",
            "\"text\"\t\"label\"\n\"a\"\t\"x\"\n",
            &["in quotes", "set tasks.mine.format = \"tsv-quoted\""],
        ),
        (
            "a.tsv",
            "text\tlabel\n\"a\nb\"\tx\n",
            &["1 columns", "tsv-quoted"],
        ),
        (
            "a.jsonl",
            "{\"text\": \"a\", \"label\": [1]}\n",
            &["line 1: field \"label\" is a list and not a label"],
        ),
        (
            "a.csv",
            "text,label\na,z\n",
            &["label \"z\" is none of", "tasks.mine.binary"],
        ),
    ] {
        let error = read_single(&mine, name, text, |it| it).expect_err(name);
        let error = error.to_string();
        for part in parts {
            assert!(error.contains(part), "{name}: no {part:?} in {error}");
        }
    }
    let (_, notes) = read_single(
        &mine,
        "a.tsv",
        "text\tlabel\n\"he said \"\"a\"\"\"\tx\n\"a\" and \"b\"\ty\n",
        |it| it,
    )
    .expect("read");
    assert!(
        notes[0].contains("1 rows have cells in quotes"),
        "{notes:?}"
    );
    let (_, notes) =
        read_single(&mine, "a.csv", "text,text,label\na,b,x\n", |it| it).expect("read");
    assert!(notes[0].contains("two columns \"text\""), "{notes:?}");
    // GLUE's presets do not go by data.format.
    let rte = TaskSpec::preset(TaskId::new("rte").expect("a name")).expect("a preset");
    let json = "{\"sentence1\": \"a\"}\n";
    let error = read_single(&rte, "a.tsv", json, |it| ReadOptions {
        format: Format::Glue,
        ..it
    })
    .expect_err("JSON");
    assert!(
        error
            .to_string()
            .contains("set tasks.mine.format = \"json-lines\""),
        "{error}"
    );
    // Of classes the hint says how one more is named.
    let three = single(&["x", "y", "z"]);
    let error = read_single(&three, "a.csv", "text,label\na,new\n", |it| it).expect_err("unknown");
    assert!(
        error
            .to_string()
            .contains("tasks.mine.labels = [\"x\", \"y\", \"z\", \"new\"]"),
        "{error}"
    );
}

fn weighted() -> Columns {
    Columns {
        weight: Some("sure".into()),
        ..Columns::default()
    }
}

#[test]
fn rows_have_weights_where_a_column_is_named() {
    let table = "sentence1,sentence2,label,sure\na,b,no,0.5\nc,d,yes,0\ne,f,maybe, 2 \n";
    let json = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"no\", \"sure\": 0.5}\n\
        {\"sentence1\": \"c\", \"sentence2\": \"d\", \"label\": \"yes\", \"sure\": \"0\"}\n\
        {\"sentence1\": \"e\", \"sentence2\": \"f\", \"label\": \"maybe\", \"sure\": 2}\n";
    for (name, text) in [("a.csv", table), ("b.jsonl", json)] {
        let read = read_own(name, text.as_bytes(), &weighted()).expect("read");
        let weights: Vec<f32> = read.examples.iter().map(|row| row.weight).collect();
        assert_eq!(weights, [0.5, 2.0], "{name}: a row of weight 0 is left out");
        assert_eq!(read.weights(), Some(weights));
        assert_eq!(read.examples[1].text_a, "e");
        // Who names no column has no weights.
        let read = read_own(name, text.as_bytes(), &Columns::default()).expect("read");
        assert_eq!((read.examples.len(), read.weights()), (3, None), "{name}");
    }
    // Weights of 1 are none.
    let ones = "sentence1,sentence2,label,sure\na,b,no,1\nc,d,yes,1.0\n";
    let read = read_own("a.csv", ones.as_bytes(), &weighted()).expect("read");
    assert_eq!(read.weights(), None);
}

#[test]
fn bad_weights_are_named_with_their_lines() {
    for (weight, reason) in [
        ("-1", "weight \"-1\" is not a number from 1e-9 to 1e9, or 0"),
        ("nan", "weight \"nan\" is not a number"),
        ("inf", "weight \"inf\" is not a number"),
        ("1e30", "weight \"1e30\" is not a number"),
        ("1e-30", "weight \"1e-30\" is not a number"),
        ("much", "weight \"much\" is not a number"),
        ("", "no weight"),
    ] {
        let text = format!("sentence1,sentence2,label,sure\na,b,no,1\nc,d,yes,{weight}\n");
        let error = read_own("a.csv", text.as_bytes(), &weighted()).expect_err(weight);
        let error = error.to_string();
        assert!(error.contains(&format!("line 3: {reason}")), "{error}");
        assert!(error.contains("a.csv: 1 bad row"), "{error}");
    }
    let zeros = "sentence1,sentence2,label,sure\na,b,no,0\nc,d,yes,0.0\n";
    let error = read_own("a.csv", zeros.as_bytes(), &weighted()).expect_err("zeros");
    let error = error.to_string();
    assert!(
        error.contains("column \"sure\" (tasks.nli.columns.weight) is 0 in every row"),
        "{error}"
    );
    for (name, text) in [
        ("a.csv", "sentence1,sentence2,label\na,b,no\n"),
        (
            "a.jsonl",
            "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"no\"}\n",
        ),
    ] {
        let error = read_own(name, text.as_bytes(), &weighted()).expect_err("no column");
        let error = error.to_string();
        assert!(
            error.contains("\"sure\"")
                && error.contains("tasks.nli.columns = { weight = \"...\" }"),
            "{error}"
        );
    }
    let list = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"no\", \"sure\": [1]}\n";
    let error = read_own("a.jsonl", list.as_bytes(), &weighted()).expect_err("a list");
    assert!(
        error.to_string().contains("is a list and not a weight"),
        "{error}"
    );
}
