//! NVIDIA GPUs.

use bertram_kernels::forbid_tf32;
use burn::backend::cuda::CudaDevice;
use cubecl::client::ComputeClient;
use cubecl::cuda::CudaRuntime;

use super::{no_device, report, runtime, tuned};
use crate::error::{CliResult, quietly};

/// Number of CUDA devices; 0 without a driver.
fn count() -> usize {
    let count = || cudarc::driver::result::device::get_count().unwrap_or(0);
    let count = quietly(|| cudarc::driver::result::init().map_or(0, |()| count()));
    count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(0)
}

/// The name of a device, as the driver has it.
fn name(number: usize) -> String {
    let name = i32::try_from(number).ok().and_then(|number| {
        let device = cudarc::driver::result::device::get(number).ok()?;
        cudarc::driver::result::device::get_name(device).ok()
    });
    name.unwrap_or_else(|| format!("CUDA device {number}"))
}

/// The driver's version, as CUDA counts: 13000 for 13.0.
fn driver() -> i32 {
    let mut version = 0;
    #[allow(unsafe_code)]
    // SAFETY: the driver writes one integer to where the pointer points, and is there: a device was found.
    unsafe {
        // Without a version, 0 is as good a name for it as any.
        let _ = cudarc::driver::sys::cuDriverGetVersion(&raw mut version);
    }
    version
}

/// The devices' names, in the order of their numbers.
pub fn cuda_names() -> Vec<String> {
    (0..count()).map(name).collect()
}

/// The device, if it is there, made ready for the process's work.
///
/// `tf32` says whether f32 products may be TF32 products.
pub fn cuda_device(number: usize, tf32: bool) -> CliResult<CudaDevice> {
    let found = count();
    if number >= found {
        return Err(no_device(
            "cuda",
            number,
            found,
            "see what nvidia-smi lists",
        ));
    }
    let name = name(number);
    // CubeCL's key of a kernel has neither the device nor the driver.
    let key = format!("cuda {name} driver {}", driver());
    let cache = runtime::configure(&key, false)?;
    tuned::use_for(&key);
    let device = CudaDevice::new(number);
    if !tf32 {
        forbid_tf32(&device);
    }
    let of = device.clone();
    let memory = move || {
        let client = ComputeClient::<CudaRuntime>::load(&of);
        Some(client.memory_usage().ok()?.bytes_reserved)
    };
    report::ready(name, cache, memory);
    Ok(device)
}
