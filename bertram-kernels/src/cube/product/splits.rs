//! Products whose inner dimension is cut into parts.
//!
//! The gradient of a weight is a small matrix that sums over all rows of a batch: cubes that each make a block of it leave
//! most of a device idle. Parts of the sum, each a product of its own, do not. They are added in a fixed order.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::zspace::metadata::Metadata;

use super::super::tensor::{elementwise, empty, lanes};

/// Both matrices as batches of parts, over the same memory: `[rows, inner]` to `[parts, rows, inner / parts]`, `[inner,
/// columns]` to `[parts, inner / parts, columns]`. `None` for one part, for batches, and where the inner dimension is
/// no multiple of the parts.
pub(super) fn cut<R: CubeRuntime>(
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    parts: usize,
) -> Option<[CubeTensor<R>; 2]> {
    let matrices = lhs.meta.num_dims() == 2 && rhs.meta.num_dims() == 2;
    let inner = lhs.meta.shape().to_vec().pop()?;
    if parts < 2 || !matrices || !inner.is_multiple_of(parts) {
        return None;
    }
    let of = |tensor: &CubeTensor<R>, dimension: usize| {
        let mut shape = tensor.meta.shape().to_vec();
        let strides = tensor.meta.strides();
        shape[dimension] = inner / parts;
        let stride = shape[dimension] * strides[dimension];
        let shape = [parts, shape[0], shape[1]];
        let strides = [stride, strides[0], strides[1]];
        CubeTensor::new(
            tensor.client.clone(),
            tensor.handle.clone(),
            Metadata::new(shape, strides),
            tensor.device.clone(),
            tensor.dtype,
        )
    };
    Some([of(lhs, 1), of(rhs, 0)])
}

#[cube(launch)]
fn add_up_kernel<T: Numeric, N: Size>(
    parts: &Array<Vector<f32, N>>,
    output: &mut Array<Vector<T, N>>,
    #[comptime] count: usize,
    #[define(T)] _dtype: StorageType,
) {
    let len = output.len();
    if ABSOLUTE_POS < len {
        let mut sum = parts[ABSOLUTE_POS];
        #[unroll]
        for part in 1..count {
            sum += parts[ABSOLUTE_POS + part * len];
        }
        output[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

/// The sum of the parts: `[parts, rows, columns]` in f32, contiguous, to `[rows, columns]`.
pub(super) fn add_up<R: CubeRuntime>(parts: CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    let [count, rows, columns] = parts.meta.shape().dims();
    let output = empty(&parts, [rows, columns], dtype);
    let lanes = lanes(rows * columns);
    let (cubes, dim) = elementwise(rows * columns / lanes);
    add_up_kernel::launch(
        &output.client,
        cubes,
        dim,
        lanes,
        parts.into_array_arg(),
        output.clone().into_array_arg(),
        count,
        dtype.into(),
    );
    output
}
