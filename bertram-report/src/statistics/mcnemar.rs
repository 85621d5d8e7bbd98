//! McNemar's test.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Two-sided p-value of the exact test of McNemar (1947): of the rows that one of two systems has right and the other wrong,
/// `first` are those of the first and `second` those of the second. If both systems are equally good, each of these rows is
/// either's with a chance of one half.
///
/// 1 where the systems are right and wrong in the same rows. Rows that both have right, or both wrong, say nothing.
pub fn mcnemar(first: u64, second: u64) -> f64 {
    // A half is a probability, so that the distribution is there.
    Binomial::new(0.5, first + second).map_or(1.0, |binomial| {
        (2.0 * binomial.cdf(first.min(second))).min(1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(3, 3), 1.0);
        // 2 / 2^5, and 2 (1 + 6) / 2^6.
        assert!((mcnemar(0, 5) - 0.0625).abs() < 1e-12);
        assert!((mcnemar(5, 1) - 14.0 / 64.0).abs() < 1e-12);
        assert_eq!(mcnemar(5, 1), mcnemar(1, 5));
    }
}
