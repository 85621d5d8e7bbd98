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
            labelled: true,
        },
    )
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
        id: None,
    };
    let comma = b"premise,hypothesis,gold\n\"a, b\",c,maybe\n";
    let semicolon = b"premise;hypothesis;gold\r\na, b;c;maybe\r\n";
    let tab = b"\xEF\xBB\xBFpremise\thypothesis\tgold\n\na, b\tc\tmaybe\n";
    let json = b"{\"premise\": \"a, b\", \"hypothesis\": \"c\", \"gold\": 1}\n";
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
            (row.text_a.as_str(), row.text_b.as_deref(), row.label),
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
        assert_eq!(read.examples[0].label, Some(2.0), "{name}");
    }
    let error = read_own("d.csv", b"a,b,label\nx,y,no\n", &none).expect_err("no columns");
    let text = error.to_string();
    assert!(
        text.contains("no column \"sentence1\"") && text.contains("tasks.nli.columns = { text-a"),
        "{text}"
    );
}
