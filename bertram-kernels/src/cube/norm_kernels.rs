//! LayerNorm with what stands before or after it, a row to a cube on the way forward and a chunk of rows on the way back.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::dropout::{Mask, MaskArg, mask_arg};
use super::sums::{cube_sum, lane_sum};
use super::tensor::{cubes, empty, lanes, matrix_dims};

/// Widest row: a unit keeps its part of it in registers.
pub(super) const WIDEST: usize = 16 * 1024;

/// Most units of a cube.
const MOST_UNITS: usize = 256;

/// Fewest rows of a chunk on the way back, and most chunks.
const SHORTEST: usize = 4;
const MOST_CHUNKS: usize = 512;

/// How a row is laid out over the units of a cube.
pub(super) struct Layout {
    /// Numbers of a vector.
    pub lanes: usize,
    /// Vectors of a row.
    pub columns: usize,
    /// Units of a cube.
    pub units: u32,
    /// Vectors of a unit.
    pub items: u32,
}

impl Layout {
    pub(super) fn of(width: usize) -> Self {
        let lanes = lanes(width);
        let columns = width / lanes;
        let units = columns.next_power_of_two().clamp(32, MOST_UNITS);
        Self {
            lanes,
            columns,
            units: units as u32,
            items: columns.div_ceil(units) as u32,
        }
    }
}

/// What is added before the norm.
#[derive(CubeType, CubeLaunch)]
struct Before<T: Numeric, N: Size> {
    bias: Array<Vector<f32, N>>,
    residual: Array<Vector<T, N>>,
}

/// What is kept for the backward pass: [`Normalised`].
#[derive(CubeType, CubeLaunch)]
struct Kept<T: Numeric, N: Size> {
    normal: Array<Vector<T, N>>,
    deviations: Array<f32>,
}

#[cube(launch)]
fn layer_norm_kernel<T: Numeric, N: Size>(
    input: &Array<Vector<T, N>>,
    before: &ComptimeOption<Before<T, N>>,
    gamma: &Array<Vector<f32, N>>,
    beta: &Array<Vector<f32, N>>,
    output: &mut Array<Vector<T, N>>,
    kept: &mut ComptimeOption<Kept<T, N>>,
    mask: &MaskArg,
    rows: usize,
    columns: usize,
    share: f32,
    eps: f32,
    #[comptime] units: u32,
    #[comptime] items: u32,
    #[define(T)] _dtype: StorageType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(units as usize));
    let mut hidden = Array::<Vector<f32, N>>::new(comptime!(items as usize));
    let mut sum = Vector::<f32, N>::new(0.0);
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS as usize + item * comptime!(units as usize);
        hidden[item] = Vector::new(0.0);
        if column < columns {
            let at = row * columns + column;
            let mut x = Vector::<f32, N>::cast_from(input[at]);
            #[comptime]
            match before {
                ComptimeOption::Some(before) => {
                    let factors = mask.factors::<N>(0usize, row, column);
                    x = (x + before.bias[column]) * factors
                        + Vector::cast_from(before.residual[at]);
                }
                ComptimeOption::None => {}
            }
            hidden[item] = x;
            sum += x;
        }
    }
    let mean = cube_sum(lane_sum::<N>(sum), &mut shared, units) * share;
    let mut squares = Vector::<f32, N>::new(0.0);
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS as usize + item * comptime!(units as usize);
        if column < columns {
            let x = hidden[item] - Vector::new(mean);
            hidden[item] = x;
            squares += x * x;
        }
    }
    let variance = cube_sum(lane_sum::<N>(squares), &mut shared, units) * share;
    let deviation = 1.0 / f32::sqrt(variance + eps);
    #[unroll]
    for item in 0..comptime!(items as usize) {
        let column = UNIT_POS as usize + item * comptime!(units as usize);
        if column < columns {
            let at = row * columns + column;
            let x = hidden[item] * Vector::new(deviation);
            let mut y = x * gamma[column] + beta[column];
            #[comptime]
            match before {
                ComptimeOption::Some(_) => {}
                ComptimeOption::None => {
                    y *= mask.factors::<N>(0usize, row, column);
                }
            }
            output[at] = Vector::cast_from(y);
            #[comptime]
            match kept {
                ComptimeOption::Some(kept) => {
                    kept.normal[at] = Vector::cast_from(x);
                    if column == 0 {
                        kept.deviations[row] = deviation;
                    }
                }
                ComptimeOption::None => {}
            }
        }
    }
}

