//! Answers that look at no input (the paper's experiment 1): the line that every model must beat.

use std::borrow::Cow;

use bertram_core::data::{BadRow, Dataset, Split};
use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::seed::mix;
use bertram_core::task::{LabelKind, Prediction, TaskMap, TaskSpec, score_predictions};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{BaselineSettings, Settings};
use crate::corpus::{data_files, dev_rows, read_corpus, with_labels};
use crate::device::DeviceName;
use crate::pipeline::{
    BURN_VERSION, PipelineError, SplitPredictions, Summary, is_whole, limit_test, save_predictions,
    write_text,
};
use crate::run_folder::{Machine, RunFolder, RunInfo, write_json};

/// Makes a whole run of constant answers: config, predictions on dev and test, scores.
///
/// Classes and yes-or-no answers are the settings'; scores are drawn evenly from the label's range, by the seed.
pub fn run_baseline(
    settings: &Settings,
    baseline: BaselineSettings,
    run: &RunFolder,
    backend: &str,
    commit: Option<String>,
    command: Vec<String>,
) -> Result<Summary, PipelineError> {
    let settings = with_labels(settings)?;
    let settings = settings.as_ref();
    let mut corpus = read_corpus(settings, &[Split::Dev, Split::Test])?;
    limit_test(settings, &mut corpus);
    write_text(&run.config(), &settings.to_toml())?;
    let info = RunInfo {
        bertram: env!("CARGO_PKG_VERSION").into(),
        burn: BURN_VERSION.into(),
        commit,
        machine: Machine::here(),
        backend: backend.into(),
        device: DeviceName::default(),
        seed: settings.train.seed,
        model: None,
        model_sha256: None,
        started: jiff::Timestamp::now().to_string(),
        command,
        data: data_files(&corpus),
        changed: Vec::new(),
    };
    write_json(&run.run_info(), &info)?;

    let mut scores = TaskMap::new();
    for task in &corpus {
        let dev = dev_rows(settings, &task.dev);
        for (split, rows) in [
            (Split::Dev, Some(dev)),
            (Split::Test, task.test.as_ref().map(Cow::Borrowed)),
        ] {
            let Some(rows) = rows.filter(|rows| !rows.examples.is_empty()) else {
                continue;
            };
            let seed = mix(settings.train.seed, task.task.stream());
            let answers = answers(
                &task.spec,
                baseline,
                rows.examples.len(),
                mix(seed, split as u64),
            );
            let ids: Vec<String> = rows.examples.iter().map(|row| row.id.clone()).collect();
            let bad: &[BadRow] = match split {
                Split::Train | Split::Dev => &[],
                Split::Test => rows.skipped.as_slice(),
            };
            let labels = rows.labels();
            let predictions: Vec<Prediction> = answers
                .iter()
                .map(|&value| certain(&task.spec, value))
                .collect();
            save_predictions(
                &run.predictions(),
                &SplitPredictions {
                    task: task.task,
                    spec: &task.spec,
                    split,
                    files: None,
                    ids: &ids,
                    labels: labels.as_deref(),
                    predictions: &predictions,
                    bad,
                    whole: is_whole(settings, split),
                },
            )?;
            if let (Split::Dev, Some(of_task)) = (split, score(&task.spec, &predictions, &rows)) {
                scores.insert(task.task, of_task);
            }
        }
    }
    let dev = SplitScores::weighted(scores, |task| settings.overall_weight(task));
    let summary = Summary::untrained(run, info, dev);
    write_json(&run.summary(), &summary)?;
    Ok(summary)
}

/// An answer without probabilities; of several labels at once the class alone.
fn certain(spec: &TaskSpec, value: f64) -> Prediction {
    match spec.label {
        LabelKind::MultiLabel { .. } => Prediction {
            value: 1.0,
            unclamped: 1.0,
            probabilities: (0..spec.labels.len())
                .map(|class| f64::from(u8::from(class == value as usize)))
                .collect(),
        },
        LabelKind::Classes { .. } | LabelKind::Binary | LabelKind::Score { .. } => Prediction {
            value,
            unclamped: value,
            probabilities: Vec::new(),
        },
    }
}

fn answers(spec: &TaskSpec, baseline: BaselineSettings, rows: usize, seed: u64) -> Vec<f64> {
    match spec.label {
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } => {
            vec![baseline.class as f64; rows]
        }
        LabelKind::Binary => vec![baseline.binary as f64; rows],
        LabelKind::Score { min, max } => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let range = f64::from(min)..=f64::from(max);
            (0..rows).map(|_| rng.random_range(range.clone())).collect()
        }
    }
}

/// `None` where rows lack labels.
fn score(spec: &TaskSpec, answers: &[Prediction], rows: &Dataset) -> Option<TaskScores> {
    let labels = rows.labels()?;
    Some(score_predictions(spec, answers, &labels))
}
