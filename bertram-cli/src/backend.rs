//! Concrete backends. No other file names one.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use bertram_kernels::{Kernels, TrainBackend};
use burn::backend::Autodiff;
#[cfg(feature = "activation-checkpointing")]
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use clap::ValueEnum;

use crate::error::{CliResult, input};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use crate::gpu;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendKind {
    /// The CPU, through burn-flex.
    Flex,
    /// The CPU, through burn-ndarray.
    Ndarray,
    /// A GPU, through wgpu and the graphics API it finds.
    Wgpu,
    /// A GPU, through Vulkan.
    Vulkan,
    /// A GPU, through Metal.
    Metal,
    /// An NVIDIA GPU, through CUDA.
    Cuda,
}

impl BackendKind {
    /// All backends, in the order in which a build prefers them.
    pub const ALL: [BackendKind; 6] = [
        BackendKind::Flex,
        BackendKind::Ndarray,
        BackendKind::Cuda,
        BackendKind::Vulkan,
        BackendKind::Metal,
        BackendKind::Wgpu,
    ];

    /// Its name on the command line, which is also its cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            BackendKind::Flex => "flex",
            BackendKind::Ndarray => "ndarray",
            BackendKind::Wgpu => "wgpu",
            BackendKind::Vulkan => "vulkan",
            BackendKind::Metal => "metal",
            BackendKind::Cuda => "cuda",
        }
    }

    /// The backend of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether this build has it.
    pub fn is_compiled(self) -> bool {
        match self {
            BackendKind::Flex => cfg!(feature = "flex"),
            BackendKind::Ndarray => cfg!(feature = "ndarray"),
            BackendKind::Wgpu => cfg!(feature = "wgpu"),
            BackendKind::Vulkan => cfg!(feature = "vulkan"),
            BackendKind::Metal => cfg!(feature = "metal"),
            BackendKind::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// The first backend that this build has.
    pub fn default_of_build() -> CliResult<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.is_compiled())
            .ok_or_else(|| {
                input(anyhow::anyhow!(
                    "this build has no backend; build with: {}",
                    BackendKind::Flex.build_command()
                ))
            })
    }

    /// Whether it computes on GPUs.
    pub fn is_gpu(self) -> bool {
        !matches!(self, BackendKind::Flex | BackendKind::Ndarray)
    }

    /// What batches are padded to a multiple of, where the config does not say: a GPU compiles kernels for the sizes it
    /// meets, and its products are fast at round ones.
    pub fn pad_to_multiple_of(self) -> usize {
        if self.is_gpu() { 16 } else { 1 }
    }

    /// The command whose build has it.
    pub fn build_command(self) -> String {
        format!(
            "cargo build --release -p bertram-cli --features {}",
            self.name()
        )
    }
}

/// Work that runs on any backend.
pub trait BackendJob {
    /// What it gives.
    type Output;

    /// Runs on a backend's device.
    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output;
}

/// A device, and how it computes.
#[derive(Clone, Copy, Debug)]
pub struct DeviceOptions {
    /// Number of the device, counted from 0.
    pub number: usize,
    /// With activation checkpointing.
    pub checkpointing: bool,
    /// f32 products may be TF32 products, where the device has them.
    #[cfg_attr(
        not(feature = "cuda"),
        allow(dead_code, reason = "CUDA alone has TF32")
    )]
    pub tf32: bool,
}

impl DeviceOptions {
    /// A device as it comes.
    pub fn plain(number: usize) -> Self {
        Self {
            number,
            checkpointing: false,
            tf32: true,
        }
    }
}

/// Runs a job on device number `number` of a backend.
pub fn dispatch<J: BackendJob>(kind: BackendKind, number: usize, job: J) -> CliResult<J::Output> {
    dispatch_with(kind, DeviceOptions::plain(number), job)
}

/// The same, with options.
pub fn dispatch_with<J: BackendJob>(
    kind: BackendKind,
    options: DeviceOptions,
    job: J,
) -> CliResult<J::Output> {
    let DeviceOptions {
        number,
        checkpointing,
        ..
    } = options;
    if checkpointing && !cfg!(feature = "activation-checkpointing") {
        return Err(input(anyhow::anyhow!(
            "this build has no activation checkpointing; build one that has it with: {},activation-checkpointing",
            kind.build_command()
        )));
    }
    if !kind.is_compiled() {
        return Err(input(anyhow::anyhow!(
            "this build has no backend {name}; build one that has it with: {command}",
            name = kind.name(),
            command = kind.build_command()
        )));
    }
    match kind {
        #[cfg(feature = "flex")]
        BackendKind::Flex => {
            only_device_zero(kind, number)?;
            Ok(run::<burn::backend::Flex, J>(
                job,
                Default::default(),
                checkpointing,
            ))
        }
        #[cfg(feature = "ndarray")]
        BackendKind::Ndarray => {
            only_device_zero(kind, number)?;
            Ok(run::<burn::backend::NdArray, J>(
                job,
                Default::default(),
                checkpointing,
            ))
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu | BackendKind::Vulkan | BackendKind::Metal => {
            let device = gpu::wgpu_device(kind, number)?;
            Ok(run::<burn::backend::Wgpu, J>(job, device, checkpointing))
        }
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => {
            let device = gpu::cuda_device(number, options.tf32)?;
            Ok(run::<burn::backend::Cuda, J>(job, device, checkpointing))
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

/// The devices that a backend finds, described; an empty list means none.
pub fn devices(kind: BackendKind) -> Vec<String> {
    match kind {
        BackendKind::Flex | BackendKind::Ndarray => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            vec![format!("CPU, {threads} threads")]
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu | BackendKind::Vulkan | BackendKind::Metal => gpu::wgpu_names(kind),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => gpu::cuda_names(),
        #[allow(
            unreachable_patterns,
            reason = "reachable or not by the build's features"
        )]
        _ => Vec::new(),
    }
}

/// Runs what may panic inside a library, without a word about it: drivers' libraries panic where a driver or a device is
/// missing. `None` where it did.
pub fn quietly<T>(probe: impl FnOnce() -> T) -> Option<T> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(probe));
    set_hook(hook);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for kind in BackendKind::ALL {
            assert_eq!(BackendKind::from_name(kind.name()), Some(kind));
            let on_the_command_line = kind.to_possible_value().expect("none is hidden");
            assert_eq!(on_the_command_line.get_name(), kind.name());
        }
        assert_eq!(BackendKind::from_name("tpu"), None);
    }

    #[test]
    fn a_quiet_panic_is_none() {
        assert_eq!(quietly(|| 3), Some(3));
        assert_eq!(quietly(|| -> u8 { panic!("not seen") }), None);
    }

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
        assert!(dispatch(BackendKind::Flex, 0, Nothing).is_ok());
        let error = dispatch(BackendKind::Flex, 1, Nothing).expect_err("one device");
        assert_eq!(
            error.message(),
            "error: backend flex has one device, the CPU: use --device 0"
        );
        let checkpointing = DeviceOptions {
            checkpointing: true,
            ..DeviceOptions::plain(0)
        };
        assert_eq!(
            dispatch_with(BackendKind::Flex, checkpointing, Nothing).is_ok(),
            cfg!(feature = "activation-checkpointing")
        );
    }
}
