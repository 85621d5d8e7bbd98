//! What CubeCL's logger says, counted: kernels that are compiled, and the time of each launch.
//!
//! CubeCL has no other way to tell. It writes to the `log` crate, whose records come by the way of `tracing`.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Where CubeCL logs from.
const TARGET: &str = "cubecl_common::config::logger";

static COMPILED: AtomicUsize = AtomicUsize::new(0);
static LAUNCHES: Mutex<Launches> = Mutex::new(Launches {
    of: None,
    summaries: 0,
});
static SUMMARY: Condvar = Condvar::new();

/// Launches of a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KernelLaunches {
    /// How many.
    pub count: usize,
    /// Time on the device, of all together.
    pub time: Duration,
}

#[derive(Default)]
struct Launches {
    /// Launches by kernel, while somebody counts.
    of: Option<HashMap<String, KernelLaunches>>,
    /// CubeCL's own summaries so far: one comes after each wait for the device.
    summaries: usize,
}

/// Listens to CubeCL.
pub fn listener<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    let ours = |metadata: &Metadata<'_>| metadata.target() == TARGET;
    Listener.with_filter(filter_fn(ours).with_max_level_hint(LevelFilter::INFO))
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
/// Kernels compiled so far, as far as CubeCL was asked to log them.
pub fn compiled() -> usize {
    COMPILED.load(Ordering::SeqCst)
}

/// The launches of `work`, by kernel, if they are timed ([`super::time_launches`]). `work` ends with its only wait for the
/// device: CubeCL logs on a thread of its own, and a wait makes it write a summary once it has written everything else.
///
/// `None` if that does not come.
pub fn launches_of(work: impl FnOnce()) -> Option<HashMap<String, KernelLaunches>> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let before = {
        let mut launches = launches();
        launches.of = Some(HashMap::new());
        launches.summaries
    };
    work();
    let (mut launches, waited) = SUMMARY
        .wait_timeout_while(launches(), PATIENCE, |launches| {
            launches.summaries == before
        })
        .unwrap_or_else(PoisonError::into_inner);
    launches.of.take().filter(|_| !waited.timed_out())
}

fn launches() -> MutexGuard<'static, Launches> {
    LAUNCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        event.record(&mut Message);
    }
}

/// Takes the message of an event.
struct Message;

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            note(&format!("{value:?}"));
        }
    }
}

fn note(message: &str) {
    if message.starts_with("[Compiling kernel]") {
        COMPILED.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let Some((time, name)) = message
        .strip_prefix("| ")
        .and_then(|rest| rest.split_once(" | "))
    else {
        // The summary's table begins with a rule.
        if message.starts_with('|') {
            launches().summaries += 1;
            SUMMARY.notify_all();
        }
        return;
    };
    if let (Some(time), Some(launches)) = (duration(time.trim()), &mut launches().of) {
        let kernel = launches.entry(name.trim().to_owned()).or_default();
        kernel.count += 1;
        kernel.time += time;
    }
}

/// A duration as `Debug` writes it: `12.5µs`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let nanoseconds = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some(Duration::from_nanos((number * nanoseconds) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_they_are_written() {
        for expected in [0, 1, 999, 1000, 12_345, 1_000_000, 7_654_321, 3_000_000_000] {
            let expected = Duration::from_nanos(expected);
            let read = duration(&format!("{expected:?}")).expect("is a duration");
            assert!(read.abs_diff(expected) <= Duration::from_nanos(1));
        }
        assert_eq!(duration("Duration"), None);
        assert_eq!(duration("12 apples"), None);
    }

    #[test]
    fn launches_are_summed_by_kernel_until_the_summary() {
        let launches = launches_of(|| {
            note("| 1.5µs      | Product");
            note("| 2ms        | Sum | f32");
            note("| 500ns      | Product");
            note("Executing Product");
            note("|⎺⎺⎺| \n| Name | Duration | Num Computed |\n");
        });
        let launches = launches.expect("the summary came");
        let product = KernelLaunches {
            count: 2,
            time: Duration::from_micros(2),
        };
        assert_eq!(launches["Product"], product);
        assert_eq!(launches["Sum | f32"].count, 1);
        assert_eq!(launches.len(), 2);
    }
}
