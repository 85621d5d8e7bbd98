//! Forward selection of models, with replacement.

/// Rounds of [`select_greedily`]: weights are multiples of one divided by at most so many.
pub const ROUNDS: usize = 20;

/// Weights of candidates, by forward selection with replacement (Caruana et al. 2004, *Ensemble selection from libraries of
/// models*, ICML, section 2).
///
/// Begins with nothing. Each round adds the candidate with which the mean of all that were added scores best, which may be
/// one that is in already; of equal ones the first. What scored best in any of the `rounds` is taken, of equal ones the
/// earliest, and a candidate's weight is the share of rounds that have added it. Where nothing of it scores better than the
/// plain mean of all candidates, that is taken. `score` is given weights that sum to 1, and larger is better.
pub fn select_greedily(
    candidates: usize,
    rounds: usize,
    mut score: impl FnMut(&[f64]) -> f64,
) -> Vec<f64> {
    let mut counts = vec![0usize; candidates];
    let plain = uniform(candidates);
    let plain_score = match candidates {
        0 => f64::NAN,
        _ => score(&plain),
    };
    // No number is below any.
    let mut best = (plain_score.max(f64::NEG_INFINITY), plain);
    for round in 1..=rounds {
        let weights = |counts: &[usize]| -> Vec<f64> {
            let counts = counts.iter();
            counts.map(|count| *count as f64 / round as f64).collect()
        };
        let mut added: Option<(f64, usize)> = None;
        for candidate in 0..candidates {
            counts[candidate] += 1;
            let scored = score(&weights(&counts));
            counts[candidate] -= 1;
            if scored > added.map_or(f64::NEG_INFINITY, |(best, _)| best) {
                added = Some((scored, candidate));
            }
        }
        let Some((scored, candidate)) = added else {
            break;
        };
        counts[candidate] += 1;
        if scored > best.0 {
            best = (scored, weights(&counts));
        }
    }
    best.1
}

/// The same weight for each.
pub fn uniform(candidates: usize) -> Vec<f64> {
    vec![1.0 / candidates.max(1) as f64; candidates]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // The score is best where the second weighs a third of the first two, and the third nothing.
        let target = [2.0 / 3.0, 1.0 / 3.0, 0.0];
        let score = |weights: &[f64]| {
            let distances = weights.iter().zip(target);
            -distances
                .map(|(one, other)| (one - other).powi(2))
                .sum::<f64>()
        };
        // Rounds: first alone (-.22), then the second (1/2, 1/2; -.056), then the first again: (2/3, 1/3; 0).
        assert_eq!(select_greedily(3, 2, score), [0.5, 0.5, 0.0]);
        assert_eq!(select_greedily(3, ROUNDS, score), target);
    }

    #[test]
    fn what_is_no_better_than_the_plain_mean_is_not_taken() {
        assert_eq!(select_greedily(2, 5, |_| 0.7), [0.5, 0.5]);
        assert_eq!(select_greedily(2, 5, |_| f64::NAN), [0.5, 0.5]);
        assert!(select_greedily(0, 5, |_| 0.0).is_empty());
        // A second round that makes it worse is not taken.
        let alone = |weights: &[f64]| f64::from(u8::from(weights.contains(&1.0)));
        assert_eq!(select_greedily(3, 4, alone), [1.0, 0.0, 0.0]);
    }
}
