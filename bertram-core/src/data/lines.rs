//! Text files as people see them: what they are encoded in, and the number that an editor gives a line.

use std::io::{self, BufRead, Cursor, Read};

/// A byte order mark. Editors and spreadsheets write one at the start of a file; it is no part of the text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Most bytes of a text that a model is to read: 1 MiB. A model reads some hundred tokens of it; much more is a file that
/// is no list of sentences, and takes minutes and gigabytes to cut into tokens.
pub(super) const MOST_TEXT: usize = 1 << 20;

/// Bytes at a file's start that tell what is in it.
const TELLING: usize = 512;

/// Why a file is no UTF-8 text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The bytes are something else.
    #[error("it looks like {kind}, not UTF-8 text; {remedy}")]
    Kind {
        /// What they look like.
        kind: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A line is longer than any sentence.
    #[error(
        "line {line}: has more than the {MOST_TEXT} bytes that a text may have; put each sentence on a line of its own"
    )]
    TooLong {
        /// The line, counted from 1.
        line: u64,
    },
    /// A line has a byte that UTF-8 has not.
    #[error("line {line}: broken UTF-8 at byte {byte} of the line")]
    Utf8 {
        /// The line, counted from 1.
        line: u64,
        /// Whole bytes before the fault.
        byte: usize,
    },
}

/// The bytes without a byte order mark.
///
/// # Errors
/// [`TextError::Kind`] for UTF-16, UTF-32, and packed or columnar files, which have a text file's name now and then.
pub(super) fn text_bytes(bytes: &[u8]) -> Result<&[u8], TextError> {
    const RECODE: &str = "save it as UTF-8 (iconv -f UTF-16 -t UTF-8 OLD > NEW)";
    const UNPACK: &str = "unpack it first";
    const EXPORT: &str = "export it as text first";
    let kinds: [(&[u8], _, _); 8] = [
        (
            b"\xFF\xFE\0\0",
            "UTF-32",
            "save it as UTF-8 (iconv -f UTF-32 -t UTF-8 OLD > NEW)",
        ),
        (b"\xFF\xFE", "UTF-16", RECODE),
        (b"\xFE\xFF", "UTF-16", RECODE),
        (b"\x1F\x8B", "a gzip file", UNPACK),
        (b"\x28\xB5\x2F\xFD", "a zstd file", UNPACK),
        (
            b"PK\x03\x04",
            "a zip archive or a spreadsheet",
            "unpack or export it first",
        ),
        (b"PAR1", "a Parquet file", EXPORT),
        (b"ARROW1\0\0", "an Arrow file", EXPORT),
    ];
    for (start, kind, remedy) in kinds {
        if bytes.starts_with(start) {
            return Err(TextError::Kind { kind, remedy });
        }
    }
    if every_other_byte_is_zero(bytes) {
        return Err(TextError::Kind {
            kind: "UTF-16",
            remedy: RECODE,
        });
    }
    Ok(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes))
}

/// How UTF-16 without a mark looks, in a text that is mostly ASCII (tabs, line ends and labels are).
fn every_other_byte_is_zero(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(TELLING)];
    let zeros = |odd: usize| {
        let bytes = start.iter().skip(odd).step_by(2);
        bytes.filter(|&&byte| byte == 0).count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    start.len() >= 8 && even.max(odd) * 4 > start.len() && even.min(odd) * 8 < start.len()
}

