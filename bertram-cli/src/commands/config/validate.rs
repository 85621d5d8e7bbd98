//! `bertram-cli config validate`: check config files, and what a run with them would read.

use std::path::Path;

use bertram_core::data::Split;
use bertram_core::encoder::check_encoder;
use bertram_kernels::TrainBackend;
use bertram_train::config::Settings;
use bertram_train::corpus::{DataFile, data_files, read_corpus, with_labels};
use bertram_train::pipeline::{PipelineError, prepare};

use crate::args::ValidateArgs;
use crate::backend::{BackendJob, BackendKind, dispatch};
use crate::commands::train::check_data_folder;
use crate::error::{CliError, CliResult, input, pipeline_error};
use crate::hub::resolve_model;
use crate::out;
use crate::recipe::{Recipe, flags, sets};

/// Runs the command. Every file is checked, whatever the others say.
pub fn run(args: &ValidateArgs) -> CliResult {
    let mut bad = 0;
    for file in &args.files {
        match validate(args, file) {
            Ok(reach) => out::line(&format!("{}: ok{reach}", file.display()))?,
            Err(error @ CliError::Input(_)) => {
                bad += 1;
                out::note(&error.message());
            }
            // A failure at work is no verdict on the file.
            Err(other) => return Err(other),
        }
    }
    if bad > 0 {
        return Err(CliError::Status(2));
    }
    Ok(())
}

/// Checks a file; gives how far it was checked, in words that go behind `ok`.
fn validate(args: &ValidateArgs, file: &Path) -> CliResult<String> {
    let mut overrides = flags(args.data.as_deref(), args.model.as_deref());
    overrides.extend(sets(&args.set));
    let loaded = Recipe::named(file).load(&overrides).map_err(input)?;
    loaded.say_warnings();
    let settings = loaded.settings;
    let asked = args.data.is_some() || args.model.is_some();
    if !asked && !settings.has_own_data() {
        return Ok(String::new());
    }
    check_data_folder(&settings)?;
    if settings.baseline.is_some() {
        let rows = read_rows(&settings, &[Split::Dev, Split::Test])?;
        return Ok(format!(", as far as a baseline goes ({rows})"));
    }
    let local = |model: &str| Path::new(model).is_dir();
    if !asked && !settings.model.path.as_deref().is_none_or(local) {
        // Nothing is downloaded that nobody asked for.
        let rows = read_rows(&settings, &[Split::Train, Split::Dev, Split::Test])?;
        return Ok(format!(
            ", as far as its data goes ({rows}); --model checks the model, too"
        ));
    }
    let dir = settings
        .model
        .path
        .as_deref()
        .map(|model| resolve_model(model, &settings.model.revision))
        .transpose()?;
    if let Some(dir) = &dir {
        check_weights(dir)?;
    }
    let prepared = prepare(&settings, dir.as_deref()).map_err(pipeline_error)?;
    Ok(format!(
        ", as far as the first batch of each task ({})",
        rows(&prepared.files)
    ))
}

/// Reads and checks splits; gives their numbers of rows.
fn read_rows(settings: &Settings, splits: &[Split]) -> CliResult<String> {
    let read = || -> Result<String, PipelineError> {
        let settings = with_labels(settings)?;
        Ok(rows(&data_files(&read_corpus(&settings, splits)?)))
    };
    read().map_err(pipeline_error)
}

/// Checks names and shapes of a model's tensors on a backend that needs no device but the CPU. (A build without one leaves
/// it to `train`.)
fn check_weights(dir: &Path) -> CliResult {
    struct Check<'a>(&'a Path);
    impl BackendJob for Check<'_> {
        type Output = CliResult;

        fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
            check_encoder::<B::InnerBackend>(self.0, &device)
                .map_err(|error| pipeline_error(error.into()))
        }
    }
    match BackendKind::default_of_build()? {
        cpu @ (BackendKind::Flex | BackendKind::Ndarray) => dispatch(cpu, None, Check(dir))?,
        _ => Ok(()),
    }
}

/// `sst: 8544 train, 1101 dev, 2210 test rows; para: ...`.
fn rows(files: &[DataFile]) -> String {
    let tasks = files.chunk_by(|one, other| one.task == other.task);
    let of_tasks: Vec<String> = tasks
        .map(|files| {
            let splits: Vec<String> = files
                .iter()
                .map(|file| format!("{} {}", file.rows, file.split))
                .collect();
            format!("{}: {} rows", files[0].task, splits.join(", "))
        })
        .collect();
    of_tasks.join("; ")
}
