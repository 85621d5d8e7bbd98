//! How much of the variance of scores one setting explains by itself.

use bertram_core::metric::spearman;

/// The correlation ratio, eta squared (K. Pearson, *On the General Theory of Skew Correlation and Non-Linear Regression*,
/// 1905; R. A. Fisher, *Statistical Methods for Research Workers*, 1925): the share of the variance of all numbers that lies
/// between the means of their groups. Of `n` numbers in `k` groups that have nothing to do with them it is `(k - 1)/(n - 1)` on
/// average.
///
/// `None` of fewer than two groups or three numbers, and where all numbers are equal.
pub fn correlation_ratio(groups: &[Vec<f64>]) -> Option<f64> {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    let count: usize = groups.iter().map(|group| group.len()).sum();
    if groups.len() < 2 || count < 3 {
        return None;
    }
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    let all: Vec<f64> = groups.iter().copied().flatten().copied().collect();
    let center = mean(&all);
    let total: f64 = all.iter().map(|number| (number - center).powi(2)).sum();
    let between = groups.iter().map(|group| {
        let distance = mean(group) - center;
        group.len() as f64 * distance.powi(2)
    });
    let between: f64 = between.sum();
    has_spread(&all).then(|| (between / total).clamp(0.0, 1.0))
}

/// The square of Spearman's rank correlation (C. Spearman, *The Proof and Measurement of Association between Two Things*,
/// 1904): the share of the variance of the ranks of `y` that those of `x` explain, if more of the one goes with more of the
/// other, or with less. Of `n` numbers that have nothing to do with each other it is `1/(n - 1)` on average.
///
/// `None` of fewer than three pairs, of lists that differ in length, and where all numbers of a list are equal.
pub fn squared_rank_correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let is_some = x.len() == y.len() && x.len() > 2 && has_spread(x) && has_spread(y);
    is_some.then(|| spearman(x, y).powi(2))
}

fn has_spread(numbers: &[f64]) -> bool {
    numbers.windows(2).any(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_hand() {
        // Means 2 and 5 about 3.5; within 1 and 1 each: between 6 * 1.5^2 = 13.5 of 13.5 + 4.
        let groups = [vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]];
        let found = correlation_ratio(&groups).expect("a share");
        assert!((found - 13.5 / 17.5).abs() < 1e-12);
        assert_eq!(correlation_ratio(&[vec![1.0, 2.0, 3.0]]), None);
        assert_eq!(correlation_ratio(&[vec![1.0], vec![1.0, 1.0]]), None);
        assert_eq!(correlation_ratio(&[vec![1.0], vec![2.0], vec![]]), None);
        let found = squared_rank_correlation(&[1.0, 10.0, 100.0], &[0.3, 0.2, 0.1]);
        assert!((found.expect("a share") - 1.0).abs() < 1e-12);
        assert_eq!(
            squared_rank_correlation(&[1.0, 1.0, 1.0], &[0.3, 0.2, 0.1]),
            None
        );
        assert_eq!(squared_rank_correlation(&[1.0, 2.0], &[0.3, 0.2]), None);
    }

    proptest! {
        #[test]
        fn shares_are_shares_and_do_not_follow_the_unit(
            numbers in prop::collection::vec((0..4usize, -1.0..1.0f64), 3..40),
            factor in 0.1..10.0f64,
        ) {
            let groups = |factor: f64| {
                let mut groups = vec![Vec::new(); 4];
                for (group, number) in &numbers {
                    groups[*group].push(number * factor + 3.0);
                }
                groups
            };
            if let (Some(one), Some(other)) =
                (correlation_ratio(&groups(1.0)), correlation_ratio(&groups(factor)))
            {
                prop_assert!((0.0..=1.0).contains(&one));
                prop_assert!((one - other).abs() < 1e-6);
            }
        }
    }
}
