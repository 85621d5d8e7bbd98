//! Models of tasks: an encoder with a head for each, its predictions, and its folder.
//!
//! What a task is lies in [`crate::spec`], which is exported here, too.

mod folder;
mod legality;
mod model;
mod predict;

pub use folder::{
    EncodeSettings, Encoding, EncodingSource, ModelExport, ModelFolder, ModelFolderError,
    encoding_of, is_sequence_classifier, load_model_folder, save_model_folder,
};
pub use legality::{Legal, names};
pub use model::{MultitaskModel, TaskConfig, TaskHead};
pub use predict::{Prediction, score, score_predictions};

pub use crate::spec::{
    Inputs, LABEL_SEPARATOR, LabelKind, Metric, Preset, SecondFiles, TaskId, TaskMap,
    TaskNameError, TaskSpec, are_there,
};
