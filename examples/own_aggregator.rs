//! An aggregator of one's own, in place of the config's: it merges the gradients of an update's tasks.
//!
//!     cargo run -p bertram-examples --example own_aggregator

use bertram_examples::{TINY, begin, complete};
use bertram_train::aggregator::{GradientAggregator, Gram, StepRng};
use bertram_train::config::Settings;

/// Brings all gradients to their mean length, which it follows over updates, so that no task drowns the others.
#[derive(Default)]
struct EqualLengths {
    length: Option<f64>,
}

impl GradientAggregator for EqualLengths {
    /// It sees the gradients' inner products alone, and says by what each is multiplied before they are added.
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        let lengths: Vec<f64> = (0..gram.tasks()).map(|task| gram.norm(task)).collect();
        let mean = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
        let length = 0.9 * self.length.unwrap_or(mean) + 0.1 * mean;
        self.length = Some(length);
        let weight = |own: &f64| if *own > 0.0 { length / own } else { 1.0 };
        lengths.iter().map(weight).collect()
    }

    /// What a checkpoint keeps: a run that is resumed goes on as if it had never stopped.
    fn state(&self) -> Vec<f64> {
        self.length.into_iter().collect()
    }

    fn restore(&mut self, state: &[f64]) {
        self.length = state.first().copied();
    }
}

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = Settings::from_text("the example", TINY, &[])?;
    let mut session = begin(settings, folder.path())?;
    session.methods.aggregator = Box::new(EqualLengths::default());
    complete(session)
}
