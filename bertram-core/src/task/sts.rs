//! STS benchmark (Cer et al. 2017): how similar are two sentences, from 0 to 5?

use super::{Inputs, LabelKind, PrimaryMetric, TaskId, TaskSpec};

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: TaskId::Sts,
    name: "sts",
    title: "STS-B similarity",
    inputs: Inputs::Pair,
    label: LabelKind::Score { min: 0.0, max: 5.0 },
    primary: PrimaryMetric::Pearson,
    course_stem: "sts",
    course_text_a: "sentence1",
    course_text_b: "sentence2",
    course_label: "similarity",
    // The course's own spelling; its graders look for it.
    prediction_column: "Predicted_Similiary",
};
