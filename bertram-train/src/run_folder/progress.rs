//! How far a run is, by what it has logged.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// The last logged step of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunProgress {
    /// Updates made.
    pub update: u64,
    /// Updates that there will be.
    pub updates: u64,
    /// Seconds of training and evaluation until then.
    pub seconds: f64,
}

/// Of the end of the log is read so much: longer than a line is with a dozen tasks.
const TAIL: u64 = 64 << 10;

impl RunProgress {
    /// By the end of a `metrics.jsonl`; `None` where no step is logged there.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        let mut lines = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        Ok(lines.find_map(|line| {
            Some(Self {
                update: line["update"].as_u64()?,
                updates: line["updates"].as_u64()?,
                seconds: line["seconds"].as_f64().unwrap_or(0.0),
            })
        }))
    }

    /// The share of its updates that are made.
    pub fn share(&self) -> f64 {
        (self.update as f64 / self.updates.max(1) as f64).clamp(0.0, 1.0)
    }

    /// Seconds left, if the rest goes on like this.
    pub fn seconds_left(&self) -> f64 {
        let each = self.seconds / self.update.max(1) as f64;
        each * self.updates.saturating_sub(self.update) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_step_says_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("metrics.jsonl");
        assert!(RunProgress::read(&path).is_err());
        let step = |update| format!("{{\"update\":{update},\"updates\":40,\"seconds\":5.0}}\n");
        let dev = "{\"kind\":\"dev\",\"update\":20}\n";
        let text = format!("{}{}{dev}{{\"upd", step(10), step(20));
        std::fs::write(&path, text).expect("write");
        let progress = RunProgress::read(&path).expect("reads").expect("a step");
        assert_eq!((progress.update, progress.updates), (20, 40));
        assert_eq!((progress.share(), progress.seconds_left()), (0.5, 5.0));
        std::fs::write(&path, dev).expect("write");
        assert_eq!(RunProgress::read(&path).expect("reads"), None);
    }
}
