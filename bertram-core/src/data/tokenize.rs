//! A data set's sentences as token ids.

use super::Dataset;
use crate::spec::TaskId;
use crate::tokenizer::{BertTokenizer, TokenizerError};

/// A data set's sentences as token ids, made once.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizedDataset {
    /// Name of the task that this is of.
    pub task: TaskId,
    /// Identifier of each row.
    pub ids: Vec<String>,
    /// First (or only) sentence of each row, without special tokens.
    pub a: Vec<Vec<u32>>,
    /// Second sentence of each row; empty for single sentences.
    pub b: Vec<Vec<u32>>,
    /// The numbers of the rows' labels one after the other, each row's
    /// [`LabelKind::width`](crate::spec::LabelKind::width); where every row has one.
    pub labels: Option<Vec<f32>>,
    /// How much each row counts in the losses, above 0; `None` where all weigh 1.
    pub weights: Option<Vec<f32>>,
}

/// Rows after which progress is told.
const TOLD_AFTER: usize = 4096;

impl TokenizedDataset {
    /// Tokenises a data set.
    pub fn new(dataset: &Dataset, tokenizer: &BertTokenizer) -> Result<Self, TokenizerError> {
        Self::with_progress(dataset, tokenizer, |_| {})
    }

    /// As [`new`](Self::new). `progress` is told now and then how many rows are done.
    pub fn with_progress(
        dataset: &Dataset,
        tokenizer: &BertTokenizer,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, TokenizerError> {
        let examples = &dataset.examples;
        let (mut a, mut b) = (Vec::with_capacity(examples.len()), Vec::new());
        for rows in examples.chunks(TOLD_AFTER) {
            let texts: Vec<&str> = rows.iter().map(|row| row.text_a.as_str()).collect();
            a.extend(tokenizer.encode_all(&texts)?);
            let texts = rows.iter().filter_map(|row| row.text_b.as_deref());
            b.extend(tokenizer.encode_all(&texts.collect::<Vec<&str>>())?);
            progress(a.len());
        }
        Ok(Self {
            task: dataset.task,
            ids: examples.iter().map(|row| row.id.clone()).collect(),
            a,
            b,
            labels: dataset.labels(),
            weights: dataset.weights(),
        })
    }

    /// The rows of the given numbers, in their order.
    ///
    /// # Panics
    /// If a number is not below [`len`](Self::len).
    pub fn select(&self, rows: &[usize]) -> Self {
        let sentences = |all: &[Vec<u32>]| rows.iter().map(|&row| all[row].clone()).collect();
        Self {
            task: self.task,
            ids: rows.iter().map(|&row| self.ids[row].clone()).collect(),
            a: sentences(&self.a),
            b: if self.b.is_empty() {
                Vec::new()
            } else {
                sentences(&self.b)
            },
            labels: self.labels.as_ref().map(|_| self.labels_of(rows)),
            weights: self.weights.as_ref().map(|_| self.weights_of(rows)),
        }
    }

    /// The weights of some rows; none where all rows weigh 1.
    ///
    /// # Panics
    /// If a number of a row is not below [`len`](Self::len).
    pub fn weights_of(&self, rows: &[usize]) -> Vec<f32> {
        let weights = self.weights.iter();
        weights
            .flat_map(|weights| rows.iter().map(|&row| weights[row]))
            .collect()
    }

    /// The numbers of some rows' labels; none where rows lack labels.
    ///
    /// # Panics
    /// If a number of a row is not below [`len`](Self::len).
    pub fn labels_of(&self, rows: &[usize]) -> Vec<f32> {
        let Some(labels) = &self.labels else {
            return Vec::new();
        };
        let width = labels.len() / self.len().max(1);
        rows.iter()
            .flat_map(|&row| &labels[row * width..][..width])
            .copied()
            .collect()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.a.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.a.is_empty()
    }
}
