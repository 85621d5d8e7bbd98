//! The config of tasks that were guessed from files.

use std::path::Path;

use bertram_core::data::Format;
use bertram_core::task::Preset;
use bertram_train::config::quoted;
use toml_edit::{DocumentMut, Item, Value};

use super::files::{DataFile, Task};
use super::labels::Kind;
use crate::recipe::Recipe;

/// Where a comment behind a key begins.
const COMMENT: usize = 40;
/// Where lines of lists are broken.
const WIDTH: usize = 110;

/// Rows of a file that cannot be read.
#[derive(Clone, Debug)]
pub struct BadRows {
    /// The file's name.
    pub file: String,
    /// How many there are.
    pub count: usize,
    /// The first of them: its line and what is wrong.
    pub first: String,
}

/// A config that trains tasks, with what is known of them said behind each key. `name` is its file's; `path_of` gives the
/// path of a data file as the config is to say it. The rest is that of the recipe `recommended`.
pub fn config(
    name: &str,
    tasks: &[Task],
    bad: &[BadRows],
    path_of: &dyn Fn(&Path) -> String,
) -> String {
    let limit = Limit::of(tasks);
    // A recipe that is built in is there, and is TOML (a test reads them all).
    let recipe = Recipe::RECOMMENDED.text().unwrap_or_default();
    let recipe: DocumentMut = recipe.parse().unwrap_or_default();
    let sections: Vec<String> = tasks
        .iter()
        .map(|task| section(task, &limit, path_of))
        .collect();
    format!(
        "# bertram-cli train --config {name} --model DIR|ID\n\
         #\n\
         # Made by `bertram-cli config init`: what it saw in the files is said behind each key, and is worth a look. The other settings are\n\
         # those of the recipe `recommended`.\n\n\
         {}\n{}\n{}",
        front(recipe.clone(), bad, limit.rows.is_some()),
        sections.join("\n"),
        back(recipe)
    )
}

/// `[model]` and `[data]`.
fn front(mut recipe: DocumentMut, bad: &[BadRows], limited: bool) -> String {
    recipe.retain(|key, _| matches!(key, "model" | "data"));
    // The head of the recipe's file is about that file.
    if let Some(Item::Table(model)) = recipe.get_mut("model") {
        model.decor_mut().set_prefix("");
    }
    if let Some(Item::Table(data)) = recipe.get_mut("data") {
        data.remove("format");
        data.remove("bad-rows");
        if !limited {
            data.remove("limit-draw");
        }
        if !bad.is_empty() {
            let mut skip = Value::from("skip");
            let rows: Vec<String> = bad.iter().map(BadRows::shown).collect();
            skip.decor_mut()
                .set_suffix(format!("      # {}", one_line(&rows.join("; "))));
            data.insert("bad-rows", Item::Value(skip));
        }
    }
    format!("{}\n", recipe.to_string().trim())
}

/// Everything behind the tasks.
fn back(mut recipe: DocumentMut) -> String {
    recipe.retain(|key, _| !matches!(key, "model" | "data" | "tasks"));
    format!("{}\n", recipe.to_string().trim())
}

impl BadRows {
    fn shown(&self) -> String {
        match self.count {
            1 => format!("{}: 1 row cannot be read ({})", self.file, self.first),
            count => format!(
                "{}: {count} rows cannot be read ({}, ...)",
                self.file, self.first
            ),
        }
    }
}

/// How many rows of larger tasks an epoch takes.
struct Limit<'a> {
    /// As many, and the task that has them.
    rows: Option<(usize, &'a str)>,
}

impl<'a> Limit<'a> {
    /// An epoch goes through the largest task once, and each update takes a batch of every task: a task of more than twice
    /// the smallest's rows would have the others go round and round, so it gets as many as the largest of those below.
    fn of(tasks: &'a [Task]) -> Self {
        let rows = |task: &Task| task.train.content.rows;
        let smallest = tasks.iter().map(rows).min().unwrap_or_default();
        let within = |task: &&Task| rows(task) <= 2 * smallest;
        let largest = tasks.iter().filter(within).max_by_key(|task| rows(task));
        let cuts = tasks.iter().any(|task| !within(&task));
        Self {
            rows: largest
                .filter(|_| cuts)
                .map(|task| (rows(task), task.name.as_str())),
        }
    }
}

/// The lines of a section.
struct Lines(Vec<String>);

impl Lines {
    /// A key with a comment behind it.
    fn say(&mut self, key: &str, value: &str, comment: &str) {
        self.0
            .push(with_comment(&format!("{key} = {value}"), comment));
    }

    /// A comment of its own.
    fn note(&mut self, note: &str) {
        self.0.push(one_line(&format!("# {note}")));
    }
}

