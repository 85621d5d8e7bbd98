//! How often each label of a column is there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Most different texts that can be labels.
pub const MOST_LABELS: usize = 1000;
/// Labels whose rows a comment counts; of more it counts the most frequent.
const COUNTED: usize = 6;

/// Whether so many different texts may be labels of so many rows.
pub fn is_few(different: usize, rows: usize) -> bool {
    different <= MOST_LABELS && different * 2 <= rows.max(4)
}

/// The labels of a column, spellings that differ in upper and lower case as one: the most frequent.
pub struct Counts {
    /// In the order of numbers or of the alphabet, with their rows.
    pub labels: Vec<(String, usize)>,
}

impl Counts {
    /// Of a column, without its empty cells.
    pub fn of(cells: &[Option<String>]) -> Self {
        Self::of_texts(cells.iter().flatten().map(String::as_str))
    }

    /// Of the labels themselves.
    pub fn of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut spellings: HashMap<&str, usize> = HashMap::new();
        for text in texts {
            *spellings.entry(text).or_default() += 1;
        }
        let mut spellings: Vec<(&str, usize)> = spellings.into_iter().collect();
        spellings.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut labels: Vec<(String, usize)> = Vec::new();
        for (spelling, count) in spellings {
            match places.entry(same(spelling)) {
                Entry::Occupied(place) => labels[*place.get()].1 += count,
                Entry::Vacant(place) => {
                    place.insert(labels.len());
                    labels.push((plain(spelling), count));
                }
            }
        }
        let key = |label: &str| number(label).unwrap_or(f64::INFINITY);
        labels.sort_by(|(one, _), (other, _)| {
            key(one).total_cmp(&key(other)).then_with(|| one.cmp(other))
        });
        Self { labels }
    }

    /// Rows that have a label.
    pub fn rows(&self) -> usize {
        self.labels.iter().map(|(_, count)| count).sum()
    }

    /// Whether a label is among them, however it is spelt.
    pub fn has(&self, label: &str) -> bool {
        self.labels
            .iter()
            .any(|(known, _)| same(known) == same(label))
    }

    /// The first in their order.
    pub fn low(&self) -> &str {
        self.labels.first().map_or("", |(label, _)| label)
    }

    /// The last in their order.
    pub fn high(&self) -> &str {
        self.labels.last().map_or("", |(label, _)| label)
    }

    /// `"no" 12, "yes" 8`.
    pub fn shown(&self) -> String {
        let mut most: Vec<&(String, usize)> = self.labels.iter().collect();
        if most.len() > COUNTED {
            most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        }
        let mut shown: Vec<String> = most
            .iter()
            .take(COUNTED)
            .map(|(label, count)| format!("{} {count}", short(label)))
            .collect();
        if most.len() > COUNTED {
            shown.push(format!("and {} more labels", most.len() - COUNTED));
        }
        shown.join(", ")
    }
}

/// A label as a comment shows it: on one line, and not all of a sentence.
fn short(label: &str) -> String {
    const MOST: usize = 40;
    match label.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}", format!("{}…", &label[..end])),
        None => format!("{label:?}"),
    }
}

/// Labels that are one: `Yes` and `yes`, `1` and `1.0`.
fn same(label: &str) -> String {
    match number(label) {
        Some(_) => plain(label),
        None => label.to_lowercase(),
    }
}

/// A whole number without a point; other labels as they are.
fn plain(label: &str) -> String {
    match number(label) {
        Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        _ => label.to_owned(),
    }
}

/// The number that a label is.
pub fn number(label: &str) -> Option<f64> {
    label.parse().ok().filter(|number: &f64| number.is_finite())
}
