//! From a Hugging Face checkpoint folder to a [`Bert`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;

use super::remap::{self, Layout, Meaning};
use super::tensors::host_data;
use super::walk::{ModulePath, parse, read, restore, shapes};
use super::{CONFIG_FILE, INDEX_FILE, TensorProblem, WEIGHTS_FILE, WeightsError};
use crate::encoder::config::Materialise;
use crate::encoder::{Bert, BertConfig};

/// What [`load_encoder`] met besides the encoder's weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The checkpoint had no pooler; its weights were drawn at random.
    pub missing_pooler: bool,
    /// Names of tensors that the encoder has no use for (task heads, buffers), sorted.
    pub ignored: Vec<String>,
}

/// Reads and checks `config.json` of a checkpoint folder.
///
/// # Errors
/// [`WeightsError::NoFolder`], [`WeightsError::NoConfig`], [`WeightsError::Json`], [`WeightsError::InvalidConfig`].
pub fn read_config(dir: &Path) -> Result<BertConfig, WeightsError> {
    if !dir.is_dir() {
        return Err(WeightsError::NoFolder {
            dir: dir.to_owned(),
        });
    }
    let path = dir.join(CONFIG_FILE);
    if !path.is_file() {
        return Err(WeightsError::NoConfig {
            dir: dir.to_owned(),
        });
    }
    let config: BertConfig =
        serde_json::from_slice(&read(&path)?).map_err(|source| WeightsError::Json {
            path: path.clone(),
            source,
        })?;
    config
        .validate()
        .map_err(|source| WeightsError::InvalidConfig { path, source })?;
    Ok(config)
}

/// Reads a BERT checkpoint in Hugging Face's layout: `config.json` and `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists; f32, f64, f16 or bf16; names with or without `bert.`; LayerNorm's legacy names.
/// Every tensor goes to `device` once.
///
/// MLM, NSP and other task heads and `position_ids` buffers are left out, which one log line says. A checkpoint without
/// a pooler gets a random one, which a warning says. All else must fit.
///
/// # Errors
/// As [`read_config`]; [`WeightsError::OtherFormat`], [`WeightsError::NoWeights`], [`WeightsError::MissingShard`],
/// [`WeightsError::Read`] and [`WeightsError::Corrupt`] for the files; [`WeightsError::Tensors`] with every missing,
/// unexpected or misshapen tensor.
pub fn load_encoder<B: Backend>(
    dir: &Path,
    device: &B::Device,
) -> Result<(BertConfig, Bert<B>, Imported), WeightsError> {
    let config = read_config(dir)?;
    let paths = weight_files(dir)?;
    let files = paths
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut tensors = Vec::new();
    for (path, bytes) in paths.iter().zip(&files) {
        tensors.extend(parse(path, bytes)?);
    }

    let model = config.init_lazy::<B>(device);
    let (fitting, imported) = fit(&model, tensors).map_err(|problems| WeightsError::Tensors {
        path: match paths.as_slice() {
            [only] => only.clone(),
            _ => dir.to_owned(),
        },
        problems,
    })?;
    let model = model.map(&mut Loader::<B> {
        path: ModulePath::default(),
        tensors: fitting,
        device,
    });
    // Draws the pooler if the checkpoint has none.
    model.visit(&mut Materialise);

    if !imported.ignored.is_empty() {
        tracing::info!(
            "{}: left out {} tensor(s) that are not the encoder's: {}",
            dir.display(),
            imported.ignored.len(),
            imported.ignored.join(", ")
        );
    }
    if imported.missing_pooler {
        tracing::warn!(
            "{}: the checkpoint has no pooler; it starts from random weights",
            dir.display()
        );
    }
    Ok((config, model, imported))
}

/// Checks that [`load_encoder`] would take a folder, by the names, shapes and types of its tensors: the files are read,
/// and nothing is put on a device. `B` may be any backend.
///
/// # Errors
/// As [`load_encoder`].
pub fn check_encoder<B: Backend>(dir: &Path, device: &B::Device) -> Result<(), WeightsError> {
    // Lazy parameters have shapes, and no values yet.
    let model = read_config(dir)?.init_lazy::<B>(device);
    let paths = weight_files(dir)?;
    let files = paths
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut tensors = Vec::new();
    for (path, bytes) in paths.iter().zip(&files) {
        tensors.extend(parse(path, bytes)?);
    }
    match fit(&model, tensors) {
        Ok(_) => Ok(()),
        Err(problems) => Err(WeightsError::Tensors {
            path: match paths.as_slice() {
                [only] => only.clone(),
                _ => dir.to_owned(),
            },
            problems,
        }),
    }
}

