//! `extends = "base.toml"`: a config that says only how it differs from another.
//!
//! Keys of the file go over those of the file it extends, which may extend a third. Paths are relative to the file that
//! names them. `[experiment]` is what a file is, not what it does: it is never taken over. Configs that are part of a program
//! extend one another alike.

use std::path::{Component, Path, PathBuf};

use bertram_core::fs::read_text;
use toml_edit::{Document, Item};

use super::source::ConfigError;

/// Sections that stay where they are said.
pub(super) const OWN_SECTIONS: &[&str] = &["experiment", KEY];

/// Most bytes of a config: 16 MiB.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// The key that names the config that a config extends.
pub(super) const KEY: &str = "extends";

/// A config that is part of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Where it would lie as a file, from the folder of all of them: `experiments/e01.toml`.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl BuiltIn {
    /// Its name: that of the file without folder and ending.
    pub fn name(&self) -> &'static str {
        let file = self.path.rsplit('/').next().unwrap_or(self.path);
        file.strip_suffix(".toml").unwrap_or(file)
    }

    /// As messages name it.
    pub fn shown(&self) -> String {
        format!("{} (built in)", self.name())
    }
}

/// What a config is, and with it what it may extend.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A file, whose name is its path.
    File,
    /// A text that is no file, and extends nothing.
    Text,
    /// One of the configs of a program.
    BuiltIn {
        /// This one.
        this: &'a BuiltIn,
        /// All that it may extend.
        all: &'a [BuiltIn],
    },
}

/// A file of a chain, or what stands for one.
pub(super) struct File {
    /// As messages name it.
    pub(super) name: String,
    /// From where what it extends is looked for.
    path: PathBuf,
    /// Its text.
    pub(super) text: String,
    /// Its contents.
    pub(super) document: Document<String>,
}

impl File {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(text.to_owned()).map_err(|error| ConfigError::Syntax {
            name: name.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().trim_end().replace('\n', "; "),
        })?;
        Ok(Self {
            name: name.to_owned(),
            path: PathBuf::from(name),
            text: text.to_owned(),
            document,
        })
    }

    fn built_in(config: &BuiltIn) -> Result<Self, ConfigError> {
        let mut file = Self::parse(&config.shown(), config.text)?;
        file.path = PathBuf::from(config.path);
        Ok(file)
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        match read_text(path, MOST_BYTES) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => Err(ConfigError::Unreadable {
                name,
                message: error.to_string(),
            }),
        }
    }

    /// What it extends, and on which line it says so.
    fn extends(&self) -> Result<Option<(PathBuf, usize)>, ConfigError> {
        let Some(item) = self.document.get(KEY) else {
            return Ok(None);
        };
        let line = item
            .span()
            .map_or(1, |span| line_of(&self.text, span.start));
        let Some(base) = item.as_str() else {
            return Err(self.wrong(line, "is not the name of a file".into()));
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        Ok(Some((folder.join(base), line)))
    }

    fn extends_itself(&self, line: usize, path: &Path) -> ConfigError {
        self.wrong(
            line,
            format!("{} extends itself in the end", path.display()),
        )
    }

    fn wrong(&self, line: usize, message: String) -> ConfigError {
        ConfigError::Extends {
            place: format!("{}:{line}", self.name),
            message,
        }
    }
}

/// The file and all that it extends, itself first. `name` is how messages call it, of a file its path.
pub(super) fn chain(name: &str, text: &str, origin: Origin<'_>) -> Result<Vec<File>, ConfigError> {
    if let Origin::BuiltIn { this, all } = origin {
        return chain_of_built_in(this, all);
    }
    let mut files = vec![File::parse(name, text)?];
    let mut seen: Vec<PathBuf> = Path::new(name).canonicalize().into_iter().collect();
    while let Some(last) = files.last() {
        let Some((path, line)) = last.extends()? else {
            break;
        };
        if matches!(origin, Origin::Text) {
            return Err(last.wrong(line, "works in files only".into()));
        }
        let real = path.canonicalize().map_err(|error| {
            last.wrong(line, format!("cannot read {}: {error}", path.display()))
        })?;
        if seen.contains(&real) {
            return Err(last.extends_itself(line, &path));
        }
        seen.push(real);
        files.push(File::read(&path)?);
    }
    Ok(files)
}

/// A path in which `..` takes the folder before it away. Configs of a program lie in no file system, which could have links.
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// As [`chain`], among the configs of a program.
fn chain_of_built_in(this: &BuiltIn, all: &[BuiltIn]) -> Result<Vec<File>, ConfigError> {
    let mut files = vec![File::built_in(this)?];
    while let Some(last) = files.last() {
        let Some((path, line)) = last.extends()? else {
            break;
        };
        let path = without_parents(&path);
        if files.iter().any(|file| file.path == path) {
            return Err(last.extends_itself(line, &path));
        }
        let Some(base) = all.iter().find(|config| Path::new(config.path) == path) else {
            let message = format!("{} is not built in", path.display());
            return Err(last.wrong(line, message));
        };
        files.push(File::built_in(base)?);
    }
    Ok(files)
}

/// The line of an offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    Lines::of(text).line_of(offset)
}

/// Where the lines of a text end: a config may have so many keys that nobody counts from its start for each.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(end, _)| end).collect())
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

/// Whether an item of a base is taken over.
pub(super) fn is_inherited(key: &str, item: &Item) -> bool {
    !item.is_none() && !OWN_SECTIONS.contains(&key)
}
