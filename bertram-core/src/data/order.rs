//! Which rows an epoch sees, and in which batches: pure functions of a seed.

use rand::SeedableRng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

/// Batches whose rows are sorted by length together. Large enough that little padding is left, small enough that an
/// epoch's batches stay random.
const POOL: usize = 50;

/// `count` distinct rows of `rows`, drawn by `seed`; all rows, in order, where there are no more.
pub fn sample_rows(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    if count >= rows {
        return (0..rows).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    index::sample(&mut rng, rows, count).into_vec()
}

/// Cuts the rows whose lengths are given into batches; every row is in one batch.
///
/// With `shuffle`, the order follows from `(seed, epoch)`. With `buckets`, rows of like length share a batch: shuffled
/// rows are sorted by length within pools of fifty batches, cut, and the batches are shuffled.
pub fn epoch_batches(
    lengths: &[usize],
    batch_size: usize,
    seed: u64,
    epoch: usize,
    shuffle: bool,
    buckets: bool,
) -> Vec<Vec<usize>> {
    let batch_size = batch_size.max(1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // An epoch is a stream of its own: neighbouring epochs share nothing.
    rng.set_stream(epoch as u64);
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    if shuffle {
        rows.shuffle(&mut rng);
    }
    if buckets {
        for pool in rows.chunks_mut(batch_size * POOL) {
            pool.sort_by_key(|&row| lengths[row]);
        }
    }
    let mut batches: Vec<Vec<usize>> = rows.chunks(batch_size).map(<[usize]>::to_vec).collect();
    if shuffle && buckets {
        batches.shuffle(&mut rng);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_once_and_the_same_again(
            lengths in prop::collection::vec(2usize..60, 0..300),
            batch_size in 1usize..17,
            seed: u64,
            epoch in 1usize..9,
            shuffle: bool,
            buckets: bool,
        ) {
            let batches = epoch_batches(&lengths, batch_size, seed, epoch, shuffle, buckets);
            let mut rows: Vec<usize> = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert!(batches.iter().all(|batch| (1..=batch_size).contains(&batch.len())));
            prop_assert_eq!(batches, epoch_batches(&lengths, batch_size, seed, epoch, shuffle, buckets));
        }

        #[test]
        fn a_sample_is_distinct(rows in 0usize..200, count in 0usize..250, seed: u64) {
            let mut sample = sample_rows(rows, count, seed);
            prop_assert_eq!(sample.len(), count.min(rows));
            sample.sort_unstable();
            sample.dedup();
            prop_assert_eq!(sample.len(), count.min(rows));
        }
    }

    #[test]
    fn epochs_differ_and_buckets_save_padding() {
        let lengths: Vec<usize> = (0..1000).map(|row| 5 + (row * 7919) % 60).collect();
        let padded = |batches: &[Vec<usize>]| -> usize {
            batches
                .iter()
                .map(|batch| batch.len() * batch.iter().map(|&row| lengths[row]).max().unwrap_or(0))
                .sum()
        };
        let plain = epoch_batches(&lengths, 8, 1, 1, true, false);
        let bucketed = epoch_batches(&lengths, 8, 1, 1, true, true);
        assert!(padded(&bucketed) * 10 < padded(&plain) * 7);
        assert_ne!(bucketed, epoch_batches(&lengths, 8, 1, 2, true, true));
    }
}
