//! Sums: over the units of a cube, and over the rows of a matrix.
//!
//! The gradients of biases and LayerNorms are sums over every row of a batch, thousands, for a few hundred columns. One
//! unit for each column would read the rows one after the other. Here a grid of cubes sums chunks of rows, and a second
//! launch sums the chunks. Sizes of chunks depend on the matrix alone, and nothing is added atomically: the same numbers
//! give the same sum, bit for bit.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::tensor::{empty, lanes, matrix_dims, reshaped};

/// Columns (or groups of four of them) of a cube.
pub(super) const COLUMNS: u32 = 32;

/// Rows that a cube reads at once.
pub(super) const ROWS: u32 = 8;

/// Fewest rows of a chunk.
const SHORTEST: usize = 64;

/// Most chunks of a matrix.
const MOST_CHUNKS: usize = 128;

/// Rows of a chunk, for a matrix of so many rows.
pub(super) fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(MOST_CHUNKS).max(SHORTEST)
}

/// The cubes of a matrix in chunks.
pub(super) fn chunk_grid(columns: usize, chunks: usize) -> (CubeCount, CubeDim) {
    (
        CubeCount::Static(
            columns.div_ceil(COLUMNS as usize) as u32,
            chunks.max(1) as u32,
            1,
        ),
        CubeDim::new_2d(COLUMNS, ROWS),
    )
}

/// The sum of a number of each unit of a row of a cube's units, `units` long, a power of two; every unit of the row gets it.
/// `shared` has a place for each unit of the cube.
#[cube]
pub(super) fn cube_sum(value: f32, shared: &mut SharedMemory<f32>, #[comptime] units: u32) -> f32 {
    let first = (UNIT_POS_Y * units) as usize;
    let unit = UNIT_POS_X as usize;
    shared[first + unit] = value;
    sync_cube();
    let steps = comptime!(units.ilog2());
    #[unroll]
    for step in 0..steps {
        let half = comptime!((units >> (step + 1)) as usize);
        if unit < half {
            let other = shared[first + unit + half];
            shared[first + unit] += other;
        }
        sync_cube();
    }
    let sum = shared[first];
    // The memory is written again at the next sum.
    sync_cube();
    sum
}

/// The sum of the lanes of a vector.
#[cube]
pub(super) fn lane_sum<N: Size>(vector: Vector<f32, N>) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for lane in 0..N::value() {
        sum += vector[lane];
    }
    sum
}

/// The sum over the units of a column of a [`chunk_grid`]'s cube; it is right in the first of them.
#[cube]
pub(super) fn column_sum<N: Size>(value: Vector<f32, N>) -> Vector<f32, N> {
    let mut shared = SharedMemory::<Vector<f32, N>>::new(comptime!((COLUMNS * ROWS) as usize));
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(ROWS.ilog2()) {
        let half = comptime!(ROWS >> (step + 1));
        if UNIT_POS_Y < half {
            let other = shared[unit + comptime!((half * COLUMNS) as usize)];
            shared[unit] += other;
        }
        sync_cube();
    }
    shared[unit]
}

#[cube(launch)]
fn sum_chunks<T: Numeric, N: Size>(
    matrix: &Array<Vector<T, N>>,
    sums: &mut Array<Vector<f32, N>>,
    rows: usize,
    columns: usize,
    chunk: usize,
    #[define(T)] _dtype: StorageType,
) {
    let column = ABSOLUTE_POS_X as usize;
    let first = CUBE_POS_Y as usize * chunk;
    let end = min(first + chunk, rows);
    let mut sum = Vector::<f32, N>::new(0.0);
    if column < columns {
        for row in range_stepped(first + UNIT_POS_Y as usize, end, comptime!(ROWS as usize)) {
            sum += Vector::cast_from(matrix[row * columns + column]);
        }
    }
    let sum = column_sum::<N>(sum);
    if UNIT_POS_Y == 0 && column < columns {
        sums[CUBE_POS_Y as usize * columns + column] = sum;
    }
}

/// The sum of each column: `[rows, width]`, contiguous, to `[width]` in f32.
pub(super) fn column_sums<R: CubeRuntime>(matrix: CubeTensor<R>) -> CubeTensor<R> {
    let [sums] = column_parts(matrix);
    sums
}

/// The sums of columns as several vectors: `[rows, count width]` to `count` vectors `[width]`.
pub(super) fn column_parts<R: CubeRuntime, const COUNT: usize>(
    matrix: CubeTensor<R>,
) -> [CubeTensor<R>; COUNT] {
    let [rows, width] = matrix_dims(&matrix);
    let chunk = chunk_rows(rows);
    let chunks = rows.div_ceil(chunk).max(1);
    let lanes = lanes(width);
    let sums = empty(&matrix, [chunks, width], DType::F32);
    let (count, dim) = chunk_grid(width / lanes, chunks);
    let (client, dtype) = (matrix.client.clone(), matrix.dtype);
    sum_chunks::launch(
        &client,
        count,
        dim,
        lanes,
        matrix.into_array_arg(),
        sums.clone().into_array_arg(),
        rows,
        width / lanes,
        chunk,
        dtype.into(),
    );
    add_up_parts(sums)
}

#[cube(launch)]
fn sum_parts(
    parts: &Array<f32>,
    sums: &mut Sequence<Array<f32>>,
    rows: usize,
    width: usize,
    #[comptime] count: usize,
) {
    let column = ABSOLUTE_POS_X as usize;
    let part = CUBE_POS_Y as usize;
    let mut sum = Vector::<f32, Const<1>>::new(0.0);
    if column < width {
        let columns = width * comptime!(count);
        for row in range_stepped(UNIT_POS_Y as usize, rows, comptime!(ROWS as usize)) {
            sum += Vector::new(parts[row * columns + part * width + column]);
        }
    }
    let sum = column_sum::<Const<1>>(sum);
    if UNIT_POS_Y == 0 && column < width {
        #[unroll]
        for index in 0..count {
            if part == index {
                let output = sums.index_mut(index);
                output[column] = sum[0];
            }
        }
    }
}

/// The sums over chunks of several results side by side: `[chunks, count width]` to `count` vectors `[width]`.
pub(super) fn add_up_parts<R: CubeRuntime, const COUNT: usize>(
    parts: CubeTensor<R>,
) -> [CubeTensor<R>; COUNT] {
    let [rows, all] = matrix_dims(&parts);
    let width = all / COUNT;
    if rows == 1 && COUNT == 1 {
        let one = reshaped(parts, [width]);
        return [(); COUNT].map(|()| one.clone());
    }
    let sums = [(); COUNT].map(|()| empty(&parts, [width], DType::F32));
    let (count, dim) = chunk_grid(width, COUNT);
    let client = parts.client.clone();
    sum_parts::launch(
        &client,
        count,
        dim,
        parts.into_array_arg(),
        sums.iter()
            .map(|sum| sum.clone().into_array_arg())
            .collect(),
        rows,
        width,
        COUNT,
    );
    sums
}