/// The files that hold a checkpoint's weights.
fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, WeightsError> {
    let single = dir.join(WEIGHTS_FILE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = dir.join(INDEX_FILE);
    if !index.is_file() {
        let others = [
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "tf_model.h5",
            "flax_model.msgpack",
        ];
        return Err(
            match others.into_iter().find(|file| dir.join(file).is_file()) {
                Some(file) => WeightsError::OtherFormat {
                    dir: dir.to_owned(),
                    file: file.to_owned(),
                },
                None => WeightsError::NoWeights {
                    dir: dir.to_owned(),
                },
            },
        );
    }

    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let parsed: Index =
        serde_json::from_slice(&read(&index)?).map_err(|source| WeightsError::Json {
            path: index.clone(),
            source,
        })?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    shards
        .into_iter()
        .map(|shard| {
            // A plain file name only: an index must not reach out of its folder.
            let plain = Path::new(&shard).file_name() == Some(shard.as_ref());
            let path = dir.join(&shard);
            if plain && path.is_file() {
                Ok(path)
            } else {
                Err(WeightsError::MissingShard {
                    index: index.clone(),
                    shard,
                })
            }
        })
        .collect()
}

/// Tensors by module path.
type Fitting<'a> = BTreeMap<String, (Layout, TensorView<'a>)>;

/// Matches the tensors of a checkpoint with the parameters of a model.
fn fit<'a, B: Backend>(
    model: &Bert<B>,
    tensors: Vec<(String, TensorView<'a>)>,
) -> Result<(Fitting<'a>, Imported), Vec<TensorProblem>> {
    let expected = shapes(model);
    let mut imported = Imported::default();
    let mut problems = Vec::new();
    let mut found: BTreeMap<String, (String, TensorView<'a>)> = BTreeMap::new();
    for (name, view) in tensors {
        match remap::from_hugging_face(&name) {
            Meaning::Ignored => imported.ignored.push(name),
            Meaning::Parameter(path) if expected.contains_key(&path) => {
                if let Some((other, _)) = found.insert(path, (name.clone(), view)) {
                    problems.push(TensorProblem::Duplicate { name, other });
                }
            }
            Meaning::Parameter(_) | Meaning::Unknown => problems.push(TensorProblem::Unexpected {
                name,
                found: view.shape().to_vec(),
            }),
        }
    }
    imported.ignored.sort();
    imported.missing_pooler = !found.keys().any(|path| path.starts_with(remap::POOLER));

    let mut fitting = Fitting::new();
    for (path, (_, shape)) in expected {
        // Every parameter of `Bert` is in the table (a test walks them all); the path itself is a fair name if not.
        let (name, layout) =
            remap::to_hugging_face(&path).unwrap_or_else(|| (path.clone(), Layout::Same));
        let expected: Vec<usize> = match layout {
            Layout::Same => shape,
            Layout::Transposed => shape.into_iter().rev().collect(),
        };
        match found.remove(&path) {
            None if imported.missing_pooler && path.starts_with(remap::POOLER) => {}
            None => problems.push(TensorProblem::Missing { name, expected }),
            Some((name, view)) if view.shape() != expected => {
                problems.push(TensorProblem::Shape {
                    name,
                    expected,
                    found: view.shape().to_vec(),
                });
            }
            Some((name, view)) => match view.dtype() {
                Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => {
                    fitting.insert(path, (layout, view));
                }
                other => problems.push(TensorProblem::Dtype {
                    name,
                    expected: "F32, F16, BF16 or F64",
                    found: format!("{other:?}"),
                }),
            },
        }
    }
    if problems.is_empty() {
        Ok((fitting, imported))
    } else {
        Err(problems)
    }
}

/// Puts tensors that were checked to fit into a model.
struct Loader<'a, B: Backend> {
    path: ModulePath,
    tensors: Fitting<'a>,
    device: &'a B::Device,
}

impl<B: Backend> ModuleMapper<B> for Loader<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let tensor = self.tensors.remove(&self.path.to_string());
        match tensor.and_then(|(layout, view)| Some((layout, host_data(&view)?))) {
            Some((Layout::Same, data)) => restore(param, data, self.device),
            Some((Layout::Transposed, data)) => restore(param, transpose(data), self.device),
            None => param,
        }
    }
}

/// Transposes a matrix on the host, in f32. (On the device it would stay a strided view of the file's layout.)
pub(super) fn transpose(data: TensorData) -> TensorData {
    let (rows, columns) = match data.shape.as_slice() {
        [rows, columns] => (*rows, *columns),
        // Only matrices are in the table as transposed, and shapes were checked.
        _ => return data,
    };
    let source: Vec<f32> = data.iter::<f32>().collect();
    let mut target = vec![0.0; source.len()];
    // Square blocks keep both sides in the cache.
    const BLOCK: usize = 32;
    for row_block in (0..rows).step_by(BLOCK) {
        for column_block in (0..columns).step_by(BLOCK) {
            for row in row_block..rows.min(row_block + BLOCK) {
                for column in column_block..columns.min(column_block + BLOCK) {
                    target[column * rows + row] = source[row * columns + column];
                }
            }
        }
    }
    TensorData::new(target, [columns, rows])
}
