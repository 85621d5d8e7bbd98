//! Prediction files in the format of the course's leaderboard.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::BadRow;
use crate::fs::{READ_LIMIT, WriteError, atomic_write, read_text};
use crate::spec::{LabelKind, TaskSpec};

/// Writes one prediction a row: a class index for sentiment, `1.0` or `0.0` for paraphrase, a score for similarity.
///
/// Header and rows have the odd spaces that the course's graders expect.
pub fn write_predictions(
    path: &Path,
    spec: &TaskSpec,
    ids: &[String],
    predictions: &[f64],
) -> Result<(), WriteError> {
    let mut text = format!("id \t {} \n", spec.prediction_column());
    for (id, prediction) in ids.iter().zip(predictions) {
        // Writing to a string does not fail.
        let _ = match spec.label {
            LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } => {
                writeln!(text, "{id} , {prediction:.0} ")
            }
            LabelKind::Binary => writeln!(text, "{id} , {prediction:.1} "),
            LabelKind::Score { .. } => writeln!(text, "{id} , {prediction} "),
        };
    }
    atomic_write(path, text.as_bytes())
}

/// The answer for a row of a test file that cannot be read: class 0, `0.0`, none of several labels, or the lowest score.
pub fn neutral_prediction(spec: &TaskSpec) -> f64 {
    match spec.label {
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } | LabelKind::Binary => 0.0,
        LabelKind::Score { min, .. } => f64::from(min),
    }
}

/// All rows of a file in its order: those that were read, and between them one for each of the `bad` ones, which `answer`
/// makes (see [`neutral_prediction`]). A leaderboard counts rows.
pub fn with_bad_rows<T>(
    rows: impl IntoIterator<Item = T>,
    bad: &[BadRow],
    answer: impl Fn(&BadRow) -> T,
) -> Vec<T> {
    let mut good = rows.into_iter();
    let mut bad = bad.iter().peekable();
    let mut all = Vec::new();
    loop {
        let next = match bad.next_if(|bad| bad.row == all.len()) {
            Some(row) => Some(answer(row)),
            None => good.next(),
        };
        match next {
            Some(row) => all.push(row),
            None => return all,
        }
    }
}

/// Writes a task's predictions as CSV: id, gold label where there is one, prediction, and the probability of each label.
/// Labels are written by their names. A score that is put into the label's range stands beside what it was before
/// (`unclamped`), where rows have that.
pub fn write_prediction_table(
    path: &Path,
    spec: &TaskSpec,
    rows: &[PredictionRow<'_>],
) -> Result<(), WriteError> {
    let failed = |error: &dyn std::fmt::Display| WriteError {
        path: path.to_owned(),
        source: std::io::Error::other(error.to_string()),
    };
    let mut table = csv::Writer::from_writer(Vec::new());
    let classes: &[String] = match spec.label {
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } | LabelKind::Binary => {
            &spec.labels
        }
        LabelKind::Score { .. } => &[],
    };
    let header = ["id", "gold", "prediction"].map(str::to_owned).into_iter();
    let header = header.chain(classes.iter().map(|name| format!("{PROBABILITY}{name}")));
    let is_score = matches!(spec.label, LabelKind::Score { .. });
    let unclamped = is_score && rows.iter().any(|row| row.unclamped.is_some());
    let header = header.chain(unclamped.then(|| UNCLAMPED.to_owned()));
    table.write_record(header).map_err(|error| failed(&error))?;
    for row in rows {
        let gold = row.gold.map(|gold| spec.labels_text(gold));
        let cells = [
            row.id.to_string(),
            gold.unwrap_or_default(),
            row.answer.clone(),
        ];
        // A row that could not be read has an answer, and nothing is probable.
        let probabilities = (0..classes.len()).map(|class| {
            let probability = row.probabilities.get(class);
            probability.map_or_else(String::new, |probability| format!("{probability:.9}"))
        });
        let number = |number: Option<f64>| number.map_or_else(String::new, |it| it.to_string());
        let unclamped = unclamped.then(|| number(row.unclamped));
        table
            .write_record(cells.into_iter().chain(probabilities).chain(unclamped))
            .map_err(|error| failed(&error))?;
    }
    let bytes = table.into_inner().map_err(|error| failed(&error))?;
    atomic_write(path, &bytes)
}

