//! Ensembles of run folders that the tests write.

use std::borrow::Cow;
use std::path::Path;

use bertram_core::data::{PredictionRow, write_prediction_table};
use bertram_core::task::{Prediction, TaskId, TaskSpec, score_predictions};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Settings;

/// A run folder that has predicted some rows of `para` and `sts`.
struct Run<'a> {
    seed: u64,
    hash: &'a str,
    /// By row, the probability of yes.
    para: &'a [f64],
    /// By row, the score that is not cut.
    sts: &'a [f64],
}

const GOLD_PARA: [f32; 4] = [0.0, 1.0, 1.0, 0.0];
const GOLD_STS: [f32; 4] = [0.0, 2.0, 5.0, 4.0];

impl Run<'_> {
    const PLAIN: Run<'static> = Run {
        seed: 1,
        hash: "5f0c",
        para: &[0.4, 0.9, 0.2, 0.7],
        sts: &[-0.5, 2.5, 5.5, 3.0],
    };

    fn write(&self, folder: &Path) -> Member {
        std::fs::create_dir_all(folder.join("predictions")).expect("folder");
        let seed = format!("train.seed={}", self.seed);
        let settings = Settings::from_text("x.toml", "", &[seed]).expect("settings");
        std::fs::write(folder.join("config.toml"), settings.to_toml()).expect("config");
        let mut scores = serde_json::Map::new();
        let mut data = Vec::new();
        let tasks: [(TaskId, Vec<Vec<f64>>, [f32; 4]); 2] = [
            (
                TaskId::PARA,
                self.para.iter().map(|yes| vec![1.0 - yes, *yes]).collect(),
                GOLD_PARA,
            ),
            (
                TaskId::STS,
                self.sts.iter().map(|score| vec![*score]).collect(),
                GOLD_STS,
            ),
        ];
        for (task, numbers, gold) in tasks {
            let spec = TaskSpec::preset(task).expect("a preset");
            let said: Vec<Prediction> = numbers
                .iter()
                .map(|numbers| Prediction::of_numbers(spec.label, numbers))
                .collect();
            let rows: Vec<PredictionRow<'_>> = said
                .iter()
                .zip(&gold)
                .enumerate()
                .map(|(row, (said, gold))| PredictionRow {
                    id: Cow::Owned(format!("row-{row}")),
                    gold: Some(std::slice::from_ref(gold)),
                    answer: said.text(&spec),
                    prediction: said.value,
                    unclamped: said.probabilities.is_empty().then_some(said.unclamped),
                    probabilities: &said.probabilities,
                })
                .collect();
            let path = folder.join(format!("predictions/{task}-dev.csv"));
            write_prediction_table(&path, &spec, &rows).expect("a table");
            let of_task = score_predictions(&spec, &said, &gold[..said.len()]);
            scores.insert(
                task.name().into(),
                serde_json::to_value(of_task).expect("JSON"),
            );
            data.push(json!({
                "task": task, "split": "dev", "path": "dev.csv", "sha256": self.hash, "rows": said.len(), "skipped": 0
            }));
        }
        scores.insert("overall".into(), json!(0.5));
        scores.insert("mean".into(), json!(0.5));
        let summary = json!({
            "run": "run", "dev": scores, "best_epoch": 1, "epochs": 2, "updates": 4, "seconds": 1.0,
            "training_seconds": 1.0, "tokens": 50, "tokens_per_second": 50.0, "peak_memory_bytes": null,
            "parameters": 1000, "backend": "flex", "seed": self.seed,
            "versions": { "bertram": "0.1.0", "burn": "0.21.0" }, "data": data,
        });
        std::fs::write(folder.join("summary.json"), summary.to_string()).expect("summary");
        Member::open(RunFolder::open(folder).expect("a run")).expect("finished")
    }
}

fn made(members: &[Member], weights: Weights, folder: &Path) -> Result<Summary, MixtureError> {
    let run = RunFolder::create(folder.to_owned()).expect("a new folder");
    let options = EnsembleOptions {
        weights,
        seed: 0,
        test: false,
    };
    ensemble(members, options, &run, &Origin::default())
}

fn refused(members: &[Member], folder: &Path) -> String {
    let error = made(members, Weights::Uniform, folder).expect_err("refused");
    assert!(error.is_input(), "{error}");
    error.to_string()
}

