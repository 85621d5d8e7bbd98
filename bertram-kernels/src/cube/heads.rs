//! Attention where the heads lie apart, `[batch heads, sequence, width]`: two batched products with a softmax between them.
//!
//! No probability is kept: the backward pass computes the scores again, and their softmax from what is kept of each row,
//! its greatest score and its sum. So memory holds the squares of one layer at a time.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::zspace::metadata::Metadata;

use super::dropout::Mask;
use super::product::{product, transposed};
use super::softmax::{self, Heads};
use super::tensor::{contiguous, matrix_dims, reshaped};

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Attended<R: CubeRuntime> {
    /// Scaled.
    query: CubeTensor<R>,
    key: CubeTensor<R>,
    value: CubeTensor<R>,
    bias: CubeTensor<R>,
    logs: CubeTensor<R>,
    heads: Heads,
    mask: Option<Mask<R>>,
}

/// The context, `[batch heads, sequence, width]`, of queries that are scaled.
pub(super) fn attend<R: CubeRuntime>(
    [query, key, value]: [CubeTensor<R>; 3],
    bias: CubeTensor<R>,
    heads: Heads,
    mask: Option<Mask<R>>,
) -> (CubeTensor<R>, Attended<R>) {
    let dtype = query.dtype;
    let weights = product(query.clone(), transposed(key.clone()), dtype);
    let logs = softmax::forward(&weights, bias.clone(), heads, mask.as_ref());
    let context = product(weights, value.clone(), dtype);
    let kept = Attended {
        query,
        key,
        value,
        bias,
        logs,
        heads,
        mask,
    };
    (context, kept)
}

/// Gradients of the scaled queries, of keys and of values, from the context's.
pub(super) fn attend_backward<R: CubeRuntime>(
    kept: Attended<R>,
    gradient: CubeTensor<R>,
) -> [CubeTensor<R>; 3] {
    let Attended {
        query,
        key,
        value,
        bias,
        logs,
        heads,
        mask,
    } = kept;
    let dtype = query.dtype;
    let weights = product(query.clone(), transposed(key.clone()), dtype);
    let of_scores = product(gradient.clone(), transposed(value), dtype);
    softmax::backward(&weights, &of_scores, bias, logs, heads, mask.as_ref());
    let of_value = product(transposed(weights), gradient, dtype);
    let of_query = product(of_scores.clone(), key, dtype);
    let of_key = product(transposed(of_scores), query, dtype);
    [of_query, of_key, of_value]
}

/// The same numbers in another order of dimensions, as a view.
fn permuted<R: CubeRuntime>(
    tensor: CubeTensor<R>,
    shape: [usize; 4],
    strides: [usize; 4],
) -> CubeTensor<R> {
    CubeTensor::new(
        tensor.client,
        tensor.handle,
        Metadata::new(shape, strides),
        tensor.device,
        tensor.dtype,
    )
}

/// Rows `[batch sequence, hidden]` with the heads apart.
pub(super) fn apart<R: CubeRuntime>(rows: CubeTensor<R>, of: Heads) -> CubeTensor<R> {
    let rows = contiguous(rows);
    let [_, hidden] = matrix_dims(&rows);
    let Heads {
        batch,
        heads,
        sequence,
    } = of;
    let width = hidden / heads;
    let view = permuted(
        rows,
        [batch, heads, sequence, width],
        [sequence * hidden, width, hidden, 1],
    );
    reshaped(contiguous(view), [batch * heads, sequence, width])
}

/// Heads side by side again, in rows `[batch sequence, hidden]`.
pub(super) fn together<R: CubeRuntime>(apart: CubeTensor<R>, of: Heads) -> CubeTensor<R> {
    let apart = contiguous(apart);
    let width = apart.meta.shape()[2];
    let Heads {
        batch,
        heads,
        sequence,
    } = of;
    let view = permuted(
        apart,
        [batch, sequence, heads, width],
        [heads * sequence * width, width, sequence * width, 1],
    );
    reshaped(contiguous(view), [batch * sequence, heads * width])
}
