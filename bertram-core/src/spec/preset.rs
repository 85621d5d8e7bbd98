//! Tasks that are known by name: BERTram's three, and GLUE's (Wang et al. 2018, <https://arxiv.org/abs/1804.07461>).

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
    /// Whether files have the labels by their names, and not by their numbers.
    pub named: bool,
    /// The names in the order of their numbers in files of `glue` on the Hugging Face hub, where that is not the order of
    /// `labels`. (GLUE's own files of these tasks have names.)
    pub hub_order: Option<&'static [&'static str]>,
    /// Its files in the CS224N course, where it is one of the course's.
    pub course: Option<CourseFiles>,
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
    /// Stem of the dev file.
    pub dev: &'static str,
    /// Stem of the test file.
    pub test: &'static str,
    /// The columns of train and dev files that have no header.
    pub headless: Option<&'static [&'static str]>,
    /// Column of the identifier.
    pub id: &'static str,
    /// Column of the first sentence.
    pub text_a: &'static str,
    /// Column of the second sentence; unused for single sentences.
    pub text_b: &'static str,
    /// Column of the label.
    pub label: &'static str,
    /// Name of the prediction file that GLUE's server takes, where the task is GLUE's.
    pub submission: Option<&'static str>,
    /// Further dev and test files, of other domains, that are scored and predicted apart.
    pub second: Option<SecondFiles>,
}

/// Dev and test files beside a task's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecondFiles {
    /// What they are called.
    pub name: &'static str,
    /// Stem of the dev file.
    pub dev: &'static str,
    /// Stem of the test file.
    pub test: &'static str,
    /// Name of the prediction file that GLUE's server takes.
    pub submission: &'static str,
}

impl GlueFiles {
    /// Files with a header, of the names that most tasks have.
    const fn new(
        folder: &'static str,
        text_a: &'static str,
        text_b: &'static str,
        label: &'static str,
    ) -> Self {
        Self {
            folder,
            dev: "dev",
            test: "test",
            headless: None,
            id: "index",
            text_a,
            text_b,
            label,
            submission: None,
            second: None,
        }
    }

    /// As a task that GLUE's server scores.
    const fn submitted(self, submission: &'static str) -> Self {
        Self {
            submission: Some(submission),
            ..self
        }
    }
}

impl Preset {
    /// The names of all presets.
    pub fn names() -> impl Iterator<Item = TaskId> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// The preset of this name.
    pub fn of(task: TaskId) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == task)
    }

    /// The preset of this name, if a task with these inputs and labels is that task: one with others has other files and
    /// other rows, whatever it is called.
    pub fn of_kind(task: TaskId, inputs: Inputs, label: LabelKind) -> Option<&'static Preset> {
        Self::of(task).filter(|preset| preset.inputs == inputs && preset.label == label)
    }
}

