//! Concrete backends. No other file names one.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use bertram_kernels::{Kernels, TrainBackend};
use burn::backend::Autodiff;
#[cfg(feature = "activation-checkpointing")]
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use clap::ValueEnum;

use crate::error::{CliResult, input};

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

/// Runs a job on device number `number` of a backend.
pub fn dispatch<J: BackendJob>(kind: BackendKind, number: usize, job: J) -> CliResult<J::Output> {
    dispatch_with(kind, number, false, job)
}

/// The same, with activation checkpointing or without.
pub fn dispatch_with<J: BackendJob>(
    kind: BackendKind,
    number: usize,
    checkpointing: bool,
    job: J,
) -> CliResult<J::Output> {
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
            let device = gpu::cuda_device(number)?;
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
        BackendKind::Cuda => (0..gpu::cuda_count())
            .map(|number| format!("CUDA device {number}"))
            .collect(),
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

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use super::quietly;
    use crate::error::{CliError, input};

    /// `found` devices are there, and none of them is number `number`.
    fn no_device(backend: &str, number: usize, found: usize, hint: &str) -> CliError {
        input(match found {
            0 => anyhow::anyhow!(
                "backend {backend} finds no device; {hint}, or use --backend flex (the CPU)"
            ),
            found => anyhow::anyhow!(
                "backend {backend} has no device {number}: it finds {found}, counted from 0; `bertram-cli backends` lists them"
            ),
        })
    }

    #[cfg(feature = "wgpu")]
    pub use self::wgpu::{wgpu_device, wgpu_names};

    #[cfg(feature = "wgpu")]
    mod wgpu {
        use std::sync::{Mutex, PoisonError};

        use burn::backend::wgpu::graphics::{AutoGraphicsApi, GraphicsApi, Metal, Vulkan};
        use burn::backend::wgpu::{RuntimeOptions, WgpuDevice, init_setup};

        use super::{no_device, quietly};
        use crate::backend::BackendKind;
        use crate::error::CliResult;

        /// A device that was made ready.
        struct Ready {
            device: WgpuDevice,
            api: String,
            name: String,
        }

        /// The library makes a device ready once in a process, for one graphics API, and panics at the second time.
        static READY: Mutex<Vec<Ready>> = Mutex::new(Vec::new());

        /// Makes a device ready and gives its name; `None` where the API has no such device.
        fn ready<G: GraphicsApi>(device: &WgpuDevice) -> Option<String> {
            let api = format!("{:?}", G::backend());
            let mut all = READY.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = all.iter().find(|known| known.device == *device) {
                return (known.api == api).then(|| known.name.clone());
            }
            let setup = quietly(|| init_setup::<G>(device, RuntimeOptions::default()))?;
            let info = setup.adapter.get_info();
            let name = format!("{} ({:?}, {})", info.name, info.backend, info.driver);
            all.push(Ready {
                device: device.clone(),
                api,
                name: name.clone(),
            });
            Some(name)
        }

        fn ready_for(kind: BackendKind, device: &WgpuDevice) -> Option<String> {
            match kind {
                BackendKind::Vulkan => ready::<Vulkan>(device),
                BackendKind::Metal => ready::<Metal>(device),
                _ => ready::<AutoGraphicsApi>(device),
            }
        }

        /// All devices with their names: discrete GPUs first, the CPU last. They are made ready as the iterator reaches them.
        ///
        /// Asking for one after the other stays within one graphics API. The library's own count of devices starts all
        /// of them, and their drivers then write to standard error.
        fn found(kind: BackendKind) -> impl Iterator<Item = (WgpuDevice, String)> {
            type OfType = fn(usize) -> WgpuDevice;
            let types: [OfType; 3] = [
                WgpuDevice::DiscreteGpu,
                WgpuDevice::IntegratedGpu,
                WgpuDevice::VirtualGpu,
            ];
            let named =
                move |device: WgpuDevice| ready_for(kind, &device).map(|name| (device, name));
            types
                .into_iter()
                .flat_map(move |of_type| (0..).map(of_type).map_while(named))
                .chain(std::iter::once_with(move || named(WgpuDevice::Cpu)).flatten())
        }

        /// The device, made ready.
        pub fn wgpu_device(kind: BackendKind, number: usize) -> CliResult<WgpuDevice> {
            let mut count = 0;
            for (device, _) in found(kind) {
                if count == number {
                    return Ok(device);
                }
                count += 1;
            }
            Err(no_device(
                kind.name(),
                number,
                count,
                "install a graphics driver (on Debian, mesa-vulkan-drivers has one for the CPU)",
            ))
        }

        /// The devices' names, in the order of their numbers.
        pub fn wgpu_names(kind: BackendKind) -> Vec<String> {
            found(kind).map(|(_, name)| name).collect()
        }
    }

    #[cfg(feature = "cuda")]
    pub use self::cuda::{cuda_count, cuda_device};

    #[cfg(feature = "cuda")]
    mod cuda {
        use burn::backend::Cuda;
        use burn::backend::cuda::CudaDevice;
        use burn::tensor::backend::Backend;

        use super::{no_device, quietly};
        use crate::error::CliResult;

        /// Number of CUDA devices; 0 without a driver.
        pub fn cuda_count() -> usize {
            quietly(|| Cuda::<f32, i32>::device_count(0)).unwrap_or(0)
        }

        /// The device, if it is there.
        pub fn cuda_device(number: usize) -> CliResult<CudaDevice> {
            let found = cuda_count();
            if number < found {
                Ok(CudaDevice::new(number))
            } else {
                Err(no_device(
                    "cuda",
                    number,
                    found,
                    "see what nvidia-smi lists",
                ))
            }
        }
    }
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
        assert_eq!(
            dispatch_with(BackendKind::Flex, 0, true, Nothing).is_ok(),
            cfg!(feature = "activation-checkpointing")
        );
    }
}
