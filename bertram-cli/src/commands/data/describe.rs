//! `bertram-cli data describe`: what is in the data of a config.

use bertram_core::data::{BadRows, BertTokenizer, Split};
use bertram_train::config::Settings;
use bertram_train::corpus::{TaskCorpus, read_corpus_again, with_labels};
use bertram_train::describe::{
    EpochDescription, SplitDescription, TaskDescription, describe, leak_warning,
};
use bertram_train::pipeline::{PipelineError, tokenizer};
use comfy_table::{CellAlignment, Table, presets};

use crate::args::{DescribeArgs, DescribeFormat};
use crate::commands::train::{check_data_folder, settings};
use crate::error::{CliError, CliResult, pipeline_error, work};
use crate::hub::resolve_model;
use crate::out;
use crate::recipe::{flags, sets};

/// Labels that a table has rows for; of more it has the most frequent.
const NAMED_LABELS: usize = 30;
/// Bad rows of a file that are named.
const NAMED_ROWS: usize = 5;

/// Runs the command.
pub fn run(args: &DescribeArgs) -> CliResult {
    let mut overrides = flags(args.data.as_deref(), args.model.as_deref());
    overrides.extend(sets(&args.set));
    let (config, loaded) = settings(args.config.as_deref(), overrides)?;
    out::progress(&format!("config: {}", config.describe()));
    loaded.say_warnings();
    let mut settings = loaded.settings;
    check_data_folder(&settings)?;
    // What a run would stop at is what is to be counted.
    settings.data.bad_rows = BadRows::Skip;
    let data = |error| pipeline_error(PipelineError::from(error));
    let settings = with_labels(&settings).map_err(data)?;
    let corpus = read_corpus_again(&settings, &[Split::Train, Split::Dev, Split::Test]);
    let corpus = corpus.map_err(data)?;
    let tokenizer = match tokenizer_of(&settings, &corpus) {
        Ok(tokenizer) => Some(tokenizer),
        // A model that was asked for is to be had; without one that the config names, all but lengths can be said.
        Err(error) if args.model.is_some() => return Err(error),
        Err(error) => {
            tracing::warn!(
                "lengths in tokens are left out, for there is no tokenizer; --model names a model: {}",
                error.message().trim_start_matches("error: ")
            );
            None
        }
    };
    let tasks = describe(&settings, &corpus, tokenizer.as_ref());
    let tasks = tasks.map_err(|error| pipeline_error(error.into()))?;
    match args.format {
        DescribeFormat::Json => {
            out::line(&serde_json::to_string_pretty(&tasks).map_err(work)?)?;
        }
        DescribeFormat::Text => show(&tasks)?,
    }
    if let Some(warning) = leak_warning(&settings, &corpus) {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// The tokenizer that a run would take. A hub id is fetched.
fn tokenizer_of(settings: &Settings, corpus: &[TaskCorpus]) -> Result<BertTokenizer, CliError> {
    let model = settings.model.path.as_deref();
    let dir = model
        .map(|model| resolve_model(model, &settings.model.revision))
        .transpose()?;
    let dir = dir.as_deref();
    // The encoder of a sentence-transformers folder may lie in one of its folders.
    let dir = dir
        .map(|dir| crate::pretrained::encoding(dir).map(|encoding| encoding.weights))
        .transpose()?;
    tokenizer(settings, corpus, dir.as_deref()).map_err(pipeline_error)
}

fn show(tasks: &[TaskDescription]) -> CliResult {
    out::line(&rows_table(tasks).to_string())?;
    if tasks.iter().any(|task| task.generated) {
        out::line("generated rows are made of templates, and come again in all splits")?;
    }
    for task in tasks {
        out::line("")?;
        out::line(&labels_table(task).to_string())?;
    }
    for task in tasks {
        for (split, epoch) in (task.splits.iter()).filter_map(|it| Some((it, it.epoch.as_ref()?))) {
            out::line("")?;
            out::line(&epoch_line(task, split, epoch))?;
        }
    }
    for task in tasks {
        for split in task.splits.iter().filter(|it| !it.bad_rows.is_empty()) {
            let bad = &split.bad_rows;
            out::line("")?;
            out::line(&format!("{}: {} bad", split.path.display(), bad.len()))?;
            for row in bad.iter().take(NAMED_ROWS) {
                out::line(&format!("  line {}: {}", row.line, row.reason))?;
            }
            if bad.len() > NAMED_ROWS {
                out::line(&format!("  and {} more", bad.len() - NAMED_ROWS))?;
            }
        }
    }
    Ok(())
}

/// What an epoch takes of training rows whose labels have shares.
fn epoch_line(
    task: &TaskDescription,
    split: &SplitDescription,
    epoch: &EpochDescription,
) -> String {
    let counts = epoch.counts.iter().take(NAMED_LABELS);
    let counts: Vec<String> = counts
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let left: u64 = epoch.counts.values().filter_map(|it| it.as_u64()).sum();
    let limit = match epoch.rows as u64 == left {
        true => String::new(),
        false => format!(", drawn of the {left} that label-shares leave"),
    };
    format!(
        "{}: an epoch takes {} of {} rows{limit} ({})",
        task.task,
        epoch.rows,
        split.rows,
        counts.join(", ")
    )
}

/// A row a split: how many rows, and how long they are.
fn rows_table(tasks: &[TaskDescription]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let splits = tasks.iter().flat_map(|task| &task.splits);
    let lengths = splits.filter_map(|split| split.tokens.as_ref());
    let has_lengths = lengths.clone().next().is_some();
    let mut header = vec![
        "task".to_owned(),
        String::new(),
        "rows".into(),
        "bad".into(),
        "repeated".into(),
        "in train".into(),
    ];
    if has_lengths {
        header.extend(["tokens", "50 %", "90 %", "99 %", "most"].map(str::to_owned));
        let cut = lengths.map(|lengths| lengths.max_length).max();
        header.push(format!("over {}", cut.unwrap_or_default()));
    }
    let columns = header.len();
    table.set_header(header);
    for task in tasks {
        for (number, split) in task.splits.iter().enumerate() {
            let name = match number {
                0 => task.task.name(),
                _ => "",
            };
            table.add_row(row(name, split, has_lengths));
        }
    }
    align_right(&mut table, 2..columns);
    table
}

fn row(name: &str, split: &SplitDescription, has_lengths: bool) -> Vec<String> {
    let mut cells = vec![
        name.to_owned(),
        split.split.to_owned(),
        split.rows.to_string(),
        split.bad_rows.len().to_string(),
        split.repeated.to_string(),
        split
            .in_train
            .map_or(String::new(), |rows| rows.to_string()),
    ];
    if let Some(tokens) = split.tokens.as_ref().filter(|_| has_lengths) {
        cells.push(format!("{:.1}", tokens.mean));
        cells.extend([tokens.p50, tokens.p90, tokens.p99, tokens.max].map(|it| it.to_string()));
        let share = 100.0 * tokens.truncated_share;
        cells.push(format!("{} ({share:.1} %)", tokens.truncated));
    }
    cells
}

/// A row a label, or of scores their range; a column a split.
fn labels_table(task: &TaskDescription) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let names = task.splits.iter().map(|split| split.split.to_owned());
    table.set_header(std::iter::once(task.task.name().to_owned()).chain(names));
    let mut add = |name: &str, of: &dyn Fn(&SplitDescription) -> Option<String>| {
        let cells = task
            .splits
            .iter()
            .map(|split| of(split).unwrap_or_default());
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    let first = task.splits.iter().find(|it| !it.labels.counts.is_empty());
    let mut labels: Vec<(&String, u64)> = first
        .into_iter()
        .flat_map(|split| &split.labels.counts)
        .map(|(name, count)| (name, count.as_u64().unwrap_or_default()))
        .collect();
    let more = labels.len().saturating_sub(NAMED_LABELS);
    if more > 0 {
        labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }
    for (name, _) in labels.iter().take(NAMED_LABELS) {
        let count = |split: &SplitDescription| {
            let count = split.labels.counts.get(*name);
            count.map(ToString::to_string)
        };
        add(name, &count);
    }
    if more > 0 {
        add(&format!("and {more} more labels"), &|_| None);
    }
    if task
        .splits
        .iter()
        .any(|split| split.labels.scores.is_some())
    {
        let number = |value: f64| format!("{value:.2}");
        add("lowest", &|split| Some(number(split.labels.scores?.min)));
        add("mean", &|split| Some(number(split.labels.scores?.mean)));
        add("highest", &|split| Some(number(split.labels.scores?.max)));
    }
    if task.splits.iter().any(|split| split.labels.unlabelled > 0) {
        add("no label", &|split| {
            Some(split.labels.unlabelled.to_string())
        });
    }
    align_right(&mut table, 1..task.splits.len() + 1);
    table
}

fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