#[test]
fn probabilities_and_scores_are_averaged_and_the_folder_is_read_like_a_run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let at = |name: &str| dir.path().join(name);
    let one = Run::PLAIN.write(&at("one"));
    let other = Run {
        seed: 2,
        para: &[0.5, 0.3, 0.9, 0.2],
        sts: &[0.5, 1.5, 6.5, 4.0],
        ..Run::PLAIN
    };
    let other = other.write(&at("other"));
    let members = [one, other];
    let summary = made(&members, Weights::Uniform, &at("ensemble")).expect("made");
    // Yes: .45, .6, .55, .45.
    let scores: Vec<f64> = summary.dev.tasks.values().map(|it| it.primary()).collect();
    assert_eq!(scores[0], 1.0);
    let table = |task: &str| {
        let path = at(&format!("ensemble/predictions/{task}-dev.csv"));
        std::fs::read_to_string(path).expect("a table")
    };
    let yes: Vec<String> = table("para")
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().expect("a cell").to_owned())
        .collect();
    assert_eq!(
        yes,
        ["0.450000000", "0.600000000", "0.550000000", "0.450000000"]
    );
    assert_eq!(
        table("sts"),
        "id,gold,prediction,unclamped\nrow-0,0,0,0\nrow-1,2,2,2\nrow-2,5,5,6\nrow-3,4,3.5,3.5\n"
    );
    assert!(at("ensemble/predictions/sts-dev-output.csv").is_file());
    // What was made is a finished run, from which another can be made.
    let made_of = summary.made_of.clone().expect("said");
    assert_eq!((made_of.kind, made_of.runs.len()), (Mixture::Ensemble, 2));
    assert_eq!(made_of.epochs_chosen_on.name(), "all of dev");
    let read = Member::open(RunFolder::open(&at("ensemble")).expect("a run")).expect("finished");
    assert_eq!(read.summary.made_of, summary.made_of);
    assert!(read.settings.experiment.is_none());
    let nested = [read, members[0].clone()];
    assert!(
        !nested[0]
            .lacks(&[TaskId::PARA, TaskId::STS], Split::Dev)
            .expect("readable")
    );
    made(&nested, Weights::Uniform, &at("nested")).expect("made");
    // What chose the runs of ensembles has chosen what is made of these.
    made(&members, Weights::Uniform, &at("again")).expect("made");
    let both = ["ensemble", "again"]
        .map(|name| Member::open(RunFolder::open(&at(name)).expect("a run")).expect("finished"));
    let deeper = made(&both, Weights::Uniform, &at("deeper")).expect("made");
    let made_of = deeper.made_of.expect("said");
    assert_eq!(made_of.epochs_chosen_on.name(), "all of dev");
}

#[test]
fn a_single_good_run_is_chosen_and_choices_are_scored_where_they_were_not_made() {
    let dir = tempfile::tempdir().expect("temp dir");
    let at = |name: &str| dir.path().join(name);
    let wrong = Run {
        // Surer than the right one: the plain mean of both is wrong, too.
        para: &[0.95, 0.05, 0.05, 0.95],
        sts: &[5.0, 3.0, 0.0, 1.0],
        ..Run::PLAIN
    };
    let right = Run {
        seed: 2,
        para: &[0.1, 0.9, 0.9, 0.1],
        sts: &[0.0, 2.0, 5.0, 4.0],
        ..Run::PLAIN
    };
    let members = [wrong.write(&at("wrong")), right.write(&at("right"))];
    let summary = made(&members, Weights::Dev, &at("ensemble")).expect("made");
    let made_of = summary.made_of.expect("said");
    for (run, expected) in made_of.runs.iter().zip([0.0, 1.0]) {
        let share = Share::Tasks([(TaskId::PARA, expected), (TaskId::STS, expected)].into());
        assert_eq!(run.weight, share);
    }
    assert!((summary.dev.overall - 1.0).abs() < 1e-12);
    let select = made_of.select.expect("chosen");
    assert!((select.overall - 1.0).abs() < 1e-12, "{select:?}");
    assert_eq!(select.halves.len(), 2);
}

