//! What Ctrl-C does while a run trains.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use bertram_train::learner::StopFlag;

use crate::error::{CliResult, work};
use crate::{gpu, out};

/// Exit code of a process that Ctrl-C stopped, as shells expect it.
pub const INTERRUPTED: u8 = 130;

/// The run that has a checkpoint and no update yet: stopped there, it loses nothing.
static BEGUN: OnceLock<PathBuf> = OnceLock::new();

/// Notes that a run has its first checkpoint.
pub fn run_begins(run: &Path) {
    // A process has one run.
    let _ = BEGUN.set(run.to_owned());
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

/// Listens for Ctrl-C and termination: the first asks the training to stop after its step, the second ends the process.
///
/// # Errors
/// A system that lets nobody listen.
pub fn install(stop: &StopFlag) -> CliResult {
    let stop = stop.clone();
    ctrlc::set_handler(move || {
        if stop.stop() {
            // The second Ctrl-C: somebody does not want to wait for the step.
            leave();
        }
        if let Some(run) = BEGUN.get().filter(|_| gpu::is_settling()) {
            // The first step of all compiles kernels, for minutes perhaps, and nothing is lost with it.
            out::note(&format!(
                "stopped while the first kernels were compiled; go on with: bertram-cli train --resume {}",
                run.display()
            ));
            leave();
        }
    })
    .context("cannot listen for Ctrl-C")
    .map_err(work)
}
