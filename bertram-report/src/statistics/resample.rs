//! Intervals and p-values by resampling, from a seed.

use bertram_core::seed::mix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A range of plausible values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Half of its width: how far off an estimate may be.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether a value lies in it, its ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// What is drawn from: the rows of a split, or the seeds that a model was trained from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// How many there are.
    pub count: usize,
    /// Number of their stream of random numbers. Units of another number are drawn apart from these; the draws do not depend
    /// on what else is drawn beside them.
    pub stream: u64,
}

/// How often is drawn, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Draws.
    pub resamples: usize,
    /// Probability that an interval covers the truth, between 0 and 1.
    pub confidence: f64,
    /// Seed of the draws: the same seed gives the same result, on any number of threads.
    pub seed: u64,
}

impl Default for Resampling {
    /// 10,000 draws, 95 % intervals, seed 0.
    fn default() -> Self {
        Self {
            resamples: 10_000,
            confidence: 0.95,
            seed: 0,
        }
    }
}

impl Resampling {
    /// Percentile intervals by the bootstrap; none of no draws.
    ///
    /// Each draw takes as many units as there are with replacement, of each of `units` apart from the others. `statistics` gets
    /// the drawn units, a list each, and gives as many numbers each time; what comes back is an interval for each of them. A
    /// number is best a *difference* of two systems on the same drawn rows: this is the paired bootstrap (Koehn 2004). With
    /// the rows and the seeds as two units it is that of a table which they cross (Owen 2007): all seeds see the same drawn
    /// rows, as they are scored on the same ones.
    pub fn bootstrap(
        &self,
        units: &[Units],
        statistics: impl Fn(&[Vec<usize>]) -> Vec<f64> + Sync,
    ) -> Vec<Interval> {
        let draws = self.draws(units, |count, rng| {
            (0..count).map(|_| rng.random_range(0..count)).collect()
        });
        let drawn: Vec<Vec<f64>> = draws.map(|draw| statistics(&draw)).collect();
        let numbers = drawn.first().map_or(0, Vec::len);
        let interval = |number: usize| {
            let values = drawn.iter().map(|drawn| (drawn[number], 1)).collect();
            percentiles(values, self.confidence)
        };
        (0..numbers).map(interval).collect()
    }

    /// Two-sided p-values by approximate randomisation (Noreen 1989).
    ///
    /// If two systems are equally good, it does not matter which of them has said what of a row. Each draw exchanges them in
    /// about half of the rows: `differences` gets for each of `units` which rows those are, and gives as many differences as
    /// there are `observed` ones. A p-value is the share of draws whose difference is as large as the observed one, in either
    /// direction, the observed one counted among them.
    pub fn randomisation(
        &self,
        units: &[Units],
        observed: &[f64],
        differences: impl Fn(&[Vec<bool>]) -> Vec<f64> + Sync,
    ) -> Vec<f64> {
        // What is equal but for rounding is as large.
        const ROUNDING: f64 = 1e-12;
        let draws = self.draws(units, |count, rng| {
            (0..count).map(|_| rng.random::<bool>()).collect()
        });
        let as_large = draws
            .map(|draw| {
                let drawn = differences(&draw);
                let pairs = drawn.iter().zip(observed);
                pairs
                    .map(|(drawn, observed)| u64::from(drawn.abs() >= observed.abs() - ROUNDING))
                    .collect::<Vec<u64>>()
            })
            .reduce(
                || vec![0; observed.len()],
                |one, other| one.iter().zip(&other).map(|(a, b)| a + b).collect(),
            );
        let share = |count: u64| (count + 1) as f64 / (self.resamples + 1) as f64;
        as_large.into_iter().map(share).collect()
    }

    /// What `draw` draws of each of the units, for each resample. A resample's numbers do not depend on the others, and so not
    /// on the threads.
    fn draws<'a, T: Send + 'a>(
        &'a self,
        units: &'a [Units],
        draw: fn(usize, &mut ChaCha8Rng) -> Vec<T>,
    ) -> impl ParallelIterator<Item = Vec<Vec<T>>> + 'a {
        (0..self.resamples).into_par_iter().map(move |resample| {
            let of = |units: &Units| {
                let seed = mix(mix(self.seed, units.stream), resample as u64);
                draw(units.count, &mut ChaCha8Rng::seed_from_u64(seed))
            };
            units.iter().map(of).collect()
        })
    }
}

