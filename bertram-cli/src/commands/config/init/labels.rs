//! What labels are, by those of the training rows.

use super::counts::{Counts, MOST_LABELS, is_few, number};
use super::sets::Sets;

/// Different labels that are few: so many whole numbers are taken for classes, unless the column is called a scale.
const FEW: usize = 20;
/// Most names of labels that are written into a config; more are left to `labels = "auto"`.
const MOST_NAMED: usize = 200;

/// Words in names of columns whose numbers lie on a scale.
const SCALES: [&str; 8] = [
    "score",
    "similarity",
    "relatedness",
    "likeness",
    "percent",
    "degree",
    "intensity",
    "strength",
];

/// No's and yes's of pairs of labels, no's first.
const NO_YES: [(&str, &str); 14] = [
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("negative", "positive"),
    ("neg", "pos"),
    ("bad", "good"),
    ("ham", "spam"),
    ("off", "on"),
    ("different", "same"),
    ("incorrect", "correct"),
    ("wrong", "right"),
    ("unacceptable", "acceptable"),
    ("contradiction", "entailment"),
];

/// Ranges that scores are usually given in.
const RANGES: [(f64, f64); 11] = [
    (0.0, 1.0),
    (-1.0, 1.0),
    (1.0, 4.0),
    (0.0, 4.0),
    (1.0, 5.0),
    (0.0, 5.0),
    (1.0, 7.0),
    (1.0, 10.0),
    (0.0, 10.0),
    (1.0, 100.0),
    (0.0, 100.0),
];

/// Labels of so many rows without a 0 are taken to lie on a scale that begins at 1.
const ENOUGH_FOR_ONE: usize = 50;

/// What a column of labels holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Classes, in the order of their numbers or of the alphabet.
    Classes(Vec<String>),
    /// Classes of which there are too many to be listed.
    Auto,
    /// No's label and yes's.
    Binary([String; 2]),
    /// The ends of a scale.
    Score(f64, f64),
}

/// A guess, and what it was guessed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// What the labels are taken for.
    pub kind: Kind,
    /// Whether a row may have several of them, or none.
    pub multi: bool,
    /// What was seen, in a line.
    pub seen: String,
    /// What a person may want to change, in a line each.
    pub notes: Vec<String>,
}

/// Guesses what the labels of a column are. `train` are the cells of the training rows, `other` those of the other splits;
/// `column` is its name.
///
/// # Errors
/// Why they are no labels, in words that go behind the name of the column.
pub fn guess(
    column: &str,
    train: &[Option<String>],
    other: &[Option<String>],
) -> Result<Labels, String> {
    let whole = [train, other].concat();
    if let Some(sets) = Sets::of(&whole) {
        return of_sets(&sets, train.len());
    }
    let counts = Counts::of(train);
    let rows = counts.rows();
    if counts.labels.len() < 2 {
        return Err(match counts.labels.first() {
            Some((label, _)) => format!("has {label:?} in every row"),
            None => "is empty".into(),
        });
    }
    let all = Counts::of(&whole);
    let seen = format!("{rows} rows: {}", counts.shown());
    let mut notes = Vec::new();
    let only_other: Vec<String> = all
        .labels
        .iter()
        .filter(|(label, _)| !counts.has(label))
        .map(|(label, count)| format!("{label:?} ({count})"))
        .collect();
    let numbers: Option<Vec<f64>> = all.labels.iter().map(|(label, _)| number(label)).collect();
    let kind = match numbers {
        Some(numbers) => of_numbers(column, &numbers, rows, &mut notes),
        None => of_texts(&all, rows)?,
    };
    if !matches!(kind, Kind::Score(..) | Kind::Auto) && !only_other.is_empty() {
        notes.push(format!(
            "no training row has {}: such a label cannot be learnt",
            only_other.join(", ")
        ));
    }
    if let Kind::Binary([no, yes]) = &kind {
        notes.push(match known_order(no, yes) {
            true => format!("{yes:?} is yes"),
            false => format!("{yes:?} is taken for yes: turn the two round if it is no"),
        });
    }
    let seen = match kind {
        Kind::Score(..) => format!("{rows} rows: numbers from {} to {}", all.low(), all.high()),
        _ => seen,
    };
    Ok(Labels {
        kind,
        multi: false,
        seen,
        notes,
    })
}

/// What labels are of which a row may have several; the training rows are the first `rows`.
fn of_sets(sets: &Sets<'_>, rows: usize) -> Result<Labels, String> {
    let kind = match of_texts(&Counts::of_texts(sets.labels(sets.rows())), rows)? {
        Kind::Binary(both) => Kind::Classes(both.into()),
        kind => kind,
    };
    let counts = Counts::of_texts(sets.labels(rows));
    let mut seen = format!("{rows} rows: {}", counts.shown());
    let without = sets.without(rows);
    if without > 0 {
        seen.push_str(&format!("; none in {without}"));
    }
    Ok(Labels {
        kind,
        multi: true,
        seen,
        notes: Vec::new(),
    })
}

