//! Compiled kernels between processes: CubeCL's folder of this process, and the store it is filled from.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::cbor::whole_items;
use super::store::Store;

/// CubeCL's file of compiled kernels.
const ENTRIES: &str = "chunk0.cbor";
/// CubeCL's table of contents: a line for each kernel that it has compiled.
const CONTENTS: &str = "toc.json.log";
/// How the folders of processes begin.
const PREFIX: &str = "bertram-kernels-";

/// The folder where bertram keeps what it can make anew: `BERTRAM_CACHE`, or the user's cache folder.
///
/// `None` where the system names none.
pub fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = variable("BERTRAM_CACHE") {
        return Some(folder.into());
    }
    // The XDG specification has relative paths ignored.
    let xdg = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let user = xdg.filter(|path| path.is_absolute()).or_else(|| {
        if cfg!(windows) {
            return variable("LOCALAPPDATA").map(PathBuf::from);
        }
        let caches = if cfg!(target_os = "macos") {
            "Library/Caches"
        } else {
            ".cache"
        };
        Some(PathBuf::from(variable("HOME")?).join(caches))
    })?;
    Some(user.join("bertram"))
}

/// A process's compiled kernels.
#[derive(Debug)]
pub struct KernelCache {
    /// Taken when the process is done.
    folder: Mutex<Option<tempfile::TempDir>>,
    store: Option<Store>,
    /// Bytes of the entries that were there from the start, or have been kept since.
    kept: Mutex<usize>,
    contents: OnceLock<PathBuf>,
}

impl KernelCache {
    /// A folder for this process, filled with what `store` has.
    ///
    /// # Errors
    /// If no folder can be made for temporary files.
    pub fn open(store: Option<Store>) -> std::io::Result<Self> {
        let temporary = std::env::temp_dir();
        remove_stale(&temporary);
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(&temporary)?;
        let mut kept = 0;
        if let Some(kernels) = store.as_ref().and_then(Store::read) {
            // What a version of CubeCL that writes otherwise has left would not be read, and would stand in the way.
            let whole = whole_items(&kernels.entries);
            if whole == kernels.entries.len() {
                let path = folder.path().join(&kernels.path);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(&path, &kernels.entries)?;
                kept = whole;
            }
        }
        Ok(Self {
            folder: Mutex::new(Some(folder)),
            store,
            kept: Mutex::new(kept),
            contents: OnceLock::new(),
        })
    }

