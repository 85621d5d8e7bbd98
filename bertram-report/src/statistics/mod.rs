//! Whether a difference between scores is more than chance.
//!
//! - Two systems on the same rows: [`mcnemar`] where a row is right or wrong, and [`Resampling::randomisation`] for any score
//!   of a whole split, such as F1 or a correlation.
//! - Systems that are trained from several seeds: [`paired_t`] and [`welch`].
//! - How large the difference is: [`Resampling::bootstrap`], over rows, over seeds, or over both.
//! - Several tests at once: [`holm`].
//!
//! Nothing here knows of runs, tasks or metrics: a statistic is a function of the units that were drawn.
//!
//! # Sources
//! - Q. McNemar, *Note on the sampling error of the difference between correlated proportions or percentages*,
//!   Psychometrika 12, 1947.
//! - P. Koehn, *Statistical Significance Tests for Machine Translation Evaluation*, EMNLP 2004: the paired bootstrap.
//! - E. W. Noreen, *Computer-Intensive Methods for Testing Hypotheses*, 1989: approximate randomisation.
//! - A. B. Owen, *The pigeonhole bootstrap*, Annals of Applied Statistics 1, 2007: rows and columns of a crossed table drawn
//!   apart from each other.
//! - B. L. Welch, *The generalization of "Student's" problem when several different population variances are involved*,
//!   Biometrika 34, 1947.
//! - S. Holm, *A simple sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 6, 1979.

mod holm;
mod importance;
mod mcnemar;
mod resample;
mod spread;
mod t_test;

pub use holm::holm;
pub use importance::{correlation_ratio, squared_rank_correlation};
pub use mcnemar::mcnemar;
pub(crate) use resample::percentiles;
pub use resample::{Interval, Resampling, Units};
pub use spread::Statistic;
pub use t_test::{paired_t, welch};
