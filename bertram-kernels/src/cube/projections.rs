//! Query, key and value as one product: their weights side by side, and their results apart.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::softmax::Heads;
use super::tensor::{elementwise, empty, lanes, matrix_dims};

#[cube(launch)]
fn pack_kernel<T: Numeric, N: Size>(
    query: &Array<Vector<f32, N>>,
    key: &Array<Vector<f32, N>>,
    value: &Array<Vector<f32, N>>,
    output: &mut Array<Vector<T, N>>,
    columns: usize,
    #[define(T)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < output.len() {
        let row = ABSOLUTE_POS / (3 * columns);
        let column = ABSOLUTE_POS % (3 * columns);
        let from = row * columns + column % columns;
        if column < columns {
            output[ABSOLUTE_POS] = Vector::cast_from(query[from]);
        } else if column < 2 * columns {
            output[ABSOLUTE_POS] = Vector::cast_from(key[from]);
        } else {
            output[ABSOLUTE_POS] = Vector::cast_from(value[from]);
        }
    }
}

/// Three weights `[input, width]` in f32, contiguous, side by side in another type: `[input, 3 width]`.
pub(super) fn pack<R: CubeRuntime>(weights: [CubeTensor<R>; 3], dtype: DType) -> CubeTensor<R> {
    let [rows, width] = matrix_dims(&weights[0]);
    let output = empty(&weights[0], [rows, 3 * width], dtype);
    let lanes = lanes(width);
    let (count, dim) = elementwise(3 * rows * width / lanes);
    let [query, key, value] = weights.map(CubeTensor::into_array_arg);
    pack_kernel::launch(
        &output.client,
        count,
        dim,
        lanes,
        query,
        key,
        value,
        output.clone().into_array_arg(),
        width / lanes,
        dtype.into(),
    );
    output
}

#[cube(launch)]
fn unpack_kernel<N: Size>(
    input: &Array<Vector<f32, N>>,
    query: &mut Array<Vector<f32, N>>,
    key: &mut Array<Vector<f32, N>>,
    value: &mut Array<Vector<f32, N>>,
    columns: usize,
) {
    if ABSOLUTE_POS < input.len() {
        let row = ABSOLUTE_POS / (3 * columns);
        let column = ABSOLUTE_POS % (3 * columns);
        let to = row * columns + column % columns;
        let weight = input[ABSOLUTE_POS];
        if column < columns {
            query[to] = weight;
        } else if column < 2 * columns {
            key[to] = weight;
        } else {
            value[to] = weight;
        }
    }
}

/// The reverse of [`pack`], in f32.
pub(super) fn unpack<R: CubeRuntime>(packed: CubeTensor<R>) -> [CubeTensor<R>; 3] {
    let [rows, all] = matrix_dims(&packed);
    let width = all / 3;
    let outputs = [(); 3].map(|()| empty(&packed, [rows, width], DType::F32));
    let lanes = lanes(width);
    let (count, dim) = elementwise(rows * all / lanes);
    let [query, key, value] = outputs.clone().map(CubeTensor::into_array_arg);
    let client = packed.client.clone();
    unpack_kernel::launch(
        &client,
        count,
        dim,
        lanes,
        packed.into_array_arg(),
        query,
        key,
        value,
        width / lanes,
    );
    outputs
}

/// Where numbers of rows lie with the heads apart.
#[derive(CubeType, CubeLaunch)]
struct Places {
    heads: usize,
    sequence: usize,
    /// Vectors of a head's row.
    width: usize,
}

#[cube]
impl Places {
    /// Of a vector of a row of one of the three results.
    fn apart(&self, row: usize, column: usize) -> usize {
        let sequence = row / self.sequence;
        let head = column / self.width;
        let place = (sequence * self.heads + head) * self.sequence + row % self.sequence;
        place * self.width + column % self.width
    }
}

