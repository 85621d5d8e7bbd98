//! Labels: what a task takes, and scales that are another's.

use super::label_numbers::LabelNumbers;
use crate::spec::{LabelKind, TaskId, TaskSpec};

/// Fewest labels from which a scale is guessed: a handful may lie anywhere by chance.
const ENOUGH: usize = 5;

/// Labels that a message names; the others are counted.
const NAMED_LABELS: usize = 10;
/// Characters of a label that a message shows: where the wrong column is read, it is a sentence.
const LABEL_CHARS: usize = 40;

/// How a label stands for none in a test file, as `datasets` and the GLUE files on the hub have it.
pub(super) const UNLABELLED: f32 = -1.0;

/// The key of a config that names a task's labels.
pub(super) fn labels_key(task: TaskId, spec: &TaskSpec) -> String {
    match spec.label {
        LabelKind::Binary => format!("tasks.{task}.binary"),
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } => format!("tasks.{task}.labels"),
        LabelKind::Score { .. } => format!("tasks.{task}.score"),
    }
}

/// Reads a label. `None` for an empty one and, in a split that may lack labels, for -1.
///
/// The labels of a yes-or-no task may be written `true` and `false`. Where labels have names, they are written by these, or
/// by numbers, as `numbers` says.
pub(super) fn parse(
    spec: &TaskSpec,
    numbers: Option<LabelNumbers>,
    text: &str,
    labelled: bool,
) -> Result<Option<f32>, String> {
    let kind = spec.label;
    let text = text.trim();
    if text.is_empty() {
        return if labelled {
            Err("no label".into())
        } else {
            Ok(None)
        };
    }
    if spec.has_text_labels() {
        if let Some(class) = class(spec, numbers, text) {
            return Ok(Some(class as f32));
        }
        if !labelled && text.parse() == Ok(UNLABELLED) {
            return Ok(None);
        }
        return Err(unknown(spec, text));
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

/// The number of the class that a label names.
pub(super) fn class(spec: &TaskSpec, counted: Option<LabelNumbers>, text: &str) -> Option<usize> {
    let names = &spec.labels;
    let find = |same: &dyn Fn(&str) -> bool| names.iter().position(|name| same(name));
    let number: Option<f32> = text.parse().ok();
    let numbers = names.iter().any(|name| name.parse::<f32>().is_ok());
    find(&|name| name == text)
        .or_else(|| find(&|name| name.to_lowercase() == text.to_lowercase()))
        // `1.0` and `1` are the same name; where names are words, a number is a place among them.
        .or_else(|| match number {
            Some(number) if numbers => find(&|name| name.parse() == Ok(number)),
            Some(number) => counted.and_then(|counted| counted.class(spec, number)),
            None if spec.label == LabelKind::Binary => number_of_truth(text),
            None => None,
        })
}

fn number_of_truth(text: &str) -> Option<usize> {
    number(LabelKind::Binary, text).map(|value| value as usize)
}

/// What is wrong with a label that is none of the task's.
pub(super) fn unknown(spec: &TaskSpec, text: &str) -> String {
    let mut names: Vec<String> = spec
        .labels
        .iter()
        .take(NAMED_LABELS)
        .map(|name| format!("{name:?}"))
        .collect();
    if spec.labels.len() > NAMED_LABELS {
        names.push(format!("and {} more", spec.labels.len() - NAMED_LABELS));
    }
    let text = match text.char_indices().nth(LABEL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    format!("label {text:?} is none of {}", names.join(", "))
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
pub(super) struct WrittenLabels {
    values: Vec<f32>,
    /// Those that are none of the task's names, each once.
    unknown: Vec<String>,
}

impl WrittenLabels {
    /// Adds a row's label, if there is one and, in a split that may lack labels, it does not stand for none.
    pub(super) fn add(
        &mut self,
        spec: &TaskSpec,
        numbers: Option<LabelNumbers>,
        text: &str,
        labelled: bool,
    ) {
        let text = text.trim();
        let value = if spec.has_text_labels() {
            let class = class(spec, numbers, text);
            let is_label = !text.is_empty() && (labelled || text.parse() != Ok(UNLABELLED));
            if class.is_none() && is_label {
                self.add_unknown(text);
            }
            class.map(|class| class as f32)
        } else {
            number(spec.label, text)
        };
        self.values
            .extend(value.filter(|label| label.is_finite() && (labelled || *label != UNLABELLED)));
    }

    fn add_unknown(&mut self, text: &str) {
        // One more than a message names says that there are more.
        if self.unknown.len() <= NAMED_LABELS && !self.unknown.iter().any(|known| known == text) {
            self.unknown.push(text.to_owned());
        }
    }

    fn all(&self, test: impl Fn(f32) -> bool) -> bool {
        self.values.len() >= ENOUGH && self.values.iter().all(|&label| test(label))
    }

    fn range(&self) -> (f32, f32) {
        let all = self.values.iter().copied();
        (
            all.clone().fold(f32::INFINITY, f32::min),
            all.fold(f32::NEG_INFINITY, f32::max),
        )
    }

    /// Where the names come from of which a label is none, and how a label more is said.
    fn unknown_hint(&self, task: TaskId, spec: &TaskSpec) -> Option<String> {
        if self.unknown.is_empty() {
            return None;
        }
        let key = labels_key(task, spec);
        let whence = match (spec.preset, spec.label) {
            (Some(preset), _) if preset.labels == spec.labels => {
                format!("The labels are those of {task}, which is known by its name")
            }
            (_, LabelKind::Classes { .. } | LabelKind::MultiLabel { .. }) => format!(
                "The labels are those of {key}, which \"auto\" takes from the training rows"
            ),
            _ => format!("The labels are those of {key}"),
        };
        let all: Vec<String> = spec
            .labels
            .iter()
            .chain(&self.unknown)
            .map(|name| format!("{name:?}"))
            .collect();
        let classes = matches!(
            spec.label,
            LabelKind::Classes { .. } | LabelKind::MultiLabel { .. }
        );
        if classes && all.len() <= NAMED_LABELS && all.iter().all(|it| it.len() <= LABEL_CHARS) {
            return Some(format!(
                "{whence}; if there are more, say {key} = [{}]",
                all.join(", ")
            ));
        }
        Some(whence)
    }

    /// What refused labels seem to be, where more than a few strays are refused.
    pub(super) fn refused_hint(&self, task: TaskId, spec: &TaskSpec) -> Option<String> {
        if spec.has_text_labels() {
            return self.unknown_hint(task, spec);
        }
        let kind = spec.label;
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
                (self.all(|label| (0.0..=1.0).contains(&label)) && !whole).then(|| {
                    format!("The labels look like shares from 0 to 1; the classes are 0 to {top}: cut them into {classes} bins")
                })
            }
            LabelKind::Binary if whole && low == 1.0 && high == 2.0 => {
                Some("The labels look like 1 and 2; they must be 0 and 1: take 1 from each".into())
            }
            LabelKind::Binary if self.all(|label| label.abs() == 1.0) => {
                Some("The labels look like -1 and 1; they must be 0 and 1: write 0 for -1".into())
            }
            // Nothing is the matter with 0 and 1: the rows are bad for another reason.
            LabelKind::Binary if self.all(|label| (0.0..=1.0).contains(&label)) && !whole => Some(
                "The labels look like shares from 0 to 1; they must be 0 or 1: round them".into(),
            ),
            // Several labels at once always have names.
            LabelKind::Binary | LabelKind::MultiLabel { .. } => None,
            LabelKind::Score { min, max } => {
                let outside = self
                    .values
                    .iter()
                    .filter(|label| !(min..=max).contains(*label))
                    .count();
                // One slip of the keyboard is no scale.
                if self.values.len() < ENOUGH || outside * 10 < self.values.len() {
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
    pub(super) fn note(&self, task: TaskId, spec: &TaskSpec) -> Option<String> {
        let kind = spec.label;
        let (low, high) = self.range();
        if self.all(|label| label == low) {
            let label = if spec.has_text_labels() {
                format!("{:?}", spec.label_text(f64::from(low)))
            } else {
                low.to_string()
            };
            return Some(format!(
                "every label is {label}: nothing can be learnt from it or scored against it. Is it the right column (tasks.{task}.columns)?"
            ));
        }
        if spec.has_text_labels() {
            return None;
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
            LabelKind::Score { min, max } if low == min + 1.0 && high == max && self.values.len() >= 100 => {
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

    const SST: TaskId = TaskId::SST;
    const STS: TaskId = TaskId::STS;

    fn spec(task: TaskId) -> std::sync::Arc<TaskSpec> {
        TaskSpec::preset(task).expect("a preset")
    }

    fn written(task: TaskId, labels: &[&str]) -> WrittenLabels {
        let mut written = WrittenLabels::default();
        labels
            .iter()
            .for_each(|label| written.add(&spec(task), None, label, true));
        written
    }

    #[test]
    fn labels_of_each_kind() {
        let b = TaskId::PARA;
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
            let found = parse(&spec(kind), None, text, labelled);
            assert_eq!(found, expected.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn other_scales_are_recognised_among_refused_labels() {
        let b = TaskId::PARA;
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
            let found = written(kind, labels).refused_hint(kind, &spec(kind));
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
            let found = written(task, labels).note(task, &spec(task));
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

    #[test]
    fn labels_by_name() {
        let own = |names: &[&str], label| TaskSpec {
            label,
            labels: names.iter().map(|name| (*name).to_owned()).collect(),
            preset: None,
            ..TaskSpec::clone(&spec(SST))
        };
        let nli = own(
            &["entailment", "neutral", "contradiction"],
            LabelKind::Classes { classes: 3 },
        );
        let stars = own(&["1", "3", "5"], LabelKind::Classes { classes: 3 });
        let yes = own(&["bad", "good"], LabelKind::Binary);
        for (spec, text, labelled, expected) in [
            (&nli, " neutral ", true, Ok(Some(1.0))),
            (&nli, "Contradiction", true, Ok(Some(2.0))),
            (&nli, "2", true, Ok(Some(2.0))),
            (
                &nli,
                "3",
                true,
                Err("label \"3\" is none of \"entailment\", \"neutral\", \"contradiction\""),
            ),
            (
                &nli,
                "-",
                true,
                Err("label \"-\" is none of \"entailment\", \"neutral\", \"contradiction\""),
            ),
            (&nli, "-1", false, Ok(None)),
            (&nli, "", false, Ok(None)),
            (&nli, "", true, Err("no label")),
            (&stars, "5.0", true, Ok(Some(2.0))),
            (
                &stars,
                "2",
                true,
                Err("label \"2\" is none of \"1\", \"3\", \"5\""),
            ),
            (&yes, "good", true, Ok(Some(1.0))),
            (&yes, "true", true, Ok(Some(1.0))),
            (&yes, "0", true, Ok(Some(0.0))),
        ] {
            let found = parse(spec, Some(LabelNumbers::From0), text, labelled);
            assert_eq!(found, expected.map_err(str::to_owned), "{text:?}");
        }
        let mut written = WrittenLabels::default();
        for _ in 0..5 {
            written.add(&nli, None, "neutral", true);
        }
        let note = written.note(SST, &nli).expect("a note");
        assert!(note.contains("every label is \"neutral\""), "{note}");
    }
}
