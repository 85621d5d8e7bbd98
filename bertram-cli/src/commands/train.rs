//! `bertram-cli train`: a new run, or one to go on with.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bertram_kernels::TrainBackend;
use bertram_train::baseline::run_baseline;
use bertram_train::config::{Loaded, Override, Settings};
use bertram_train::device::DeviceName;
use bertram_train::learner::{Dashboard, Outcome, StopFlag, TrainError, TrainingSession, train};
use bertram_train::pipeline::{self, PipelineError, Place, lower_rates};
use bertram_train::run_folder::{RunFolder, RunLock, RunState};

use super::finished;
use crate::args::TrainArgs;
use crate::backend::{BackendJob, BackendKind, DeviceOptions, device_of, dispatch_with};
use crate::error::{CliError, CliResult, input, pipeline_error, work};
use crate::gpu;
use crate::hub::resolve_model;
use crate::interrupt;
use crate::logging::{dashboard_has_terminal, log_to_file};
use crate::out;
use crate::pretrained;
use crate::progress::clock_of_run;
use crate::recipe::{Recipe, flags, sets};
use crate::version::commit;

/// How the message of a run begins whose numbers left the numbers.
pub const DIVERGED: &str = "the run diverged";

/// Runs the command.
pub fn run(args: &TrainArgs) -> CliResult {
    let begun = Instant::now();
    let stop = StopFlag::default();
    if let Some(epochs) = args.until_epoch {
        stop.stop_after_epoch(epochs);
    }
    interrupt::install(&stop)?;
    let dashboard = args.dashboard.unwrap_or_else(|| {
        if out::is_quiet() {
            Dashboard::None
        } else if std::io::stdout().is_terminal() {
            Dashboard::Tui
        } else {
            Dashboard::Plain
        }
    });
    match &args.resume {
        Some(run) => resume(args, run, dashboard, stop, begun),
        None => start(args, dashboard, stop, begun),
    }
}

fn start(args: &TrainArgs, dashboard: Dashboard, stop: StopFlag, begun: Instant) -> CliResult {
    let (config, loaded) = settings(args.config.as_deref(), overrides(args))?;
    let by_default = match args.config {
        Some(_) => "",
        None => config.meant_for(),
    };
    out::progress(&format!("config: {}{by_default}", config.describe()));
    loaded.say_warnings();
    let says_pooling = loaded.said.iter().any(|key| key.ends_with(".pooling"));
    let settings = loaded.settings;
    let backend = args.backend.kind()?;
    let device = device_of(backend, args.backend.device)?;
    // Before a model is downloaded for nothing.
    check_data_folder(&settings)?;
    let model_dir = model_dir(&settings, says_pooling)?;
    let was_there = args.out.as_ref().is_some_and(|out| out.exists());
    let run = match &args.out {
        Some(out) => RunFolder::create(out.clone()),
        None => RunFolder::create_numbered(Path::new("runs"), &run_name(&config)),
    }
    .map_err(PipelineError::from)
    .map_err(pipeline_error)?;
    let _lock = lock(&run)?;
    interrupt::run_starts(&run);
    run.remove_leftovers().map_err(work)?;
    log_to_file(&run.log())?;
    begin(Start {
        settings,
        run,
        model_dir,
        dashboard,
        stop,
        begun,
        backend,
        device,
        is_new: true,
        was_there,
    })
}

/// Refuses a data folder that is not there, by name.
pub fn check_data_folder(settings: &Settings) -> CliResult {
    match settings.data.dir.as_deref().filter(|dir| !dir.is_dir()) {
        None => Ok(()),
        Some(dir) => Err(input(anyhow::anyhow!(
            "{}: there is no such folder; --data (data.dir) names the folder of the data files",
            dir.display()
        ))),
    }
}

/// Refuses a run that is not finished: it has no model to score or to predict with.
pub fn check_exported(run: &RunFolder) -> CliResult {
    match run.model().is_dir() {
        true => Ok(()),
        false => Err(input(anyhow::anyhow!(
            "{0} has no exported model yet; finish it with: bertram-cli train --resume {0}",
            run.path().display()
        ))),
    }
}