#[cube(launch)]
fn split_kernel<T: Numeric, N: Size>(
    input: &Array<Vector<T, N>>,
    query_bias: &Array<Vector<f32, N>>,
    key_bias: &Array<Vector<f32, N>>,
    value_bias: &Array<Vector<f32, N>>,
    query: &mut Array<Vector<T, N>>,
    key: &mut Array<Vector<T, N>>,
    value: &mut Array<Vector<T, N>>,
    places: &Places,
    scale: f32,
    #[define(T)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < input.len() {
        let columns = places.heads * places.width;
        let row = ABSOLUTE_POS / (3 * columns);
        let part = ABSOLUTE_POS % (3 * columns) / columns;
        let column = ABSOLUTE_POS % columns;
        let to = places.apart(row, column);
        let x = Vector::<f32, N>::cast_from(input[ABSOLUTE_POS]);
        if part == 0 {
            query[to] = Vector::cast_from((x + query_bias[column]) * Vector::new(scale));
        } else if part == 1 {
            key[to] = Vector::cast_from(x + key_bias[column]);
        } else {
            value[to] = Vector::cast_from(x + value_bias[column]);
        }
    }
}

/// The three results of one product, `[rows, 3 hidden]`, with their biases added and their heads apart:
/// `[batch heads, sequence, width]` each. Queries are multiplied by `scale`.
pub(super) fn split<R: CubeRuntime>(
    all: CubeTensor<R>,
    biases: [CubeTensor<R>; 3],
    heads: Heads,
    scale: f32,
) -> [CubeTensor<R>; 3] {
    let [rows, columns] = matrix_dims(&all);
    let width = columns / 3 / heads.heads;
    let shape = [heads.batch * heads.heads, heads.sequence, width];
    let outputs = [(); 3].map(|()| empty(&all, shape, all.dtype));
    let lanes = lanes(width);
    let (count, dim) = elementwise(rows * columns / lanes);
    let [query_bias, key_bias, value_bias] = biases.map(CubeTensor::into_array_arg);
    let [query, key, value] = outputs.clone().map(CubeTensor::into_array_arg);
    let (client, dtype) = (all.client.clone(), all.dtype);
    split_kernel::launch(
        &client,
        count,
        dim,
        lanes,
        all.into_array_arg(),
        query_bias,
        key_bias,
        value_bias,
        query,
        key,
        value,
        PlacesLaunch::new(heads.heads, heads.sequence, width / lanes),
        scale,
        dtype.into(),
    );
    outputs
}

#[cube(launch)]
fn merge_kernel<T: Numeric, N: Size>(
    query: &Array<Vector<T, N>>,
    key: &Array<Vector<T, N>>,
    value: &Array<Vector<T, N>>,
    output: &mut Array<Vector<T, N>>,
    places: &Places,
    scale: f32,
    #[define(T)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < output.len() {
        let columns = places.heads * places.width;
        let row = ABSOLUTE_POS / (3 * columns);
        let part = ABSOLUTE_POS % (3 * columns) / columns;
        let from = places.apart(row, ABSOLUTE_POS % columns);
        if part == 0 {
            let x = Vector::<f32, N>::cast_from(query[from]) * Vector::new(scale);
            output[ABSOLUTE_POS] = Vector::cast_from(x);
        } else if part == 1 {
            output[ABSOLUTE_POS] = key[from];
        } else {
            output[ABSOLUTE_POS] = value[from];
        }
    }
}

/// The backward pass of [`split`] on its input: `[rows, 3 hidden]`.
pub(super) fn merge<R: CubeRuntime>(
    apart: [CubeTensor<R>; 3],
    heads: Heads,
    scale: f32,
) -> CubeTensor<R> {
    let width = apart[0].meta.shape()[2];
    let rows = heads.batch * heads.sequence;
    let columns = 3 * heads.heads * width;
    let output = empty(&apart[0], [rows, columns], apart[0].dtype);
    let lanes = lanes(width);
    let (count, dim) = elementwise(rows * columns / lanes);
    let [query, key, value] = apart.map(CubeTensor::into_array_arg);
    merge_kernel::launch(
        &output.client,
        count,
        dim,
        lanes,
        query,
        key,
        value,
        output.clone().into_array_arg(),
        PlacesLaunch::new(heads.heads, heads.sequence, width / lanes),
        scale,
        output.dtype.into(),
    );
    output
}
