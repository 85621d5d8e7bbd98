//! Keys of `[tasks.*]` that say what a loss is told beside logits and labels.

use bertram_core::loss::{LossKind, LossOptions};
use bertram_core::task::{LabelKind, TaskId, TaskSpec};
use serde::{Serialize, Serializer};

use super::check::{PROBABILITY, is_probability, not_negative, positive};
use super::source::Source;

/// Keys of this file: none has an effect on a task that is not trained.
pub(super) const KEYS: [&str; 5] = [
    "label-smoothing",
    "class-weights",
    "focal-gamma",
    "scale",
    "dropout-samples",
];

/// What a loss is told; each is absent where the config does not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LossSettings {
    /// Share of a label's weight that all classes have alike; 0 where absent.
    pub label_smoothing: Option<f64>,
    /// How much each class counts; 1 each where absent.
    pub class_weights: Option<ClassWeights>,
    /// Exponent of the focal loss; 2 where absent.
    pub focal_gamma: Option<f64>,
    /// Factor of the similarities in CoSENT and AnglE; 20 where absent.
    pub scale: Option<f64>,
    /// Masks of the head's dropout that the loss is the mean over; 1 where absent.
    pub dropout_samples: Option<usize>,
}

/// `tasks.X.class-weights`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// `rows / (classes * rows of the class)` of the training rows. They take the place of this when these are read
    /// ([`with_labels`](crate::corpus::with_labels)).
    InverseFrequency,
    /// One for each class, in the order of the labels.
    Each(Vec<f64>),
}

impl ClassWeights {
    /// The name of [`ClassWeights::InverseFrequency`].
    pub(super) const INVERSE_FREQUENCY: &str = "inverse-frequency";
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ClassWeights::InverseFrequency => serializer.serialize_str(Self::INVERSE_FREQUENCY),
            ClassWeights::Each(weights) => weights.serialize(serializer),
        }
    }
}

impl LossSettings {
    /// What is said of these; what is as by default is not.
    pub fn of(options: &LossOptions) -> Self {
        let default = LossOptions::default();
        let said = |number: f64, default: f64| Some(number).filter(|number| *number != default);
        let weights = Some(&options.class_weights).filter(|weights| !weights.is_empty());
        Self {
            label_smoothing: said(options.label_smoothing, default.label_smoothing),
            class_weights: weights.map(|weights| ClassWeights::Each(weights.clone())),
            focal_gamma: said(options.focal_gamma, default.focal_gamma),
            scale: said(options.scale, default.scale),
            dropout_samples: Some(options.dropout_samples)
                .filter(|samples| *samples != default.dropout_samples),
        }
    }

    /// With every default filled in. Weights that training rows have yet to give are 1 each.
    pub fn options(&self) -> LossOptions {
        let default = LossOptions::default();
        LossOptions {
            label_smoothing: self.label_smoothing.unwrap_or(default.label_smoothing),
            class_weights: match &self.class_weights {
                Some(ClassWeights::Each(weights)) => weights.clone(),
                Some(ClassWeights::InverseFrequency) | None => default.class_weights,
            },
            focal_gamma: self.focal_gamma.unwrap_or(default.focal_gamma),
            scale: self.scale.unwrap_or(default.scale),
            dropout_samples: self.dropout_samples.unwrap_or(default.dropout_samples),
        }
    }
}

/// The keys of a task with this loss.
pub(super) fn settings(
    s: &mut Source,
    task: TaskId,
    spec: &TaskSpec,
    loss: LossKind,
) -> LossSettings {
    let key = |name: &str| format!("tasks.{task}.{name}");
    // The order of `labels = "auto"` is the alphabet's or that of numbers: who means another must say it.
    if loss == LossKind::Ordinal && spec.labels.is_empty() {
        s.problem(
            &key("loss"),
            "ordinal goes by the order of the labels: list them in place of labels = \"auto\", the lowest first",
        );
    }
    let label_smoothing = s.number(&key("label-smoothing"), PROBABILITY, is_probability);
    if label_smoothing.is_some() && !loss.takes_label_smoothing(spec.label) {
        s.problem(
            &key("label-smoothing"),
            "means something only with loss = \"cross-entropy\" or \"bce\", and not for scores",
        );
    }
    let class_weights = s.class_weights(&key("class-weights"));
    if class_weights.is_some() && !loss.takes_class_weights(spec.label) {
        s.problem(
            &key("class-weights"),
            "means something only where a row has one label of several, with loss = \"cross-entropy\", \"bce\", \"focal\" or \"ordinal\"",
        );
    } else if let Some(ClassWeights::Each(weights)) = &class_weights {
        let labels = match spec.label {
            LabelKind::Binary => 2,
            _ => spec.labels.len(),
        };
        if labels == 0 {
            s.problem(
                &key("class-weights"),
                "lists weights of labels that labels = \"auto\" does not list: list the labels, or say \"inverse-frequency\"",
            );
        } else if weights.len() != labels {
            let names = spec.labels.iter().take(NAMED_LABELS);
            let names: Vec<&str> = names.map(String::as_str).collect();
            let more = if labels > NAMED_LABELS { ", ..." } else { "" };
            s.problem(
                &key("class-weights"),
                format!(
                    "lists {} weights for {labels} labels ({}{more}): there must be one for each, in this order",
                    weights.len(),
                    names.join(", ")
                ),
            );
        }
    }
    let focal_gamma = s.number(&key("focal-gamma"), "a number of at least 0", not_negative);
    if focal_gamma.is_some() && loss != LossKind::Focal {
        s.problem(
            &key("focal-gamma"),
            "means something only with loss = \"focal\"",
        );
    }
    let scale = s.number(&key("scale"), "a number above 0", positive);
    if scale.is_some() && !matches!(loss, LossKind::Cosent | LossKind::Angle) {
        s.problem(
            &key("scale"),
            "means something only with loss = \"cosent\" or \"angle\"",
        );
    }
    let most = LossOptions::MOST_SAMPLES as u64;
    let dropout_samples = s.count_up_to(&key("dropout-samples"), 1, most);
    LossSettings {
        label_smoothing,
        class_weights,
        focal_gamma,
        scale,
        dropout_samples: dropout_samples.map(|samples| samples as usize),
    }
}

/// Labels that a message names.
const NAMED_LABELS: usize = 10;
