//! `SHA256SUMS` of a folder: what its files were when they were written, as `sha256sum --check` reads it.

#[cfg(unix)]
use std::collections::HashMap;
use std::fs::File;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bertram_core::fs::{READ_LIMIT, atomic_write, read_text};
use sha2::{Digest, Sha256};

use super::RunError;

/// The file's name.
pub(super) const FILE: &str = "SHA256SUMS";

/// Writes the hashes of all files in a folder, the last of its files.
pub(super) fn write(folder: &Path) -> Result<(), RunError> {
    let entries = std::fs::read_dir(folder).map_err(RunError::io(folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RunError::io(folder))?;
        names.extend(entry.file_name().to_str().map(str::to_owned));
    }
    names.sort();
    let mut text = String::new();
    let mut sums = Sums::default();
    for name in names {
        let sum = sums.of(&folder.join(&name))?;
        text.push_str(&format!("{sum}  {name}\n"));
    }
    Ok(atomic_write(&folder.join(FILE), text.as_bytes())?)
}

/// Whether the files of a folder are those that were written. A folder without hashes says nothing.
///
/// # Errors
/// [`RunError::Malformed`] names the first file that is another, or gone.
pub(super) fn check(folder: &Path) -> Result<(), RunError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(());
    }
    let text = read_text(&path, READ_LIMIT).map_err(RunError::io(&path))?;
    let mut sums = Sums::default();
    for line in text.lines() {
        let Some((written, name)) = line.split_once("  ").filter(|it| is_file_name(it.1)) else {
            return Err(malformed(
                path,
                format!("{line:?} is no hash and name of a file"),
            ));
        };
        let path = folder.join(name);
        if !path.is_file() {
            return Err(malformed(path, format!("is gone; {ADVICE}")));
        }
        if sums.of(&path)? != written {
            return Err(malformed(
                path,
                format!("is not what was written (its SHA-256 is not that of {FILE}); {ADVICE}"),
            ));
        }
    }
    Ok(())
}

const ADVICE: &str = "the disk or a hand has changed it: put the file back, or remove this checkpoint's folder to go on from an earlier one";

/// A plain name: nothing outside of the folder is read.
fn is_file_name(name: &str) -> bool {
    Path::new(name).file_name() == Some(name.as_ref())
}

fn malformed(path: PathBuf, message: String) -> RunError {
    RunError::Malformed { path, message }
}

/// Hashes of a folder's files. A file with two names (a model that is also the best) is read once.
#[derive(Default)]
struct Sums {
    #[cfg(unix)]
    known: HashMap<(u64, u64), String>,
}

impl Sums {
    #[cfg(unix)]
    fn of(&mut self, path: &Path) -> Result<String, RunError> {
        let metadata = path.metadata().map_err(RunError::io(path))?;
        let file = (metadata.dev(), metadata.ino());
        if let Some(sum) = self.known.get(&file) {
            return Ok(sum.clone());
        }
        let sum = sum(path)?;
        self.known.insert(file, sum.clone());
        Ok(sum)
    }

    #[cfg(not(unix))]
    fn of(&mut self, path: &Path) -> Result<String, RunError> {
        sum(path)
    }
}

fn sum(path: &Path) -> Result<String, RunError> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(RunError::io(path))?;
    std::io::copy(&mut file, &mut hasher).map_err(RunError::io(path))?;
    Ok(format!("{:x}", hasher.finalize()))
}
