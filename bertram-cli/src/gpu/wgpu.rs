//! GPUs through wgpu: Vulkan, Metal, and whatever else it finds.

use std::sync::{Mutex, PoisonError};

use burn::backend::wgpu::graphics::{AutoGraphicsApi, GraphicsApi, Metal, Vulkan};
use burn::backend::wgpu::{RuntimeOptions, WgpuDevice, WgpuRuntime, init_setup};
use cubecl::client::ComputeClient;

use super::{no_device, report, runtime, tuned};
use crate::backend_kind::BackendKind;
use crate::error::{CliResult, quietly};

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
    let named = move |device: WgpuDevice| ready_for(kind, &device).map(|name| (device, name));
    types
        .into_iter()
        .flat_map(move |of_type| (0..).map(of_type).map_while(named))
        .chain(std::iter::once_with(move || named(WgpuDevice::Cpu)).flatten())
}

/// The device, made ready for the process's work.
///
/// The file of compiled kernels is that of all Vulkan devices: CubeCL puts the device's properties into each kernel's key,
/// and SPIR-V is no driver's own.
pub fn wgpu_device(kind: BackendKind, number: usize) -> CliResult<WgpuDevice> {
    let cache = runtime::configure("vulkan", true)?;
    let mut count = 0;
    for (device, name) in found(kind) {
        if count == number {
            tuned::use_for(&name);
            let of = device.clone();
            let client = move || ComputeClient::<WgpuRuntime>::load(&of);
            // Of the languages of wgpu, SPIR-V alone is cached.
            let cached = client().info().to_string() == "vulkan" && cfg!(feature = "vulkan");
            let memory = move || Some(client().memory_usage().ok()?.bytes_reserved);
            report::ready(name, cache.filter(|_| cached), memory);
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
