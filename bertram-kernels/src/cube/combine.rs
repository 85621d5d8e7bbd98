//! Inner products, weighted sums and moving averages of whole gradients or parameters.

use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::adamw::{in_runs, room, together};
use super::graph::CubeKernels;
use super::sums::{column_sums, cube_sum, lane_sum};
use super::tensor::{
    UNITS, all_f32, contiguous, elementwise, empty, lanes, owned, primitive, tensor,
};
use crate::composed;

/// Cubes that share the tensors of a group.
const SLOTS: usize = 128;

/// Most tensors of a launch.
const TOGETHER: usize = 16;

/// Rows of cubes take the groups of a launch, and each cube's sums of products go to a row of `parts`.
#[cube(launch)]
fn products_kernel<N: Size>(
    tensors: &Sequence<Array<Vector<f32, N>>>,
    parts: &mut Array<f32>,
    first: usize,
    #[comptime] groups: usize,
    #[comptime] count: usize,
) {
    let pairs = comptime!(count * (count + 1) / 2);
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut sums = Array::<Vector<f32, N>>::new(pairs);
    #[unroll]
    for pair in 0..pairs {
        sums[pair] = Vector::new(0.0);
    }
    let position = ABSOLUTE_POS_X as usize;
    let stride = (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    #[unroll]
    for group in 0..groups {
        if CUBE_POS_Y as usize == group {
            let length = tensors.index(comptime!(group * count)).len();
            for at in range_stepped(position, length, stride) {
                #[unroll]
                for row in 0..count {
                    let one = tensors.index(comptime!(group * count + row))[at];
                    #[unroll]
                    for column in row..count {
                        let other = tensors.index(comptime!(group * count + column))[at];
                        let pair = comptime!(row * (2 * count + 1 - row) / 2 + column - row);
                        sums[pair] += one * other;
                    }
                }
            }
        }
    }
    let slot = first + CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    #[unroll]
    for pair in 0..pairs {
        let sum = cube_sum(lane_sum::<N>(sums[pair]), &mut shared, UNITS);
        if UNIT_POS == 0 {
            parts[slot * pairs + pair] = sum;
        }
    }
}

/// The upper triangle of the Gram matrix, row by row, summed over groups of as many contiguous tensors of one length.
fn products<R: CubeRuntime>(mut groups: Vec<Vec<CubeTensor<R>>>) -> Option<CubeTensor<R>> {
    let like = groups.first()?.first()?.clone();
    let count = groups[0].len();
    let pairs = count * (count + 1) / 2;
    let parts = empty(&like, [groups.len() * SLOTS, pairs], DType::F32);
    let elements = |group: &Vec<CubeTensor<R>>| group[0].meta.num_elements();
    // The order of the sum: the groups', whatever their lengths.
    groups.sort_by_key(|group| (lanes(elements(group)), elements(group)));
    let most = together(&like, count, TOGETHER);
    let mut first = 0;
    let alike = |a: &Vec<_>, b: &Vec<_>| lanes(elements(a)) == lanes(elements(b));
    in_runs(&groups, most, alike, |groups| {
        let tensors = groups.iter().flatten();
        products_kernel::launch(
            &like.client,
            CubeCount::Static(SLOTS as u32, groups.len() as u32, 1),
            CubeDim::new_1d(UNITS),
            lanes(elements(&groups[0])),
            tensors.map(|it| it.clone().into_array_arg()).collect(),
            parts.clone().into_array_arg(),
            first,
            groups.len(),
            count,
        );
        first += groups.len() * SLOTS;
    });
    Some(column_sums(parts))
}

/// [`Kernels::inner_products`](crate::Kernels::inner_products).
pub(super) fn inner_products<B: CubeKernels, const D: usize>(
    tensors: &[Tensor<B, D>],
) -> Vec<Tensor<B, 1>> {
    let group = (tensors.iter().cloned()).map(primitive).collect();
    let products = match inner_products_all(vec![group]) {
        Ok(Some(products)) => products,
        Ok(None) => return Vec::new(),
        Err(_) => return composed::inner_products(tensors),
    };
    let products: Tensor<B, 1> = tensor(products);
    match tensors.len() {
        1 => vec![products],
        _ => products.split(1, 0),
    }
}

/// [`Kernels::inner_products_all`](crate::Kernels::inner_products_all); the groups again where there is no kernel for
/// their types.
#[allow(clippy::type_complexity, reason = "what came in, or what comes of it")]
pub(super) fn inner_products_all<R: CubeRuntime>(
    groups: Vec<Vec<CubeTensor<R>>>,
) -> Result<Option<CubeTensor<R>>, Vec<Vec<CubeTensor<R>>>> {
    let dtypes: Vec<DType> = (groups.iter().flatten()).map(|it| it.dtype).collect();
    let fits = |group: &Vec<CubeTensor<R>>| group.iter().all(|it| group.len() <= room(it));
    if !all_f32(&dtypes) || !groups.iter().all(fits) {
        return Err(groups);
    }
    let groups = (groups.into_iter())
        .map(|group| group.into_iter().map(contiguous).collect())
        .collect();
    Ok(products(groups))
}

/// `one factor + other other_factor`, into `one`.
#[cube(launch)]
fn add_scaled<N: Size>(
    one: &mut Array<Vector<f32, N>>,
    other: &Array<Vector<f32, N>>,
    factor: f32,
    other_factor: f32,
) {
    if ABSOLUTE_POS < one.len() {
        one[ABSOLUTE_POS] = one[ABSOLUTE_POS] * Vector::new(factor)
            + other[ABSOLUTE_POS] * Vector::new(other_factor);
    }
}

/// `average + (value - average) rate`, into `average`.
#[cube(launch)]
fn approach<N: Size>(
    average: &mut Array<Vector<f32, N>>,
    value: &Array<Vector<f32, N>>,
    rate: f32,
) {
    if ABSOLUTE_POS < average.len() {
        let before = average[ABSOLUTE_POS];
        average[ABSOLUTE_POS] = before + (value[ABSOLUTE_POS] - before) * Vector::new(rate);
    }
}

/// [`Kernels::weighted_sum`](crate::Kernels::weighted_sum).
pub(super) fn weighted_sum<B: CubeKernels, const D: usize>(
    terms: Vec<(Tensor<B, D>, f64)>,
) -> Option<Tensor<B, D>> {
    let dtypes: Vec<DType> = terms.iter().map(|(term, _)| term.dtype()).collect();
    if !all_f32(&dtypes) || terms.len() < 2 {
        return composed::weighted_sum(terms);
    }
    let mut terms = terms.into_iter();
    let (sum, mut factor) = terms.next()?;
    let sum = owned(primitive(sum));
    let elements = sum.meta.num_elements();
    let lanes = lanes(elements);
    for (term, weight) in terms {
        let (count, dim) = elementwise(elements / lanes);
        add_scaled::launch(
            &sum.client,
            count,
            dim,
            lanes,
            sum.clone().into_array_arg(),
            contiguous(primitive(term)).into_array_arg(),
            factor as f32,
            weight as f32,
        );
        factor = 1.0;
    }
    Some(tensor(sum))
}

/// [`Kernels::moving_average`](crate::Kernels::moving_average).
pub(super) fn moving_average<B: CubeKernels, const D: usize>(
    average: Tensor<B, D>,
    value: Tensor<B, D>,
    decay: f64,
) -> Tensor<B, D> {
    if !all_f32(&[average.dtype(), value.dtype()]) {
        return composed::moving_average(average, value, decay);
    }
    let average = owned(primitive(average));
    let elements = average.meta.num_elements();
    let lanes = lanes(elements);
    let (count, dim) = elementwise(elements / lanes);
    approach::launch(
        &average.client,
        count,
        dim,
        lanes,
        average.clone().into_array_arg(),
        contiguous(primitive(value)).into_array_arg(),
        (1.0 - decay) as f32,
    );
    tensor(average)
}
