//! Dropout masks that are computed, not stored.
//!
//! Whether an element stays is a function of a seed and of the element's row and column, so that the backward pass finds
//! the same mask, any thread finds its part of it, and vector instructions find many elements at once. The seed is drawn
//! from the backend's random numbers: `Backend::seed` makes masks repeatable.

use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::{Distribution, Int, Tensor};

use crate::RowDropout;

/// A mask, by its seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    seed: u64,
    threshold: u32,
    scale: f32,
}

impl Mask {
    /// A mask of a seed. `prob` is the share that is dropped, in `[0, 1)`.
    pub(super) fn new(prob: f64, seed: u64) -> Self {
        Self {
            seed,
            threshold: (prob * 2f64.powi(32)) as u32,
            scale: (1.0 / (1.0 - prob)) as f32,
        }
    }

    /// A mask with a seed from the backend's random numbers; `None`, and nothing drawn, where nothing is dropped.
    pub(super) fn draw(prob: f64) -> Option<Self> {
        (prob > 0.0).then(|| {
            let words = Distribution::Uniform(f64::from(i32::MIN), f64::from(i32::MAX));
            let words = Tensor::<Flex, 1, Int>::random([2], words, &Default::default()).into_data();
            let seed = words
                .iter::<i32>()
                .fold(0, |seed, word| seed << 32 | u64::from(word.cast_unsigned()));
            Self::new(prob, seed)
        })
    }

    /// One row of it.
    #[inline(always)]
    pub(super) fn row(self, row: usize) -> RowMask {
        // The finaliser of SplitMix64 (Steele et al. 2014): every row gets 64 bits of its own.
        let mut key = self
            .seed
            .wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        key ^= key >> 31;
        RowMask {
            first: key as u32,
            second: (key >> 32) as u32,
            threshold: self.threshold,
            scale: self.scale,
        }
    }
}

/// Dropout of a matrix's rows: a mask, and what each row follows in it.
#[derive(Clone, Debug)]
pub(super) struct RowMasks {
    mask: Mask,
    keys: Option<Arc<[u32]>>,
}

impl RowMasks {
    /// With a mask of [`Mask::draw`].
    pub(super) fn draw(dropout: &RowDropout) -> Option<Self> {
        let keys = dropout.keys.clone();
        Mask::draw(dropout.prob).map(|mask| Self { mask, keys })
    }

    /// What vector loops take.
    pub(super) fn view(&self) -> RowMasksView<'_> {
        RowMasksView {
            mask: self.mask,
            keys: self.keys.as_deref(),
        }
    }
}

#[cfg(test)]
impl From<Mask> for RowMasks {
    fn from(mask: Mask) -> Self {
        Self { mask, keys: None }
    }
}

/// [`RowMasks`], borrowed.
#[derive(Clone, Copy)]
pub(super) struct RowMasksView<'a> {
    mask: Mask,
    keys: Option<&'a [u32]>,
}

impl RowMasksView<'_> {
    /// One row of it.
    #[inline(always)]
    pub(super) fn row(self, row: usize) -> RowMask {
        self.mask
            .row(self.keys.map_or(row, |keys| keys[row] as usize))
    }
}

/// A row of a [`Mask`].
#[derive(Clone, Copy)]
pub(super) struct RowMask {
    first: u32,
    second: u32,
    threshold: u32,
    scale: f32,
}

impl RowMask {
    /// What an element is multiplied by: 0, or 1 over the share that stays.
    #[inline(always)]
    pub(super) fn factor(self, column: usize) -> f32 {
        // Two rounds of a 32-bit mixer (Wellons 2018, "lowbias32"), with the second half of the row's key between them,
        // so that rows with like first halves share nothing.
        let mut bits = (column as u32)
            .wrapping_mul(0x9e37_79b1)
            .wrapping_add(self.first);
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
        bits = (bits ^ (bits >> 15) ^ self.second).wrapping_mul(0x846c_a68b);
        bits ^= bits >> 16;
        if bits >= self.threshold {
            self.scale
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 400;
    const COLUMNS: usize = 500;

    fn kept(prob: f64, seed: u64) -> Vec<bool> {
        let mask = Mask::new(prob, seed);
        (0..ROWS * COLUMNS)
            .map(|i| mask.row(i / COLUMNS).factor(i % COLUMNS) > 0.0)
            .collect()
    }

    /// How far a share of `n` draws is from its probability, in standard deviations.
    fn deviations(share: f64, prob: f64, n: usize) -> f64 {
        (share - prob) / (prob * (1.0 - prob) / n as f64).sqrt()
    }

    fn share(values: impl Iterator<Item = bool>) -> (f64, usize) {
        let (mut yes, mut all) = (0, 0);
        for value in values {
            yes += usize::from(value);
            all += 1;
        }
        (yes as f64 / all as f64, all)
    }

    #[test]
    fn the_right_share_stays_everywhere() {
        for (prob, seed) in [(0.1, 0), (0.1, 1), (0.3, u64::MAX), (0.5, 1 << 40)] {
            let kept = kept(prob, seed);
            let (all, n) = share(kept.iter().copied());
            assert!(deviations(all, 1.0 - prob, n).abs() < 4.0, "{prob}: {all}");
            for line in 0..ROWS {
                let row = &kept[line * COLUMNS..][..COLUMNS];
                let (of_row, n) = share(row.iter().copied());
                assert!(deviations(of_row, 1.0 - prob, n).abs() < 5.0, "row {line}");
                let column = kept.iter().skip(line).step_by(COLUMNS).copied();
                let (of_column, n) = share(column);
                assert!(
                    deviations(of_column, 1.0 - prob, n).abs() < 5.0,
                    "column {line}"
                );
            }
        }
        let factors = Mask::new(0.1, 3).row(0);
        assert!((0..COLUMNS).all(|c| [0.0, 1.0 / 0.9].contains(&factors.factor(c))));
        assert!(kept(0.0, 3).into_iter().all(|kept| kept));
    }

    /// Two masks, or a mask and itself moved, agree as often as independent ones do.
    #[test]
    fn seeds_rows_and_columns_are_independent() {
        let prob: f64 = 0.3;
        let agree = prob * prob + (1.0 - prob) * (1.0 - prob);
        let check = |what: &str, one: &[bool], other: &[bool]| {
            let (found, n) = share(one.iter().zip(other).map(|(a, b)| a == b));
            assert!(deviations(found, agree, n).abs() < 5.0, "{what}: {found}");
        };
        let mask = kept(prob, 7);
        for seed in [8, 7 + (1 << 32), 7 << 1, u64::MAX] {
            check("another seed", &mask, &kept(prob, seed));
        }
        for shift in [1, 2, 16, 64, COLUMNS, 2 * COLUMNS, 12 * COLUMNS + 1] {
            check("itself, moved", &mask, &mask[shift..]);
        }
    }

    #[test]
    fn the_backends_seed_decides() {
        use burn::tensor::backend::Backend;
        let drawn = |seed| {
            Flex::seed(&Default::default(), seed);
            let two = [Mask::draw(0.5), Mask::draw(0.5)];
            two.map(|mask| mask.map(|mask| mask.seed))
        };
        // Tests run beside each other and share the backend's generator.
        let alike = (0..20).any(|_| drawn(1) == drawn(1));
        assert!(alike, "the same seed gives the same masks");
        let [first, second] = drawn(2);
        assert_ne!(first, second);
        assert!(Mask::draw(0.0).is_none());
    }
}
