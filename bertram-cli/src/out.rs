//! Lines for people: results on standard output, notes on standard error.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{CliResult, input, work};

static QUIET: AtomicBool = AtomicBool::new(false);
static BEFORE_RESULTS: OnceLock<fn()> = OnceLock::new();

/// Whether only errors are wanted, from now on.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::SeqCst);
}

/// Whether only errors are wanted.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::SeqCst)
}

/// Has `settle` called before each line of a result. The first one stays.
pub fn before_results(settle: fn()) {
    let _ = BEFORE_RESULTS.set(settle);
}

/// A line on standard output. A reader that has gone away is no error.
pub fn line(text: &str) -> CliResult {
    if let Some(settle) = BEFORE_RESULTS.get() {
        settle();
    }
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(work(error)),
        _ => Ok(()),
    }
}

/// Refuses a file to write to whose folder is not there: before work that would be lost.
///
/// # Errors
/// The folder, by name.
pub fn check_folder_of(file: Option<&Path>) -> CliResult {
    let folder = file.and_then(Path::parent);
    match folder.filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => Err(input(anyhow::anyhow!(
            "{}: there is no such folder to write to; make it first",
            folder.display()
        ))),
    }
}

/// A line on standard error that tells how it goes; not with `--quiet`.
pub fn progress(text: &str) {
    if !is_quiet() {
        note(text);
    }
}

/// A line on standard error.
pub fn note(text: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
