//! Which columns of a file are texts, labels and identifiers.

use std::collections::HashSet;

use bertram_core::data::Column;

use super::labels::may_be_labels;
use super::sets::Sets;

/// Names of columns of labels, the surest first.
const LABELS: [&str; 28] = [
    "label",
    "labels",
    "gold_label",
    "gold",
    "class",
    "target",
    "is_duplicate",
    "sentiment",
    "similarity",
    "score",
    "similarity_score",
    "relatedness_score",
    "relatedness",
    "quality",
    "entailment_judgment",
    "category",
    "intent",
    "emotion",
    "topic",
    "verdict",
    "stance",
    "polarity",
    "rating",
    "stars",
    "acceptability",
    "judgment",
    "y",
    "output",
];

/// Names of the two columns of pairs, the surest first.
const PAIRS: [(&str, &str); 22] = [
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("sent1", "sent2"),
    ("text_a", "text_b"),
    ("text-a", "text-b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("#1 string", "#2 string"),
    ("s1", "s2"),
    ("a", "b"),
    ("left", "right"),
    ("first", "second"),
    ("question", "sentence"),
    ("question", "answer"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
    ("headline", "body"),
];

/// Names of columns of single texts, the surest first.
const SINGLES: [&str; 12] = [
    "sentence",
    "text",
    "review",
    "tweet",
    "comment",
    "utterance",
    "content",
    "document",
    "body",
    "message",
    "question",
    "post",
];

/// Endings of names of identifiers.
const IDS: [&str; 4] = ["id", "idx", "index", "guid"];

/// The columns that a task reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The identifier's, where there is one that must be named.
    pub id: Option<String>,
    /// The text's, or those of a pair.
    pub texts: Vec<String>,
    /// The label's; `None` where there is none.
    pub label: Option<String>,
}

/// Chooses by names and contents.
///
/// # Errors
/// What is open, in words that go behind the name of the file.
pub fn choose(columns: &[Column]) -> Result<Chosen, String> {
    // A column of texts may be called `output`.
    let may_be = |column: &&Column| !is_text(column) || may_be_labels(&column.cells);
    let named = LABELS
        .iter()
        .filter_map(|name| find(columns, name))
        .find(may_be);
    let texts = texts(columns, named)?;
    let is_text = |column: &Column| texts.iter().any(|text| text.name == column.name);
    let label = match named.filter(|column| !is_text(column)) {
        Some(column) => Some(column),
        None => {
            let rest: Vec<&Column> = columns
                .iter()
                .filter(|column| !is_text(column) && !is_id(column) && may_be_labels(&column.cells))
                .collect();
            match &rest[..] {
                [] => None,
                [column] => Some(*column),
                several => {
                    return Err(format!(
                        "the labels may be in any of {}",
                        names(several.iter().copied())
                    ));
                }
            }
        }
    };
    let id = columns.iter().find(|column| {
        // One that is called `id` is found without being named.
        is_id(column) && column.name != "id" && is_unique(column)
    });
    let has_id = columns.iter().any(|column| column.name == "id");
    Ok(Chosen {
        id: id.filter(|_| !has_id).map(|column| column.name.clone()),
        texts: texts
            .into_iter()
            .map(|column| column.name.clone())
            .collect(),
        label: label.map(|column| column.name.clone()),
    })
}

/// The column of a name, in upper or lower case.
fn find<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns
        .iter()
        .find(|column| column.name.to_lowercase() == name)
}

/// One column of texts, or two.
fn texts<'a>(columns: &'a [Column], label: Option<&Column>) -> Result<Vec<&'a Column>, String> {
    let pair = PAIRS
        .iter()
        .find_map(|(one, other)| Some(vec![find(columns, one)?, find(columns, other)?]));
    if let Some(pair) = pair {
        return Ok(pair);
    }
    let is_label = |column: &Column| label.is_some_and(|label| label.name == column.name);
    let read: Vec<&Column> = columns
        .iter()
        .filter(|column| !is_label(column) && !is_id(column) && is_text(column))
        .collect();
    if (1..=2).contains(&read.len()) {
        return Ok(read);
    }
    let single = SINGLES.iter().find_map(|name| find(columns, name));
    match (single, read.is_empty()) {
        (Some(single), true) => Ok(vec![single]),
        (None, true) => Err(format!(
            "no column looks like texts; the columns are {}",
            names(columns.iter())
        )),
        (_, false) => Err(format!(
            "the texts may be in any of {}",
            names(read.into_iter())
        )),
    }
}

/// Characters beyond which a cell is a text, whatever else it may be.
const LONG: usize = 40;

