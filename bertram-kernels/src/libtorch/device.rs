//! The LibTorch of this process, and its devices.

use burn::backend::libtorch::LibTorchDevice;

use super::aten;

/// Devices that LibTorch finds, the fastest first: CUDA devices, Metal, the CPU.
pub fn devices() -> Vec<LibTorchDevice> {
    let cuda = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    let mut devices: Vec<_> = (0..cuda).map(LibTorchDevice::Cuda).collect();
    if tch::utils::has_mps() {
        devices.push(LibTorchDevice::Mps);
    }
    devices.push(LibTorchDevice::Cpu);
    devices
}

/// Versions of a LibTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibTorchVersion {
    /// Of the headers that this program was compiled with.
    pub built_with: String,
    /// Of the library that the process has loaded; `None` where it does not say.
    pub loaded: Option<String>,
}

impl LibTorchVersion {
    /// Of this process.
    pub fn of_process() -> Self {
        Self {
            built_with: aten::built_with(),
            loaded: version_in(&aten::show_config()),
        }
    }

    /// Whether the library is the one that the program was compiled for, as far as it says.
    pub fn fits(&self) -> bool {
        self.loaded.as_ref().is_none_or(|it| *it == self.built_with)
    }
}

/// The version in what LibTorch says of its build: `..., TORCH_VERSION=2.9.1, USE_CUDA=...`.
fn version_in(config: &str) -> Option<String> {
    let (_, rest) = config.split_once("TORCH_VERSION=")?;
    let version = rest.split([',', ' ', '\n']).next()?;
    Some(version.to_owned()).filter(|version| !version.is_empty())
}

/// Makes LibTorch compute as this project's backends do: on so many threads of the CPU, with results that repeat, and with
/// or without TF32 in f32 products. Comes before the first tensor.
///
/// # Errors
/// What LibTorch says, if it does not.
pub fn configure(threads: usize, tf32: bool) -> Result<(), String> {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    aten::configure(tf32)
}

/// Most bytes of memory that LibTorch has held on a device so far; `None` where it does not count.
pub fn peak_memory_bytes(device: LibTorchDevice) -> Option<u64> {
    match device {
        LibTorchDevice::Cuda(number) => aten::peak_memory(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_libtorch_says() {
        let config = "PyTorch built with:\n  - Build settings: LAPACK_INFO=mkl, TORCH_VERSION=2.9.1, USE_CUDA=1\n";
        assert_eq!(version_in(config).as_deref(), Some("2.9.1"));
        assert_eq!(version_in("TORCH_VERSION=2.9.0").as_deref(), Some("2.9.0"));
        assert_eq!(version_in("PyTorch built with nothing"), None);
        assert_eq!(version_in("TORCH_VERSION=, USE_CUDA=1"), None);
    }

    #[test]
    fn a_library_of_another_version_does_not_fit() {
        let version = |loaded: Option<&str>| LibTorchVersion {
            built_with: "2.9.0".into(),
            loaded: loaded.map(str::to_owned),
        };
        assert!(version(None).fits() && version(Some("2.9.0")).fits());
        assert!(!version(Some("2.8.0")).fits());
        assert!(LibTorchVersion::of_process().fits());
    }

    #[test]
    fn the_cpu_is_always_there_and_last() {
        assert_eq!(devices().last(), Some(&LibTorchDevice::Cpu));
        assert_eq!(peak_memory_bytes(LibTorchDevice::Cpu), None);
        assert_eq!(peak_memory_bytes(LibTorchDevice::Cuda(300)), None);
    }
}
