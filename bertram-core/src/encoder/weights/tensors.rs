//! Any Burn module as a safetensors file, keyed by module path.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Int, Tensor, TensorData, backend::Backend};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

use super::finite;
use super::walk::{
    HostTensor, Kind, ModulePath, parse, read, restore, shapes, values, write_tensors,
};
use super::{TensorProblem, WeightsError};

/// Writes every parameter of a module to a safetensors file, under its path in the module (`layers.0.query.weight`),
/// in the type the backend holds it in: bit for bit.
///
/// The file appears whole or not at all; an old one is replaced.
///
/// # Errors
/// [`WeightsError::Write`], and [`WeightsError::Unsavable`] for a quantised parameter.
pub fn save_tensors<B: Backend, M: Module<B>>(path: &Path, module: &M) -> Result<(), WeightsError> {
    save_tensors_as(path, module, str::to_owned)
}

/// As [`save_tensors`], with names of one's own: `name` gives a parameter's from its path in the module.
///
/// # Errors
/// As [`save_tensors`].
pub fn save_tensors_as<B: Backend, M: Module<B>>(
    path: &Path,
    module: &M,
    name: impl Fn(&str) -> String,
) -> Result<(), WeightsError> {
    let mut tensors = BTreeMap::new();
    for (parameter, data) in values(module) {
        let name = name(&parameter);
        let tensor = HostTensor::new(&name, data)?;
        tensors.insert(name, tensor);
    }
    write_tensors(path, tensors)
}

/// Names of the tensors in a file, sorted.
///
/// # Errors
/// [`WeightsError::Read`] and [`WeightsError::Corrupt`].
pub fn tensor_names(path: &Path) -> Result<Vec<String>, WeightsError> {
    let bytes = read(path)?;
    let names = parse(path, &bytes)?.into_iter().map(|(name, _)| name);
    Ok(names.collect())
}

/// Reads what [`save_tensors`] wrote into a module of the same shape, on `device`.
///
/// Parameter ids and the module's gradient requirements stay: what was frozen in `module` is frozen in the result. (On a
/// backend without autodiff every parameter comes out trainable, which shows only after `Module::train`.)
///
/// # Errors
/// [`WeightsError::Read`], [`WeightsError::Corrupt`], and [`WeightsError::Tensors`] with every missing, unexpected,
/// misshapen or mistyped tensor, and [`WeightsError::NotFinite`] with every tensor that has NaN or infinite values.
pub fn load_tensors<B: Backend, M: Module<B>>(
    path: &Path,
    module: M,
    device: &B::Device,
) -> Result<M, WeightsError> {
    load_tensors_as(path, module, device, str::to_owned)
}

/// Reads what [`save_tensors_as`] wrote under the same names.
///
/// # Errors
/// As [`load_tensors`].
pub fn load_tensors_as<B: Backend, M: Module<B>>(
    path: &Path,
    module: M,
    device: &B::Device,
    name: impl Fn(&str) -> String,
) -> Result<M, WeightsError> {
    let bytes = read(path)?;
    let mut views: BTreeMap<String, TensorView<'_>> = parse(path, &bytes)?.into_iter().collect();
    let mut problems = Vec::new();
    let expected: BTreeMap<_, _> = shapes(&module)
        .into_iter()
        .map(|(parameter, shape)| (name(&parameter), shape))
        .collect();
    for (name, (kind, shape)) in &expected {
        match views.get(name) {
            None => problems.push(TensorProblem::Missing {
                name: name.clone(),
                expected: shape.clone(),
            }),
            Some(view) if view.shape() != shape => problems.push(TensorProblem::Shape {
                name: name.clone(),
                expected: shape.clone(),
                found: view.shape().to_vec(),
            }),
            Some(view) if !fits(*kind, view.dtype()) => problems.push(TensorProblem::Dtype {
                name: name.clone(),
                expected: match kind {
                    Kind::Float => "a float type",
                    Kind::Int => "an integer type",
                    Kind::Bool => "BOOL",
                },
                found: format!("{:?}", view.dtype()),
            }),
            Some(_) => {}
        }
    }
    for (name, view) in &views {
        if !expected.contains_key(name) {
            problems.push(TensorProblem::Unexpected {
                name: name.clone(),
                found: view.shape().to_vec(),
            });
        }
    }
    if !problems.is_empty() {
        return Err(WeightsError::Tensors {
            path: path.to_owned(),
            problems,
        });
    }
    finite::check(path, views.iter().map(|(name, view)| (name.as_str(), view)))?;
    Ok(module.map(&mut Loader::<B, _> {
        path: ModulePath::default(),
        name,
        views: &mut views,
        device,
    }))
}