/// Whether cells look like texts: words, and hardly ever the same.
fn is_text(column: &Column) -> bool {
    let filled: Vec<&str> = column.cells.iter().flatten().map(String::as_str).collect();
    let chars = |text: &&str| text.chars().count();
    let with_words = filled
        .iter()
        .filter(|text| text.contains(char::is_whitespace) || chars(text) > LONG)
        .count();
    let distinct = filled.iter().collect::<HashSet<_>>().len();
    // Labels may have two words, and come again. So do premises, each with three hypotheses: they are many, or long.
    let is_long = || filled.iter().map(chars).sum::<usize>() > LONG * filled.len();
    !filled.is_empty()
        && with_words * 10 >= filled.len() * 3
        && (distinct * 2 > filled.len() || distinct > 1000 || is_long())
        && Sets::of(&column.cells).is_none()
}

/// Whether a name says that the column identifies rows.
fn is_id(column: &Column) -> bool {
    let name = column.name.to_lowercase();
    let last = name.rsplit(|it: char| !it.is_alphanumeric()).next();
    let is_word = last.is_some_and(|word| IDS.contains(&word));
    // `pairID`, `qid`.
    is_word || (name.ends_with("id") && (column.name.ends_with("ID") || name.len() <= 4))
}

fn is_unique(column: &Column) -> bool {
    let distinct: HashSet<&Option<String>> = column.cells.iter().collect();
    distinct.len() == column.cells.len()
}

/// `"a", "b" and "c"`, up to some.
fn names<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    const MOST: usize = 20;
    let mut names: Vec<String> = columns.map(|column| format!("{:?}", column.name)).collect();
    if names.len() > MOST {
        let more = names.len() - MOST;
        names.truncate(MOST);
        names.push(format!("{more} more"));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, cells: &[&str]) -> Column {
        let cell = |cell: &&str| Some((*cell).to_owned()).filter(|cell| !cell.is_empty());
        Column {
            name: name.to_owned(),
            cells: cells.iter().map(cell).collect(),
        }
    }

    /// A column of texts, of numbers that never come again, or of labels.
    fn made(name: &str, kind: &str) -> Column {
        let cells: Vec<String> = (0..12)
            .map(|row| match kind {
                "text" => format!("the {name} of row {row}"),
                "number" => row.to_string(),
                _ => format!("{name} {}", row % 3),
            })
            .collect();
        column(name, &cells.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Names of the columns of the texts, of the label and of the identifier.
    type Names = (Vec<String>, Option<String>, Option<String>);

    fn chosen(columns: &[(&str, &str)]) -> Result<Names, String> {
        let columns: Vec<Column> = columns
            .iter()
            .map(|(name, kind)| made(name, kind))
            .collect();
        choose(&columns).map(|chosen| (chosen.texts, chosen.label, chosen.id))
    }

    #[test]
    fn known_names_come_before_contents() {
        let (texts, label, id) = chosen(&[
            ("index", "number"),
            ("genre", "label"),
            ("sentence1_parse", "text"),
            ("sentence2_parse", "text"),
            ("Sentence1", "text"),
            ("sentence2", "text"),
            ("label1", "label"),
            ("gold_label", "label"),
        ])
        .expect("chosen");
        assert_eq!(texts, ["Sentence1", "sentence2"]);
        assert_eq!(label.as_deref(), Some("gold_label"));
        assert_eq!(id.as_deref(), Some("index"));
    }

    #[test]
    fn contents_tell_where_names_do_not() {
        let (texts, label, id) =
            chosen(&[("n", "number"), ("words", "text"), ("kind", "label")]).expect("chosen");
        assert_eq!(
            (texts, label.as_deref(), id),
            (vec!["words".to_owned()], Some("kind"), None)
        );
        let (texts, label, _) =
            chosen(&[("id", "number"), ("one", "text"), ("other", "text")]).expect("chosen");
        assert_eq!((texts.len(), label), (2, None));
    }

    #[test]
    fn texts_may_come_again_where_they_are_long_and_labels_may_have_words() {
        let long = "a premise that is said of a long afternoon at the sea, number";
        let cells: Vec<String> = (0..12).map(|row| format!("{long} {}", row / 3)).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        assert!(is_text(&column("x", &cells)));
        assert!(is_text(&made("x", "text")) && !is_text(&made("x", "label")));
        assert!(!is_text(&column("x", &["", ""])));
    }

    #[test]
    fn what_is_open_is_said() {
        let error = chosen(&[("x", "text"), ("y", "text"), ("z", "text")]).expect_err("open");
        assert_eq!(error, "the texts may be in any of \"x\", \"y\" and \"z\"");
        let error = chosen(&[("x", "text"), ("one", "label"), ("two", "label")]).expect_err("open");
        assert_eq!(error, "the labels may be in any of \"one\" and \"two\"");
        let error = chosen(&[("n", "number"), ("m", "label")]).expect_err("none");
        assert_eq!(
            error,
            "no column looks like texts; the columns are \"n\" and \"m\""
        );
    }

    #[test]
    fn identifiers_are_told_by_their_names() {
        for name in [
            "id",
            "idx",
            "pair_id",
            "pairID",
            "qid",
            "review-id",
            "Index",
        ] {
            assert!(is_id(&column(name, &[])), "{name}");
        }
        for name in ["valid", "text", "label", "acid rain"] {
            assert!(!is_id(&column(name, &[])), "{name}");
        }
    }
}
