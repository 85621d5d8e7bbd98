//! Says that kernels are compiled while they are: a first run would stand still otherwise.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bertram_train::device::DeviceReport;
use indicatif::ProgressBar;

use super::report::Gpu;
use crate::out;

/// How often it is looked whether there are more.
const LOOK: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// A thread that says it.
pub struct CompilingShown {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl CompilingShown {
    /// Begins to look.
    pub fn start(gpu: Arc<Gpu>) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut shown = Shown::new(&gpu);
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                shown.update(gpu.kernels_compiled());
            }
            shown.finish(gpu.kernels_compiled());
        });
        Self { stop, thread }
    }

    /// Clears what is on the terminal.
    pub fn stop(self) {
        drop(self.stop);
        // Its panic is no reason for another one.
        let _ = self.thread.join();
    }
}

struct Shown {
    text: String,
    bar: Option<ProgressBar>,
    begun: Option<Instant>,
    last_line: Option<Instant>,
}

impl Shown {
    fn new(gpu: &Gpu) -> Self {
        let once = if gpu.keeps_kernels() { ", once" } else { "" };
        Self {
            text: format!("compiling kernels for {}{once}", gpu.name()),
            bar: None,
            begun: None,
            last_line: None,
        }
    }

    fn update(&mut self, compiled: usize) {
        if compiled == 0 || out::is_quiet() {
            return;
        }
        self.begun.get_or_insert_with(Instant::now);
        let text = format!("{}: {compiled}", self.text);
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(ProgressBar::new_spinner);
            bar.set_message(text);
            bar.tick();
        } else if self.last_line.is_none_or(|last| last.elapsed() >= LINE) {
            self.last_line = Some(Instant::now());
            out::progress(&text);
        }
    }

    fn finish(mut self, compiled: usize) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(begun) = self.begun {
            tracing::info!(
                "{}: {compiled}, {:.1} s",
                self.text,
                begun.elapsed().as_secs_f64()
            );
        }
    }
}
