//! Which training rows of a task an epoch takes, and in which order the sentences of a pair come: pure functions of seed, epoch
//! and row.

use bertram_core::data::sample_rows;
use bertram_core::seed::mix;

use crate::config::LimitDraw;
use crate::corpus::TaskData;
use crate::label_shares::shared_rows;

// Streams of a task's seed beside those of its epochs, which are numbered below these.
const SWAP_STREAM: u64 = 0x5357_4150;
const SHARES_STREAM: u64 = 0x5348_4152;

/// The rows of an epoch, before they are shuffled. `seed` is the task's.
pub(crate) fn epoch_rows(task: &TaskData, seed: u64, epoch: usize) -> Vec<usize> {
    let draw = match task.draw {
        LimitDraw::Fixed => 0,
        LimitDraw::Fresh => epoch as u64,
    };
    let seed = mix(seed, draw);
    let rows = match (&task.label_shares, &task.train.labels) {
        (Some(shares), Some(labels)) => shared_rows(shares, labels, mix(seed, SHARES_STREAM)),
        _ => (0..task.train.len()).collect(),
    };
    match task.limit {
        Some(limit) if limit < rows.len() => {
            let places = sample_rows(rows.len(), limit, seed).into_iter();
            places.map(|place| rows[place]).collect()
        }
        _ => rows,
    }
}

/// The seed of an epoch's [`is_swapped`], of the task's.
pub(crate) fn swap_seed(seed: u64, epoch: usize) -> u64 {
    mix(mix(seed, SWAP_STREAM), epoch as u64)
}

/// Whether the sentences of a row change places in the epoch whose [`swap_seed`] it is.
pub(crate) fn is_swapped(seed: u64, row: usize) -> bool {
    mix(seed, row as u64) & 1 == 1
}
