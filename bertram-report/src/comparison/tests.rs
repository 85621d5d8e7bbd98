//! Comparisons of run folders that the tests write.

use std::path::Path;

use bertram_core::data::{PredictionRow, write_prediction_table};
use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::task::TaskMap;
use bertram_train::config::Settings;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What a run is: its config, its seed, and by task the labels and predictions of its rows.
struct Run<'a> {
    config: &'a str,
    seed: u64,
    epochs: usize,
    hash: &'a str,
    tasks: Vec<(TaskId, Vec<f64>, Vec<f64>)>,
}

impl Run<'_> {
    fn of(tasks: Vec<(TaskId, Vec<f64>, Vec<f64>)>) -> Self {
        Self {
            config: "",
            seed: 1,
            epochs: 1,
            hash: "5f0c",
            tasks,
        }
    }

    fn write(&self, folder: &Path) -> Vec<PathBuf> {
        std::fs::create_dir_all(folder.join("predictions")).expect("folder");
        let seed = format!("train.seed={}", self.seed);
        let settings = Settings::from_text("test.toml", self.config, &[seed])
            .unwrap_or_else(|error| panic!("{error}"));
        std::fs::write(folder.join("config.toml"), settings.to_toml()).expect("config");
        let mut scores = TaskMap::default();
        for (task, gold, said) in &self.tasks {
            let mut tasks = settings.tasks.iter();
            let spec = &tasks.find(|it| it.task == *task).expect("a task").spec;
            let labels: Vec<[f32; 1]> = gold.iter().map(|gold| [*gold as f32]).collect();
            let rows = labels.iter().zip(said).enumerate();
            let rows: Vec<PredictionRow<'_>> = rows
                .map(|(row, (gold, said))| PredictionRow {
                    id: format!("row-{row}").into(),
                    gold: Some(gold),
                    answer: spec.label_text(*said),
                    prediction: *said,
                    unclamped: None,
                    probabilities: &[],
                })
                .collect();
            let path = folder.join(format!("predictions/{task}-dev.csv"));
            write_prediction_table(&path, spec, &rows).expect("written");
            let classes = |numbers: &[f64]| -> Vec<usize> {
                numbers.iter().map(|number| *number as usize).collect()
            };
            let of_task = match task {
                &TaskId::STS => TaskScores::regression(spec, said, gold),
                _ => TaskScores::classification(spec, &classes(said), &classes(gold)),
            };
            scores.insert(*task, of_task);
        }
        let data: Vec<serde_json::Value> = self
            .tasks
            .iter()
            .map(|(task, gold, _)| {
                json!({ "task": task, "split": "dev", "path": "dev.csv", "sha256": self.hash, "rows": gold.len(), "skipped": 0 })
            })
            .collect();
        let summary = json!({
            "run": "run", "dev": SplitScores::new(scores), "best_epoch": 1, "epochs": self.epochs, "updates": 40,
            "seconds": 1.0, "training_seconds": 1.0, "tokens": 50, "tokens_per_second": 50.0, "peak_memory_bytes": null,
            "parameters": 1000, "backend": "flex", "seed": self.seed,
            "versions": { "bertram": "0.1.0", "burn": "0.21.0" }, "data": data,
        });
        std::fs::write(folder.join("summary.json"), summary.to_string()).expect("summary");
        vec![folder.to_owned()]
    }
}

fn few() -> Resampling {
    Resampling {
        resamples: 300,
        ..Resampling::default()
    }
}

/// Labels, and predictions of which every `wrong`th is off.
fn classes(rows: usize, wrong: usize) -> (TaskId, Vec<f64>, Vec<f64>) {
    let gold: Vec<f64> = (0..rows).map(|row| (row % 2) as f64).collect();
    let said = gold.iter().enumerate();
    let said = said.map(|(row, gold)| if row % wrong == 0 { 1.0 - gold } else { *gold });
    let said = said.collect();
    (TaskId::PARA, gold, said)
}

fn scores(rows: usize, noise: f64) -> (TaskId, Vec<f64>, Vec<f64>) {
    let gold: Vec<f64> = (0..rows).map(|row| (row % 11) as f64 / 2.0).collect();
    let said = gold.iter().enumerate();
    let said = said.map(|(row, gold)| (gold + noise * (row % 7) as f64).clamp(0.0, 5.0));
    let said = said.collect();
    (TaskId::STS, gold, said)
}

