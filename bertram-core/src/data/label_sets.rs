//! Several labels at once, as files write them: `a|b`, `a;b`, `a,b`, or a JSON list.

use std::borrow::Cow;

use serde_json::Value;

use super::Label;
use super::label_numbers::LabelNumbers;
use super::labels::{self, UNLABELLED};
use crate::spec::{LABEL_SEPARATOR, LabelKind, TaskSpec};

/// What may stand between labels, the first that a cell has.
const SEPARATORS: [char; 3] = [LABEL_SEPARATOR, ';', ','];

/// The labels in a cell: that of a task with one label a row as it is, and of one with several each of them.
pub(super) fn parts<'a>(spec: &TaskSpec, text: &'a str) -> Vec<Cow<'a, str>> {
    let text = text.trim();
    if !matches!(spec.label, LabelKind::MultiLabel { .. }) {
        return vec![Cow::Borrowed(text)];
    }
    // A name may have a comma in it.
    if text.is_empty() || spec.labels.iter().any(|label| label == text) {
        return Some(text)
            .filter(|text| !text.is_empty())
            .map(Cow::Borrowed)
            .into_iter()
            .collect();
    }
    split_labels(text)
}

/// The labels in a cell of which no names are known yet: the items of a JSON list, or what stands between `|`, `;` or `,`, the
/// first of these that the cell has.
pub fn split_labels(text: &str) -> Vec<Cow<'_, str>> {
    if let Some(list) = list(text) {
        return list.into_iter().map(Cow::Owned).collect();
    }
    let Some(separator) = SEPARATORS.into_iter().find(|it| text.contains(*it)) else {
        return vec![Cow::Borrowed(text)];
    };
    text.split(separator)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(Cow::Borrowed)
        .collect()
}

/// The items of a JSON list of texts and numbers; `None` for what is none.
fn list(text: &str) -> Option<Vec<String>> {
    let items: Vec<Value> = serde_json::from_str(text).ok()?;
    items
        .into_iter()
        .map(|item| match item {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect()
}

/// Reads a row's labels; none is a label, too. `None` where the row is not labelled: its field is not there, or, in a split
/// that may lack labels, empty or -1. `is_labelled` says that other rows of the file have labels.
pub(super) fn parse(
    spec: &TaskSpec,
    numbers: Option<LabelNumbers>,
    text: Option<&str>,
    labelled: bool,
    is_labelled: bool,
) -> Result<Option<Label>, String> {
    let Some(text) = text.map(str::trim) else {
        return match labelled {
            true => Err("no labels".into()),
            false => Ok(None),
        };
    };
    let stands_for_none = text.parse() == Ok(UNLABELLED) || (text.is_empty() && !is_labelled);
    if !labelled && stands_for_none {
        return Ok(None);
    }
    let mut there = vec![0.0; spec.labels.len()];
    for part in parts(spec, text) {
        let class = labels::class(spec, numbers, &part);
        match class.and_then(|class| there.get_mut(class)) {
            Some(there) => *there = 1.0,
            None => return Err(labels::unknown(spec, &part)),
        }
    }
    Ok(Some(Label::Classes(there)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Inputs, Metric};

    fn spec(labels: &[&str]) -> TaskSpec {
        TaskSpec {
            title: "topics".into(),
            inputs: Inputs::Single,
            label: LabelKind::MultiLabel {
                classes: labels.len(),
            },
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            metric: Metric::MicroF1,
            preset: None,
        }
    }

    #[test]
    fn labels_are_read_however_they_are_written() {
        let topics = spec(&["sport", "art", "law, and order"]);
        let read = |text: &str| {
            let label = parse(&topics, Some(LabelNumbers::From0), Some(text), true, true);
            label.map(|label| label.expect("a label").numbers().to_vec())
        };
        for (text, expected) in [
            ("sport", [1.0, 0.0, 0.0]),
            ("sport|art", [1.0, 1.0, 0.0]),
            (" art ; sport ", [1.0, 1.0, 0.0]),
            ("sport,art", [1.0, 1.0, 0.0]),
            ("law, and order", [0.0, 0.0, 1.0]),
            ("law, and order|Art", [0.0, 1.0, 1.0]),
            (r#"["law, and order", "art"]"#, [0.0, 1.0, 1.0]),
            ("[0, 2]", [1.0, 0.0, 1.0]),
            ("0,1", [1.0, 1.0, 0.0]),
            ("sport|sport", [1.0, 0.0, 0.0]),
            ("", [0.0, 0.0, 0.0]),
            ("[]", [0.0, 0.0, 0.0]),
        ] {
            assert_eq!(read(text), Ok(expected.to_vec()), "{text:?}");
        }
        for (text, part) in [
            ("sport|music", "label \"music\" is none of \"sport\""),
            ("[\"sport\", 7]", "label \"7\" is none of"),
            ("['sport']", "label \"['sport']\" is none of"),
            ("-1", "label \"-1\""),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_row_without_labels_is_told_from_one_that_has_none() {
        let topics = spec(&["sport", "art"]);
        let none = Some(Label::Classes(vec![0.0, 0.0]));
        for (text, labelled, is_labelled, expected) in [
            (None, true, true, Err("no labels".to_owned())),
            (Some(""), true, false, Ok(none.clone())),
            (None, false, true, Ok(None)),
            (Some(""), false, false, Ok(None)),
            (Some(""), false, true, Ok(none)),
            (Some("-1"), false, true, Ok(None)),
        ] {
            let found = parse(&topics, None, text, labelled, is_labelled);
            assert_eq!(found, expected, "{text:?} {labelled} {is_labelled}");
        }
    }
}