/// The folder of the pretrained model, if the run has one; a hub id is fetched.
fn model_dir(settings: &Settings, says_pooling: bool) -> CliResult<Option<PathBuf>> {
    settings
        .model
        .path
        .as_deref()
        // A baseline has no model.
        .filter(|_| settings.baseline.is_none())
        .map(|model| {
            let dir = resolve_model(model, &settings.model.revision)?;
            pretrained::to_train(&dir, settings, says_pooling)
        })
        .transpose()
}

/// Begins a run in its folder.
fn begin(mut start: Start) -> CliResult {
    // From here on it is the run's: its model computes on other backends as it was trained.
    let padding = &mut start.settings.data.pad_to_multiple_of;
    padding.get_or_insert(start.backend.pad_to_multiple_of());
    let Start {
        settings,
        run,
        backend,
        device,
        is_new,
        was_there,
        ..
    } = &start;
    if let Some(baseline) = settings.baseline {
        let command = command_line();
        let summary = run_baseline(settings, baseline, run, backend.name(), commit(), command)
            .map_err(|error| {
                if *is_new {
                    discard(run, *was_there);
                }
                pipeline_error(error)
            })?;
        return finished::report(&summary, run);
    }
    let (backend, device, is_new, was_there) = (*backend, *device, *is_new, *was_there);
    let folder = run.clone();
    let options = options(settings, Some(device));
    dispatch_with(backend, options, start)
        // A run that was never begun leaves no folder, either.
        .inspect_err(|_| {
            if is_new {
                discard(&folder, was_there);
            }
        })?
}

fn resume(
    args: &TrainArgs,
    run: &Path,
    dashboard: Dashboard,
    stop: StopFlag,
    begun: Instant,
) -> CliResult {
    let run = RunFolder::open(run)
        .map_err(PipelineError::from)
        .map_err(pipeline_error)?;
    let _lock = lock(&run)?;
    interrupt::run_starts(&run);
    run.remove_leftovers().map_err(work)?;
    let state = run.state_behind_lock().map_err(PipelineError::from);
    if state.map_err(pipeline_error)? == RunState::NotBegun {
        return begin_anew(args, run, dashboard, stop, begun);
    }
    // The backend the run was begun with, unless another is asked for.
    let info = run
        .read_info()
        .map_err(PipelineError::from)
        .map_err(pipeline_error)?;
    let backend = match args.backend.backend {
        Some(kind) => kind,
        None => BackendKind::from_name(&info.backend).ok_or_else(|| {
            input(anyhow::anyhow!(
                "{}: there is no backend {:?}; name one with --backend",
                run.run_info().display(),
                info.backend
            ))
        })?,
    };
    // Where the run was, if that has a name: a number may be another device tomorrow.
    let noted = (backend.name() == info.backend).then_some(info.device);
    let noted = noted.filter(|device| !matches!(device, DeviceName::Number(_)));
    let device = device_of(backend, args.backend.device.or(noted))?;
    let settings = Settings::load(&run.config(), &[]).map_err(input)?;
    out::progress(&format!("config: {}", run.config().display()));
    log_to_file(&run.log())?;
    dispatch_with(
        backend,
        options(&settings, Some(device)),
        Resume {
            overrides: overrides(args),
            run,
            dashboard,
            stop,
            begun,
            backend,
            device,
        },
    )?
}

/// A run that was stopped before its first checkpoint has nothing to go on from: it begins anew from its config.
fn begin_anew(
    args: &TrainArgs,
    run: RunFolder,
    dashboard: Dashboard,
    stop: StopFlag,
    begun: Instant,
) -> CliResult {
    let settings =
        pipeline::settings_to_begin_anew(&run, &overrides(args)).map_err(pipeline_error)?;
    out::progress(&format!(
        "config: {}; the run was stopped before its first checkpoint, and begins anew",
        run.config().display()
    ));
    log_to_file(&run.log())?;
    // Pooling was settled when the config was written.
    let model_dir = model_dir(&settings, true)?;
    let noted = run.read_info().ok();
    let noted = noted.and_then(|info| BackendKind::from_name(&info.backend));
    let backend = match (args.backend.backend, noted) {
        (None, Some(noted)) => noted,
        _ => args.backend.kind()?,
    };
    begin(Start {
        settings,
        run,
        model_dir,
        dashboard,
        stop,
        begun,
        backend,
        device: device_of(backend, args.backend.device)?,
        is_new: false,
        was_there: true,
    })
}

