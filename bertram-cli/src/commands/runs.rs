//! `bertram-cli runs`: run folders on disk.

use std::collections::HashSet;
use std::io::{BufRead, IsTerminal, Write};
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use bertram_report::find_runs;
use bertram_train::run_folder::{CheckpointStore, RunFolder, RunState, numbers_by_path, read_json};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::BinaryBytes;
use serde_json::{Map, Value, json};

use super::bench::right_align;
use super::finished;
use crate::args::{RunFoldersArgs, RunFoldersCommand, RunsCleanArgs, RunsListArgs};
use crate::error::{CliResult, input, work};
use crate::out;

/// Runs the command.
pub fn run(args: &RunFoldersArgs) -> CliResult {
    match &args.what {
        RunFoldersCommand::List(args) => list(args),
        RunFoldersCommand::Show { run } => show(run),
        RunFoldersCommand::Clean(args) => clean(args),
    }
}

/// What is known of a run without reading a tensor.
struct Run {
    folder: RunFolder,
    /// Why it cannot be read, if it cannot.
    state: Result<RunState, String>,
    /// `summary.json`; null where there is none that can be read.
    summary: Value,
}

impl Run {
    fn read(folder: RunFolder) -> Self {
        let state = folder.state().map_err(|error| error.to_string());
        let path = folder.summary();
        let (state, summary) = match path.is_file().then(|| read_json(&path)) {
            None => (state, Value::Null),
            Some(Ok(summary)) => (state, summary),
            Some(Err(error)) => (Err(error.to_string()), Value::Null),
        };
        Self {
            folder,
            state,
            summary,
        }
    }

    fn checkpoints(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.checkpoints());
        let mut folders: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        folders
    }

    /// What [`clean`] removes: the training state of a finished run.
    fn removable(&self) -> Vec<PathBuf> {
        match self.state {
            Ok(RunState::Finished) => self.checkpoints(),
            _ => Vec::new(),
        }
    }

    /// Bytes of what is removable.
    fn removable_bytes(&self) -> u64 {
        bytes_of(&self.removable())
    }

    fn state(&self) -> String {
        match &self.state {
            Ok(RunState::Finished) => "finished".to_owned(),
            Ok(RunState::AtWork) => "at work".to_owned(),
            Ok(RunState::Interrupted) => {
                let store = CheckpointStore::new(self.folder.checkpoints(), 1);
                match store.newest_update() {
                    Ok(Some(update)) => format!("stopped at update {update}"),
                    _ => "stopped".to_owned(),
                }
            }
            Ok(RunState::NotBegun) => "stopped before its first update".to_owned(),
            Ok(RunState::None) => "no run".to_owned(),
            Err(_) => "not readable".to_owned(),
        }
    }

    /// Dev scores by their place in `summary.json`: `sst.accuracy`, `overall`.
    fn scores(&self) -> Map<String, Value> {
        let numbers = numbers_by_path(&self.summary["dev"], '.').into_iter();
        numbers
            .map(|(path, number)| (path, Value::Number(number)))
            .collect()
    }
}

/// Bytes of a file, or of all files of a folder.
fn bytes(path: &Path) -> u64 {
    bytes_of(&[path.to_owned()])
}

/// Bytes of files and of all files of folders. A file with several names counts once; symbolic links count as nothing.
fn bytes_of(paths: &[PathBuf]) -> u64 {
    let mut seen = HashSet::new();
    paths.iter().map(|path| bytes_unless(path, &mut seen)).sum()
}

fn bytes_unless(path: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    if metadata.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries.map(|entry| bytes_unless(&entry.path(), seen)).sum();
    }
    #[cfg(unix)]
    if !seen.insert((metadata.dev(), metadata.ino())) {
        return 0;
    }
    match metadata.is_file() {
        true => metadata.len(),
        false => 0,
    }
}

fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

fn find(folders: &[PathBuf]) -> CliResult<Vec<Run>> {
    let found = find_runs(folders).map_err(input)?;
    Ok(found.into_iter().map(Run::read).collect())
}

fn list(args: &RunsListArgs) -> CliResult {
    let runs = find(&args.folders)?;
    if args.json {
        let runs: Vec<Value> = runs.iter().map(line).collect();
        return out::line(&serde_json::to_string_pretty(&runs).map_err(work)?);
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["run", "state", "overall", "size", "to be freed"]);
    let (mut all, mut removable) = (0, 0);
    for run in &runs {
        let whole = bytes(run.folder.path());
        let freed = run.removable_bytes();
        all += whole;
        removable += freed;
        let overall = run.summary["dev"]["overall"].as_f64();
        table.add_row([
            run.folder.path().display().to_string(),
            run.state(),
            overall.map_or(String::new(), |overall| format!("{overall:.3}")),
            size(whole),
            if freed > 0 {
                size(freed)
            } else {
                String::new()
            },
        ]);
    }
    table.add_row([
        "all".to_owned(),
        String::new(),
        String::new(),
        size(all),
        size(removable),
    ]);
    right_align(&mut table, &[2, 3, 4]);
    out::line(&table.to_string())?;
    for run in &runs {
        if let Err(reason) = &run.state {
            tracing::warn!("{}: {reason}", run.folder.path().display());
        }
    }
    Ok(())
}

