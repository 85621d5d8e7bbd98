//! A space of configs to search in: the keys that are drawn, from what, and how the search goes on.
//!
//! ```toml
//! method = "asha"                 # or "random", the default
//! reduction-factor = 3            # asha: of so many trials one goes on
//! min-epochs = 1                  # asha: epochs before the first choice
//! seed = 0                        # of the draws
//!
//! [space]
//! train.learning-rate = { min = 1e-4, max = 1e-2, scale = "log" }
//! train.warmup = { min = 0.0, max = 0.3, step = 0.1 }
//! train.batch-size = { values = [8, 16, 32] }
//! ```
//!
//! What a trial draws follows from the seed, the trial's number and the key's name: more trials leave the first ones as they
//! are, and so does another key beside them (where it has no part in what makes two trials equal).

use std::collections::BTreeSet;
use std::path::Path;

use bertram_core::seed::mix;
use serde::{Deserialize, Serialize};
use toml_edit::Value;

use super::extends::Origin;
use super::read_config;
use super::source::{ConfigError, MOST, Place, Source, show};

/// How trials are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchMethod {
    /// Each is trained to its end (Bergstra & Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 2012).
    #[default]
    Random,
    /// Asynchronous successive halving: [`Halving`](crate::search::Halving).
    Asha,
}

/// What is searched, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSpace {
    /// The file, as messages name it.
    pub name: String,
    /// How trials are chosen.
    pub method: SearchMethod,
    /// `train.best-metric` of the trials and the place that says it; the config's own where absent.
    pub metric: Option<(String, String)>,
    /// Of so many trials at a rung one goes on (asha).
    pub reduction_factor: usize,
    /// Epochs until the first rung (asha).
    pub min_epochs: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// The keys that are drawn, in the order of the file.
    pub keys: Vec<SearchKey>,
}

/// A key of a config, and what it is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchKey {
    /// The key, dotted.
    pub key: String,
    /// `file:line`.
    pub place: String,
    /// What it is drawn from.
    pub domain: Domain,
}

/// What a key is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// One of these, each as likely.
    Values(Vec<Choice>),
    /// A number.
    Range(Range),
}

/// One of the values of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// As TOML.
    pub text: String,
    /// The number that it is, if it is one.
    pub number: Option<f64>,
}

/// Numbers from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// What is uniform: the number, or its logarithm.
    pub scale: Scale,
    /// Distance of the numbers from `min` on; any number where absent.
    pub step: Option<f64>,
    /// Whether they are whole numbers.
    pub integer: bool,
}

/// What of a number is uniform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The number.
    #[default]
    Linear,
    /// Its logarithm.
    Log,
}

/// What a trial has drawn for a key.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnValue {
    /// As TOML, for `--set`.
    pub text: String,
    /// The number that it is, if it is one.
    pub number: Option<f64>,
}

/// Significant digits of a drawn number: more make no difference to a score, and are hard to read.
const DIGITS: usize = 4;
/// Digits in which the sum of a number and some steps is what one would write.
const EXACT_DIGITS: usize = 12;
/// How often a trial is drawn anew that another has drawn already.
const MOST_ATTEMPTS: u64 = 10_000;

impl SearchSpace {
    /// The default of `reduction-factor`: that of Hyperband (Li et al., JMLR 2018).
    const REDUCTION_FACTOR: usize = 3;

