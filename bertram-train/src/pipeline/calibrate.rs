//! Temperatures of a finished run's probabilities.

use bertram_core::data::Split;
use bertram_core::task::TaskMap;
use bertram_kernels::Kernels;

use super::{PipelineError, check_unchanged, open_trained};
use crate::calibration::{Calibration, calibrate_task, is_calibratable};
use crate::config::Settings;
use crate::corpus::{read_corpus, tokenize_corpus};
use crate::evaluate::{split_logits, task_without_finite_logits};
use crate::run_folder::RunFolder;

/// Fits the temperatures of a finished run's model on its dev rows, and writes them beside it.
///
/// `progress` is told how many of how many rows are done.
///
/// # Errors
/// Those of reading the model and the data; data that are not the run's.
pub fn calibrate<B: Kernels>(
    run: &RunFolder,
    seed: u64,
    device: &B::Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<Calibration, PipelineError> {
    let settings = Settings::load(&run.config(), &[])?;
    let (settings, folder) = open_trained::<B>(run, settings, device)?;
    let corpus = read_corpus(&settings, &[Split::Dev])?;
    check_unchanged(&run.read_info()?, &corpus)?;
    let tasks = tokenize_corpus(&settings, &corpus, &folder.tokenizer)?;
    let fitted = |rows: &[f32]| rows.len() > 1;
    let taken: Vec<_> = tasks
        .iter()
        .filter(|task| is_calibratable(&task.config))
        .filter_map(|task| Some((task, task.dev.labels.as_ref().filter(|it| fitted(it))?)))
        .collect();
    let total = taken.iter().map(|(task, _)| task.dev.len()).sum();
    let mut before = 0;
    let mut all = TaskMap::new();
    for (task, labels) in taken {
        let logits = split_logits(
            &folder.model,
            task.evaluation_set(&task.dev),
            settings.train.eval_batch_size,
            device,
            |done| progress(before + done, total),
        );
        before += logits.len();
        let name = task.config.task;
        let logits = TaskMap::from([(name, logits)]);
        if let Some(task) = task_without_finite_logits(&logits) {
            let split = Split::Dev;
            return Err(PipelineError::NotFinite { task, split });
        }
        let rows = logits.get(&name).map_or(&[][..], Vec::as_slice);
        all.insert(name, calibrate_task(rows, labels, seed));
    }
    let calibration = Calibration::of(all);
    calibration.write(&run.model())?;
    Ok(calibration)
}
