//! What Ctrl-C does while a run trains.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bertram_train::learner::{StopFlag, leave_terminal};
use bertram_train::run_folder::{CheckpointStore, RunFolder};

use crate::error::{CliResult, work};
use crate::{gpu, out};

/// Exit code of a process that Ctrl-C stopped, as shells expect it.
pub const INTERRUPTED: u8 = 130;

/// How far the process's run is, as what a signal may end depends on it. A process has one run.
#[derive(Clone, Debug)]
enum Phase {
    /// Data and model are read. There is no folder yet, or one that begins anew or goes on from where it was.
    Starting(Option<RunFolder>),
    /// It has a checkpoint, and makes updates.
    Training(RunFolder),
    /// All updates are made and kept: its best model is scored and exported.
    Finishing(RunFolder),
}

static PHASE: Mutex<Phase> = Mutex::new(Phase::Starting(None));

fn set(phase: Phase) {
    *PHASE.lock().unwrap_or_else(PoisonError::into_inner) = phase;
}

fn phase() -> Phase {
    PHASE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Notes which folder the run that starts is in.
pub fn run_starts(run: &RunFolder) {
    set(Phase::Starting(Some(run.clone())));
}

/// Notes that a run has its first checkpoint.
pub fn run_begins(run: &RunFolder) {
    set(Phase::Training(run.clone()));
}

/// Notes that a run has made its updates.
pub fn run_finishes(run: &RunFolder) {
    set(Phase::Finishing(run.clone()));
}

/// Ends the process at once, from another thread than the one that works.
fn leave() -> ! {
    // Libraries of drivers may wait, as the process ends, for the thread that they compile on.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(1));
        kill_this_process();
    });
    gpu::finish();
    #[allow(
        clippy::exit,
        reason = "this is a signal handler's only way to end the process"
    )]
    std::process::exit(i32::from(INTERRUPTED));
}

#[cfg(unix)]
fn kill_this_process() {
    use nix::sys::signal::{Signal, raise};
    // It cannot be refused.
    let _ = raise(Signal::SIGKILL);
}

#[cfg(not(unix))]
fn kill_this_process() {}

/// Listens for Ctrl-C and termination. Once a training has made an update, the first asks it to stop after its step, and the
/// second ends the process; before and after that nothing is lost with the process, and the first ends it.
///
/// # Errors
/// A system that lets nobody listen.
pub fn install(stop: &StopFlag) -> CliResult {
    let stop = stop.clone();
    ctrlc::set_handler(move || {
        let again = stop.stop();
        let phase = phase();
        let waits = matches!(phase, Phase::Training(_))
            && stop.update_was_made()
            // The first step of all compiles kernels, for minutes perhaps.
            && !gpu::is_settling();
        if waits && !again {
            return;
        }
        leave_terminal();
        out::note(&farewell(&phase, again));
        if let Phase::Starting(Some(run)) = &phase
            && !run.config().is_file()
        {
            run.remove_start();
        }
        leave();
    })
    .context("cannot listen for Ctrl-C")
    .map_err(work)
}

/// What is said of a run that ends at once: what there is of it, and how it goes on.
fn farewell(phase: &Phase, again: bool) -> String {
    let run = match phase {
        Phase::Starting(None) => return BEGINS.into(),
        Phase::Starting(Some(run)) | Phase::Training(run) | Phase::Finishing(run) => run,
    };
    if !run.config().is_file() {
        return BEGINS.into();
    }
    let goes_on = format!("bertram-cli train --resume {}", run.path().display());
    let newest = CheckpointStore::new(run.checkpoints(), 1).newest();
    let Ok(Some(newest)) = newest else {
        return format!("stopped before the first update; this begins the run anew: {goes_on}");
    };
    let when = match phase {
        Phase::Finishing(_) => "stopped while the trained run was scored and exported",
        _ if again => "stopped at once",
        Phase::Training(_) if gpu::is_settling() => "stopped while the first kernels were compiled",
        _ => "stopped before the first update",
    };
    format!(
        "{when}; the last whole checkpoint is {}; go on with: {goes_on}",
        newest.display()
    )
}

const BEGINS: &str = "stopped before the run began; the same command begins it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_names_what_there_is_of_the_run() {
        let dir = tempfile::tempdir().expect("temp dir");
        let run = RunFolder::create(dir.path().join("run")).expect("new");
        let starting = Phase::Starting(Some(run.clone()));
        assert_eq!(farewell(&Phase::Starting(None), false), BEGINS);
        assert_eq!(farewell(&starting, false), BEGINS);
        std::fs::write(run.config(), "").expect("write");
        let text = farewell(&starting, false);
        assert!(text.contains("anew") && text.contains("--resume"), "{text}");
        let checkpoint = run.checkpoints().join("update-00000012");
        std::fs::create_dir_all(&checkpoint).expect("folder");
        for (phase, again, when) in [
            (starting, false, "before the first update"),
            (
                Phase::Training(run.clone()),
                false,
                "before the first update",
            ),
            (Phase::Training(run.clone()), true, "at once"),
            (Phase::Finishing(run), false, "scored and exported"),
        ] {
            let text = farewell(&phase, again);
            let named = checkpoint.display().to_string();
            assert!(text.contains(when) && text.contains(&named), "{text}");
            assert!(
                text.contains("go on with: bertram-cli train --resume"),
                "{text}"
            );
        }
    }
}