    /// Reads and checks a file.
    ///
    /// # Errors
    /// A file that cannot be read; all problems of it at once, each with its line and key. Whether keys and values are those
    /// of a config is for whoever draws a config to see.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (name, text) = read_config(path)?;
        Self::from_text(&name, &text)
    }

    /// As [`load`](Self::load), of a text; `name` stands for the file in messages.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn from_text(name: &str, text: &str) -> Result<Self, ConfigError> {
        let mut source = Source::parse(name, text, Origin::Text, &[])?;
        let s = &mut source;
        let method = s.choice("method").unwrap_or_default();
        let of_asha = |s: &mut Source, key: &str, default: usize, least: u64| {
            let number = s.count_up_to(key, least, MOST as u64);
            if number.is_some() && method != SearchMethod::Asha {
                s.problem(key, "means something only with method = \"asha\"");
            }
            number.map_or(default, |number| number as usize)
        };
        let reduction_factor = of_asha(s, "reduction-factor", Self::REDUCTION_FACTOR, 2);
        let min_epochs = of_asha(s, "min-epochs", 1, 1);
        let metric = s.text("metric");
        let metric = metric.map(|metric| (metric, place(s, "metric")));
        let seed = s.count("seed", 0).unwrap_or(0);
        let keys = keys(s, method);
        source.finish()?;
        Ok(Self {
            name: name.to_owned(),
            method,
            metric,
            reduction_factor,
            min_epochs,
            seed,
            keys,
        })
    }

    /// How many different trials there are; `None` where a key has any number of a range.
    pub fn size(&self) -> Option<u64> {
        let sizes = self.keys.iter().map(|key| key.domain.size());
        sizes.reduce(|all, one| Some(all?.saturating_mul(one?)))?
    }

    /// What the first `count` trials draw, a value for each key. No two are equal.
    ///
    /// # Errors
    /// A sentence, where the space has fewer trials.
    pub fn trials(&self, count: usize) -> Result<Vec<Vec<DrawnValue>>, String> {
        let few = |most: u64| {
            format!(
                "{}: {count} trials are asked for, and the space has no more than {most} different ones",
                self.name
            )
        };
        if let Some(size) = self.size().filter(|size| count as u64 > *size) {
            return Err(few(size));
        }
        let mut trials = Vec::new();
        let mut seen = BTreeSet::new();
        for trial in 0..count as u64 {
            let mut attempts = (0..MOST_ATTEMPTS).map(|attempt| self.draw(trial, attempt));
            let new = attempts.find(|values| {
                let texts: Vec<String> = values.iter().map(|value| value.text.clone()).collect();
                seen.insert(texts)
            });
            // Of a range, numbers that are written in as many digits as the ends are few.
            trials.push(new.ok_or_else(|| few(trial))?);
        }
        Ok(trials)
    }

    fn draw(&self, trial: u64, attempt: u64) -> Vec<DrawnValue> {
        let of_trial = mix(mix(self.seed, trial), attempt);
        let value = |key: &SearchKey| {
            let bytes = key.key.bytes();
            let bits = bytes.fold(of_trial, |stream, byte| mix(stream, u64::from(byte)));
            // 53 bits are what a double has.
            key.domain.at((bits >> 11) as f64 / (1_u64 << 53) as f64)
        };
        self.keys.iter().map(value).collect()
    }
}

impl Domain {
    /// The value at a place from 0 up to, but not including, 1: the quantile function of the draws.
    pub fn at(&self, place: f64) -> DrawnValue {
        match self {
            Domain::Values(values) => {
                let index = (place * values.len() as f64) as usize;
                // There is at least one.
                let choice = &values[index.min(values.len() - 1)];
                DrawnValue {
                    text: choice.text.clone(),
                    number: choice.number,
                }
            }
            Domain::Range(range) => range.at(place),
        }
    }

    /// Whether its values have an order: all are numbers.
    pub fn is_numeric(&self) -> bool {
        match self {
            Domain::Values(values) => values.iter().all(|value| value.number.is_some()),
            Domain::Range(_) => true,
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Domain::Values(values) => Some(values.len() as u64),
            Domain::Range(range) => match (range.step, range.integer) {
                (Some(_), _) => Some(range.steps()),
                (None, true) => Some((range.max - range.min) as u64 + 1),
                (None, false) => None,
            },
        }
    }
}

impl Range {
    /// How many numbers there are with a step.
    fn steps(&self) -> u64 {
        let step = self.step.unwrap_or(1.0);
        // A tenth and two tenths are a little more than three.
        ((self.max - self.min) / step + 1e-9) as u64 + 1
    }

    fn at(&self, place: f64) -> DrawnValue {
        let number = match (self.step, self.scale) {
            (Some(step), _) => {
                let steps = (place * self.steps() as f64).floor();
                rounded(self.min + steps * step, EXACT_DIGITS)
            }
            (None, Scale::Linear) if self.integer => {
                (self.min + place * (self.max - self.min + 1.0)).floor()
            }
            (None, Scale::Linear) => rounded(self.min + place * (self.max - self.min), DIGITS),
            (None, Scale::Log) => {
                // Of whole numbers, what is below the next one.
                let end = self.max + f64::from(u8::from(self.integer));
                let number = self.min * (end / self.min).powf(place);
                match self.integer {
                    true => number.floor(),
                    false => rounded(number, DIGITS),
                }
            }
        };
        let number = number.clamp(self.min, self.max);
        let value = match self.integer {
            true => Value::from(number as i64),
            false => Value::from(number),
        };
        DrawnValue {
            text: show(&value),
            number: Some(number),
        }
    }
}

/// A number in so many significant digits.
fn rounded(number: f64, digits: usize) -> f64 {
    let text = format!("{number:.*e}", digits - 1);
    // What was just written as a number is one.
    text.parse().unwrap_or(number)
}

