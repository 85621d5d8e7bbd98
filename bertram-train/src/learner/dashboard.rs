//! Where progress is shown: Burn's TUI, plain lines, or nowhere.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use burn::train::{Interrupter, LearnerSummary, LearningComponentsTypes, SupervisedTraining};
use serde::{Deserialize, Serialize};

/// Which dashboard a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dashboard {
    /// burn-train's terminal dashboard.
    Tui,
    /// A line every few updates on standard error.
    Plain,
    /// Nothing.
    None,
}

impl Dashboard {
    /// Gives a training this dashboard. `interrupter` is what the TUI's "stop the training" sets.
    pub fn attach<LC: LearningComponentsTypes>(
        self,
        training: SupervisedTraining<LC>,
        interrupter: Interrupter,
    ) -> SupervisedTraining<LC> {
        match self {
            Dashboard::Tui => training.renderer(SkipMissing {
                inner: Late::new(move || TuiMetricsRendererWrapper::new(interrupter.clone(), None)),
            }),
            Dashboard::Plain => training.renderer(PlainRenderer::default()),
            Dashboard::None => training.renderer(Silent),
        }
    }
}

/// A renderer that is made when there is something to show. Until then the terminal is free for whoever says what a run
/// is doing before its first update: compiling kernels, on a GPU.
struct Late<R, F> {
    make: F,
    made: Option<R>,
    definitions: Vec<MetricDefinition>,
    manual_close: bool,
}

impl<R: MetricsRenderer, F: Fn() -> R> Late<R, F> {
    fn new(make: F) -> Self {
        Self {
            make,
            made: None,
            definitions: Vec::new(),
            manual_close: false,
        }
    }

    fn renderer(&mut self) -> &mut R {
        let (make, definitions) = (&self.make, &mut self.definitions);
        let manual_close = self.manual_close;
        self.made.get_or_insert_with(|| {
            let mut renderer = make();
            if manual_close {
                renderer.manual_close();
            }
            for definition in definitions.drain(..) {
                renderer.register_metric(definition);
            }
            renderer
        })
    }
}