/// Writes predictions as GLUE's server takes them: tab-separated `index` and `prediction`, by number or by name as the
/// task's files have them; scores with three decimals.
pub fn write_glue_predictions(
    path: &Path,
    spec: &TaskSpec,
    predictions: &[f64],
) -> Result<(), WriteError> {
    let mut text = "index\tprediction\n".to_owned();
    for (index, prediction) in predictions.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = match spec.label {
            LabelKind::Score { .. } => writeln!(text, "{index}\t{prediction:.3}"),
            _ if spec.has_text_labels() => {
                writeln!(text, "{index}\t{}", spec.label_text(*prediction))
            }
            _ => writeln!(text, "{index}\t{prediction:.0}"),
        };
    }
    atomic_write(path, text.as_bytes())
}

/// A row of [`write_prediction_table`].
#[derive(Clone, Debug)]
pub struct PredictionRow<'a> {
    /// Identifier.
    pub id: Cow<'a, str>,
    /// The numbers of its label, where the row has one.
    pub gold: Option<&'a [f32]>,
    /// The prediction in words.
    pub answer: String,
    /// Class index, 0/1, or score; of several labels at once how many are said.
    pub prediction: f64,
    /// A score before it was put into the label's range; `None` for other labels, and where that is not known.
    pub unclamped: Option<f64>,
    /// Probability of each label; empty for scores.
    pub probabilities: &'a [f64],
}

/// Column of a label's probability, without the label's name.
const PROBABILITY: &str = "probability of ";
/// Column of scores that are not put into the label's range.
const UNCLAMPED: &str = "unclamped";

/// A row of a table that [`write_prediction_table`] wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenPrediction {
    /// Identifier.
    pub id: String,
    /// The numbers of its label ([`LabelKind::width`] of them); `None` where the cell is empty, which of a task with several
    /// labels at once means that the row has none of them.
    pub gold: Option<Vec<f64>>,
    /// Those of the prediction.
    pub prediction: Vec<f64>,
    /// Probability of each label, or the score before it was put into the label's range; `None` where the table does not say.
    pub numbers: Option<Vec<f64>>,
}

/// What is wrong with a table of predictions.
#[derive(Debug, thiserror::Error)]
pub enum PredictionTableError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Path of the table.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("{path}, line {line}: {message}")]
    Malformed {
        /// Path of the table.
        path: PathBuf,
        /// Line of the file, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

/// Reads the ids, labels, predictions and probabilities of a table that [`write_prediction_table`] wrote.
///
/// # Errors
/// A file that cannot be read, is no such table, or has labels that the task has not.
pub fn read_prediction_table(
    path: &Path,
    spec: &TaskSpec,
) -> Result<Vec<WrittenPrediction>, PredictionTableError> {
    let malformed = |line: u64, message: String| PredictionTableError::Malformed {
        path: path.to_owned(),
        line,
        message,
    };
    let text = read_text(path, READ_LIMIT).map_err(|source| PredictionTableError::Io {
        path: path.to_owned(),
        source,
    })?;
    let of_csv = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        malformed(
            line,
            "the line has another number of columns than the header".into(),
        )
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(of_csv)?;
    if !header.iter().take(3).eq(["id", "gold", "prediction"]) {
        return Err(malformed(
            1,
            "the first columns are not id, gold and prediction".into(),
        ));
    }
    let wanted: Vec<String> = match spec.label {
        LabelKind::Score { .. } => vec![UNCLAMPED.to_owned()],
        _ => spec
            .labels
            .iter()
            .map(|name| format!("{PROBABILITY}{name}"))
            .collect(),
    };
    let has_numbers = header.iter().skip(3).take(wanted.len()).eq(&wanted);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(of_csv)?;
        let line = record.position().map_or(0, csv::Position::line);
        let labels = |text: &str| {
            let unknown = || malformed(line, format!("{text:?} is no label of the task"));
            spec.labels_of_text(text).ok_or_else(unknown)
        };
        rows.push(WrittenPrediction {
            id: record[0].to_owned(),
            gold: Some(&record[1])
                .filter(|gold| !gold.is_empty())
                .map(labels)
                .transpose()?,
            prediction: labels(&record[2])?,
            numbers: match has_numbers {
                true => {
                    let cells: Vec<&str> = record.iter().skip(3).take(wanted.len()).collect();
                    numbers(spec, &cells).map_err(|message| malformed(line, message))?
                }
                false => None,
            },
        });
    }
    Ok(rows)
}