fn compare(a: &[PathBuf], b: &[PathBuf]) -> Comparison {
    Comparison::new(a, b, &[], Split::Dev, &few()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(a: &[PathBuf], b: &[PathBuf], tasks: &[TaskId]) -> String {
    let error = Comparison::new(a, b, tasks, Split::Dev, &few()).expect_err("cannot be compared");
    assert!(error.is_input(), "{error}");
    error.to_string()
}

#[test]
fn equal_runs_do_not_differ() {
    let dir = tempfile::tempdir().expect("temp dir");
    let tasks = || vec![classes(60, 3), scores(40, 0.3)];
    let a = Run::of(tasks()).write(&dir.path().join("a"));
    let b = Run::of(tasks()).write(&dir.path().join("b"));
    let found = compare(&a, &b);
    let names: Vec<&str> = found.all().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["para", "sts", "overall"]);
    for row in found.all() {
        assert_eq!((row.difference, row.p_value), (0.0, Some(1.0)), "{row:?}");
        assert_eq!((row.interval.low, row.interval.high), (0.0, 0.0));
        assert_eq!(row.verdict, Verdict::NotShown);
    }
    let tests: Vec<Option<Test>> = found.all().map(|row| row.test).collect();
    let randomisation = Some(Test::Randomisation);
    assert_eq!(tests, [Some(Test::Mcnemar), randomisation, randomisation]);
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}

#[test]
fn exchanged_sides_negate() {
    let dir = tempfile::tempdir().expect("temp dir");
    let a = Run::of(vec![classes(90, 3), scores(50, 0.6)]).write(&dir.path().join("a"));
    let b = Run::of(vec![classes(90, 30), scores(50, 0.1)]).write(&dir.path().join("b"));
    let (here, there) = (compare(&a, &b), compare(&b, &a));
    for (here, there) in here.all().zip(there.all()) {
        assert_eq!(here.difference, -there.difference);
        assert_eq!(here.interval.low, -there.interval.high);
        assert_eq!((here.p_value, here.p_holm), (there.p_value, there.p_holm));
    }
    let para = &here.tasks[0];
    assert_eq!(
        (para.verdict, there.tasks[0].verdict),
        (Verdict::B, Verdict::A)
    );
    // A has the rows of every third wrong, B of those every tenth: 30 - 3 against none.
    assert_eq!(para.p_value, Some(mcnemar(27, 0)));
    assert!(para.p_holm > para.p_value);
    assert_eq!(here.overall.as_ref().expect("two tasks").p_holm, None);
    // What is beside a task does not change its numbers.
    let alone = Comparison::new(&a, &b, &[TaskId::STS], Split::Dev, &few()).expect("compared");
    assert_eq!(alone.overall, None);
    assert_eq!(
        (alone.tasks[0].interval, alone.tasks[0].p_value),
        (here.tasks[1].interval, here.tasks[1].p_value)
    );
    let warned = "overall is of";
    assert!(!alone.warnings.iter().any(|it| it.contains(warned)));
}

#[test]
fn seeds_pair_where_both_sides_have_the_same() {
    let dir = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, seed: u64, wrong: usize| {
        let run = Run {
            seed,
            ..Run::of(vec![classes(90, wrong)])
        };
        run.write(&dir.path().join(name))
    };
    write("a/1", 1, 3);
    write("a/2", 2, 4);
    write("b/2", 2, 9);
    write("b/1", 1, 10);
    write("c/7", 7, 9);
    write("c/8", 8, 10);
    let side = |name: &str| vec![dir.path().join(name)];
    let found = compare(&side("a"), &side("b"));
    let row = &found.tasks[0];
    let expected = paired_t(&row.a, &row.b);
    assert_eq!((row.test, row.p_value), (Some(Test::PairedT), expected));
    let seeds: Vec<u64> = found.b.iter().map(|run| run.seed).collect();
    assert_eq!(seeds, [1, 2]);
    assert!((row.difference - (row.mean_b - row.mean_a)).abs() < 1e-15);
    assert!(row.interval.low > 0.0, "{row:?}");

    let found = compare(&side("a"), &side("c"));
    assert_eq!(found.tasks[0].test, Some(Test::Welch));
    assert!(
        found.warnings[0].contains("do not pair"),
        "{:?}",
        found.warnings
    );
    let found = compare(&side("a/1"), &side("b"));
    assert_eq!(
        (found.tasks[0].test, found.tasks[0].verdict),
        (None, Verdict::NotShown)
    );
    assert!(
        found.warnings[0].contains("A has one seed"),
        "{:?}",
        found.warnings
    );

    write("b/again", 1, 10);
    let error = refused(&side("a"), &side("b"), &[]);
    assert!(error.contains("have the same seed, 1"), "{error}");
}

#[test]
fn what_makes_scores_doubtful_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let a = Run {
        epochs: 3,
        ..Run::of(vec![classes(30, 3), scores(30, 0.1)])
    };
    let config = "[data]\nselect-share = 0.3\n[tasks.para]\nmetric = \"f1\"\noverall-weight = 2.0\n[tasks.sts]\n";
    let b = Run {
        epochs: 2,
        config,
        ..Run::of(vec![classes(30, 5), scores(30, 0.1)])
    };
    let a = a.write(&dir.path().join("a"));
    let b = b.write(&dir.path().join("b"));
    let found = compare(&a, &b);
    for part in [
        "the epoch of A (best of 3) and of B (best of 2, on 30 % of them) was chosen on the same dev rows, by the overall score",
        "para is judged by accuracy in",
        "para weighs 1 in the overall score here, and 2 in",
    ] {
        let said = found.warnings.iter().any(|it| it.contains(part));
        assert!(said, "{part}: {:?}", found.warnings);
    }
    assert_eq!(found.tasks[0].metric, Some(Metric::Accuracy));
    // A table that was written by another evaluation.
    let table = a[0].join("predictions/para-dev.csv");
    let text = std::fs::read_to_string(&table).expect("a table");
    let text = text.replace(
        "row-0,not a paraphrase,paraphrase",
        "row-0,not a paraphrase,not a paraphrase",
    );
    std::fs::write(table, text).expect("written");
    let found = Comparison::new(&a, &b, &[TaskId::PARA], Split::Dev, &few()).expect("compared");
    let said = found
        .warnings
        .iter()
        .any(|it| it.contains("in summary.json"));
    assert!(said, "{:?}", found.warnings);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let at = |name: &str| dir.path().join(name);
    let a = Run::of(vec![classes(30, 3), scores(30, 0.1)]).write(&at("a"));
    let error = refused(&a, &a, &[TaskId::SST]);
    assert!(
        error.contains("--tasks sst") && error.contains("para, sts"),
        "{error}"
    );
    let other = Run {
        hash: "77",
        ..Run::of(vec![classes(30, 3)])
    };
    let error = refused(&a, &other.write(&at("hash")), &[]);
    assert!(
        error.contains("hash: para has other dev rows") && error.contains("SHA-256"),
        "{error}"
    );
    let fewer = Run::of(vec![classes(29, 3)]).write(&at("fewer"));
    let error = refused(&a, &fewer, &[]);
    assert!(
        error.contains("29 rows and 30") && error.contains("para-dev.csv"),
        "{error}"
    );
    let b = Run::of(vec![classes(30, 3)]).write(&at("b"));
    let table = b[0].join("predictions/para-dev.csv");
    let text = std::fs::read_to_string(&table).expect("a table");
    let damage = |from: &str, to: &str| {
        std::fs::write(&table, text.replace(from, to)).expect("written");
        refused(&a, &b, &[])
    };
    let error = damage("row-3,", "row-x,");
    assert!(error.contains("row 4 is row-x and row-3"), "{error}");
    let error = damage("row-1,paraphrase", "row-1,not a paraphrase");
    assert!(error.contains("row 2, row-1, has another label"), "{error}");
    let error = damage("row-3,paraphrase", "row-3,no such thing");
    assert!(
        error.contains("line 5") && error.contains("evaluate --run"),
        "{error}"
    );
    let error = damage("row-3,paraphrase", "row-3,");
    assert!(
        error.contains("29 rows with labels, where 30 are to be scored"),
        "{error}"
    );
    std::fs::remove_file(&table).expect("removed");
    let error = refused(&a, &b, &[]);
    assert!(
        error.contains("para-dev.csv is missing") && error.contains("evaluate --run"),
        "{error}"
    );
    let sts = Run::of(vec![scores(30, 0.1)]).write(&at("sts"));
    let error = refused(&b, &sts, &[]);
    assert!(
        error.contains("has para") && error.contains("has sts"),
        "{error}"
    );
    std::fs::remove_file(sts[0].join("summary.json")).expect("removed");
    let error = refused(&a, &sts, &[]);
    assert!(
        error.contains("not finished") && error.contains("--resume"),
        "{error}"
    );
    std::fs::write(sts[0].join("summary.json"), "{}").expect("written");
    assert!(refused(&a, &sts, &[]).contains("summary.json"));
    assert!(refused(&a, &[at("none")], &[]).contains("does not exist"));
}

