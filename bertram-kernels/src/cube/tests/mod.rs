//! What every backend has to show, and what only these have. Mesa's lavapipe, a Vulkan device in software, will do.
//! With the feature `cuda` they run on CUDA.

#![allow(clippy::print_stderr, reason = "a test says why it skipped")]

mod attention;
mod dropout;
mod linear;

use std::panic::catch_unwind;
use std::sync::OnceLock;

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::BackendTypes;

use crate::conformance::conformance_tests;

/// The backend under test: CUDA in a build that has it.
#[cfg(feature = "cuda")]
type Gpu = burn::backend::Cuda;
#[cfg(not(feature = "cuda"))]
type Gpu = burn::backend::Wgpu;
type Device = <Gpu as BackendTypes>::Device;
type AB = Autodiff<Gpu>;
/// What compiles and launches the kernels of the backend under test.
type Runtime = <Gpu as super::graph::CubeKernels>::Runtime;

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

conformance_tests!(Gpu, device());
