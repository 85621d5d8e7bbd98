//! What is shown of phases without a dashboard: reading, tokenizing, predicting. On a terminal a bar, elsewhere lines.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bertram_train::learner::Dashboard;
use bertram_train::phase::{Phase, PhaseClock, PhaseListener, duration_for_people};
use indicatif::{ProgressBar, ProgressStyle};

use crate::out;

/// How often it is looked whether there is something to show.
const LOOK: Duration = Duration::from_millis(200);
/// What is over sooner than this is not worth a word.
const PATIENCE: Duration = Duration::from_millis(800);
/// Lines of a phase come after a second, then after twice the time each, at most so long after the last.
const LINE: Duration = Duration::from_secs(10);

/// Shows how far the phase is that the process is in, from a thread of its own: work that says nothing for seconds is
/// seen to go on.
pub struct PhaseDisplay {
    now: Arc<Mutex<Option<Now>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The phase that is shown.
struct Now {
    title: String,
    since: Instant,
    done: usize,
    total: usize,
    shown: Shown,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    /// The next line comes after so long.
    Lines(Duration),
}

impl PhaseDisplay {
    /// A display that shows nothing yet; with `--quiet` it never does.
    pub fn new() -> Self {
        let now: Arc<Mutex<Option<Now>>> = Arc::default();
        if out::is_quiet() {
            return Self {
                now,
                stop: None,
                thread: None,
            };
        }
        let (stop, stopped) = channel();
        let shared = now.clone();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if let Some(now) = lock(&shared).as_mut() {
                    now.show();
                }
            }
        });
        Self {
            now,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A clock of the process that is shown by this display.
    pub fn clock() -> PhaseClock {
        PhaseClock::new(Instant::now()).listened_to_by(Self::new())
    }

    /// Something else begins.
    pub fn begin(&mut self, title: &str) {
        self.end();
        if self.thread.is_none() {
            return;
        }
        // One bar at a time.
        crate::gpu::settled();
        *lock(&self.now) = Some(Now {
            title: title.to_owned(),
            since: Instant::now(),
            done: 0,
            total: 0,
            shown: Shown::Nothing,
        });
    }

    /// `done` of the `total` rows are done.
    pub fn progress(&mut self, done: usize, total: usize) {
        if let Some(now) = lock(&self.now).as_mut() {
            if now.total != total {
                // Another part of the same, as the next task's rows.
                now.since = Instant::now();
            }
            (now.done, now.total) = (done, total);
        }
    }

    /// Nothing more is shown of what was last begun.
    pub fn end(&mut self) {
        if let Some(Now {
            shown: Shown::Bar(bar),
            ..
        }) = lock(&self.now).take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for PhaseDisplay {
    fn drop(&mut self) {
        self.end();
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its panic is no reason for another one.
            let _ = thread.join();
        }
    }
}

impl PhaseListener for PhaseDisplay {
    fn begins(&mut self, phase: Phase, of: &str) {
        match phase {
            // The dashboard shows these, and the checkpoints between them.
            Phase::Training | Phase::Evaluating => self.end(),
            _ if of.is_empty() => self.begin(phase.title()),
            _ => self.begin(&format!("{} {of}", phase.title())),
        }
    }

    fn progress(&mut self, done: usize, total: usize) {
        self.progress(done, total);
    }

    fn ends(&mut self) {
        self.end();
    }
}

/// The clock of a run that began to work at `begun`. A run without a dashboard says nothing of its phases, either.
pub fn clock_of_run(begun: Instant, dashboard: Dashboard) -> PhaseClock {
    let clock = PhaseClock::new(begun);
    match dashboard {
        Dashboard::None => clock,
        Dashboard::Tui | Dashboard::Plain => clock.listened_to_by(PhaseDisplay::new()),
    }
}

fn lock(now: &Mutex<Option<Now>>) -> MutexGuard<'_, Option<Now>> {
    // What a panic left is only shown.
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Now {
    fn show(&mut self) {
        let since = self.since.elapsed();
        match &mut self.shown {
            Shown::Nothing if since < PATIENCE => {}
            Shown::Nothing if std::io::stderr().is_terminal() => {
                let bar = ProgressBar::no_length().with_message(self.title.clone());
                bar.set_elapsed(since);
                self.shown = Shown::Bar(bar);
                self.draw();
            }
            Shown::Nothing => {
                self.shown = Shown::Lines(2 * since);
                self.line();
            }
            Shown::Bar(_) => self.draw(),
            Shown::Lines(next) if since >= *next => {
                *next = since + since.min(LINE);
                self.line();
            }
            Shown::Lines(_) => {}
        }
    }

    fn draw(&self) {
        let Shown::Bar(bar) = &self.shown else {
            return;
        };
        let template = match self.total {
            0 => "{msg} {spinner} {elapsed}",
            _ => "{msg} {wide_bar} {pos}/{len} rows, {eta} left",
        };
        if bar.length() != Some(self.total as u64) {
            bar.set_length(self.total as u64);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
        bar.set_position(self.done as u64);
        bar.tick();
    }

    fn line(&self) {
        let title = &self.title;
        out::progress(&match (self.done, self.total) {
            (_, 0) => format!("{title} ..."),
            (0, total) => format!("{title}: {total} rows"),
            (done, total) => {
                let left = self.since.elapsed().as_secs_f64() * (total.saturating_sub(done)) as f64
                    / done as f64;
                format!(
                    "{title}: {done} of {total} rows, {} left",
                    duration_for_people(left)
                )
            }
        });
    }
}
