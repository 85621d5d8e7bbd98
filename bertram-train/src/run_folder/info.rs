//! `run.json`: what a run notes about itself beside its config.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::corpus::DataFile;

/// What a run notes about itself beside its config: `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of bertram.
    pub bertram: String,
    /// Version of Burn.
    pub burn: String,
    /// Backend and device.
    pub backend: String,
    /// Device number.
    pub device: usize,
    /// Seed.
    pub seed: u64,
    /// Folder of the pretrained model, if one was given.
    pub model: Option<PathBuf>,
    /// SHA-256 of its `model.safetensors` or index.
    pub model_sha256: Option<String>,
    /// When the run began (UTC, RFC 3339).
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// The data files.
    pub data: Vec<DataFile>,
    /// Settings that changed when the run went on, in the order in which they did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<ChangedSetting>,
}

/// A setting that changed when a run went on: a line of `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedSetting {
    /// The key, dotted.
    pub key: String,
    /// Its value before, as TOML; `None` where it was not said.
    pub from: Option<String>,
    /// Its value since.
    pub to: Option<String>,
    /// Updates that the run had made.
    pub update: usize,
}

/// In place of the value of a key that was not said.
const NOT_SAID: &str = "not said";

impl ChangedSetting {
    /// Its value before, for a person.
    pub fn before(&self) -> &str {
        self.from.as_deref().unwrap_or(NOT_SAID)
    }

    /// Its value since, for a person.
    pub fn since(&self) -> &str {
        self.to.as_deref().unwrap_or(NOT_SAID)
    }
}

impl std::fmt::Display for ChangedSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "from update {} on, {} is {} (before: {})",
            self.update,
            self.key,
            self.since(),
            self.before()
        )
    }
}
