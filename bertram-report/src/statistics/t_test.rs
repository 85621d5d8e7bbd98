//! t tests over seeds.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Statistic;

/// Spread below this share of the numbers is rounding, and tests nothing.
const ROUNDING: f64 = 1e-12;

/// Two-sided p-value of Student's t test that the mean of `second - first` is zero, the numbers paired by their places.
///
/// 1 where all pairs are equal. `None` of fewer than two pairs, of lists that differ in length, and where all differences are
/// the same, which is no measure of chance.
pub fn paired_t(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.len() != second.len() {
        return None;
    }
    let pairs = first.iter().zip(second);
    let differences: Vec<f64> = pairs.map(|(first, second)| second - first).collect();
    let statistic = Statistic::new(&differences)?;
    let error = statistic.squared_error()?;
    two_sided(
        statistic.mean,
        error,
        (statistic.count - 1) as f64,
        largest(&[first, second]),
    )
}

/// Two-sided p-value of Welch's (1947) t test that two means are equal: of numbers that do not pair, with a variance for each
/// list and Satterthwaite's degrees of freedom.
///
/// 1 where all numbers are equal. `None` where a list has fewer than two numbers, or neither has any spread.
pub fn welch(first: &[f64], second: &[f64]) -> Option<f64> {
    let [one, other] = [Statistic::new(first)?, Statistic::new(second)?];
    let [of_one, of_other] = [one.squared_error()?, other.squared_error()?];
    let error = of_one + of_other;
    let freedom = |of: f64, count: usize| of.powi(2) / (count - 1) as f64;
    let degrees = error.powi(2) / (freedom(of_one, one.count) + freedom(of_other, other.count));
    two_sided(
        other.mean - one.mean,
        error,
        degrees,
        largest(&[first, second]),
    )
}

fn largest(lists: &[&[f64]]) -> f64 {
    let numbers = lists.iter().copied().flatten();
    numbers.fold(0.0, |largest: f64, number| largest.max(number.abs()))
}

fn two_sided(difference: f64, squared_error: f64, degrees: f64, largest: f64) -> Option<f64> {
    let error = squared_error.sqrt();
    if error <= ROUNDING * largest {
        return (difference.abs() <= ROUNDING * largest).then_some(1.0);
    }
    let t = StudentsT::new(0.0, 1.0, degrees).ok()?;
    Some(2.0 * t.sf((difference / error).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_spread_is_not_tested() {
        assert_eq!(paired_t(&[0.5], &[0.6]), None);
        assert_eq!(paired_t(&[0.5, 0.6], &[0.5]), None);
        assert_eq!(paired_t(&[0.1, 0.2], &[0.4, 0.5]), None);
        assert_eq!(paired_t(&[0.1, 0.2], &[0.1, 0.2]), Some(1.0));
        assert_eq!(welch(&[0.1, 0.1], &[0.2, 0.2]), None);
        assert_eq!(welch(&[0.1, 0.1], &[0.1, 0.1]), Some(1.0));
        assert_eq!(welch(&[0.1, 0.2], &[0.1]), None);
    }

    #[test]
    fn two_degrees_of_freedom_by_hand() {
        // Differences 1, 2, 3: t = 2 / (1 / sqrt 3), and P(|T| > t) = 1 - t / sqrt(t^2 + 2).
        let t = 2.0 * 3.0f64.sqrt();
        let p = 1.0 - t / (t * t + 2.0).sqrt();
        let found = paired_t(&[0.0, 0.0, 0.0], &[1.0, 2.0, 3.0]).expect("a spread");
        assert!((found - p).abs() < 1e-12, "{found} {p}");
    }
}
