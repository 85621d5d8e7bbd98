//! Files that are there whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that could not be written; names it.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// Writes `bytes` to a temporary file in the same folder, flushes it to the disk, and renames it to `path`.
///
/// An old file is replaced at once; a reader never sees half of either.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let attempt = || {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .prefix(".partial-")
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        share_like_a_plain_file(file.as_file())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

/// Temporary files are private to their owner; a result is not.
#[cfg(unix)]
fn share_like_a_plain_file(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share_like_a_plain_file(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_names_the_file_it_cannot_write() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("file.txt");
        atomic_write(&path, b"one").expect("write");
        atomic_write(&path, b"two").expect("replace");
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
        let error = atomic_write(&dir.path().join("no/file.txt"), b"x").expect_err("no folder");
        assert!(error.to_string().contains("no/file.txt"), "{error}");
    }
}