/// A run as a flat object, so that a table can be made of many.
fn line(run: &Run) -> Value {
    let mut line = Map::new();
    line.insert("run".to_owned(), json!(run.folder.path()));
    line.insert("state".to_owned(), json!(run.state()));
    line.insert("bytes".to_owned(), json!(bytes(run.folder.path())));
    line.insert("bytes_to_be_freed".to_owned(), json!(run.removable_bytes()));
    for key in [
        "seed",
        "backend",
        "best_epoch",
        "epochs",
        "updates",
        "seconds",
        "tokens_per_second",
    ] {
        line.insert(key.to_owned(), run.summary[key].clone());
    }
    for (path, score) in run.scores() {
        line.insert(format!("dev.{path}"), score);
    }
    Value::Object(line)
}

fn show(path: &Path) -> CliResult {
    let folder = RunFolder::open(path).map_err(input)?;
    let run = Run::read(folder);
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    // A command is longer than a terminal is wide.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            table.add_row([name, &value]);
        }
    };
    row("run", path.display().to_string());
    row("state", run.state());
    if let Err(reason) = &run.state {
        row("why", reason.clone());
    }
    match run.folder.read_info() {
        Ok(info) => {
            row("begun", info.started);
            row("command", info.command.join(" "));
            row(
                "model",
                info.model
                    .map_or(String::new(), |model| model.display().to_string()),
            );
            row("backend", info.backend);
            row("seed", info.seed.to_string());
            row("bertram", info.bertram);
        }
        Err(error) => row("run.json", error.to_string()),
    }
    for (path, score) in run.scores() {
        let score = match score.as_f64() {
            Some(score) if score.fract() != 0.0 => format!("{score:.3}"),
            _ => score.to_string(),
        };
        row(&format!("dev {path}"), score);
    }
    let parts = ["checkpoints", "model", "model-last", "predictions"];
    // The second model is beside an average of the weights alone.
    let parts = parts
        .into_iter()
        .filter(|it| *it != "model-last" || path.join(it).exists());
    for part in parts {
        row(part, size(bytes(&path.join(part))));
    }
    row("all of it", size(bytes(path)));
    out::line(&table.to_string())?;
    next(&run).iter().try_for_each(|line| out::line(line))
}

/// Commands that make sense now.
fn next(run: &Run) -> Vec<String> {
    let path = run.folder.path().display();
    match run.state {
        Ok(RunState::Finished) => {
            let dev = run.summary["dev"].as_object();
            let task = dev.into_iter().flatten();
            let mut task = task.filter(|(_, scores)| scores.is_object());
            let task = task.next().map(|(task, _)| task.as_str());
            let files = run.summary["data"].as_array().into_iter().flatten();
            let has_test = files.clone().any(|file| file["split"] == "test");
            let mut lines = finished::commands(run.folder.path(), task, has_test);
            // A baseline and an ensemble have predictions, and no model to do more with.
            if !run.folder.model().is_dir() {
                lines.retain(|line| line.contains(" report "));
            }
            let freed = run.removable_bytes();
            if freed > 0 {
                lines.push(format!(
                    "bertram-cli runs clean {path}      # frees {}",
                    size(freed)
                ));
            }
            lines
        }
        Ok(RunState::Interrupted | RunState::NotBegun) => {
            vec![format!("bertram-cli train --resume {path}")]
        }
        _ => Vec::new(),
    }
}

fn clean(args: &RunsCleanArgs) -> CliResult {
    let runs = find(&args.folders)?;
    let (finished, others): (Vec<&Run>, Vec<&Run>) =
        (runs.iter()).partition(|run| matches!(run.state, Ok(RunState::Finished)));
    for run in others {
        out::progress(&format!(
            "{}: {}, left as it is",
            run.folder.path().display(),
            run.state()
        ));
    }
    let removable: Vec<PathBuf> = finished.iter().flat_map(|run| run.removable()).collect();
    if removable.is_empty() {
        return out::line("nothing to remove");
    }
    for path in &removable {
        out::line(&format!("{}  {}", path.display(), size(bytes(path))))?;
    }
    let freed = bytes_of(&removable);
    if !args.yes && !agreed(freed)? {
        return out::line("nothing was removed");
    }
    for run in finished {
        let _lock = run.folder.lock().map_err(work)?;
        // A run that another process took further meanwhile keeps its checkpoints.
        if run.folder.state_behind_lock().map_err(work)? != RunState::Finished {
            continue;
        }
        for path in run.removable() {
            std::fs::remove_dir_all(&path)
                .map_err(|error| work(anyhow!("{}: {error}", path.display())))?;
        }
    }
    out::line(&format!("{} freed", size(freed)))
}

/// Asks on the terminal.
fn agreed(freed: u64) -> CliResult<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(input(anyhow!(
            "there is no terminal to ask on: look at the list above, and add --yes to remove it"
        )));
    }
    let mut error = std::io::stderr().lock();
    let question = format!(
        "Remove them? {} are freed, and the runs cannot be trained longer. [y/N] ",
        size(freed)
    );
    write!(error, "{question}")
        .and_then(|()| error.flush())
        .map_err(work)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(work)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
