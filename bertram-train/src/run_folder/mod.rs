//! The run folder: everything a run leaves, laid out so that a person can read it and a program can go on from it.
//!
//! ```text
//! config.toml          the resolved config: every default filled in
//! run.json             versions, backend, seed, data hashes: what the config does not say
//! metrics.jsonl        a line per logged step and per evaluation
//! train.log            the log
//! tensorboard/          event files, where they are wanted
//! checkpoints/         resumable checkpoints, and the best model so far
//! base/                what training started from: encoder config and tokenizer
//! model/               the export: encoder, tokenizer, heads
//! model-last/          beside an average of the weights: the last weights themselves
//! predictions/         the course's leaderboard files
//! analysis.json        where the exported model is right and wrong on dev
//! summary.json         scores and cost
//! ```

mod checkpoint;
mod info;
mod metrics_log;
mod progress;
mod sums;
mod tensorboard;
mod window;

pub use checkpoint::{BestSoFar, Checkpoint, CheckpointState, CheckpointStore};
pub use info::{ChangedSetting, Machine, RunInfo};
pub use metrics_log::MetricsLog;
pub use progress::RunProgress;
pub use tensorboard::TensorBoardLog;
pub use window::{SumState, SurgeryState, WindowState};

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use bertram_core::fs::{READ_LIMIT, TEMPORARY_PREFIX, WriteError, atomic_write, read_text};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

/// Errors of a run folder.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A run is never overwritten.
    #[error(
        "{0} already exists and is not empty: a run never overwrites another; name another folder with --out, or go on with --resume {0}"
    )]
    Exists(PathBuf),
    /// A file where a folder goes.
    #[error("{0} is a file, and a run is a folder: name another with --out")]
    NotAFolder(PathBuf),
    /// Another process holds the lock.
    #[error("{0}: another process is at work in this run; wait for it, or stop it")]
    Locked(PathBuf),
    /// A run's folder, or a file of it, that somebody moved while a process was at work.
    #[error("{0} is gone: the run's folder was moved or removed while the run was at work in it")]
    Gone(PathBuf),
    /// Not a run folder.
    #[error("{0} is not a run folder: it has no {1}")]
    NotARun(PathBuf, &'static str),
    /// A file of the run cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the run does not say what it should.
    #[error("{path}: {message}")]
    Malformed {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A checkpoint's tensors cannot be read or written.
    #[error(transparent)]
    Weights(#[from] bertram_core::encoder::WeightsError),
}

impl From<WriteError> for RunError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        RunError::Io { path, source }
    }
}

impl RunError {
    /// The error of a file, from what the system said of it.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| match source.kind() {
            // Bytes that are no text, or more than a file of a run has: what it says is at fault, and not the disk.
            std::io::ErrorKind::InvalidData => RunError::Malformed {
                path: path.to_owned(),
                message: source.to_string(),
            },
            _ => RunError::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// The lock's file in a run folder.
const LOCK: &str = ".lock";
/// The log's.
const LOG: &str = "train.log";

/// Holds a run's lock. See [`RunFolder::lock`].
#[derive(Debug)]
pub struct RunLock {
    _file: std::fs::File,
}

/// How a run stands, by what its folder holds. See [`RunFolder::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// There is no config: no run, or one that was stopped before it had written anything to go on from.
    None,
    /// Another process is at work in it.
    AtWork,
    /// It has a config and no whole checkpoint: it was stopped while it began, and begins anew from its config.
    NotBegun,
    /// It has a checkpoint and no summary: it goes on from there.
    Interrupted,
    /// It has a summary.
    Finished,
}

/// The numbers in nested objects, each under its path, in their order.
pub fn numbers_by_path(value: &Value, separator: char) -> Vec<(String, Number)> {
    fn collect(path: &str, separator: char, value: &Value, into: &mut Vec<(String, Number)>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = match path {
                        "" => key.clone(),
                        path => format!("{path}{separator}{key}"),
                    };
                    collect(&path, separator, value, into);
                }
            }
            Value::Number(number) => into.push((path.to_owned(), number.clone())),
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect("", separator, value, &mut all);
    all
}

