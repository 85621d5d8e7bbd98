//! Makes runs, each in a process of its own: what is done is not done again, what was interrupted goes on, and one that fails
//! does not stop the others.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bertram_train::config::Settings;
use bertram_train::corpus::with_labels;
use bertram_train::phase::duration_for_people;
use bertram_train::pipeline::Summary;
use bertram_train::run_folder::{RunFolder, RunProgress, RunState, read_json};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::PlannedRun;
use crate::args::RunsArgs;
use crate::error::{CliError, CliResult, input, work};
use crate::interrupt::INTERRUPTED;
use crate::out;

/// What to do next.
pub enum Next {
    /// To begin a run, or to go on with it.
    Job(Job),
    /// Nothing yet: something else has to end first.
    Wait,
    /// Nothing more.
    Done,
}

/// A run to make.
#[derive(Clone)]
pub struct Job {
    /// Which.
    pub run: PlannedRun,
    /// After which epoch it stops, of how many; without it, at its end.
    pub until: Option<Until>,
}

/// A stop on the way.
#[derive(Clone, Copy)]
pub struct Until {
    /// The epoch after which a run stops.
    pub epoch: usize,
    /// How many it has in all.
    pub epochs: usize,
}

/// How the process of a run ended.
pub enum Ended {
    /// With its run.
    Finished(Box<Summary>),
    /// Where it was to stop.
    Stopped,
    /// By Ctrl-C.
    Interrupted,
    /// In any other way: what it said last.
    Failed(String),
}

/// Where jobs come from.
pub trait Queue {
    /// What to do next.
    fn next(&mut self) -> CliResult<Next>;
    /// Takes in how a job ended; gives what there is to say of it.
    fn ended(&mut self, job: &Job, how: &Ended) -> CliResult<String>;
    /// How many runs are done, and how many there are.
    fn count(&self) -> (usize, usize);
    /// How many wait, where that says how long all will take.
    fn waiting(&self) -> Option<usize>;
}

/// How a run stands: [`RunState::AtWork`] where a runner that was killed has left its run behind, and where array tasks
/// share folders.
pub fn state(run: &PlannedRun) -> RunState {
    RunFolder::open(&run.folder)
        .and_then(|folder| folder.state())
        .unwrap_or(RunState::None)
}

/// How far a job is on its way to where it stops, once it has logged something.
fn progress(job: &Job) -> Option<RunProgress> {
    let mut progress = RunFolder::open(&job.run.folder).ok()?.progress()?;
    if let Some(until) = job.until {
        let share = until.epoch as f64 / until.epochs.max(1) as f64;
        progress.updates = (progress.updates as f64 * share).round() as u64;
    }
    Some(progress)
}

/// A folder that an earlier grid left must be of the run that is planned: else its scores, or what it goes on with, would
/// pass for another setting's.
pub fn check_settings(run: &PlannedRun) -> CliResult {
    let Ok(folder) = RunFolder::open(&run.folder) else {
        return Ok(());
    };
    let found = Settings::load(&folder.config(), &[]).map_err(input)?;
    let mut sets = vec![format!("train.seed={}", run.seed)];
    sets.extend(run.sets.iter().cloned());
    let planned = run.config.settings(&sets).map_err(input)?;
    let mut planned = with_labels(&planned).map_err(input)?.into_owned();
    // Where the plan does not say, the backend did when the run began.
    let padding = found.data.pad_to_multiple_of;
    planned.data.pad_to_multiple_of = planned.data.pad_to_multiple_of.or(padding);
    if found == planned {
        return Ok(());
    }
    let (found, planned) = (found.to_toml(), planned.to_toml());
    let only = |text: &str, other: &str| {
        let line = text
            .lines()
            .find(|line| !other.lines().any(|it| it == *line));
        line.unwrap_or("nothing").to_owned()
    };
    Err(input(anyhow::anyhow!(
        "{} was made with other settings (there: {}; now: {}): name another folder with --out, or move it away",
        run.folder.display(),
        only(&found, &planned),
        only(&planned, &found),
    )))
}