    /// Whether [`keep`](Self::keep) has somewhere to.
    pub fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// The folder for CubeCL; `None` after [`close`](Self::close).
    pub fn root(&self) -> Option<PathBuf> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.as_ref().map(|folder| folder.path().to_owned())
    }

    /// Kernels that CubeCL has compiled and put into its folder.
    pub fn compiled(&self) -> usize {
        let contents = match self.contents.get() {
            Some(path) => path,
            None => {
                let Some(path) = self.root().and_then(|root| find(&root, CONTENTS)) else {
                    return 0;
                };
                self.contents.get_or_init(|| path)
            }
        };
        let bytes = std::fs::read(contents).unwrap_or_default();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Keeps what was compiled since the last time for other processes.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn keep(&self) -> std::io::Result<()> {
        let Some((store, root)) = self.store.as_ref().zip(self.root()) else {
            return Ok(());
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = find(&root, ENTRIES) else {
            return Ok(());
        };
        let bytes = std::fs::read(&path)?;
        // A kernel may just be being written.
        let whole = &bytes[..whole_items(&bytes)];
        let new = whole.get(*kept..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        let relative = path.strip_prefix(&root).unwrap_or(&path);
        store.add(relative, whole, new)?;
        *kept = whole.len();
        Ok(())
    }

    /// Removes the process's folder. Nothing may be compiled from here on.
    pub fn close(&self) {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folder.take() {
            // It is a temporary folder: the system removes what stays.
            let _ = folder.close();
        }
    }
}

/// The file of a name in a folder or below.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let is_it = |path: &&PathBuf| path.file_name().is_some_and(|it| it == name);
    entries.iter().find(is_it).cloned().or_else(|| {
        let mut folders = entries.iter().filter(|path| path.is_dir());
        folders.find_map(|folder| find(folder, name))
    })
}

/// Removes the folders of processes that were killed.
#[cfg(unix)]
fn remove_stale(temporary: &Path) {
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    let Ok(entries) = std::fs::read_dir(temporary) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let process = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix(PREFIX)?.split('-').next())
            .and_then(|number| number.parse::<i32>().ok());
        // Another user's process answers that we may not; only of one that is gone is there no trace.
        if process.is_some_and(|number| {
            number > 0 && kill(Pid::from_raw(number), None) == Err(Errno::ESRCH)
        }) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

#[cfg(not(unix))]
fn remove_stale(_temporary: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CBOR text of one letter.
    fn entry(letter: u8) -> [u8; 2] {
        [0x61, letter]
    }

    /// What CubeCL does when it has compiled a kernel.
    fn compile(cache: &KernelCache, letter: u8) {
        let folder = cache.root().expect("open").join("vulkan/1/spirv");
        std::fs::create_dir_all(&folder).expect("a folder");
        for (file, bytes) in [(ENTRIES, &entry(letter)[..]), (CONTENTS, b"{}\n")] {
            let path = folder.join(file);
            let mut all = std::fs::read(&path).unwrap_or_default();
            all.extend_from_slice(bytes);
            std::fs::write(path, all).expect("writes");
        }
    }

    fn open(folder: &Path) -> KernelCache {
        KernelCache::open(Some(Store::new(folder, "a gpu"))).expect("opens")
    }

    fn there(cache: &KernelCache) -> Vec<u8> {
        let path = find(&cache.root().expect("open"), ENTRIES);
        path.map_or(Vec::new(), |path| std::fs::read(path).expect("reads"))
    }

    #[test]
    fn a_second_process_has_what_the_first_compiled() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path());
        assert_eq!(first.compiled(), 0);
        compile(&first, b'a');
        compile(&first, b'b');
        assert_eq!(first.compiled(), 2);
        first.keep().expect("writes");
        compile(&first, b'c');
        first.keep().expect("writes");
        first.keep().expect("writes nothing");
        let second = open(folder.path());
        assert_eq!(there(&second), *b"\x61a\x61b\x61c");
        assert_eq!(second.compiled(), 0);
        let root = second.root().expect("open");
        second.close();
        assert!(!root.exists());
        assert_eq!(second.root(), None);
        second.keep().expect("has nothing to keep");
    }

    #[test]
    fn a_kernel_that_is_just_being_written_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path());
        compile(&first, b'a');
        let path = find(&first.root().expect("open"), ENTRIES).expect("is there");
        std::fs::write(&path, b"\x61a\x61").expect("writes");
        first.keep().expect("writes");
        assert_eq!(there(&open(folder.path())), *b"\x61a");
        std::fs::write(&path, b"\x61a\x61b").expect("writes");
        first.keep().expect("writes");
        assert_eq!(there(&open(folder.path())), *b"\x61a\x61b");
    }

    #[test]
    fn without_a_store_kernels_are_counted_and_not_kept() {
        let cache = KernelCache::open(None).expect("opens");
        compile(&cache, b'a');
        assert_eq!(cache.compiled(), 1);
        cache.keep().expect("has nowhere to");
    }

    #[cfg(unix)]
    #[test]
    fn folders_of_killed_processes_go_and_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let alive = folder
            .path()
            .join(format!("{PREFIX}{}-x", std::process::id()));
        let other = folder.path().join("something");
        // Process numbers end below this one.
        let gone = folder.path().join(format!("{PREFIX}{}-x", i32::MAX));
        for path in [&alive, &other, &gone] {
            std::fs::create_dir(path).expect("a folder");
        }
        remove_stale(folder.path());
        assert!(alive.exists() && other.exists() && !gone.exists());
    }
}
