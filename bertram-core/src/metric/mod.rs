//! Scores over a whole split, in f64, on plain numbers.

mod accuracy;
mod correlation;
mod scores;

pub use accuracy::{accuracy, f1, macro_f1, majority, majority_share, matthews};
pub use correlation::{pearson, spearman};
pub use scores::{SplitScores, TaskScores};
