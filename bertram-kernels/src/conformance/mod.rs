//! What fused kernels have to show on any backend: beside the composed ones on the same device, and beside the CPU.
//!
//! A function of the files below is a test of a backend's, which its `tests` module calls with a device.

#![allow(clippy::print_stderr, reason = "a test says why it skipped")]

mod attention;
mod encoder;
mod linear;
mod parameters;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

#[cfg(any(feature = "cube", feature = "libtorch"))]
pub(crate) use attention::bias;
#[cfg(feature = "cube")]
pub(crate) use attention::shapes;
pub(crate) use attention::{
    PACKED_SIZES, packed_attention, packed_shapes, projected_attention, projections, self_attention,
};
pub(crate) use encoder::{
    bias_gelu, constants_get_no_gradient, embedding_rows, layer_norm_dropout, norm,
    residual_layer_norm,
};
pub(crate) use linear::{linear_layer, linear_layer_in_half_precision};
pub(crate) use parameters::{
    a_step_that_is_left_out_may_have_any_gradient, adamw_of_all_parameters, inner_products,
    sums_and_averages,
};

use crate::{KernelKind, Kernels, TrainBackend};

/// Numbers around 0 that are the same on every call, others for each `seed`.
pub(crate) fn numbers(seed: usize, count: usize) -> Vec<f32> {
    let mut state = seed as u64 * 7919 + 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..count)
        .map(|_| (uniform() + uniform() + uniform() - 1.5) * 2.0)
        .collect()
}

pub(crate) fn matrix<B: Backend>(
    seed: usize,
    shape: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 2> {
    let data = TensorData::new(numbers(seed, shape[0] * shape[1]), shape);
    Tensor::from_data(data, device)
}

pub(crate) fn vector<B: Backend>(row: &Tensor<B, 2>) -> Tensor<B, 1> {
    let [_, width] = row.dims();
    row.clone().reshape([width])
}

pub(crate) fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.to_vec().expect("converted to f32")
}

/// An operation on leaves, on any backend and in either form.
pub(crate) trait Case {
    fn run<B: TrainBackend>(&self, kind: KernelKind, leaves: &[Tensor<B, 2>]) -> Tensor<B, 2>;
}

/// The output of an operation on leaves of these shapes, then the gradient of each leaf, for a gradient of the output
/// that is different everywhere.
pub(crate) fn results<B: TrainBackend>(
    shapes: &[[usize; 2]],
    device: &B::Device,
    op: impl Fn(&[Tensor<B, 2>]) -> Tensor<B, 2>,
) -> Vec<Vec<f32>> {
    let leaves: Vec<Tensor<B, 2>> = (shapes.iter().enumerate())
        .map(|(seed, shape)| matrix::<B>(seed, *shape, device).require_grad())
        .collect();
    let output = op(&leaves);
    let weights = matrix(99, output.dims(), device);
    let gradients = (output.clone().cast(DType::F32) * weights).sum().backward();
    let of_leaves = leaves.iter().map(|leaf| {
        let gradient = leaf.grad(&gradients).expect("every leaf has a gradient");
        values(gradient)
    });
    std::iter::once(values(output)).chain(of_leaves).collect()
}

pub(crate) fn assert_close(what: &str, fused: &[Vec<f32>], other: &[Vec<f32>], tolerance: f32) {
    assert_eq!(fused.len(), other.len(), "{what}");
    for (part, (fused, other)) in fused.iter().zip(other).enumerate() {
        let part = match part {
            0 => "output".to_owned(),
            leaf => format!("gradient {leaf}"),
        };
        assert_eq!(fused.len(), other.len(), "{what}: {part}");
        let largest = other.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for (index, (fused, other)) in fused.iter().zip(other).enumerate() {
            let error = (fused - other).abs();
            // Not `>`: NaN must fail, too.
            assert!(
                error <= tolerance * largest,
                "{what}: {part}, element {index}: {fused} is not {other}"
            );
        }
    }
}

/// Fused on the device, twice, bit for bit; beside composed on the device; beside composed on the CPU.
pub(crate) fn check<G: Kernels>(
    what: &str,
    shapes: &[[usize; 2]],
    case: impl Case,
    tolerance: f32,
    device: &G::Device,
) {
    let fused = || results::<Autodiff<G>>(shapes, device, |x| case.run(KernelKind::Fused, x));
    let (first, again) = (fused(), fused());
    assert_eq!(first, again, "{what}: not the same twice");
    let composed = results::<Autodiff<G>>(shapes, device, |x| case.run(KernelKind::Composed, x));
    assert_close(what, &first, &composed, tolerance);
    let cpu = Default::default();
    let on_cpu = results::<Autodiff<Flex>>(shapes, &cpu, |x| case.run(KernelKind::Composed, x));
    assert_close(&format!("{what}, CPU"), &first, &on_cpu, tolerance);
}

/// The halves that a device computes in.
pub(crate) fn halves<G: Kernels>(device: &G::Device) -> Vec<DType> {
    let halves = [DType::F16, DType::BF16];
    let found: Vec<DType> = halves
        .into_iter()
        .filter(|dtype| G::supports_dtype(device, *dtype))
        .collect();
    if found.is_empty() {
        eprintln!("the device has no half precision");
    }
    found
}

/// Fused beside composed on the device with hidden states in each half that it has: `case` casts them.
pub(crate) fn check_halves<G: Kernels, T: Case>(
    what: &str,
    shapes: &[[usize; 2]],
    case: impl Fn(DType) -> T,
    tolerance: f32,
    device: &G::Device,
) {
    for dtype in halves::<G>(device) {
        let case = case(dtype);
        let [fused, composed] = [KernelKind::Fused, KernelKind::Composed]
            .map(|kind| results::<Autodiff<G>>(shapes, device, |x| case.run(kind, x)));
        assert_close(
            &format!("{what} in {dtype:?}"),
            &fused,
            &composed,
            tolerance,
        );
    }
}

/// Tests of a backend: each of the functions above, on the device that `$device` gives, if it gives one.
macro_rules! conformance_tests {
    ($backend:ty, $device:expr) => {
        $crate::conformance::conformance_tests! {
            $backend, $device;
            bias_gelu, residual_layer_norm, layer_norm_dropout, embedding_rows, constants_get_no_gradient,
            self_attention, projected_attention, packed_attention, linear_layer, linear_layer_in_half_precision,
            adamw_of_all_parameters, a_step_that_is_left_out_may_have_any_gradient, inner_products, sums_and_averages
        }
    };
    ($backend:ty, $device:expr; $($name:ident),*) => {$(
        #[test]
        fn $name() {
            if let Some(device) = $device {
                $crate::conformance::$name::<$backend>(&device);
            }
        }
    )*};
}
pub(crate) use conformance_tests;
