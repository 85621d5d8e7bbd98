//! GPUs: devices made ready, compiled kernels kept between processes, and what a run is told of its device.
//!
//! A process has one GPU, made ready by `wgpu_device` or `cuda_device`. [`settled`] is called when all that is usual has been
//! computed once, and [`finish`] at the end; without a GPU they do nothing.

// What is kept between processes needs no GPU, and is tested in every build.
#[cfg(any(test, feature = "wgpu", feature = "cuda"))]
#[cfg_attr(
    not(any(feature = "wgpu", feature = "cuda")),
    allow(dead_code, reason = "only tests use it")
)]
mod cache;
#[cfg(any(test, feature = "wgpu", feature = "cuda"))]
mod cbor;
#[cfg(feature = "cuda")]
mod cuda;
pub mod log;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod progress;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod report;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod runtime;
#[cfg(any(test, feature = "wgpu", feature = "cuda"))]
mod store;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod tuned;
#[cfg(feature = "wgpu")]
mod wgpu;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bertram_train::device::DeviceReport;

#[cfg(feature = "cuda")]
pub use self::cuda::{cuda_device, cuda_names};
#[cfg(feature = "wgpu")]
pub use self::wgpu::{wgpu_device, wgpu_names};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use crate::error::{CliError, input};

/// Says that launches are to be timed, each: a process that does so is slow. Comes before the GPU's first use.
pub fn time_launches() {
    TIME_LAUNCHES.store(true, Ordering::SeqCst);
}

static TIME_LAUNCHES: AtomicBool = AtomicBool::new(false);

/// What the process's GPU can be asked; `None` without one.
pub fn report() -> Option<Arc<dyn DeviceReport>> {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if let Some(gpu) = report::current() {
        return Some(gpu);
    }
    #[cfg(feature = "libtorch")]
    if let Some(gpu) = crate::libtorch::report() {
        return Some(gpu);
    }
    None
}

/// All that is usual has been computed once: says no longer that kernels are compiled, and keeps them.
pub fn settled() {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if let Some(gpu) = report::current() {
        gpu.settle();
    }
}

/// Whether a GPU is there on which nothing has [`settled`] yet: its first kernels are being compiled.
pub fn is_settling() -> bool {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if let Some(gpu) = report::current() {
        return !gpu.is_settled();
    }
    false
}

/// The process ends: keeps what was compiled, and removes its temporary files.
pub fn finish() {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if let Some(gpu) = report::current() {
        gpu.finish();
    }
}

/// Says that products are computed by rule, whatever was tuned. Comes before the GPU's first use.
pub fn ignore_tuned() {
    IGNORE_TUNED.store(true, Ordering::SeqCst);
}

static IGNORE_TUNED: AtomicBool = AtomicBool::new(false);

/// Keeps what was found for the runs to come.
pub fn keep_tuned(found: &[bertram_kernels::products::TunedProduct]) {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    tuned::keep(found);
    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    let _ = found;
}

/// `found` devices are there, and none of them is number `number`.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
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
