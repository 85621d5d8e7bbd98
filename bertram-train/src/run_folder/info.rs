//! `run.json`: what a run notes about itself beside its config.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::corpus::DataFile;
use crate::device::DeviceName;

/// What a run notes about itself beside its config: `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of bertram.
    pub bertram: String,
    /// Version of Burn.
    pub burn: String,
    /// The commit that bertram was built from, where the build knew it.
    #[serde(default)]
    pub commit: Option<String>,
    /// The machine that the run was begun on.
    #[serde(default)]
    pub machine: Machine,
    /// Name of the backend.
    pub backend: String,
    /// The backend's device.
    pub device: DeviceName,
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

impl RunInfo {
    /// The name of the config that the command line has: `minilm-cpu` of `--config configs/minilm-cpu.toml`. `None` where it has none.
    pub fn config_name(&self) -> Option<String> {
        let mut words = self.command.iter();
        let path = words.find_map(|word| match word.split_once('=') {
            Some(("--config", path)) => Some(Some(path)),
            _ => (word == "--config").then_some(None),
        })?;
        let path = path.or_else(|| words.next().map(String::as_str))?;
        let name = Path::new(path).file_name()?.to_string_lossy();
        Some(name.strip_suffix(".toml").unwrap_or(&name).to_owned())
    }
}

/// What a run was begun on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture: `linux x86_64`.
    pub system: String,
    /// Name of the processor, where the system says it.
    pub processor: Option<String>,
    /// Threads that the process may compute in.
    pub threads: usize,
}

impl Machine {
    /// The machine that this process is on.
    pub fn here() -> Self {
        let described = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut fields = described.lines().filter_map(|line| line.split_once(':'));
        let processor = fields.find(|(name, _)| name.trim() == "model name");
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor.map(|(_, name)| name.trim().to_owned()),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
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