struct Running {
    job: Job,
    child: Child,
    line: ProgressBar,
}

/// Makes what a queue gives, `--jobs` at a time. Gives whether that was stopped by Ctrl-C.
pub fn all(queue: &mut dyn Queue, args: &RunsArgs) -> CliResult<bool> {
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))
        .map_err(work)?;
    let stop = Arc::new(AtomicUsize::new(0));
    let count = stop.clone();
    ctrlc::set_handler(move || {
        count.fetch_add(1, Ordering::SeqCst);
    })
    .context("cannot listen for Ctrl-C")
    .map_err(work)?;

    let (done, runs) = queue.count();
    if done > 0 {
        out::note(&format!("{done} of {runs} runs are done already"));
    }
    let lines = MultiProgress::new();
    let bar = lines.add(ProgressBar::new(runs as u64));
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} runs {wide_bar} {msg}") {
        bar.set_style(style);
    }
    bar.set_position(done as u64);
    // On a terminal above what goes on, elsewhere as it comes.
    let say = |text: &str| match bar.is_hidden() {
        true => out::note(text),
        false => bar.println(text),
    };
    let mut looked = Instant::now();
    let mut lined = Instant::now();
    let begun = Instant::now();
    let mut finished_here = 0;
    let mut running: Vec<Running> = Vec::new();
    let mut told = 0;
    loop {
        let mut is_over = asked(&stop) > 0;
        while running.len() < args.jobs && !is_over {
            let job = match queue.next()? {
                Next::Job(job) => job,
                Next::Wait => break,
                Next::Done => {
                    is_over = true;
                    break;
                }
            };
            let goes = match job.until {
                None => String::new(),
                Some(until) => format!(", up to epoch {} of {}", until.epoch, until.epochs),
            };
            let how = match state(&job.run) {
                RunState::Interrupted => "goes on",
                _ => "begun",
            };
            say(&format!("{}: {how}{goes}", label(&job.run)));
            let line = lines.insert_before(&bar, ProgressBar::new(0));
            if let Ok(style) =
                ProgressStyle::with_template("{prefix}  {bar:24} {pos}/{len} updates  {msg}")
            {
                line.set_style(style);
            }
            line.set_prefix(label(&job.run));
            running.push(Running {
                child: start(&job, args)?,
                job,
                line,
            });
        }
        if running.is_empty() && is_over {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        // Children are in groups of their own and hear of a stop from here: once, so that they end their step.
        if told < asked(&stop) {
            told = asked(&stop);
            for one in &running {
                interrupt(&one.child);
            }
        }
        let mut still = Vec::new();
        for mut one in running {
            let Some(status) = one.child.try_wait().map_err(work)? else {
                still.push(one);
                continue;
            };
            let how = ended(&one.job, status.code());
            finished_here += u32::from(matches!(how, Ended::Finished(_)));
            let text = queue.ended(&one.job, &how)?;
            bar.set_position(queue.count().0 as u64);
            one.line.finish_and_clear();
            say(&format!("{}: {text}", label(&one.job.run)));
        }
        running = still;
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        let is_line_due = bar.is_hidden() && lined.elapsed() >= LINE;
        if is_line_due {
            lined = Instant::now();
        }
        let mut at_work = 0.0;
        for one in &running {
            let Some(progress) = progress(&one.job) else {
                at_work += 1.0;
                continue;
            };
            at_work += 1.0 - progress.share();
            one.line.set_length(progress.updates);
            one.line.set_position(progress.update);
            one.line.set_message(left(&progress));
            if is_line_due {
                say(&format!(
                    "{}: update {}/{}  {}",
                    label(&one.job.run),
                    progress.update,
                    progress.updates,
                    left(&progress)
                ));
            }
        }
        if let Some(waiting) = queue.waiting().filter(|_| finished_here > 0) {
            let each = begun.elapsed().as_secs_f64() / f64::from(finished_here);
            let undone = waiting as f64 + at_work;
            bar.set_message(format!("left {}", duration_for_people(each * undone)));
        }
    }
    bar.finish_and_clear();
    Ok(asked(&stop) > 0)
}

