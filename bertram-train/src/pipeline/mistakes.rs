//! Where a model is right and wrong on dev, row by row: the scores of each label, and its most confident mistakes.

use std::path::Path;

use bertram_core::data::TokenizedDataset;
use bertram_core::fs::{WriteError, atomic_write};
use bertram_core::metric::{LabelCounts, label_counts};
use bertram_core::task::{LabelKind, Prediction, TaskSpec, are_there};

use crate::corpus::Texts;

/// Mistakes that are listed.
const MISTAKES: usize = 100;

/// What a task's model says of labelled rows.
pub(super) struct Answers<'a> {
    /// What the task is.
    pub spec: &'a TaskSpec,
    /// The rows, with labels.
    pub data: &'a TokenizedDataset,
    /// Their texts.
    pub texts: &'a [Texts],
    /// What is said of each.
    pub predictions: &'a [Prediction],
}

impl Answers<'_> {
    /// The numbers of a row's label.
    fn gold(&self, row: usize) -> Vec<f32> {
        self.data.labels_of(&[row])
    }

    /// Of each label whether a row has it, and whether it is said; none for scores.
    fn flags(&self, row: usize) -> (Vec<bool>, Vec<bool>) {
        let (gold, said) = (self.gold(row), &self.predictions[row]);
        let one =
            |number: f64| (0..self.spec.labels.len()).map(move |label| label as f64 == number);
        match self.spec.label {
            LabelKind::MultiLabel { .. } => (are_there(&gold), said.said()),
            LabelKind::Classes { .. } | LabelKind::Binary => (
                one(gold.first().map_or(-1.0, |label| f64::from(*label))).collect(),
                one(said.value).collect(),
            ),
            LabelKind::Score { .. } => (Vec::new(), Vec::new()),
        }
    }

    /// Writes `label,rows,precision,recall,f1`; nothing for scores.
    pub fn write_labels(&self, path: &Path) -> Result<(), WriteError> {
        if matches!(self.spec.label, LabelKind::Score { .. }) {
            return Ok(());
        }
        let (there, said): (Vec<_>, Vec<_>) = (0..self.predictions.len())
            .map(|row| self.flags(row))
            .unzip();
        let share = |share: Option<f64>| share.map_or_else(String::new, |it| format!("{it:.6}"));
        let counts = label_counts(&said, &there);
        let rows = self.spec.labels.iter().zip(counts);
        let rows = rows.map(|(label, counts): (_, LabelCounts)| {
            vec![
                label.clone(),
                (counts.true_positives + counts.false_negatives).to_string(),
                share(counts.precision()),
                share(counts.recall()),
                share(Some(counts.f1())),
            ]
        });
        write_table(path, &["label", "rows", "precision", "recall", "f1"], rows)
    }

    /// How wrong a row is: the probability of what is said and not so, or the distance from the score; `None` where it is
    /// right.
    fn wrong(&self, row: usize) -> Option<f64> {
        let said = &self.predictions[row];
        if let LabelKind::Score { .. } = self.spec.label {
            let gold = self.gold(row).first().copied()?;
            return Some((said.value - f64::from(gold)).abs()).filter(|distance| *distance > 0.0);
        }
        let (there, says) = self.flags(row);
        if there == says {
            return None;
        }
        let labels = there.iter().zip(&says).zip(&said.probabilities);
        labels
            .filter(|((there, says), _)| there != says)
            .map(|((_, says), probability)| match says {
                true => *probability,
                false => 1.0 - probability,
            })
            .max_by(f64::total_cmp)
    }

    /// Writes the rows that are most wrong, those first: `id,gold,prediction` with the probability of the mistake (of scores the
    /// distance) and the texts as the model has read them.
    pub fn write_mistakes(&self, path: &Path) -> Result<(), WriteError> {
        let rows = 0..self.predictions.len().min(self.texts.len());
        let mut wrong: Vec<(usize, f64)> = rows
            .filter_map(|row| Some((row, self.wrong(row)?)))
            .collect();
        wrong.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        wrong.truncate(MISTAKES);
        let how = match self.spec.label {
            LabelKind::Score { .. } => "distance",
            _ => "probability",
        };
        let rows = wrong.into_iter().map(|(row, wrong)| {
            let (first, second) = &self.texts[row];
            vec![
                self.data.ids[row].clone(),
                self.spec.labels_text(&self.gold(row)),
                self.predictions[row].text(self.spec),
                format!("{wrong:.6}"),
                first.clone(),
                second.clone().unwrap_or_default(),
            ]
        });
        let header = ["id", "gold", "prediction", how, "sentence1", "sentence2"];
        write_table(path, &header, rows)
    }
}

