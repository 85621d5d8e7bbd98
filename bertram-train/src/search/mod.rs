//! Search in a space of configs: which trial comes next, and what is known of those there are.
//!
//! What a trial draws is [`SearchSpace`](crate::config::SearchSpace)'s; runs are made by whoever searches. Here is what it
//! decides by: [`Halving`] is a pure function of the scores so far, [`EpochScores`] reads those from a run's folder, and
//! [`SearchRecord`] is what a search writes beside its trials, for those who report on it.

mod halving;
mod record;
mod scores;

pub use halving::{Decision, Halving, TrialProgress, rungs};
pub use record::{SearchRecord, SearchedKey, TrialRecord, TrialState};
pub use scores::EpochScores;
