//! The model card: `README.md` of an exported model, in the format of the Hugging Face hub.

mod snippet;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use bertram_core::data::Preprocess;
use bertram_core::encoder::{BertConfig, Pooling};
use bertram_core::metric::{SplitScores, TaskScores};
use bertram_core::task::{
    EncodeSettings, Inputs, LabelKind, Metric, TaskConfig, is_sequence_classifier,
};
use serde::Serialize;

use crate::average::AverageKind;
use crate::config::{ExportedWeights, Settings};
use crate::made_of::MadeOf;
use crate::run_folder::RunInfo;

/// What a card tells.
pub(super) struct CardFacts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) info: &'a RunInfo,
    /// Name of the run.
    pub(super) run: &'a str,
    pub(super) config: &'a BertConfig,
    pub(super) encode: EncodeSettings,
    pub(super) tasks: &'a [&'a TaskConfig],
    /// Scores on dev.
    pub(super) scores: &'a SplitScores,
    pub(super) best_epoch: usize,
    /// Whether these are the last weights of a run that exports an average of them.
    pub(super) last_weights: bool,
    /// Whether they are an average of the weights of a run.
    pub(super) averaged: bool,
    /// The overall score on dev rows that did not choose the weights, where others did.
    pub(super) unchosen: Option<f64>,
    pub(super) made_of: Option<&'a MadeOf>,
}

/// The library, and the hub's tag of its models.
const SENTENCE_TRANSFORMERS: &str = "sentence-transformers";

/// The card's text. No path of the machine that wrote it is in it.
pub(super) fn model_card(facts: &CardFacts<'_>) -> String {
    let mut card = String::new();
    // Writing to a string does not fail.
    let _ = front_matter(&mut card, facts);
    let _ = body(&mut card, facts);
    card
}

/// Text in double quotes, which YAML reads as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The name of a variant, as in configs.
fn name<T: Serialize>(variant: &T) -> String {
    serde_json::to_value(variant)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The pretrained model: its hub id, or the name of its folder; `None` for one with random weights.
fn base_model(facts: &CardFacts<'_>) -> Option<String> {
    let path = facts.settings.model.path.as_deref()?;
    let is_id = match &facts.info.model {
        // The hub's cache, in which a hub id was found.
        Some(folder) => folder
            .components()
            .any(|part| part.as_os_str().to_string_lossy().starts_with("models--")),
        None => !path.starts_with(['/', '.']),
    };
    if is_id {
        return Some(path.to_owned());
    }
    let folder = Path::new(path).components().next_back()?;
    Some(folder.as_os_str().to_string_lossy().into_owned())
}

/// Text in a cell of a Markdown table, or in a heading: as it is, whatever signs are in it.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace(['\n', '\r'], " ")
}

/// A task's name, with that for people where it is another.
fn titled(task: &TaskConfig) -> String {
    let name = task.task.name();
    match task.spec.title.as_str() {
        title if title == name => name.to_owned(),
        title => format!("{name} ({})", cell(title)),
    }
}

/// Name of the file that a preset was trained (or scored) on, without its folder and its ending; of another task its own
/// and the run's: on the hub, `train` and `dev` are other people's data.
fn data_name(facts: &CardFacts<'_>, task: &TaskConfig, split: &str) -> String {
    if task.spec.preset.is_none() {
        return format!("{}-{}", facts.run, task.task);
    }
    let file = facts
        .info
        .data
        .iter()
        .find(|file| file.task == task.task && file.split == split);
    let stem = file.and_then(|file| file.path.file_stem());
    match stem.map(|stem| stem.to_string_lossy().into_owned()) {
        Some(stem) if stem != "demo" => stem,
        _ => "bertram-demo".to_owned(),
    }
}

fn pipeline_tag(task: &TaskConfig) -> &'static str {
    match (task.spec.inputs, task.spec.label) {
        (Inputs::Pair, LabelKind::Binary | LabelKind::Score { .. }) => "sentence-similarity",
        _ => "text-classification",
    }
}

