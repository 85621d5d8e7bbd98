//! Columns of labels of which a row may have several.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bertram_core::data::split_labels;

use super::counts::{is_few, number};

/// Most characters of a label of which a row may have several.
const LONGEST: usize = 40;

/// The labels of each row; none of an empty cell.
pub struct Sets<'a>(Vec<Vec<Cow<'a, str>>>);

impl<'a> Sets<'a> {
    /// `None` for cells with one label each, and for texts. A label that has a comma itself (`law, and order`) is told by its
    /// parts being no labels of other rows.
    pub fn of(cells: &'a [Option<String>]) -> Option<Self> {
        let split = |cell: &'a Option<String>| cell.as_deref().map_or_else(Vec::new, split_labels);
        let sets: Vec<Vec<Cow<'_, str>>> = cells.iter().map(split).collect();
        let filled = || cells.iter().flatten().map(String::as_str);
        let lists = filled().all(|cell| cell.starts_with('['));
        if !lists && !sets.iter().any(|labels| labels.len() > 1) {
            return None;
        }
        // In how many different cells each label is.
        let mut different: HashSet<&str> = HashSet::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (cell, labels) in cells.iter().zip(&sets) {
            if cell.as_deref().is_some_and(|cell| different.insert(cell)) {
                for label in labels {
                    *places.entry(label).or_default() += 1;
                }
            }
        }
        let is_shared = places.values().any(|places| *places > 1);
        // Names may have commas, and words in common.
        let are_names = places.len() > different.len() && !filled().any(|it| it.contains('|'));
        // 3,5 and 4,0 are scores.
        let numbers: Vec<f64> = places.keys().filter_map(|label| number(label)).collect();
        let may_be_numbers = || {
            let whole = numbers.iter().all(|number| number.fract() == 0.0);
            whole && (lists || !filled().any(|cell| cell.contains(',')))
        };
        let are_labels = (lists || (is_shared && !are_names))
            && places.len() > 1
            && is_few(places.len(), filled().count())
            && places.keys().all(|label| label.chars().count() <= LONGEST)
            && (numbers.len() < places.len() || may_be_numbers());
        are_labels.then_some(Self(sets))
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.0.len()
    }

    /// The labels of the first rows, each as often as it is there.
    pub fn labels(&self, rows: usize) -> impl Iterator<Item = &str> {
        self.0.iter().take(rows).flatten().map(Cow::as_ref)
    }

    /// How many of the first rows have none.
    pub fn without(&self, rows: usize) -> usize {
        let first = self.0.iter().take(rows);
        first.filter(|labels| labels.is_empty()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(labels: &[(&str, usize)]) -> Vec<Option<String>> {
        let cells = labels
            .iter()
            .flat_map(|(label, count)| std::iter::repeat_n(Some((*label).to_owned()), *count));
        cells.collect()
    }

    #[test]
    fn several_labels_a_row_are_told_from_names_with_commas_and_from_texts() {
        for (yes, cells_with) in [
            (
                true,
                &[("joy, anger", 3), ("joy", 2), ("anger", 3), ("fear,joy", 1)][..],
            ),
            (true, &[("[\"a\",\"b\"]", 3), ("[]", 2), ("[\"b\"]", 3)]),
            (true, &[("[0,2]", 3), ("[1]", 4)]),
            (true, &[("1|2", 3), ("2", 3), ("1", 3)]),
            (true, &[("1;2", 3), ("2", 3), ("1", 3)]),
            (true, &[("a|b", 3), ("b|c", 3), ("c|d", 3)]),
            (false, &[("law, and order", 3), ("sport", 3)]),
            (
                false,
                &[("law, and order", 3), ("law, and war", 3), ("art", 3)],
            ),
            (false, &[("a|b", 3), ("c", 3)]),
            (
                false,
                &[("3,5", 3), ("4,0", 3), ("3,0", 3), ("4,5", 3), ("5,0", 1)],
            ),
            (false, &[("[0.25,0.5]", 9), ("[0.75,0.5]", 3)]),
            (false, &[("yes", 3), ("no", 3)]),
            (
                false,
                &[
                    ("a film, and a good one", 1),
                    ("well; so, so", 1),
                    ("no", 1),
                ],
            ),
        ] {
            assert_eq!(
                Sets::of(&cells(cells_with)).is_some(),
                yes,
                "{cells_with:?}"
            );
        }
    }
}
