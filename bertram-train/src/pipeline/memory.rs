//! How much memory the process has taken.

/// Most memory this process has held so far, in bytes.
#[cfg(unix)]
pub fn peak_memory_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    // Linux counts what the parent held before `exec` in `getrusage`; the kernel's own high-water mark does not.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let high_water = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .and_then(|kibibytes| kibibytes.trim().parse::<u64>().ok());
    if let Some(kibibytes) = high_water {
        return Some(kibibytes * 1024);
    }
    let peak = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    // macOS counts bytes, other systems kibibytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(peak).ok().map(|peak| peak * unit)
}

/// Most memory this process has held so far, in bytes: not known on this system.
#[cfg(not(unix))]
pub fn peak_memory_bytes() -> Option<u64> {
    None
}
