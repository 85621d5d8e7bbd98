//! One task an update, drawn by size: proportional, tempered and annealed sampling.

use bertram_core::seed::mix;
use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha8Rng;

use super::{EpochContext, Part, Schedule, Update, task_groups};

/// Each update belongs to one task, drawn with probability in proportion to `size^exponent`. A task's batches come in
/// order, and from the first again when they are used up; an epoch has as many updates as there are batches.
///
/// Exponent 1 is proportional sampling, `1 / T` temperature sampling (T5: Raffel et al. 2020, section 3.5.2,
/// <https://arxiv.org/abs/1910.10683>), 0 draws every task alike.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// The exponent of this epoch.
    pub exponent: f64,
    /// Batches whose mean gradient makes one update.
    pub accumulate: usize,
}

/// Annealed sampling: `1 - 0.8 (e - 1) / (E - 1)` in epoch `e` of `E`, so that the tasks are drawn more and more alike
/// (Stickland & Murray 2019, section 4.1, <https://arxiv.org/abs/1902.02671>).
pub fn annealed_exponent(epoch: usize, epochs: usize) -> f64 {
    let done = epoch.saturating_sub(1) as f64 / epochs.saturating_sub(1).max(1) as f64;
    1.0 - 0.8 * done
}

/// Numbers in proportion to `size^exponent`. At low temperatures the powers themselves leave the numbers: then they are
/// those of the sizes' shares of the largest.
fn powers(sizes: &[f64], exponent: f64) -> Vec<f64> {
    let of = |unit: f64| -> Vec<f64> {
        let shares = sizes.iter().map(|size| size / unit);
        shares.map(|share| share.powf(exponent)).collect()
    };
    let powers = of(1.0);
    if powers.iter().sum::<f64>().is_finite() {
        return powers;
    }
    of(sizes.iter().copied().fold(1.0, f64::max))
}

impl Schedule for Sampled {
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update> {
        let tasks = task_groups(context.sizes, self.accumulate);
        let sizes: Vec<f64> = tasks
            .iter()
            .map(|(_, groups)| groups.len() as f64)
            .collect();
        // Only an empty list has no distribution: every task here has a batch, and the largest a positive weight.
        let Ok(distribution) = WeightedIndex::new(powers(&sizes, self.exponent)) else {
            return Vec::new();
        };
        let updates: usize = tasks.iter().map(|(_, groups)| groups.len()).sum();
        let mut rng = ChaCha8Rng::seed_from_u64(mix(context.seed, context.epoch as u64));
        let mut taken = vec![0; tasks.len()];
        (0..updates)
            .map(|_| {
                let drawn = distribution.sample(&mut rng);
                let (task, groups) = &tasks[drawn];
                let batches = groups[taken[drawn] % groups.len()].clone();
                taken[drawn] += 1;
                Update::new(vec![Part {
                    task: *task,
                    batches,
                }])
            })
            .collect()
    }

    fn takes_several_tasks(&self) -> bool {
        false
    }
}

/// [`Sampled`] with the [`annealed_exponent`] of each epoch.
#[derive(Clone, Copy, Debug)]
pub struct Annealed {
    /// Batches whose mean gradient makes one update.
    pub accumulate: usize,
}

impl Schedule for Annealed {
    fn epoch(&self, context: &EpochContext<'_>) -> Vec<Update> {
        let sampled = Sampled {
            exponent: annealed_exponent(context.epoch, context.epochs),
            accumulate: self.accumulate,
        };
        sampled.epoch(context)
    }

    fn takes_several_tasks(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_temperature_gives_a_distribution() {
        assert_eq!(powers(&[2.0, 3.0], 2.0), [4.0, 9.0]);
        for exponent in [0.0, 1e-9, 1e3, 1e300] {
            let powers = powers(&[10.0, 2000.0, 150.0], exponent);
            assert!(WeightedIndex::new(&powers).is_ok(), "{powers:?}");
        }
    }
}
