//! What is said of a finished run: its scores, and what there is to do with it, as commands that can be typed.

use std::path::Path;

use bertram_train::config::ExportedWeights;
use bertram_train::phase::duration_for_people;
use bertram_train::pipeline::Summary;
use bertram_train::run_folder::RunFolder;

use crate::error::CliResult;
use crate::out;
use crate::table::scores_table;

/// Prints the scores of a run, what it took, and what is next.
pub fn report(summary: &Summary, run: &RunFolder) -> CliResult {
    let is_scored = !summary.dev.tasks.is_empty();
    if is_scored {
        out::line(&scores_table(&summary.dev, &summary.further).to_string())?;
    }
    for line in other_overalls(summary) {
        out::line(&line)?;
    }
    if let Some(evaluations) = summary.ended_early {
        out::line(&format!(
            "early stopping ended it: no better score in {evaluations} evaluation(s)"
        ))?;
    }
    let memory = summary.peak_memory_bytes.map_or(String::new(), |bytes| {
        format!(", {:.2} GiB peak memory", bytes as f64 / f64::from(1 << 30))
    });
    let best = match summary.updates {
        0 => "not trained".to_owned(),
        updates => {
            let which = match is_scored {
                true if summary.exported == ExportedWeights::Last => format!(
                    "the weights after epoch {} of {} are the last",
                    summary.best_epoch, summary.epochs
                ),
                true => format!(
                    "epoch {} of {} was best",
                    summary.best_epoch, summary.epochs
                ),
                false => format!(
                    "no task has dev rows, and the model is that of the last epoch, {}",
                    summary.best_epoch
                ),
            };
            format!(
                "{which}; {updates} updates in {}, {:.0} tokens/s",
                duration_for_people(summary.seconds),
                summary.tokens_per_second
            )
        }
    };
    out::line(&format!(
        "{best}{memory} ({}, seed {})",
        summary.backend, summary.seed
    ))?;
    out::line(&format!("run folder: {}", run.path().display()))?;
    next_steps(summary, run)
}

/// Overall scores on dev beside that of the exported model on all rows: on rows that did not choose it, and of other weights.
fn other_overalls(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(parts) = &summary.parts
        && !parts.held_out.tasks.is_empty()
        && summary.exported == ExportedWeights::Best
    {
        lines.push(format!(
            "on the dev rows that did not choose the epoch: overall {:.3}",
            parts.held_out.overall
        ));
    }
    if let Some(selected) = &summary.cross_selected
        && selected.evaluations > 1
        && !selected.tasks.is_empty()
    {
        lines.push(format!(
            "where one half of dev chooses the epoch and the other scores it: overall {:.3}",
            selected.overall
        ));
    }
    if let Some(last) = &summary.last_weights {
        lines.push(format!(
            "the last weights, beside their average: overall {:.3}",
            last.overall
        ));
    }
    lines
}

/// What there is to do with a finished run. A baseline has no model to do it with.
pub fn next_steps(summary: &Summary, run: &RunFolder) -> CliResult {
    if summary.parameters == 0 {
        return Ok(());
    }
    let task = summary.dev.tasks.iter().next().map(|(task, _)| task.name());
    let has_test = summary.data.iter().any(|file| file.split == "test");
    out::line("next:")?;
    let steps = commands(run.path(), task, has_test);
    steps
        .iter()
        .try_for_each(|step| out::line(&format!("  {step}")))
}

/// Commands for a finished run: of its model, `task` is one that it has; `has_test` says that its data has test rows. Paths
/// with blanks are quoted.
pub fn commands(run: &Path, task: Option<&str>, has_test: bool) -> Vec<String> {
    let run = quoted(run);
    let predict = task.map(|task| format!("predict --run {run} --task {task}"));
    let split = if has_test { "test" } else { "dev" };
    let others = [
        format!("evaluate --run {run} --split {split}"),
        format!("report {run} --out report.html"),
        format!("export --run {run} --to FOLDER"),
    ];
    let all = predict.into_iter().chain(others);
    all.map(|command| format!("bertram-cli {command}"))
        .collect()
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_is_advised_can_be_typed() {
        let run = Path::new("runs/one");
        let all = commands(run, Some("sst"), true);
        assert_eq!(all.len(), 4);
        for command in all {
            let parsed = Cli::try_parse_from(command.split(' '));
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
        }
        assert_eq!(commands(run, None, false).len(), 3);
        assert_eq!(quoted(Path::new("my runs/it's")), r"'my runs/it'\''s'");
    }
}
