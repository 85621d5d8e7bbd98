//! What several runs say of the same rows of a task, and how that scores.

use bertram_core::metric::{
    accuracy, exact_match, f1, label_counts, macro_f1, macro_f1_of_labels, matthews, micro_f1,
    pearson, spearman,
};
use bertram_core::task::{LabelKind, Metric, are_there};

/// The numbers of a row's label or prediction, as [`TaskSpec::labels_of_text`](bertram_core::task::TaskSpec::labels_of_text)
/// has them.
pub(super) type Numbers = Vec<f64>;

/// Labels of a task's rows, and what each run says of them.
pub(super) struct Answers {
    metric: Metric,
    table: Table,
}

enum Table {
    Classes(Columns<usize>),
    Sets(Columns<Vec<bool>>),
    Scores(Columns<f64>),
}

struct Columns<L> {
    gold: Vec<L>,
    /// By run.
    said: Vec<Vec<L>>,
}

impl<L> Columns<L> {
    fn new(gold: &[Numbers], said: &[Vec<Numbers>], read: impl Fn(&Numbers) -> L) -> Self {
        let column = |rows: &[Numbers]| rows.iter().map(&read).collect();
        Self {
            gold: column(gold),
            said: said.iter().map(|rows| column(rows)).collect(),
        }
    }

    /// Predictions and labels of rows, each by a run.
    fn pick<'a, T>(
        &'a self,
        rows: impl Iterator<Item = (usize, usize)>,
        value: impl Fn(&'a L) -> T,
    ) -> (Vec<T>, Vec<T>) {
        rows.map(|(run, row)| (value(&self.said[run][row]), value(&self.gold[row])))
            .unzip()
    }
}

impl Answers {
    /// `gold` has a row's numbers each, `said` a list of these for each run.
    pub(super) fn new(
        label: LabelKind,
        metric: Metric,
        gold: &[Numbers],
        said: &[Vec<Numbers>],
    ) -> Self {
        let first = |numbers: &Numbers| numbers.first().copied().unwrap_or_default();
        Self {
            metric,
            table: match label {
                LabelKind::Classes { .. } | LabelKind::Binary => {
                    Table::Classes(Columns::new(gold, said, |numbers| first(numbers) as usize))
                }
                LabelKind::MultiLabel { .. } => {
                    Table::Sets(Columns::new(gold, said, |numbers| are_there(numbers)))
                }
                LabelKind::Score { .. } => Table::Scores(Columns::new(gold, said, first)),
            },
        }
    }

    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    pub(super) fn rows(&self) -> usize {
        match &self.table {
            Table::Classes(columns) => columns.gold.len(),
            Table::Sets(columns) => columns.gold.len(),
            Table::Scores(columns) => columns.gold.len(),
        }
    }

    /// The main score over rows, in which (run, row) says whose answer to which row counts. A row may come more than once.
    pub(super) fn score(&self, rows: impl Iterator<Item = (usize, usize)>) -> f64 {
        match &self.table {
            Table::Classes(columns) => {
                let (said, gold) = columns.pick(rows, |class| *class);
                match self.metric {
                    Metric::MacroF1 => macro_f1(&said, &gold),
                    Metric::F1 => f1(&said, &gold),
                    Metric::Mcc => matthews(&said, &gold),
                    _ => accuracy(&said, &gold),
                }
            }
            Table::Sets(columns) => {
                let (said, gold) = columns.pick(rows, Vec::as_slice);
                match self.metric {
                    Metric::Accuracy => exact_match(&said, &gold),
                    Metric::MacroF1 => macro_f1_of_labels(&label_counts(&said, &gold)),
                    _ => micro_f1(&label_counts(&said, &gold)),
                }
            }
            Table::Scores(columns) => {
                let (said, gold) = columns.pick(rows, |score| *score);
                match self.metric {
                    Metric::Spearman => spearman(&said, &gold),
                    _ => pearson(&said, &gold),
                }
            }
        }
    }

    /// Of two runs, how many rows the first alone has right, and how many the second. `None` where the score is no share of
    /// right rows.
    pub(super) fn discordant(&self, first: usize, second: usize) -> Option<(u64, u64)> {
        fn count<L: PartialEq>(columns: &Columns<L>, one: usize, other: usize) -> u64 {
            let right = |run: usize, row: usize| columns.said[run][row] == columns.gold[row];
            let rows = 0..columns.gold.len();
            rows.filter(|row| right(one, *row) && !right(other, *row))
                .count() as u64
        }
        match (&self.table, self.metric) {
            (Table::Classes(columns), Metric::Accuracy) => {
                Some((count(columns, first, second), count(columns, second, first)))
            }
            (Table::Sets(columns), Metric::Accuracy) => {
                Some((count(columns, first, second), count(columns, second, first)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(answers: &Answers, run: usize) -> f64 {
        answers.score((0..answers.rows()).map(|row| (run, row)))
    }

    #[test]
    fn each_kind_of_label_has_its_scores() {
        let gold: Vec<Numbers> = [1.0, 0.0, 1.0, 1.0].map(|label| vec![label]).into();
        let said: Vec<Numbers> = [1.0, 0.0, 0.0, 1.0].map(|label| vec![label]).into();
        let classes = |metric| {
            let said = [said.clone(), gold.clone()];
            Answers::new(LabelKind::Binary, metric, &gold, &said)
        };
        for (metric, expected) in [
            (Metric::Accuracy, 0.75),
            (Metric::F1, 0.8),
            (Metric::MacroF1, (0.8 + 2.0 / 3.0) / 2.0),
        ] {
            assert!((all(&classes(metric), 0) - expected).abs() < 1e-12);
            assert_eq!(all(&classes(metric), 1), 1.0);
        }
        assert_eq!(classes(Metric::Accuracy).discordant(0, 1), Some((0, 1)));
        assert_eq!(classes(Metric::Mcc).discordant(0, 1), None);
        // The row that is wrong, twice; and the runs by turns.
        let twice = classes(Metric::Accuracy).score([(0, 2), (0, 2), (0, 0)].into_iter());
        assert!((twice - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(
            classes(Metric::Accuracy).score([(1, 2), (0, 0)].into_iter()),
            1.0
        );

        let kind = LabelKind::MultiLabel { classes: 2 };
        let gold = [vec![1.0, 0.0], vec![1.0, 1.0]];
        let said = [vec![vec![1.0, 0.0], vec![1.0, 0.0]]];
        let sets = |metric| all(&Answers::new(kind, metric, &gold, &said), 0);
        assert_eq!(sets(Metric::Accuracy), 0.5);
        assert!((sets(Metric::MicroF1) - 0.8).abs() < 1e-12);
        assert_eq!(sets(Metric::MacroF1), 0.5);

        let kind = LabelKind::Score { min: 0.0, max: 5.0 };
        let gold = [0.0, 1.0, 5.0].map(|score| vec![score]);
        let said = [[0.0, 0.5, 4.0].map(|score| vec![score]).into()];
        let scores = |metric| all(&Answers::new(kind, metric, &gold, &said), 0);
        assert!((scores(Metric::Spearman) - 1.0).abs() < 1e-12);
        assert!(scores(Metric::Pearson) < 1.0 - 1e-6);
    }
}
