//! Labels: what a task takes, and scales that are another's.

use crate::spec::{LabelKind, TaskId};

/// Fewest labels from which a scale is guessed: a handful may lie anywhere by chance.
const ENOUGH: usize = 5;

/// How a label stands for none in a test file, as `datasets` and the GLUE files on the hub have it.
const UNLABELLED: f32 = -1.0;

/// Reads a label. `None` for an empty one and, in a split that may lack labels, for -1.
///
/// The labels of a yes-or-no task may be written `true` and `false`.
pub(super) fn parse(kind: LabelKind, text: &str, labelled: bool) -> Result<Option<f32>, String> {
    let text = text.trim();
    if text.is_empty() {
        return if labelled {
            Err("no label".into())
        } else {
            Ok(None)
        };
    }
    let value = number(kind, text).ok_or_else(|| match text {
        "true" | "false" => {
            format!("label {text} is a truth value, and this task's labels are numbers")
        }
        _ => format!("label {text:?} is not a number"),
    })?;
    if !labelled && value == UNLABELLED {
        return Ok(None);
    }
    let whole_below =
        |classes: usize| value.fract() == 0.0 && value >= 0.0 && value < classes as f32;
    let problem = match kind {
        LabelKind::Classes { classes } if !whole_below(classes) => {
            format!("label {text} is not a class from 0 to {}", classes - 1)
        }
        LabelKind::Binary if !whole_below(2) => format!("label {text} is neither 0 nor 1"),
        LabelKind::Score { min, max } if !(min..=max).contains(&value) => {
            format!("label {text} is not between {min} and {max}")
        }
        _ => return Ok(Some(value)),
    };
    Err(match value {
        UNLABELLED => {
            format!("{problem} (-1 stands for no label, which only a test file may have)")
        }
        _ => problem,
    })
}

fn number(kind: LabelKind, text: &str) -> Option<f32> {
    if kind == LabelKind::Binary {
        if text.eq_ignore_ascii_case("true") {
            return Some(1.0);
        }
        if text.eq_ignore_ascii_case("false") {
            return Some(0.0);
        }
    }
    text.parse().ok()
}

/// The labels of a file as they are written, whether the task takes them or not.
#[derive(Clone, Debug, Default)]
pub(super) struct WrittenLabels(Vec<f32>);

impl WrittenLabels {
    /// Adds a row's label, if it is a number and, in a split that may lack labels, does not stand for none.
    pub(super) fn add(&mut self, kind: LabelKind, text: &str, labelled: bool) {
        self.0.extend(
            number(kind, text.trim())
                .filter(|label| label.is_finite() && (labelled || *label != UNLABELLED)),
        );
    }

    fn all(&self, test: impl Fn(f32) -> bool) -> bool {
        self.0.len() >= ENOUGH && self.0.iter().all(|&label| test(label))
    }

    fn range(&self) -> (f32, f32) {
        let all = self.0.iter().copied();
        (
            all.clone().fold(f32::INFINITY, f32::min),
            all.fold(f32::NEG_INFINITY, f32::max),
        )
    }

