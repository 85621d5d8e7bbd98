//! What a run spends its time on: phases that follow each other, and how long each of them takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::SignedDuration;
use jiff::fmt::friendly::{FractionalUnit, Spacing, SpanPrinter};
use serde::{Deserialize, Serialize};

/// What a run is doing. Each moment of a run belongs to one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Settings, a device, and what no other phase is.
    Starting,
    /// Data files are read and checked.
    Reading,
    /// Texts become tokens.
    Tokenizing,
    /// The weights to begin with are read or drawn.
    Importing,
    /// Updates. The first one is in here: on a GPU it compiles kernels.
    Training,
    /// The dev splits (and training rows, where an order of tasks asks for them) are scored at the end of an epoch.
    Evaluating,
    /// A checkpoint is written, or the best model read back from one.
    Checkpointing,
    /// The best model predicts the dev and test splits.
    Predicting,
    /// The model and its card are written.
    Exporting,
}

impl Phase {
    /// In words, as `reading data`.
    pub fn title(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Reading => "reading data",
            Phase::Tokenizing => "tokenizing",
            Phase::Importing => "importing the model",
            Phase::Training => "training",
            Phase::Evaluating => "evaluating",
            Phase::Checkpointing => "checkpointing",
            Phase::Predicting => "predicting",
            Phase::Exporting => "exporting",
        }
    }
}

/// Seconds by phase.
pub type PhaseSeconds = BTreeMap<Phase, f64>;

/// A duration as people say it: `4.2s`, `1m20s`, `2h5m`.
pub fn duration_for_people(seconds: f64) -> String {
    let rounded = match seconds {
        seconds if seconds.is_nan() => return "?".into(),
        seconds if seconds < 9.95 => (seconds * 10.0).round() / 10.0,
        seconds if seconds < 3600.0 => seconds.round(),
        seconds => (seconds / 60.0).round() * 60.0,
    };
    let Ok(duration) = SignedDuration::try_from_secs_f64(rounded.max(0.0)) else {
        return "for ever".into();
    };
    // Tenths of a second are not exact in binary.
    let duration = duration.round(jiff::Unit::Millisecond);
    let printer = SpanPrinter::new()
        .spacing(Spacing::None)
        .fractional(Some(FractionalUnit::Second));
    duration.map_or_else(|_| "for ever".into(), |it| printer.duration_to_string(&it))
}

/// Is told what a run is doing, to show it.
pub trait PhaseListener: Send {
    /// A phase begins; the one before it is over. `of` says what it is about, where it is about a part of the run, as
    /// `"test"` of predicting.
    fn begins(&mut self, phase: Phase, of: &str);

    /// `done` of the `total` rows of the phase are done.
    fn progress(&mut self, done: usize, total: usize);

    /// The run is over, or goes no further.
    fn ends(&mut self);
}

/// Counts the seconds of a run by phase. Clones are handles to the same clock.
#[derive(Clone)]
pub struct PhaseClock(Arc<Mutex<Inner>>);

struct Inner {
    begun: Instant,
    phase: Phase,
    since: Instant,
    seconds: PhaseSeconds,
    earlier: f64,
    listener: Option<Box<dyn PhaseListener>>,
}

impl fmt::Debug for PhaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PhaseClock").field(&self.seconds()).finish()
    }
}

