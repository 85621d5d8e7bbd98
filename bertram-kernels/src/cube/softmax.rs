//! Masked softmax with dropout of rows of scores, in place.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::dropout::{Mask, MaskArg, mask_arg};
use super::sums::{cube_sum, lane_sum};
use super::tensor::{cubes, empty, lanes};

/// A key this far below a query's best has a probability of exactly 0 (e^-60 is 9e-27).
const FARTHEST: f32 = -60.0;

/// Units of a cube, which takes several rows where they are short.
const UNITS: u32 = 128;

/// How rows of scores are laid out over the units of a cube.
struct Layout {
    /// Numbers of a vector.
    lanes: usize,
    /// Vectors of a row.
    columns: usize,
    /// Units of a row.
    units: u32,
    /// Rows of a cube.
    rows: u32,
    /// Vectors of a unit.
    items: u32,
}

impl Layout {
    fn of(width: usize) -> Self {
        let lanes = lanes(width);
        let columns = width / lanes;
        let units = columns.next_power_of_two().min(UNITS as usize) as u32;
        Self {
            lanes,
            columns,
            units,
            rows: UNITS / units,
            items: columns.div_ceil(units as usize) as u32,
        }
    }

    fn grid(&self, rows: usize) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_2d(self.units, self.rows);
        (cubes(rows.div_ceil(self.rows as usize)), dim)
    }
}

/// The greatest of a number of each unit of a row; every unit of the row gets it.
#[cube]
fn row_max(value: f32, shared: &mut SharedMemory<f32>, #[comptime] units: u32) -> f32 {
    let first = (UNIT_POS_Y * units) as usize;
    let unit = UNIT_POS_X as usize;
    shared[first + unit] = value;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(units.ilog2()) {
        let half = comptime!((units >> (step + 1)) as usize);
        if unit < half {
            let other = shared[first + unit + half];
            shared[first + unit] = max(shared[first + unit], other);
        }
        sync_cube();
    }
    let greatest = shared[first];
    sync_cube();
    greatest
}

/// Queries of a sequence, heads of a batch.
#[derive(CubeType, CubeLaunch)]
struct Sizes {
    /// Queries of all heads of all sequences.
    rows: usize,
    queries: usize,
    heads: usize,
    /// Vectors of a row.
    columns: usize,
}

#[cube(launch)]
fn softmax_kernel<T: Numeric, N: Size>(
    scores: &mut Array<Vector<T, N>>,
    bias: &Array<Vector<f32, N>>,
    logs: &mut Array<f32>,
    mask: &MaskArg,
    sizes: &Sizes,
    #[comptime] units: u32,
    #[comptime] items: u32,
    #[define(T)] _dtype: StorageType,
) {
    let row = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    // All units of a cube meet at its sums: those behind the last row only do nothing.
    let columns = select(row < sizes.rows, sizes.columns, 0);
    let head = row / sizes.queries;
    let sequence = head / sizes.heads;
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut values = Array::<Vector<f32, N>>::new(comptime!(items as usize));
    let mut greatest = f32::min_value();
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS_X as usize + item * comptime!(units as usize);
        values[item] = Vector::new(0.0);
        if column < columns {
            let x = Vector::<f32, N>::cast_from(scores[row * columns + column])
                + bias[sequence * columns + column];
            values[item] = x;
            #[unroll]
            for lane in 0..N::value() {
                greatest = max(greatest, x[lane]);
            }
        }
    }
    let greatest = row_max(greatest, &mut shared, units);
    let mut sum = Vector::<f32, N>::new(0.0);
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS_X as usize + item * comptime!(units as usize);
        if column < columns {
            let x = share_of::<N>(values[item] - Vector::new(greatest));
            values[item] = x;
            sum += x;
        }
    }
    let sum = cube_sum(lane_sum::<N>(sum), &mut shared, units);
    let share = 1.0 / sum;
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS_X as usize + item * comptime!(units as usize);
        if column < columns {
            let factors = mask.factors::<N>(head, row % sizes.queries, column);
            let weight = values[item] * Vector::new(share) * factors;
            scores[row * columns + column] = Vector::cast_from(weight);
        }
    }
    if UNIT_POS_X == 0 && row < sizes.rows {
        logs[2 * row] = greatest;
        logs[2 * row + 1] = share;
    }
}

/// Exponentials of differences to the greatest.
#[cube]
fn share_of<N: Size>(difference: Vector<f32, N>) -> Vector<f32, N> {
    let mut shares = Vector::<f32, N>::empty();
    let powers = Vector::exp(difference);
    #[unroll]
    for lane in 0..N::value() {
        shares[lane] = select(difference[lane] <= FARTHEST, 0.0f32, powers[lane]);
    }
    shares
}

