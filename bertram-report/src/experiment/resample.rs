//! How far estimates move when seeds are left out or drawn anew.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::effects::EffectOptions;
use crate::statistics::{Interval, percentiles};

/// Standard errors of leaving out each of `n` seeds in turn; none when an effect hangs on a single seed.
pub(super) fn jackknife(
    n: usize,
    estimates: &[f64],
    estimate: impl Fn(&[f64]) -> Option<Vec<f64>>,
) -> Option<Vec<f64>> {
    if n < 2 {
        return None;
    }
    let mut squares = vec![0.0; estimates.len()];
    for left_out in 0..n {
        let mut weights = vec![1.0; n];
        weights[left_out] = 0.0;
        let without = estimate(&weights)?;
        for (square, (without, all)) in squares.iter_mut().zip(without.iter().zip(estimates)) {
            *square += (without - all).powi(2);
        }
    }
    let scale = (n - 1) as f64 / n as f64;
    Some(
        squares
            .iter()
            .map(|square| (scale * square).sqrt())
            .collect(),
    )
}

/// Percentile intervals over draws of `n` seeds with replacement.
pub(super) fn bootstrap(
    n: usize,
    effects: usize,
    options: &EffectOptions,
    estimate: impl Fn(&[f64]) -> Option<Vec<f64>>,
) -> Option<Vec<Interval>> {
    if n < 2 || options.resamples == 0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    // Few seeds make few different draws (10 of three seeds): each is computed once.
    let mut draws: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for _ in 0..options.resamples {
        let mut counts = vec![0; n];
        for _ in 0..n {
            counts[rng.random_range(0..n)] += 1;
        }
        *draws.entry(counts).or_default() += 1;
    }
    let draws: Vec<(Vec<f64>, usize)> = draws
        .into_iter()
        .filter_map(|(counts, times)| {
            let weights: Vec<f64> = counts.into_iter().map(f64::from).collect();
            Some((estimate(&weights)?, times))
        })
        .collect();
    let total: usize = draws.iter().map(|(_, times)| times).sum();
    if 2 * total < options.resamples {
        return None;
    }
    let interval = |effect: usize| {
        let values = draws.iter();
        let values = values.map(|(estimates, times)| (estimates[effect], *times));
        percentiles(values.collect(), options.confidence)
    };
    Some((0..effects).map(interval).collect())
}