/// A task's scores under the hub's names of metrics.
fn metrics(scores: &TaskScores) -> Vec<(&'static str, &'static str, f64)> {
    let main = scores.metric();
    scores
        .all()
        .into_iter()
        // What is beside the main score, and two of a kind suffice.
        .filter(|(metric, _)| *metric == main || !matches!(metric, Metric::F1 | Metric::Mcc))
        .map(|(metric, value)| {
            let (kind, title) = match metric {
                Metric::Accuracy => ("accuracy", "Accuracy"),
                Metric::MacroF1 => ("f1", "Macro F1"),
                Metric::MicroF1 => ("f1", "Micro F1"),
                Metric::F1 => ("f1", "F1"),
                Metric::Mcc => ("matthews_correlation", "Matthews correlation"),
                Metric::Pearson => ("pearsonr", "Pearson's r"),
                Metric::Spearman => ("spearmanr", "Spearman's rho"),
            };
            (kind, title, value)
        })
        .collect()
}

fn front_matter(card: &mut String, facts: &CardFacts<'_>) -> std::fmt::Result {
    let data: BTreeSet<String> = facts
        .tasks
        .iter()
        .filter(|task| task.spec.preset.is_some())
        .map(|task| data_name(facts, task, "train"))
        .collect();
    let scored: Vec<(&TaskConfig, &TaskScores)> = facts
        .tasks
        .iter()
        .filter_map(|task| Some((*task, facts.scores.tasks.get(&task.task)?)))
        .collect();
    let used: BTreeSet<&str> = scored
        .iter()
        .flat_map(|(_, scores)| metrics(scores))
        .map(|(kind, _, _)| kind)
        .collect();
    let sentences = facts.encode.is_sentence_transformer();
    let library = match sentences {
        true => SENTENCE_TRANSFORMERS,
        false => "transformers",
    };
    writeln!(card, "---\nlibrary_name: {library}")?;
    writeln!(card, "pipeline_tag: sentence-similarity")?;
    if let Some(base) = base_model(facts) {
        writeln!(card, "base_model: {}", quoted(&base))?;
    }
    writeln!(card, "tags:")?;
    for tag in [
        "bert",
        SENTENCE_TRANSFORMERS,
        "feature-extraction",
        "text-classification",
        "multitask",
        "bertram",
    ]
    .into_iter()
    .filter(|tag| sentences || *tag != SENTENCE_TRANSFORMERS)
    {
        writeln!(card, "- {tag}")?;
    }
    if !data.is_empty() {
        writeln!(card, "datasets:")?;
    }
    for name in &data {
        writeln!(card, "- {}", quoted(name))?;
    }
    if !used.is_empty() {
        writeln!(card, "metrics:")?;
        for kind in &used {
            writeln!(card, "- {kind}")?;
        }
        writeln!(
            card,
            "model-index:\n- name: {}\n  results:",
            quoted(facts.run)
        )?;
    }
    for (task, scores) in scored {
        let dev = data_name(facts, task, "dev");
        writeln!(card, "  - task:\n      type: {}", pipeline_tag(task))?;
        writeln!(card, "      name: {}", quoted(&task.spec.title))?;
        writeln!(card, "    dataset:\n      type: {}", quoted(&dev))?;
        writeln!(card, "      name: {}\n      split: dev", quoted(&dev))?;
        writeln!(card, "    metrics:")?;
        for (kind, title, value) in metrics(scores) {
            writeln!(
                card,
                "    - type: {kind}\n      value: {value:.4}\n      name: {}",
                quoted(title)
            )?;
        }
    }
    writeln!(card, "---\n")
}

/// Which weights they are, and how they were chosen.
fn weights(facts: &CardFacts<'_>, epoch: usize) -> String {
    let train = &facts.settings.train;
    let what = match train.average {
        Some(AverageKind::Ema) if facts.averaged => "an exponential moving average of those",
        Some(AverageKind::Swa) if facts.averaged => "the mean of those of many updates, taken",
        _ => "those",
    };
    let place = match train.evaluate_every {
        Some(_) => format!("in epoch {epoch} of {}", train.epochs),
        None => format!("after epoch {epoch} of {}", train.epochs),
    };
    let chosen = match train.export {
        _ if facts.last_weights => "the last of the run".to_owned(),
        ExportedWeights::Last => "the last of the run, whatever dev said".to_owned(),
        ExportedWeights::Best => {
            let rows = match facts.settings.data.select_share {
                Some(share) => format!("{:.0} % of the dev rows", share * 100.0),
                None => "dev".to_owned(),
            };
            format!(
                "the best by the {} score on {rows}",
                train.best_metric.name()
            )
        }
    };
    format!("Its weights are {what} {place}, {chosen}")
}

