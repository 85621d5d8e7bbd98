//! Reports: finished run folders in, one page, a page for each, one Markdown text or one CSV file out.
//!
//! [`Report::read`] finds and reads runs and gathers those that differ by seed only. [`Report::html`],
//! [`Report::markdown`] and [`Report::csv`] say the same in three ways: the first two are renderings of one
//! [`Document`](document::Document), the third is a long table for programs.
//!
//! [`experiment`] has what an ablation needs: the grid of its runs, and the statistics of what they scored. [`Comparison`] is
//! what two runs, or two sets of them, are apart on the rows that they share, by the tests of [`statistics`].
//!
//! Nothing is printed here, and nothing written: that is the caller's.

mod chart;
pub mod comparison;
mod csv;
pub mod document;
mod error;
pub mod experiment;
mod group;
mod html;
mod keys;
mod markdown;
mod number;
mod pages;
mod paired;
mod read;
mod report;
mod search;
mod section;
pub mod statistics;
#[cfg(test)]
mod tests;

pub use comparison::Comparison;
pub use error::ReportError;
pub use group::{Group, Measure};
pub use pages::INDEX;
pub use read::{
    DevLine, RunRecord, RunSet, TrainLine, Unfinished, Unreadable, find_runs, read_runs,
};
pub use report::Report;
pub use search::{Importance, ImportanceMeasure, Search};
pub use statistics::Statistic;

impl Report {
    /// One self-contained HTML page. `made` says when and by what it was made, for its foot.
    pub fn html(&self, made: &str) -> Result<String, ReportError> {
        html::page(&section::document(self)?, made)
    }

    /// A page for each run, one of all of them side by side, and an index: file names and their texts, the index last.
    pub fn pages(&self, made: &str) -> Result<Vec<(String, String)>, ReportError> {
        pages::pages(self, made)
    }

    /// The same as Markdown, with tables in place of pictures.
    pub fn markdown(&self) -> Result<String, ReportError> {
        Ok(markdown::text(&section::document(self)?))
    }

    /// The numbers as one long table; `docs/src/report.md` describes its columns.
    pub fn csv(&self) -> Result<String, ReportError> {
        csv::table(self)
    }
}
