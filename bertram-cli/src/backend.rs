//! Concrete backends. No other file names one.

use bertram_kernels::{Kernels, TrainBackend};
use bertram_train::device::DeviceName;
use burn::backend::Autodiff;
#[cfg(feature = "activation-checkpointing")]
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;

pub use crate::backend_kind::BackendKind;
use crate::error::{CliResult, input};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use crate::gpu;
#[cfg(feature = "libtorch")]
use crate::libtorch;
use crate::threads;

/// Work that runs on any backend.
pub trait BackendJob: Send {
    /// What it gives.
    type Output: Send;

    /// Runs on a backend's device.
    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output;
}

/// A device, and how it computes.
#[derive(Clone, Copy, Debug)]
pub struct DeviceOptions {
    /// Which of the backend's devices; `None` for its first.
    pub device: Option<DeviceName>,
    /// With activation checkpointing.
    pub checkpointing: bool,
    /// f32 products may be TF32 products, where the device has them.
    #[cfg_attr(
        not(any(feature = "cuda", feature = "libtorch")),
        allow(dead_code, reason = "CUDA alone has TF32")
    )]
    pub tf32: bool,
}

impl DeviceOptions {
    /// A device as it comes.
    pub fn plain(device: Option<DeviceName>) -> Self {
        Self {
            device,
            checkpointing: false,
            tf32: true,
        }
    }
}

/// Runs a job on a device of a backend; without one, on its first.
pub fn dispatch<J: BackendJob>(
    kind: BackendKind,
    device: Option<DeviceName>,
    job: J,
) -> CliResult<J::Output> {
    dispatch_with(kind, DeviceOptions::plain(device), job)
}

/// The device that is meant on a backend.
///
/// # Errors
/// If this build does not have the backend, or the backend no devices of such a name.
pub fn device_of(kind: BackendKind, named: Option<DeviceName>) -> CliResult<DeviceName> {
    check_compiled(kind)?;
    #[cfg(feature = "libtorch")]
    if kind == BackendKind::Libtorch {
        return libtorch::named(named);
    }
    number_of(kind, named).map(DeviceName::Number)
}

/// The number of the device that is meant on a backend that counts its devices.
fn number_of(kind: BackendKind, named: Option<DeviceName>) -> CliResult<usize> {
    match named {
        None => Ok(0),
        Some(DeviceName::Number(number)) => Ok(number),
        Some(name) => Err(input(anyhow::anyhow!(
            "--device {name}: backend {} counts its devices from 0; `bertram-cli backends` lists them",
            kind.name()
        ))),
    }
}

fn check_compiled(kind: BackendKind) -> CliResult {
    if kind.is_compiled() {
        return Ok(());
    }
    Err(input(anyhow::anyhow!(
        "this build has no backend {name}; build one that has it with: {command}",
        name = kind.name(),
        command = kind.build_command()
    )))
}

