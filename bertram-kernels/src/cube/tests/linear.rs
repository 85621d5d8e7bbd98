//! Products and the sums of their biases' gradients.

use burn::tensor::DType;

use super::super::product;
use super::super::sums::column_sums;
use super::super::tensor::{contiguous, primitive, tensor};
use super::{Gpu, device};
use crate::conformance::{halves, matrix, numbers, values};
use crate::products::ProductStrategy;

#[test]
fn column_sums_are_those_of_the_rows() {
    let Some(device) = device() else { return };
    for [rows, width] in [
        [1, 1],
        [1, 33],
        [257, 31],
        [65, 129],
        [600, 768],
        [20_000, 4],
    ] {
        let sums = || {
            let input = contiguous(primitive(matrix::<Gpu>(7, [rows, width], &device)));
            values::<Gpu, 1>(tensor(column_sums(input)))
        };
        let found = sums();
        assert_eq!(found, sums(), "{rows} {width}: not the same twice");
        let mut wanted = vec![0.0f64; width];
        for row in numbers(7, rows * width).chunks(width) {
            for (sum, value) in wanted.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        for (found, wanted) in found.into_iter().zip(wanted) {
            let error = (f64::from(found) - wanted).abs();
            let bound = 1e-6 * (rows as f64).max(10.0);
            assert!(error <= bound, "{rows} {width}: {found} is not {wanted}");
        }
    }
}

/// The plain ways, their inner dimension cut or not.
#[test]
fn plain_ways_to_multiply_give_the_same_product() {
    for size in [[64, 128, 96], [130, 96, 50], [1, 8, 1]] {
        let mut tried = 0;
        for way in ["simple unit", "simple cmma", "double unit"] {
            for splits in [1, 4] {
                let way: ProductStrategy = way.parse().expect("is one");
                tried += multiplies(size, ProductStrategy { splits, ..way });
            }
        }
        assert!(device().is_none() || tried > 0);
    }
}

/// What large products take on CUDA, each on each kind of operand, whether the rule would take it for them or not.
#[cfg(feature = "cuda")]
#[test]
fn the_rules_ways_to_multiply_give_the_same_product() {
    for way in [
        "tma-double mma",
        "tma-specialized mma",
        "tma-simple mma",
        "double-async mma",
    ] {
        for splits in [1, 4] {
            let way: ProductStrategy = way.parse().expect("is one");
            multiplies([512, 4096, 256], ProductStrategy { splits, ..way });
        }
    }
}

/// Checks one way for matrices of each type that the device has, lying row by row and column by column; the number of
/// products that it does compute.
fn multiplies([rows, inner, columns]: [usize; 3], way: ProductStrategy) -> usize {
    let Some(device) = device() else { return 0 };
    let left = matrix::<Gpu>(1, [rows, inner], &device);
    let right = matrix::<Gpu>(2, [inner, columns], &device);
    let wanted = values(left.clone().matmul(right.clone()));
    let largest = wanted.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    let mut tried = 0;
    for dtype in std::iter::once(DType::F32).chain(halves::<Gpu>(&device)) {
        let tolerance = largest * if dtype == DType::F32 { 1e-5 } else { 3e-2 };
        let [left, right] = [&left, &right].map(|it| primitive(it.clone().cast(dtype)));
        let by_columns = |it| product::transposed(contiguous(product::transposed(it)));
        for (left, right) in [
            (left.clone(), right.clone()),
            (by_columns(left.clone()), right.clone()),
            (left, by_columns(right)),
        ] {
            let Ok(found) = product::by(way, &left, &right, DType::F32) else {
                continue;
            };
            tried += 1;
            for (found, wanted) in values::<Gpu, 2>(tensor(found)).into_iter().zip(&wanted) {
                assert!(
                    (found - wanted).abs() <= tolerance,
                    "{way}, {rows}×{inner} · {inner}×{columns}, {dtype:?}: {found} is not {wanted}"
                );
            }
        }
    }
    tried
}
