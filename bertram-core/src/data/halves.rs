//! Two halves of a set of rows: what chooses, and what is scored.

use crate::seed::mix;

/// The seed of halves where nobody names one. With it those of a run's own scores, of an ensemble and of a calibration are the
/// same rows.
pub const PARTS_SEED: u64 = 0;

/// The positions of `rows` rows in two halves, each in ascending order; of an odd number the first half has one more.
///
/// A number that was chosen on the rows that it is scored on (an epoch, weights of an ensemble, a temperature) is too high.
/// So one half chooses and the other is scored, both ways, and the mean of the two scores is given (two-fold
/// cross-validation; Stone 1974).
pub fn halves(rows: usize, seed: u64) -> [Vec<usize>; 2] {
    two_parts(rows, rows.div_ceil(2), seed)
}

/// As [`halves`], with so many rows in the first part.
///
/// Which row is in which part follows from its position, the number of rows and the seed alone: the rows with the smallest
/// `mix(seed, position)` are in the first one. It is the same on any machine and in any version.
pub fn two_parts(rows: usize, first: usize, seed: u64) -> [Vec<usize>; 2] {
    let mut drawn: Vec<usize> = (0..rows).collect();
    // Two positions have the same number never: `mix` is a bijection in each of its arguments.
    drawn.sort_unstable_by_key(|row| mix(seed, *row as u64));
    let mut second = drawn.split_off(first.min(rows));
    drawn.sort_unstable();
    second.sort_unstable();
    [drawn, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_half_and_halves_stay_what_they_are() {
        for rows in 0..40 {
            let [first, second] = halves(rows, 3);
            assert_eq!(first.len(), rows.div_ceil(2));
            assert!(first.is_sorted() && second.is_sorted());
            let mut all = [first, second].concat();
            all.sort_unstable();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
        // By tests/golden/ensembles/export.py, which has the rule once more: numbers that were scored by these halves must
        // not change.
        let [first, second] = halves(11, 0);
        assert_eq!(first, FIRST);
        assert_eq!(second, SECOND);
        assert_ne!(halves(100, 0), halves(100, 1));
    }

    const FIRST: [usize; 6] = [2, 4, 5, 6, 8, 10];
    const SECOND: [usize; 5] = [0, 1, 3, 7, 9];
}