fn body(card: &mut String, facts: &CardFacts<'_>) -> std::fmt::Result {
    let encode = &facts.encode;
    writeln!(card, "# {}\n", facts.run)?;
    let base = base_model(facts).map_or_else(
        || "a BERT with random weights".to_owned(),
        |base| format!("`{base}`"),
    );
    let best = match facts.best_epoch {
        _ if facts.made_of.is_some() => facts.made_of.map_or_else(String::new, MadeOf::sentence),
        0 => "It was not trained".to_owned(),
        epoch => weights(facts, epoch),
    };
    writeln!(
        card,
        "One BERT encoder ({}, {} wide) with a head for each of {} task(s), fine-tuned together by \
         [bertram](https://github.com/bertram-rs/bertram) {} from {base}. {best}.\n",
        match facts.config.num_hidden_layers {
            1 => "1 layer".to_owned(),
            layers => format!("{layers} layers"),
        },
        facts.config.hidden_size,
        facts.tasks.len(),
        facts.info.bertram,
    )?;
    writeln!(
        card,
        "| task | labels | head | pooling | loss | scores on dev |\n|---|---|---|---|---|---|"
    )?;
    for task in facts.tasks {
        let scores = facts
            .scores
            .tasks
            .get(&task.task)
            .map_or_else(String::new, |scores| {
                let shown = metrics(scores);
                let shown = shown
                    .iter()
                    .map(|(_, title, value)| format!("{title} {value:.3}"));
                shown.collect::<Vec<_>>().join(", ")
            });
        writeln!(
            card,
            "| {} | {} | {} | {} | {} | {scores} |",
            titled(task),
            cell(&snippet::labels(task)),
            name(&task.head),
            name(&task.pooling),
            name(&task.loss),
        )?;
    }
    writeln!(card, "\n## Sentence vectors\n")?;
    sentence_vectors(card, facts)?;
    writeln!(card, "## Tasks\n")?;
    writeln!(
        card,
        "Each snippet runs in this folder and gives what `bertram-cli predict` gives."
    )?;
    for task in facts.tasks {
        writeln!(card, "\n### {}\n", titled(task))?;
        if is_sequence_classifier(task) {
            writeln!(card, "{}\n", snippet::folder_text(task))?;
        }
        writeln!(card, "```python\n{}```", snippet::of(task, encode))?;
    }
    training(card, facts)?;
    limits(card, facts)
}

fn sentence_vectors(card: &mut String, facts: &CardFacts<'_>) -> std::fmt::Result {
    let encode = &facts.encode;
    let lower = match encode.preprocess {
        Preprocess::Cs224n => ", and texts are lower-cased",
        Preprocess::None => "",
    };
    writeln!(
        card,
        "A vector is {}; a text is cut to {} tokens{lower}.\n",
        how_pooled(encode),
        encode.max_length,
    )?;
    if encode.is_sentence_transformer() {
        writeln!(card, "```python\n{}```\n", snippet::SENTENCES)?;
        if encode.parts_change_places() {
            writeln!(
                card,
                "sentence-transformers has the parts in the order `[CLS]`, maximum, mean: lengths and cosines are those of \
                 `bertram-cli encode`, but not the order of the numbers.\n"
            )?;
        }
    } else if encode.is_learnt() {
        let own = match facts.tasks {
            [only] => format!("that of `{}` is made", only.task),
            _ => "there is one kind a task, made".to_owned(),
        };
        writeln!(
            card,
            "sentence-transformers has no such module, so the folder is no model of its. What makes the vector is learnt by \
             each task's head: {own} by the function `vectors` [below](#tasks), and by `bertram-cli encode --task`.\n"
        )?;
    } else {
        writeln!(
            card,
            "sentence-transformers has no such module, so the folder is no model of its. In its place:\n\n```python\n{}```\n",
            snippet::plain_vectors(encode)
        )?;
    }
    writeln!(
        card,
        "`AutoModel` and `AutoTokenizer` of transformers read the same folder.\n"
    )
}

/// What a sentence vector is, in words.
fn how_pooled(encode: &EncodeSettings) -> String {
    let single = |pooling: Pooling| match pooling {
        Pooling::Cls | Pooling::Several(_) => "the hidden state of `[CLS]`",
        Pooling::Mean => "the mean of the hidden states of all tokens",
        Pooling::Max => "of each dimension the greatest of the hidden states of all tokens",
        Pooling::Pooler if encode.pooling == Pooling::Pooler && !encode.layer_mix => {
            "BERT's pooler, which is the module `2_Dense` here"
        }
        Pooling::Pooler => "BERT's pooler",
        Pooling::Attention => "a mean of the hidden states of all tokens with learnt weights",
    };
    let parts: Vec<&str> = encode.pooling.parts().map(single).collect();
    let mix = match encode.layer_mix {
        true => ". Hidden states are a learnt mix of those of all layers",
        false => "",
    };
    format!("{}{mix}", parts.join(", and beside it "))
}

