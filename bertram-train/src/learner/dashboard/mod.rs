//! Where progress is shown: a dashboard on the terminal, plain lines, or nowhere.
//!
//! All of them are renderers of burn-train (its `MetricsRenderer`): they see what its event processor hands on, a number
//! of a [`Series`](super::series::Series) or the place of a run, and nothing else. burn-train's own terminal dashboard is
//! not used: docs/src/decisions.md says why.

mod plain;
mod silent;
mod tui;
mod view;

use burn::train::{LearningComponentsTypes, SupervisedTraining};
use serde::{Deserialize, Serialize};

pub use self::tui::leave_terminal;
pub(super) use self::view::{SeriesKind, ShownSeries};

use self::plain::PlainRenderer;
use self::silent::Silent;
use self::tui::TuiRenderer;
use self::view::View;
use super::session::StopFlag;

/// Which dashboard a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dashboard {
    /// Scores, losses and their curves on the whole terminal.
    Tui,
    /// A line every few updates on standard error.
    Plain,
    /// Nothing.
    None,
}

/// What a dashboard is told of the run that it shows.
pub(super) struct ShownRun {
    /// Path of the run's folder.
    pub(super) run: String,
    /// What is shown, the most important first.
    pub(super) series: Vec<ShownSeries>,
    /// Set where the user asks the dashboard to stop the run.
    pub(super) stop: StopFlag,
}

impl Dashboard {
    /// Gives a training this dashboard.
    pub(super) fn attach<LC: LearningComponentsTypes>(
        self,
        training: SupervisedTraining<LC>,
        shown: ShownRun,
    ) -> SupervisedTraining<LC> {
        let view = View::new(shown.series);
        match self {
            Dashboard::Tui => training.renderer(TuiRenderer::new(view, shown.run, shown.stop)),
            Dashboard::Plain => training.renderer(PlainRenderer::new(view)),
            Dashboard::None => training.renderer(Silent),
        }
    }
}
