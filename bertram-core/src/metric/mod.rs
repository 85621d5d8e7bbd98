//! Scores over a whole split, in f64, on plain numbers.

mod accuracy;
mod correlation;
mod multi_label;
mod scores;

pub use accuracy::{accuracy, f1, macro_f1, majority, majority_share, matthews};
pub use correlation::{pearson, spearman};
pub use multi_label::{LabelCounts, exact_match, label_counts, macro_f1_of_labels, micro_f1};
pub use scores::{SplitScores, TaskScores};
