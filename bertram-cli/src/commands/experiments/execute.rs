//! Makes planned runs, each in a process of its own: what is done is not done again, what was interrupted goes on, and one
//! that fails does not stop the others.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bertram_core::task::TaskId;
use bertram_train::config::Settings;
use bertram_train::corpus::with_labels;
use bertram_train::phase::duration_for_people;
use bertram_train::pipeline::Summary;
use bertram_train::run_folder::{RunFolder, RunProgress, RunState, read_json};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::PlannedRun;
use crate::args::RunsArgs;
use crate::error::{CliError, CliResult, input, work};
use crate::interrupt::INTERRUPTED;
use crate::out;

/// How a run stands: [`RunState::AtWork`] where a runner that was killed has left its run behind, and where array tasks
/// share folders.
fn state(run: &PlannedRun) -> RunState {
    RunFolder::open(&run.folder)
        .and_then(|folder| folder.state())
        .unwrap_or(RunState::None)
}

/// How far a run is, once it has logged something.
fn progress(run: &PlannedRun) -> Option<RunProgress> {
    RunFolder::open(&run.folder).ok()?.progress()
}

/// A folder that an earlier grid left must be of the run that is planned: else its scores, or what it goes on with, would
/// pass for another setting's.
fn check_settings(run: &PlannedRun) -> CliResult {
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

struct Running<'a> {
    run: &'a PlannedRun,
    child: Child,
    line: ProgressBar,
}