/// Numbers the lines of a text, for places asked for in rising order.
///
/// As in VS Code and most other editors a line ends with `\n`, `\r\n` or a lone `\r`. (The table readers end a row at a
/// lone `\r`, too, so that no two rows that start outside of quotes share a number.)
pub(super) struct LineCounter<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            line: 1,
        }
    }

    /// The line, counted from 1, in which the byte at `offset` lies; a line end lies in the line that it ends.
    pub(super) fn line_of(&mut self, offset: usize) -> u64 {
        let end = offset.min(self.bytes.len());
        while self.at < end {
            let is_end = match self.bytes[self.at] {
                b'\n' => true,
                b'\r' => self.bytes.get(self.at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(is_end);
            self.at += 1;
        }
        self.line
    }
}

/// The lines of a text that is given a sentence a line, without a byte order mark, read as they are asked for: a stream of
/// any length takes no more memory than its longest line.
///
/// Here a line ends with `\n` or `\r\n`; a lone `\r` is a character of its line, as it is for other programs that work
/// line by line, so that there is a result for each of the lines that these count.
///
/// After an error there are no more lines.
pub struct TextLines<R> {
    /// What is to be read next, before the reader.
    start: Cursor<Vec<u8>>,
    reader: R,
    /// Lines that were read.
    line: u64,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Start,
    Within,
    End,
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum TextLinesError {
    /// The reader failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are no text.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl<R: BufRead> TextLines<R> {
    /// The lines of what `reader` gives.
    pub fn new(reader: R) -> Self {
        Self {
            start: Cursor::default(),
            reader,
            line: 0,
            state: State::Start,
        }
    }

    fn read(&mut self) -> Result<Option<String>, TextLinesError> {
        if self.state == State::Start {
            let mut start = Vec::new();
            (&mut self.reader)
                .take(TELLING as u64)
                .read_to_end(&mut start)?;
            self.start = Cursor::new(text_bytes(&start)?.to_vec());
            self.state = State::Within;
        }
        let mut line = Vec::new();
        let mut bytes = (&mut self.start).chain(&mut self.reader);
        // The line end comes on top, and a byte by which a line is too long.
        let most = MOST_TEXT as u64 + 1;
        (&mut bytes).take(most).read_until(b'\n', &mut line)?;
        self.line += 1;
        // What follows the last line end is a line only if there is something.
        if line.is_empty() {
            return Ok(None);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if line.len() > MOST_TEXT {
            return Err(TextError::TooLong { line: self.line }.into());
        }
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line.trim_end_matches('\r').to_owned())),
            Err(error) => Err(TextError::Utf8 {
                line: self.line,
                byte: error.valid_up_to(),
            }
            .into()),
        }
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = Result<String, TextLinesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::End {
            return None;
        }
        let line = self.read().transpose();
        if !matches!(line, Some(Ok(_))) {
            self.state = State::End;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The line of a place, as one would count it by hand.
    pub(in crate::data) fn by_hand(before: &[u8]) -> u64 {
        let text = String::from_utf8_lossy(before).replace("\r\n", "\n");
        1 + text.replace('\r', "\n").matches('\n').count() as u64
    }

    #[test]
    fn a_line_end_belongs_to_the_line_it_ends() {
        let text = b"a\r\nb\rc\n\nd";
        let mut lines = LineCounter::new(text);
        let numbers: Vec<u64> = (0..=text.len() + 2).map(|at| lines.line_of(at)).collect();
        assert_eq!(numbers, [1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 5, 5]);
    }

    #[test]
    fn text_of_another_kind_is_named() {
        let little: Vec<u8> = "id\tsentence\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let big: Vec<u8> = "id\tsentence\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let with_mark = [b"\xFF\xFE".to_vec(), little.clone()].concat();
        for (bytes, kind) in [
            (&with_mark[..], "UTF-16"),
            (&little, "UTF-16"),
            (&big, "UTF-16"),
            (b"\xFF\xFE\0\0a\0\0\0", "UTF-32"),
            (b"\x1F\x8B\x08", "gzip"),
            (b"PK\x03\x04", "zip"),
            (b"PAR1", "Parquet"),
        ] {
            let error = text_bytes(bytes).expect_err(kind).to_string();
            assert!(error.contains(kind), "{error}");
        }
        for good in [&b"\xEF\xBB\xBFa"[..], b"a", b""] {
            let stripped = text_bytes(good).expect("text");
            assert!(stripped == b"a" || stripped.is_empty());
        }
        // A text with a zero byte here and there is left to the reader.
        assert!(text_bytes(b"the film\0 was good and long\n").is_ok());
    }

    fn text_lines(bytes: &[u8]) -> Result<Vec<String>, TextError> {
        // A reader that gives few bytes at a time, as pipes do.
        let lines = TextLines::new(io::BufReader::with_capacity(3, bytes));
        let text_error = |error| match error {
            TextLinesError::Text(error) => error,
            TextLinesError::Io(error) => panic!("{error}"),
        };
        lines.map(|line| line.map_err(text_error)).collect()
    }

    #[test]
    fn lines_of_sentences() {
        let lines = |bytes: &[u8]| text_lines(bytes).expect("lines");
        assert_eq!(lines(b"\xEF\xBB\xBFa\r\nb\rc\n\nd"), ["a", "b\rc", "", "d"]);
        assert_eq!(lines(b"a\n"), ["a"]);
        assert_eq!(lines(b"\n\n"), ["", ""]);
        assert!(lines(b"").is_empty());
        assert!(lines(b"\xEF\xBB\xBF").is_empty());
        assert_eq!(
            text_lines(b"a\nb\xFF\n"),
            Err(TextError::Utf8 { line: 2, byte: 1 })
        );
        for end in [&b""[..], b"\n", b"\r\n"] {
            let mut long = b"a\n".to_vec();
            let most = MOST_TEXT + 1 - end.len().saturating_sub(1);
            long.extend(std::iter::repeat_n(b'b', most));
            assert_eq!(
                text_lines(&[&long, end].concat()),
                Err(TextError::TooLong { line: 2 })
            );
            long.pop();
            assert_eq!(lines(&[&long, end].concat())[1].len(), most - 1);
        }
        // An endless line ends.
        let endless = io::BufReader::new(io::repeat(b'a'));
        assert!(TextLines::new(endless).next().expect("an error").is_err());
        let mut lines = TextLines::new(&b"a\n\xFF\nb\n"[..]);
        assert!(lines.next().expect("a line").is_ok());
        assert!(lines.next().expect("an error").is_err());
        assert!(lines.next().is_none(), "after an error there is nothing");
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole_text(text in "[ab\r\n]{0,2000}") {
            let mut whole: Vec<&str> = text.split('\n').collect();
            whole.pop_if(|line| line.is_empty());
            let whole: Vec<&str> = whole.iter().map(|line| line.trim_end_matches('\r')).collect();
            prop_assert_eq!(text_lines(text.as_bytes()).expect("text"), whole);
        }

        #[test]
        fn lines_are_numbered_as_by_hand(text in "[ab\n\r]{0,60}", places in prop::collection::vec(0usize..60, 0..8)) {
            let mut places = places;
            places.sort_unstable();
            let mut lines = LineCounter::new(text.as_bytes());
            for place in places {
                let place = place.min(text.len());
                // The `\n` of a `\r\n` is still in the line.
                let before = &text.as_bytes()[..place];
                let within = before.ends_with(b"\r") && text.as_bytes().get(place) == Some(&b'\n');
                let before = if within { &before[..place - 1] } else { before };
                prop_assert_eq!(lines.line_of(place), by_hand(before));
            }
        }
    }
}