/// Copies what a run says of dev to test: its table, with each line as `line` gives it.
fn as_test(run: &Path, task: &str, line: impl Fn(usize, &str) -> String) {
    let table = |split: &str| run.join(format!("predictions/{task}-{split}.csv"));
    let text = std::fs::read_to_string(table("dev")).expect("a table");
    let lines: Vec<String> = (text.lines().enumerate())
        .map(|(number, text)| line(number, text))
        .collect();
    std::fs::write(table("test"), lines.join("\n") + "\n").expect("written");
}

#[test]
fn test_rows_are_compared_where_they_have_labels() {
    let dir = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, wrong: usize| {
        let run = Run {
            epochs: 4,
            ..Run::of(vec![classes(90, wrong)])
        };
        run.write(&dir.path().join(name))
    };
    let (a, b) = (write("a", 3), write("b", 30));
    let test = |tasks: &[TaskId]| Comparison::new(&a, &b, tasks, Split::Test, &few());
    let message = |found: Result<Comparison, CompareError>| found.expect_err("refused").to_string();
    assert!(message(test(&[])).contains("no task is scored on test"));
    let same = |_: usize, line: &str| line.to_owned();
    as_test(&a[0], "para", same);
    as_test(&b[0], "para", same);
    let found = test(&[]).expect("compared");
    assert_eq!((found.split, found.tasks[0].verdict), ("test", Verdict::B));
    // The epochs were chosen on other rows.
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    let dev = compare(&a, &b);
    assert!(dev.warnings[0].contains("epoch"), "{:?}", dev.warnings);
    assert_eq!(dev.tasks[0].interval, found.tasks[0].interval);

    let unlabelled = |number: usize, line: &str| match number {
        0 => line.to_owned(),
        _ => {
            let mut cells: Vec<&str> = line.split(',').collect();
            cells[1] = "";
            cells.join(",")
        }
    };
    as_test(&b[0], "para", unlabelled);
    let text = message(test(&[]));
    assert!(text.contains("para-test.csv has no labels"), "{text}");
    let some = |number: usize, line: &str| match number {
        5 => unlabelled(number, line),
        _ => line.to_owned(),
    };
    as_test(&b[0], "para", some);
    let text = message(test(&[]));
    assert!(text.contains("89 rows with labels, where 90"), "{text}");
    assert!(text.contains("--split test"), "{text}");
    std::fs::remove_file(a[0].join("predictions/para-test.csv")).expect("removed");
    let text = message(test(&[TaskId::PARA]));
    assert!(text.contains("no task is scored on test"), "{text}");
}

