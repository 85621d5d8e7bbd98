//! Which rows an epoch sees, and in which batches: pure functions of a seed. And the batches of a pass over a whole split.

use rand::SeedableRng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

/// Batches whose rows are sorted by length together. Large enough that little padding is left, small enough that an
/// epoch's batches stay random.
const POOL: usize = 50;

/// Most tokens, padding counted, up to which a batch takes more rows than its batch size. Chosen from single
/// runs on a busy machine; docs/src/performance.md has what is known of it.
const FULL_BATCH: usize = 4096;

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
    let (mut rows, mut rng) = ordered(lengths.len(), seed, epoch, shuffle);
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

/// As [`epoch_batches`], with at most `budget` tokens in a batch in place of a number of rows: a batch takes rows in the epoch's
/// order until the next would be too much. A row of more tokens is a batch of its own. `tokens` are what each row has of them,
/// `lengths` what rows are sorted by in `buckets`.
///
/// Every other pool is sorted the other way round, so that the rows of a batch that goes over the end of a pool are alike, too:
/// padding is not counted, and a batch of short rows beside a long one would be much larger than its budget.
pub fn epoch_token_batches(
    lengths: &[usize],
    tokens: &[usize],
    budget: usize,
    seed: u64,
    epoch: usize,
    shuffle: bool,
    buckets: bool,
) -> Vec<Vec<usize>> {
    let (mut rows, mut rng) = ordered(lengths.len(), seed, epoch, shuffle);
    if buckets {
        let pools = cut(&rows, tokens, budget.saturating_mul(POOL)).into_iter();
        rows = pools
            .enumerate()
            .flat_map(|(number, mut pool)| {
                pool.sort_by_key(|&row| lengths[row]);
                if number % 2 == 1 {
                    pool.reverse();
                }
                pool
            })
            .collect();
    }
    let mut batches = cut(&rows, tokens, budget);
    if shuffle && buckets {
        batches.shuffle(&mut rng);
    }
    batches
}

/// The rows of an epoch in its order, and the generator that made it.
fn ordered(rows: usize, seed: u64, epoch: usize, shuffle: bool) -> (Vec<usize>, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // An epoch is a stream of its own: neighbouring epochs share nothing.
    rng.set_stream(epoch as u64);
    let mut rows: Vec<usize> = (0..rows).collect();
    if shuffle {
        rows.shuffle(&mut rng);
    }
    (rows, rng)
}

/// Rows in their order, in pieces of as many as have `budget` tokens together, one at the least.
fn cut(rows: &[usize], tokens: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for &row in rows {
        match pieces.last_mut() {
            Some(piece) if tokens[row] <= room => piece.push(row),
            _ => {
                pieces.push(vec![row]);
                room = budget;
            }
        }
        room = room.saturating_sub(tokens[row]);
    }
    pieces
}

/// Cuts the rows whose lengths are given into batches for a pass over all of them, without an order to learn in: rows are
/// sorted by length, so that little padding is computed; every row is in one batch.
///
/// A batch has `batch_size` rows, and more while `rows * longest` stays within what such a batch of the longest rows has
/// (so memory does not grow) and within 4096 tokens. So short rows, which leave
/// cores idle, go through the model many at a time. Only the last batch may have fewer than `batch_size` rows.
///
/// With `fixed_rows` every batch but the last has `batch_size` rows: a GPU compiles kernels for each shape that it meets,
/// and a number of rows that hangs on the lengths would be a new shape for almost every batch.
pub fn batches_by_length(
    lengths: &[usize],
    batch_size: usize,
    fixed_rows: bool,
) -> Vec<Vec<usize>> {
    let batch_size = batch_size.max(1);
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    // Stable: equal lengths stay in the order of the rows.
    rows.sort_by_key(|&row| lengths[row]);
    let longest = rows.last().map_or(0, |&row| lengths[row]);
    let budget = match fixed_rows {
        true => 0,
        false => batch_size.saturating_mul(longest).min(FULL_BATCH),
    };
    let mut batches = Vec::new();
    let mut left = rows.as_slice();
    while !left.is_empty() {
        let mut count = batch_size.min(left.len());
        while count < left.len() && (count + 1).saturating_mul(lengths[left[count]]) <= budget {
            count += 1;
        }
        let (batch, rest) = left.split_at(count);
        batches.push(batch.to_vec());
        left = rest;
    }
    batches
}

