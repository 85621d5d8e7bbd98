//! Matrix products: cubek's kernels, which read transposed operands where they lie.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;

use super::tensor::empty;

/// `lhs rhs` of matrices, or of batches of them in like order. The last two dimensions may be swapped; other strides than
/// that, and the batch's, cost a copy.
///
/// The numbers are multiplied in the operands' type and added in f32; the result is of type `dtype`.
pub(super) fn product<R: CubeRuntime>(
    lhs: CubeTensor<R>,
    rhs: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    let mut shape = lhs.meta.shape().to_vec();
    let last = shape.len() - 1;
    shape[last] = rhs.meta.shape()[last];
    let output = empty(&lhs, shape, dtype);
    into(lhs, rhs, output)
}

/// The same, into a tensor of the caller's, which may have any strides.
pub(super) fn into<R: CubeRuntime>(
    lhs: CubeTensor<R>,
    rhs: CubeTensor<R>,
    output: CubeTensor<R>,
) -> CubeTensor<R> {
    let dtype = output.dtype;
    matmul(lhs, rhs, Some(output), MatmulStrategy::default(), dtype)
        .expect("every device multiplies numbers of a type that it holds")
}

/// The matrix, or each of a batch, with rows for columns: another view of the same numbers.
pub(super) fn transposed<R: CubeRuntime>(mut tensor: CubeTensor<R>) -> CubeTensor<R> {
    let rank = tensor.meta.num_dims();
    tensor.meta.swap(rank - 2, rank - 1);
    tensor
}
