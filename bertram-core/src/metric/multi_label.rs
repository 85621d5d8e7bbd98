//! Scores of rows that have any number of labels at once.

use serde::{Deserialize, Serialize};

/// How often a label is said and there, over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounts {
    /// Said and there.
    pub true_positives: u64,
    /// Said and not there.
    pub false_positives: u64,
    /// There and not said.
    pub false_negatives: u64,
}

impl LabelCounts {
    /// Harmonic mean of precision and recall: `2 TP / (2 TP + FP + FN)`; 0 for a label that is neither said nor there, as in
    /// scikit-learn.
    pub fn f1(self) -> f64 {
        let all = 2 * self.true_positives + self.false_positives + self.false_negatives;
        match all {
            0 => 0.0,
            all => (2 * self.true_positives) as f64 / all as f64,
        }
    }

    /// Share of rows that have the label among those of which it is said; `None` where it is said of none.
    pub fn precision(self) -> Option<f64> {
        let said = self.true_positives + self.false_positives;
        (said > 0).then(|| self.true_positives as f64 / said as f64)
    }

    /// Share of rows of which it is said among those that have the label; `None` where none has it.
    pub fn recall(self) -> Option<f64> {
        let there = self.true_positives + self.false_negatives;
        (there > 0).then(|| self.true_positives as f64 / there as f64)
    }
}

impl std::ops::Add for LabelCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            true_positives: self.true_positives + other.true_positives,
            false_positives: self.false_positives + other.false_positives,
            false_negatives: self.false_negatives + other.false_negatives,
        }
    }
}

/// Counts of each label. `predictions` and `labels` have a row each, and in it whether each label is said or there.
pub fn label_counts<R: AsRef<[bool]>>(predictions: &[R], labels: &[R]) -> Vec<LabelCounts> {
    let classes = labels.first().map_or(0, |row| row.as_ref().len());
    let mut counts = vec![LabelCounts::default(); classes];
    for (said, there) in predictions.iter().zip(labels) {
        let row = said.as_ref().iter().zip(there.as_ref());
        for (count, (said, there)) in counts.iter_mut().zip(row) {
            match (said, there) {
                (true, true) => count.true_positives += 1,
                (true, false) => count.false_positives += 1,
                (false, true) => count.false_negatives += 1,
                (false, false) => {}
            }
        }
    }
    counts
}

/// F1 of all labels of all rows together.
pub fn micro_f1(counts: &[LabelCounts]) -> f64 {
    let sum = counts
        .iter()
        .fold(LabelCounts::default(), |sum, count| sum + *count);
    sum.f1()
}

/// Unweighted mean of the labels' F1; 0 for none.
pub fn macro_f1_of_labels(counts: &[LabelCounts]) -> f64 {
    counts.iter().map(|count| count.f1()).sum::<f64>() / counts.len().max(1) as f64
}

/// Share of rows with all labels right, and no other; 0 for no rows.
pub fn exact_match<R: AsRef<[bool]>>(predictions: &[R], labels: &[R]) -> f64 {
    let right = predictions
        .iter()
        .zip(labels)
        .filter(|(said, there)| said.as_ref() == there.as_ref());
    right.count() as f64 / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(rows: &[&str]) -> Vec<Vec<bool>> {
        let row = |row: &&str| row.chars().map(|sign| sign == '1').collect();
        rows.iter().map(row).collect()
    }

    /// As scikit-learn 1.7 has them: `f1_score(y, p, average=..., zero_division=0)` and `accuracy_score(y, p)`.
    #[test]
    fn hand_computed() {
        let labels = rows(&["1010", "0110", "0000", "1000"]);
        let predictions = rows(&["1000", "0110", "0100", "1010"]);
        let counts = label_counts(&predictions, &labels);
        // By label: TP 2, 1, 1, 0; FP 0, 1, 1, 0; FN 0, 0, 1, 0.
        assert!((micro_f1(&counts) - 8.0 / 11.0).abs() < 1e-12);
        let f1 = [1.0, 2.0 / 3.0, 0.5, 0.0];
        assert!((macro_f1_of_labels(&counts) - f1.iter().sum::<f64>() / 4.0).abs() < 1e-12);
        assert_eq!(exact_match(&predictions, &labels), 0.25);
        assert_eq!(
            (counts[1].precision(), counts[1].recall()),
            (Some(0.5), Some(1.0))
        );
        assert_eq!((counts[3].precision(), counts[3].recall()), (None, None));
    }

    #[test]
    fn nothing_is_zero() {
        assert_eq!(micro_f1(&label_counts::<Vec<bool>>(&[], &[])), 0.0);
        assert_eq!(
            (macro_f1_of_labels(&[]), exact_match::<Vec<bool>>(&[], &[])),
            (0.0, 0.0)
        );
    }

    proptest! {
        #[test]
        fn bounded_and_one_for_the_labels_themselves(labels in prop::collection::vec(prop::collection::vec(any::<bool>(), 3), 1..30), said in prop::collection::vec(prop::collection::vec(any::<bool>(), 3), 30)) {
            let said = &said[..labels.len()];
            let counts = label_counts(said, &labels);
            for value in [micro_f1(&counts), macro_f1_of_labels(&counts), exact_match(said, &labels)] {
                prop_assert!((0.0..=1.0).contains(&value));
            }
            let right = label_counts(&labels, &labels);
            prop_assert_eq!(exact_match(&labels, &labels), 1.0);
            prop_assert!(micro_f1(&right) == 1.0 || labels.iter().flatten().all(|there| !there));
        }
    }
}