/// What was computed batch by batch, in the order of the rows. `outputs` has a row's after the other's, as they lie in the
/// `batches`, which have each row once.
pub fn in_order_of_rows<T: Clone + Default>(
    batches: &[Vec<usize>],
    outputs: impl IntoIterator<Item = T>,
) -> Vec<T> {
    let mut ordered = vec![T::default(); batches.iter().map(Vec::len).sum()];
    for (&row, output) in batches.iter().flatten().zip(outputs) {
        ordered[row] = output;
    }
    ordered
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
        fn token_batches_have_every_row_once_and_keep_the_budget(
            rows in prop::collection::vec((2usize..60, 0usize..60), 0..300),
            budget in 1usize..400,
            seed: u64,
            epoch in 1usize..9,
            shuffle: bool,
            buckets: bool,
        ) {
            let lengths: Vec<usize> = rows.iter().map(|(length, _)| *length).collect();
            // A second sentence that is no longer than the first, or none.
            let tokens: Vec<usize> = rows.iter().map(|(length, more)| length + more.min(length)).collect();
            let plan = || epoch_token_batches(&lengths, &tokens, budget, seed, epoch, shuffle, buckets);
            let batches = plan();
            prop_assert_eq!(&batches, &plan());
            let mut all: Vec<usize> = batches.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows.len()).collect::<Vec<_>>());
            let size = |batch: &[usize]| -> usize { batch.iter().map(|&row| tokens[row]).sum() };
            for batch in &batches {
                prop_assert!(size(batch) <= budget || batch.len() == 1, "{} in {:?}", size(batch), batch);
            }
            // In the order in which they were cut, no batch had room for the next one's first row.
            if !(shuffle && buckets) {
                for pair in batches.windows(2) {
                    prop_assert!(size(&pair[0]) + tokens[pair[1][0]] > budget);
                }
            }
        }

        #[test]
        fn batches_by_length_have_every_row_once_and_keep_the_budget(
            lengths in prop::collection::vec(2usize..600, 0..400),
            batch_size in 1usize..40,
            fixed_rows: bool,
        ) {
            let batches = batches_by_length(&lengths, batch_size, fixed_rows);
            let order = batches.concat();
            prop_assert!(order.is_sorted_by_key(|&row| (lengths[row], row)));
            let outputs = order.iter().map(|&row| Some(row));
            let rows: Vec<Option<usize>> = (0..lengths.len()).map(Some).collect();
            prop_assert_eq!(in_order_of_rows(&batches, outputs), rows);

            let longest = lengths.iter().copied().max().unwrap_or(0);
            for (index, batch) in batches.iter().enumerate() {
                let last = index + 1 == batches.len();
                prop_assert!(!batch.is_empty() && (last || batch.len() >= batch_size));
                prop_assert!(!fixed_rows || batch.len() <= batch_size);
                let padded = |rows: usize, row: usize| rows * lengths[row];
                let tokens = padded(batch.len(), batch[batch.len() - 1]);
                prop_assert!(tokens <= batch_size * longest);
                prop_assert!(batch.len() <= batch_size || tokens <= FULL_BATCH);
                // One more row would have been too many.
                if let (false, Some(next)) = (fixed_rows, batches.get(index + 1)) {
                    let more = padded(batch.len() + 1, next[0]);
                    prop_assert!(more > FULL_BATCH.min(batch_size * longest));
                }
            }
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
    fn short_rows_share_larger_batches() {
        let lengths: Vec<usize> = (0..320)
            .map(|row| if row % 10 == 0 { 64 } else { 8 })
            .collect();
        let sizes = |fixed_rows| -> Vec<usize> {
            let batches = batches_by_length(&lengths, 16, fixed_rows);
            batches.iter().map(Vec::len).collect()
        };
        // Of the short ones 128 are as many tokens as 16 of the long ones.
        assert_eq!(sizes(false), [128, 128, 32, 16, 16]);
        assert_eq!(sizes(true), [16; 20]);
    }

    #[test]
    fn token_batches_of_like_length_have_little_padding() {
        let lengths: Vec<usize> = (0..5000).map(|row| 5 + (row * 7919) % 60).collect();
        let budget = 256;
        let batches = epoch_token_batches(&lengths, &lengths, budget, 1, 1, true, true);
        assert_ne!(
            batches,
            epoch_token_batches(&lengths, &lengths, budget, 1, 2, true, true)
        );
        let padded = |batch: &Vec<usize>| {
            let longest = batch.iter().map(|&row| lengths[row]).max();
            batch.len() * longest.unwrap_or(0)
        };
        let most = batches.iter().map(padded).max().unwrap_or(0);
        assert!(most < 2 * budget, "{most}");
        let all: usize = batches.iter().map(padded).sum();
        let tokens: usize = lengths.iter().sum();
        assert!(all * 100 < tokens * 110, "{all} for {tokens}");
        // Hardly a batch is much smaller than its budget.
        assert!(batches.len() <= tokens.div_ceil(budget - 64));
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
