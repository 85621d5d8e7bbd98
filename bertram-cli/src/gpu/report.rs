//! The GPU of this process.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bertram_train::device::DeviceReport;

use super::cache::KernelCache;
use super::log;
use super::progress::CompilingShown;

static CURRENT: OnceLock<Arc<Gpu>> = OnceLock::new();

/// The GPU, if the process has one.
pub fn current() -> Option<Arc<Gpu>> {
    CURRENT.get().cloned()
}

/// A GPU that was made ready.
pub struct Gpu {
    name: String,
    cache: Option<KernelCache>,
    memory: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    settled: AtomicBool,
    shown: Mutex<Option<CompilingShown>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("name", &self.name).finish()
    }
}

/// The process computes on this GPU from now on: what it compiles is shown. `memory` says how many bytes its pools hold.
/// The first one stays.
pub fn ready(
    name: String,
    cache: Option<KernelCache>,
    memory: impl Fn() -> Option<u64> + Send + Sync + 'static,
) {
    let gpu = CURRENT.get_or_init(|| {
        Arc::new(Gpu {
            name,
            cache,
            memory: Box::new(memory),
            settled: AtomicBool::new(false),
            shown: Mutex::new(None),
        })
    });
    let mut shown = gpu.shown.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.is_none() && !gpu.is_settled() {
        *shown = Some(CompilingShown::start(gpu.clone()));
    }
}

impl Gpu {
    /// Whether what it compiles is there for the next process.
    pub fn keeps_kernels(&self) -> bool {
        self.cache.as_ref().is_some_and(KernelCache::has_store)
    }

    /// Whether [`settle`](Self::settle) was called.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::SeqCst)
    }

    /// Ends the showing, and keeps the kernels that there are.
    pub fn settle(&self) {
        if self.settled.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = shown.take() {
            shown.stop();
        }
        self.keep();
    }

    fn keep(&self) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if let Some(Err(error)) = self.cache.as_ref().map(KernelCache::keep)
            && !SAID.swap(true, Ordering::SeqCst)
        {
            tracing::warn!(
                "the compiled kernels cannot be kept for the next run: {error}; BERTRAM_CACHE names another folder"
            );
        }
    }

    /// The process ends.
    pub fn finish(&self) {
        self.settle();
        if let Some(cache) = &self.cache {
            self.keep();
            cache.close();
        }
    }
}

impl DeviceReport for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn memory_bytes(&self) -> Option<u64> {
        (self.memory)()
    }

    fn kernels_compiled(&self) -> usize {
        // Where both count they count the same.
        let cached = self.cache.as_ref().map_or(0, KernelCache::compiled);
        cached.max(log::compiled())
    }

    fn first_update_made(&self) {
        self.settle();
    }
}