/// Puts the tensors of a file, which were checked to fit, into a module.
struct Loader<'a, 'data, B: Backend, N> {
    path: ModulePath,
    /// A tensor's name by its path in the module.
    name: N,
    views: &'a mut BTreeMap<String, TensorView<'data>>,
    device: &'a B::Device,
}

impl<B: Backend, N: Fn(&str) -> String> Loader<'_, '_, B, N> {
    fn take(&mut self) -> Option<TensorData> {
        self.views
            .remove(&(self.name)(&self.path.to_string()))
            .and_then(|view| host_data(&view))
    }
}

impl<B: Backend, N: Fn(&str) -> String> ModuleMapper<B> for Loader<'_, '_, B, N> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        match self.take() {
            Some(data) => restore(param, data, self.device),
            None => param,
        }
    }

    fn map_int<const D: usize>(
        &mut self,
        param: Param<Tensor<B, D, Int>>,
    ) -> Param<Tensor<B, D, Int>> {
        match self.take() {
            Some(data) => {
                let id = param.id;
                param
                    .transform_for_load(Tensor::from_data(data, self.device), id)
                    .to_device(self.device)
            }
            None => param,
        }
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<B, D, Bool>>,
    ) -> Param<Tensor<B, D, Bool>> {
        match self.take() {
            Some(data) => {
                let id = param.id;
                param
                    .transform_for_load(Tensor::from_data(data, self.device), id)
                    .to_device(self.device)
            }
            None => param,
        }
    }
}

/// Whether a tensor of this type can fill a parameter of this kind.
fn fits(kind: Kind, dtype: Dtype) -> bool {
    use Dtype::{BF16, BOOL, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    match kind {
        Kind::Float => matches!(dtype, F64 | F32 | F16 | BF16),
        Kind::Int => matches!(dtype, I64 | I32 | I16 | I8 | U64 | U32 | U16 | U8),
        Kind::Bool => matches!(dtype, BOOL),
    }
}

/// A tensor's values in their own type; `None` for a type that Burn lacks.
pub(super) fn host_data(view: &TensorView<'_>) -> Option<TensorData> {
    /// Values from little-endian bytes, whatever their alignment in the file.
    macro_rules! little_endian {
        ($type:ty) => {
            TensorData::new(
                view.data()
                    .chunks_exact(size_of::<$type>())
                    .map(|bytes| {
                        let mut array = [0; size_of::<$type>()];
                        array.copy_from_slice(bytes);
                        <$type>::from_le_bytes(array)
                    })
                    .collect::<Vec<$type>>(),
                view.shape().to_vec(),
            )
        };
    }
    Some(match view.dtype() {
        Dtype::F64 => little_endian!(f64),
        Dtype::F32 => little_endian!(f32),
        Dtype::F16 => little_endian!(f16),
        Dtype::BF16 => little_endian!(bf16),
        Dtype::I64 => little_endian!(i64),
        Dtype::I32 => little_endian!(i32),
        Dtype::I16 => little_endian!(i16),
        Dtype::I8 => little_endian!(i8),
        Dtype::U64 => little_endian!(u64),
        Dtype::U32 => little_endian!(u32),
        Dtype::U16 => little_endian!(u16),
        Dtype::U8 => little_endian!(u8),
        Dtype::BOOL => TensorData::new(
            view.data()
                .iter()
                .map(|byte| *byte != 0)
                .collect::<Vec<bool>>(),
            view.shape().to_vec(),
        ),
        _ => return None,
    })
}