#[test]
fn correlations_are_those_of_scores_that_are_not_cut() {
    let dir = tempfile::tempdir().expect("temp dir");
    let run = |name: &str| Run::of(vec![scores(50, 0.4)]).write(&dir.path().join(name));
    let (a, b) = (run("a"), run("b"));
    let before = compare(&a, &b).tasks[0].mean_b;
    // Of B what it was before: above 5 there are differences.
    let path = b[0].join("predictions/sts-dev.csv");
    let text = std::fs::read_to_string(&path).expect("a table");
    let lines = text.lines().enumerate().map(|(number, line)| match number {
        0 => format!("{line},unclamped"),
        row => {
            let gold: f64 = line
                .split(',')
                .nth(1)
                .expect("gold")
                .parse()
                .expect("number");
            format!("{line},{}", gold + 0.4 * ((row - 1) % 7) as f64)
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    std::fs::write(&path, &text).expect("written");
    // Only where all runs say it: otherwise two ways of scoring would be compared.
    let found = compare(&a, &b);
    assert_eq!(found.tasks[0].mean_b, before);
    std::fs::write(a[0].join("predictions/sts-dev.csv"), &text).expect("written");
    let found = compare(&a, &b);
    let (gold, noisy): (Vec<f64>, Vec<f64>) = (0..50)
        .map(|row| {
            let gold = f64::from(row % 11) / 2.0;
            (gold, gold + 0.4 * f64::from(row % 7))
        })
        .unzip();
    let expected = bertram_core::metric::pearson(&noisy, &gold);
    assert!((found.tasks[0].mean_b - expected).abs() < 1e-12);
    assert!((expected - before).abs() > 1e-3);
    // The summaries of these runs are of what was cut, which is not what is scored now.
    assert!(
        found
            .warnings
            .iter()
            .any(|it| it.contains("in summary.json"))
    );
}

#[test]
fn what_a_mixture_was_chosen_on_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let run = |name: &str| Run::of(vec![classes(30, 4)]).write(&dir.path().join(name));
    let (a, b) = (run("a"), run("b"));
    let path = b[0].join("summary.json");
    let text = std::fs::read_to_string(&path).expect("a summary");
    let mut summary: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    summary["made_of"] = json!({
        "kind": "ensemble", "method": "dev", "epochs_chosen_on": "all of dev",
        "runs": [{ "run": "x", "seed": 1, "best_epoch": 2, "overall": 0.5, "weight": { "para": 1.0 } }],
        "select": {
            "chosen": "weights of the runs, by task", "seed": 0, "overall": 0.5, "tasks": { "para": 0.5 },
            "overall_chosen_on_all": 0.6, "halves": [],
        },
    });
    std::fs::write(&path, summary.to_string()).expect("written");
    let found = compare(&a, &b);
    let text = found.warnings.join("\n");
    assert!(
        text.contains("B is a mean of 1 runs, whose epochs were chosen on all of dev"),
        "{text}"
    );
    assert!(
        text.contains("weights of the runs, by task, which is worth 0.500"),
        "{text}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn nothing_is_called_better_that_may_be_chance(wrong in 2usize..20, other in 2usize..20, rows in 5usize..60) {
        let dir = tempfile::tempdir().expect("temp dir");
        let a = Run::of(vec![classes(rows, wrong), scores(rows, wrong as f64 / 20.0)]).write(&dir.path().join("a"));
        let b = Run::of(vec![classes(rows, other), scores(rows, other as f64 / 20.0)]).write(&dir.path().join("b"));
        for row in compare(&a, &b).all() {
            let shown = row.verdict != Verdict::NotShown;
            prop_assert!(!shown || !row.interval.contains(0.0));
            prop_assert!(!shown || row.difference.abs() > 0.0);
            let p = row.p_holm.or(row.p_value).expect("tested");
            prop_assert!(!shown || p < 0.05);
            prop_assert!(row.p_value <= Some(p));
        }
    }
}

#[test]
fn a_report_says_which_differences_may_be_chance() {
    let dir = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, wrong: usize, hash: &'static str| {
        let config = format!(
            "[train]\nbatch-size = {wrong}\nepochs = {}\n[experiment]\nid = \"{name}\"\n",
            name.len()
        );
        let run = Run {
            config: &config,
            hash,
            ..Run::of(vec![classes(200, wrong), scores(60, 0.1)])
        };
        run.write(&dir.path().join(name));
    };
    let report = || crate::Report::read(&[dir.path().to_owned()], None).expect("a report");
    for (name, wrong, hash) in [
        ("a", 4, "5f0c"),
        ("bb", 50, "5f0c"),
        ("ccc", 4, "5f0c"),
        ("dddd", 50, "0ther"),
    ] {
        write(name, wrong, hash);
    }
    let text = report().markdown().expect("a text");
    let line = |start: &str, part: &str| {
        let mut lines = text.lines();
        let found = lines.any(|line| line.starts_with(start) && line.contains(part));
        assert!(found, "{start} … {part} in\n{text}");
    };
    line("- ", "more than chance)");
    // A quarter of the rows is wrong, and a fiftieth.
    line("| bb |", r"+0.230 (+0.170 to +0.290) \*");
    line("| ccc |", "0.000 (0.000 to 0.000) |");
    line("dddd is not compared row by row: ", "other dev rows");
    line("Each setting less the one before it.", "");
    let section = text
        .split("## More than chance?")
        .nth(1)
        .expect("the section");
    assert_eq!(
        section.matches(r" \*").count(),
        6,
        "para and overall of bb, and of it and ccc as steps: {section}"
    );

    // Where the best is no better than chance the first lines say so.
    for name in ["bb", "dddd"] {
        std::fs::remove_dir_all(dir.path().join(name)).expect("removed");
    }
    write("ccc", 5, "5f0c");
    let text = report().markdown().expect("a text");
    assert!(text.contains(": no difference shown)"), "{text}");
}