fn training(card: &mut String, facts: &CardFacts<'_>) -> std::fmt::Result {
    let settings = facts.settings;
    let train = &settings.train;
    writeln!(card, "\n## Training\n\n| setting | value |\n|---|---|")?;
    let mut row = |key: &str, value: String| writeln!(card, "| {key} | {value} |");
    for task in facts.tasks {
        let files = facts
            .info
            .data
            .iter()
            .filter(|file| file.task == task.task && file.split != "test");
        let rows: Vec<String> = files
            .map(|file| format!("{} of {} rows", file.split, file.rows))
            .collect();
        row(&format!("data of {}", task.task), rows.join(", "))?;
    }
    row("epochs", train.epochs.to_string())?;
    match train.batch_tokens {
        Some(tokens) => row("tokens of a batch", format!("at most {tokens}"))?,
        None => row("batch size", train.batch_size.to_string())?,
    }
    for task in &settings.tasks {
        if let (Some(size), None) = (task.batch_size, train.batch_tokens) {
            row(&format!("batch size of {}", task.task), size.to_string())?;
        }
    }
    row("learning rate", format!("{:e}", train.learning_rate))?;
    row(
        "learning rate of the heads",
        format!("{:e}", train.head_learning_rate),
    )?;
    row(
        "schedule of the rate",
        format!(
            "{}, {} of updates warm up",
            name(&train.lr_schedule),
            train.warmup
        ),
    )?;
    row("weight decay", settings.optimizer.weight_decay.to_string())?;
    row("schedule of the tasks", name(&train.schedule))?;
    row("aggregator", name(&settings.aggregator.kind))?;
    row("loss weighting", name(&train.loss_weighting))?;
    row("preprocessing", name(&facts.encode.preprocess))?;
    row("longest sequence", facts.encode.max_length.to_string())?;
    row("precision", name(&train.precision))?;
    row("backend", facts.info.backend.clone())?;
    row("seed", facts.info.seed.to_string())?;
    for change in &facts.info.changed {
        // Where data lie is of the machine that wrote the card.
        if !change.key.starts_with("data.") && !change.key.starts_with("tasks.") {
            row(
                &format!("`{}` from update {} on", change.key, change.update),
                format!("{} (before: {})", change.since(), change.before()),
            )?;
        }
    }
    Ok(())
}

fn limits(card: &mut String, facts: &CardFacts<'_>) -> std::fmt::Result {
    writeln!(card, "\n## Limits\n")?;
    let chosen = facts.settings.train.export == ExportedWeights::Best && !facts.last_weights;
    match (facts.unchosen, chosen) {
        (Some(overall), _) => writeln!(
            card,
            "- The scores are those of the dev rows that chose the weights: rows never seen may score lower. Where some dev \
             rows choose and others score, the overall score is {overall:.3} in place of {:.3}.",
            facts.scores.overall
        )?,
        (None, true) => writeln!(
            card,
            "- The scores are those of the dev rows that chose the epoch: rows never seen may score lower."
        )?,
        (None, false) => writeln!(
            card,
            "- The weights were not chosen on dev; how they were trained may have been."
        )?,
    }
    writeln!(
        card,
        "- What it knows is what its training data shows: other domains, other languages and longer texts are untried."
    )?;
    if facts.encode.preprocess == Preprocess::Cs224n {
        writeln!(
            card,
            "- Texts were prepared as in the CS224N course (lower-cased; pairs also get a space before `. ? , '`). The \
             snippets do it; other code has to."
        )?;
    }
    if facts
        .tasks
        .iter()
        .any(|task| is_sequence_classifier(task) && task.pooling == Pooling::Cls)
    {
        writeln!(
            card,
            "- `BertForSequenceClassification` has a tanh pooler, which these heads on `[CLS]` have not. In their folders \
             the pooler is 2⁻¹³ times the identity, where tanh is linear to seven digits, and the classifier is divided by \
             it: do not fine-tune from there, and load it in float32."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