/// What the backward pass needs of the rows.
#[derive(Clone, Debug)]
pub(super) struct Normalised<R: CubeRuntime> {
    /// Input of the scale: mean 0, variance 1. `[rows, width]`.
    pub normal: CubeTensor<R>,
    /// Of each row, 1 over the standard deviation, in f32.
    pub deviations: CubeTensor<R>,
}

/// The operation: `norm(dropout(input + bias) + residual)` with a `before` of bias and residual, else
/// `dropout(norm(input))`. All contiguous. What the backward pass needs is written if `keep`.
pub(super) fn forward<R: CubeRuntime>(
    input: CubeTensor<R>,
    before: Option<[CubeTensor<R>; 2]>,
    [gamma, beta]: [CubeTensor<R>; 2],
    eps: f64,
    mask: Option<&Mask<R>>,
    keep: bool,
) -> (CubeTensor<R>, Option<Normalised<R>>) {
    let [rows, width] = matrix_dims(&input);
    let dtype = input.dtype;
    let layout = Layout::of(width);
    let output = empty(&input, [rows, width], dtype);
    let kept = keep.then(|| Normalised {
        normal: empty(&input, [rows, width], dtype),
        deviations: empty(&input, [rows], DType::F32),
    });
    let before = match before {
        Some([bias, residual]) => ComptimeOptionArgs::Some(BeforeLaunch::new(
            bias.into_array_arg(),
            residual.into_array_arg(),
        )),
        None => ComptimeOptionArgs::None,
    };
    let client = input.client.clone();
    layer_norm_kernel::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(layout.units),
        layout.lanes,
        input.into_array_arg(),
        before,
        gamma.into_array_arg(),
        beta.into_array_arg(),
        output.clone().into_array_arg(),
        match &kept {
            Some(kept) => ComptimeOptionArgs::Some(KeptLaunch::new(
                kept.normal.clone().into_array_arg(),
                kept.deviations.clone().into_array_arg(),
            )),
            None => ComptimeOptionArgs::None,
        },
        mask_arg(mask),
        rows,
        layout.columns,
        1.0 / width as f32,
        eps as f32,
        layout.units,
        layout.items,
        dtype.into(),
    );
    (output, kept)
}