#[test]
fn runs_that_do_not_go_together_are_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let at = |name: &str| dir.path().join(name);
    let one = Run::PLAIN.write(&at("one"));
    let with = |other: Member, name: &str| refused(&[one.clone(), other], &at(name));
    let hash = Run {
        hash: "77",
        ..Run::PLAIN
    };
    let text = with(hash.write(&at("hash")), "1");
    assert!(
        text.contains("hash: para has other dev rows than in") && text.contains("SHA-256"),
        "{text}"
    );
    let fewer = Run {
        para: &[0.4, 0.9, 0.2],
        ..Run::PLAIN
    };
    let text = with(fewer.write(&at("fewer")), "2");
    assert!(text.contains("3 rows and 4"), "{text}");
    let other = Run::PLAIN.write(&at("ids"));
    let path = at("ids/predictions/sts-dev.csv");
    let text = std::fs::read_to_string(&path).expect("a table");
    std::fs::write(&path, text.replace("row-2", "other")).expect("written");
    let text = with(other.clone(), "3");
    assert!(
        text.contains("ids: sts has other") && text.contains("row 3 is other and row-2"),
        "{text}"
    );
    std::fs::write(&path, "id,gold,prediction,unclamped\nrow-0,0,0,many\n").expect("written");
    let text = with(other.clone(), "4");
    assert!(
        text.contains("line 2: \"many\" is no score") && text.contains("evaluate"),
        "{text}"
    );
    // Hard labels, and no model that would say more.
    std::fs::write(&path, "id,gold,prediction\nrow-0,0,0\n").expect("written");
    let text = with(other.clone(), "5");
    assert!(
        text.contains("no probabilities of the dev rows of sts, and no model"),
        "{text}"
    );
    assert!(other.lacks(&[TaskId::STS], Split::Dev).is_err());
    std::fs::create_dir(at("ids/model")).expect("folder");
    assert!(other.lacks(&[TaskId::STS], Split::Dev).expect("a model"));

    let mut labels = Run::PLAIN.write(&at("labels"));
    let mut tasks = labels.settings.tasks.iter_mut();
    let para = tasks.find(|it| it.task == TaskId::PARA).expect("a task");
    para.spec = std::sync::Arc::new(TaskSpec {
        labels: ["no", "yes"].map(str::to_owned).into(),
        ..TaskSpec::clone(&para.spec)
    });
    let text = with(labels, "6");
    assert!(
        text.contains("labels: para has other labels than in"),
        "{text}"
    );
    let text = refused(std::slice::from_ref(&one), &at("7"));
    assert!(text.contains("two runs or more, and 1 was found"), "{text}");
    std::fs::remove_file(at("one/summary.json")).expect("removed");
    let error = Member::open(one.run.clone()).expect_err("not finished");
    assert!(error.to_string().contains("--resume"), "{error}");
}

/// Runs of one task with classes, all numbers from `seeds`.
fn rows_of(runs: usize, rows: usize, seeds: &[f64]) -> RowsOfTask {
    let spec = TaskSpec::preset(TaskId::SST).expect("a preset");
    let numbers = |run: usize, row: usize| {
        let weights: Vec<f64> = (0..5)
            .map(|at| seeds[(run * 31 + row * 7 + at) % seeds.len()])
            .collect();
        let sum: f64 = weights.iter().sum();
        weights
            .iter()
            .map(|weight| weight / sum)
            .collect::<Vec<f64>>()
    };
    RowsOfTask {
        task: TaskId::SST,
        spec,
        ids: (0..rows).map(|row| row.to_string()).collect(),
        bad: Vec::new(),
        labels: Some((0..rows).map(|row| (row % 5) as f32).collect()),
        numbers: (0..runs)
            .map(|run| (0..rows).map(|row| numbers(run, row)).collect())
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn means_are_probabilities_and_choices_are_no_worse_than_any_run(
        runs in 1usize..5, rows in 2usize..30, seeds in prop::collection::vec(0.01f64..1.0, 97)
    ) {
        let task = rows_of(runs, rows, &seeds);
        let all: Vec<usize> = (0..rows).collect();
        for said in task.predictions(&uniform(runs), all.iter().copied()) {
            prop_assert!((said.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        let score = |weights: &[f64]| task.score(weights, &all).expect("labels").primary();
        let weights = select_greedily(runs, ROUNDS, score);
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for run in 0..runs {
            let alone: Vec<f64> = (0..runs).map(|it| f64::from(u8::from(it == run))).collect();
            prop_assert!(score(&weights) >= score(&alone));
            // One run alone is what it says, to the bit.
            let said = task.predictions(&alone, all.iter().copied());
            prop_assert_eq!(&said[0].probabilities, &task.numbers[run][0]);
        }
    }
}
