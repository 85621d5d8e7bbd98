//! Weights on disk: Hugging Face checkpoints in and out, and any module as safetensors.
//!
//! `remap` is the one table of names, used in both directions.

mod average;
mod error;
mod export;
mod finite;
mod import;
mod prefix;
mod remap;
mod tensors;
mod walk;

pub use average::{TensorDifference, WeightSum};
pub use error::{NotFinite, TensorProblem, WeightsError};
pub use export::save_encoder;
pub(crate) use export::{Classifier, save_classifier, save_dense_pooler};
pub use import::{Imported, check_encoder, load_dense_pooler, load_encoder, read_config};
pub use tensors::{load_tensors, load_tensors_as, save_tensors, save_tensors_as, tensor_names};
pub(crate) use walk::values as parameter_values;

/// File name of a checkpoint's weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// File name of the list of shards of a checkpoint in several files.
pub const INDEX_FILE: &str = "model.safetensors.index.json";
/// File name of a checkpoint's configuration.
pub const CONFIG_FILE: &str = "config.json";
