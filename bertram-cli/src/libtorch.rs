//! Devices of LibTorch, PyTorch's library.

use std::sync::{Arc, OnceLock};

use bertram_kernels::libtorch::{self, LibTorchVersion};
use bertram_train::device::{DeviceName, DeviceReport};
use burn::backend::libtorch::LibTorchDevice;

use crate::error::{CliResult, input, work};

/// The two ways to a LibTorch that fits.
const WAYS: &str = "build again beside the PyTorch that is to be used, with LIBTORCH_USE_PYTORCH=1 (`pip install \
                    torch==2.9.0`), or with LIBTORCH=DIR for a LibTorch of its own";

/// Its name on the command line.
fn name_of(device: LibTorchDevice) -> DeviceName {
    match device {
        LibTorchDevice::Cuda(number) => DeviceName::Cuda(number),
        LibTorchDevice::Mps => DeviceName::Mps,
        LibTorchDevice::Cpu | LibTorchDevice::Vulkan => DeviceName::Cpu,
    }
}

/// The devices that LibTorch finds, the one that is taken unasked first.
pub fn names() -> Vec<(DeviceName, String)> {
    let version = LibTorchVersion::of_process();
    let version = version.loaded.unwrap_or(version.built_with);
    let threads = rayon::current_num_threads();
    (libtorch::devices().into_iter())
        .map(|device| {
            let what = match device {
                LibTorchDevice::Cuda(_) => "NVIDIA GPU".to_owned(),
                LibTorchDevice::Mps => "Apple GPU".to_owned(),
                LibTorchDevice::Cpu | LibTorchDevice::Vulkan => format!("{threads} threads"),
            };
            (name_of(device), format!("{what}, LibTorch {version}"))
        })
        .collect()
}

/// The device that is meant: without a name, the first that LibTorch finds.
pub fn named(name: Option<DeviceName>) -> CliResult<DeviceName> {
    let found: Vec<DeviceName> = libtorch::devices().into_iter().map(name_of).collect();
    let name = match name {
        Some(name) => name,
        // The CPU is always there.
        None => found.first().copied().unwrap_or(DeviceName::Cpu),
    };
    let known: Vec<String> = found.iter().map(ToString::to_string).collect();
    let known = known.join(", ");
    match name {
        name if found.contains(&name) => Ok(name),
        DeviceName::Number(number) => Err(input(anyhow::anyhow!(
            "--device {number}: devices of libtorch have names; this one finds: {known}"
        ))),
        name => Err(input(anyhow::anyhow!(
            "--device {name}: this LibTorch does not find it, but: {known}; where the device is there, {WAYS}"
        ))),
    }
}

/// The device, made ready for the process's work.
pub fn ready(name: DeviceName, tf32: bool) -> CliResult<LibTorchDevice> {
    let version = LibTorchVersion::of_process();
    if !version.fits() {
        return Err(work(anyhow::anyhow!(
            "this program was built for LibTorch {}, and the system loaded {}; {WAYS}",
            version.built_with,
            version.loaded.unwrap_or_else(|| "another".into())
        )));
    }
    // As many as flex computes on.
    libtorch::configure(rayon::current_num_threads(), tf32)
        .map_err(|error| work(anyhow::anyhow!("LibTorch: {error}")))?;
    let device = match name {
        DeviceName::Cuda(number) => LibTorchDevice::Cuda(number),
        DeviceName::Mps => LibTorchDevice::Mps,
        DeviceName::Cpu | DeviceName::Number(_) => LibTorchDevice::Cpu,
    };
    if let LibTorchDevice::Cuda(_) = device {
        let _ = CURRENT.set(Arc::new(Gpu(device)));
    }
    Ok(device)
}

static CURRENT: OnceLock<Arc<Gpu>> = OnceLock::new();

/// What the process's GPU can be asked; `None` without one.
pub fn report() -> Option<Arc<dyn DeviceReport>> {
    let gpu = CURRENT.get()?.clone();
    Some(gpu)
}

/// A GPU that LibTorch computes on.
#[derive(Debug)]
struct Gpu(LibTorchDevice);

impl DeviceReport for Gpu {
    fn name(&self) -> String {
        format!("LibTorch, {}", name_of(self.0))
    }

    fn memory_bytes(&self) -> Option<u64> {
        libtorch::peak_memory_bytes(self.0)
    }

    /// PyTorch's kernels come compiled.
    fn kernels_compiled(&self) -> usize {
        0
    }

    fn first_update_made(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_and_the_cpu_is_one() {
        assert_eq!(named(Some(DeviceName::Cpu)).ok(), Some(DeviceName::Cpu));
        let first = names().first().map(|(name, _)| *name);
        assert_eq!(named(None).ok(), first);
        let error = named(Some(DeviceName::Number(0))).expect_err("numbers are none");
        let said = error.message();
        assert!(
            said.contains("--device 0: devices of libtorch have names"),
            "{said}"
        );
        let error = named(Some(DeviceName::Cuda(77))).expect_err("nobody has so many");
        let said = error.message();
        assert!(
            said.contains("--device cuda:77: this LibTorch does not find it"),
            "{said}"
        );
        assert!(said.contains("LIBTORCH_USE_PYTORCH=1"), "{said}");
    }
}