/// The sums of a chunk lie side by side: gradients of gamma, beta and, with something before the norm, of the bias.
#[cube(launch)]
fn layer_norm_backward_kernel<T: Numeric, N: Size>(
    gradient: &Array<Vector<T, N>>,
    normal: &Array<Vector<T, N>>,
    deviations: &Array<f32>,
    gamma: &Array<Vector<f32, N>>,
    of_sum: &mut Array<Vector<T, N>>,
    of_input: &mut ComptimeOption<Array<Vector<T, N>>>,
    sums: &mut Array<Vector<f32, N>>,
    mask: &MaskArg,
    rows: usize,
    columns: usize,
    chunk: usize,
    share: f32,
    #[comptime] before: bool,
    #[comptime] units: u32,
    #[comptime] items: u32,
    #[define(T)] _dtype: StorageType,
) {
    let size = comptime!(items as usize);
    let mut shared = SharedMemory::<f32>::new(comptime!(units as usize));
    let mut scaled = Array::<Vector<f32, N>>::new(size);
    let mut standard = Array::<Vector<f32, N>>::new(size);
    let mut to_gamma = Array::<Vector<f32, N>>::new(size);
    let mut to_beta = Array::<Vector<f32, N>>::new(size);
    let mut to_bias = Array::<Vector<f32, N>>::new(size);
    #[unroll]
    for item in 0..size {
        scaled[item] = Vector::new(0.0);
        standard[item] = Vector::new(0.0);
        to_gamma[item] = Vector::new(0.0);
        to_beta[item] = Vector::new(0.0);
        to_bias[item] = Vector::new(0.0);
    }
    let first = CUBE_POS * chunk;
    let end = min(first + chunk, rows);
    for row in first..end {
        let mut sum = Vector::<f32, N>::new(0.0);
        let mut along = Vector::<f32, N>::new(0.0);
        #[unroll]
        for item in 0..size {
            let column = UNIT_POS as usize + item * comptime!(units as usize);
            if column < columns {
                let at = row * columns + column;
                let mut g = Vector::<f32, N>::cast_from(gradient[at]);
                if comptime!(!before) {
                    g *= mask.factors::<N>(0usize, row, column);
                }
                let x = Vector::<f32, N>::cast_from(normal[at]);
                to_gamma[item] += g * x;
                to_beta[item] += g;
                let g = g * gamma[column];
                scaled[item] = g;
                standard[item] = x;
                sum += g;
                along += g * x;
            }
        }
        let mean = cube_sum(lane_sum::<N>(sum), &mut shared, units) * share;
        let along = cube_sum(lane_sum::<N>(along), &mut shared, units) * share;
        let deviation = deviations[row];
        #[unroll]
        for item in 0..size {
            let column = UNIT_POS as usize + item * comptime!(units as usize);
            if column < columns {
                let at = row * columns + column;
                let centred = scaled[item] - Vector::new(mean);
                let g = (centred - standard[item] * Vector::new(along)) * Vector::new(deviation);
                of_sum[at] = Vector::cast_from(g);
                if comptime!(before) {
                    let masked = g * mask.factors::<N>(0usize, row, column);
                    to_bias[item] += masked;
                    #[comptime]
                    match of_input {
                        ComptimeOption::Some(of_input) => {
                            of_input[at] = Vector::cast_from(masked);
                        }
                        ComptimeOption::None => {}
                    }
                }
            }
        }
    }
    let kinds = comptime!(if before { 3usize } else { 2usize });
    let start = CUBE_POS * kinds * columns;
    #[unroll]
    for item in 0..size {
        let column = UNIT_POS as usize + item * comptime!(units as usize);
        if column < columns {
            sums[start + column] = to_gamma[item];
            sums[start + columns + column] = to_beta[item];
            if comptime!(before) {
                sums[start + 2 * columns + column] = to_bias[item];
            }
        }
    }
}

/// What comes back through the norm.
pub(super) struct Backpropagated<R: CubeRuntime> {
    /// Gradient of the norm's input.
    pub of_sum: CubeTensor<R>,
    /// Gradient before the dropout that stands before the norm.
    pub of_input: CubeTensor<R>,
    /// Chunks of the sums of the parameters' gradients, side by side: `[chunks, 3 width]`, or `[chunks, 2 width]` where
    /// nothing stands before the norm.
    pub sums: CubeTensor<R>,
}

/// The backward pass of [`forward`]; `before` says that something stood before the norm.
pub(super) fn backward<R: CubeRuntime>(
    gradient: CubeTensor<R>,
    kept: Normalised<R>,
    gamma: CubeTensor<R>,
    mask: Option<&Mask<R>>,
    before: bool,
) -> Backpropagated<R> {
    let [rows, width] = matrix_dims(&gradient);
    let dtype = gradient.dtype;
    let layout = Layout::of(width);
    let chunk = rows.div_ceil(MOST_CHUNKS).max(SHORTEST);
    let chunks = rows.div_ceil(chunk).max(1);
    let of_sum = empty(&gradient, [rows, width], dtype);
    let of_input = (before && mask.is_some()).then(|| empty(&gradient, [rows, width], dtype));
    let kinds = if before { 3 } else { 2 };
    let sums = empty(&gradient, [chunks, kinds * width], DType::F32);
    let client = gradient.client.clone();
    layer_norm_backward_kernel::launch(
        &client,
        CubeCount::Static(chunks as u32, 1, 1),
        CubeDim::new_1d(layout.units),
        layout.lanes,
        gradient.into_array_arg(),
        kept.normal.into_array_arg(),
        kept.deviations.into_array_arg(),
        gamma.into_array_arg(),
        of_sum.clone().into_array_arg(),
        match &of_input {
            Some(of_input) => ComptimeOptionArgs::Some(of_input.clone().into_array_arg()),
            None => ComptimeOptionArgs::None,
        },
        sums.clone().into_array_arg(),
        mask_arg(mask),
        rows,
        layout.columns,
        chunk,
        1.0 / width as f32,
        before,
        layout.units,
        layout.items,
        dtype.into(),
    );
    Backpropagated {
        of_input: of_input.unwrap_or_else(|| of_sum.clone()),
        of_sum,
        sums,
    }
}