    /// What refused labels seem to be, where more than a few strays are refused.
    pub(super) fn refused_hint(&self, kind: LabelKind) -> Option<String> {
        let (low, high) = self.range();
        let whole = self.all(|label| label.fract() == 0.0);
        match kind {
            LabelKind::Classes { classes } => {
                let top = (classes - 1) as f32;
                let shift = |from: f32| whole && low == from && high == from + top && from != 0.0;
                if shift(1.0) {
                    return Some(format!(
                        "The labels look like 1 to {classes}; the classes are 0 to {top}: take 1 from each"
                    ));
                }
                if shift(-(top / 2.0).floor()) {
                    return Some(format!(
                        "The labels look like {low} to {high}; the classes are 0 to {top}: add {} to each",
                        -low
                    ));
                }
                self.all(|label| (0.0..=1.0).contains(&label)).then(|| {
                    format!("The labels look like shares from 0 to 1; the classes are 0 to {top}: cut them into {classes} bins")
                })
            }
            LabelKind::Binary if whole && low == 1.0 && high == 2.0 => {
                Some("The labels look like 1 and 2; they must be 0 and 1: take 1 from each".into())
            }
            LabelKind::Binary if self.all(|label| label.abs() == 1.0) => {
                Some("The labels look like -1 and 1; they must be 0 and 1: write 0 for -1".into())
            }
            LabelKind::Binary if self.all(|label| (0.0..=1.0).contains(&label)) => Some(
                "The labels look like shares from 0 to 1; they must be 0 or 1: round them".into(),
            ),
            LabelKind::Binary => None,
            LabelKind::Score { min, max } => {
                let outside = self
                    .0
                    .iter()
                    .filter(|label| !(min..=max).contains(*label))
                    .count();
                // One slip of the keyboard is no scale.
                if self.0.len() < ENOUGH || outside * 10 < self.0.len() {
                    return None;
                }
                let within = |from: f32, to: f32| low >= from && high <= to;
                let (from, to) = [(-1.0, 1.0), (0.0, 10.0), (0.0, 100.0)]
                    .into_iter()
                    .find(|&(from, to)| within(from, to))?;
                Some(format!(
                    "The labels look like {from} to {to}; the scale is {min} to {max}: convert them"
                ))
            }
        }
    }