/// Makes all of them, `--jobs` at a time.
pub fn all(runs: &[PlannedRun], args: &RunsArgs) -> CliResult {
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

    for run in runs {
        check_settings(run)?;
    }
    let mut waiting: VecDeque<&PlannedRun> = VecDeque::new();
    let mut done = 0;
    for run in runs {
        match state(run) {
            RunState::Finished => done += 1,
            _ => waiting.push_back(run),
        }
    }
    if done > 0 {
        out::note(&format!("{done} of {} runs are done already", runs.len()));
    }
    let lines = MultiProgress::new();
    let bar = lines.add(ProgressBar::new(runs.len() as u64));
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
    let mut failed: Vec<&PlannedRun> = Vec::new();
    let mut running: Vec<Running<'_>> = Vec::new();
    let mut told = 0;
    while !(running.is_empty() && (waiting.is_empty() || asked(&stop) > 0)) {
        while running.len() < args.jobs && asked(&stop) == 0 {
            let ready = waiting
                .iter()
                .position(|run| state(run) != RunState::AtWork);
            let Some(run) = ready.and_then(|index| waiting.remove(index)) else {
                break;
            };
            if state(run) == RunState::Finished {
                done += 1;
                continue;
            }
            say(&format!("{}: begun", label(run)));
            let line = lines.insert_before(&bar, ProgressBar::new(0));
            if let Ok(style) =
                ProgressStyle::with_template("{prefix}  {bar:24} {pos}/{len} updates  {msg}")
            {
                line.set_style(style);
            }
            line.set_prefix(label(run));
            running.push(Running {
                run,
                child: start(run, args)?,
                line,
            });
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
            let summary: Option<Summary> = read_json(&one.run.folder.join("summary.json")).ok();
            let text = match (&summary, status.code()) {
                (Some(summary), _) => {
                    done += 1;
                    finished_here += 1;
                    format!("{}: {}", label(one.run), scores(summary))
                }
                (None, Some(code)) if code == i32::from(INTERRUPTED) => {
                    format!("{}: interrupted", label(one.run))
                }
                (None, _) => {
                    failed.push(one.run);
                    format!(
                        "{}: failed: {}",
                        label(one.run),
                        last_words(&one.run.folder.with_extension("log"))
                    )
                }
            };
            bar.set_position(done as u64);
            one.line.finish_and_clear();
            say(&text);
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
        let mut undone = waiting.len() as f64;
        for one in &running {
            let Some(progress) = progress(one.run) else {
                undone += 1.0;
                continue;
            };
            undone += 1.0 - progress.share();
            one.line.set_length(progress.updates);
            one.line.set_position(progress.update);
            one.line.set_message(left(&progress));
            if is_line_due {
                say(&format!(
                    "{}: update {}/{}  {}",
                    label(one.run),
                    progress.update,
                    progress.updates,
                    left(&progress)
                ));
            }
        }
        if finished_here > 0 && undone > 0.0 {
            let each = begun.elapsed().as_secs_f64() / f64::from(finished_here);
            bar.set_message(format!("left {}", duration_for_people(each * undone)));
        }
    }
    bar.finish_and_clear();
    out::line(&table(runs).to_string())?;
    if asked(&stop) > 0 {
        out::note("stopped; the same command goes on");
        return Err(CliError::Status(INTERRUPTED));
    }
    if !failed.is_empty() {
        let names: Vec<String> = failed.iter().map(|run| label(run)).collect();
        return Err(work(anyhow::anyhow!(
            "{} of {} runs failed: {}; what each said lies beside its folder, in NAME.log",
            failed.len(),
            runs.len(),
            names.join(", ")
        )));
    }
    out::line(&format!(
        "report: bertram-cli report {} --out report.html",
        args.out.display()
    ))
}

/// How often it is looked how far the runs are.
const LOOK: Duration = Duration::from_secs(1);
/// How often that is said where there is no terminal.
const LINE: Duration = Duration::from_secs(60);

/// `left 1m20s`.
fn left(progress: &RunProgress) -> String {
    format!("left {}", duration_for_people(progress.seconds_left()))
}

/// `overall 0.742  sst 0.467  para 0.839`.
fn scores(summary: &Summary) -> String {
    let tasks = summary.dev.tasks.iter();
    let tasks = tasks.map(|(task, scores)| format!("  {task} {:.3}", scores.primary()));
    format!(
        "overall {:.3}{}",
        summary.dev.overall,
        tasks.collect::<String>()
    )
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

fn label(run: &PlannedRun) -> String {
    format!("{} (seed {})", run.name, run.seed)
}

/// Starts a run, or goes on with it.
fn start(run: &PlannedRun, args: &RunsArgs) -> CliResult<Child> {
    let log = run.folder.with_extension("log");
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
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let error = text.lines().rfind(|line| line.starts_with("error"));
    let last = error.or_else(|| text.lines().rfind(|line| !line.trim().is_empty()));
    last.unwrap_or("it said nothing").to_owned()
}

fn table(runs: &[PlannedRun]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let summaries: Vec<Option<Summary>> = runs
        .iter()
        .map(|run| read_json(&run.folder.join("summary.json")).ok())
        .collect();
    let mut tasks: Vec<TaskId> = Vec::new();
    for task in summaries
        .iter()
        .flatten()
        .flat_map(|it| it.dev.tasks.keys())
    {
        if !tasks.contains(task) {
            tasks.push(*task);
        }
    }
    let tasks = TaskId::in_order(tasks);
    let names = tasks.iter().map(|task| task.name());
    table.set_header(["run", "seed"].into_iter().chain(names).chain(["overall"]));
    for (run, summary) in runs.iter().zip(&summaries) {
        let score = |task: &TaskId| {
            let scores = summary.as_ref()?.dev.tasks.get(task)?;
            Some(format!("{:.3}", scores.primary()))
        };
        let cells = tasks
            .iter()
            .map(|task| score(task).unwrap_or_else(|| "-".into()));
        let overall = summary.as_ref().map_or("not done".into(), |summary| {
            format!("{:.3}", summary.dev.overall)
        });
        let start = [run.name.clone(), run.seed.to_string()];
        table.add_row(start.into_iter().chain(cells).chain([overall]));
    }
    for column in 1..tasks.len() + 3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
