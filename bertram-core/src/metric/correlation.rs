//! Pearson's r and Spearman's rho.

/// Pearson's correlation of two series of equal length.
///
/// 0 where it is undefined (fewer than two rows, or a constant series): a model that says the same for every
/// pair has learned nothing, and a NaN would poison every mean it enters.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let rows = x.len().min(y.len());
    if rows < 2 {
        return 0.0;
    }
    let mean_x = x.iter().sum::<f64>() / rows as f64;
    let mean_y = y.iter().sum::<f64>() / rows as f64;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - mean_x, b - mean_y);
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    // Two roots and not the root of a product: the product of two tiny variances underflows.
    let denominator = xx.sqrt() * yy.sqrt();
    if denominator > 0.0 && denominator.is_finite() {
        (xy / denominator).clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

/// Spearman's rank correlation: Pearson's r of the ranks, ties sharing their mean rank.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        let mean_rank = (start + end - 1) as f64 / 2.0 + 1.0;
        for &index in &order[start..end] {
            ranks[index] = mean_rank;
        }
        start = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hand_computed() {
        let x = [1.0, 2.0, 3.0, 4.0];
        let y = [1.0, 3.0, 2.0, 5.0];
        // cov 5.5, var 5 and 8.75
        assert!((pearson(&x, &y) - 5.5 / (5.0f64 * 8.75).sqrt()).abs() < 1e-12);
        assert!((spearman(&x, &y) - 0.8).abs() < 1e-12);
        assert_eq!(ranks(&[2.0, 1.0, 2.0, 3.0]), vec![2.5, 1.0, 2.5, 4.0]);
    }

    #[test]
    fn undefined_is_zero() {
        assert_eq!(pearson(&[1.0], &[2.0]), 0.0);
        assert_eq!(pearson(&[1.0, 1.0], &[2.0, 3.0]), 0.0);
        assert_eq!(pearson(&[f64::NAN, 1.0], &[2.0, 3.0]), 0.0);
    }

    proptest! {
        #[test]
        fn bounded_symmetric_and_invariant(pairs in prop::collection::vec((-1e3f64..1e3, -1e3f64..1e3), 2..50), scale in 0.1f64..10.0, shift in -5.0f64..5.0) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let r = pearson(&x, &y);
            prop_assert!((-1.0..=1.0).contains(&r));
            prop_assert!((r - pearson(&y, &x)).abs() < 1e-9);
            let moved: Vec<f64> = x.iter().map(|v| v * scale + shift).collect();
            prop_assert!((r - pearson(&moved, &y)).abs() < 1e-6);
            prop_assert!((-1.0..=1.0).contains(&spearman(&x, &y)));
            let monotone: Vec<f64> = x.iter().map(|v| v.powi(3)).collect();
            prop_assert!((spearman(&monotone, &y) - spearman(&x, &y)).abs() < 1e-9);
        }
    }
}
