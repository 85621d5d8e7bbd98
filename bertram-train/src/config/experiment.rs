//! `[experiment]`: what a run is called in reports, what the paper says of it, and its place in an ablation.
//!
//! Nothing here changes what is computed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::source::Source;

/// `[experiment]`; `None` in [`Settings`](super::Settings) where no key of it is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExperimentSettings {
    /// Short name, `e04`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is done, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The published scores of the same experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<PaperScores>,
    /// Level of each factor of an ablation, by the names of [`LEVEL_NAMES`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, String>,
}

/// `[experiment.paper]`: published scores, on the scale that Table 1 prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PaperScores {
    /// Accuracy on sentiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sst: Option<f64>,
    /// Accuracy on paraphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub para: Option<f64>,
    /// Pearson's r on similarity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts: Option<f64>,
    /// The overall score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overall: Option<f64>,
    /// The split they were measured on.
    pub split: PaperSplit,
}

/// The split of published scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaperSplit {
    /// The dev split.
    #[default]
    Dev,
    /// The test split.
    Test,
}

impl PaperSplit {
    /// Name of the split.
    pub fn name(self) -> &'static str {
        match self {
            PaperSplit::Dev => "dev",
            PaperSplit::Test => "test",
        }
    }
}

/// The factors that `[experiment.levels]` can name.
pub const LEVEL_NAMES: [&str; 9] = [
    "smart", "r-drop", "bregman", "pcgrad", "order", "loss", "schedule", "head", "pooling",
];

/// Reads `[experiment]`.
pub(super) fn experiment(s: &mut Source) -> Option<ExperimentSettings> {
    s.has_table("experiment");
    s.has_table("experiment.paper");
    s.has_table("experiment.levels");
    let settings = ExperimentSettings {
        id: s.text("experiment.id"),
        title: s.text("experiment.title"),
        paper: paper(s),
        levels: LEVEL_NAMES
            .into_iter()
            .filter_map(|name| {
                let level = s.text(&format!("experiment.levels.{name}"))?;
                Some((name.to_owned(), level))
            })
            .collect(),
    };
    (settings != ExperimentSettings::default()).then_some(settings)
}

fn paper(s: &mut Source) -> Option<PaperScores> {
    let score = |s: &mut Source, name: &str| {
        s.number(
            &format!("experiment.paper.{name}"),
            "a score from -1 to 1",
            |score| (-1.0..=1.0).contains(&score),
        )
    };
    let is_there = s.has_keys("experiment.paper");
    let paper = PaperScores {
        sst: score(s, "sst"),
        para: score(s, "para"),
        sts: score(s, "sts"),
        overall: score(s, "overall"),
        split: s.choice("experiment.paper.split").unwrap_or_default(),
    };
    is_there.then_some(paper)
}