/// How often it is looked how far the runs are.
const LOOK: Duration = Duration::from_secs(1);
/// How often that is said where there is no terminal.
const LINE: Duration = Duration::from_secs(60);

/// How a job's process ended.
fn ended(job: &Job, code: Option<i32>) -> Ended {
    let summary: Option<Summary> = read_json(&job.run.folder.join("summary.json")).ok();
    match (summary, code) {
        (Some(summary), _) => Ended::Finished(Box::new(summary)),
        (None, Some(code)) if code == i32::from(INTERRUPTED) => Ended::Interrupted,
        (None, Some(0)) if job.until.is_some() => Ended::Stopped,
        (None, _) => Ended::Failed(last_words(&log(&job.run))),
    }
}

/// What is said where Ctrl-C has ended the work.
pub fn stopped() -> CliError {
    out::note("stopped; the same command goes on");
    CliError::Status(INTERRUPTED)
}

/// `left 1m20s`.
fn left(progress: &RunProgress) -> String {
    format!("left {}", duration_for_people(progress.seconds_left()))
}

/// How often a stop was asked for.
fn asked(stop: &AtomicUsize) -> usize {
    stop.load(Ordering::SeqCst)
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    if let Ok(pid) = i32::try_from(child.id()) {
        // One that has just ended cannot be told, and need not be.
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
}

/// Elsewhere a console tells its children itself.
#[cfg(not(unix))]
fn interrupt(_child: &Child) {}

pub fn label(run: &PlannedRun) -> String {
    format!("{} (seed {})", run.name, run.seed)
}

/// Where a run's process writes what it says: beside its folder.
pub fn log(run: &PlannedRun) -> std::path::PathBuf {
    let mut name = run.folder.clone().into_os_string();
    name.push(".log");
    name.into()
}

/// Starts a run, or goes on with it.
fn start(job: &Job, args: &RunsArgs) -> CliResult<Child> {
    let run = &job.run;
    let log = log(run);
    let log = std::fs::File::create(&log)
        .with_context(|| format!("cannot write {}", log.display()))
        .map_err(work)?;
    let mut command = Command::new(std::env::current_exe().map_err(work)?);
    command.args(["train", "--dashboard", "plain"]);
    if let Some(kind) = args.backend.backend {
        command.args(["--backend", kind.name()]);
    }
    if let Some(device) = args.backend.device {
        command.args(["--device", &device.to_string()]);
    }
    if let Some(until) = job.until {
        command.args(["--until-epoch", &until.epoch.to_string()]);
    }
    match state(run) {
        // One that was stopped while it began starts anew from its config, which was compared with the plan.
        RunState::Interrupted | RunState::NotBegun => {
            command.arg("--resume").arg(&run.folder);
        }
        RunState::None | RunState::Finished | RunState::AtWork => {
            set_aside(&run.folder)?;
            command.arg("--config").arg(run.config.path());
            command.arg("--out").arg(&run.folder);
            command.args(["--seed", &run.seed.to_string()]);
            for set in &run.sets {
                command.args(["--set", set]);
            }
        }
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(work)?)
        .stderr(log)
        .spawn()
        .context("cannot start a run")
        .map_err(work)
}

/// A folder that a run left before its first checkpoint gives way, and is kept.
fn set_aside(folder: &Path) -> CliResult {
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if !occupied {
        return Ok(());
    }
    let mut number = 1;
    let aside = loop {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".broken-{number}"));
        let path = std::path::PathBuf::from(name);
        if !path.exists() {
            break path;
        }
        number += 1;
    };
    std::fs::rename(folder, &aside)
        .with_context(|| format!("cannot move {} aside", folder.display()))
        .map_err(work)
}

/// The last line that a run said.
pub fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let error = text.lines().rfind(|line| line.starts_with("error"));
    let last = error.or_else(|| text.lines().rfind(|line| !line.trim().is_empty()));
    last.unwrap_or("it said nothing").to_owned()
}
