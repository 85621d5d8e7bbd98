//! Files that are written whole or not at all, and read up to a bound.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// How the names of files begin that are being written. One that stays is of a process that was killed.
pub const TEMPORARY_PREFIX: &str = ".partial-";

/// A file that could not be written; names it.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct WriteError {
    /// Path of the file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes `bytes` to a temporary file in the same folder, flushes it to the disk, and renames it to `path`.
///
/// An old file is replaced at once; a reader never sees half of either. The new file has the permissions of the one it
/// replaces, else those of any new file (0666 less the umask). Where `path` is a symbolic link, its target is replaced and
/// the link stays. Only regular files are replaced: into a pipe or a device (`/dev/null`, `/dev/stdout`) the bytes are
/// written as they are.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A file that is written part by part as [`atomic_write`] writes it: it takes its place when it is whole
/// ([`finish`](Self::finish)). Dropped before, it leaves all as it was.
pub struct AtomicFile {
    path: PathBuf,
    to: Writing,
}

enum Writing {
    /// A pipe or a device.
    Stream(File),
    File(Box<Replacement>),
}

impl AtomicFile {
    /// Begins a file of this name.
    ///
    /// # Errors
    /// Those of the file system, with the file's name; so have the other functions.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let attempt = || {
            Ok(match place(path)? {
                Place::Stream(file) => Writing::Stream(file),
                Place::File { target, old } => {
                    Writing::File(Box::new(Replacement::begin(target, old)?))
                }
            })
        };
        let to = attempt().map_err(named(path))?;
        Ok(Self {
            path: path.to_owned(),
            to,
        })
    }

    /// Writes the next bytes.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let file = match &mut self.to {
            Writing::Stream(file) => file,
            Writing::File(replacement) => replacement.temporary.as_file_mut(),
        };
        file.write_all(bytes).map_err(named(&self.path))
    }

    /// All is written: the file takes its place.
    pub fn finish(self) -> Result<(), WriteError> {
        match self.to {
            Writing::Stream(_) => Ok(()),
            Writing::File(replacement) => replacement.finish().map_err(named(&self.path)),
        }
    }
}

fn named(path: &Path) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError {
        path: path.to_owned(),
        source,
    }
}

/// As [`atomic_write`], for writers that take the name of a file: `write` is given the temporary file's.
///
/// # Errors
/// Besides those of the file system and of `write`: `path` is there and no regular file.
pub fn atomic_write_with(
    path: &Path,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), WriteError> {
    let attempt = || match place(path)? {
        Place::Stream(_) => Err(io::Error::other("is not a regular file")),
        Place::File { target, old } => {
            let replacement = Replacement::begin(target, old)?;
            write(replacement.temporary.path())?;
            replacement.finish()
        }
    };
    attempt().map_err(named(path))
}

/// Most bytes of a file of a model or a run that is read whole and is no table of numbers: 256 MiB. Tokenizers are the
/// largest, with some tens of megabytes.
pub const READ_LIMIT: u64 = 256 << 20;

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// Besides those of the file system, [`io::ErrorKind::InvalidData`] for a pipe or a device, which may never end, and for
/// more bytes.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    // A folder is what the system calls it.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(invalid(
            "is a pipe or a device, and a file is wanted".into(),
        ));
    }
    if metadata.len() > limit && metadata.is_file() {
        return Err(too_large(limit));
    }
    read_stream(path, limit)
}

/// As [`read_file`], for UTF-8 text.
///
/// # Errors
/// Those of [`read_file`], and [`io::ErrorKind::InvalidData`] for other bytes.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    text(read_file(path, limit)?)
}

/// As [`read_text`], for what a user named: a pipe or a device (`/dev/stdin`) is read to its end.
///
/// # Errors
/// Those of [`read_text`].
pub fn read_text_of_any_kind(path: &Path, limit: u64) -> io::Result<String> {
    text(read_stream(path, limit)?)
}

fn read_stream(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        invalid(format!("is not UTF-8 text (from byte {place} on)"))
    })
}

