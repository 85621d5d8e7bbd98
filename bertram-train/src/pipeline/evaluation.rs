//! A run's settings, to evaluate its model on these or other files.

use std::path::Path;

use bertram_core::data::Split;

use super::PipelineError;
use super::resume::matches;
use crate::config::{Override, Settings};
use crate::run_folder::RunFolder;

/// Keys that may be set to evaluate a run's model: those that say where data lies and how files are read. `*` stands for a
/// task, or for a column.
pub const EVALUATION_KEYS: &[&str] = &[
    "data.format",
    "data.bad-rows",
    "data.dev-limit",
    "train.eval-batch-size",
    "tasks.*.dev",
    "tasks.*.test",
    "tasks.*.format",
    "tasks.*.label-numbers",
    "tasks.*.columns.*",
];

/// The settings of a run, with other data where it is asked for.
///
/// `data` takes the place of all files that the run's config names, one by one or by its folder: each task's are looked for
/// in it as in any data folder. A file that `sets` names goes over it. (For a new run it is the other way round: there a
/// config's own files go over a folder.) `sets` may be of [`EVALUATION_KEYS`].
///
/// # Errors
/// A config that cannot be read, and keys that may not be set.
pub fn settings_to_evaluate(
    run: &RunFolder,
    data: Option<&Path>,
    sets: &[Override],
) -> Result<Settings, PipelineError> {
    let is_allowed = |set: &Override| {
        let allowed = |key: &str| EVALUATION_KEYS.iter().any(|it| matches(it, key));
        !set.is_section() && set.key().is_none_or(allowed)
    };
    let refused: Vec<String> = sets
        .iter()
        .filter(|set| !is_allowed(set))
        .filter_map(|set| set.key().map(str::to_owned))
        .collect();
    if !refused.is_empty() {
        return Err(PipelineError::NotOfEvaluation { keys: refused });
    }
    let loaded = Settings::load_with(&run.config(), sets)?;
    loaded.say_warnings();
    let mut settings = loaded.settings;
    // What a run left out at its end is what is asked for here.
    settings.data.test_limit = None;
    let Some(data) = data else {
        return Ok(settings);
    };
    // Where the working directory is not known, the path as it is.
    settings.data.dir = Some(std::path::absolute(data).unwrap_or_else(|_| data.to_owned()));
    for task in &mut settings.tasks {
        let is_set = |split: Split| {
            let key = format!("tasks.{}.{}", task.task, split.name());
            sets.iter().any(|set| set.key() == Some(key.as_str()))
        };
        let (dev, test) = (is_set(Split::Dev), is_set(Split::Test));
        task.train = None;
        task.dev = task.dev.take().filter(|_| dev);
        task.test = task.test.take().filter(|_| test);
    }
    Ok(settings)
}