    /// What is odd about labels that the task takes. `key` names the setting under which another column may be named.
    pub(super) fn note(&self, task: TaskId, kind: LabelKind) -> Option<String> {
        let (low, high) = self.range();
        if self.all(|label| label == low) {
            return Some(format!(
                "every label is {low}: nothing can be learnt from it or scored against it. Is it the right column (tasks.{task}.columns)?"
            ));
        }
        let zero_or_one = self.all(|label| label == 0.0 || label == 1.0);
        match kind {
            LabelKind::Classes { classes } if classes > 2 && zero_or_one => Some(format!(
                "every label is 0 or 1, and the classes are 0 to {}: are these yes-or-no labels (SST-2)? \
                 Is it the right column (tasks.{task}.columns)?",
                classes - 1
            )),
            LabelKind::Score { min, max } if zero_or_one && max > 1.0 => Some(format!(
                "every label is 0 or 1, and the scale is {min} to {max}: are these yes-or-no labels? \
                 Is it the right column (tasks.{task}.columns)?"
            )),
            LabelKind::Score { min, max } if max > 1.0 && min == 0.0 && high <= 1.0 => {
                self.all(|_| true).then(|| {
                    format!(
                        "every label is between {low} and {high}, and the scale is {min} to {max}: are these similarities from 0 to 1? \
                         Then multiply them by {max}, or name another column (tasks.{task}.columns)"
                    )
                })
            }
            // SICK's scale. Half of a real 0-to-5 file lies below its middle, and never is 1 the least of a hundred.
            LabelKind::Score { min, max } if low == min + 1.0 && high == max && self.0.len() >= 100 => {
                Some(format!(
                    "every label is between {low} and {high}, and the scale is {min} to {max}: \
                     if theirs starts at {low}, convert them"
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SST: LabelKind = LabelKind::Classes { classes: 5 };
    const STS: LabelKind = LabelKind::Score { min: 0.0, max: 5.0 };

    fn written(kind: LabelKind, labels: &[&str]) -> WrittenLabels {
        let mut written = WrittenLabels::default();
        labels
            .iter()
            .for_each(|label| written.add(kind, label, true));
        written
    }

    #[test]
    fn labels_of_each_kind() {
        let b = LabelKind::Binary;
        for (kind, text, labelled, expected) in [
            (SST, " 3.0 ", true, Ok(Some(3.0))),
            (SST, "5", true, Err("label 5 is not a class from 0 to 4")),
            (SST, "", true, Err("no label")),
            (SST, "", false, Ok(None)),
            (SST, "-1", false, Ok(None)),
            (STS, "-1.0", false, Ok(None)),
            (b, " -1 ", false, Ok(None)),
            (b, "-2", false, Err("label -2 is neither 0 nor 1")),
            (
                b,
                "-1",
                true,
                Err(
                    "label -1 is neither 0 nor 1 (-1 stands for no label, which only a test file may have)",
                ),
            ),
            (b, "true", true, Ok(Some(1.0))),
            (b, "False", true, Ok(Some(0.0))),
            (
                SST,
                "true",
                true,
                Err("label true is a truth value, and this task's labels are numbers"),
            ),
            (STS, "nan", true, Err("label nan is not between 0 and 5")),
            (STS, "inf", false, Err("label inf is not between 0 and 5")),
            (STS, "3,5", true, Err("label \"3,5\" is not a number")),
        ] {
            let found = parse(kind, text, labelled);
            assert_eq!(found, expected.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn other_scales_are_recognised_among_refused_labels() {
        let b = LabelKind::Binary;
        for (kind, labels, hint) in [
            (
                SST,
                &["1", "2", "3", "4", "5"][..],
                Some("look like 1 to 5"),
            ),
            (SST, &["-2", "-1", "0", "1", "2"], Some("add 2 to each")),
            (
                SST,
                &["0", "0.5", "0.25", "1", "0.75"],
                Some("shares from 0 to 1"),
            ),
            // Five classes and a stray.
            (SST, &["0", "1", "2", "3", "4", "5"], None),
            (SST, &["1", "5"], None),
            (b, &["1", "2", "1", "2", "1"], Some("1 and 2")),
            (b, &["-1", "1", "1", "-1", "-1"], Some("-1 and 1")),
            (b, &["0.5", "1", "0.25", "0", "1"], Some("round them")),
            (b, &["0", "1", "0", "1", "2"], None),
            (STS, &["0", "10", "5", "7.5", "9"], Some("0 to 10")),
            (STS, &["0", "100", "50", "75", "90"], Some("0 to 100")),
            (STS, &["-0.5", "1", "0.5", "-1", "0"], Some("-1 to 1")),
            (STS, &["-9", "1", "2", "3", "4"], None),
            (
                STS,
                &["1", "2", "3", "4", "4", "4", "4", "4", "4", "4", "5.5"],
                None,
            ),
        ] {
            let found = written(kind, labels).refused_hint(kind);
            assert_eq!(found.is_some(), hint.is_some(), "{labels:?}: {found:?}");
            assert!(
                found.unwrap_or_default().contains(hint.unwrap_or_default()),
                "{labels:?}"
            );
        }
    }

    #[test]
    fn odd_labels_are_noted() {
        let many: Vec<String> = (0..200)
            .map(|it| format!("{}", 1.0 + f64::from(it % 41) / 10.0))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (task, labels, note) in [
            (
                TaskId::STS,
                &["0", "0.1", "0.5", "0.9", "1"][..],
                Some("similarities from 0 to 1"),
            ),
            (TaskId::STS, &["0", "1", "1", "0", "1"], Some("yes-or-no")),
            (
                TaskId::STS,
                &["3", "3", "3", "3", "3"],
                Some("every label is 3"),
            ),
            (TaskId::STS, &many, Some("starts at 1")),
            (TaskId::STS, &["0", "0.1", "0.5", "0.9", "4"], None),
            (TaskId::STS, &["0.1", "0.5", "0.9"], None),
            (
                TaskId::PARA,
                &["0", "0", "0", "0", "0"],
                Some("every label is 0"),
            ),
            (TaskId::PARA, &["0", "1", "0", "1", "0"], None),
            (TaskId::SST, &["0", "1", "1", "0", "1"], Some("SST-2")),
            (TaskId::SST, &["0", "1", "2", "0", "1"], None),
        ] {
            let kind = crate::spec::TaskSpec::preset(task).expect("a preset").label;
            let found = written(kind, labels).note(task, kind);
            assert_eq!(
                found.is_some(),
                note.is_some(),
                "{task} {labels:?}: {found:?}"
            );
            assert!(
                found.unwrap_or_default().contains(note.unwrap_or_default()),
                "{labels:?}"
            );
        }
    }
}
