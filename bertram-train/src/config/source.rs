//! A config file as a flat list of keys with their lines, and the problems found in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use bertram_core::loss::LossOptions;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use toml_edit::{Item, Value};

use super::extends::{self, File, Lines, Origin};
use super::{ClassWeights, Limit, Override, names};

/// Most of anything that is counted through or multiplied with others: more than a run can have, and few enough that
/// products are numbers.
pub(super) const MOST: usize = 1_000_000_000;

/// Errors of a config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{name}: {message}")]
    Unreadable {
        /// Name of the file that the message is about.
        name: String,
        /// What the system said.
        message: String,
    },
    /// The file is not TOML.
    #[error("{name}:{line}: not TOML: {message}")]
    Syntax {
        /// Name of the file that the message is about.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// The file extends another that is not there, or itself.
    #[error("{place}: extends: {message}")]
    Extends {
        /// `file:line`.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The file is TOML, and says things that cannot be.
    #[error("{}", list(name, problems))]
    Invalid {
        /// Name of the file that the message is about.
        name: String,
        /// All of them, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// One thing wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `file:line`, or the argument of the command line.
    pub place: String,
    /// The key, dotted.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Problems that a message names; the others are counted.
const NAMED_PROBLEMS: usize = 20;

fn list(name: &str, problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => format!("1 problem in {name}"),
        count => format!("{count} problems in {name}"),
    };
    let named = problems.iter().take(NAMED_PROBLEMS);
    let mut text = named.fold(count, |text, problem| {
        format!(
            "{text}\n  {}: {}: {}",
            problem.place, problem.key, problem.message
        )
    });
    if problems.len() > NAMED_PROBLEMS {
        text.push_str(&format!("\n  and {} more", problems.len() - NAMED_PROBLEMS));
    }
    text
}

#[derive(Clone, Debug)]
struct Leaf {
    value: Value,
    place: Place,
}

/// Where a key is said; orders as the file does, the command line last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Number of the file (the config itself is 0, what it extends 1, and so on), and line.
    Line(usize, usize),
    /// An argument of the command line, as it was typed.
    Argument(String),
}

impl Place {
    /// How near to the user it was said: what is nearer goes over what is farther. The command line is nearest, then the
    /// config, then what it extends.
    pub(super) fn nearness(&self) -> usize {
        match self {
            Place::Argument(_) => usize::MAX,
            Place::Line(file, _) => usize::MAX - 1 - file,
        }
    }
}

/// The keys of a config, and what was found wrong so far.
pub(super) struct Source {
    files: Vec<String>,
    /// Whether `files` are paths, or the one of them a name for a text.
    is_file: bool,
    warnings: Vec<String>,
    leaves: BTreeMap<String, Leaf>,
    tables: BTreeMap<String, Place>,
    /// The sections in the order in which they were met: of the base first, of the command line last.
    order: Vec<String>,
    /// The same, to look them up.
    ordered: HashSet<String>,
    known: Vec<String>,
    /// Sections that are wrong, and not read.
    forgiven: Vec<String>,
    places: BTreeMap<String, Place>,
    problems: Vec<(Place, String, String)>,
}

impl Source {
    /// Reads a config and what it extends.
    pub(super) fn parse(
        name: &str,
        text: &str,
        origin: Origin<'_>,
        overrides: &[Override],
    ) -> Result<Self, ConfigError> {
        let files = extends::chain(name, text, origin)?;
        let mut source = Self {
            files: files.iter().map(|file| file.name.clone()).collect(),
            is_file: matches!(origin, Origin::File),
            warnings: Vec::new(),
            leaves: BTreeMap::new(),
            tables: BTreeMap::new(),
            order: Vec::new(),
            ordered: HashSet::new(),
            known: Vec::new(),
            forgiven: Vec::new(),
            places: BTreeMap::new(),
            problems: Vec::new(),
        };
        // The base first: what comes later goes over it.
        for (number, File { text, document, .. }) in files.iter().enumerate().rev() {
            let lines = Lines::of(text);
            for (key, item) in document.iter() {
                if key == extends::KEY || (number > 0 && !extends::is_inherited(key, item)) {
                    continue;
                }
                let place_of = |item: &Item, above: &Place| {
                    item.span().map_or_else(
                        || above.clone(),
                        |span| Place::Line(number, lines.line_of(span.start)),
                    )
                };
                source.flatten(key, item, &place_of, &Place::Line(number, 1));
            }
        }
        for setting in overrides {
            source.set(setting);
        }
        Ok(source)
    }

    /// Takes in an item and all below it. `place_of` tells an item's place, given the place of the one above.
    fn flatten(
        &mut self,
        path: &str,
        item: &Item,
        place_of: &dyn Fn(&Item, &Place) -> Place,
        above: &Place,
    ) {
        let place = place_of(item, above);
        match item {
            Item::Value(Value::InlineTable(table)) => {
                for (key, value) in table.iter() {
                    let item = Item::Value(value.clone());
                    self.flatten(&format!("{path}.{key}"), &item, place_of, &place);
                }
                self.add_table(path, place);
            }
            Item::Value(value) => {
                let value = value.clone();
                self.leaves.insert(path.to_owned(), Leaf { value, place });
            }
            Item::Table(table) => {
                for (key, item) in table.iter() {
                    self.flatten(&format!("{path}.{key}"), item, place_of, &place);
                }
                self.add_table(path, place);
            }
            Item::ArrayOfTables(_) => self.problem_at(
                place,
                path,
                "a list of tables means nothing here; write [section]".into(),
            ),
            Item::None => {}
        }
    }

    fn add_table(&mut self, path: &str, place: Place) {
        self.tables.insert(path.to_owned(), place);
        if self.ordered.insert(path.to_owned()) {
            self.order.push(path.to_owned());
        }
    }

    /// Takes in a setting of the command line; a table takes the place of its section.
    fn set(&mut self, setting: &Override) {
        let place = Place::Argument(setting.shown.clone());
        let Some((key, value)) = setting.setting.clone() else {
            let argument = setting.shown.trim_start_matches("--set ").to_owned();
            self.problem_at(place, &argument, "write --set key.path=value".into());
            return;
        };
        let mut parent = key.as_str();
        while let Some((above, _)) = parent.rsplit_once('.') {
            if !self.tables.contains_key(above) {
                self.add_table(above, place.clone());
            }
            parent = above;
        }
        self.replace(&key, &setting.shown);
        if value.is_inline_table() {
            // A whole section takes the place of the file's: `--set experiment.paper={}` leaves nothing of it.
            self.replace_below(&key, &setting.shown);
            let section = format!("{key}.");
            self.tables.retain(|key, _| !key.starts_with(&section));
        }
        if key == "model.path" {
            // Naming a pretrained model on the command line takes the place of the file's random one.
            self.replace_below("model.random", &setting.shown);
        } else if key.starts_with("model.random") {
            // And the other way round.
            self.replace("model.path", &setting.shown);
        }
        self.flatten(&key, &Item::Value(value), &|_, set| set.clone(), &place);
    }

    fn replace_below(&mut self, section: &str, by: &str) {
        let section = format!("{section}.");
        let keys: Vec<String> = self.leaves.keys().cloned().collect();
        for key in keys.iter().filter(|key| key.starts_with(&section)) {
            self.replace(key, by);
        }
    }

    /// Takes a key out because of what comes later. An earlier argument that counts for nothing is worth a word; that a
    /// file's key gives way to an argument is what arguments are for.
    fn replace(&mut self, key: &str, by: &str) {
        if let Some(Leaf {
            place: Place::Argument(earlier),
            ..
        }) = self.leaves.remove(key)
        {
            self.warn(format!("{earlier} has no effect: {by} comes after it"));
        }
    }

    /// Notes something that is no fault, and that the user should know.
    pub(super) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether the config is a file, and not a text of the program's.
    pub(super) fn is_file(&self) -> bool {
        self.is_file
    }

    /// The file that says a key, if it is a file that does.
    pub(super) fn file_of(&self, key: &str) -> Option<&Path> {
        match self.place_of(key) {
            Some(Place::Line(file, _)) if self.is_file => Some(Path::new(&self.files[*file])),
            _ => None,
        }
    }

    /// The keys that are said, of those that were read.
    pub(super) fn said(&self) -> BTreeSet<String> {
        self.places.keys().cloned().collect()
    }

    /// The argument that alone made a section, where one did: by a key in it, and not by the section itself.
    pub(super) fn section_of_argument(&self, section: &str) -> Option<&str> {
        match self.tables.get(section)? {
            Place::Argument(shown) if shown.contains(&format!("{section}.")) => Some(shown),
            _ => None,
        }
    }

    /// Where a key is said, if it is, once it was read.
    pub(super) fn place_of(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// A place as messages name it.
    pub(super) fn show_place(&self, place: &Place) -> String {
        match place {
            Place::Line(file, line) => format!("{}:{line}", self.files[*file]),
            Place::Argument(shown) => shown.clone(),
        }
    }

    fn problem_at(&mut self, place: Place, key: &str, message: String) {
        self.problems.push((place, key.to_owned(), message));
    }

    /// Notes a problem with a key that was read, or is missing.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problem_between(key, key, message);
    }

    /// Notes a problem of `key` with `other`: its place is the first of the two that is said.
    pub(super) fn problem_between(&mut self, key: &str, other: &str, message: impl Into<String>) {
        // A key that is not said is as wrong as the section that lacks it.
        let section = key.rsplit_once('.').map_or(key, |(section, _)| section);
        let place = self
            .places
            .get(key)
            .or_else(|| self.places.get(other))
            .or_else(|| self.tables.get(section))
            .cloned()
            .unwrap_or(Place::Line(0, 1));
        self.problem_at(place, key, message.into());
    }

    /// Whether a section is there, even if empty; from now on it is a known one.
    pub(super) fn has_table(&mut self, path: &str) -> bool {
        self.known.push(path.to_owned());
        self.tables.contains_key(path)
    }

    /// Names of the sections right below a section, in the order in which they are said.
    pub(super) fn sections(&self, section: &str) -> Vec<String> {
        let prefix = format!("{section}.");
        self.order
            .iter()
            .filter(|path| self.tables.contains_key(*path))
            .filter_map(|path| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('.'))
            .map(str::to_owned)
            .collect()
    }

    /// Whether any key of a section is said.
    pub(super) fn has_keys(&self, section: &str) -> bool {
        let prefix = format!("{section}.");
        self.leaves.keys().any(|key| key.starts_with(&prefix))
    }

    /// The keys of a section that nobody has read yet, at any depth.
    pub(super) fn unread_keys(&self, section: &str) -> Vec<String> {
        let prefix = format!("{section}.");
        let keys = self.leaves.keys();
        keys.filter(|key| key.starts_with(&prefix))
            .cloned()
            .collect()
    }

    /// A value as `read` takes it, or what `read` finds wrong with it.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.read_leaf(key, |leaf| read(&leaf.value))
    }

    fn read_leaf<T>(&mut self, key: &str, read: impl Fn(&Leaf) -> Result<T, String>) -> Option<T> {
        self.known.push(key.to_owned());
        let leaf = self.leaves.remove(key)?;
        self.places.insert(key.to_owned(), leaf.place.clone());
        match read(&leaf) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(key, message);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, |value| {
            value
                .as_bool()
                .ok_or_else(|| format!("{} is not true or false", show(value)))
        })
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.read_leaf(key, |leaf| match (&leaf.value, &leaf.place) {
            (Value::String(text), _) => Ok(text.value().clone()),
            // Bare words of the command line are strings, a folder `2026` or a revision `12e4567` too.
            (value, Place::Argument(_)) => Ok(show(value)),
            (value, Place::Line(..)) => Err(format!("{} is not a string", show(value))),
        })
    }

    /// A whole number of at least `least`.
    pub(super) fn count(&mut self, key: &str, least: u64) -> Option<u64> {
        self.read(key, |value| {
            value
                .as_integer()
                .and_then(|number| u64::try_from(number).ok())
                .filter(|number| *number >= least)
                .ok_or_else(|| format!("{} is not a whole number of at least {least}", show(value)))
        })
    }

    /// A whole number from `least` to `most`.
    pub(super) fn count_up_to(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        self.read(key, |value| {
            let number = value
                .as_integer()
                .and_then(|number| u64::try_from(number).ok());
            match number {
                Some(number) if number > most => {
                    Err(format!("{number} is more than it may be: {most}"))
                }
                Some(number) if number >= least => Ok(number),
                _ => Err(format!(
                    "{} is not a whole number of at least {least}",
                    show(value)
                )),
            }
        })
    }

    /// A whole number of at least 1, or `"all"`.
    pub(super) fn limit(&mut self, key: &str) -> Option<Limit> {
        self.read(key, |value| {
            let rows = value.as_integer().and_then(|it| usize::try_from(it).ok());
            match (rows, value.as_str()) {
                (Some(rows), _) if rows > MOST => {
                    Err(format!("{rows} is more than it may be: {MOST}, or \"all\""))
                }
                (Some(rows), _) if rows > 0 => Ok(Limit::Rows(rows)),
                (_, Some("all")) => Ok(Limit::All),
                _ => Err(format!(
                    "{} is not a whole number of at least 1, or \"all\"",
                    show(value)
                )),
            }
        })
    }

    /// A number for which `fits` holds; `range` says so in words.
    pub(super) fn number(
        &mut self,
        key: &str,
        range: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        self.read(key, |value| {
            value
                .as_float()
                .or_else(|| value.as_integer().map(|number| number as f64))
                .filter(|number| fits(*number))
                .ok_or_else(|| format!("{} is not {range}", show(value)))
        })
    }

    /// One of the names of an enum.
    pub(super) fn choice<T: for<'de> Deserialize<'de>>(&mut self, key: &str) -> Option<T> {
        self.read(key, choice)
    }

    /// A list of names of an enum, each at most once.
    pub(super) fn choices<T: for<'de> Deserialize<'de> + PartialEq>(
        &mut self,
        key: &str,
    ) -> Option<Vec<T>> {
        self.read(key, |value| {
            let list = value
                .as_array()
                .ok_or_else(|| format!("{} is not a list: write [\"NAME\", ...]", show(value)))?;
            let mut chosen: Vec<T> = Vec::new();
            for item in list.iter() {
                let item = choice(item)?;
                if chosen.contains(&item) {
                    return Err(format!("{} names something twice", show(value)));
                }
                chosen.push(item);
            }
            Ok(chosen)
        })
    }

    /// A list of names of labels, each once; numbers and truth values are taken as they are written. `"auto"` is an empty
    /// list.
    pub(super) fn labels(&mut self, key: &str) -> Option<Vec<String>> {
        self.read(key, |value| {
            if value.as_str() == Some("auto") {
                return Ok(Vec::new());
            }
            let list = value.as_array().filter(|list| !list.is_empty());
            let list = list.ok_or_else(|| {
                format!("{} is neither a list of labels nor \"auto\"", show(value))
            })?;
            let mut labels: Vec<String> = Vec::new();
            let mut seen = HashSet::new();
            for item in list.iter() {
                let label = match item {
                    Value::String(text) => text.value().trim().to_owned(),
                    Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => show(item),
                    _ => return Err(format!("{} is no label", show(item))),
                };
                if label.is_empty() {
                    return Err("a label is empty".into());
                }
                if !seen.insert(label.clone()) {
                    return Err(format!("{label:?} is there twice"));
                }
                labels.push(label);
            }
            Ok(labels)
        })
    }

    /// A list of weights of classes, or `"inverse-frequency"`.
    pub(super) fn class_weights(&mut self, key: &str) -> Option<ClassWeights> {
        self.read(key, |value| {
            if value.as_str() == Some(ClassWeights::INVERSE_FREQUENCY) {
                return Ok(ClassWeights::InverseFrequency);
            }
            let list = value.as_array().filter(|list| !list.is_empty());
            let list = list.ok_or_else(|| {
                format!(
                    "{} is neither a list of weights nor {:?}",
                    show(value),
                    ClassWeights::INVERSE_FREQUENCY
                )
            })?;
            let weights = list.iter().map(|item| {
                item.as_float()
                    .or_else(|| item.as_integer().map(|number| number as f64))
                    .filter(|weight| LossOptions::is_weight(*weight))
                    .ok_or_else(|| {
                        format!(
                            "{} is no weight: they are numbers above 0, up to {:e}",
                            show(item),
                            LossOptions::MOST_WEIGHT
                        )
                    })
            });
            weights.collect::<Result<_, _>>().map(ClassWeights::Each)
        })
    }

    /// The lowest and the highest number of a scale.
    pub(super) fn range(&mut self, key: &str) -> Option<(f32, f32)> {
        self.read(key, |value| {
            let numbers: Vec<f64> = value
                .as_array()
                .into_iter()
                .flat_map(|list| list.iter())
                .filter_map(|item| {
                    item.as_float()
                        .or_else(|| item.as_integer().map(|number| number as f64))
                })
                .collect();
            match numbers[..] {
                // Labels are f32: a scale that has no room there is none.
                [min, max]
                    if (min as f32) < max as f32
                        && (min as f32).is_finite()
                        && (max as f32).is_finite() =>
                {
                    Ok((min as f32, max as f32))
                }
                _ => Err(format!(
                    "{} is no scale: write [LOWEST, HIGHEST]",
                    show(value)
                )),
            }
        })
    }

    /// Takes a section out whose keys cannot be read, so that they are not called unknown one by one.
    pub(super) fn forgive(&mut self, section: &str) {
        let prefix = format!("{section}.");
        self.known.push(section.to_owned());
        self.forgiven.push(section.to_owned());
        self.leaves.retain(|key, _| !key.starts_with(&prefix));
        self.tables.retain(|key, _| !key.starts_with(&prefix));
    }

    /// Whether a section was taken out: what depends on it cannot be judged.
    pub(super) fn is_forgiven(&self, section: &str) -> bool {
        self.forgiven.iter().any(|known| known == section)
    }

    /// Whether a key that was read is said, be it right or wrong.
    pub(super) fn is_said(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Notes a problem with a whole section.
    pub(super) fn problem_of_section(&mut self, section: &str, message: impl Into<String>) {
        let place = self.tables.get(section).cloned();
        self.problem_at(place.unwrap_or(Place::Line(0, 1)), section, message.into());
    }

    /// All problems, where there are any: those noted, and keys and sections that nobody asked for. Else the warnings.
    pub(super) fn finish(mut self) -> Result<Vec<String>, ConfigError> {
        let said: Vec<(String, Place)> = std::mem::take(&mut self.leaves)
            .into_iter()
            .map(|(key, leaf)| (key, leaf.place))
            .chain(self.tables.clone())
            .collect();
        // Where a section is wrong, it is said once, and not of each of its keys.
        let mut wrong: BTreeMap<String, Place> = BTreeMap::new();
        for (key, place) in said {
            let known = names::Known(&self.known);
            let is_table = self.tables.contains_key(&key);
            if let Some(culprit) = known.culprit(&key, is_table) {
                let place = self.tables.get(culprit).cloned().unwrap_or(place);
                wrong.insert(culprit.to_owned(), place);
            }
        }
        let mut wrong: Vec<(Place, String)> =
            wrong.into_iter().map(|(key, place)| (place, key)).collect();
        wrong.sort();
        for (number, (place, key)) in wrong.into_iter().enumerate() {
            // What a key was meant to be is looked for among all there are, for those that a message names.
            let message = match number < NAMED_PROBLEMS {
                true => names::Known(&self.known).explain(&key),
                false => "unknown key".into(),
            };
            self.problem_at(place, &key, message);
        }
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        self.problems.sort();
        let problems = std::mem::take(&mut self.problems);
        Err(ConfigError::Invalid {
            problems: problems
                .into_iter()
                .map(|(place, key, message)| Problem {
                    place: self.show_place(&place),
                    key,
                    message,
                })
                .collect(),
            name: self.files[0].clone(),
        })
    }
}

fn choice<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{} is not a string", show(value)))?;
    let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| error.to_string())
}

/// A value as it is written in TOML.
pub(super) fn show(value: &Value) -> String {
    value.to_string().trim().to_owned()
}