/// `[tasks.NAME]`.
fn section(task: &Task, limit: &Limit<'_>, path_of: &dyn Fn(&Path) -> String) -> String {
    let mut lines = Lines(vec![format!("[tasks.{}]", task.name)]);
    let pair = task.columns.texts.len() == 2;
    let texts: Vec<String> = task
        .columns
        .texts
        .iter()
        .map(|it| format!("{it:?}"))
        .collect();
    let inputs = match pair {
        true => "\"pair\"",
        false => "\"single\"",
    };
    lines.say(
        "inputs",
        inputs,
        &format!("texts in {}", texts.join(" and ")),
    );
    let seen = format!("{:?} of {}", task.label, task.labels.seen);
    match &task.labels.kind {
        Kind::Classes(names) => lines.say("labels", &list(names), &seen),
        Kind::Auto => lines.say("labels", "\"auto\"", &seen),
        Kind::Binary(names) => lines.say("binary", &list(names), &seen),
        Kind::Score(low, high) => lines.say("score", &format!("[{low}, {high}]"), &seen),
    }
    if task.labels.multi {
        lines.say("multi", "true", "a row may have several of them, or none");
    }
    for note in &task.labels.notes {
        lines.note(note);
    }
    if pair && matches!(task.labels.kind, Kind::Binary(_)) {
        lines.say("head", "\"concat\"", "as the recipe has it for paraphrases");
    }
    for (split, file) in task.files() {
        let mut comment = rows(file);
        if !file.has_labels(&task.label) {
            comment.push_str(", no labels");
        }
        lines.say(split.name(), &quoted(&path_of(&file.path)), &comment);
    }
    if task.dev.is_none() {
        lines.note("dev = \"...\": without dev rows the task is not scored");
    }
    if let Some(format) = format_key(task) {
        lines.say("format", &format, "");
    }
    lines.say("columns", &columns(task), "");
    if let Some((rows, name)) = limit.rows
        && task.train.content.rows > rows
    {
        let comment = format!(
            "others in each epoch; as many as {name} has. \"all\" takes all {}",
            task.train.content.rows
        );
        lines.say("limit", &rows.to_string(), &comment);
    }
    lines.0.push(String::new());
    lines.0.join("\n")
}

fn rows(file: &DataFile) -> String {
    match file.content.rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

/// The format, where the endings do not say it: all files of a task have one. A task with a preset's name would else have
/// that of its preset's files.
fn format_key(task: &Task) -> Option<String> {
    let formats: Vec<Format> = task.files().map(|(_, file)| file.format).collect();
    let by_ending = task
        .files()
        .all(|(_, file)| Format::of_ending(&file.path) == Some(file.format));
    let is_preset = Preset::names().any(|preset| preset.name() == task.name);
    if by_ending && !is_preset {
        return None;
    }
    // Where a quoted table and plain ones are one task, quoting reads all of them.
    let format = formats.iter().find(|it| **it == Format::TsvQuoted);
    let format = format.or(formats.first())?;
    // The names in JSON are those in TOML.
    serde_json::to_string(format).ok()
}

fn columns(task: &Task) -> String {
    let keys: &[&str] = match task.columns.texts.len() {
        1 => &["text"],
        _ => &["text-a", "text-b"],
    };
    let texts = keys.iter().copied().zip(&task.columns.texts);
    let id = task.columns.id.iter().map(|id| ("id", id));
    // A file without the identifiers has its lines for them only where none is asked for.
    let has_id = |id: &str| task.files().all(|(_, file)| file.column(id).is_some());
    let columns: Vec<String> = id
        .filter(|(_, id)| has_id(id))
        .chain(texts)
        .chain([("label", &task.label)])
        .map(|(key, name)| format!("{key} = {}", quoted(name)))
        .collect();
    format!("{{ {} }}", columns.join(", "))
}

/// A list of texts, over several lines if it is long.
fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    let short = format!("[{}]", texts.join(", "));
    if short.chars().count() <= WIDTH {
        return short;
    }
    let mut lines = vec![String::new()];
    for text in texts {
        let full = |line: &String| line.chars().count() + text.chars().count() > WIDTH;
        match lines
            .last_mut()
            .filter(|line| line.is_empty() || !full(line))
        {
            Some(line) if line.is_empty() => *line = format!("    {text},"),
            Some(line) => line.push_str(&format!(" {text},")),
            None => lines.push(format!("    {text},")),
        }
    }
    format!("[\n{}\n]", lines.join("\n"))
}

/// A key with a comment behind it.
fn with_comment(key: &str, comment: &str) -> String {
    if comment.is_empty() {
        return key.to_owned();
    }
    let last = key.lines().last().unwrap_or_default().chars().count();
    let gap = COMMENT.saturating_sub(last).max(2);
    format!("{key}{:gap$}# {}", "", one_line(comment))
}

/// A text without line ends and other characters that TOML takes in no comment.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}