/// Whether a column of cells may be labels, if nothing is known of its name: numbers, or texts that come again.
pub fn may_be_labels(cells: &[Option<String>]) -> bool {
    if Sets::of(cells).is_some() {
        return true;
    }
    let counts = Counts::of(cells);
    let (rows, different) = (counts.rows(), counts.labels.len());
    if different < 2 {
        return false;
    }
    let numbers: Option<Vec<f64>> = counts.labels.iter().map(|(it, _)| number(it)).collect();
    match numbers {
        // Whole numbers that never come again count or name the rows.
        Some(numbers) => numbers.iter().any(|it| it.fract() != 0.0) || different < rows,
        None => is_few(different, rows),
    }
}

/// What labels are that are all numbers; `numbers` are the different ones, in their order.
fn of_numbers(column: &str, numbers: &[f64], rows: usize, notes: &mut Vec<String>) -> Kind {
    let whole = numbers.iter().all(|number| number.fract() == 0.0);
    let (low, high) = (numbers[0], numbers[numbers.len() - 1]);
    let names = || {
        numbers
            .iter()
            .map(|number| format!("{number:.0}"))
            .collect()
    };
    let column = column.to_lowercase();
    let is_scale = SCALES.iter().any(|word| column.contains(word));
    // As many different ones as there are from the lowest to the highest: nothing between them is missing.
    let gapless = high - low == (numbers.len() - 1) as f64;
    let few = numbers.len() <= FEW || (gapless && numbers.len() <= MOST_LABELS.min(rows / 2));
    if whole && numbers.len() == 2 {
        return Kind::Binary([format!("{low:.0}"), format!("{high:.0}")]);
    }
    if whole && few && !is_scale {
        let (min, max) = range(low, high, rows);
        notes.push(format!(
            "whole numbers are taken for classes; if they are scores: score = [{min}, {max}]"
        ));
        return match numbers.len() <= MOST_NAMED {
            true => Kind::Classes(names()),
            false => Kind::Auto,
        };
    }
    let (min, max) = range(low, high, rows);
    notes.push("the ends of the scale are a guess: say them as they are".into());
    Kind::Score(min, max)
}

/// The usual scale that holds a range; where there is none, whole numbers around it.
fn range(low: f64, high: f64, rows: usize) -> (f64, f64) {
    let usual = RANGES
        .into_iter()
        .find(|(min, max)| low >= *min && high <= *max && (*min < 1.0 || rows >= ENOUGH_FOR_ONE));
    usual.unwrap_or_else(|| (low.floor(), high.ceil().max(low.floor() + 1.0)))
}

/// What labels are of which some are no numbers.
fn of_texts(all: &Counts, rows: usize) -> Result<Kind, String> {
    let different = all.labels.len();
    // Of a column that is called so, a few rows are enough to tell labels from texts.
    let few = different <= FEW && different < rows;
    if !few && !is_few(different, rows) {
        return Err(format!(
            "has {different} different texts in {rows} rows, which is no number of classes"
        ));
    }
    let names: Vec<String> = all.labels.iter().map(|(label, _)| label.clone()).collect();
    Ok(match <[String; 2]>::try_from(names) {
        Ok([one, other]) if known_order(&other, &one) => Kind::Binary([other, one]),
        Ok(both) => Kind::Binary(both),
        Err(names) if names.len() <= MOST_NAMED => Kind::Classes(names),
        Err(_) => Kind::Auto,
    })
}

