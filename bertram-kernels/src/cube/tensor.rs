//! Between Burn's tensors and what kernels take.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Shape, Tensor, TensorMetadata, TensorPrimitive};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros_client};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// A float tensor's primitive.
pub(super) fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// The tensor of a primitive.
pub(super) fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Whether kernels take hidden states of these types: all of one, f32 or a half.
pub(super) fn hidden_states(dtypes: &[DType]) -> bool {
    let known = |dtype: &DType| matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
    dtypes.iter().all(known) && dtypes.windows(2).all(|two| two[0] == two[1])
}

/// Whether all are tensors of 32-bit floats, as parameters are.
pub(super) fn all_f32(dtypes: &[DType]) -> bool {
    dtypes.iter().all(|dtype| *dtype == DType::F32)
}

/// The same numbers in row-major order with nothing between them; not copied if they are.
pub(super) fn contiguous<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous(tensor)
}

/// A contiguous tensor to be written, where `like` lies.
pub(super) fn empty<R: CubeRuntime>(
    like: &CubeTensor<R>,
    shape: impl Into<Shape>,
    dtype: DType,
) -> CubeTensor<R> {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), dtype)
}

/// The tensor as something to change: itself if nothing else holds it, else a copy.
pub(super) fn owned<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    let tensor = contiguous(tensor);
    if tensor.can_mut() {
        return tensor;
    }
    let (shape, elements) = (tensor.shape(), tensor.meta.num_elements());
    reshaped(reshaped(tensor, [elements]).copy(), shape)
}

/// A contiguous tensor of zeros in f32, where `like` lies.
pub(super) fn zeros<R: CubeRuntime>(
    like: &CubeTensor<R>,
    shape: impl Into<Shape>,
) -> CubeTensor<R> {
    let shape = shape.into();
    let (client, device) = (like.client.clone(), like.device.clone());
    // Rows of a matrix may be laid apart; a vector has nothing between its numbers.
    let elements = [shape.num_elements()].into();
    reshaped(zeros_client(client, device, elements, DType::F32), shape)
}

/// A contiguous tensor's numbers in another shape.
pub(super) fn reshaped<R: CubeRuntime>(
    tensor: CubeTensor<R>,
    shape: impl Into<Shape>,
) -> CubeTensor<R> {
    let (client, device) = (tensor.client, tensor.device);
    CubeTensor::new_contiguous(client, device, shape.into(), tensor.handle, tensor.dtype)
}

/// Rows and columns of a matrix.
pub(super) fn matrix_dims<R: CubeRuntime>(tensor: &CubeTensor<R>) -> [usize; 2] {
    tensor.shape().dims()
}

/// Numbers that a unit reads at once from rows of this width.
pub(super) fn lanes(width: usize) -> usize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

/// Largest number of cubes in a direction of the grid that every runtime takes.
const MOST_CUBES: usize = 65_535;

/// A grid of at least `cubes` cubes. A kernel finds its number in `CUBE_POS` and leaves if it is none of them.
pub(super) fn cubes(cubes: usize) -> CubeCount {
    let rows = cubes.div_ceil(MOST_CUBES).max(1);
    CubeCount::Static(cubes.div_ceil(rows).max(1) as u32, rows as u32, 1)
}

/// Units of a cube, for work that is not cut to a shape.
pub(super) const UNITS: u32 = 256;

/// A grid with a unit for each element.
pub(super) fn elementwise(elements: usize) -> (CubeCount, CubeDim) {
    (
        cubes(elements.div_ceil(UNITS as usize)),
        CubeDim::new_1d(UNITS),
    )
}
