//! `label-shares`: how many rows of each label an epoch takes.

use bertram_core::data::{Dataset, sample_rows};
use bertram_core::seed::mix;
use bertram_core::task::TaskId;

use crate::config::{LabelShares, TaskSettings};

/// As many rows of each label as the shares say, drawn label by label and in the order of the rows.
pub(crate) fn shared_rows(shares: &LabelShares, labels: &[f32], seed: u64) -> Vec<usize> {
    let mut of_labels: Vec<Vec<usize>> = Vec::new();
    for (row, label) in labels.iter().enumerate() {
        // Whoever read the rows has held their labels against the task.
        let label = *label as usize;
        if of_labels.len() <= label {
            of_labels.resize(label + 1, Vec::new());
        }
        of_labels[label].push(row);
    }
    let counts: Vec<usize> = of_labels.iter().map(Vec::len).collect();
    let kept = shares.rows(&counts);
    let drawn = of_labels.iter().zip(kept).enumerate();
    let mut rows: Vec<usize> = drawn
        .flat_map(|(label, (rows, kept))| {
            let places = sample_rows(rows.len(), kept, mix(seed, label as u64)).into_iter();
            places.map(|place| rows[place])
        })
        .collect();
    rows.sort_unstable();
    rows
}

/// Rows of each label, in the order of the labels; of rows that have one label of several.
pub(crate) fn label_counts(train: &Dataset, labels: usize) -> Vec<usize> {
    let mut counts = vec![0; labels];
    for number in train.examples.iter().filter_map(|example| example.number()) {
        if let Some(count) = counts.get_mut(number as usize) {
            *count += 1;
        }
    }
    counts
}

/// What of a task's training rows `label-shares` leaves for an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedRows {
    task: TaskId,
    /// Name, rows of an epoch and rows in all of each label.
    pub(crate) labels: Vec<(String, usize, usize)>,
}

impl SharedRows {
    /// `None` where the task's settings leave all of them.
    pub(crate) fn of(task: &TaskSettings, train: &Dataset) -> Option<Self> {
        let shares = task.label_shares.as_ref().filter(|_| task.train_on)?;
        let counts = label_counts(train, task.spec.labels.len());
        let kept = shares.rows(&counts).into_iter().zip(counts);
        let names = task.spec.labels.iter().cloned();
        Some(Self {
            task: task.task,
            labels: names
                .zip(kept)
                .map(|(name, (kept, count))| (name, kept, count))
                .collect(),
        })
    }

    /// Rows of an epoch, before its limit.
    pub(crate) fn rows(&self) -> usize {
        self.labels.iter().map(|(_, kept, _)| kept).sum()
    }
}

/// Labels that a message names.
const NAMED_LABELS: usize = 10;

impl std::fmt::Display for SharedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: usize = self.labels.iter().map(|(_, _, count)| count).sum();
        let named = self.labels.iter().take(NAMED_LABELS);
        let mut named: Vec<String> = named
            .map(|(name, kept, count)| format!("{name} {kept} of {count}"))
            .collect();
        if self.labels.len() > NAMED_LABELS {
            named.push(format!(
                "and {} more labels",
                self.labels.len() - NAMED_LABELS
            ));
        }
        write!(
            f,
            "{}: label-shares leave {} of {all} training rows for an epoch: {}",
            self.task,
            self.rows(),
            named.join(", ")
        )
    }
}
