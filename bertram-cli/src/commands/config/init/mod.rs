//! `bertram-cli config init`: a config to start from, by the name of a recipe or for data files.

mod columns;
mod counts;
mod files;
mod labels;
mod names;
mod sets;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bertram_core::data::{Dataset, Split};
use bertram_core::fs::atomic_write;
use bertram_train::config::Settings;
use bertram_train::corpus::{read_corpus_again, with_labels};

use self::files::Task;
use self::write::BadRows;
use crate::args::InitArgs;
use crate::error::{CliResult, input, work};
use crate::out;
use crate::recipe::Recipe;

/// Name of a config that is printed, in its own text.
const UNNAMED: &str = "FILE";

/// Runs the command.
pub fn run(args: &InitArgs) -> CliResult {
    if let Some(path) = &args.out {
        check_new(path)?;
    }
    let text = match recipe(&args.files)? {
        Some(recipe) => of_recipe(&recipe, args.out.as_deref())?,
        None => of_files(&args.files, args.out.as_deref())?,
    };
    let Some(path) = &args.out else {
        return out::line(text.trim_end());
    };
    atomic_write(path, text.as_bytes()).map_err(work)?;
    out::line(&format!(
        "{}; check it with: bertram-cli config validate {}",
        path.display(),
        path.display()
    ))
}

/// Refuses a file that is there, and one in a folder that is not.
fn check_new(path: &Path) -> CliResult {
    if path.symlink_metadata().is_ok() {
        return Err(input(anyhow::anyhow!(
            "{} is there already: name another file with --out, or move it away",
            path.display()
        )));
    }
    let folder = folder_of(path);
    match folder.is_dir() {
        true => Ok(()),
        false => Err(input(anyhow::anyhow!(
            "{}: there is no such folder; --out names a file in a folder that is there",
            folder.display()
        ))),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The recipe that is meant, where it is no data file.
fn recipe(files: &[PathBuf]) -> CliResult<Option<Recipe>> {
    let is_config = |path: &Path| path.extension().is_some_and(|it| it == "toml");
    match files {
        [path] if is_config(path) || !path.exists() => {
            let recipe = Recipe::named(path);
            let is_there = match &recipe {
                Recipe::BuiltIn(_) => true,
                Recipe::File(file) => file.exists(),
            };
            match is_there {
                true => Ok(Some(recipe)),
                false => Err(not_there(path)),
            }
        }
        _ => match files.iter().find(|path| !path.exists() || is_config(path)) {
            Some(path) if path.exists() => Err(input(anyhow::anyhow!(
                "{} is a config: init takes data files, or one recipe",
                path.display()
            ))),
            Some(path) => Err(not_there(path)),
            None => Ok(None),
        },
    }
}

fn not_there(path: &Path) -> crate::error::CliError {
    input(anyhow::anyhow!(
        "{}: there is no such file, and no recipe of that name; bertram-cli config list names the recipes",
        path.display()
    ))
}

/// A recipe as one file, with its first line, the command that runs it, made that of the new file.
fn of_recipe(recipe: &Recipe, out: Option<&Path>) -> CliResult<String> {
    let text = recipe.in_one_file().map_err(input)?;
    let name = out.map_or(UNNAMED.to_owned(), |path| path.display().to_string());
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    // As it is written there on every system.
    let old = recipe.path().to_string_lossy().replace('\\', "/");
    Ok(format!("{}\n{rest}", first.replace(&old, &name)))
}

/// A config with a task for the files of each.
fn of_files(paths: &[PathBuf], out: Option<&Path>) -> CliResult<String> {
    let tasks = files::read(paths)?;
    let name = out.map_or(UNNAMED.to_owned(), |path| path.display().to_string());
    let from_root = |path: &Path| absolute(path).to_string_lossy().into_owned();
    let bad = bad_rows(&write::config(&name, &tasks, &[], &from_root), &tasks)?;
    let path_of = |path: &Path| match out {
        Some(out) => beside(path, folder_of(out)),
        // It will lie in the working directory, for all that is known.
        None => path.to_string_lossy().into_owned(),
    };
    Ok(write::config(&name, &tasks, &bad, &path_of))
}

/// A path as a config in a folder says it: short for what lies below the folder, from the root for all else.
fn beside(path: &Path, folder: &Path) -> String {
    let path = absolute(path);
    let short = path.strip_prefix(absolute(folder)).unwrap_or(&path);
    short.to_string_lossy().into_owned()
}

/// A path from the root, without `.` in it; as it is where the working directory is not known.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.components().collect()
}

/// Reads all files by a config, as a run would: what it must leave out, file by file.
fn bad_rows(text: &str, tasks: &[Task]) -> CliResult<Vec<BadRows>> {
    let sets = ["data.bad-rows=skip".to_owned()];
    let settings = Settings::from_text("the config that init would make", text, &sets);
    let settings = settings.map_err(input)?;
    let settings = with_labels(&settings).map_err(input)?;
    let corpus = read_corpus_again(&settings, &[Split::Train, Split::Dev, Split::Test]);
    let corpus = corpus.map_err(input)?;
    let mut bad: BTreeMap<PathBuf, BadRows> = BTreeMap::new();
    let datasets = corpus.iter().flat_map(|task| {
        let test = task.test.as_ref();
        [&task.train, &task.dev].into_iter().chain(test)
    });
    for Dataset { path, skipped, .. } in datasets {
        if let Some(first) = skipped.first() {
            let rows = BadRows {
                file: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                count: skipped.len(),
                first: format!("line {}: {}", first.line, first.reason),
            };
            bad.insert(path.clone(), rows);
        }
    }
    // In the order of the tasks.
    let paths = tasks.iter().flat_map(Task::files);
    Ok(paths
        .filter_map(|(_, file)| bad.remove(&absolute(&file.path)))
        .collect())
}