/// Whether two labels are known for no's and yes's: by their words, by one being the other's denial, or by their numbers.
fn known_order(no: &str, yes: &str) -> bool {
    let (no, yes) = (no.to_lowercase(), yes.to_lowercase());
    if let (Some(no), Some(yes)) = (number(&no), number(&yes)) {
        return no < yes;
    }
    let denied = ["not", "non", "no", "un", "in"].iter().any(|denial| {
        let rest = no.strip_prefix(denial);
        rest.is_some_and(|rest| rest.trim_start_matches(['_', '-', ' ']) == yes)
    });
    denied || NO_YES.contains(&(no.as_str(), yes.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(labels: &[(&str, usize)]) -> Vec<Option<String>> {
        labels
            .iter()
            .flat_map(|(label, count)| {
                let cell = Some(label.to_string()).filter(|label| !label.is_empty());
                std::iter::repeat_n(cell, *count)
            })
            .collect()
    }

    fn kind(column: &str, labels: &[(&str, usize)]) -> Kind {
        guess(column, &cells(labels), &[]).expect("labels").kind
    }

    fn binary(no: &str, yes: &str) -> Kind {
        Kind::Binary([no.into(), yes.into()])
    }

    fn classes(names: &[&str]) -> Kind {
        Kind::Classes(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn two_labels_are_no_and_yes() {
        for (one, other, no, yes) in [
            ("yes", "no", "no", "yes"),
            ("True", "False", "False", "True"),
            ("good", "bad", "bad", "good"),
            (
                "entailment",
                "not_entailment",
                "not_entailment",
                "entailment",
            ),
            ("0.0", "1.0", "0", "1"),
            ("-1", "1", "-1", "1"),
            ("left", "right", "left", "right"),
        ] {
            assert_eq!(kind("label", &[(one, 3), (other, 5)]), binary(no, yes));
        }
        let notes = guess("label", &cells(&[("a", 3), ("b", 5)]), &[]).expect("labels");
        assert!(notes.notes[0].contains("turn the two round"), "{notes:?}");
        assert_eq!(notes.seen, "8 rows: \"a\" 3, \"b\" 5");
    }

    #[test]
    fn few_texts_and_whole_numbers_are_classes() {
        assert_eq!(
            kind(
                "gold",
                &[
                    ("neutral", 9),
                    ("Entailment", 2),
                    ("entailment", 8),
                    ("no", 7)
                ]
            ),
            classes(&["entailment", "neutral", "no"])
        );
        assert_eq!(
            kind("sentiment", &[("4", 2), ("0.0", 2), ("10", 3)]),
            classes(&["0", "4", "10"])
        );
        let many: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        let many: Vec<(&str, usize)> = many.iter().map(|it| (it.as_str(), 3)).collect();
        assert_eq!(kind("intent", &many), Kind::Auto);
        assert_eq!(
            kind("intent", &many[..77]),
            classes(
                &many[..77]
                    .iter()
                    .map(|(label, _)| *label)
                    .collect::<Vec<_>>()
            )
        );
    }

    #[test]
    fn decimals_and_numbers_on_a_scale_are_scores() {
        for (column, labels, low, high) in [
            ("label", &[("0.5", 40), ("4.8", 40)][..], 0.0, 5.0),
            ("label", &[("0.01", 40), ("0.99", 40)], 0.0, 1.0),
            ("label", &[("-0.5", 40), ("0.25", 40)], -1.0, 1.0),
            (
                "relatedness_score",
                &[("1", 40), ("3.5", 40), ("5", 40)],
                1.0,
                5.0,
            ),
            (
                "relatedness_score",
                &[("1.5", 4), ("3.5", 4), ("5", 4)],
                0.0,
                5.0,
            ),
            ("similarity", &[("0", 4), ("3", 4), ("5", 4)], 0.0, 5.0),
            ("label", &[("12.5", 4), ("250", 4)], 12.0, 250.0),
            ("label", &[("-3.5", 4), ("2.5", 4)], -4.0, 3.0),
        ] {
            assert_eq!(kind(column, labels), Kind::Score(low, high), "{labels:?}");
        }
    }

    #[test]
    fn several_labels_a_row_are_classes() {
        let topics = ["sport|law", "law", "art | sport", "sport", "", "law|art"];
        let topics: Vec<(&str, usize)> = topics.iter().map(|it| (*it, 2)).collect();
        let labels = guess("topics", &cells(&topics), &[]).expect("labels");
        assert!(labels.multi);
        assert_eq!(labels.kind, classes(&["art", "law", "sport"]));
        assert_eq!(
            labels.seen,
            "12 rows: \"art\" 4, \"law\" 6, \"sport\" 6; none in 2"
        );
    }

    #[test]
    fn labels_of_other_splits_are_labels_too() {
        let other = cells(&[("maybe", 1), ("no", 4)]);
        let labels = guess("gold", &cells(&[("yes", 4), ("no", 4), ("so", 4)]), &other);
        let labels = labels.expect("labels");
        assert_eq!(labels.kind, classes(&["maybe", "no", "so", "yes"]));
        assert!(labels.notes[0].contains("\"maybe\" (1)"), "{labels:?}");
    }

    #[test]
    fn what_is_no_label_is_said() {
        let refused = |labels: &[(&str, usize)]| guess("x", &cells(labels), &[]).expect_err("none");
        assert_eq!(refused(&[("", 3)]), "is empty");
        assert_eq!(refused(&[("a", 3)]), "has \"a\" in every row");
        let texts: Vec<String> = (0..9).map(|number| format!("text {number}")).collect();
        let texts: Vec<(&str, usize)> = texts.iter().map(|text| (text.as_str(), 1)).collect();
        assert!(refused(&texts).contains("9 different texts in 9 rows"));
        assert!(!may_be_labels(&cells(&texts)));
        assert!(!may_be_labels(&cells(&[("1", 1), ("2", 1), ("3", 1)])));
        assert!(may_be_labels(&cells(&[("1", 1), ("2", 2), ("3", 1)])));
        assert!(may_be_labels(&cells(&[("a", 2), ("b", 2)])));
    }
}
