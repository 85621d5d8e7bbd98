//! Tasks that are no presets, from a config and files alone: inference with three classes from commas, reviews from JSON
//! lines and likeness from Parquet, trained together.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{bertram, finish, stderr, stdout};
use serde_json::Value;

fn refused(command: &mut Command) -> String {
    let output = command.output().expect("bertram-cli starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    stderr(&output)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn write_tasks(dir: &Path, rows: usize, dev: usize) {
    finish(
        bertram()
            .args(["data", "demo", "--rows", &rows.to_string()])
            .args(["--dev-rows", &dev.to_string(), "--own-tasks"])
            .arg(dir),
    );
}

/// A model of a few seconds.
const SMALL: [&str; 3] = [
    "model.random.hidden-size=32",
    "model.random.heads=2",
    "model.random.intermediate-size=64",
];

fn train(config: &Path, out: &Path, sets: &[&str]) -> Command {
    let mut command = bertram();
    command
        .args(["train", "--dashboard", "none", "--config"])
        .arg(config)
        .arg("--out")
        .arg(out);
    for set in SMALL.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

fn predict(run: &Path, task: &str, format: &str, text: &str) -> Vec<Value> {
    let mut child = bertram()
        .args(["predict", "--task", task, "--format", format, "--run"])
        .arg(run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn three_tasks_of_ones_own_are_learned_predicted_and_reported() {
    let dir = tempfile::tempdir().expect("temp dir");
    let own = dir.path().join("own");
    write_tasks(&own, 800, 120);
    let config = own.join("own-tasks.toml");
    let run = dir.path().join("run");
    let sets = [
        "model.random.layers=1",
        "train.learning-rate=2e-3",
        "train.head-learning-rate=4e-3",
        "tasks.nli.metric=macro-f1",
    ];
    finish(&mut train(&config, &run, &sets));

    let summary = json(&run.join("summary.json"));
    let dev = &summary["dev"];
    let score = |task: &str, metric: &str| dev[task][metric].as_f64().expect("a score");
    assert_eq!(dev["nli"]["metric"], "macro-f1");
    let line = score("nli", "reference");
    assert!(score("nli", "macro_f1") > line + 0.1, "{dev}");
    assert!(
        score("nli", "accuracy") > score("nli", "majority") + 0.05,
        "{dev}"
    );
    assert!(score("reviews", "mcc") > 0.1, "{dev}");
    assert!(score("reviews", "f1") > 0.5, "{dev}");
    assert!(score("similarity", "spearman") > 0.15, "{dev}");
    let overall = (score("nli", "macro_f1")
        + (score("reviews", "mcc") + 1.0) / 2.0
        + (score("similarity", "spearman") + 1.0) / 2.0)
        / 3.0;
    assert!((overall - dev["overall"].as_f64().expect("a score")).abs() < 1e-12);

    // In the order of the config.
    let tasks: Vec<&String> = dev.as_object().expect("scores").keys().take(3).collect();
    assert_eq!(tasks, ["nli", "reviews", "similarity"]);

    // What was said is said again, and reads back to the same.
    let resolved = std::fs::read_to_string(run.join("config.toml")).expect("config");
    for part in ["labels = [", "binary = [", "score = [", "inputs = \"pair\""] {
        assert!(resolved.contains(part), "{part} in {resolved}");
    }
    finish(
        bertram()
            .args(["config", "validate"])
            .arg(run.join("config.toml")),
    );

    // Predictions by name, of rows of the task's own form.
    let rows = "{\"premise\": \"a man buys a boat\", \"hypothesis\": \"it is not true that a man buys a boat\"}\n";
    let said = predict(&run, "nli", "json-lines", rows);
    let labels = ["entailment", "neutral", "contradiction"];
    assert!(
        labels.contains(&said[0]["label"].as_str().expect("a label")),
        "{said:?}"
    );
    let probabilities = said[0]["probabilities"].as_object().expect("by label");
    assert!(probabilities.keys().eq(labels), "{said:?}");
    let class = said[0]["prediction"].as_u64().expect("a class");
    let label = labels[class as usize];
    assert_eq!(said[0]["label"], label);
    assert_eq!(said[0]["confidence"], probabilities[label]);
    // An empty line is no text, and keeps its place.
    let texts = "\nthe film was superb .\n \n";
    let said = predict(&run, "reviews", "lines", texts);
    assert!(said[0].is_null() && said[2].is_null() && said.len() == 3);
    assert!(["bad", "good"].contains(&said[1]["label"].as_str().expect("a label")));
    let said = predict(&run, "similarity", "lines", "a dog\ta dog\n");
    let score = said[0]["prediction"].as_f64().expect("a score");
    assert!((0.0..=1.0).contains(&score) && said[0].get("label").is_none());

    let table = std::fs::read_to_string(run.join("predictions/nli-dev.csv")).expect("a table");
    let header = "id,gold,prediction,probability of entailment,probability of neutral,probability of contradiction";
    assert_eq!(table.lines().next(), Some(header));
    assert_eq!(table.lines().count(), 121);
    assert!(run.join("predictions/similarity-test.csv").is_file());

    let card = std::fs::read_to_string(run.join("model/README.md")).expect("a card");
    assert!(
        card.contains("entailment, neutral, contradiction"),
        "{card}"
    );

    let scores = finish(
        bertram()
            .args(["evaluate", "--split", "test", "--run"])
            .arg(&run),
    );
    assert!(stdout(&scores).contains("macro-f1"), "{}", stdout(&scores));

    let page = dir.path().join("report.md");
    finish(bertram().arg("report").arg(&run).arg("--out").arg(&page));
    let page = std::fs::read_to_string(&page).expect("a report");
    for part in [
        "contradiction",
        "Matthews\u{a0}correlation",
        "similarity",
        "macro-F1",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn labels_come_from_the_training_rows_where_they_are_not_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let own = dir.path().join("own");
    write_tasks(&own, 60, 20);
    let config = dir.path().join("config.toml");
    std::fs::write(
        &config,
        "[tasks.reviews]\ninputs = \"single\"\nlabels = \"auto\"\ntrain = \"own/reviews/train.jsonl\"\n\
         dev = \"own/reviews/dev.jsonl\"\ncolumns = { text = \"review\", label = \"verdict\" }\n\
         [tasks.sst]\n[train]\nepochs = 1\nbest-metric = \"reviews\"\n[data.demo]\nsst = 40\ndev = 20\n",
    )
    .expect("written");
    let run = dir.path().join("run");
    finish(&mut train(&config, &run, &[]));
    let resolved = std::fs::read_to_string(run.join("config.toml")).expect("config");
    assert!(
        resolved.contains("\"bad\"") && resolved.contains("\"good\""),
        "{resolved}"
    );
    assert!(resolved.contains("best-metric = \"reviews\""), "{resolved}");
    let dev = &json(&run.join("summary.json"))["dev"];
    let tasks: Vec<&String> = dev.as_object().expect("scores").keys().take(2).collect();
    assert_eq!(tasks, ["reviews", "sst"]);
    // A head on [CLS] is a sequence classifier for `transformers`.
    let classifier = json(&run.join("model/reviews/config.json"));
    assert_eq!(classifier["id2label"]["1"], "good");
    // A preset beside it takes the course's format, and its generated rows.
    assert!(run.join("predictions/sst-dev-output.csv").is_file());

    // Sentences are no labels.
    let command = &mut train(&config, &dir.path().join("other"), &[]);
    command.args(["--set", "tasks.reviews.columns.label=review"]);
    let text = refused(command);
    assert!(
        text.contains("no number of classes") && text.contains("tasks.reviews.columns"),
        "{text}"
    );
}

#[test]
fn an_ablation_of_ones_own_tasks() {
    let dir = tempfile::tempdir().expect("temp dir");
    let own = dir.path().join("own");
    write_tasks(&own, 48, 24);
    let out = dir.path().join("runs");
    let ablate = || {
        let mut command = bertram();
        command
            .args([
                "experiments",
                "ablate",
                "--factors",
                "smart,head=concat+cross-encoder",
            ])
            .args(["--epochs", "1", "--config"])
            .arg(own.join("own-tasks.toml"))
            .arg("--out")
            .arg(&out);
        for set in SMALL {
            command.args(["--set", set]);
        }
        command
    };
    let output = finish(&mut ablate());
    assert!(
        stdout(&output).contains("similarity"),
        "{}",
        stdout(&output)
    );
    let again = finish(&mut ablate());
    assert!(
        stderr(&again).contains("4 of 4 runs are done"),
        "{}",
        stderr(&again)
    );
    let page = dir.path().join("report.md");
    finish(bertram().arg("report").arg(&out).arg("--out").arg(&page));
    let page = std::fs::read_to_string(&page).expect("a report");
    assert!(page.contains("Ablation") && page.contains("nli"), "{page}");
}

#[test]
fn a_wrong_guess_of_the_file_says_what_it_is() {
    let dir = tempfile::tempdir().expect("temp dir");
    let own = dir.path().join("own");
    write_tasks(&own, 20, 10);
    let config = own.join("own-tasks.toml");
    let out = dir.path().join("out");
    for (set, parts) in [
        (
            "tasks.nli.format=tsv",
            ["separated by commas", "tasks.nli.format = \"csv\""],
        ),
        (
            "tasks.reviews.format=csv",
            [
                "looks like JSON lines",
                "tasks.reviews.format = \"json-lines\"",
            ],
        ),
        (
            "tasks.reviews.columns.text=comment",
            [
                "no row has a field \"comment\"",
                "tasks.reviews.columns = { text =",
            ],
        ),
        (
            "tasks.nli.labels=[\"yes\", \"no\"]",
            ["is none of \"yes\", \"no\"", "line 2"],
        ),
    ] {
        let text = refused(&mut train(&config, &out, &[set]));
        for part in parts {
            assert!(text.contains(part), "{set}: {text}");
        }
    }
}

/// Messages about any of three things, two words of which give each away.
fn write_topics(dir: &Path, rows: usize, seed: usize) -> String {
    const WORDS: [[&str; 2]; 3] = [["goal", "match"], ["paint", "opera"], ["court", "judge"]];
    const NAMES: [&str; 3] = ["sport", "art", "law"];
    let mut text = String::new();
    for row in 0..rows {
        let number = (row * 7919 + seed) % 8;
        let there: Vec<usize> = (0..3).filter(|topic| number & (1 << topic) != 0).collect();
        let said: Vec<&str> = there
            .iter()
            .map(|topic| WORDS[*topic][(row + seed) % 2])
            .collect();
        let labels: Vec<&str> = there.iter().map(|topic| NAMES[*topic]).collect();
        let line = serde_json::json!({
            "text": format!("today we talk of {} and then go home {}", said.join(" and "), row % 13),
            "topics": labels,
        });
        text.push_str(&format!("{line}\n"));
    }
    let name = format!("topics-{seed}.jsonl");
    std::fs::write(dir.join(&name), text).expect("rows");
    name
}

#[test]
fn any_number_of_labels_at_once_are_learned_predicted_and_reported() {
    let dir = tempfile::tempdir().expect("temp dir");
    let train_file = write_topics(dir.path(), 400, 0);
    let dev_file = write_topics(dir.path(), 80, 3);
    let config = dir.path().join("topics.toml");
    let text = format!(
        "[model.random]\nvocab-size = 200\nlayers = 1\nmax-positions = 64\n\
         [data]\nmax-length = 32\n\
         [train]\nepochs = 4\nlearning-rate = 2e-3\nhead-learning-rate = 4e-3\n\
         [regulariser.smart]\nlambda = 1\n\
         [tasks.topics]\ninputs = \"single\"\nlabels = \"auto\"\nmulti = true\n\
         train = \"{train_file}\"\ndev = \"{dev_file}\"\ntest = \"{dev_file}\"\n\
         columns = {{ label = \"topics\" }}\n"
    );
    std::fs::write(&config, text).expect("config");
    let run = dir.path().join("run");
    finish(&mut train(&config, &run, &[]));

    let resolved = std::fs::read_to_string(run.join("config.toml")).expect("config");
    assert!(
        resolved.contains("labels = [\"art\", \"law\", \"sport\"]"),
        "{resolved}"
    );
    assert!(resolved.contains("multi = true"), "{resolved}");
    let summary = json(&run.join("summary.json"));
    let dev = &summary["dev"]["topics"];
    let micro = dev["micro_f1"].as_f64().expect("a score");
    let reference = dev["reference"].as_f64().expect("a line");
    assert!(micro > reference + 0.2, "{dev}");
    assert_eq!(summary["dev"]["overall"].as_f64(), Some(micro));
    assert!(dev["accuracy"].as_f64() <= Some(micro), "{dev}");

    let table = std::fs::read_to_string(run.join("predictions/topics-test.csv")).expect("table");
    assert!(
        table.starts_with(
            "id,gold,prediction,probability of art,probability of law,probability of sport\n"
        ),
        "{table}"
    );
    assert!(
        table.contains(",art|law|sport,"),
        "gold labels by their names: {table}"
    );

    let said = predict(
        &run,
        "topics",
        "lines",
        "today we talk of goal and judge and then go home 5\n",
    );
    let probabilities = said[0]["probabilities"].as_object().expect("by label");
    assert!(probabilities.keys().eq(["art", "law", "sport"]), "{said:?}");
    let named = said[0]["labels"].as_array().expect("names");
    let likely = probabilities.values();
    assert_eq!(
        named.len(),
        likely.filter(|it| it.as_f64() >= Some(0.5)).count(),
        "{said:?}"
    );

    let report = |name: &str| {
        let out = dir.path().join(name);
        finish(bertram().arg("report").arg(&run).arg("--out").arg(&out));
        std::fs::read_to_string(out).expect("a report")
    };
    let page = report("report.md");
    for part in ["micro-F1", "each label by itself, in 80 rows", "| sport |"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(report("report.csv").contains("precision"));

    // A metric of another kind, a name that cannot be told apart, and a flag without labels.
    for (set, part) in [
        (
            "tasks.topics.metric=mcc",
            "topics takes micro-f1, macro-f1, accuracy",
        ),
        (
            "tasks.topics.labels=[\"a|b\", \"c\"]",
            "stands between the labels",
        ),
        ("tasks.topics.head=cosine", "topics takes linear"),
    ] {
        let said = refused(&mut train(&config, &dir.path().join("other"), &[set]));
        assert!(said.contains(part), "{set}: {said}");
    }
}
