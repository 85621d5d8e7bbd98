//! Texts in and results out, a window at a time: memory does not grow with the length of a stream.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use bertram_core::data::{TextLines, TextLinesError};
use bertram_core::fs::AtomicFile;

use crate::error::{CliError, CliResult, input, work};

/// Rows of a window. Large enough that rows sorted by length within it leave as little padding as a whole file's would,
/// small enough that a window's vectors are some tens of megabytes.
const WINDOW_ROWS: usize = 8192;
/// Most bytes of a window, but for one row: windows of long texts have fewer rows.
const WINDOW_BYTES: usize = 32 << 20;
/// What a row takes in memory beside its text, roughly.
const ROW_BYTES: usize = 64;

/// The next rows of a stream that go through the model together; none at its end.
///
/// Rows that are to be `computed` are counted in whole batches, so that a GPU meets a batch with fewer rows only at the
/// end.
pub fn next_window<T>(
    rows: &mut impl Iterator<Item = CliResult<T>>,
    batch_size: usize,
    computed: impl Fn(&T) -> bool,
    bytes: impl Fn(&T) -> usize,
) -> CliResult<Vec<T>> {
    let batch_size = batch_size.max(1);
    let most = (WINDOW_ROWS / batch_size).max(1) * batch_size;
    let mut window = Vec::new();
    let (mut count, mut size) = (0, 0);
    while count < most && size < WINDOW_BYTES {
        let Some(row) = rows.next().transpose()? else {
            break;
        };
        count += usize::from(computed(&row));
        size += bytes(&row) + ROW_BYTES;
        window.push(row);
    }
    Ok(window)
}

/// The lines of a file, or of standard input for `-`, without a byte order mark, read as they are asked for.
pub fn lines(path: &Path) -> CliResult<impl Iterator<Item = CliResult<String>> + use<>> {
    let reader: Box<dyn BufRead> = if is_standard_input(path) {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| named(path, &error))?;
        Box::new(BufReader::new(file))
    };
    let path = path.to_owned();
    let lines = TextLines::new(reader);
    Ok(lines.map(move |line| line.map_err(|error: TextLinesError| named(&path, &error))))
}

/// Looks through the lines of a file before anything is computed, so that a fault in its last line does not cost the work
/// on those before, and gives their number. A stream can be read only once: `None`, and nothing is read.
pub fn check_lines(
    path: &Path,
    mut check: impl FnMut(CliResult<String>) -> CliResult,
) -> CliResult<Option<usize>> {
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if is_standard_input(path) || !is_file {
        return Ok(None);
    }
    let mut count = 0;
    for line in lines(path)? {
        check(line)?;
        count += 1;
    }
    Ok(Some(count))
}

/// Whether a path stands for standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// A fault of an input file.
pub fn named(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    input(anyhow::anyhow!("{}: {error}", path.display()))
}

/// Where results go: a file that takes its place when all are there, or standard output, which has those of a window as
/// soon as they are computed.
pub struct Output {
    path: Option<PathBuf>,
    /// Begun with the first window: a run that ends before it leaves no temporary file behind.
    file: Option<AtomicFile>,
}

impl Output {
    /// Results into a file, or to standard output without one. Nothing is opened yet.
    pub fn new(path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_owned),
            file: None,
        }
    }

    /// Whether results are shown to a person who waits for them.
    pub fn is_terminal(&self) -> bool {
        self.path.is_none() && std::io::stdout().is_terminal()
    }

    /// Writes further results. Gives whether somebody still reads: where `head` has seen enough, nothing more need be
    /// computed.
    pub fn write(&mut self, text: &str) -> CliResult<bool> {
        let Some(path) = &self.path else {
            let mut stdout = std::io::stdout().lock();
            let written = stdout.write_all(text.as_bytes());
            return match written.and_then(|()| stdout.flush()) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
                Err(error) => Err(work(error)),
            };
        };
        let file = match self.file.take() {
            Some(file) => file,
            None => AtomicFile::create(path).map_err(work)?,
        };
        let file = self.file.insert(file);
        file.write_all(text.as_bytes()).map_err(work)?;
        Ok(true)
    }

    /// All results are written.
    pub fn finish(mut self) -> CliResult {
        // Of no rows the file is empty.
        self.write("")?;
        match self.file {
            Some(file) => file.finish().map_err(work),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_whole_batches_of_what_is_computed() {
        let sizes = |texts: &[&str], batch_size| -> Vec<usize> {
            let mut rows = texts.iter().map(|text| Ok((*text).to_owned()));
            let mut next = || {
                let is_said = |text: &String| !text.is_empty();
                next_window(&mut rows, batch_size, is_said, String::len).expect("no fault")
            };
            std::iter::from_fn(|| Some(next().len()).filter(|len| *len > 0)).collect()
        };
        assert!(sizes(&[], 32).is_empty());
        assert_eq!(sizes(&["a"; 10_000], 32), [8192, 1808]);
        assert_eq!(sizes(&["a"; 10_000], 1000), [8000, 2000]);
        assert_eq!(sizes(&["a"; 10_000], 9000), [9000, 1000]);
        // Of empty lines nothing is computed.
        assert_eq!(sizes(&["a", ""].repeat(10_000), 32), [16_383, 3617]);
        let long = "a".repeat(1 << 20);
        assert_eq!(sizes(&[long.as_str(); 40], 32), [32, 8]);
    }
}
