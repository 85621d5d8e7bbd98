//! `metrics.jsonl`: a JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use bertram_core::fs::atomic_write;
use serde_json::Value;

use super::RunError;

/// Appends to a run's `metrics.jsonl`.
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens the log, keeping the lines up to and including update `update`: what a killed run wrote after its last
    /// checkpoint is written again by the run that goes on from there.
    pub fn open(path: &Path, update: usize) -> Result<Self, RunError> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let kept = lines_up_to(&bytes, update);
                if kept != bytes {
                    atomic_write(path, &kept)?;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(RunError::io(path)(error)),
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(RunError::io(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// [`RunError::Gone`] where the file is no longer under its name: what is written to an open file that was moved or
    /// removed is lost without a word.
    pub fn write(&mut self, value: &Value) -> Result<(), RunError> {
        if !self.path.exists() {
            return Err(RunError::Gone(self.path.clone()));
        }
        let line = format!("{value}\n");
        self.file
            .write_all(line.as_bytes())
            .map_err(RunError::io(&self.path))
    }
}

/// The whole lines up to and including an update. What is no line, as a power cut leaves it (cut off, zeros, junk), goes.
fn lines_up_to(bytes: &[u8], update: usize) -> Vec<u8> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| {
            serde_json::from_slice::<Value>(line)
                .ok()
                .and_then(|value| value.get("update")?.as_u64())
                .is_some_and(|logged| logged <= update as u64)
        })
        .flat_map(|line| [line, b"\n"])
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn resuming_drops_what_came_after_the_checkpoint() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).expect("open");
        for update in [10, 20, 30] {
            log.write(&json!({ "update": update })).expect("write");
        }
        // A line cut off by a kill, and what a power cut may leave.
        let mut text = std::fs::read(&path).expect("read");
        text.extend(b"{\"update\":11\n\xff\0\0\n{\"upd");
        std::fs::write(&path, text).expect("cut");
        let mut log = MetricsLog::open(&path, 20).expect("open again");
        log.write(&json!({ "update": 25 })).expect("write");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text, "{\"update\":10}\n{\"update\":20}\n{\"update\":25}\n");
    }

    #[test]
    fn a_log_that_was_moved_away_is_missed() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).expect("opens");
        log.write(&json!({"update": 1})).expect("writes");
        std::fs::rename(&path, dir.path().join("elsewhere")).expect("rename");
        let error = log.write(&json!({"update": 2})).expect_err("gone");
        assert!(
            error.to_string().contains("metrics.jsonl is gone"),
            "{error}"
        );
    }
}
