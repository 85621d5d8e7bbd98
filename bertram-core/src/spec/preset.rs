//! Tasks that are known by name: BERTram's three.

use super::{Inputs, LabelKind, Metric, TaskId};

/// A task that is known by its name, with the layouts of its files.
#[derive(Debug, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: TaskId,
    /// Name for people.
    pub title: &'static str,
    /// One sentence or two.
    pub inputs: Inputs,
    /// What a label is.
    pub label: LabelKind,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// The main score.
    pub metric: Metric,
    /// Its files in the CS224N course.
    pub course: CourseFiles,
    /// Its files in GLUE's layout.
    pub glue: GlueFiles,
}

/// A task's files in the layout of the CS224N course.
#[derive(Debug, PartialEq)]
pub struct CourseFiles {
    /// Stem of file names: `{stem}-train.csv`, `{stem}-dev.csv`, `{stem}-test-student.csv`.
    pub stem: &'static str,
    /// Column of the first sentence.
    pub text_a: &'static str,
    /// Column of the second sentence; unused for single sentences.
    pub text_b: &'static str,
    /// Column of the label.
    pub label: &'static str,
    /// Header of the prediction column in leaderboard files.
    pub prediction_column: &'static str,
}

/// A task's files in GLUE's layout.
#[derive(Debug, PartialEq)]
pub struct GlueFiles {
    /// Its folder.
    pub folder: &'static str,
    /// Column of the identifier.
    pub id: &'static str,
    /// Column of the first sentence.
    pub text_a: &'static str,
    /// Column of the second sentence; unused for single sentences.
    pub text_b: &'static str,
    /// Column of the label.
    pub label: &'static str,
}

impl Preset {
    /// The preset of this name.
    pub fn of(task: TaskId) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == task)
    }
}

static PRESETS: [Preset; 3] = [
    // SST-5 sentiment (Socher et al. 2013): one sentence, five classes from very negative to very positive.
    Preset {
        name: TaskId::SST,
        title: "SST-5 sentiment",
        inputs: Inputs::Single,
        label: LabelKind::Classes { classes: 5 },
        labels: &[
            "very negative",
            "negative",
            "neutral",
            "positive",
            "very positive",
        ],
        metric: Metric::Accuracy,
        course: CourseFiles {
            stem: "ids-sst",
            text_a: "sentence",
            text_b: "",
            label: "sentiment",
            prediction_column: "Predicted_Sentiment",
        },
        // SST-5 is not a GLUE task (SST-2 is, with other labels): its folder is ours.
        glue: GlueFiles {
            folder: "SST-5",
            id: "index",
            text_a: "sentence",
            text_b: "",
            label: "label",
        },
    },
    // Quora question pairs: do two questions ask the same?
    Preset {
        name: TaskId::PARA,
        title: "Quora paraphrase",
        inputs: Inputs::Pair,
        label: LabelKind::Binary,
        labels: &["not a paraphrase", "paraphrase"],
        metric: Metric::Accuracy,
        course: CourseFiles {
            stem: "quora",
            text_a: "sentence1",
            text_b: "sentence2",
            label: "is_duplicate",
            prediction_column: "Predicted_Is_Paraphrase",
        },
        glue: GlueFiles {
            folder: "QQP",
            id: "id",
            text_a: "question1",
            text_b: "question2",
            label: "is_duplicate",
        },
    },
    // STS benchmark (Cer et al. 2017): how similar are two sentences, from 0 to 5?
    Preset {
        name: TaskId::STS,
        title: "STS-B similarity",
        inputs: Inputs::Pair,
        label: LabelKind::Score { min: 0.0, max: 5.0 },
        labels: &["similarity"],
        metric: Metric::Pearson,
        course: CourseFiles {
            stem: "sts",
            text_a: "sentence1",
            text_b: "sentence2",
            label: "similarity",
            // The course's own spelling; its graders look for it.
            prediction_column: "Predicted_Similiary",
        },
        glue: GlueFiles {
            folder: "STS-B",
            id: "index",
            text_a: "sentence1",
            text_b: "sentence2",
            label: "score",
        },
    },
];
