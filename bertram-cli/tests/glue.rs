//! All nine tasks of GLUE from one folder: files in the columns of GLUE's archive, with its quirks, and rows of ours.

mod common;

use std::path::Path;

use common::{bertram, stderr, stdout};
use serde_json::Value;

const TRAIN: usize = 24;
const DEV: usize = 8;

/// Columns of a split: the header as GLUE's archive has it, or none, and a row's cells.
struct Table {
    file: &'static str,
    header: Option<&'static str>,
    row: fn(usize) -> String,
}

const fn table(file: &'static str, header: &'static str, row: fn(usize) -> String) -> Table {
    Table {
        file,
        header: Some(header),
        row,
    }
}

fn text(row: usize) -> String {
    let subjects = ["the cat", "a man", "the old king", "nobody"];
    let verbs = ["sleeps", "reads a book", "is not at home"];
    format!("{} {} {row}", subjects[row % 4], verbs[row % 3])
}

/// A quote that is a character, as GLUE's files have them.
fn quoting(row: usize) -> String {
    format!("\"{} \" she said {row}", text(row + 1))
}

fn yes(row: usize) -> usize {
    row % 2
}

fn entails(row: usize) -> &'static str {
    ["not_entailment", "entailment"][row % 2]
}

fn nli(row: usize) -> &'static str {
    ["neutral", "entailment", "contradiction"][row % 3]
}

/// The columns of MNLI that nobody reads: parses among them, which are full of brackets.
fn parsed(row: usize) -> String {
    format!(
        "{row}\t{row}\t{row}n\tfiction\t( a b )\t( c d )\t(ROOT (S))\t(ROOT (S))\t{}\t{}",
        text(row),
        quoting(row)
    )
}

const MNLI: &str = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\tsentence2";
const STSB: &str =
    "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2";

fn stsb(row: usize) -> String {
    format!(
        "{row}\tmain-captions\tMSRvid\t2012test\t{row:04}\tnone\tnone\t{}\t{}",
        text(row),
        quoting(row)
    )
}

fn tables() -> Vec<Table> {
    let headless = |file, row| Table {
        file,
        header: None,
        row,
    };
    let acceptable: fn(usize) -> String = |row| {
        let star = if yes(row) == 0 { "*" } else { "" };
        format!("gj04\t{}\t{star}\t{}", yes(row), quoting(row))
    };
    let mut tables = vec![
        headless("CoLA/train", acceptable),
        headless("CoLA/dev", acceptable),
        table("CoLA/test", "index\tsentence", |row| {
            format!("{row}\t{}", text(row))
        }),
        table("SST-2/test", "index\tsentence", |row| {
            format!("{row}\t{}", quoting(row))
        }),
        table(
            "MRPC/test",
            "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
            |row| {
                format!(
                    "{row}\t{}\t{}\t{}\t{}",
                    row + 100,
                    row + 200,
                    text(row),
                    quoting(row)
                )
            },
        ),
        table("QQP/test", "id\tquestion1\tquestion2", |row| {
            format!("{row}\t{}\t{}", text(row), quoting(row))
        }),
        table("STS-B/test", STSB, stsb),
        table("MNLI/test_matched", MNLI, parsed),
        table("MNLI/test_mismatched", MNLI, parsed),
        table("QNLI/test", "index\tquestion\tsentence", |row| {
            format!("{row}\t{}\t{}", text(row), text(row + 1))
        }),
        table("RTE/test", "index\tsentence1\tsentence2", |row| {
            format!("{row}\t{}\t{}", text(row), text(row + 1))
        }),
        table("WNLI/test", "index\tsentence1\tsentence2", |row| {
            format!("{row}\t{}\t{}", text(row), text(row + 1))
        }),
        table("MNLI/train", "label1\tgold_label", |row| {
            format!("{}\t{}\t{}", parsed(row), nli(row), nli(row))
        }),
    ];
    for (file, five) in [("MNLI/dev_matched", 0), ("MNLI/dev_mismatched", 1)] {
        tables.push(table(
            file,
            "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label",
            match five {
                0 => |row| {
                    format!(
                        "{}{}\t{}",
                        parsed(row),
                        format!("\t{}", nli(row)).repeat(5),
                        nli(row)
                    )
                },
                _ => |row| {
                    format!(
                        "{}{}\t{}",
                        parsed(row),
                        format!("\t{}", nli(row)).repeat(5),
                        nli(row + 1)
                    )
                },
            },
        ));
    }
    for split in ["train", "dev"] {
        let name = |folder: &str| -> &'static str { format!("{folder}/{split}").leak() };
        tables.extend([
            table(name("SST-2"), "sentence\tlabel", |row| {
                format!("{}\t{}", quoting(row), yes(row))
            }),
            // A byte order mark, as the archive has it.
            table(
                name("MRPC"),
                "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
                |row| {
                    format!(
                        "{}\t{}\t{}\t{}\t{}",
                        yes(row),
                        row + 100,
                        row + 200,
                        text(row),
                        quoting(row)
                    )
                },
            ),
            table(
                name("QQP"),
                "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
                |row| {
                    // One row of the archive's has no second question.
                    let second = if row == 5 {
                        String::new()
                    } else {
                        quoting(row)
                    };
                    format!(
                        "{row}\t{}\t{}\t{}\t{second}\t{}",
                        row + 1,
                        row + 2,
                        text(row),
                        yes(row)
                    )
                },
            ),
            table(name("STS-B"), "score", |row| {
                format!("{}\t{:.3}", stsb(row), (row % 6) as f64)
            }),
            table(name("QNLI"), "index\tquestion\tsentence\tlabel", |row| {
                format!("{row}\t{}\t{}\t{}", text(row), text(row + 1), entails(row))
            }),
            table(name("RTE"), "index\tsentence1\tsentence2\tlabel", |row| {
                format!("{row}\t{}\t{}\t{}", text(row), text(row + 1), entails(row))
            }),
            table(name("WNLI"), "index\tsentence1\tsentence2\tlabel", |row| {
                format!("{row}\t{}\t{}\t{}", text(row), text(row + 1), yes(row))
            }),
        ]);
    }
    tables
}