/// The settings of a new run: the config that is named, or the recipe for the data, and over it what the command line says.
pub fn settings(
    config: Option<&Path>,
    mut overrides: Vec<Override>,
) -> CliResult<(Recipe, Loaded)> {
    if let Some(config) = config {
        let recipe = Recipe::named(config);
        let loaded = recipe.load(&overrides).map_err(input)?;
        return Ok((recipe, loaded));
    }
    let loaded = Recipe::QUICK_START.load(&overrides).map_err(input)?;
    if !loaded.settings.has_own_data() {
        return Ok((Recipe::QUICK_START, loaded));
    }
    let about_bad_rows = |it: &Override| matches!(it.key(), Some("data.bad-rows" | "data"));
    if !overrides.iter().any(about_bad_rows) {
        // The recipe skips two rows of the course's own dev file; of other data nobody has said that rows may go.
        overrides.push(Override::set("data.bad-rows=error"));
    }
    let loaded = Recipe::RECOMMENDED.load(&overrides).map_err(input)?;
    Ok((Recipe::RECOMMENDED, loaded))
}

/// Flags in the order of the help, then `--set` as given: the later goes over the earlier.
fn overrides(args: &TrainArgs) -> Vec<Override> {
    let mut overrides = flags(args.data.as_deref(), args.model.as_deref());
    if let Some(seed) = args.seed {
        // A seed is any 64 bits; TOML's integers are signed, and the config says so of larger ones.
        overrides
            .push(Override::set(&format!("train.seed={seed}")).shown_as(&format!("--seed {seed}")));
    }
    if args.no_test {
        overrides.push(Override::set("data.test-limit=0").shown_as("--no-test"));
    }
    overrides.extend(sets(&args.set));
    overrides
}

/// What was typed. Arguments that are no UTF-8 are shown with replacement characters.
fn command_line() -> Vec<String> {
    std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

/// A device that computes as the settings say.
fn options(settings: &Settings, device: Option<DeviceName>) -> DeviceOptions {
    DeviceOptions {
        device,
        checkpointing: settings.train.activation_checkpointing,
        tf32: settings.train.tf32,
    }
}

/// A device that computes as a run's model was trained, as far as that must be known before the device is. What is wrong
/// with the run is said by whoever opens it.
pub fn options_of_run(run: &Path, device: Option<DeviceName>) -> DeviceOptions {
    let run = RunFolder::open(run).ok();
    let settings = run.and_then(|run| Settings::load(&run.config(), &[]).ok());
    DeviceOptions {
        tf32: settings.is_none_or(|settings| settings.train.tf32),
        ..DeviceOptions::plain(device)
    }
}

/// `<date>-<config>`: `2026-11-23-quickstart`.
fn run_name(config: &Recipe) -> String {
    format!(
        "{}-{}",
        jiff::Zoned::now().strftime("%Y-%m-%d"),
        config.name()
    )
}

struct Start {
    settings: Settings,
    run: RunFolder,
    model_dir: Option<PathBuf>,
    dashboard: Dashboard,
    stop: StopFlag,
    begun: Instant,
    backend: BackendKind,
    device: DeviceName,
    /// Whether the folder is this run's first: it goes where the run cannot begin.
    is_new: bool,
    /// Whether the folder was there before: an empty one, which stays.
    was_there: bool,
}

impl BackendJob for Start {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let place = Place {
            report: gpu::report(),
            clock: clock_of_run(self.begun, self.dashboard),
            commit: commit(),
            backend: self.backend.name().into(),
            name: self.device,
            device,
        };
        let folder = self.run.path().to_owned();
        tracing::info!("run folder {}", folder.display());
        let session = pipeline::start::<B>(
            self.settings,
            self.run.clone(),
            self.model_dir.as_deref(),
            &place,
            command_line(),
            self.stop.clone(),
        )
        .map_err(pipeline_error);
        let session = match session {
            Ok(session) => session,
            Err(error) => {
                // A run that never began leaves no folder behind, so that the same command works once its input is mended.
                if self.is_new {
                    discard(&self.run, self.was_there);
                }
                return Err(error);
            }
        };
        complete::<B>(show(session, self.dashboard), &self.run, &place, &self.stop)
    }
}

struct Resume {
    run: RunFolder,
    overrides: Vec<Override>,
    dashboard: Dashboard,
    stop: StopFlag,
    begun: Instant,
    backend: BackendKind,
    device: DeviceName,
}

