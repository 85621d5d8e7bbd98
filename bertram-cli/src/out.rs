//! Lines for people: results on standard output, notes on standard error.

use std::io::{ErrorKind, Write};

use crate::error::{CliResult, work};

/// A line on standard output. A reader that has gone away is no error.
pub fn line(text: &str) -> CliResult {
    // A result ends what was shown of the way to it.
    crate::gpu::settled();
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(work(error)),
        _ => Ok(()),
    }
}

/// A line on standard error that tells how it goes; not with `--quiet`.
pub fn progress(text: &str) {
    if !crate::logging::is_quiet() {
        note(text);
    }
}

/// A line on standard error.
pub fn note(text: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
