//! `extends = "base.toml"`: a config that says only how it differs from another.
//!
//! Keys of the file go over those of the file it extends, which may extend a third. Paths are relative to the file that
//! names them. `[experiment]` is what a file is, not what it does: it is never taken over.

use std::path::{Path, PathBuf};

use bertram_core::fs::read_text;
use toml_edit::{Document, Item};

use super::source::ConfigError;

/// Sections that stay where they are said.
pub(super) const OWN_SECTIONS: &[&str] = &["experiment", KEY];

/// Most bytes of a config: 16 MiB.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// The key.
pub(super) const KEY: &str = "extends";

/// A file of a chain.
pub(super) struct File {
    /// As messages name it.
    pub(super) name: String,
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
            text: text.to_owned(),
            document,
        })
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
        let folder = Path::new(&self.name).parent().unwrap_or(Path::new(""));
        Ok(Some((folder.join(base), line)))
    }

    fn wrong(&self, line: usize, message: String) -> ConfigError {
        ConfigError::Extends {
            place: format!("{}:{line}", self.name),
            message,
        }
    }
}

/// The file and all that it extends, itself first. `is_file` says whether `name` is a path: a text that is none extends
/// nothing.
pub(super) fn chain(name: &str, text: &str, is_file: bool) -> Result<Vec<File>, ConfigError> {
    let mut files = vec![File::parse(name, text)?];
    let mut seen: Vec<PathBuf> = Path::new(name).canonicalize().into_iter().collect();
    while let Some(last) = files.last() {
        let Some((path, line)) = last.extends()? else {
            break;
        };
        if !is_file {
            return Err(last.wrong(line, "works in files only".into()));
        }
        let real = path.canonicalize().map_err(|error| {
            last.wrong(line, format!("cannot read {}: {error}", path.display()))
        })?;
        if seen.contains(&real) {
            return Err(last.wrong(
                line,
                format!("{} extends itself in the end", path.display()),
            ));
        }
        seen.push(real);
        files.push(File::read(&path)?);
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
