//! CubeCL's configuration, set from code: where compiled kernels go, and what is logged.

use std::sync::atomic::Ordering;

use cubecl::config::cache::CacheConfig;
use cubecl::config::compilation::CompilationLogLevel;
use cubecl::config::profiling::ProfilingLogLevel;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

use super::TIME_LAUNCHES;
use super::cache::{KernelCache, cache_folder};
use super::store::Store;
use crate::error::{CliResult, input, quietly};

/// The version that compiled kernels belong to: that of bertram, and a hash of its kernels' sources and of the versions of
/// all libraries, where it was built from a checkout.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("BERTRAM_KERNELS_HASH"));

/// Sets CubeCL up, before its first client of the process: a second time does nothing. `device` names what kernels are
/// compiled for.
///
/// A `cubecl.toml` in the working folder, or above it, is read as CubeCL reads it; a cache that it names is used in place of
/// ours.
///
/// `log_compilation` has CubeCL log each kernel that it compiles, for backends that have no cache in which they could be
/// counted. (For CUDA it would run `clang-format` on each.)
///
/// # Errors
/// If there is such a file, and it cannot be read.
pub fn configure(device: &str, log_compilation: bool) -> CliResult<Option<KernelCache>> {
    if CubeClRuntimeConfig::storage().lock().is_some() {
        return Ok(None);
    }
    let read = || CubeClRuntimeConfig::from_current_dir().override_from_env();
    let mut config = quietly(read).ok_or_else(|| {
        input(anyhow::anyhow!(
            "cubecl.toml or burn.toml in the working folder, or in one above it, is no configuration of CubeCL; mend it or move it away"
        ))
    })?;
    let mut cache = None;
    if config.compilation.cache.is_none() {
        let store =
            cache_folder().map(|folder| Store::new(&folder.join("kernels"), &file_name(device)));
        if store.is_none() {
            tracing::warn!(
                "no cache folder is known (BERTRAM_CACHE, XDG_CACHE_HOME or HOME names one): kernels are compiled in every process"
            );
        }
        cache = KernelCache::open(store)
            .inspect_err(|error| {
                tracing::warn!(
                    "no folder for temporary files ({error}): kernels are compiled in every process"
                );
            })
            .ok();
        config.compilation.cache = (cache.as_ref())
            .and_then(KernelCache::root)
            .map(CacheConfig::File);
    }
    if log_compilation || cache.is_none() {
        config.compilation.logger.level = CompilationLogLevel::Basic;
        config.compilation.logger.log = Some(Default::default());
    }
    if TIME_LAUNCHES.load(Ordering::SeqCst) {
        config.profiling.logger.level = ProfilingLogLevel::Basic;
        config.profiling.logger.log = Some(Default::default());
    }
    CubeClRuntimeConfig::set(config);
    Ok(cache)
}

/// The name of a device's and this version's file.
pub(super) fn file_name(device: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = format!("{device} {VERSION}").chars().map(plain).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}