/// `weights` holds scores, and becomes what the values were weighted with; `gradient` holds its gradient, and becomes that
/// of the scores.
#[cube(launch)]
fn softmax_backward_kernel<T: Numeric, N: Size>(
    weights: &mut Array<Vector<T, N>>,
    gradient: &mut Array<Vector<T, N>>,
    bias: &Array<Vector<f32, N>>,
    logs: &Array<f32>,
    mask: &MaskArg,
    sizes: &Sizes,
    #[comptime] units: u32,
    #[comptime] items: u32,
    #[define(T)] _dtype: StorageType,
) {
    let row = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    // All units of a cube meet at its sums: those behind the last row only do nothing.
    let columns = select(row < sizes.rows, sizes.columns, 0);
    let head = row / sizes.queries;
    let sequence = head / sizes.heads;
    let known = min(row, sizes.rows - 1);
    let greatest = logs[2 * known];
    let share = logs[2 * known + 1];
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut probabilities = Array::<Vector<f32, N>>::new(comptime!(items as usize));
    let mut gradients = Array::<Vector<f32, N>>::new(comptime!(items as usize));
    let mut along = Vector::<f32, N>::new(0.0);
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS_X as usize + item * comptime!(units as usize);
        probabilities[item] = Vector::new(0.0);
        gradients[item] = Vector::new(0.0);
        if column < columns {
            let at = row * columns + column;
            let x = Vector::<f32, N>::cast_from(weights[at]) + bias[sequence * columns + column];
            let probability = share_of::<N>(x - Vector::new(greatest)) * Vector::new(share);
            let factors = mask.factors::<N>(head, row % sizes.queries, column);
            let g = Vector::<f32, N>::cast_from(gradient[at]) * factors;
            weights[at] = Vector::cast_from(probability * factors);
            probabilities[item] = probability;
            gradients[item] = g;
            along += g * probability;
        }
    }
    let along = cube_sum(lane_sum::<N>(along), &mut shared, units);
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS_X as usize + item * comptime!(units as usize);
        if column < columns {
            let g = (gradients[item] - Vector::new(along)) * probabilities[item];
            gradient[row * columns + column] = Vector::cast_from(g);
        }
    }
}

/// Sequences, heads of each, queries (and keys) of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub batch: usize,
    pub heads: usize,
    pub sequence: usize,
}

impl Heads {
    fn rows(self) -> usize {
        self.batch * self.heads * self.sequence
    }

    fn launch<R: CubeRuntime>(self, layout: &Layout) -> SizesLaunch<R> {
        SizesLaunch::new(self.rows(), self.sequence, self.heads, layout.columns)
    }
}

/// Scores `[batch heads, sequence, sequence]` become weights, in place; `bias` is `[batch, sequence]` in f32. The result is
/// what [`backward`] needs: of each row, the greatest score and the share of its exponential.
pub(super) fn forward<R: CubeRuntime>(
    scores: &CubeTensor<R>,
    bias: CubeTensor<R>,
    heads: Heads,
    mask: Option<&Mask<R>>,
) -> CubeTensor<R> {
    let layout = Layout::of(heads.sequence);
    let logs = empty(scores, [heads.rows(), 2], DType::F32);
    let (count, dim) = layout.grid(heads.rows());
    softmax_kernel::launch(
        &scores.client,
        count,
        dim,
        layout.lanes,
        scores.clone().into_array_arg(),
        bias.into_array_arg(),
        logs.clone().into_array_arg(),
        mask_arg(mask),
        heads.launch(&layout),
        layout.units,
        layout.items,
        scores.dtype.into(),
    );
    logs
}

/// Scores become weights again, and the weights' gradient the scores', both in place.
pub(super) fn backward<R: CubeRuntime>(
    scores: &CubeTensor<R>,
    gradient: &CubeTensor<R>,
    bias: CubeTensor<R>,
    logs: CubeTensor<R>,
    heads: Heads,
    mask: Option<&Mask<R>>,
) {
    let layout = Layout::of(heads.sequence);
    let (count, dim) = layout.grid(heads.rows());
    softmax_backward_kernel::launch(
        &scores.client,
        count,
        dim,
        layout.lanes,
        scores.clone().into_array_arg(),
        gradient.clone().into_array_arg(),
        bias.into_array_arg(),
        logs.into_array_arg(),
        mask_arg(mask),
        heads.launch(&layout),
        layout.units,
        layout.items,
        scores.dtype.into(),
    );
}
