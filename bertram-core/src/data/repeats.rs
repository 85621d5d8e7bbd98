//! Rows that come again: within a split, and in the rows that a model learns from.

use std::collections::HashSet;

use super::{Dataset, Example};

/// What two rows have in common that are the same: the text, or the two of a pair in either order.
type Key<'a> = (&'a str, &'a str);

fn key(row: &Example) -> Key<'_> {
    let (a, b) = (
        row.text_a.as_str(),
        row.text_b.as_deref().unwrap_or_default(),
    );
    (a.min(b), a.max(b))
}

/// Rows of which an earlier row of the data set has the same text, or the same pair in either order.
pub fn repeated_rows(dataset: &Dataset) -> usize {
    let mut seen = HashSet::new();
    let rows = dataset.examples.iter();
    rows.filter(|row| !seen.insert(key(row))).count()
}

/// The texts and pairs of training rows, to look others up in.
pub struct SeenRows<'a>(HashSet<Key<'a>>);

impl<'a> SeenRows<'a> {
    /// Those of a data set.
    pub fn of(train: &'a Dataset) -> Self {
        Self(train.examples.iter().map(key).collect())
    }

    /// Rows of another data set whose text, or whose pair in either order, is among these.
    pub fn count_in(&self, other: &Dataset) -> usize {
        let rows = other.examples.iter();
        rows.filter(|row| self.0.contains(&key(row))).count()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::spec::TaskId;

    fn rows(texts: &[(&str, Option<&str>)]) -> Dataset {
        let example = |(a, b): &(&str, Option<&str>)| Example {
            id: String::new(),
            text_a: (*a).to_owned(),
            text_b: b.map(str::to_owned),
            label: None,
            weight: 1.0,
        };
        Dataset {
            task: TaskId::STS,
            path: PathBuf::new(),
            sha256: String::new(),
            examples: texts.iter().map(example).collect(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn single_texts() {
        let train = rows(&[("a", None), ("b", None), ("a", None), ("a", None)]);
        assert_eq!(repeated_rows(&train), 2);
        let dev = rows(&[("b", None), ("c", None), ("b", None)]);
        assert_eq!(SeenRows::of(&train).count_in(&dev), 2);
        assert_eq!(SeenRows::of(&rows(&[])).count_in(&dev), 0);
    }

    #[test]
    fn pairs_in_either_order() {
        let train = rows(&[("a", Some("b")), ("b", Some("a")), ("a", Some("c"))]);
        assert_eq!(repeated_rows(&train), 1);
        let dev = rows(&[("c", Some("a")), ("b", Some("c")), ("a", Some("a"))]);
        assert_eq!(SeenRows::of(&train).count_in(&dev), 1);
    }
}