/// Where a key that was read is said.
fn place(s: &Source, key: &str) -> String {
    s.place_of(key)
        .map_or_else(String::new, |place| s.show_place(place))
}

const SECTION: &str = "space";
/// What says what a key is drawn from.
const OPTIONS: [&str; 6] = ["values", "min", "max", "scale", "step", "integer"];
const WRITE: &str = "write { values = [...] }, or { min = ..., max = ... }";

/// Reads `[space]`.
fn keys(s: &mut Source, method: SearchMethod) -> Vec<SearchKey> {
    s.has_table(SECTION);
    let mut options: BTreeSet<String> = BTreeSet::new();
    let mut others: Vec<String> = Vec::new();
    let leaves = s.unread_keys(SECTION);
    let is_empty = leaves.is_empty();
    for leaf in leaves {
        match leaf.rsplit_once('.') {
            Some((key, option)) if key != SECTION && OPTIONS.contains(&option) => {
                options.insert(key.to_owned());
            }
            _ => others.push(leaf),
        }
    }
    for leaf in others {
        let of_key = leaf
            .rsplit_once('.')
            .is_some_and(|(key, _)| options.contains(key));
        if !of_key {
            let _: Option<()> = s.read(&leaf, |value| Err(format!("{}: {WRITE}", show(value))));
        }
    }
    if is_empty {
        s.forgive(SECTION);
        s.problem_of_section(
            SECTION,
            format!("is empty: name the keys that are drawn, and for each {WRITE}"),
        );
    }
    let mut keys: Vec<(Place, SearchKey)> = Vec::new();
    for path in options {
        let domain = domain(s, &path);
        let key = path[SECTION.len() + 1..].to_owned();
        let said = OPTIONS.iter().map(|option| format!("{path}.{option}"));
        let said: Vec<String> = said.filter(|option| s.is_said(option)).collect();
        let first = said.iter().filter_map(|option| s.place_of(option)).min();
        let Some(first) = first.cloned() else {
            continue;
        };
        if let Some(why) = not_searched(&key, method) {
            s.problem(&said[0], why);
        }
        if let Some(domain) = domain {
            let place = s.show_place(&first);
            keys.push((first, SearchKey { key, place, domain }));
        }
    }
    keys.sort_by(|(one, _), (other, _)| one.cmp(other));
    keys.into_iter().map(|(_, key)| key).collect()
}

/// Why a key is not one to search by, where it is not.
fn not_searched(key: &str, method: SearchMethod) -> Option<String> {
    match key {
        "train.seed" => Some(
            "is no setting to choose by: the best of some seeds is luck; --seed sets it for all trials"
                .into(),
        ),
        "train.best-metric" => {
            Some("is what trials are compared by: set metric, above [space]".into())
        }
        "train.epochs" if method == SearchMethod::Asha => Some(
            "is what method = \"asha\" gives out: set it in the config, or with --epochs".into(),
        ),
        _ if key == "experiment" || key.starts_with("experiment.") => {
            Some("changes nothing that is computed".into())
        }
        _ => None,
    }
}

/// What a key is drawn from; `None` where that is wrong, and said.
fn domain(s: &mut Source, path: &str) -> Option<Domain> {
    let key = |option: &str| format!("{path}.{option}");
    let values = s.read(&key("values"), choices);
    let [min, max, step] = ["min", "max", "step"].map(|option| s.read(&key(option), number));
    let scale: Option<Scale> = s.choice(&key("scale"));
    let integer = s.flag(&key("integer"));
    if s.is_said(&key("values")) {
        let beside = OPTIONS[1..].iter().find(|option| s.is_said(&key(option)));
        if let Some(beside) = beside {
            s.problem(&key(beside), "stands beside values: keep one");
            return None;
        }
        return values.map(Domain::Values);
    }
    for end in ["min", "max"] {
        if !s.is_said(&key(end)) {
            let said = OPTIONS.iter().map(|option| key(option));
            let said = said.into_iter().find(|option| s.is_said(option));
            let message = format!("is missing: {WRITE}");
            s.problem_between(&key(end), said.as_deref().unwrap_or(path), message);
        }
    }
    let (min, max) = (min?, max?);
    let scale = scale.unwrap_or_default();
    // Steps of whole numbers give whole numbers.
    let whole = |number: &Number| number.is_integer;
    let steps_are_whole = step.as_ref().is_some_and(|step| whole(step) && whole(&min));
    let range = Range {
        min: min.number,
        max: max.number,
        scale,
        step: step.as_ref().map(|step| step.number),
        integer: integer.unwrap_or(steps_are_whole),
    };
    let problem = check(&range);
    if let Some((option, message)) = problem {
        s.problem(&key(option), message);
        return None;
    }
    Some(Domain::Range(range))
}

