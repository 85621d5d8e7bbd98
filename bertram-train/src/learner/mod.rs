//! The training loop, inside Burn's `SupervisedTraining`.
//!
//! Burn supplies the event pipeline; the dashboards are renderers of it. The loop itself is ours, a
//! [`burn::train::SupervisedLearningStrategy`]: Burn's own has one loss a batch and one optimiser, averages metrics over batches, and
//! checkpoints at epoch ends only. `docs/src/decisions.md` says more.

mod burn_parts;
mod dashboard;
mod series;
mod session;
mod surgery;
mod train_loop;
mod window;

pub use dashboard::{Dashboard, leave_terminal};
pub use session::{Outcome, StopFlag, TrainError, TrainingSession, train};
