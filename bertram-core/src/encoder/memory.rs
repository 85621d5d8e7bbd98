//! How much memory this machine has.

/// Where the system does not say: no model of today is larger.
const UNKNOWN: u64 = 1 << 40;

/// Bytes of memory and swap space.
pub(super) fn total() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    of_meminfo(&text).unwrap_or(UNKNOWN)
}

/// `MemTotal` and `SwapTotal` of Linux's `/proc/meminfo`, which are in KiB.
fn of_meminfo(text: &str) -> Option<u64> {
    let of = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let total = of("MemTotal:")?.checked_add(of("SwapTotal:").unwrap_or(0))?;
    total.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_says_it() {
        let text = "MemTotal:       16000000 kB\nMemFree: 1 kB\nSwapTotal:  2000000 kB\n";
        assert_eq!(of_meminfo(text), Some(18_000_000 * 1024));
        assert_eq!(of_meminfo("MemTotal: 8 kB\n"), Some(8192));
        assert_eq!(of_meminfo(""), None);
        assert!(total() > 0);
    }
}
