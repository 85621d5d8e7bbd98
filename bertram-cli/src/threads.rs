//! The threads that CPU backends compute on: rayon's global pool.

use crate::error::{CliResult, work};

/// What the system gives a program's first thread. Rayon's have a quarter of it by default.
const STACK_BYTES: usize = 8 << 20;

/// Starts this many threads; without a number as many as `RAYON_NUM_THREADS` says, or one a core.
///
/// # Errors
/// If they were started before, or the system gives none.
pub fn start(count: Option<usize>) -> CliResult {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count.unwrap_or(0))
        .stack_size(STACK_BYTES)
        .build_global()
        .map_err(work)
}

/// Runs work on one of the threads, which this one waits for. An operation on all threads begins at once there, and that
/// thread does its part; asked for from outside the pool it wakes a thread, which wakes others, and the asking one sleeps:
/// thousands of times in a training step.
pub fn on_one<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    // They may run already, with another number.
    let _ = start(None);
    rayon::scope(|_| work())
}
