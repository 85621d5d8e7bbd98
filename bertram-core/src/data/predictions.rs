//! Prediction files in the format of the course's leaderboard.

use std::fmt::Write as _;
use std::path::Path;

use crate::fs::{WriteError, atomic_write};
use crate::task::{LabelKind, TaskId};

/// Writes one prediction a row: a class index for sentiment, `1.0` or `0.0` for paraphrase, a score for similarity.
///
/// Header and rows have the odd spaces that the course's graders expect.
pub fn write_predictions(
    path: &Path,
    task: TaskId,
    ids: &[String],
    predictions: &[f64],
) -> Result<(), WriteError> {
    let spec = task.spec();
    let mut text = format!("id \t {} \n", spec.prediction_column);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_course_format_to_the_space() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("out.csv");
        let ids = ["a".to_owned(), "b".to_owned()];
        let written = |task, values: &[f64]| {
            write_predictions(&path, task, &ids, values).expect("write");
            std::fs::read_to_string(&path).expect("read")
        };
        assert_eq!(
            written(TaskId::Sst, &[3.0, 0.0]),
            "id \t Predicted_Sentiment \na , 3 \nb , 0 \n"
        );
        assert_eq!(
            written(TaskId::Para, &[1.0, 0.0]),
            "id \t Predicted_Is_Paraphrase \na , 1.0 \nb , 0.0 \n"
        );
        assert_eq!(
            written(TaskId::Sts, &[2.5, 4.25]),
            "id \t Predicted_Similiary \na , 2.5 \nb , 4.25 \n"
        );
    }
}
