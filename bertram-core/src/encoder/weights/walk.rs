//! Parameters of a module by their path, and safetensors files as they are read and written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor, TensorData, backend::Backend};
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, View};

use super::WeightsError;
use crate::fs::{READ_LIMIT, WriteError, atomic_write_with, read_file};

/// The names of the modules one is inside of; joined by dots it is the path of a parameter.
#[derive(Debug, Default)]
pub(super) struct ModulePath(Vec<String>);

impl ModulePath {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }
}

impl std::fmt::Display for ModulePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Which of Burn's three kinds a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Int,
    Bool,
}

/// Path -> kind and shape of every parameter; draws no lazy parameter.
pub(super) fn shapes<B: Backend, M: Module<B>>(module: &M) -> BTreeMap<String, (Kind, Vec<usize>)> {
    #[derive(Default)]
    struct Shapes {
        path: ModulePath,
        found: BTreeMap<String, (Kind, Vec<usize>)>,
    }
    impl<B: Backend> ModuleVisitor<B> for Shapes {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let shape = param.lazy_shape().to_vec();
            self.found
                .insert(self.path.to_string(), (Kind::Float, shape));
        }
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<B, D, Int>>) {
            let shape = param.lazy_shape().to_vec();
            self.found.insert(self.path.to_string(), (Kind::Int, shape));
        }
        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<B, D, Bool>>) {
            let shape = param.lazy_shape().to_vec();
            self.found
                .insert(self.path.to_string(), (Kind::Bool, shape));
        }
    }
    let mut visitor = Shapes::default();
    module.visit(&mut visitor);
    visitor.found
}

/// Path -> values of every parameter, copied to the host.
pub(crate) fn values<B: Backend, M: Module<B>>(module: &M) -> BTreeMap<String, TensorData> {
    #[derive(Default)]
    struct Values {
        path: ModulePath,
        found: BTreeMap<String, TensorData>,
    }
    impl<B: Backend> ModuleVisitor<B> for Values {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let data = param.transform_for_save().val().into_data();
            self.found.insert(self.path.to_string(), data);
        }
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<B, D, Int>>) {
            let data = param.transform_for_save().val().into_data();
            self.found.insert(self.path.to_string(), data);
        }
        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<B, D, Bool>>) {
            let data = param.transform_for_save().val().into_data();
            self.found.insert(self.path.to_string(), data);
        }
    }
    let mut visitor = Values::default();
    module.visit(&mut visitor);
    visitor.found
}

/// A parameter with new values: same id, mappers and gradient requirement, on `device`.
///
/// A backend without autodiff does not show whether a parameter was frozen; there it comes out trainable, so that
/// `Module::train` of the result gives a model that learns.
pub(super) fn restore<B: Backend, const D: usize>(
    param: Param<Tensor<B, D>>,
    data: TensorData,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    let id = param.id;
    let home = param.lazy_device();
    let tensor = B::memory_persistent_allocations(&home, data, |data| {
        Tensor::<B, D>::from_data(data, &home)
    });
    let mut loaded = param.transform_for_load(tensor, id);
    if home != *device {
        loaded = loaded.fork(device);
    }
    if B::ad_enabled(device) {
        return loaded;
    }
    let (id, tensor, mapper) = loaded.consume();
    let shape = tensor.shape();
    let (on_load, on_save) = (mapper.clone(), mapper);
    // Only a lazy parameter can be given its gradient requirement on such a backend; it is drawn at once.
    let param = Param::uninitialized(id, move |_, _| tensor.clone(), device.clone(), true, shape)
        .load_mapper(move |tensor| on_load.on_load(tensor))
        .save_mapper(move |tensor| on_save.on_save(tensor));
    let _ = param.val();
    param
}

/// Reads a whole file of tensors, however large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, WeightsError> {
    read_up_to(path, u64::MAX)
}

/// Reads a whole file of JSON.
pub(super) fn read_json(path: &Path) -> Result<Vec<u8>, WeightsError> {
    read_up_to(path, READ_LIMIT)
}

fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, WeightsError> {
    read_file(path, limit).map_err(|source| WeightsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The tensors of a safetensors file that was read into `bytes`, by name.
pub(super) fn parse<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<Vec<(String, TensorView<'a>)>, WeightsError> {
    let corrupt = |reason: String| WeightsError::Corrupt {
        path: path.to_owned(),
        reason,
    };
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(corrupt(
            "it is a Git LFS pointer; `git lfs pull` fetches the file itself".into(),
        ));
    }
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|error| match error {
        SafeTensorError::MetadataIncompleteBuffer => corrupt(format!(
            "its header does not match its {} bytes",
            bytes.len()
        )),
        other => corrupt(other.to_string()),
    })?;
    // The order of a hash map otherwise: errors would list tensors in another order each time.
    let mut tensors = file.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors)
}

/// A tensor on its way into a safetensors file.
pub(super) struct HostTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    data: TensorData,
}

impl HostTensor {
    /// Takes the values as they are, bit for bit.
    pub(super) fn new(name: &str, data: TensorData) -> Result<Self, WeightsError> {
        use burn::tensor::DType;
        let dtype = match data.dtype {
            DType::F64 => Dtype::F64,
            DType::F32 | DType::Flex32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::I64 => Dtype::I64,
            DType::I32 => Dtype::I32,
            DType::I16 => Dtype::I16,
            DType::I8 => Dtype::I8,
            DType::U64 => Dtype::U64,
            DType::U32 => Dtype::U32,
            DType::U16 => Dtype::U16,
            DType::U8 => Dtype::U8,
            DType::Bool(_) => Dtype::BOOL,
            other => {
                return Err(WeightsError::Unsavable {
                    name: name.to_owned(),
                    dtype: format!("{other:?}"),
                });
            }
        };
        let shape = data.shape.to_vec();
        let data = match dtype {
            // Whatever the backend stores, safetensors has a byte per boolean.
            Dtype::BOOL => TensorData::new(
                data.iter::<bool>().map(u8::from).collect::<Vec<u8>>(),
                shape.clone(),
            ),
            _ => data,
        };
        Ok(Self { dtype, shape, data })
    }
}

impl View for HostTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        // Native byte order; every platform that Burn runs on is little-endian, as safetensors is.
        Cow::Borrowed(self.data.as_bytes())
    }
    fn data_len(&self) -> usize {
        self.data.as_bytes().len()
    }
}

/// Writes a safetensors file: whole or not at all.
pub(super) fn write_tensors(
    path: &Path,
    tensors: BTreeMap<String, HostTensor>,
) -> Result<(), WeightsError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write_file(path, |temporary| {
        safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(|error| {
            match error {
                SafeTensorError::IoError(error) => error,
                other => io::Error::other(other),
            }
        })
    })
}

/// Makes the folder of a file if need be, and lets `write` make the file: whole or not at all.
pub(super) fn write_file(
    path: &Path,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), WeightsError> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|source| WeightsError::Write {
            path: dir.to_owned(),
            source,
        })?;
    }
    atomic_write_with(path, write)
        .map_err(|WriteError { path, source }| WeightsError::Write { path, source })
}
