//! Matrix products: CubeK's kernels, which read transposed operands where they lie.

mod splits;
mod strategy;
mod tune;

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::MatmulSetupError;

pub(super) use self::tune::tune;
use super::tensor::empty;
use crate::products::{self, ProductShape, ProductStrategy};

/// `lhs rhs` of matrices, or of batches of them in like order. The last two dimensions may be swapped; other strides than
/// that, and the batch's, cost a copy.
///
/// The numbers are multiplied in the operands' type and added in f32; the result is of type `dtype`.
pub(super) fn product<R: CubeRuntime>(
    lhs: CubeTensor<R>,
    rhs: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    let shape = shape(&lhs, &rhs, dtype);
    products::note(&shape);
    let chosen = products::tuned(&shape);
    let wanted = chosen.unwrap_or_else(|| strategy::by_rule(&shape, &lhs.client));
    by(wanted, &lhs, &rhs, dtype)
        .or_else(|_| plainly(&lhs, &rhs, dtype))
        .expect("ordinary cores multiply numbers of every type that a device holds")
}

/// The product on tensor cores where the device has them for the operands, else without.
fn plainly<R: CubeRuntime>(
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    dtype: DType,
) -> Result<CubeTensor<R>, MatmulSetupError> {
    by(ProductStrategy::PLAIN, lhs, rhs, dtype)
        .or_else(|_| by(ProductStrategy::ANYWHERE, lhs, rhs, dtype))
}

/// The product in one way.
///
/// # Errors
/// If the device, or the shape, does not allow it. Nothing was launched then.
pub(super) fn by<R: CubeRuntime>(
    strategy: ProductStrategy,
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    dtype: DType,
) -> Result<CubeTensor<R>, MatmulSetupError> {
    let splits = usize::from(strategy.splits);
    if let Some([lhs, rhs]) = splits::cut(lhs, rhs, splits) {
        let parts = whole(strategy, &lhs, &rhs, DType::F32)?;
        return Ok(splits::add_up(parts, dtype));
    }
    whole(strategy, lhs, rhs, dtype)
}

/// The same, the inner dimension in one.
fn whole<R: CubeRuntime>(
    strategy: ProductStrategy,
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    dtype: DType,
) -> Result<CubeTensor<R>, MatmulSetupError> {
    let mut dims = lhs.meta.shape().to_vec();
    let last = dims.len() - 1;
    dims[last] = rhs.meta.shape()[last];
    let output = empty(lhs, dims, dtype);
    strategy::launch(strategy, lhs, rhs, &output)?;
    Ok(output)
}

/// What is multiplied.
fn shape<R: CubeRuntime>(lhs: &CubeTensor<R>, rhs: &CubeTensor<R>, dtype: DType) -> ProductShape {
    let (left, right) = (lhs.meta.shape(), rhs.meta.shape());
    let last = left.len() - 1;
    ProductShape {
        batches: left[..last - 1].iter().product(),
        rows: left[last - 1],
        inner: left[last],
        columns: right[last],
        lhs_transposed: is_transposed(lhs),
        rhs_transposed: is_transposed(rhs),
        operands: lhs.dtype,
        result: dtype,
    }
}

fn is_transposed<R: CubeRuntime>(tensor: &CubeTensor<R>) -> bool {
    let strides = tensor.meta.strides();
    let last = strides.len() - 1;
    strides[last] != 1 && strides[last - 1] == 1
}

/// The matrix, or each of a batch, with rows for columns: another view of the same numbers.
pub(super) fn transposed<R: CubeRuntime>(mut tensor: CubeTensor<R>) -> CubeTensor<R> {
    let rank = tensor.meta.num_dims();
    tensor.meta.swap(rank - 2, rank - 1);
    tensor
}
