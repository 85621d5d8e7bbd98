//! The line that a message names is the line that an editor shows.

use super::*;

/// One piece of a file. `end` is its line end.
#[derive(Clone, Debug)]
enum Piece {
    Row(String),
    /// A row with a label that no task takes.
    Bad(String),
    Blank,
}

/// The line of a place, as one would count it by hand.
fn by_hand(before: &str) -> u64 {
    let text = before.replace("\r\n", "\n").replace('\r', "\n");
    1 + text.matches('\n').count() as u64
}

fn pieces() -> impl Strategy<Value = Vec<(Piece, &'static str)>> {
    let text = prop_oneof![
        Just("a film".to_owned()),
        // A field that is quoted for the course's format, with a line end and a doubled quote in it.
        "\"[a\n\r]{0,4}(\"\")?[b\n\r]{0,4}c\"",
    ];
    let piece = prop_oneof![
        4 => text.clone().prop_map(Piece::Row),
        2 => text.prop_map(Piece::Bad),
        2 => Just(Piece::Blank),
    ];
    let end = prop_oneof![4 => Just("\n"), 4 => Just("\r\n"), 1 => Just("\r")];
    prop::collection::vec((piece, end), 1..30)
}

fn bad_lines(file: &str, task: TaskId, format: Format) -> (Vec<u64>, Vec<String>) {
    let columns = Columns::default();
    match read(file.as_bytes(), task, format, BadRows::Skip, &columns) {
        Ok(dataset) => (
            dataset.skipped.iter().map(|row| row.line).collect(),
            dataset.examples.into_iter().map(|row| row.id).collect(),
        ),
        Err(DataError::BadRows { rows, .. }) => {
            (rows.iter().map(|row| row.line).collect(), Vec::new())
        }
        Err(DataError::Empty { .. }) => (Vec::new(), Vec::new()),
        Err(other) => panic!("{other} in {file:?}"),
    }
}

proptest! {
    #[test]
    fn of_the_course_format(header_end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], blanks in "[\n]{0,2}", pieces in pieces()) {
        let mut file = format!("{blanks}\tid\tsentence\tsentiment{header_end}");
        let mut expected = Vec::new();
        for (piece, end) in &pieces {
            match piece {
                Piece::Row(text) => file.push_str(&format!("0\t\t{text}\t1{end}")),
                Piece::Bad(text) => {
                    expected.push(by_hand(&file));
                    file.push_str(&format!("0\t\t{text}\t9{end}"));
                }
                Piece::Blank => file.push_str(end),
            }
        }
        prop_assert_eq!(bad_lines(&file, TaskId::SST, Format::Cs224n).0, expected, "{:?}", file);
    }

    #[test]
    fn and_ids_of_glue(pieces in pieces()) {
        let mut file = String::from("sentence\tlabel\n");
        let (mut expected, mut ids) = (Vec::new(), Vec::new());
        for (piece, end) in &pieces {
            match piece {
                Piece::Row(_) => {
                    ids.push(by_hand(&file).to_string());
                    file.push_str(&format!("\"a film\t1{end}"));
                }
                Piece::Bad(_) => {
                    expected.push(by_hand(&file));
                    file.push_str(&format!("a film\t9{end}"));
                }
                Piece::Blank => file.push_str(end),
            }
        }
        if ids.is_empty() {
            prop_assert_eq!(bad_lines(&file, TaskId::SST, Format::Glue).0, expected, "{:?}", file);
        } else {
            prop_assert_eq!(bad_lines(&file, TaskId::SST, Format::Glue), (expected, ids), "{:?}", file);
        }
    }

    #[test]
    fn of_json_lines(pieces in pieces(), mark: bool) {
        let mut file = String::from(if mark { "\u{FEFF}" } else { "" });
        let mut expected = Vec::new();
        for (piece, end) in &pieces {
            // A lone `\r` ends no object.
            let end = if *end == "\r" { "\r\n" } else { end };
            match piece {
                Piece::Row(_) => file.push_str(&format!("{{\"sentence\": \"a\", \"label\": 1}}{end}")),
                Piece::Bad(_) => {
                    expected.push(by_hand(&file));
                    file.push_str(&format!(" {{\"sentence\": \"a\", \"label\": 9}}{end}"));
                }
                Piece::Blank => file.push_str(end),
            }
        }
        prop_assert_eq!(bad_lines(&file, TaskId::SST, Format::JsonLines).0, expected, "{:?}", file);
    }
}