/// What is wrong with a range, and with which of its options.
fn check(range: &Range) -> Option<(&'static str, String)> {
    let Range { min, max, .. } = *range;
    if min >= max {
        return Some(("max", format!("{max} is not more than min = {min}")));
    }
    if range.scale == Scale::Log && min <= 0.0 {
        return Some(("min", format!("{min} has no logarithm: it must be above 0")));
    }
    if let Some(step) = range.step {
        if range.scale == Scale::Log {
            let message = "goes with scale = \"linear\" only: of a log scale, list the values";
            return Some(("step", message.into()));
        }
        if !(step > 0.0 && step <= max - min) {
            let message = format!(
                "{step} is not a number above 0 and up to max - min = {}",
                max - min
            );
            return Some(("step", message));
        }
    }
    if range.integer {
        let ends = [("min", Some(min)), ("max", Some(max)), ("step", range.step)];
        for (option, number) in ends {
            if let Some(number) = number.filter(|it| it.fract() != 0.0 || it.abs() > MOST as f64) {
                let message = format!("{number} is not a whole number up to {MOST}");
                return Some((option, message));
            }
        }
    }
    None
}

/// A number, and whether it is written as a whole one.
struct Number {
    number: f64,
    is_integer: bool,
}

fn number(value: &Value) -> Result<Number, String> {
    let number = as_number(value).ok_or_else(|| format!("{} is not a number", show(value)))?;
    Ok(Number {
        number,
        is_integer: value.is_integer(),
    })
}

fn as_number(value: &Value) -> Option<f64> {
    let number = value.as_float();
    number
        .or_else(|| value.as_integer().map(|number| number as f64))
        .filter(|number| number.is_finite())
}

