//! From a Hugging Face checkpoint folder to a [`Bert`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;

use super::finite;
use super::prefix;
use super::remap::{self, Layout, Meaning};
use super::tensors::host_data;
use super::walk::{ModulePath, parse, read, read_json, restore, shapes};
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
    /// What stood before the encoder's names, `bert.` not counted; empty where nothing did.
    pub prefix: String,
    /// The word embeddings were there only as the output embeddings that they are tied to.
    pub tied_decoder: bool,
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
    let config =
        BertConfig::from_json(&read_json(&path)?).map_err(|source| WeightsError::Json {
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
/// MLM, NSP and other task heads and `position_ids` buffers are left out, which one log line says. So does a line where a
/// prefix that a wrapper left (`module.`, `_orig_mod.`, `model.`, `0.auto_model.`) stands before all of the encoder's
/// names, and where word embeddings are there only as the output embeddings that they are tied to. A checkpoint without a
/// pooler gets a random one, which a warning says. All else must fit.
///
/// # Errors
/// As [`read_config`]; [`WeightsError::OtherFormat`], [`WeightsError::NoWeights`], [`WeightsError::MissingShard`],
/// [`WeightsError::Read`] and [`WeightsError::Corrupt`] for the files; [`WeightsError::Tensors`] with every missing,
/// unexpected or misshapen tensor; [`WeightsError::NotFinite`] with every tensor that has NaN or infinite values.
pub fn load_encoder<B: Backend>(
    dir: &Path,
    device: &B::Device,
) -> Result<(BertConfig, Bert<B>, Imported), WeightsError> {
    let (config, model, imported) = with_checkpoint(dir, device, |model, fitting| {
        let model = model.map(&mut Loader::<B> {
            path: ModulePath::default(),
            tensors: fitting,
            device,
        });
        // Draws the pooler if the checkpoint has none.
        model.visit(&mut Materialise);
        model
    })?;

    if !imported.ignored.is_empty() {
        tracing::info!(
            "{}: left out {} tensor(s) that are not the encoder's: {}",
            dir.display(),
            imported.ignored.len(),
            imported.ignored.join(", ")
        );
    }
    if !imported.prefix.is_empty() {
        tracing::info!(
            "{}: took `{}` off the names of the encoder's tensors",
            dir.display(),
            imported.prefix
        );
    }
    if imported.tied_decoder {
        tracing::info!(
            "{}: took the word embeddings from `{}`, which they are tied to",
            dir.display(),
            remap::TIED_DECODER
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

/// Checks that [`load_encoder`] would take a folder: its files are read and checked, and nothing is put on a device. `B`
/// may be any backend.
///
/// # Errors
/// As [`load_encoder`].
pub fn check_encoder<B: Backend>(dir: &Path, device: &B::Device) -> Result<(), WeightsError> {
    with_checkpoint::<B, _>(dir, device, |_, _| ()).map(|_| ())
}

/// Reads and checks a checkpoint, and hands `with` a model whose parameters are not drawn yet and the tensors that fit it.
fn with_checkpoint<B: Backend, T>(
    dir: &Path,
    device: &B::Device,
    with: impl FnOnce(Bert<B>, Fitting<'_>) -> T,
) -> Result<(BertConfig, T, Imported), WeightsError> {
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
    let source = match paths.as_slice() {
        [only] => only.as_path(),
        _ => dir,
    };
    let (fitting, imported) =
        fit(&model, config.ties_word_embeddings(), tensors).map_err(|problems| {
            WeightsError::Tensors {
                path: source.to_owned(),
                problems,
            }
        })?;
    check_finite(source, &fitting)?;
    let made = with(model, fitting);
    Ok((config, made, imported))
}

/// Puts the layer of a sentence-transformers `Dense` module (`linear.weight`, `linear.bias` in `path`) in the place of the
/// pooler.
///
/// # Errors
/// As [`load_encoder`], for the one file.
pub fn load_dense_pooler<B: Backend>(
    path: &Path,
    model: Bert<B>,
    device: &B::Device,
) -> Result<Bert<B>, WeightsError> {
    let bytes = read(path)?;
    let mut tensors: BTreeMap<String, TensorView<'_>> = parse(path, &bytes)?.into_iter().collect();
    let hidden = model.hidden_size();
    let layer = [
        ("weight", Layout::Transposed, vec![hidden, hidden]),
        ("bias", Layout::Same, vec![hidden]),
    ];
    let mut fitting = Fitting::new();
    let mut problems = Vec::new();
    for (part, layout, expected) in layer {
        let name = format!("linear.{part}");
        match tensors.remove(&name) {
            None => problems.push(TensorProblem::Missing { name, expected }),
            Some(view) => match check_tensor(name, expected, layout, view) {
                Ok(tensor) => {
                    fitting.insert(format!("{}dense.{part}", remap::POOLER), tensor);
                }
                Err(problem) => problems.push(problem),
            },
        }
    }
    problems.extend(
        tensors
            .into_iter()
            .map(|(name, view)| TensorProblem::Unexpected {
                name,
                found: view.shape().to_vec(),
            }),
    );
    if !problems.is_empty() {
        return Err(WeightsError::Tensors {
            path: path.to_owned(),
            problems,
        });
    }
    check_finite(path, &fitting)?;
    Ok(model.map(&mut Loader::<B> {
        path: ModulePath::default(),
        tensors: fitting,
        device,
    }))
}

fn check_finite(path: &Path, fitting: &Fitting<'_>) -> Result<(), WeightsError> {
    let mut tensors: Vec<(&str, &TensorView<'_>)> = fitting
        .values()
        .map(|tensor| (tensor.name.as_str(), &tensor.view))
        .collect();
    tensors.sort_by_key(|(name, _)| *name);
    finite::check(path, tensors.into_iter())
}

/// A tensor of the right shape and a float type.
fn check_tensor<'a>(
    name: String,
    expected: Vec<usize>,
    layout: Layout,
    view: TensorView<'a>,
) -> Result<Fit<'a>, TensorProblem> {
    if view.shape() != expected {
        return Err(TensorProblem::Shape {
            name,
            expected,
            found: view.shape().to_vec(),
        });
    }
    match view.dtype() {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(Fit { name, layout, view }),
        other => Err(TensorProblem::Dtype {
            name,
            expected: "F32, F16, BF16 or F64",
            found: format!("{other:?}"),
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
        serde_json::from_slice(&read_json(&index)?).map_err(|source| WeightsError::Json {
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

/// A tensor that fits a parameter.
struct Fit<'a> {
    /// Name in the file.
    name: String,
    layout: Layout,
    view: TensorView<'a>,
}

/// Tensors by module path.
type Fitting<'a> = BTreeMap<String, Fit<'a>>;

/// Matches the tensors of a checkpoint with the parameters of a model. `tied`: the output embeddings of a language model
/// are its word embeddings.
fn fit<'a, B: Backend>(
    model: &Bert<B>,
    tied: bool,
    tensors: Vec<(String, TensorView<'a>)>,
) -> Result<(Fitting<'a>, Imported), Vec<TensorProblem>> {
    let expected = shapes(model);
    let prefix = prefix::common(tensors.iter().map(|(name, _)| name.as_str())).to_owned();
    let mut imported = Imported::default();
    let mut problems = Vec::new();
    let mut found: BTreeMap<String, (String, TensorView<'a>)> = BTreeMap::new();
    let mut decoder = None;
    for (name, view) in tensors {
        let (meaning, bare) = prefix::meaning(&prefix, &name);
        match meaning {
            Meaning::Ignored if tied && bare == remap::TIED_DECODER => {
                decoder = Some((name, view));
            }
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
    if let Some((name, view)) = decoder {
        if found.contains_key(remap::WORDS) {
            imported.ignored.push(name);
        } else {
            imported.tied_decoder = true;
            found.insert(remap::WORDS.to_owned(), (name, view));
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
            None => problems.push(TensorProblem::Missing {
                name: format!("{prefix}{name}"),
                expected,
            }),
            Some((name, view)) => match check_tensor(name, expected, layout, view) {
                Ok(tensor) => {
                    fitting.insert(path, tensor);
                }
                Err(problem) => problems.push(problem),
            },
        }
    }
    imported.prefix = prefix;
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
        match tensor.and_then(|tensor| Some((tensor.layout, host_data(&tensor.view)?))) {
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
