use super::*;
use crate::corpus::DataFile;
use crate::device::DeviceName;
use crate::run_folder::Machine;
use bertram_core::task::{TaskId, TaskMap};
use std::path::PathBuf;

fn scores() -> SplitScores {
    let classification = |accuracy| TaskScores::Classification {
        accuracy,
        macro_f1: accuracy - 0.1,
        f1: None,
        mcc: None,
        majority: 0.3,
        rows: 30,
        metric: None,
        reference: None,
    };
    SplitScores::new(TaskMap::from([
        (TaskId::SST, classification(0.5)),
        (TaskId::PARA, classification(0.75)),
        (
            TaskId::STS,
            TaskScores::Regression {
                pearson: 0.625,
                spearman: 0.6,
                rows: 30,
                metric: None,
            },
        ),
    ]))
}

fn card(config: &str) -> String {
    let settings = Settings::from_text("test", config, &[]).expect("settings");
    let mut data = Vec::new();
    for (task, file) in [
        (TaskId::SST, "ids-sst"),
        (TaskId::PARA, "quora"),
        (TaskId::STS, "sts"),
    ] {
        for split in ["train", "dev"] {
            data.push(DataFile {
                task,
                split: split.into(),
                path: PathBuf::from(format!("/home/somebody/data/{file}-{split}.csv")),
                sha256: String::new(),
                rows: 60,
                skipped: 0,
            });
        }
    }
    let info = RunInfo {
        bertram: "0.1.0".into(),
        burn: "0.21.0".into(),
        commit: None,
        machine: Machine::default(),
        backend: "flex".into(),
        device: DeviceName::default(),
        seed: 11711,
        model: None,
        model_sha256: None,
        started: "2026-11-27T01:00:00Z".into(),
        command: vec!["/home/somebody/bertram-cli".into()],
        data,
        changed: Vec::new(),
    };
    let tasks: Vec<TaskConfig> = settings
        .tasks
        .iter()
        .map(|task| task.model_config())
        .collect();
    let tasks: Vec<&TaskConfig> = tasks.iter().collect();
    let text = model_card(&CardFacts {
        settings: &settings,
        info: &info,
        run: "tiny",
        config: &BertConfig {
            hidden_size: 32,
            num_hidden_layers: 2,
            ..BertConfig::default()
        },
        encode: settings.encode_settings(),
        tasks: &tasks,
        scores: &scores(),
        best_epoch: 2,
        last_weights: false,
        averaged: false,
        unchosen: None,
        made_of: None,
    });
    assert!(!text.contains("/home"), "{text}");
    text
}

#[test]
fn a_card_of_each_architecture() {
    insta::assert_snapshot!(
        "mean_with_concat_and_cosine",
        card(
            "[model]\npooling = \"mean\"\n[data]\nmax-length = 48\n[tasks.sst]\n[tasks.para]\nhead = \"concat\"\n[tasks.sts]\n"
        )
    );
    insta::assert_snapshot!(
        "cls_with_cross_encoders",
        card(
            "[model]\npath = \"/home/somebody/models/mini-lm\"\npooling = \"cls\"\n[data]\nmax-length = 64\n[tasks.sst]\n\
             [tasks.para]\nhead = \"cross-encoder\"\n[tasks.sts]\nhead = \"cross-encoder\"\nloss = \"bce\"\n"
        )
    );
    insta::assert_snapshot!(
        "pooler_without_preprocessing",
        card(
            "[model]\npath = \"google/bert_uncased_L-2_H-128_A-2\"\npooling = \"pooler\"\n[data]\npreprocess = \"none\"\n\
             [tasks.sst]\n[tasks.para]\n[tasks.sts]\nhead = \"cross-encoder\"\n"
        )
    );
}

/// From the sentence vectors on.
fn vectors_of(config: &str) -> String {
    let card = card(config);
    let (front, body) = card.split_once("## Sentence vectors").expect("a section");
    let front = front.lines().take(10).collect::<Vec<_>>().join("\n");
    let body = body.split_once("\n## Training").expect("a section").0;
    format!("{front}\n...\n## Sentence vectors{body}")
}

#[test]
fn poolings_that_sentence_transformers_has_and_has_not() {
    insta::assert_snapshot!(
        "several_poolings",
        vectors_of("[model]\npooling = \"mean+max+cls\"\n[tasks.sts]\n")
    );
    insta::assert_snapshot!(
        "pooler_beside_mean",
        vectors_of("[model]\npooling = \"pooler+mean\"\n[tasks.sst]\n")
    );
    insta::assert_snapshot!(
        "attention_over_a_mix_of_layers",
        vectors_of(
            "[model]\npooling = \"attention+pooler\"\nlayer-mix = true\n[tasks.sst]\n[tasks.sts]\n"
        )
    );
}

#[test]
fn signs_in_labels_and_titles_do_not_break_the_card_and_files_are_no_data_sets_of_the_hub() {
    let text = card(
        "[tasks.pipe]\ntitle = \"a | b\"\ninputs = \"single\"\nlabels = [\"a|b\", \"<script>\"]\ntrain = \"train.csv\"\n",
    );
    assert!(
        text.contains("| pipe (a \\| b) | a\\|b, &lt;script> |"),
        "{text}"
    );
    assert!(text.contains("### pipe (a \\| b)"), "{text}");
    assert!(!text.contains("datasets:"), "{text}");
}
