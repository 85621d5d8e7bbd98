//! Paths that a config says: relative to the file that says them, and absolute in the settings.

use std::path::{Path, PathBuf};

use super::source::Source;
use crate::data_source::is_url;

/// A URL as it is, or the path of a file or folder, absolute: a relative one is relative to the file that says it, on the command line to the
/// working directory.
///
/// Until 0.1.0 all were relative to the working directory: one that is there and not beside the file is still taken, with a
/// warning.
pub(super) fn path(s: &mut Source, key: &str) -> Option<PathBuf> {
    let text = s.text(key)?;
    if is_url(Path::new(&text)) {
        return Some(text.into());
    }
    let here = absolute(Path::new(&text));
    let Some(beside) = beside_file(s, key, &text) else {
        return Some(here);
    };
    if !beside.exists() && here.exists() {
        s.warn(format!(
            "{key} = \"{text}\" is not beside its config file ({}) and was found in the working directory: a relative path in a config is relative to the config",
            beside.display()
        ));
        return Some(here);
    }
    Some(beside)
}

/// A folder as [`path`] finds it, or a text that names something else where there is no such folder.
pub(super) fn folder_or_name(s: &mut Source, key: &str) -> Option<String> {
    let text = s.text(key)?;
    let here = absolute(Path::new(&text));
    let folder = beside_file(s, key, &text)
        .into_iter()
        .chain([here])
        .find(|path| path.is_dir());
    // A path that is not UTF-8 was not said in TOML, which is.
    Some(folder.map_or(text, |folder| folder.to_string_lossy().into_owned()))
}

/// A path from the folder of the file that says a key; `None` for arguments and for texts that are no file.
fn beside_file(s: &Source, key: &str, text: &str) -> Option<PathBuf> {
    let folder = s.file_of(key)?.parent()?;
    Some(absolute(&folder.join(text)))
}

/// A path from the root. Where the working directory is not known, the path as it is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