fn write(dir: &Path) {
    for table in tables() {
        let path = dir.join(format!("{}.tsv", table.file));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        let rows = if table.file.ends_with("train") {
            TRAIN
        } else {
            DEV
        };
        let header = table.header.map(|header| match table.file {
            file if file.starts_with("MNLI/") && !file.contains("test") => {
                format!("{MNLI}\t{header}")
            }
            "STS-B/train" | "STS-B/dev" => format!("{STSB}\t{header}"),
            _ => header.to_owned(),
        });
        let lines = header.into_iter().chain((0..rows).map(table.row));
        let text: String = lines.map(|line| line + "\n").collect();
        std::fs::write(path, text).expect("a table");
    }
}

const CONFIG: &str = "
[model.random]
hidden-size = 16
layers = 1
heads = 2
intermediate-size = 16
vocab-size = 80

[data]
max-length = 32
bad-rows = \"skip\"

[train]
epochs = 1

[tasks]
cola = {}
sst2 = {}
mrpc = {}
qqp = {}
stsb = {}
mnli = {}
qnli = {}
rte = {}
wnli = {}
";

#[test]
fn nine_tasks_are_read_trained_and_predicted_for_the_server() {
    let dir = tempfile::tempdir().expect("temp dir");
    let data = dir.path().join("glue");
    write(&data);
    let config = dir.path().join("glue.toml");
    std::fs::write(&config, CONFIG).expect("config");
    let run = dir.path().join("run");
    let output = bertram()
        .args(["train", "--dashboard", "none", "--config"])
        .arg(&config)
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(&run)
        .output()
        .expect("bertram-cli starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("QQP/train.tsv: skipped 1 bad row (line 7: no second sentence)"),
        "{said}"
    );
    assert!(
        !said.contains("MRPC"),
        "nothing is odd about the others: {said}"
    );

    let text = std::fs::read_to_string(run.join("summary.json")).expect("summary");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    for (task, metric, rows) in [
        ("cola", "mcc", DEV),
        ("sst2", "accuracy", DEV),
        ("mrpc", "f1", DEV),
        ("qqp", "f1", DEV - 1),
        ("stsb", "pearson", DEV),
        ("mnli", "accuracy", DEV),
        ("qnli", "accuracy", DEV),
        ("rte", "accuracy", DEV),
        ("wnli", "accuracy", DEV),
    ] {
        let scores = &summary["dev"][task];
        assert!(scores[metric].is_f64(), "{task}: {scores}");
        assert_eq!(scores["rows"].as_u64(), Some(rows as u64), "{task}");
    }
    let further = &summary["further"]["mnli-mismatched"];
    assert_eq!(further["rows"].as_u64(), Some(DEV as u64), "{summary}");
    assert!(
        stdout(&output).contains("mnli-mismatched"),
        "{}",
        stdout(&output)
    );
    let noted: Vec<&str> = summary["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|file| file["task"] == "mnli")
        .filter_map(|file| file["split"].as_str())
        .collect();
    assert_eq!(
        noted,
        ["train", "dev", "test", "dev_mismatched", "test_mismatched"]
    );
    // The same sentences have other labels in the second file, and what is said of them is the same.
    let table = |name: &str| {
        let path = run.join("predictions").join(name);
        std::fs::read_to_string(path).expect(name)
    };
    let (matched, mismatched) = (table("mnli-dev.csv"), table("mnli-mismatched-dev.csv"));
    let cells = |table: &str, cell: usize| -> Vec<String> {
        let rows = table.lines().skip(1);
        rows.map(|row| row.split(',').nth(cell).unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(cells(&matched, 2), cells(&mismatched, 2));
    assert_ne!(cells(&matched, 1), cells(&mismatched, 1));

    let names = |file: &str| -> &[&str] {
        match file {
            "MNLI-m" | "MNLI-mm" => &["entailment", "neutral", "contradiction"],
            "QNLI" | "RTE" => &["entailment", "not_entailment"],
            _ => &["0", "1"],
        }
    };
    for file in [
        "CoLA", "SST-2", "MRPC", "QQP", "STS-B", "MNLI-m", "MNLI-mm", "QNLI", "RTE", "WNLI",
    ] {
        let text = table(&format!("{file}.tsv"));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("index\tprediction"), "{file}");
        let answers: Vec<&str> = lines
            .filter_map(|line| Some(line.split_once('\t')?.1))
            .collect();
        assert_eq!(answers.len(), DEV, "{file}");
        for answer in answers {
            let right = match file {
                "STS-B" => answer
                    .parse()
                    .is_ok_and(|score: f64| (0.0..=5.0).contains(&score)),
                file => names(file).contains(&answer),
            };
            assert!(right, "{file}: {answer}");
        }
    }

    // What `evaluate` says of the second file is what training said.
    let output = bertram()
        .args(["evaluate", "--run"])
        .arg(&run)
        .output()
        .expect("starts");
    assert!(
        stdout(&output).contains("mnli-mismatched"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}
