//! The folder of what was made of runs: what reports and comparisons read of a run.

use bertram_core::data::Split;
use bertram_core::metric::SplitScores;
use bertram_core::task::TaskId;

use super::{Member, MixtureError};
use crate::config::{ExportedWeights, Settings};
use crate::corpus::DataFile;
use crate::device::DeviceName;
use crate::made_of::{ChosenOn, MadeOf};
use crate::pipeline::{BURN_VERSION, Summary, write_text};
use crate::run_folder::{Machine, RunFolder, RunInfo, write_json};

/// Who makes a folder.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The command line.
    pub command: Vec<String>,
    /// The commit that the program was built from, where the build knew it.
    pub commit: Option<String>,
    /// What it computes with.
    pub backend: String,
    /// Which of the backend's devices.
    pub device: DeviceName,
}

/// Writes `config.toml` and `run.json`: the config is that of the first run, for its tasks, labels and data, without what
/// only names it (`[experiment]`).
pub(crate) fn begin(
    run: &RunFolder,
    members: &[Member],
    tasks: &[TaskId],
    origin: &Origin,
    what: &str,
) -> Result<(Settings, RunInfo), MixtureError> {
    let Some(first) = members.first() else {
        return Err(MixtureError::TooFew(0));
    };
    let settings = Settings {
        experiment: None,
        ..first.settings.clone()
    };
    let text = format!(
        "# {what} of {} runs, which summary.json names. This is the config of the first, for its tasks and data.\n{}",
        members.len(),
        settings.to_toml()
    );
    write_text(&run.config(), &text)?;
    let of_first = first.run.read_info().ok();
    let info = RunInfo {
        bertram: env!("CARGO_PKG_VERSION").into(),
        burn: BURN_VERSION.into(),
        commit: origin.commit.clone(),
        machine: Machine::here(),
        backend: origin.backend.clone(),
        device: origin.device,
        seed: first.summary.seed,
        model: of_first.as_ref().and_then(|info| info.model.clone()),
        model_sha256: of_first.and_then(|info| info.model_sha256),
        started: jiff::Timestamp::now().to_string(),
        command: origin.command.clone(),
        data: files(first, tasks),
        changed: Vec::new(),
    };
    write_json(&run.run_info(), &info)?;
    Ok((settings, info))
}

/// The first run's files of the tasks.
fn files(first: &Member, tasks: &[TaskId]) -> Vec<DataFile> {
    let files = first.summary.data.iter();
    files
        .filter(|file| tasks.contains(&file.task))
        .cloned()
        .collect()
}

/// On which rows the runs' epochs were chosen.
pub(crate) fn epochs_chosen_on(members: &[Member]) -> ChosenOn {
    let chose = members.iter().map(|member| chosen_on(&member.summary));
    chose.max().unwrap_or(ChosenOn::Nothing)
}

fn chosen_on(summary: &Summary) -> ChosenOn {
    if let Some(made_of) = &summary.made_of {
        // A mixture of mixtures has what these were chosen by.
        return match made_of.select {
            Some(_) => ChosenOn::All,
            None => made_of.epochs_chosen_on,
        };
    }
    let mut dev = (summary.data.iter()).filter(|file| file.split == Split::Dev.name());
    let chose = summary.best_epoch > 0
        && summary.exported == ExportedWeights::Best
        && dev.any(|file| file.rows > 0);
    match (chose, &summary.parts) {
        (false, _) => ChosenOn::Nothing,
        (true, Some(_)) => ChosenOn::Part,
        (true, None) => ChosenOn::All,
    }
}

/// `summary.json`. Nothing was trained here: the runs' own summaries say what that took.
pub(crate) fn of_folder(
    run: &RunFolder,
    info: RunInfo,
    dev: SplitScores,
    made_of: MadeOf,
    parameters: usize,
) -> Summary {
    Summary {
        made_of: Some(made_of),
        parameters,
        ..Summary::untrained(run, info, dev)
    }
}