impl BackendJob for Resume {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let place = Place {
            report: gpu::report(),
            clock: clock_of_run(self.begun, self.dashboard),
            commit: commit(),
            backend: self.backend.name().into(),
            name: self.device,
            device,
        };
        let (session, changes) =
            pipeline::resume::<B>(self.run.clone(), &self.overrides, &place, self.stop.clone())
                .map_err(pipeline_error)?;
        for change in &changes {
            out::progress(&change.to_string());
        }
        complete::<B>(show(session, self.dashboard), &self.run, &place, &self.stop)
    }
}

/// Trains under a dashboard, to which the terminal belongs meanwhile.
fn show<B: TrainBackend>(
    session: TrainingSession<B>,
    dashboard: Dashboard,
) -> Result<Outcome, TrainError> {
    interrupt::run_begins(&session.run);
    dashboard_has_terminal(dashboard == Dashboard::Tui);
    let outcome = train(session, dashboard);
    dashboard_has_terminal(false);
    outcome
}

fn complete<B: TrainBackend>(
    outcome: Result<Outcome, TrainError>,
    run: &RunFolder,
    place: &Place<B::Device>,
    stop: &StopFlag,
) -> CliResult {
    let outcome = outcome
        .map_err(|error| match &error {
            TrainError::Diverged { checkpoint, cause } => {
                let advice = match cause.before_any_step() {
                    true => format!("{DIVERGED} before its first update: no learning rate mends that; look at the weights of losses and regularisers (tasks.X.weight, [regulariser]), at train.precision and at the data"),
                    false => diverged_advice(run, *checkpoint),
                };
                anyhow::Error::new(error).context(advice)
            }
            _ => anyhow::Error::new(error).context(format!(
                "the run stopped; go on with: bertram-cli train --resume {}",
                run.path().display()
            )),
        })
        .map_err(CliError::Work)?;
    if outcome.interrupted && !stop.is_set() {
        out::note(&format!(
            "stopped after epoch {}, as --until-epoch asks; go on with: bertram-cli train --resume {}",
            outcome.state.epoch.saturating_sub(1),
            run.path().display()
        ));
        return Ok(());
    }
    if outcome.interrupted {
        out::note(&format!(
            "stopped at epoch {}, update {}; go on with: bertram-cli train --resume {}",
            outcome.state.epoch,
            outcome.state.updates,
            run.path().display()
        ));
        return Err(CliError::Status(interrupt::INTERRUPTED));
    }
    // What was asked for after the last step is done with: what is left is long, and --resume does it.
    interrupt::run_finishes(run);
    if stop.is_set() {
        out::note(&format!(
            "stopped after the last update; what is left is to score and export: bertram-cli train --resume {}",
            run.path().display()
        ));
        return Err(CliError::Status(interrupt::INTERRUPTED));
    }
    let summary = pipeline::finish::<B::InnerBackend>(run, &outcome, &place.device)
        .map_err(pipeline_error)?;
    finished::report(&summary, run)
}

/// How to go on with a run whose numbers left the numbers: from its last checkpoint, at lower rates.
fn diverged_advice(run: &RunFolder, checkpoint: Option<usize>) -> String {
    let rates = Settings::load(&run.config(), &[]).map(|settings| lower_rates(&settings));
    let sets: String = (rates.iter().flatten())
        .map(|(key, rate)| format!(" --set {key}={rate:.1e}"))
        .collect();
    let checkpoint = checkpoint.map_or_else(
        || "it has no checkpoint".to_owned(),
        |update| format!("its last good checkpoint is that of update {update}"),
    );
    format!(
        "{DIVERGED}, and nothing was saved since; {checkpoint}; go on from there at lower rates: bertram-cli train --resume {}{sets}",
        run.path().display()
    )
}

fn lock(run: &RunFolder) -> CliResult<RunLock> {
    run.lock()
        .map_err(PipelineError::from)
        .map_err(pipeline_error)
}

fn discard(run: &RunFolder, was_there: bool) {
    // A backend that could not be had, or data that is wrong: said by whoever found it first.
    if run.checkpoints().exists() || !run.path().exists() {
        return;
    }
    if let Err(error) = run.remove_new(was_there) {
        tracing::warn!("{error}");
    }
}