/// The numbers in a row's cells; `None` where all are empty, as those of a row that could not be read.
fn numbers(spec: &TaskSpec, cells: &[&str]) -> Result<Option<Vec<f64>>, String> {
    if cells.iter().all(|cell| cell.is_empty()) {
        return Ok(None);
    }
    let is_score = matches!(spec.label, LabelKind::Score { .. });
    let number = |cell: &&str| {
        let number: f64 = cell.parse().unwrap_or(f64::NAN);
        match is_score {
            true if number.is_finite() => Ok(number),
            true => Err(format!("{cell:?} is no score")),
            false if (0.0..=1.0).contains(&number) => Ok(number),
            false => Err(format!("{cell:?} is no probability")),
        }
    };
    cells.iter().map(number).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::TaskId;

    fn spec(task: TaskId) -> std::sync::Arc<TaskSpec> {
        TaskSpec::preset(task).expect("a preset")
    }

    #[test]
    fn the_course_format_to_the_space() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("out.csv");
        let ids = ["a".to_owned(), "b".to_owned()];
        let written = |task, values: &[f64]| {
            write_predictions(&path, &spec(task), &ids, values).expect("write");
            std::fs::read_to_string(&path).expect("read")
        };
        assert_eq!(
            written(TaskId::SST, &[3.0, 0.0]),
            "id \t Predicted_Sentiment \na , 3 \nb , 0 \n"
        );
        assert_eq!(
            written(TaskId::PARA, &[1.0, 0.0]),
            "id \t Predicted_Is_Paraphrase \na , 1.0 \nb , 0.0 \n"
        );
        assert_eq!(
            written(TaskId::STS, &[2.5, 4.25]),
            "id \t Predicted_Similiary \na , 2.5 \nb , 4.25 \n"
        );
    }
    #[test]
    fn bad_rows_keep_their_places() {
        let bad = |row: usize, id: Option<&str>| BadRow {
            line: row as u64 + 2,
            reason: String::new(),
            row,
            id: id.map(str::to_owned),
        };
        let bad = [bad(0, Some("a")), bad(2, None), bad(4, Some("e"))];
        let name = |bad: &BadRow| bad.name();
        let ids = with_bad_rows(["b".to_owned(), "d".to_owned()], &bad, name);
        assert_eq!(ids, ["a", "b", "4", "d", "e"]);
        assert!(with_bad_rows(Vec::<String>::new(), &[], name).is_empty());
    }

    #[test]
    fn a_table_has_labels_by_name() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("out.csv");
        let row = |id, gold, answer: &str, probabilities| PredictionRow {
            id: Cow::Borrowed(id),
            gold,
            answer: answer.into(),
            prediction: 0.0,
            unclamped: None,
            probabilities,
        };
        let rows = [
            row("a", Some(&[1.0][..]), "not a paraphrase", &[0.75, 0.25][..]),
            row("b,c", None, "paraphrase", &[]),
        ];
        write_prediction_table(&path, &spec(TaskId::PARA), &rows).expect("written");
        assert_eq!(
            std::fs::read_to_string(&path).expect("there"),
            "id,gold,prediction,probability of not a paraphrase,probability of paraphrase\n\
             a,paraphrase,not a paraphrase,0.750000000,0.250000000\n\"b,c\",,paraphrase,,\n"
        );
        let read = read_prediction_table(&path, &spec(TaskId::PARA)).expect("a table");
        let [first, second] = &read[..] else {
            panic!("two rows: {read:?}")
        };
        assert_eq!((first.id.as_str(), second.id.as_str()), ("a", "b,c"));
        assert_eq!((&first.gold, &second.gold), (&Some(vec![1.0]), &None));
        assert_eq!(
            (&first.numbers, &second.numbers),
            (&Some(vec![0.75, 0.25]), &None)
        );
        assert_eq!(
            (&first.prediction, &second.prediction),
            (&vec![0.0], &vec![1.0])
        );
        let error = read_prediction_table(&path, &spec(TaskId::SST)).expect_err("other labels");
        assert!(
            error
                .to_string()
                .contains("line 2: \"paraphrase\" is no label"),
            "{error}"
        );
        let rows = [row("a", Some(&[5.0]), "2.5", &[])];
        write_prediction_table(&path, &spec(TaskId::STS), &rows).expect("written");
        let read = read_prediction_table(&path, &spec(TaskId::STS)).expect("a table");
        assert_eq!(
            (&read[0].gold, &read[0].prediction),
            (&Some(vec![5.0]), &vec![2.5])
        );
        assert_eq!(
            std::fs::read_to_string(&path).expect("there"),
            "id,gold,prediction\na,5,2.5\n"
        );
        let rows = [PredictionRow {
            unclamped: Some(-0.125),
            ..row("a", Some(&[5.0]), "0", &[])
        }];
        write_prediction_table(&path, &spec(TaskId::STS), &rows).expect("written");
        assert_eq!(
            std::fs::read_to_string(&path).expect("there"),
            "id,gold,prediction,unclamped\na,5,0,-0.125\n"
        );
        let read = read_prediction_table(&path, &spec(TaskId::STS)).expect("a table");
        assert_eq!(read[0].numbers, Some(vec![-0.125]));
        let topics = TaskSpec {
            label: LabelKind::MultiLabel { classes: 3 },
            labels: ["sport", "art", "law"].map(str::to_owned).into(),
            preset: None,
            ..TaskSpec::clone(&spec(TaskId::SST))
        };
        let rows = [row("a", Some(&[1.0, 0.0, 1.0]), "art", &[0.1, 0.9, 0.2])];
        write_prediction_table(&path, &topics, &rows).expect("written");
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(
            text.ends_with("a,sport|law,art,0.100000000,0.900000000,0.200000000\n"),
            "{text}"
        );
        let read = read_prediction_table(&path, &topics).expect("a table");
        assert_eq!(read[0].gold, Some(vec![1.0, 0.0, 1.0]));
        assert_eq!(read[0].prediction, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn what_is_no_table_is_named_with_its_line() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("out.csv");
        let error = |text: &str| {
            std::fs::write(&path, text).expect("write");
            let read = read_prediction_table(&path, &spec(TaskId::STS));
            read.expect_err("no table").to_string()
        };
        assert!(error("").contains("line 1: the first columns"));
        assert!(error("id,gold,prediction\na,1\n").contains("line 2: the line has another"));
        assert!(error("id,gold,prediction\na,1,NaN\n").contains("line 2: \"NaN\" is no label"));
        let scored =
            |number: &str| format!("id,gold,prediction,unclamped\na,1,2,2\nb,1,2,{number}\n");
        assert!(error(&scored("inf")).contains("line 3: \"inf\" is no score"));
        let table =
            "id,gold,prediction,probability of not a paraphrase,probability of paraphrase\n";
        for cells in ["1.5,0.5", "NaN,1", ",1", "-0.1,1"] {
            std::fs::write(&path, format!("{table}a,paraphrase,paraphrase,{cells}\n"))
                .expect("write");
            let read = read_prediction_table(&path, &spec(TaskId::PARA));
            let message = read.expect_err("no probability").to_string();
            assert!(message.contains("is no probability"), "{message}");
        }
    }
}