/// The same, with options.
pub fn dispatch_with<J: BackendJob>(
    kind: BackendKind,
    options: DeviceOptions,
    job: J,
) -> CliResult<J::Output> {
    let DeviceOptions {
        device,
        checkpointing,
        ..
    } = options;
    if checkpointing && !cfg!(feature = "activation-checkpointing") {
        return Err(input(anyhow::anyhow!(
            "this build has no activation checkpointing; build one that has it with: {},activation-checkpointing",
            kind.build_command()
        )));
    }
    check_compiled(kind)?;
    match kind {
        #[cfg(feature = "flex")]
        BackendKind::Flex => {
            only_device_zero(kind, number_of(kind, device)?)?;
            let device = Default::default();
            Ok(threads::on_one(|| {
                run::<burn::backend::Flex, J>(job, device, checkpointing)
            }))
        }
        #[cfg(feature = "ndarray")]
        BackendKind::Ndarray => {
            only_device_zero(kind, number_of(kind, device)?)?;
            let device = Default::default();
            Ok(threads::on_one(|| {
                run::<burn::backend::NdArray, J>(job, device, checkpointing)
            }))
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu | BackendKind::Vulkan | BackendKind::Metal => {
            let device = gpu::wgpu_device(kind, number_of(kind, device)?)?;
            Ok(run::<burn::backend::Wgpu, J>(job, device, checkpointing))
        }
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            let device = gpu::cuda_device(number_of(kind, device)?, options.tf32)?;
            Ok(run::<burn::backend::Cuda, J>(job, device, checkpointing))
        }
        #[cfg(feature = "libtorch")]
        BackendKind::Libtorch => {
            let device = libtorch::ready(device_of(kind, device)?, options.tf32)?;
            Ok(run::<burn::backend::LibTorch, J>(
                job,
                device,
                checkpointing,
            ))
        }
        // Not compiled in: said above.
        #[allow(
            unreachable_patterns,
            reason = "reachable or not by the build's features"
        )]
        _ => Err(input(anyhow::anyhow!(
            "this build has no backend {}",
            kind.name()
        ))),
    }
}

#[allow(dead_code, reason = "unused in a build without a backend")]
fn run<B: Kernels, J: BackendJob>(job: J, device: B::Device, checkpointing: bool) -> J::Output {
    match checkpointing {
        #[cfg(feature = "activation-checkpointing")]
        true => job.run::<Autodiff<B, BalancedCheckpointing>>(device),
        _ => job.run::<Autodiff<B>>(device),
    }
}

#[allow(dead_code, reason = "unused in a build without a CPU backend")]
fn only_device_zero(kind: BackendKind, number: usize) -> CliResult {
    if number == 0 {
        return Ok(());
    }
    Err(input(anyhow::anyhow!(
        "backend {} has one device, the CPU: use --device 0",
        kind.name()
    )))
}

/// The devices that a backend finds, each with a description; an empty list means none.
pub fn devices(kind: BackendKind) -> Vec<(DeviceName, String)> {
    let described = match kind {
        BackendKind::Flex | BackendKind::Ndarray => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            vec![format!("CPU, {threads} threads")]
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu | BackendKind::Vulkan | BackendKind::Metal => gpu::wgpu_names(kind),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => gpu::cuda_names(),
        #[cfg(feature = "libtorch")]
        BackendKind::Libtorch => return libtorch::names(),
        #[allow(
            unreachable_patterns,
            reason = "reachable or not by the build's features"
        )]
        _ => Vec::new(),
    };
    let numbered = described.into_iter().enumerate();
    numbered
        .map(|(number, device)| (DeviceName::Number(number), device))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "flex")]
    #[test]
    fn flex_is_the_default_and_has_one_device() {
        struct Nothing;
        impl BackendJob for Nothing {
            type Output = ();
            fn run<B: TrainBackend>(self, _device: B::Device) {}
        }
        assert_eq!(
            BackendKind::default_of_build().ok(),
            Some(BackendKind::Flex)
        );
        assert!(dispatch(BackendKind::Flex, None, Nothing).is_ok());
        let error = dispatch(BackendKind::Flex, Some(DeviceName::Number(1)), Nothing)
            .expect_err("one device");
        assert_eq!(
            error.message(),
            "error: backend flex has one device, the CPU: use --device 0"
        );
        let checkpointing = DeviceOptions {
            checkpointing: true,
            ..DeviceOptions::plain(None)
        };
        let error = dispatch(BackendKind::Flex, Some(DeviceName::Cuda(0)), Nothing)
            .expect_err("devices have no names");
        assert_eq!(
            error.message(),
            "error: --device cuda:0: backend flex counts its devices from 0; `bertram-cli backends` lists them"
        );
        assert_eq!(
            dispatch_with(BackendKind::Flex, checkpointing, Nothing).is_ok(),
            cfg!(feature = "activation-checkpointing")
        );
    }
}
