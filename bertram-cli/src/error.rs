//! Exit codes: 0 done, 2 the user's input, 1 a failure at work, 130 stopped by Ctrl-C.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::process::ExitCode;

use bertram_train::pipeline::PipelineError;

/// Result of a command.
pub type CliResult<T = ()> = Result<T, CliError>;

/// Why a command ended early.
#[derive(Debug)]
pub enum CliError {
    /// Something the user gave: a path, a row, a key, a backend. Exit code 2.
    Input(anyhow::Error),
    /// A failure at work. Exit code 1.
    Work(anyhow::Error),
    /// An exit code that is no error, after its message was shown.
    Status(u8),
}

/// The user's input is at fault.
pub fn input(error: impl Into<anyhow::Error>) -> CliError {
    CliError::Input(error.into())
}

/// The work failed.
pub fn work(error: impl Into<anyhow::Error>) -> CliError {
    CliError::Work(error.into())
}

/// Sorts a pipeline's error into the user's and the machine's.
pub fn pipeline_error(error: PipelineError) -> CliError {
    if error.is_input() {
        input(error)
    } else {
        work(error)
    }
}

impl CliError {
    /// The message for a person, with its causes; empty for a bare exit code.
    pub fn message(&self) -> String {
        let (CliError::Input(error) | CliError::Work(error)) = self else {
            return String::new();
        };
        let mut text = format!("error: {error}");
        let mut said = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Transparent wrappers repeat what they wrap.
            if !said.contains(&cause) {
                // Writing to a string does not fail.
                let _ = write!(text, "\n  caused by: {cause}");
                said = cause;
            }
        }
        text
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        match self {
            CliError::Input(_) => ExitCode::from(2),
            CliError::Work(_) => ExitCode::from(1),
            CliError::Status(code) => ExitCode::from(*code),
        }
    }
}

/// Runs what may panic inside a library, without a word about it: drivers' libraries panic where a driver or a device is
/// missing. `None` where it did.
pub fn quietly<T>(probe: impl FnOnce() -> T) -> Option<T> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(probe));
    set_hook(hook);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_panic_is_none() {
        assert_eq!(quietly(|| 3), Some(3));
        assert_eq!(quietly(|| -> u8 { panic!("not seen") }), None);
    }
}