static PRESETS: [Preset; 12] = [
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
        named: false,
        hub_order: None,
        course: Some(CourseFiles {
            stem: "ids-sst",
            text_a: "sentence",
            text_b: "",
            label: "sentiment",
            prediction_column: "Predicted_Sentiment",
        }),
        // SST-5 is not a GLUE task (SST-2 is, with other labels): its folder is ours.
        glue: GlueFiles::new("SST-5", "sentence", "", "label"),
    },
    // Quora question pairs: do two questions ask the same?
    Preset {
        name: TaskId::PARA,
        title: "Quora paraphrase",
        inputs: Inputs::Pair,
        label: LabelKind::Binary,
        labels: &["not a paraphrase", "paraphrase"],
        metric: Metric::Accuracy,
        named: false,
        hub_order: None,
        course: Some(CourseFiles {
            stem: "quora",
            text_a: "sentence1",
            text_b: "sentence2",
            label: "is_duplicate",
            prediction_column: "Predicted_Is_Paraphrase",
        }),
        glue: GlueFiles {
            id: "id",
            ..GlueFiles::new("QQP", "question1", "question2", "is_duplicate")
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
        named: false,
        hub_order: None,
        course: Some(CourseFiles {
            stem: "sts",
            text_a: "sentence1",
            text_b: "sentence2",
            label: "similarity",
            // The course's own spelling; its graders look for it.
            prediction_column: "Predicted_Similiary",
        }),
        glue: GlueFiles::new("STS-B", "sentence1", "sentence2", "score"),
    },
    Preset {
        // The files have no header, but for that of the test rows.
        glue: GlueFiles {
            headless: Some(&["source", "label", "star", "sentence"]),
            ..GlueFiles::new("CoLA", "sentence", "", "label").submitted("CoLA")
        },
        ..glue(
            "cola",
            "CoLA acceptability",
            Inputs::Single,
            Metric::Mcc,
            &["unacceptable", "acceptable"],
        )
    },
    Preset {
        glue: GlueFiles::new("SST-2", "sentence", "", "label").submitted("SST-2"),
        ..glue(
            "sst2",
            "SST-2 sentiment",
            Inputs::Single,
            Metric::Accuracy,
            &["negative", "positive"],
        )
    },
    Preset {
        glue: GlueFiles::new("MRPC", "#1 String", "#2 String", "Quality").submitted("MRPC"),
        ..glue(
            "mrpc",
            "MRPC paraphrase",
            Inputs::Pair,
            Metric::F1,
            &["not equivalent", "equivalent"],
        )
    },
    Preset {
        glue: GlueFiles {
            id: "id",
            ..GlueFiles::new("QQP", "question1", "question2", "is_duplicate").submitted("QQP")
        },
        ..glue(
            "qqp",
            "QQP paraphrase",
            Inputs::Pair,
            Metric::F1,
            &["not a duplicate", "duplicate"],
        )
    },
    Preset {
        label: LabelKind::Score { min: 0.0, max: 5.0 },
        glue: GlueFiles::new("STS-B", "sentence1", "sentence2", "score").submitted("STS-B"),
        ..glue(
            "stsb",
            "STS-B similarity",
            Inputs::Pair,
            Metric::Pearson,
            &["similarity"],
        )
    },
    Preset {
        label: LabelKind::Classes { classes: 3 },
        named: true,
        glue: GlueFiles {
            dev: "dev_matched",
            test: "test_matched",
            second: Some(SecondFiles {
                name: "mismatched",
                dev: "dev_mismatched",
                test: "test_mismatched",
                submission: "MNLI-mm",
            }),
            ..GlueFiles::new("MNLI", "sentence1", "sentence2", "gold_label").submitted("MNLI-m")
        },
        ..glue(
            "mnli",
            "MNLI inference",
            Inputs::Pair,
            Metric::Accuracy,
            &["entailment", "neutral", "contradiction"],
        )
    },
    Preset {
        named: true,
        hub_order: Some(&["entailment", "not_entailment"]),
        glue: GlueFiles::new("QNLI", "question", "sentence", "label").submitted("QNLI"),
        ..glue(
            "qnli",
            "QNLI inference",
            Inputs::Pair,
            Metric::Accuracy,
            &["not_entailment", "entailment"],
        )
    },
    Preset {
        named: true,
        hub_order: Some(&["entailment", "not_entailment"]),
        glue: GlueFiles::new("RTE", "sentence1", "sentence2", "label").submitted("RTE"),
        ..glue(
            "rte",
            "RTE inference",
            Inputs::Pair,
            Metric::Accuracy,
            &["not_entailment", "entailment"],
        )
    },
    Preset {
        glue: GlueFiles::new("WNLI", "sentence1", "sentence2", "label").submitted("WNLI"),
        ..glue(
            "wnli",
            "WNLI inference",
            Inputs::Pair,
            Metric::Accuracy,
            &["not_entailment", "entailment"],
        )
    },
];

/// A task of GLUE with yes-or-no labels, and no files yet.
const fn glue(
    name: &'static str,
    title: &'static str,
    inputs: Inputs,
    metric: Metric,
    labels: &'static [&'static str],
) -> Preset {
    Preset {
        name: TaskId::known(name),
        title,
        inputs,
        label: LabelKind::Binary,
        labels,
        metric,
        named: false,
        hub_order: None,
        course: None,
        glue: GlueFiles::new("", "", "", ""),
    }
}