fn choices(value: &Value) -> Result<Vec<Choice>, String> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| format!("{} is not a list of values", show(value)))?;
    let mut choices: Vec<Choice> = Vec::new();
    for item in list.iter() {
        if item.is_inline_table() {
            return Err(format!("{} is a section, and no value", show(item)));
        }
        let choice = Choice {
            text: show(item),
            number: as_number(item),
        };
        if choices.iter().any(|other| other.text == choice.text) {
            return Err(format!("{} is there twice", choice.text));
        }
        choices.push(choice);
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn space(text: &str) -> SearchSpace {
        SearchSpace::from_text("s.toml", text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(text: &str) -> String {
        let error = SearchSpace::from_text("s.toml", text).expect_err("wrong");
        error.to_string()
    }

    const SMALL: &str = "\
seed = 5
[space]
train.learning-rate = { min = 1e-5, max = 1e-2, scale = \"log\" }
train.batch-size = { values = [8, 16, 32] }
[space.tasks.sts]
loss = { values = [\"mse\", \"cosent\"] }
[space.train.warmup]
min = 0.0
max = 0.3
step = 0.1
";

    #[test]
    fn keys_come_in_the_order_of_the_file() {
        let space = space(SMALL);
        let keys: Vec<(&str, &str)> = space
            .keys
            .iter()
            .map(|key| (key.key.as_str(), key.place.as_str()))
            .collect();
        assert_eq!(
            keys,
            [
                ("train.learning-rate", "s.toml:3"),
                ("train.batch-size", "s.toml:4"),
                ("tasks.sts.loss", "s.toml:6"),
                ("train.warmup", "s.toml:8"),
            ]
        );
        assert_eq!((space.method, space.seed), (SearchMethod::Random, 5));
        assert_eq!(space.size(), None);
        let quoted = "[space]\n\"train.batch-size\" = { values = [8, 16] }\n";
        assert_eq!(self::space(quoted).keys[0].key, "train.batch-size");
    }

    #[test]
    fn more_trials_and_other_keys_leave_what_was_drawn() {
        let space = space(SMALL);
        let few = space.trials(3).expect("enough");
        let many = space.trials(40).expect("enough");
        assert_eq!(few, many[..3]);
        let other = self::space(&SMALL.replace("train.batch-size", "train.accumulate"));
        let rate = |trials: Vec<Vec<DrawnValue>>| trials[0][0].clone();
        assert_eq!(rate(other.trials(1).expect("enough")), few[0][0]);
        let seeded = self::space(&SMALL.replace("seed = 5", "seed = 6"));
        assert_ne!(seeded.trials(3).expect("enough"), few);
    }

    #[test]
    fn small_spaces_are_drawn_without_repeats_and_to_their_end() {
        let text = "[space]\na = { values = [1, 2, 3] }\nb = { min = 0, max = 4, step = 2 }\n";
        let space = space(text);
        assert_eq!(space.size(), Some(9));
        let all = space.trials(9).expect("all");
        let different: BTreeSet<String> = all.iter().map(|trial| format!("{trial:?}")).collect();
        assert_eq!(different.len(), 9);
        assert_eq!(
            space.trials(10),
            Err(
                "s.toml: 10 trials are asked for, and the space has no more than 9 different ones"
                    .into()
            )
        );
        assert_eq!(all[0].iter().filter(|it| it.text.contains('.')).count(), 0);
    }

    #[test]
    fn places_are_quantiles() {
        let at = |text: &str, place: f64| {
            let space = space(&format!("[space]\na = {{ {text} }}\n"));
            space.keys[0].domain.at(place).text
        };
        let almost = 1.0 - 1e-12;
        for (text, place, value) in [
            ("values = [\"a\", true, 3]", 0.0, "\"a\""),
            ("values = [\"a\", true, 3]", 0.34, "true"),
            ("values = [\"a\", true, 3]", almost, "3"),
            ("min = 1e-4, max = 1e-2, scale = \"log\"", 0.5, "0.001"),
            (
                "min = 1e-4, max = 1e-2, scale = \"log\"",
                0.123,
                "0.0001762",
            ),
            ("min = 1, max = 3", 0.5, "2.0"),
            ("min = 1, max = 3, integer = true", 0.0, "1"),
            ("min = 1, max = 3, integer = true", 0.5, "2"),
            ("min = 1, max = 3, integer = true", almost, "3"),
            (
                "min = 1, max = 7, integer = true, scale = \"log\"",
                0.5,
                "2",
            ),
            (
                "min = 1, max = 7, integer = true, scale = \"log\"",
                almost,
                "7",
            ),
            ("min = 0.0, max = 0.3, step = 0.1", 0.6, "0.2"),
            ("min = 0.0, max = 0.3, step = 0.1", almost, "0.3"),
            ("min = 2, max = 9, step = 3", almost, "8"),
        ] {
            assert_eq!(at(text, place), value, "{text} at {place}");
        }
    }

    #[test]
    fn all_problems_are_said_at_once_with_their_lines() {
        let text = "\
method = \"grid\"
min-epochs = 0
sed = 3
[space]
train.seed = { values = [1, 2] }
train.learning-rate = { min = 0, max = 1e-2, scale = \"log\" }
train.batch-size = { values = [8, 8] }
train.warmup = { min = 0.3, max = 0.1 }
train.accumulate = { min = 1, max = 4.5, integer = true }
train.log-every = { max = 4 }
train.order = { values = [\"fixed\"], min = 3 }
train.schedule = \"combined\"
model.pooling = { values = [] }
model.head-dropout = { min = 0.0, max = 0.5, stp = 0.1 }
experiment.id = { values = [\"a\"] }
model.dropout.hidden = { min = 0.1, max = 0.2, step = 0.5 }
";
        insta::assert_snapshot!(error(text));
        insta::assert_snapshot!(error("metric = 3\nreduction-factor = 3\n"));
    }

    proptest! {
        #[test]
        fn draws_lie_within_their_ranges(
            ends in (-1e3..1e3f64, 1e-3..1e3f64),
            place in 0.0..1.0f64,
            integer: bool,
            log: bool,
            steps in prop::option::of(1..20u32),
        ) {
            let (low, span) = ends;
            let min = if log { low.abs() + 0.1 } else { low };
            let (min, max) = match integer {
                true => (min.ceil(), (min + span).ceil() + 1.0),
                false => (min, min + span),
            };
            let step = steps.filter(|_| !log).map(|steps| match integer {
                true => 1.0,
                false => (max - min) / f64::from(steps),
            });
            let scale = if log { Scale::Log } else { Scale::Linear };
            let range = Range { min, max, scale, step, integer };
            prop_assert_eq!(check(&range), None);
            let drawn = range.at(place);
            let number = drawn.number.expect("a number");
            prop_assert!((min..=max).contains(&number), "{} in {:?}", number, range);
            prop_assert!(!integer || number.fract() == 0.0);
            // What is set is what is noted.
            let read: Value = drawn.text.parse().expect("TOML");
            prop_assert_eq!(as_number(&read), Some(number));
            prop_assert_eq!(read.is_integer(), integer);
        }
    }
}
