//! Fused beside composed on the same device, and beside the CPU. Mesa's lavapipe, a Vulkan device in software, will do.
//! With the feature `cuda` they run on CUDA.

#![allow(clippy::print_stderr, reason = "a test says why it skipped")]

mod attention;
mod encoder;
mod linear;
mod parameters;

use std::panic::catch_unwind;
use std::sync::OnceLock;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{DType, Tensor, TensorData};

use crate::{KernelKind, TrainBackend};

/// The backend under test: CUDA in a build that has it.
#[cfg(feature = "cuda")]
type Gpu = burn::backend::Cuda;
#[cfg(not(feature = "cuda"))]
type Gpu = burn::backend::Wgpu;
type Device = <Gpu as BackendTypes>::Device;
type AB = Autodiff<Gpu>;
/// What compiles and launches the kernels of the backend under test.
type Runtime = <Gpu as super::graph::CubeKernels>::Runtime;

/// Numbers around 0 that are the same on every call, others for each `seed`.
fn numbers(seed: usize, count: usize) -> Vec<f32> {
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

/// The first device that computes; `None`, and a line that says so, where there is none.
fn device() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let computes = |device: &Device| {
            catch_unwind(|| {
                let one = Tensor::<Gpu, 1>::ones([1], device);
                let one = one.into_data().to_vec::<f32>();
                one.is_ok_and(|one| one == [1.0])
            })
            .unwrap_or(false)
        };
        devices().into_iter().find(computes)
    });
    if found.is_none() {
        eprintln!("skipped: no GPU was found");
    }
    found.clone()
}

/// What to try. A software adapter counts as a CPU, which wgpu's default device does not pick everywhere.
#[cfg(not(feature = "cuda"))]
fn devices() -> Vec<Device> {
    vec![Device::DefaultDevice, Device::Cpu]
}

/// The first CUDA device, without TF32: the CPU's products are in f32.
#[cfg(feature = "cuda")]
fn devices() -> Vec<Device> {
    let device = Device::default();
    match catch_unwind(|| crate::forbid_tf32(&Device::default())) {
        Ok(()) => vec![device],
        Err(_) => Vec::new(),
    }
}

fn matrix<B: Backend>(seed: usize, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2> {
    let data = TensorData::new(numbers(seed, shape[0] * shape[1]), shape);
    Tensor::from_data(data, device)
}

fn vector<B: Backend>(row: &Tensor<B, 2>) -> Tensor<B, 1> {
    let [_, width] = row.dims();
    row.clone().reshape([width])
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.to_vec().expect("converted to f32")
}

/// An operation on leaves, on any backend and in either form.
trait Case {
    fn run<B: TrainBackend>(&self, kind: KernelKind, leaves: &[Tensor<B, 2>]) -> Tensor<B, 2>;
}

/// The output of an operation on leaves of these shapes, then the gradient of each leaf, for a gradient of the output
/// that is different everywhere.
fn results<B: TrainBackend>(
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

fn assert_close(what: &str, fused: &[Vec<f32>], other: &[Vec<f32>], tolerance: f32) {
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
fn check(what: &str, shapes: &[[usize; 2]], case: impl Case, tolerance: f32) {
    let Some(device) = device() else { return };
    let fused = || results::<AB>(shapes, &device, |x| case.run(KernelKind::Fused, x));
    let (first, again) = (fused(), fused());
    assert_eq!(first, again, "{what}: not the same twice");
    let composed = results::<AB>(shapes, &device, |x| case.run(KernelKind::Composed, x));
    assert_close(what, &first, &composed, tolerance);
    let cpu = Default::default();
    let on_cpu = results::<Autodiff<Flex>>(shapes, &cpu, |x| case.run(KernelKind::Composed, x));
    assert_close(&format!("{what}, CPU"), &first, &on_cpu, tolerance);
}

/// The halves that a device computes in.
fn halves(device: &Device) -> Vec<DType> {
    let halves = [DType::F16, DType::BF16];
    let found: Vec<DType> = halves
        .into_iter()
        .filter(|dtype| Gpu::supports_dtype(device, *dtype))
        .collect();
    if found.is_empty() {
        eprintln!("the device has no half precision");
    }
    found
}

/// Fused beside composed on the device with hidden states in each half that it has: `case` casts them.
fn check_halves<T: Case>(
    what: &str,
    shapes: &[[usize; 2]],
    case: impl Fn(DType) -> T,
    tolerance: f32,
) {
    let Some(device) = device() else { return };
    for dtype in halves(&device) {
        let case = case(dtype);
        let [fused, composed] = [KernelKind::Fused, KernelKind::Composed]
            .map(|kind| results::<AB>(shapes, &device, |x| case.run(kind, x)));
        assert_close(
            &format!("{what} in {dtype:?}"),
            &fused,
            &composed,
            tolerance,
        );
    }
}
