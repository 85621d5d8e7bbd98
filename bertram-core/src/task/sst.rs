//! SST-5 sentiment (Socher et al. 2013): one sentence, five classes from very negative to very positive.

use super::{Inputs, LabelKind, PrimaryMetric, TaskId, TaskSpec};

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: TaskId::Sst,
    name: "sst",
    title: "SST-5 sentiment",
    inputs: Inputs::Single,
    label: LabelKind::Classes { classes: 5 },
    primary: PrimaryMetric::Accuracy,
    course_stem: "ids-sst",
    course_text_a: "sentence",
    course_text_b: "",
    course_label: "sentiment",
    prediction_column: "Predicted_Sentiment",
};
