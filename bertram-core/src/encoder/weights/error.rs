//! What can go wrong with weights on disk.

use std::fmt;
use std::path::PathBuf;

use super::super::BertConfigError;

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The checkpoint folder does not exist.
    #[error("no folder {}; give the folder that holds config.json and model.safetensors", dir.display())]
    NoFolder {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The folder has no `config.json`.
    #[error("{} has no config.json; a checkpoint folder needs config.json and model.safetensors", dir.display())]
    NoConfig {
        /// The checkpoint folder.
        dir: PathBuf,
    },
    /// A JSON file is not what it should be.
    #[error("cannot understand {}: {source}", path.display())]
    Json {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// `config.json` describes a model that bertram cannot build.
    #[error("{}: {source}", path.display())]
    InvalidConfig {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// Every problem.
        source: BertConfigError,
    },
    /// The folder has weights, but in another format.
    #[error(
        "{} has {file} but no model.safetensors; convert it to safetensors first (in Python: \
         `transformers.AutoModel.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)`)",
        dir.display()
    )]
    OtherFormat {
        /// The checkpoint folder.
        dir: PathBuf,
        /// The file that was found instead.
        file: String,
    },
    /// The folder has no weights at all.
    #[error(
        "{} has neither model.safetensors nor model.safetensors.index.json; download the whole checkpoint",
        dir.display()
    )]
    NoWeights {
        /// The checkpoint folder.
        dir: PathBuf,
    },
    /// The index names a file that is not there.
    #[error("{} names {shard}, which is not in its folder; download the missing file", index.display())]
    MissingShard {
        /// The index file.
        index: PathBuf,
        /// File name of the shard.
        shard: String,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file is not a whole safetensors file.
    #[error("{} is not a whole safetensors file ({reason}); copy or download it again", path.display())]
    Corrupt {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Tensors do not fit the module.
    #[error("{} does not fit the model; {} problem(s):{}", path.display(), problems.len(), list(problems))]
    Tensors {
        /// The file or folder.
        path: PathBuf,
        /// Every problem.
        problems: Vec<TensorProblem>,
    },
    /// Weights are NaN or infinite.
    #[error(
        "{} has weights that are not finite (NaN or infinite) in {} tensor(s), first of all {}; a training run that \
         diverged or a damaged file leaves such: take an earlier checkpoint, or copy or download the file again",
        path.display(), tensors.len(), first(tensors)
    )]
    NotFinite {
        /// The file or folder.
        path: PathBuf,
        /// Every such tensor.
        tensors: Vec<NotFinite>,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Path of the file that the message is about.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A parameter has a type that safetensors does not hold.
    #[error("cannot save parameter `{name}`: its type {dtype} has no place in a safetensors file")]
    Unsavable {
        /// Module path of the parameter.
        name: String,
        /// The type of its numbers, as the file has it.
        dtype: String,
    },
}

impl WeightsError {
    /// Whether what was read is at fault, and not the writing of a file.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::Write { .. } | Self::Unsavable { .. })
    }
}

/// A tensor with values that are NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFinite {
    /// Name in the file.
    pub name: String,
    /// How many values are not finite.
    pub values: usize,
    /// Of how many.
    pub of: usize,
}

/// The first few of them, in one line.
fn first(tensors: &[NotFinite]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = tensors
        .iter()
        .take(SHOWN)
        .map(|tensor| {
            format!(
                "`{}` ({} of {} values)",
                tensor.name, tensor.values, tensor.of
            )
        })
        .collect();
    let rest = tensors.len().saturating_sub(SHOWN);
    match rest {
        0 => shown.join(", "),
        _ => format!("{} and {rest} more", shown.join(", ")),
    }
}

/// One tensor that does not fit. Shapes are as in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TensorProblem {
    /// The model needs it, the file lacks it.
    Missing {
        /// Name in the file.
        name: String,
        /// Shape that the model needs.
        expected: Vec<usize>,
    },
    /// The file has it, the model has no place for it.
    Unexpected {
        /// Name in the file.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Its shape is another.
    Shape {
        /// Name in the file.
        name: String,
        /// Shape that the model needs.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Its element type cannot be used.
    Dtype {
        /// Name in the file.
        name: String,
        /// Element types that can be used.
        expected: &'static str,
        /// Element type in the file.
        found: String,
    },
    /// Two tensors claim one place.
    Duplicate {
        /// Name in the file.
        name: String,
        /// The other name.
        other: String,
    },
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, expected } => {
                write!(f, "missing: `{name}`, expected {expected:?}")
            }
            Self::Unexpected { name, found } => {
                write!(f, "unexpected: `{name}`, found {found:?}")
            }
            Self::Shape {
                name,
                expected,
                found,
            } => write!(f, "shape: `{name}`, expected {expected:?}, found {found:?}"),
            Self::Dtype {
                name,
                expected,
                found,
            } => write!(f, "type: `{name}`, expected {expected}, found {found}"),
            Self::Duplicate { name, other } => {
                write!(f, "twice: `{name}` and `{other}` are the same tensor")
            }
        }
    }
}

/// Problems that a message names; the others are counted.
const NAMED_PROBLEMS: usize = 20;

/// The first problems, one a line, and how many there are besides.
fn list(problems: &[TensorProblem]) -> String {
    let named = problems.iter().take(NAMED_PROBLEMS);
    let mut lines: String = named.map(|problem| format!("\n  - {problem}")).collect();
    if problems.len() > NAMED_PROBLEMS {
        lines.push_str(&format!(
            "\n  - and {} more",
            problems.len() - NAMED_PROBLEMS
        ));
    }
    lines
}
