//! Quoted fields that go over a line end: meant, or a quote that nobody meant to open a field.

use super::lines::LineCounter;

/// A quoted field over several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Line of the quote that opens it.
    pub opens: u64,
    /// Line of the quote that closes it.
    pub closes: u64,
}

/// What a file's quotes do to its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QuotedSpans {
    /// The first field that goes over a line end.
    pub first: Option<Span>,
    /// The one that takes the most lines.
    pub longest: Option<Span>,
    /// How many there are.
    pub count: usize,
    /// Line of a quote that opens a field and is not closed before the file ends.
    pub unclosed: Option<u64>,
}

impl QuotedSpans {
    /// Looks through a table with CSV quoting: a field is quoted if its first character is a quote, and two quotes within
    /// stand for one. `bytes` are without a byte order mark.
    pub(super) fn find(bytes: &[u8], delimiter: u8) -> Self {
        let mut found = Self::default();
        let mut lines = LineCounter::new(bytes);
        let (mut at, mut field_starts) = (0, true);
        while at < bytes.len() {
            if !(field_starts && bytes[at] == b'"') {
                field_starts = bytes[at] == delimiter || matches!(bytes[at], b'\n' | b'\r');
                at += 1;
                continue;
            }
            let Some(close) = closing_quote(bytes, at) else {
                found.unclosed = Some(lines.line_of(at));
                break;
            };
            if bytes[at..close]
                .iter()
                .any(|byte| matches!(byte, b'\n' | b'\r'))
            {
                let span = Span {
                    opens: lines.line_of(at),
                    closes: lines.line_of(close),
                };
                found.count += 1;
                found.first.get_or_insert(span);
                let lines = |span: Span| span.closes - span.opens;
                if found
                    .longest
                    .is_none_or(|longest| lines(span) > lines(longest))
                {
                    found.longest = Some(span);
                }
            }
            at = close + 1;
            field_starts = false;
        }
        found
    }

    /// What a reader should be told of the file, if anything.
    pub(super) fn note(&self) -> Option<String> {
        let (first, longest) = (self.first?, self.longest?);
        let Span { opens, closes } = first;
        let advice =
            "If a quote there is a character of the text, put the field in quotes and double it";
        Some(match self.count {
            1 => format!(
                "a quoted field opens in line {opens} and closes in line {closes}; the lines between are one field. {advice}"
            ),
            count => format!(
                "{count} quoted fields go over line ends; the first opens in line {opens} and closes in line {closes}, \
                 the longest takes lines {} to {}. {advice}",
                longest.opens, longest.closes
            ),
        })
    }
}

/// Place of the quote that closes the field that the quote at `open` opens.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == b'"')?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_that_open_fields_and_quotes_that_do_not() {
        let span = |opens, closes| Some(Span { opens, closes });
        for (text, first, longest, count, unclosed) in [
            ("a\t\"b\"\nc\td\n", None, None, 0, None),
            ("a\t\"b\nc\"\td\n", span(1, 2), span(1, 2), 1, None),
            ("\"a\r\nb\"\n\"c\n\n\"\n", span(1, 2), span(3, 5), 2, None),
            // Within an unquoted field a quote is a character.
            ("a \"b\nc\"\td\n", None, None, 0, None),
            // Doubled quotes do not close.
            ("\"a\"\"\nb\"\n", span(1, 2), span(1, 2), 1, None),
            ("\"\"\"\nb\n", None, None, 0, Some(1)),
            ("a\n\"\"\"\"\n\"b\nc\n", None, None, 0, Some(3)),
            ("a\n\"", None, None, 0, Some(2)),
        ] {
            let found = QuotedSpans::find(text.as_bytes(), b'\t');
            let expected = QuotedSpans {
                first,
                longest,
                count,
                unclosed,
            };
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(found.note().is_some(), count > 0);
        }
    }
}
