//! Weights on disk: Hugging Face checkpoints in and out, and any module as safetensors.
//!
//! `remap` is the one table of names, used in both directions.

mod error;
mod export;
mod import;
mod remap;
mod tensors;
mod walk;

pub use error::{TensorProblem, WeightsError};
pub use export::save_encoder;
pub use import::{Imported, check_encoder, load_encoder, read_config};
pub use tensors::{load_tensors, save_tensors};
#[cfg(test)]
pub(super) use walk::values as values_for_tests;

/// File name of a checkpoint's weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// File name of the list of shards of a checkpoint in several files.
pub const INDEX_FILE: &str = "model.safetensors.index.json";
/// File name of a checkpoint's configuration.
pub const CONFIG_FILE: &str = "config.json";
