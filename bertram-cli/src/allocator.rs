//! What glibc's allocator does with the memory that a training step frees.

/// Has the allocator keep freed memory for the next step.
///
/// By default glibc gives buffers above 128 KiB to the system when they are freed, and each step pays for their pages
/// again: a fifth of its time (docs/src/performance.md compares mimalloc and jemalloc, which are slower here). Buffers above 32 MiB
/// still come from the system: gradients of embedding tables, most of whose zeros are never touched.
///
/// It does nothing where the environment sets the allocator, and with other C libraries.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const SETTINGS: [&str; 4] = [
            "GLIBC_TUNABLES",
            "MALLOC_MMAP_THRESHOLD_",
            "MALLOC_TRIM_THRESHOLD_",
            "MALLOC_TOP_PAD_",
        ];
        if SETTINGS.iter().all(|name| std::env::var_os(name).is_none()) {
            glibc::keep_memory();
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    #![allow(unsafe_code, reason = "the allocator is set through a call of C")]

    use nix::libc::{M_MMAP_THRESHOLD, M_TOP_PAD, M_TRIM_THRESHOLD, mallopt};

    const MIB: i32 = 1 << 20;

    pub(super) fn keep_memory() {
        // What cannot be set stays as it is: the step is slower, and nothing else.
        let set = |parameter, value| {
            // SAFETY: `mallopt` takes any integers, and nothing else runs yet.
            unsafe { mallopt(parameter, value) }
        };
        // 32 MiB is the most that glibc takes.
        set(M_MMAP_THRESHOLD, 32 * MIB);
        set(M_TRIM_THRESHOLD, i32::MAX);
        set(M_TOP_PAD, 64 * MIB);
    }
}
