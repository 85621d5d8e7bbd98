//! Rows of a table, with a gradient that is added up without atomics.
//!
//! Rows of the gradient that belong to one entry of the table are added in two steps. In each chunk of rows, the first row
//! of an entry gathers those of its chunk; then the first of these over all chunks gathers the chunks'. Both go through
//! their rows in order, so that the sum is the same at every run, however often an entry is used.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Int, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::graph::{CubeKernels, register};
use super::tensor::{contiguous, cubes, empty, lanes, matrix_dims, primitive, tensor, zeros};
use crate::composed;

/// Fewest rows of a chunk.
const SHORTEST: usize = 128;

/// Most chunks: a unit looks for an entry in each.
const MOST_CHUNKS: usize = 256;

/// Rows of a chunk, for so many rows.
fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(MOST_CHUNKS).max(SHORTEST)
}

/// The first row of a chunk, from `from` on and before `end`, that belongs to an entry; `end` if none does.
#[cube]
fn find<I: Numeric>(ids: &Array<I>, id: I, from: usize, end: usize) -> usize {
    let mut at = from;
    while at < end && ids[at] != id {
        at += 1;
    }
    at
}

/// A cube takes a row. If it is the first of its entry in its chunk, `parts` gets the sum of the entry's rows in the chunk.
#[cube(launch)]
fn sum_in_chunks<I: Numeric, N: Size>(
    ids: &Array<I>,
    gradient: &Array<Vector<f32, N>>,
    parts: &mut Array<Vector<f32, N>>,
    columns: usize,
    chunk: usize,
    #[define(I)] _dtype: StorageType,
) {
    let row = CUBE_POS;
    let rows = ids.len();
    if row >= rows {
        terminate!();
    }
    let id = ids[row];
    let start = row / chunk * chunk;
    if find::<I>(ids, id, start, row) < row {
        terminate!();
    }
    let end = min(start + chunk, rows);
    for column in range_stepped(UNIT_POS as usize, columns, CUBE_DIM as usize) {
        let mut sum = gradient[row * columns + column];
        for other in row + 1..end {
            if ids[other] == id {
                sum += gradient[other * columns + column];
            }
        }
        parts[row * columns + column] = sum;
    }
}

/// A cube takes a row. If it is the first of its entry at all, the entry's gradient is the sum over chunks.
#[cube(launch)]
fn sum_chunks<I: Numeric, N: Size>(
    ids: &Array<I>,
    parts: &Array<Vector<f32, N>>,
    of_table: &mut Array<Vector<f32, N>>,
    columns: usize,
    chunk: usize,
    chunks: usize,
    #[define(I)] _dtype: StorageType,
) {
    let row = CUBE_POS;
    let rows = ids.len();
    if row >= rows {
        terminate!();
    }
    let id = ids[row];
    let start = row / chunk * chunk;
    let mut firsts = SharedMemory::<u32>::new(comptime!(MOST_CHUNKS));
    for index in range_stepped(UNIT_POS as usize, chunks, CUBE_DIM as usize) {
        let from = index * chunk;
        let end = min(from + chunk, rows);
        let at = find::<I>(ids, id, from, end);
        firsts[index] = select(at < end, at as u32, u32::MAX);
    }
    sync_cube();
    let mut first = firsts[row / chunk] as usize == row;
    for index in 0..start / chunk {
        if firsts[index] != u32::MAX {
            first = false;
        }
    }
    if first {
        let entry = usize::cast_from(id);
        for column in range_stepped(UNIT_POS as usize, columns, CUBE_DIM as usize) {
            let mut sum = parts[row * columns + column];
            for index in row / chunk + 1..chunks {
                let at = firsts[index];
                if at != u32::MAX {
                    sum += parts[at as usize * columns + column];
                }
            }
            of_table[entry * columns + column] = sum;
        }
    }
}

/// The gradient of a table of so many entries.
fn backward<R: CubeRuntime>(
    ids: CubeTensor<R>,
    gradient: CubeTensor<R>,
    entries: usize,
) -> CubeTensor<R> {
    let [rows, width] = matrix_dims(&gradient);
    let client = gradient.client.clone();
    let of_table = zeros(&gradient, [entries, width]);
    let parts = empty(&gradient, [rows, width], DType::F32);
    let lanes = lanes(width);
    let columns = width / lanes;
    let chunk = chunk_rows(rows);
    let units = columns.next_power_of_two().clamp(32, 256) as u32;
    let dtype = ids.dtype;
    sum_in_chunks::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units),
        lanes,
        ids.clone().into_array_arg(),
        gradient.into_array_arg(),
        parts.clone().into_array_arg(),
        columns,
        chunk,
        dtype.into(),
    );
    sum_chunks::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units),
        lanes,
        ids.into_array_arg(),
        parts.into_array_arg(),
        of_table.clone().into_array_arg(),
        columns,
        chunk,
        rows.div_ceil(chunk),
        dtype.into(),
    );
    of_table
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State<R: CubeRuntime> {
    ids: CubeTensor<R>,
    /// Rows of the table.
    entries: usize,
}

#[derive(Debug)]
struct Embedding;

impl<B: CubeKernels> Backward<B, 1> for Embedding {
    type State = State<B::Runtime>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_table] = ops.parents.map(|node| node.map(|node| node.id));
        let State { ids, entries } = ops.state;
        let gradient = contiguous(gradients.consume::<B>(&ops.node));
        register::<B>(gradients, to_table, Some(backward(ids, gradient, entries)));
    }
}

/// [`Kernels::embedding_rows_on_graph`](crate::Kernels::embedding_rows_on_graph).
pub(super) fn on_graph<B: CubeKernels, C: CheckpointStrategy>(
    table: Tensor<Autodiff<B, C>, 2>,
    ids: Tensor<Autodiff<B, C>, 1, Int>,
) -> Tensor<Autodiff<B, C>, 2> {
    if table.dtype() != DType::F32 {
        return composed::embedding_rows(table, ids);
    }
    let table = primitive(table);
    let ids = contiguous(ids.into_primitive());
    let [entries, _] = table.primitive.shape().dims();
    let rows = B::float_select(table.primitive, 0, ids.clone());
    let prepared = Backward::<B, 1>::prepare::<C>(Embedding, [table.node]).compute_bound();
    tensor(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(State { ids, entries }, rows),
        OpsKind::UnTracked(prepared) => prepared.finish(rows),
    })
}
