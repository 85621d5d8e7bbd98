//! A file of compiled kernels: what one process leaves for the next.
//!
//! CubeCL appends to its cache as kernels are compiled, and trusts what it reads there. So each process gives it a folder of
//! its own, filled from this file and kept afterwards by putting a whole new file in the old one's place. A file is read
//! only if its checksum holds: one that is cut off, damaged or not ours counts as none, and is replaced.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// First line of the file.
const HEADING: &str = "bertram compiled kernels 1";
/// How long a process waits for another that is just writing.
const WAIT: Duration = Duration::from_secs(1);
/// Files of other GPUs and versions that stay when a new one is written.
const KEPT: usize = 12;
/// How the files' names end.
const EXTENSION: &str = "kernels";

/// Compiled kernels, as CubeCL's cache has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// Where CubeCL keeps them, relative to its folder.
    pub path: PathBuf,
    /// The entries, one after the other.
    pub entries: Vec<u8>,
}

/// The kernels of one GPU and one version.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    file: PathBuf,
}

impl Store {
    /// The file of `name` in a folder; neither has to be there.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            file: folder.join(format!("{name}.{EXTENSION}")),
        }
    }

    /// The kernels that are kept; `None` if there are none that can be trusted.
    pub fn read(&self) -> Option<Kernels> {
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(
                    "{}: {error}; kernels are compiled anew",
                    self.file.display()
                );
                return None;
            }
        };
        let kernels = parse(&bytes);
        if kernels.is_none() {
            tracing::warn!(
                "{} is damaged or not ours; kernels are compiled anew, and the file is replaced",
                self.file.display()
            );
        }
        kernels
    }

    /// Keeps kernels: those that are there by now, another process's among them, and after them `new`.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn add(&self, path: &Path, all: &[u8], new: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let _lock = self.lock()?;
        let entries = match parse(&std::fs::read(&self.file).unwrap_or_default()) {
            Some(there) if there.path == path => [&there.entries, new].concat(),
            _ => all.to_vec(),
        };
        let kernels = Kernels {
            path: path.to_owned(),
            entries,
        };
        let mut partial = tempfile::NamedTempFile::new_in(&self.folder)?;
        partial.write_all(&render(&kernels)?)?;
        partial.persist(&self.file)?;
        self.remove_oldest();
        Ok(())
    }

    /// Keeps other processes from writing; `None` where the file system has no locks, or one holds it for too long: then a
    /// process may write over what another has just written, which costs that one's kernels and no more.
    fn lock(&self) -> std::io::Result<Option<File>> {
        let file = File::create(self.folder.join(".lock"))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) if begun.elapsed() < WAIT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// Removes the files that were written longest ago, beyond those kept: every new version has a file of its own.
    fn remove_oldest(&self) {
        let Ok(folder) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<_> = folder
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == EXTENSION))
            .filter_map(|path| Some((path.metadata().and_then(|it| it.modified()).ok()?, path)))
            .collect();
        files.sort();
        let beyond = files.len().saturating_sub(KEPT);
        for (_, path) in &files[..beyond] {
            // Whoever is just reading it has it open.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The file's bytes: heading, path and checksum, a line each, and the entries.
fn render(kernels: &Kernels) -> std::io::Result<Vec<u8>> {
    let path = kernels
        .path
        .to_str()
        .filter(|path| !path.contains('\n'))
        .ok_or_else(|| std::io::Error::other("the cache has a path that is no line of text"))?;
    let mut bytes = format!("{HEADING}\n{path}\n{}\n", checksum(path, &kernels.entries));
    // Backslashes are one system's business, and a file is never carried to another.
    bytes.reserve(kernels.entries.len());
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(&kernels.entries);
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Option<Kernels> {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next()?).ok();
    let (heading, path, sum) = (line()?, line()?, line()?);
    let entries = parts.next()?;
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let ours = heading == HEADING && inside && !path.is_empty();
    (ours && sum == checksum(path, entries)).then(|| Kernels {
        path: path.into(),
        entries: entries.to_vec(),
    })
}

fn checksum(path: &str, entries: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(path);
    hasher.update([0]);
    hasher.update(entries);
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "vulkan/0.10.0/spirv/chunk0.cbor";

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(&folder.path().join("kernels"), "a gpu");
        (folder, store)
    }

    fn entries(store: &Store) -> Option<Vec<u8>> {
        store.read().map(|kernels| kernels.entries)
    }

    #[test]
    fn what_two_processes_add_is_there_together() {
        let (_folder, store) = store();
        assert_eq!(store.read(), None);
        store
            .add(Path::new(PATH), b"ab\n", b"ab\n")
            .expect("writes");
        // Both began with `ab`.
        store
            .add(Path::new(PATH), b"ab\ncd", b"cd")
            .expect("writes");
        store
            .add(Path::new(PATH), b"ab\nef", b"ef")
            .expect("writes");
        let kernels = store.read().expect("is there");
        assert_eq!(kernels.path, Path::new(PATH));
        assert_eq!(kernels.entries, b"ab\ncdef");
    }

    #[test]
    fn damaged_cut_off_and_foreign_files_count_as_none_and_are_replaced() {
        let (_folder, store) = store();
        store
            .add(Path::new(PATH), b"abcdef", b"abcdef")
            .expect("writes");
        let whole = std::fs::read(&store.file).expect("is there");
        for cut in 0..whole.len() {
            std::fs::write(&store.file, &whole[..cut]).expect("writes");
            assert_eq!(store.read(), None, "cut at {cut}");
            let mut damaged = whole.clone();
            damaged[cut] ^= 1;
            std::fs::write(&store.file, &damaged).expect("writes");
            assert_eq!(store.read(), None, "byte {cut} changed");
        }
        std::fs::write(&store.file, "something else").expect("writes");
        assert_eq!(store.read(), None);
        store.add(Path::new(PATH), b"abxy", b"xy").expect("writes");
        assert_eq!(entries(&store), Some(b"abxy".to_vec()));
    }

    #[test]
    fn a_path_out_of_the_folder_is_not_followed() {
        let (_folder, store) = store();
        for path in ["../chunk0.cbor", "/etc/chunk0.cbor", "a/../../b", ""] {
            store.add(Path::new(path), b"a", b"a").expect("writes");
            assert_eq!(store.read(), None, "{path}");
        }
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("writes");
        let store = Store::new(&file, "a gpu");
        assert_eq!(store.read(), None);
        assert!(store.add(Path::new(PATH), b"a", b"a").is_err());
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let (_folder, store) = store();
        std::thread::scope(|scope| {
            for byte in b'a'..=b'j' {
                let store = &store;
                scope.spawn(move || store.add(Path::new(PATH), &[byte], &[byte]));
            }
        });
        let mut all = entries(&store).expect("is there");
        all.sort_unstable();
        assert_eq!(all, b"abcdefghij");
    }

    #[test]
    fn old_versions_go() {
        let (folder, store) = store();
        let kernels = folder.path().join("kernels");
        for version in 0..KEPT + 3 {
            let store = Store::new(&kernels, &format!("version {version}"));
            store.add(Path::new(PATH), b"a", b"a").expect("writes");
        }
        store.add(Path::new(PATH), b"a", b"a").expect("writes");
        let files = std::fs::read_dir(&kernels).expect("is there").flatten();
        let files = files.filter(|file| file.path().extension().is_some_and(|it| it == EXTENSION));
        assert_eq!(files.count(), KEPT);
        assert!(store.read().is_some());
    }
}
