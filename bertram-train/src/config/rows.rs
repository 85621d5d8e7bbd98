//! What becomes of training rows before they make batches: `augment` and `label-shares` of a task.

use bertram_core::head::HeadKind;
use bertram_core::loss::LossKind;
use bertram_core::task::{Inputs, LabelKind, TaskId, TaskSpec};
use serde::{Deserialize, Serialize, Serializer};

use super::source::Source;

/// Keys of training rows: without training they mean nothing.
pub(super) const KEYS: [&str; 3] = ["augment", "label-shares", "batch-size"];

/// `tasks.X.augment`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Rows stay what they are.
    #[default]
    None,
    /// The sentences of a training pair change places with probability 1/2, drawn from seed, task, epoch and row alone.
    Swap,
}

/// `tasks.X.label-shares`.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelShares {
    /// As many rows of each label as the rarest has (of those that have any).
    Balanced,
    /// A share above 0 and up to 1 of each label's rows, in the order of the labels.
    Each(Vec<f64>),
}

impl Augment {
    /// Whether rows stay what they are.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl LabelShares {
    /// The name of [`LabelShares::Balanced`].
    pub(super) const BALANCED: &str = "balanced";

    /// Rows of each label that an epoch takes of so many; of a share of a row a whole one. Never more than there are.
    pub fn rows(&self, counts: &[usize]) -> Vec<usize> {
        match self {
            LabelShares::Balanced => {
                let rarest = counts.iter().copied().filter(|count| *count > 0).min();
                let rarest = rarest.unwrap_or(0);
                counts.iter().map(|count| rarest.min(*count)).collect()
            }
            LabelShares::Each(shares) => (counts.iter().enumerate())
                .map(|(label, count)| {
                    let share = shares.get(label).copied().unwrap_or(1.0);
                    // 0.1 of 30 rows are three, though the product is above it in floating point.
                    let rows = (share * *count as f64 - 1e-9).ceil().max(0.0);
                    (rows as usize).min(*count)
                })
                .collect(),
        }
    }
}

impl Serialize for LabelShares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            LabelShares::Balanced => serializer.serialize_str(Self::BALANCED),
            LabelShares::Each(shares) => shares.serialize(serializer),
        }
    }
}

/// Whether a head and its loss are the same for both orders of a pair. (AnglE's imaginary part changes its sign.)
pub(super) fn is_symmetric(head: HeadKind, loss: LossKind) -> bool {
    head == HeadKind::Cosine && loss != LossKind::Angle
}

/// `tasks.X.augment`.
pub(super) fn augment(
    s: &mut Source,
    task: TaskId,
    spec: &TaskSpec,
    head: HeadKind,
    loss: LossKind,
) -> Augment {
    let key = format!("tasks.{task}.augment");
    let augment = s.choice(&key).unwrap_or_default();
    match augment {
        Augment::Swap if spec.inputs == Inputs::Single => s.problem(
            &key,
            "\"swap\" is of pairs, and the task has single sentences",
        ),
        Augment::Swap if is_symmetric(head, loss) => {
            let place = s.place_of(&key).cloned();
            let place = place.map_or(String::new(), |place| {
                format!(" ({})", s.show_place(&place))
            });
            s.warn(format!(
                "{key}{place} has no effect: a cosine is the same for both orders of a pair; heads \"cross-encoder\" and \"concat\" learn from it"
            ));
        }
        Augment::Swap | Augment::None => {}
    }
    augment
}

/// `tasks.X.label-shares`.
pub(super) fn label_shares(s: &mut Source, task: TaskId, spec: &TaskSpec) -> Option<LabelShares> {
    let key = format!("tasks.{task}.label-shares");
    let shares = s.label_shares(&key)?;
    let labels = match spec.label {
        LabelKind::Binary => 2,
        LabelKind::Classes { .. } => spec.labels.len(),
        LabelKind::MultiLabel { .. } | LabelKind::Score { .. } => {
            s.problem(
                &key,
                "means something only where a row has one label of several",
            );
            return Some(shares);
        }
    };
    if let LabelShares::Each(each) = &shares {
        if labels == 0 {
            s.problem(
                &key,
                "lists shares of labels that labels = \"auto\" does not list: list the labels, or say \"balanced\"",
            );
        } else if each.len() != labels {
            s.problem(
                &key,
                format!(
                    "lists {} shares for {labels} labels: there must be one for each, in their order",
                    each.len()
                ),
            );
        }
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_whole_rows() {
        let each = |shares: &[f64]| LabelShares::Each(shares.to_vec());
        assert_eq!(each(&[0.1, 1.0, 0.5]).rows(&[30, 7, 3]), [3, 7, 2]);
        assert_eq!(each(&[1e-6, 0.3]).rows(&[5, 10]), [1, 3]);
        assert_eq!(LabelShares::Balanced.rows(&[9, 0, 4, 5]), [4, 0, 4, 4]);
        assert_eq!(LabelShares::Balanced.rows(&[0, 0]), [0, 0]);
    }

    proptest! {
        #[test]
        fn never_more_rows_than_there_are(
            labels in prop::collection::vec((0usize..1_000_000, 1e-6..=1.0f64), 1..6),
        ) {
            let counts: Vec<usize> = labels.iter().map(|(count, _)| *count).collect();
            let shares: Vec<f64> = labels.iter().map(|(_, share)| *share).collect();
            for (label, rows) in LabelShares::Each(shares.clone()).rows(&counts).into_iter().enumerate() {
                let exact = shares[label] * counts[label] as f64;
                prop_assert!(rows <= counts[label] && (rows as f64 - exact).abs() < 1.0 + 1e-6);
                prop_assert_eq!(rows == 0, counts[label] == 0 || exact <= 1e-9);
            }
            let balanced = LabelShares::Balanced.rows(&counts);
            let kept: Vec<usize> = balanced.into_iter().filter(|rows| *rows > 0).collect();
            prop_assert!(kept.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}