/// Removes a file, a link or a folder with all that is in it.
fn remove(entry: &std::fs::DirEntry) -> Result<(), RunError> {
    let path = entry.path();
    let removed = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        true => std::fs::remove_dir_all(&path),
        false => std::fs::remove_file(&path),
    };
    removed.map_err(RunError::io(&path))
}

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `path` the folder of a new run; it must not exist, be empty, or hold nothing but what a run leaves that was
    /// stopped before it had a config.
    pub fn create(path: PathBuf) -> Result<Self, RunError> {
        let occupied = match std::fs::read_dir(&path) {
            Ok(entries) => entries
                .flatten()
                .any(|entry| !is_of_a_start(&entry.file_name())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(RunError::NotAFolder(path));
            }
            Err(error) => return Err(RunError::io(&path)(error)),
        };
        if occupied {
            return Err(RunError::Exists(path));
        }
        std::fs::create_dir_all(&path).map_err(RunError::io(&path))?;
        Ok(Self { path })
    }

    /// Makes a new folder `parent/name`, or `parent/name-2`, `-3` and so on where that is taken.
    pub fn create_numbered(parent: &Path, name: &str) -> Result<Self, RunError> {
        std::fs::create_dir_all(parent).map_err(RunError::io(parent))?;
        let mut number = 1;
        loop {
            let path = match number {
                1 => parent.join(name),
                _ => parent.join(format!("{name}-{number}")),
            };
            // `create_dir` and not `create`: two runs that start in the same second must not share a folder.
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(RunError::io(&path)(error)),
            }
        }
    }

    /// The folder of a run made earlier.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let folder = Self {
            path: path.to_owned(),
        };
        if !folder.config().is_file() {
            return Err(RunError::NotARun(path.to_owned(), "config.toml"));
        }
        Ok(folder)
    }

    /// Keeps other processes out of the run until the lock is dropped, or this process ends in whatever way.
    pub fn lock(&self) -> Result<RunLock, RunError> {
        let path = self.path.join(LOCK);
        let file = std::fs::File::create(&path).map_err(RunError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(RunError::Locked(self.path.clone())),
            Err(std::fs::TryLockError::Error(error)) => {
                // Some network file systems have no locks: then there is nothing to wait for.
                tracing::debug!("{}: no lock: {error}", path.display());
                Ok(RunLock { _file: file })
            }
        }
    }

    /// Whether a process is at work in the run.
    pub fn is_locked(&self) -> bool {
        std::fs::File::open(self.path.join(LOCK))
            .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// How the run stands.
    ///
    /// # Errors
    /// A folder of checkpoints that cannot be read.
    pub fn state(&self) -> Result<RunState, RunError> {
        match self.config().is_file() && self.is_locked() {
            true => Ok(RunState::AtWork),
            false => self.state_behind_lock(),
        }
    }

    /// As [`state`](Self::state), for whoever holds the lock.
    ///
    /// # Errors
    /// Those of [`state`](Self::state).
    pub fn state_behind_lock(&self) -> Result<RunState, RunError> {
        Ok(if !self.config().is_file() {
            RunState::None
        } else if self.summary().is_file() {
            RunState::Finished
        } else if CheckpointStore::new(self.checkpoints(), 1)
            .newest()?
            .is_some()
        {
            RunState::Interrupted
        } else {
            RunState::NotBegun
        })
    }

    /// Removes what processes that were killed have left half written. Only for whoever holds the run's [`lock`](Self::lock).
    ///
    /// # Errors
    /// What cannot be removed, by name.
    pub fn remove_leftovers(&self) -> Result<(), RunError> {
        let folders = [
            self.path.clone(),
            self.base(),
            self.model(),
            self.predictions(),
            self.checkpoints(),
        ];
        let nested: Vec<PathBuf> = std::fs::read_dir(self.model())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        for folder in folders.iter().chain(&nested) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if !is_leftover(&entry.file_name()) {
                    continue;
                }
                remove(&entry)?;
                tracing::debug!("removed {}, which a killed process left", path.display());
            }
        }
        Ok(())
    }

    /// Removes the folder of a run that was stopped before it had a config, if there is nothing in it but what such a run
    /// leaves; what cannot be removed stays, and the next start takes it.
    pub fn remove_start(&self) {
        for entry in std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
        {
            if is_of_a_start(&entry.file_name()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let _ = std::fs::remove_dir(&self.path);
    }

    /// Removes the folder of a new run that could not begin: all that is in it, and itself unless it was there before
    /// (`was_there`: an empty folder, a link to one or the working directory of whoever named it).
    ///
    /// # Errors
    /// What cannot be removed, by name.
    pub fn remove_new(&self, was_there: bool) -> Result<(), RunError> {
        if !was_there {
            return std::fs::remove_dir_all(&self.path).map_err(RunError::io(&self.path));
        }
        let entries = std::fs::read_dir(&self.path).map_err(RunError::io(&self.path))?;
        for entry in entries {
            remove(&entry.map_err(RunError::io(&self.path))?)?;
        }
        Ok(())
    }

    /// Path of the run folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's own name.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `run.json`.
    pub fn run_info(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// What `run.json` says.
    ///
    /// # Errors
    /// [`RunError::NotARun`] where it is missing; those of reading.
    pub fn read_info(&self) -> Result<RunInfo, RunError> {
        let path = self.run_info();
        match path.is_file() {
            true => read_json(&path),
            false => Err(RunError::NotARun(self.path.clone(), "run.json")),
        }
    }

    /// `summary.json`.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// Renames the summary of a finished run that goes on, to `summary-at-update-N.json`.
    pub fn set_summary_aside(&self, update: usize) -> Result<(), RunError> {
        let aside = self.path.join(format!("summary-at-update-{update}.json"));
        std::fs::rename(self.summary(), &aside).map_err(RunError::io(&aside))
    }

    /// `analysis.json`.
    pub fn analysis(&self) -> PathBuf {
        self.path.join("analysis.json")
    }

    /// `train.log`.
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// `metrics.jsonl`.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// `tensorboard/`.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// How far the run is, by the last logged step.
    pub fn progress(&self) -> Option<RunProgress> {
        RunProgress::read(&self.metrics()).ok().flatten()
    }

    /// `base/`.
    pub fn base(&self) -> PathBuf {
        self.path.join("base")
    }

    /// `model/`.
    pub fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    /// `model-last/`: the last weights themselves, of a run that exports an average of them.
    pub fn last_model(&self) -> PathBuf {
        self.path.join("model-last")
    }

    /// `predictions/`.
    pub fn predictions(&self) -> PathBuf {
        self.path.join("predictions")
    }

    /// `checkpoints/`.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}

/// Whether a file is half of one: what [`atomic_write`], this version's checkpoints or those of 0.1.0 leave when they are
/// killed.
fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(TEMPORARY_PREFIX)
        || name.ends_with(".partial")
        || (name.starts_with(".bertram-") && name.ends_with(".tmp"))
}

/// Whether a file is one that a run makes before its config.
fn is_of_a_start(name: &OsStr) -> bool {
    name == LOCK || name == LOG || is_leftover(name)
}

/// Writes a value as indented JSON, atomically.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RunError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| RunError::Malformed {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    text.push('\n');
    Ok(atomic_write(path, text.as_bytes())?)
}

/// Reads a value that [`write_json`] wrote.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = read_text(path, READ_LIMIT).map_err(RunError::io(path))?;
    serde_json::from_str(&text).map_err(|error| RunError::Malformed {
        path: path.to_owned(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_never_overwrites_another() {
        let dir = tempfile::tempdir().expect("temp dir");
        let first = RunFolder::create(dir.path().join("run")).expect("new");
        std::fs::write(first.config(), "").expect("write");
        let error = RunFolder::create(dir.path().join("run")).expect_err("occupied");
        assert!(error.to_string().contains("--resume"), "{error}");
        let a = RunFolder::create_numbered(dir.path(), "x").expect("new");
        let b = RunFolder::create_numbered(dir.path(), "x").expect("numbered");
        assert!(a.path().ends_with("x") && b.path().ends_with("x-2"));
    }

    #[test]
    fn a_file_that_is_no_text_is_the_fault_of_what_it_says() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("run.json");
        std::fs::write(&path, b"{\"a\": \"\xff\"}").expect("write");
        let error = read_json::<serde_json::Value>(&path).expect_err("no text");
        assert!(matches!(error, RunError::Malformed { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("run.json") && text.contains("UTF-8"),
            "{text}"
        );
    }

    #[test]
    fn of_a_start_nothing_is_left_and_of_all_else_everything() {
        let dir = tempfile::tempdir().expect("temp dir");
        let run = RunFolder::create(dir.path().join("run")).expect("new");
        let start = || {
            std::fs::create_dir_all(run.path()).expect("folder");
            for name in [".lock", "train.log", ".partial-a1b2c3"] {
                std::fs::write(run.path().join(name), "").expect("write");
            }
        };
        start();
        run.remove_start();
        assert!(!run.path().exists());
        start();
        std::fs::write(run.path().join("notes.txt"), "mine").expect("write");
        run.remove_start();
        assert!(run.path().join("notes.txt").is_file());
    }

    #[test]
    fn open_says_what_is_missing() {
        let dir = tempfile::tempdir().expect("temp dir");
        let error = RunFolder::open(dir.path()).expect_err("empty");
        assert!(error.to_string().contains("config.toml"), "{error}");
    }
}
