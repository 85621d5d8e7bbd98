//! Prediction files in the format of the course's leaderboard.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use super::BadRow;
use crate::fs::{WriteError, atomic_write};
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
/// Labels are written by their names.
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
    let header = header.chain(classes.iter().map(|name| format!("probability of {name}")));
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
            probability.map_or_else(String::new, |probability| format!("{probability:.6}"))
        });
        table
            .write_record(cells.into_iter().chain(probabilities))
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
    /// Probability of each label; empty for scores.
    pub probabilities: &'a [f64],
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
             a,paraphrase,not a paraphrase,0.750000,0.250000\n\"b,c\",,paraphrase,,\n"
        );
        let rows = [row("a", Some(&[5.0]), "2.5", &[])];
        write_prediction_table(&path, &spec(TaskId::STS), &rows).expect("written");
        assert_eq!(
            std::fs::read_to_string(&path).expect("there"),
            "id,gold,prediction\na,5,2.5\n"
        );
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
            text.ends_with("a,sport|law,art,0.100000,0.900000,0.200000\n"),
            "{text}"
        );
    }
}
