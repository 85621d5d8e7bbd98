//! What a loss is told beside logits and labels.

use serde::Serialize;

use super::LossKind;
use crate::spec::{LabelKind, TaskSpec};

/// What a loss is told beside logits and labels. Predictions do not depend on it: a file that says nothing of it has the
/// defaults, which are left out when it is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LossOptions {
    /// Share of a label's weight that all classes have alike, from 0 up to, but not including, 1; of `cross-entropy` and
    /// `bce`.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// Weight of each class, of a yes-or-no task `[no, yes]`; empty for 1 each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
    /// Exponent of `focal`.
    #[serde(skip_serializing_if = "is_default_gamma")]
    pub focal_gamma: f64,
    /// Factor of the similarities in `cosent` and `angle`: an inverse temperature.
    #[serde(skip_serializing_if = "is_default_scale")]
    pub scale: f64,
    /// Masks of the head's dropout under which the loss is computed and averaged
    /// ([`logits_and_loss`](crate::task::TaskHead::logits_and_loss)).
    #[serde(skip_serializing_if = "is_one")]
    pub dropout_samples: usize,
}

impl Default for LossOptions {
    fn default() -> Self {
        Self {
            label_smoothing: 0.0,
            class_weights: Vec::new(),
            focal_gamma: Self::FOCAL_GAMMA,
            scale: Self::SCALE,
            dropout_samples: 1,
        }
    }
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn is_default_gamma(gamma: &f64) -> bool {
    *gamma == LossOptions::FOCAL_GAMMA
}

fn is_default_scale(scale: &f64) -> bool {
    *scale == LossOptions::SCALE
}

impl LossOptions {
    /// What the authors of the focal loss found best.
    pub const FOCAL_GAMMA: f64 = 2.0;
    /// That of CoSENT's author and of sentence-transformers.
    pub const SCALE: f64 = 20.0;
    /// Most that a class may weigh, and the reciprocal of the least: f32 has room for sums of these.
    pub const MOST_WEIGHT: f64 = 1e9;

    /// Most masks that a loss may be a mean over.
    pub const MOST_SAMPLES: usize = 1000;

    /// Whether a class may have this weight.
    pub fn is_weight(weight: f64) -> bool {
        (1.0 / Self::MOST_WEIGHT..=Self::MOST_WEIGHT).contains(&weight)
    }

    /// The key of the first option that cannot be, and what it must be; `None` where all are fine.
    pub fn problem(&self, spec: &TaskSpec) -> Option<(&'static str, String)> {
        let positive = |number: f64| number > 0.0 && number.is_finite();
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Some(("label-smoothing", "it must be in [0, 1)".into()));
        }
        let classes = class_count(spec.label);
        let fits = self.class_weights.is_empty() || Some(self.class_weights.len()) == classes;
        if !fits || !self.class_weights.iter().all(|it| Self::is_weight(*it)) {
            let text = match classes {
                Some(classes) => format!("it must have {classes} numbers above 0"),
                None => "it is of tasks that have one label of several".into(),
            };
            return Some(("class-weights", text));
        }
        if !(positive(self.focal_gamma) || self.focal_gamma == 0.0) {
            return Some(("focal-gamma", "it must be at least 0".into()));
        }
        if !positive(self.scale) {
            return Some(("scale", "it must be above 0".into()));
        }
        let most = Self::MOST_SAMPLES;
        (!(1..=most).contains(&self.dropout_samples))
            .then(|| ("dropout-samples", format!("it must be from 1 to {most}")))
    }
}

/// Classes of which a row has one; `None` where there are no such.
fn class_count(label: LabelKind) -> Option<usize> {
    match label {
        LabelKind::Classes { classes } => Some(classes),
        LabelKind::Binary => Some(2),
        LabelKind::MultiLabel { .. } | LabelKind::Score { .. } => None,
    }
}

impl LossKind {
    /// Whether labels can be smoothed. (Scores are no labels: they would be drawn to the middle of their scale.)
    pub fn takes_label_smoothing(self, label: LabelKind) -> bool {
        matches!(self, LossKind::CrossEntropy | LossKind::Bce)
            && !matches!(label, LabelKind::Score { .. })
    }

    /// Whether classes can be weighted.
    pub fn takes_class_weights(self, label: LabelKind) -> bool {
        let loss = match self {
            LossKind::CrossEntropy | LossKind::Bce | LossKind::Focal | LossKind::Ordinal => true,
            LossKind::Mse | LossKind::CosineEmbedding | LossKind::Cosent | LossKind::Angle => false,
        };
        loss && class_count(label).is_some()
    }

    /// Whether it is a loss on the cosine of two sentence vectors.
    pub fn is_on_cosines(self) -> bool {
        matches!(
            self,
            LossKind::CosineEmbedding | LossKind::Cosent | LossKind::Angle
        )
    }
}