impl<R: MetricsRenderer, F: Fn() -> R + Send + Sync> MetricsRendererTraining for Late<R, F> {
    fn update_train(&mut self, state: MetricState) {
        self.renderer().update_train(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.renderer().update_valid(state);
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.renderer().render_train(item, indicators);
    }

    fn render_valid(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.renderer().render_valid(item, indicators);
    }

    fn on_train_end(
        &mut self,
        summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn core::error::Error>> {
        match &mut self.made {
            Some(renderer) => renderer.on_train_end(summary),
            None => Ok(()),
        }
    }
}

impl<R: MetricsRenderer, F: Fn() -> R + Send + Sync> MetricsRendererEvaluation for Late<R, F> {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.renderer().update_test(name, state);
    }

    fn render_test(&mut self, item: EvaluationProgress, indicators: Vec<ProgressType>) {
        self.renderer().render_test(item, indicators);
    }
}

impl<R: MetricsRenderer, F: Fn() -> R + Send + Sync> MetricsRenderer for Late<R, F> {
    fn manual_close(&mut self) {
        match &mut self.made {
            Some(renderer) => renderer.manual_close(),
            None => self.manual_close = true,
        }
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        match &mut self.made {
            Some(renderer) => renderer.register_metric(definition),
            None => self.definitions.push(definition),
        }
    }
}

/// Hands on everything but numbers that are not there (NaN), which the TUI would draw as a broken curve.
struct SkipMissing<R> {
    inner: R,
}

fn is_missing(state: &MetricState) -> bool {
    matches!(state, MetricState::Numeric(_, NumericEntry::Value(value)) if value.is_nan())
}

/// In raw mode a terminal no longer turns Ctrl-C into an interrupt, and Burn's TUI does not read the key. Asking the
/// terminal for signals again keeps raw mode and gives Ctrl-C its meaning back.
#[cfg(unix)]
fn keep_interrupt_key() {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    if let Ok(mut settings) = tcgetattr(&stdin)
        && !settings.local_flags.contains(LocalFlags::ISIG)
    {
        settings.local_flags.insert(LocalFlags::ISIG);
        // A terminal that refuses keeps working; only the key does nothing.
        let _ = tcsetattr(&stdin, SetArg::TCSANOW, &settings);
    }
}

#[cfg(not(unix))]
fn keep_interrupt_key() {}

impl<R: MetricsRendererTraining> MetricsRendererTraining for SkipMissing<R> {
    fn update_train(&mut self, state: MetricState) {
        if !is_missing(&state) {
            self.inner.update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if !is_missing(&state) {
            self.inner.update_valid(state);
        }
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        keep_interrupt_key();
        self.inner.render_train(item, indicators);
    }

    fn render_valid(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        keep_interrupt_key();
        self.inner.render_valid(item, indicators);
    }

    fn on_train_end(
        &mut self,
        summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn core::error::Error>> {
        self.inner.on_train_end(summary)
    }
}

impl<R: MetricsRendererEvaluation> MetricsRendererEvaluation for SkipMissing<R> {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.inner.update_test(name, state);
    }

    fn render_test(&mut self, item: EvaluationProgress, indicators: Vec<ProgressType>) {
        self.inner.render_test(item, indicators);
    }
}

impl<R: MetricsRenderer> MetricsRenderer for SkipMissing<R> {
    fn manual_close(&mut self) {
        self.inner.manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.inner.register_metric(definition);
    }
}

/// A line on standard error whenever there are new numbers.
#[derive(Default)]
struct PlainRenderer {
    names: HashMap<MetricId, String>,
    /// Numbers since the last line, in the order they came.
    pending: Vec<String>,
    last_line: Option<Instant>,
}

/// A line without numbers, as during a long evaluation, is printed this often.
const BARE_LINE_EVERY: Duration = Duration::from_secs(10);

impl PlainRenderer {
    fn collect(&mut self, state: MetricState) {
        if is_missing(&state) {
            return;
        }
        let (MetricState::Numeric(entry, _) | MetricState::Generic(entry)) = state;
        if let Some(name) = self.names.get(&entry.metric_id) {
            self.pending
                .push(format!("{name} {}", entry.serialized_entry.formatted));
        }
    }

    fn line(&mut self, split: &str, item: &TrainingProgress) {
        let since = *self.last_line.get_or_insert_with(Instant::now);
        if self.pending.is_empty() && since.elapsed() < BARE_LINE_EVERY {
            return;
        }
        self.last_line = Some(Instant::now());
        let numbers = std::mem::take(&mut self.pending).join("  ");
        let epoch = &item.global_progress;
        let place = match &item.progress {
            Some(progress) => format!(
                "  {:>width$}/{}",
                progress.items_processed,
                progress.items_total,
                width = progress.items_total.to_string().len()
            ),
            None => String::new(),
        };
        // A closed standard error must not end a run.
        let _ = writeln!(
            std::io::stderr(),
            "{split} epoch {}/{}{place}  {numbers}",
            epoch.items_processed,
            epoch.items_total
        );
    }
}

impl MetricsRendererTraining for PlainRenderer {
    fn update_train(&mut self, state: MetricState) {
        self.collect(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.collect(state);
    }

    fn render_train(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        self.line("train", &item);
    }

    fn render_valid(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        self.line("dev  ", &item);
    }
}

impl MetricsRendererEvaluation for PlainRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for PlainRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names
            .insert(definition.metric_id.clone(), definition.name);
    }
}

struct Silent;

impl MetricsRendererTraining for Silent {
    fn update_train(&mut self, _state: MetricState) {}
    fn update_valid(&mut self, _state: MetricState) {}
    fn render_train(&mut self, _item: TrainingProgress, _indicators: Vec<ProgressType>) {}
    fn render_valid(&mut self, _item: TrainingProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRendererEvaluation for Silent {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for Silent {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _definition: MetricDefinition) {}
}