/// The percentile interval of values, each with how many times it was drawn: from either end the first value that has at least
/// the share of one tail up to and with it. `NaN` of no values.
pub(crate) fn percentiles(mut values: Vec<(f64, usize)>, confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    let total: usize = values.iter().map(|(_, times)| times).sum();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    Interval {
        low: tail_value(values.iter(), tail, total),
        high: tail_value(values.iter().rev(), tail, total),
    }
}

/// The first value, from one end, that has at least the share `tail` of all draws up to and with it.
fn tail_value<'a>(
    mut values: impl Iterator<Item = &'a (f64, usize)>,
    tail: f64,
    total: usize,
) -> f64 {
    let mut seen = 0;
    let found = values.find(|(_, times)| {
        seen += times;
        seen as f64 >= tail * total as f64
    });
    // All draws together reach any share, so that one is found.
    found.map_or(f64::NAN, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn few() -> Resampling {
        Resampling {
            resamples: 400,
            ..Resampling::default()
        }
    }

    fn units(count: usize) -> [Units; 1] {
        [Units { count, stream: 7 }]
    }

    /// The mean difference of pairs, by the bootstrap and by randomisation.
    fn of(first: &[f64], second: &[f64]) -> (Interval, f64) {
        let rows = first.len();
        let mean = |difference: &dyn Fn(usize) -> f64, rows: &[usize]| {
            rows.iter().map(|row| difference(*row)).sum::<f64>() / rows.len() as f64
        };
        let plain = |row: usize| second[row] - first[row];
        let intervals = few().bootstrap(&units(rows), |drawn| vec![mean(&plain, &drawn[0])]);
        let all: Vec<usize> = (0..rows).collect();
        let observed = mean(&plain, &all);
        let p = few().randomisation(&units(rows), &[observed], |exchanged| {
            let sign = |row: usize| if exchanged[0][row] { -1.0 } else { 1.0 };
            vec![mean(&|row| sign(row) * plain(row), &all)]
        });
        (intervals[0], p[0])
    }

    #[test]
    fn percentiles_count_from_both_ends() {
        let values: Vec<(f64, usize)> = (0..100).map(|value| (f64::from(value), 1)).collect();
        let interval = percentiles(values, 0.9);
        // 5 % are the first five.
        assert_eq!((interval.low, interval.high), (4.0, 95.0));
        assert!(interval.contains(95.0) && !interval.contains(95.1));
        assert_eq!(interval.half_width(), 45.5);
    }

    #[test]
    fn draws_depend_on_the_seed_and_the_stream_alone() {
        let sum = |resampling: Resampling, units: &[Units]| {
            let of = |drawn: &[Vec<usize>]| vec![drawn[0].iter().sum::<usize>() as f64];
            resampling.bootstrap(units, of)[0]
        };
        let [one] = units(30);
        let other = Units { stream: 8, ..one };
        let here = sum(few(), &[one]);
        assert_eq!(here, sum(few(), &[one, other]));
        assert_ne!(here, sum(few(), &[other]));
        assert_ne!(here, sum(Resampling { seed: 1, ..few() }, &[one]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn equal_systems_do_not_differ(numbers in prop::collection::vec(-1.0..1.0f64, 1..40)) {
            let (interval, p) = of(&numbers, &numbers);
            prop_assert_eq!((interval.low, interval.high, p), (0.0, 0.0, 1.0));
        }

        #[test]
        fn exchanged_systems_negate(pairs in prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64), 2..40)) {
            let (first, second): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (here, p) = of(&first, &second);
            let (there, other) = of(&second, &first);
            prop_assert_eq!((here.low, here.high), (-there.high, -there.low));
            prop_assert_eq!(p, other);
            prop_assert!(p > 0.0 && p <= 1.0);
        }
    }
}
