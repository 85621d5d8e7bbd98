//! Ablations: which runs to make, and what each change was worth.
//!
//! [`full_factorial`] and [`half_fraction`] give the cells of a grid of changes; [`effects()`] takes
//! what the runs scored and gives main effects and two-way interactions with intervals over seeds.

pub mod effects;
pub mod grid;

mod blocks;
mod contrast;
mod resample;
#[cfg(test)]
mod tests;

pub use effects::{Effect, EffectOptions, EffectsError, IntervalMethod, Observation, effects};
pub use grid::{Cell, Design, Factor, GridError, full_factorial, half_fraction};

pub use crate::statistics::Interval;
