//! Prediction files in the format of the course's leaderboard.

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
            LabelKind::Classes { .. } => writeln!(text, "{id} , {prediction:.0} "),
            LabelKind::Binary => writeln!(text, "{id} , {prediction:.1} "),
            LabelKind::Score { .. } => writeln!(text, "{id} , {prediction} "),
        };
    }
    atomic_write(path, text.as_bytes())
}

/// The answer for a row of a test file that cannot be read: class 0, `0.0`, or the lowest score.
pub fn neutral_prediction(spec: &TaskSpec) -> f64 {
    match spec.label {
        LabelKind::Classes { .. } | LabelKind::Binary => 0.0,
        LabelKind::Score { min, .. } => f64::from(min),
    }
}

/// Identifiers and predictions of all rows of a file in its order: those of the rows that were read, and between them
/// the `bad` ones with the [`neutral_prediction`]. A leaderboard counts rows.
pub fn with_bad_rows(
    spec: &TaskSpec,
    ids: &[String],
    predictions: &[f64],
    bad: &[BadRow],
) -> (Vec<String>, Vec<f64>) {
    let mut good = ids.iter().cloned().zip(predictions.iter().copied());
    let mut bad = bad.iter().peekable();
    let mut rows = Vec::with_capacity(ids.len() + bad.len());
    loop {
        let next = match bad.next_if(|bad| bad.row == rows.len()) {
            Some(row) => Some((
                row.id.clone().unwrap_or_else(|| row.line.to_string()),
                neutral_prediction(spec),
            )),
            None => good.next(),
        };
        match next {
            Some(row) => rows.push(row),
            None => return rows.into_iter().unzip(),
        }
    }
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
        let ids = ["b".to_owned(), "d".to_owned()];
        let bad = [bad(0, Some("a")), bad(2, None), bad(4, Some("e"))];
        let (ids, values) = with_bad_rows(&spec(TaskId::STS), &ids, &[2.5, 5.0], &bad);
        assert_eq!(ids, ["a", "b", "4", "d", "e"]);
        assert_eq!(values, [0.0, 2.5, 0.0, 5.0, 0.0]);
        let (ids, _) = with_bad_rows(&spec(TaskId::STS), &[], &[], &[]);
        assert!(ids.is_empty());
    }
}
