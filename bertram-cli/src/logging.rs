//! The log: warnings on standard error, and all of it in the run folder.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::error::{CliResult, work};
use crate::out;

static RUN_LOG: OnceLock<LogFile> = OnceLock::new();
static DASHBOARD: AtomicBool = AtomicBool::new(false);

/// What our own code says, without the chatter of graphics drivers.
const FILE_FILTER: &str = "warn,bertram_cli=debug,bertram_core=debug,bertram_train=debug";

/// Starts logging. `verbose` counts `-v`; `listener` hears what is logged, too.
pub fn start(verbose: u8, quiet: bool, listener: impl Layer<Registry> + Send + Sync) {
    let level = match (quiet, verbose) {
        (true, _) => "error,wgpu_hal=off",
        // What graphics drivers say of a missing device, our own error says better.
        (false, 0) => "error,wgpu_hal=off,bertram_cli=warn,bertram_core=warn,bertram_train=warn",
        (false, 1) => "warn,bertram_cli=info,bertram_core=info,bertram_train=info",
        (false, _) => "info,bertram_cli=debug,bertram_core=debug,bertram_train=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Escape codes are garbage in a pipe or a file.
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let terminal = tracing_subscriber::fmt::layer()
        .with_writer(Terminal)
        .with_ansi(colours)
        .without_time()
        .with_target(false)
        .with_filter(filter);
    let file = tracing_subscriber::fmt::layer()
        .with_writer(RunLog)
        .with_ansi(false)
        .with_filter(EnvFilter::new(FILE_FILTER));
    // Only tests in one process could have started it before, and then it goes on as it is.
    let _ = tracing_subscriber::registry()
        .with(listener)
        .with(terminal)
        .with(file)
        .try_init();
}

/// From now on the log also goes to `path`, after what is there.
pub fn log_to_file(path: &Path) -> CliResult {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| work(anyhow::anyhow!("{}: {error}", path.display())))?;
    // A process has one run.
    let _ = RUN_LOG.set(LogFile {
        path: path.to_owned(),
        file: Mutex::new(file),
        is_incomplete: AtomicBool::new(false),
    });
    Ok(())
}

/// A line in the run's log, if there is one, and nowhere else. Never waits: a panic may come from a thread that is
/// just writing there.
pub fn note_in_run_log(line: &str) {
    if let Some(Ok(mut file)) = RUN_LOG.get().map(|log| log.file.try_lock()) {
        // There is nowhere left to say that this failed.
        let _ = writeln!(file, "{line}");
    }
}

/// While a dashboard has the terminal, log lines would be written across it: they go to the run's log alone.
pub fn dashboard_has_terminal(has: bool) {
    DASHBOARD.store(has, Ordering::SeqCst);
}

struct Terminal;

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = Box<dyn Write>;

    fn make_writer(&'a self) -> Self::Writer {
        if DASHBOARD.load(Ordering::SeqCst) {
            Box::new(std::io::sink())
        } else {
            Box::new(std::io::stderr())
        }
    }
}

struct RunLog;

impl<'a> MakeWriter<'a> for RunLog {
    type Writer = RunLogWriter;

    fn make_writer(&'a self) -> RunLogWriter {
        RunLogWriter
    }
}

struct RunLogWriter;

/// A run's log, which a run can do without: what cannot be written is said once, on standard error.
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
    is_incomplete: AtomicBool,
}

impl LogFile {
    fn write(&self, bytes: &[u8]) {
        let written = match self.file.lock() {
            Ok(mut file) => file.write_all(bytes),
            // Another thread panicked while it wrote, which has been said.
            Err(_) => return,
        };
        if let Err(error) = written
            && !self.is_incomplete.swap(true, Ordering::SeqCst)
        {
            out::note(&format!(
                "warning: {}: {error}; the log of this run is not complete",
                self.path.display()
            ));
        }
    }
}

impl Write for RunLogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(log) = RUN_LOG.get() {
            log.write(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