fn write_table(
    path: &Path,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), WriteError> {
    let failed = |error: String| WriteError {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(header).chain(rows) {
        table
            .write_record(&row)
            .map_err(|error| failed(error.to_string()))?;
    }
    let bytes = table
        .into_inner()
        .map_err(|error| failed(error.to_string()))?;
    atomic_write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use bertram_core::task::{TaskId, TaskSpec};

    use super::*;

    fn written(task: TaskId, labels: &[f32], said: &[(f64, &[f64])]) -> (String, String) {
        let spec = TaskSpec::preset(task).expect("a preset");
        let rows = labels.len();
        let data = TokenizedDataset {
            task,
            ids: (0..rows).map(|row| format!("id{row}")).collect(),
            a: vec![Vec::new(); rows],
            b: Vec::new(),
            labels: Some(labels.to_vec()),
            weights: None,
        };
        let texts: Vec<Texts> = (0..rows).map(|row| (format!("text {row}"), None)).collect();
        let predictions: Vec<Prediction> = said
            .iter()
            .map(|&(value, probabilities)| Prediction {
                value,
                unclamped: value,
                probabilities: probabilities.to_vec(),
            })
            .collect();
        let answers = Answers {
            spec: &spec,
            data: &data,
            texts: &texts,
            predictions: &predictions,
        };
        let dir = tempfile::tempdir().expect("temp dir");
        let (labels, mistakes) = (
            dir.path().join("labels.csv"),
            dir.path().join("mistakes.csv"),
        );
        answers.write_labels(&labels).expect("written");
        answers.write_mistakes(&mistakes).expect("written");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        (read(&labels), read(&mistakes))
    }

    #[test]
    fn the_surest_mistakes_come_first() {
        let said: [(f64, &[f64]); 4] = [
            (1.0, &[0.4, 0.6]),
            (0.0, &[0.9, 0.1]),
            (1.0, &[0.05, 0.95]),
            (1.0, &[0.2, 0.8]),
        ];
        let (labels, mistakes) = written(TaskId::PARA, &[0.0, 1.0, 1.0, 0.0], &said);
        assert_eq!(
            mistakes,
            "id,gold,prediction,probability,sentence1,sentence2\n\
             id1,paraphrase,not a paraphrase,0.900000,text 1,\n\
             id3,not a paraphrase,paraphrase,0.800000,text 3,\n\
             id0,not a paraphrase,paraphrase,0.600000,text 0,\n"
        );
        assert_eq!(
            labels,
            "label,rows,precision,recall,f1\n\
             not a paraphrase,2,0.000000,0.000000,0.000000\n\
             paraphrase,2,0.333333,0.500000,0.400000\n"
        );
    }

    #[test]
    fn scores_are_wrong_by_a_distance() {
        let said: [(f64, &[f64]); 3] = [(2.0, &[]), (5.0, &[]), (3.0, &[])];
        let (labels, mistakes) = written(TaskId::STS, &[2.5, 1.0, 3.0], &said);
        assert_eq!(labels, "");
        assert_eq!(
            mistakes,
            "id,gold,prediction,distance,sentence1,sentence2\n\
             id1,1,5,4.000000,text 1,\nid0,2.5,2,0.500000,text 0,\n"
        );
    }
}
