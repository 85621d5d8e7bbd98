//! Matrices in blocks of rows: what a thread takes at once.

use rayon::prelude::*;

use super::simd::vectorised;

/// Elements of a block: enough to outweigh handing it to a thread, little enough for a thread's cache.
const BLOCK: usize = 16 * 1024;

/// Rows of a block, for rows of a width. It does not depend on the number of threads: sums over blocks, added up in
/// order, are the same on any machine.
pub(super) fn block_rows(width: usize) -> usize {
    (BLOCK / width.max(1)).max(1)
}

/// Adds partial sums, block by block.
pub(super) fn add_up(parts: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            *total += part;
        }
    }
    total
}

/// The sum of each column.
pub(super) fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let parts = values
        .par_chunks(block_rows(width) * width)
        .map(|block| {
            let mut sums = vec![0.0; width];
            add_rows(&mut sums, block);
            sums
        })
        .collect();
    add_up(parts, width)
}

vectorised! {
fn add_rows(sums: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
}

/// Adds a bias to every row.
pub(super) fn add_bias(values: &mut [f32], bias: &[f32]) {
    values
        .par_chunks_mut(block_rows(bias.len()) * bias.len())
        .for_each(|block| add_bias_to_rows(block, bias));
}

vectorised! {
fn add_bias_to_rows(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}
}
