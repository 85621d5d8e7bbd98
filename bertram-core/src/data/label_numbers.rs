//! Numbers where labels have names: which number is which label. Nothing in a file says whether it counts from 0 or from 1,
//! and a wrong guess trains on labels that are all shifted by one.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::labels::{UNLABELLED, labels_key};
use super::options::ReadOptions;
use crate::spec::TaskSpec;

/// What numbers in a file mean where labels have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelNumbers {
    /// The first label is 0.
    #[serde(rename = "from-0")]
    From0,
    /// The first label is 1.
    #[serde(rename = "from-1")]
    From1,
    /// Nothing: a number is no label.
    #[serde(rename = "none")]
    Meaningless,
}

/// Names that a message lists; of more it lists none.
const LISTED: usize = 12;

impl LabelNumbers {
    /// The name in configs.
    fn name(self) -> &'static str {
        match self {
            LabelNumbers::From0 => "from-0",
            LabelNumbers::From1 => "from-1",
            LabelNumbers::Meaningless => "none",
        }
    }

    fn first(self) -> Option<usize> {
        match self {
            LabelNumbers::From0 => Some(0),
            LabelNumbers::From1 => Some(1),
            LabelNumbers::Meaningless => None,
        }
    }

    /// The name that a number stands for.
    fn label(self, spec: &TaskSpec, number: f32) -> Option<&str> {
        let first = self.first()?;
        let mut labels = spec.numbered_labels().into_iter();
        (first..)
            .zip(&mut labels)
            .find(|(at, _)| *at as f32 == number)
            .map(|(_, name)| name)
    }

    /// The class of the label that a number stands for.
    pub(super) fn class(self, spec: &TaskSpec, number: f32) -> Option<usize> {
        let name = self.label(spec, number)?;
        spec.labels.iter().position(|label| label == name)
    }
}

/// A number in the place of a label's name, and its line.
#[derive(Clone, Copy)]
struct Number {
    line: u64,
    value: f32,
}

/// The number that a label is written as.
fn number(text: &str) -> Option<f32> {
    let number: f32 = text.trim().parse().ok()?;
    // `nan` is how some programs write that there is none.
    number.is_finite().then_some(number)
}

/// What the numbers of a file mean: what the options say, what is known of a preset's files, or what the smallest and the
/// largest of them leave open. `labels` are those of all rows, with their lines. `None` where no label is a number, or names
/// are numbers.
///
/// # Errors
/// [`DataError::LabelNumbers`] where they may be counted from 0 and from 1, and where they go beyond the names: to leave out
/// rows would hide that all others are read wrongly.
pub(super) fn of_rows<'a>(
    path: &Path,
    options: &ReadOptions<'_>,
    labels: impl Iterator<Item = (u64, Cow<'a, str>)>,
) -> Result<Option<LabelNumbers>, DataError> {
    let spec = options.spec;
    let is_number = |name: &String| name.parse::<f32>().is_ok();
    if !spec.has_text_labels() || spec.labels.is_empty() || spec.labels.iter().any(is_number) {
        return Ok(None);
    }
    let numbers: Vec<Number> = labels
        .filter_map(|(line, text)| {
            Some(Number {
                line,
                value: number(&text)?,
            })
        })
        .filter(|number| options.labelled() || number.value != UNLABELLED)
        .collect();
    let Some(found) = Found::of(&numbers) else {
        return Ok(options.label_numbers);
    };
    let known = options.label_numbers.or_else(|| of_preset(spec));
    decide(spec, known, &found)
        .map(Some)
        .map_err(|doubt| DataError::LabelNumbers {
            path: path.to_owned(),
            message: found.message(options, known, doubt),
        })
}

/// What is said where a file was read by numbers that nobody said.
pub(super) fn note(options: &ReadOptions<'_>, numbers: Option<LabelNumbers>) -> Option<String> {
    let counted = numbers.filter(|numbers| *numbers == LabelNumbers::From1)?;
    if options.label_numbers.is_some() {
        return None;
    }
    let labels = options.spec.numbered_labels();
    Some(format!(
        "labels are numbers, and are counted from 1, since the largest is {}: 1 is {:?}, {} is {:?} (tasks.{}.label-numbers = {:?})",
        labels.len(),
        labels.first()?,
        labels.len(),
        labels.last()?,
        options.task,
        counted.name()
    ))
}

/// Numbers in a preset's files count from 0, unless its files have names and the config has other names for these.
fn of_preset(spec: &TaskSpec) -> Option<LabelNumbers> {
    let preset = spec.preset?;
    (!preset.named || preset.labels == spec.labels).then_some(LabelNumbers::From0)
}

/// Why numbers are not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// They may be counted in more than one way.
    Open,
    /// They go beyond the names.
    Beyond,
}

