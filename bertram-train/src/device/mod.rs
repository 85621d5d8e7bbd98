//! What a run's device says of itself.

mod name;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use self::name::DeviceName;

/// What a device's runtime can be asked. GPUs have one; a CPU backend has nothing to say.
pub trait DeviceReport: Debug + Send + Sync {
    /// Name of the device.
    fn name(&self) -> String;

    /// Bytes of device memory that the runtime's pools hold for the calling thread. Reads nothing from the device.
    fn memory_bytes(&self) -> Option<u64>;

    /// Kernels that this process compiled so far; those that came from a cache are not counted.
    fn kernels_compiled(&self) -> usize;

    /// Called once, when the first update of a process is made: most kernels that a run needs are compiled by then.
    fn first_update_made(&self);
}

/// What a finished run notes of its device: part of `summary.json`. Of a run with several sittings, those of the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// Name of the device.
    pub name: String,
    /// Most memory that the runtime's pools held, of those times it was looked at: after the first update, at logged steps
    /// and after evaluations.
    pub peak_memory_bytes: Option<u64>,
    /// Kernels compiled; 0 where all came from the cache.
    pub kernels_compiled: usize,
}

/// Watches a device over a sitting of a run.
#[derive(Clone, Debug)]
pub struct DeviceWatch {
    report: Option<Arc<dyn DeviceReport>>,
    begun: Instant,
    first_update_seconds: Option<f64>,
    peak_memory_bytes: Option<u64>,
}

impl DeviceWatch {
    /// Begins to watch. `begun` is when the process began to work.
    pub fn new(report: Option<Arc<dyn DeviceReport>>, begun: Instant) -> Self {
        Self {
            report,
            begun,
            first_update_seconds: None,
            peak_memory_bytes: None,
        }
    }

    /// Whether the first update of the sitting is still to be made.
    pub fn awaits_first_update(&self) -> bool {
        self.first_update_seconds.is_none()
    }

    /// The first update is made, and the device is done with it.
    pub fn first_update_made(&mut self) {
        self.first_update_seconds = Some(self.begun.elapsed().as_secs_f64());
        if let Some(report) = &self.report {
            report.first_update_made();
        }
        self.look();
    }

    /// Looks at the memory.
    pub fn look(&mut self) {
        let now = self
            .report
            .as_ref()
            .and_then(|report| report.memory_bytes());
        self.peak_memory_bytes = self.peak_memory_bytes.max(now);
    }

    /// Seconds from the start of the process until the first update was made; `None` if there was none.
    pub fn first_update_seconds(&self) -> Option<f64> {
        self.first_update_seconds
    }

    /// What was seen; `None` of a device that says nothing.
    pub fn device_use(&self) -> Option<DeviceUse> {
        self.report.as_ref().map(|report| DeviceUse {
            name: report.name(),
            peak_memory_bytes: self.peak_memory_bytes,
            kernels_compiled: report.kernels_compiled(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Growing(AtomicU64);

    impl DeviceReport for Growing {
        fn name(&self) -> String {
            "a device".into()
        }

        fn memory_bytes(&self) -> Option<u64> {
            let look = self.0.fetch_add(1, Ordering::SeqCst);
            [5, 12, 9].get(look as usize).copied()
        }

        fn kernels_compiled(&self) -> usize {
            7
        }

        fn first_update_made(&self) {}
    }

    #[test]
    fn the_peak_is_kept_when_memory_shrinks_or_nobody_says() {
        let mut watch = DeviceWatch::new(Some(Arc::new(Growing::default())), Instant::now());
        assert!(watch.awaits_first_update());
        watch.first_update_made();
        assert!(!watch.awaits_first_update());
        for _ in 0..3 {
            watch.look();
        }
        let expected = DeviceUse {
            name: "a device".into(),
            peak_memory_bytes: Some(12),
            kernels_compiled: 7,
        };
        assert_eq!(watch.device_use(), Some(expected));
    }

    #[test]
    fn a_device_without_a_runtime_says_nothing() {
        let mut watch = DeviceWatch::new(None, Instant::now());
        watch.first_update_made();
        assert!(watch.first_update_seconds().is_some());
        assert_eq!(watch.device_use(), None);
    }
}
