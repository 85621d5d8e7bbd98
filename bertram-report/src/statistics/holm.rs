//! Holm's correction.

/// p-values corrected for how many they are, by Holm (1979): the probability of one false alarm or more among them stays
/// below the level that they are held against, however they depend on each other. In the order of `p_values`.
///
/// The smallest of `n` is multiplied by `n`, the next by `n - 1` and so on; none is smaller than one before it, or above 1.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max(factor * p_values[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(holm(&[]), [0.0; 0]);
        assert_eq!(holm(&[0.5]), [0.5]);
        // .01 x 3, .02 x 2, and .03 is not below the one before it.
        let corrected = holm(&[0.02, 0.01, 0.03]);
        for (found, expected) in corrected.iter().zip([0.04, 0.03, 0.04]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
    }

    proptest! {
        #[test]
        fn never_smaller_and_in_the_same_order(p in prop::collection::vec(0.0..=1.0f64, 1..12)) {
            let corrected = holm(&p);
            for (i, j) in (0..p.len()).flat_map(|i| (0..p.len()).map(move |j| (i, j))) {
                prop_assert!(corrected[i] >= p[i] && corrected[i] <= 1.0);
                prop_assert!(p[i] > p[j] || corrected[i] <= corrected[j]);
            }
        }
    }
}
