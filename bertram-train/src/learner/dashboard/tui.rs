//! The dashboard: scores, losses and their curves on the whole terminal.
//!
//! A thread of its own draws it and reads the keys, so that neither waits for an update.

mod draw;

use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::view::View;
use crate::learner::session::StopFlag;

/// How long a key waits at most.
const LOOK: Duration = Duration::from_millis(100);
/// What nothing changed is drawn again this often: the time left becomes less.
const REDRAW: Duration = Duration::from_millis(500);

/// Whether the terminal is the dashboard's.
static HAS_TERMINAL: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back, if a dashboard has it: for whoever ends the process from another thread.
pub fn leave_terminal() {
    if HAS_TERMINAL.swap(false, Ordering::SeqCst) {
        // There is nothing to do about a terminal that does not listen.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    }
}

/// Hands what it is told to the thread that draws.
pub(super) struct TuiRenderer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    run: String,
    stop: StopFlag,
}

struct Shared {
    view: Mutex<View>,
    /// Set where there is something new to draw.
    changed: AtomicBool,
    close: AtomicBool,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        // What a panic left is only shown.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TuiRenderer {
    pub(super) fn new(view: View, run: String, stop: StopFlag) -> Self {
        Self {
            shared: Arc::new(Shared {
                view: Mutex::new(view),
                changed: AtomicBool::new(true),
                close: AtomicBool::new(false),
            }),
            thread: None,
            run,
            stop,
        }
    }

    /// The dashboard takes the terminal when there is something to show. Until then it is free for whoever says what a run
    /// does before its first update: compiling kernels, on a GPU.
    fn show(&mut self) {
        self.shared.changed.store(true, Ordering::SeqCst);
        if self.thread.is_none() {
            let shared = self.shared.clone();
            let screen = Screen::new(self.run.clone(), self.stop.clone());
            self.thread = Some(std::thread::spawn(move || {
                if let Err(error) = draw_until_closed(&shared, screen) {
                    tracing::warn!("the dashboard is gone: {error}");
                }
            }));
        }
    }
}

impl Drop for TuiRenderer {
    fn drop(&mut self) {
        self.shared.close.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its panic is no reason for another one.
            let _ = thread.join();
        }
    }
}

impl MetricsRendererTraining for TuiRenderer {
    fn update_train(&mut self, state: MetricState) {
        self.shared.view().collect(&state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.shared.view().collect(&state);
    }

    fn render_train(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        self.shared.view().trained(&item);
        self.show();
    }

    fn render_valid(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        self.shared.view().evaluated(&item);
        self.show();
    }
}

impl MetricsRendererEvaluation for TuiRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for TuiRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.shared.view().register(definition);
    }
}

/// What of the run is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Scores,
    Diagnostics,
}

/// What is on the screen beside the run's numbers.
struct Screen {
    run: String,
    tab: Tab,
    /// Whether it is asked if the run is to stop.
    asks: bool,
    stop: StopFlag,
}

impl Screen {
    fn new(run: String, stop: StopFlag) -> Self {
        Self {
            run,
            tab: Tab::Scores,
            asks: false,
            stop,
        }
    }

    fn press(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('y' | 'Y') | KeyCode::Enter if self.asks => {
                self.stop.stop();
                self.asks = false;
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc if self.asks => self.asks = false,
            KeyCode::Char('q') | KeyCode::Esc if !self.stop.is_set() => self.asks = true,
            KeyCode::Char('1') => self.tab = Tab::Scores,
            KeyCode::Char('2') => self.tab = Tab::Diagnostics,
            KeyCode::Tab | KeyCode::Left | KeyCode::Right => {
                self.tab = match self.tab {
                    Tab::Scores => Tab::Diagnostics,
                    Tab::Diagnostics => Tab::Scores,
                };
            }
            _ => {}
        }
    }
}

/// The terminal, which is given back however the thread ends.
struct Lent(Terminal<CrosstermBackend<Stdout>>);

impl Lent {
    fn new() -> io::Result<Self> {
        enable_raw_mode()?;
        HAS_TERMINAL.store(true, Ordering::SeqCst);
        keep_interrupt_key();
        let mut stdout = io::stdout();
        let terminal = execute!(stdout, EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout)));
        match terminal {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                leave_terminal();
                Err(error)
            }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        leave_terminal();
    }
}

/// In raw mode a terminal does not turn Ctrl-C into an interrupt. Asking it for signals again keeps raw mode and gives
/// Ctrl-C its meaning back.
#[cfg(unix)]
fn keep_interrupt_key() {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    if let Ok(mut settings) = tcgetattr(&stdin) {
        settings.local_flags.insert(LocalFlags::ISIG);
        // A terminal that refuses keeps working; only the key does nothing.
        let _ = tcsetattr(&stdin, SetArg::TCSANOW, &settings);
    }
}

#[cfg(not(unix))]
fn keep_interrupt_key() {}

fn draw_until_closed(shared: &Shared, mut screen: Screen) -> io::Result<()> {
    let mut terminal = Lent::new()?;
    let mut drawn: Option<Instant> = None;
    let mut stopping = false;
    while !shared.close.load(Ordering::SeqCst) {
        let mut new = shared.changed.swap(false, Ordering::SeqCst);
        // A signal sets it, too.
        new |= std::mem::replace(&mut stopping, screen.stop.is_set()) != screen.stop.is_set();
        if new || drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            drawn = Some(Instant::now());
            let view = shared.view();
            terminal.0.draw(|frame| draw::draw(frame, &view, &screen))?;
        }
        if !event::poll(LOOK)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => screen.press(key.code),
            Event::Resize(..) => {}
            _ => continue,
        }
        shared.changed.store(true, Ordering::SeqCst);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ask_before_they_stop() {
        let stop = StopFlag::default();
        let mut screen = Screen::new("runs/one".into(), stop.clone());
        screen.press(KeyCode::Char('y'));
        assert!(!stop.is_set());
        screen.press(KeyCode::Char('q'));
        assert!(screen.asks);
        screen.press(KeyCode::Char('n'));
        assert!(!screen.asks && !stop.is_set());
        screen.press(KeyCode::Tab);
        assert_eq!(screen.tab, Tab::Diagnostics);
        screen.press(KeyCode::Esc);
        screen.press(KeyCode::Enter);
        assert!(!screen.asks && stop.is_set());
        screen.press(KeyCode::Char('q'));
        assert!(!screen.asks, "it stops already");
    }
}
