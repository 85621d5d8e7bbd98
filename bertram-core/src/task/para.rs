//! Quora question pairs: do two questions ask the same?

use super::{Inputs, LabelKind, PrimaryMetric, TaskId, TaskSpec};

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: TaskId::Para,
    name: "para",
    title: "Quora paraphrase",
    inputs: Inputs::Pair,
    label: LabelKind::Binary,
    primary: PrimaryMetric::Accuracy,
    course_stem: "quora",
    course_text_a: "sentence1",
    course_text_b: "sentence2",
    course_label: "is_duplicate",
    prediction_column: "Predicted_Is_Paraphrase",
};
