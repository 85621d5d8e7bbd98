//! The optimiser: the course's AdamW, learning-rate schedules, and clipping by the global norm.

mod adamw;
mod clip;
mod learning_rate;
mod module_rates;

pub use adamw::{AdamW, AdamWConfig, AdamWState, DecayedParameters};
pub use clip::{global_norm, gradient_factor, scale_gradients};
pub use learning_rate::{LearningRateSchedule, LrSchedule};
pub use module_rates::ModuleRates;
