//! Accuracy, F1, Matthews correlation and the majority line.

/// Share of predictions equal to their label; 0 for no rows.
pub fn accuracy(predictions: &[usize], labels: &[usize]) -> f64 {
    if labels.is_empty() {
        return 0.0;
    }
    let right = predictions
        .iter()
        .zip(labels)
        .filter(|(prediction, label)| prediction == label)
        .count();
    right as f64 / labels.len() as f64
}

/// Unweighted mean of the classes' F1, over the classes seen in labels or predictions
/// (`sklearn.metrics.f1_score(average="macro")`); a class never predicted right counts 0.
pub fn macro_f1(predictions: &[usize], labels: &[usize]) -> f64 {
    let classes = predictions
        .iter()
        .chain(labels)
        .max()
        .map_or(0, |max| max + 1);
    let mut true_positives = vec![0usize; classes];
    let mut predicted = vec![0usize; classes];
    let mut actual = vec![0usize; classes];
    for (&prediction, &label) in predictions.iter().zip(labels) {
        predicted[prediction] += 1;
        actual[label] += 1;
        if prediction == label {
            true_positives[label] += 1;
        }
    }
    let scores: Vec<f64> = (0..classes)
        .filter(|&class| predicted[class] + actual[class] > 0)
        .map(|class| 2.0 * true_positives[class] as f64 / (predicted[class] + actual[class]) as f64)
        .collect();
    if scores.is_empty() {
        return 0.0;
    }
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// F1 of class 1, "yes" (`sklearn.metrics.f1_score`); 0 where there is neither a yes nor a predicted one.
pub fn f1(predictions: &[usize], labels: &[usize]) -> f64 {
    let yes = |values: &[usize]| values.iter().filter(|&&value| value == 1).count();
    let both = predictions
        .iter()
        .zip(labels)
        .filter(|&(&prediction, &label)| prediction == 1 && label == 1)
        .count();
    let all = yes(predictions) + yes(labels);
    if all == 0 {
        return 0.0;
    }
    2.0 * both as f64 / all as f64
}

/// Matthews correlation coefficient, of any number of classes (Gorodkin 2004;
/// `sklearn.metrics.matthews_corrcoef`); 0 where it is undefined, as where every prediction is the same.
pub fn matthews(predictions: &[usize], labels: &[usize]) -> f64 {
    let most = predictions.iter().chain(labels).max();
    let classes = most.map_or(0, |max| max + 1);
    let counts = |values: &[usize]| {
        let mut counts = vec![0.0f64; classes];
        for &value in values {
            counts[value] += 1.0;
        }
        counts
    };
    let (predicted, actual) = (counts(predictions), counts(labels));
    let dot =
        |one: &[f64], other: &[f64]| -> f64 { one.iter().zip(other).map(|(a, b)| a * b).sum() };
    let rows = labels.len() as f64;
    let right = accuracy(predictions, labels) * rows;
    let covariance = right * rows - dot(&predicted, &actual);
    let variances =
        (rows * rows - dot(&predicted, &predicted)) * (rows * rows - dot(&actual, &actual));
    if variances > 0.0 {
        covariance / variances.sqrt()
    } else {
        0.0
    }
}

/// The most frequent label (of equals the first); `None` for no rows.
pub fn majority(labels: &[usize]) -> Option<usize> {
    let classes = labels.iter().max().map_or(0, |max| max + 1);
    let mut counts = vec![0usize; classes];
    for &label in labels {
        counts[label] += 1;
    }
    let most = counts.iter().copied().max()?;
    counts.iter().position(|&count| count == most)
}

/// Accuracy of always answering the most frequent label; 0 for no rows.
pub fn majority_share(labels: &[usize]) -> f64 {
    match majority(labels) {
        Some(most) => {
            let count = labels.iter().filter(|&&label| label == most).count();
            count as f64 / labels.len() as f64
        }
        None => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hand_computed() {
        let labels = [0, 0, 1, 2, 2, 2];
        let predictions = [0, 1, 1, 2, 2, 0];
        assert!((accuracy(&predictions, &labels) - 4.0 / 6.0).abs() < 1e-12);
        // F1 of class 0: 2*1/(2+2) = .5; of class 1: 2*1/(2+1) = 2/3; of class 2: 2*2/(2+3) = .8
        assert!((macro_f1(&predictions, &labels) - (0.5 + 2.0 / 3.0 + 0.8) / 3.0).abs() < 1e-12);
        assert!((majority_share(&labels) - 0.5).abs() < 1e-12);
        assert_eq!(majority(&labels), Some(2));
        // tp 1, fp 1, fn 1, tn 1: nothing learned; and by hand, tp 2, fp 1, fn 0, tn 1.
        assert!(matthews(&[1, 1, 0, 0], &[1, 0, 1, 0]).abs() < 1e-12);
        let (predictions, labels) = ([1, 1, 1, 0], [1, 1, 0, 0]);
        assert!((matthews(&predictions, &labels) - 2.0 / 12.0f64.sqrt()).abs() < 1e-12);
        assert!((f1(&predictions, &labels) - 0.8).abs() < 1e-12);
        // Three classes, by sklearn.metrics.matthews_corrcoef.
        let three = matthews(&[0, 2, 1, 1, 2], &[0, 1, 1, 2, 2]);
        assert!((three - 0.375).abs() < 1e-12, "{three}");
    }

    #[test]
    fn the_majority_class_scores_nothing_by_matthews() {
        assert_eq!(matthews(&[1, 1, 1], &[1, 0, 1]), 0.0);
        assert_eq!(f1(&[0, 0], &[0, 0]), 0.0);
        assert_eq!(majority(&[]), None);
    }

    #[test]
    fn no_rows() {
        assert_eq!(accuracy(&[], &[]), 0.0);
        assert_eq!(macro_f1(&[], &[]), 0.0);
        assert_eq!(majority_share(&[]), 0.0);
    }

    proptest! {
        #[test]
        fn within_bounds_and_one_when_right(labels in prop::collection::vec(0usize..5, 1..60), predictions in prop::collection::vec(0usize..5, 60)) {
            let predictions = &predictions[..labels.len()];
            for value in [accuracy(predictions, &labels), macro_f1(predictions, &labels), majority_share(&labels)] {
                prop_assert!((0.0..=1.0).contains(&value));
            }
            prop_assert_eq!(accuracy(&labels, &labels), 1.0);
            prop_assert_eq!(macro_f1(&labels, &labels), 1.0);
            prop_assert!(majority_share(&labels) >= 0.2);
        }
    }
}