fn decide(
    spec: &TaskSpec,
    known: Option<LabelNumbers>,
    found: &Found,
) -> Result<LabelNumbers, Doubt> {
    if let Some(known) = known {
        let fits = known == LabelNumbers::Meaningless || found.fits(spec, known);
        return if fits { Ok(known) } else { Err(Doubt::Beyond) };
    }
    let [zero, one] =
        [LabelNumbers::From0, LabelNumbers::From1].map(|counted| found.fits(spec, counted));
    // Whoever renames the labels of a preset whose files have names need not have thought of the hub's numbers.
    let renamed = spec.preset.is_some();
    match (zero, one) {
        (false, false) => Err(Doubt::Beyond),
        (true, true) => Err(Doubt::Open),
        _ if renamed => Err(Doubt::Open),
        (true, false) => Ok(LabelNumbers::From0),
        (false, true) => Ok(LabelNumbers::From1),
    }
}

/// The numbers of a file.
struct Found {
    low: Number,
    high: Number,
    /// The first that is not whole.
    fraction: Option<Number>,
    /// Each once, up to one more than a message lists, in their order.
    distinct: Vec<f32>,
}

impl Found {
    fn of(numbers: &[Number]) -> Option<Self> {
        let by_value = |a: &&Number, b: &&Number| a.value.total_cmp(&b.value);
        let mut distinct: Vec<f32> = Vec::new();
        for number in numbers {
            if distinct.len() <= LISTED && !distinct.contains(&number.value) {
                distinct.push(number.value);
            }
        }
        distinct.sort_by(f32::total_cmp);
        Some(Self {
            low: *numbers.iter().min_by(by_value)?,
            high: *numbers.iter().max_by(by_value)?,
            fraction: numbers.iter().find(|it| it.value.fract() != 0.0).copied(),
            distinct,
        })
    }

    fn fits(&self, spec: &TaskSpec, counted: LabelNumbers) -> bool {
        let named = |number: Number| counted.label(spec, number.value).is_some();
        self.fraction.is_none() && named(self.low) && named(self.high)
    }

    fn message(
        &self,
        options: &ReadOptions<'_>,
        known: Option<LabelNumbers>,
        doubt: Doubt,
    ) -> String {
        let spec = options.spec;
        let task = options.task;
        let key = labels_key(task, spec);
        let count = spec.labels.len();
        let Found { low, high, .. } = self;
        let numbers = match self.fraction {
            Some(odd) => format!(
                "labels are numbers from {} to {}, and not all are whole (line {}: {})",
                low.value, high.value, odd.line, odd.value
            ),
            None => format!(
                "labels are numbers from {} (line {}) to {} (line {})",
                low.value, low.line, high.value, high.line
            ),
        };
        let numbers = format!("{numbers}, and {key} has {count} names");
        if doubt == Doubt::Open {
            let shown = |counted: LabelNumbers| match counted.label(spec, low.value) {
                Some(name) => format!("{} is {name:?}", low.value),
                None => format!("{} is none of them", low.value),
            };
            return format!(
                "{numbers}: counted from 0, {}; counted from 1, {}. Say which is meant: tasks.{task}.label-numbers = \"from-0\" or \"from-1\"",
                shown(LabelNumbers::From0),
                shown(LabelNumbers::From1)
            );
        }
        let counted = match known.and_then(|known| Some((known, known.first()?))) {
            Some((known, first)) => {
                let whence = match options.label_numbers {
                    Some(_) => format!(
                        "tasks.{task}.label-numbers = {:?}, said or found in the training rows",
                        known.name()
                    ),
                    None => format!("as in files of {task}"),
                };
                format!("counted from {first} to {} ({whence})", first + count - 1)
            }
            None => format!("counted from 0 to {} or from 1 to {count}", count - 1),
        };
        format!("{numbers}, {counted}. {}", self.advice(options, known))
    }

    /// What to do about numbers that go beyond the names.
    fn advice(&self, options: &ReadOptions<'_>, known: Option<LabelNumbers>) -> String {
        let spec = options.spec;
        let task = options.task;
        let other = [LabelNumbers::From0, LabelNumbers::From1]
            .into_iter()
            .find(|other| Some(*other) != known && self.fits(spec, *other));
        if let Some(other) = other {
            return format!("They fit tasks.{task}.label-numbers = {:?}", other.name());
        }
        if self.fraction.is_some() {
            return format!(
                "Round them; or, if they are scores, say tasks.{task}.score = [LOWEST, HIGHEST]"
            );
        }
        let key = labels_key(task, spec);
        if self.distinct.len() == spec.labels.len() {
            let names: Vec<String> = self
                .distinct
                .iter()
                .map(|number| format!("{:?}", number.to_string()))
                .collect();
            return format!(
                "Mend the file, or name the labels as it has them: {key} = [{}]",
                names.join(", ")
            );
        }
        format!(
            "Mend the file, or name its labels with {key}, in the order of the numbers or by the numbers themselves"
        )
    }
}