impl PhaseClock {
    /// A clock that has counted as [`Phase::Starting`] since `begun`, when the process began to work.
    pub fn new(begun: Instant) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            begun,
            phase: Phase::Starting,
            since: begun,
            seconds: PhaseSeconds::new(),
            earlier: 0.0,
            listener: None,
        })))
    }

    /// Has `listener` told what happens from now on.
    pub fn listened_to_by(self, listener: impl PhaseListener + 'static) -> Self {
        self.inner().listener = Some(Box::new(listener));
        self
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Numbers that a panic left are still numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the process began to work.
    pub fn begun(&self) -> Instant {
        self.inner().begun
    }

    /// A phase begins, and the last one is over.
    pub fn enter(&self, phase: Phase) {
        self.enter_part(phase, "");
    }

    /// As [`enter`](Self::enter), of a phase with parts that are shown each by its name.
    pub fn enter_part(&self, phase: Phase, of: &str) {
        let mut inner = self.inner();
        inner.turn_to(phase);
        if let Some(listener) = &mut inner.listener {
            listener.begins(phase, of);
        }
    }

    /// A phase in the middle of another, which goes on after it: it is counted, and what is shown of the other stays.
    pub fn within<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let before = self.inner().turn_to(phase);
        let result = work();
        self.inner().turn_to(before);
        result
    }

    /// `done` of the `total` rows of the phase are done.
    pub fn progress(&self, done: usize, total: usize) {
        if let Some(listener) = &mut self.inner().listener {
            listener.progress(done, total);
        }
    }

    /// The run is over, or goes no further: nothing more is shown of it.
    pub fn end(&self) {
        let mut inner = self.inner();
        inner.count();
        if let Some(listener) = &mut inner.listener {
            listener.ends();
        }
    }

    /// Counts what earlier processes spent on the run, too.
    pub fn add_earlier(&self, seconds: &PhaseSeconds) {
        let mut inner = self.inner();
        for (phase, seconds) in seconds {
            *inner.seconds.entry(*phase).or_default() += seconds;
            inner.earlier += seconds;
        }
    }

    /// Seconds of each phase until now.
    pub fn seconds(&self) -> PhaseSeconds {
        let mut inner = self.inner();
        inner.count();
        inner.seconds.clone()
    }

    /// Seconds of the run until now: those of this process since it began to work, and those of earlier ones.
    pub fn wall_seconds(&self) -> f64 {
        let inner = self.inner();
        inner.earlier + inner.begun.elapsed().as_secs_f64()
    }
}

impl Inner {
    /// Counts as a phase from now on; gives the one before.
    fn turn_to(&mut self, phase: Phase) -> Phase {
        self.count();
        std::mem::replace(&mut self.phase, phase)
    }

    fn count(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        *self.seconds.entry(self.phase).or_default() += seconds;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl PhaseListener for Heard {
        fn begins(&mut self, phase: Phase, of: &str) {
            let line = format!("{} {of}", phase.title());
            self.0.lock().expect("lock").push(line.trim().to_owned());
        }

        fn progress(&mut self, done: usize, total: usize) {
            self.0.lock().expect("lock").push(format!("{done}/{total}"));
        }

        fn ends(&mut self) {
            self.0.lock().expect("lock").push("end".into());
        }
    }

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [
            (0.0, "0s"),
            (4.249, "4.2s"),
            (9.96, "10s"),
            (79.6, "1m20s"),
            (600.0, "10m"),
            (7523.0, "2h5m"),
            (f64::NAN, "?"),
            (1e300, "for ever"),
        ] {
            assert_eq!(duration_for_people(seconds), text);
        }
    }

    #[test]
    fn all_time_is_some_phase_s() {
        let heard = Heard::default();
        let began = Instant::now() - Duration::from_secs(3);
        let clock = PhaseClock::new(began).listened_to_by(heard.clone());
        clock.add_earlier(&PhaseSeconds::from([(Phase::Training, 10.0)]));
        clock.enter(Phase::Training);
        clock.within(Phase::Checkpointing, || {
            std::thread::sleep(Duration::from_millis(20));
        });
        clock.enter_part(Phase::Predicting, "test");
        clock.progress(1, 2);
        clock.end();
        let seconds = clock.seconds();
        assert!((3.0..4.0).contains(&seconds[&Phase::Starting]));
        assert!(seconds[&Phase::Training] >= 10.0);
        assert!(seconds[&Phase::Checkpointing] >= 0.02);
        let (sum, wall) = (seconds.values().sum::<f64>(), clock.wall_seconds());
        assert!((sum - wall).abs() < 0.05, "{sum} of {wall}");
        let heard = heard.0.lock().expect("lock");
        assert_eq!(*heard, ["training", "predicting test", "1/2", "end"]);
    }
}