fn too_large(limit: u64) -> io::Error {
    invalid(format!(
        "has more than {} MiB, which such a file may not have",
        limit >> 20
    ))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Flushes what a folder lists to the disk: names that were made, renamed or removed in it outlive a power cut from then on.
///
/// Does nothing where the system has no such call.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Where bytes for a path go.
enum Place {
    /// A file of this name, with what is there now if anything is.
    File {
        target: PathBuf,
        old: Option<Metadata>,
    },
    /// A pipe or a device.
    Stream(File),
}

fn place(path: &Path) -> io::Result<Place> {
    let target = link_target(path)?;
    match std::fs::metadata(&target) {
        // Opening a folder for writing fails with a message that says so.
        Ok(old) if !old.is_file() => {
            Ok(Place::Stream(OpenOptions::new().write(true).open(&target)?))
        }
        Ok(old) => Ok(Place::File {
            target,
            old: Some(old),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Place::File { target, old: None })
        }
        Err(error) => Err(error),
    }
}

/// The file that a chain of symbolic links ends at, which need not exist; `path` itself where it is no link.
fn link_target(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        // Links such as /dev/stdout point to what is no path ("pipe:[1234]"): those that open are left to the system.
        match std::fs::metadata(&target) {
            Ok(metadata) if !metadata.is_file() => return Ok(target),
            _ => {}
        }
        match std::fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file that is to take another's place.
struct Replacement {
    temporary: NamedTempFile,
    target: PathBuf,
    old: Option<Metadata>,
}

impl Replacement {
    fn begin(target: PathBuf, old: Option<Metadata>) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX);
        // Temporary files are private to their owner by default; a result is an ordinary file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder_of(&target))?;
        Ok(Self {
            temporary,
            target,
            old,
        })
    }

    fn finish(self) -> io::Result<()> {
        let file = self.temporary.as_file();
        if let Some(old) = self.old {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        let persisted = self.temporary.persist(&self.target);
        persisted.map_err(|error| error.error)?;
        sync_folder(folder_of(&self.target))
    }
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
        let error = atomic_write(dir.path(), b"x").expect_err("a folder");
        assert!(error.to_string().contains("directory"), "{error}");
    }

    #[test]
    fn a_file_takes_its_place_when_it_is_whole() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("file.txt");
        atomic_write(&path, b"old").expect("write");
        let write = |bytes: [&[u8]; 2]| {
            let mut file = AtomicFile::create(&path).expect("begins");
            for part in bytes {
                file.write_all(part).expect("writes");
            }
            assert_eq!(std::fs::read(&path).expect("read"), b"old");
            file
        };
        drop(write([b"one", b"two"]));
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
        write([b"one", b"two"]).finish().expect("takes its place");
        assert_eq!(std::fs::read(&path).expect("read"), b"onetwo");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn files_are_read_up_to_a_bound() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("file");
        std::fs::write(&path, "12345678").expect("write");
        assert_eq!(read_text(&path, 8).expect("text"), "12345678");
        for read in [read_text, read_text_of_any_kind] {
            let error = read(&path, 7).expect_err("too large");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("more than"), "{error}");
        }
        std::fs::write(&path, b"a\xff").expect("write");
        let error = read_text(&path, 8).expect_err("no text");
        assert!(error.to_string().contains("not UTF-8"), "{error}");
        let missing = read_text(&dir.path().join("no"), 8).expect_err("nothing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    mod unix {
        use super::*;
        use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

        fn mode(path: &Path) -> u32 {
            std::fs::metadata(path).expect("metadata").mode() & 0o777
        }

        #[test]
        fn keeps_the_mode_of_what_it_replaces_and_gives_new_files_that_of_any_new_file() {
            let dir = tempfile::tempdir().expect("temp dir");
            let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
            File::create(&plain).expect("create");
            atomic_write(&ours, b"new").expect("write");
            assert_eq!(mode(&ours), mode(&plain));
            for wanted in [0o600, 0o640, 0o666] {
                std::fs::set_permissions(&ours, Permissions::from_mode(wanted)).expect("chmod");
                atomic_write(&ours, b"again").expect("replace");
                assert_eq!(mode(&ours), wanted);
                atomic_write_with(&ours, |name| std::fs::write(name, "once more"))
                    .expect("replace");
                assert_eq!(mode(&ours), wanted);
            }
        }

        #[test]
        fn a_link_stays_and_its_target_is_written() {
            let dir = tempfile::tempdir().expect("temp dir");
            std::fs::create_dir(dir.path().join("there")).expect("mkdir");
            symlink("there/file", dir.path().join("first")).expect("link");
            symlink("first", dir.path().join("second")).expect("link");
            for text in ["not there yet", "replaced"] {
                atomic_write(&dir.path().join("second"), text.as_bytes()).expect("write");
                let target = dir.path().join("there/file");
                assert_eq!(std::fs::read_to_string(target).expect("read"), text);
                assert!(dir.path().join("first").is_symlink());
                assert!(dir.path().join("second").is_symlink());
            }
            symlink("loop", dir.path().join("loop")).expect("link");
            assert!(atomic_write(&dir.path().join("loop"), b"x").is_err());
        }

        #[test]
        fn what_never_ends_is_not_waited_for() {
            let dir = tempfile::tempdir().expect("temp dir");
            let pipe = dir.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.expect("mkfifo").success());
            for path in [&pipe, Path::new("/dev/zero")] {
                let error = read_file(path, 8).expect_err("no file");
                assert!(error.to_string().contains("a pipe or a device"), "{error}");
            }
            let error = read_text_of_any_kind(Path::new("/dev/zero"), 8).expect_err("no end");
            assert!(error.to_string().contains("more than"), "{error}");
        }

        #[test]
        fn a_pipe_is_written_into_and_stays_a_pipe() {
            let dir = tempfile::tempdir().expect("temp dir");
            let pipe = dir.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.expect("mkfifo").success());
            symlink("pipe", dir.path().join("link")).expect("link");
            for name in ["pipe", "link"] {
                let reader = std::thread::spawn({
                    let pipe = pipe.clone();
                    move || {
                        let mut text = String::new();
                        File::open(pipe)
                            .expect("open")
                            .read_to_string(&mut text)
                            .expect("read");
                        text
                    }
                });
                atomic_write(&dir.path().join(name), b"through the pipe").expect("write");
                assert_eq!(reader.join().expect("reader"), "through the pipe");
                let metadata = std::fs::metadata(&pipe).expect("metadata");
                assert!(metadata.file_type().is_fifo());
            }
            let refused = atomic_write_with(Path::new("/dev/null"), |_| Ok(()));
            assert!(
                refused
                    .expect_err("a device")
                    .to_string()
                    .contains("not a regular file")
            );
        }
    }
}
