//! Learning-rate schedules as pure functions of the update's number, so that resuming needs no state.

use serde::{Deserialize, Serialize};

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LrSchedule {
    /// Stays at its peak.
    Constant,
    /// Falls to zero along a line.
    Linear,
    /// Falls to zero along half a cosine.
    Cosine,
}

/// A schedule for a whole run: linear warm-up, then the chosen shape
/// (as `transformers.get_{constant,linear,cosine}_schedule_with_warmup`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRateSchedule {
    shape: LrSchedule,
    warmup_updates: usize,
    total_updates: usize,
}

impl LearningRateSchedule {
    /// A schedule of `total_updates`, the first `warmup` share of which (0 to 1) rises from zero.
    pub fn new(shape: LrSchedule, warmup: f64, total_updates: usize) -> Self {
        Self {
            shape,
            warmup_updates: (warmup * total_updates as f64).ceil() as usize,
            total_updates,
        }
    }

    /// Share of the peak learning rate that update number `update` (counted from 0) is made with.
    pub fn factor(&self, update: usize) -> f64 {
        if update < self.warmup_updates {
            // `+ 1`: the first update is made with a small rate, and not wasted on none at all.
            return (update + 1) as f64 / (self.warmup_updates + 1) as f64;
        }
        let span = self
            .total_updates
            .saturating_sub(self.warmup_updates)
            .max(1);
        let progress = ((update - self.warmup_updates) as f64 / span as f64).min(1.0);
        match self.shape {
            LrSchedule::Constant => 1.0,
            LrSchedule::Linear => 1.0 - progress,
            LrSchedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shapes_at_their_corners() {
        let linear = LearningRateSchedule::new(LrSchedule::Linear, 0.1, 100);
        assert!((linear.factor(0) - 1.0 / 11.0).abs() < 1e-12);
        assert!((linear.factor(10) - 1.0).abs() < 1e-12);
        assert!((linear.factor(55) - 0.5).abs() < 1e-12);
        assert_eq!(linear.factor(100), 0.0);
        let cosine = LearningRateSchedule::new(LrSchedule::Cosine, 0.0, 100);
        assert!((cosine.factor(50) - 0.5).abs() < 1e-12);
        assert_eq!(
            LearningRateSchedule::new(LrSchedule::Constant, 0.0, 10).factor(999),
            1.0
        );
    }

    proptest! {
        #[test]
        fn between_zero_and_one(update in 0usize..500, warmup in 0.0f64..=1.0, total in 1usize..300) {
            for shape in [LrSchedule::Constant, LrSchedule::Linear, LrSchedule::Cosine] {
                let factor = LearningRateSchedule::new(shape, warmup, total).factor(update);
                prop_assert!((0.0..=1.0).contains(&factor));
            }
        }
    }
}
