//! Data files, read and put together as tasks.

use std::path::{Path, PathBuf};

use bertram_core::data::{Column, FileColumns, Format, Split, read_columns};
use bertram_core::task::TaskId;

use super::columns::{Chosen, choose};
use super::labels::{Labels, guess};
use super::names::{Named, name_all};
use crate::error::{CliResult, input};

/// A file, and what is in it.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Where it lies, as the user named it.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Its columns.
    pub content: FileColumns,
}

impl DataFile {
    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let mut columns = self.content.columns.iter();
        columns.find(|column| column.name == name)
    }

    /// The cells of a column; none where there is no such column.
    fn cells(&self, name: &str) -> &[Option<String>] {
        self.column(name).map_or(&[], |column| &column.cells)
    }

    /// Whether any row has something in a column, other than what stands for no label.
    pub fn has_labels(&self, column: &str) -> bool {
        let mut cells = self.cells(column).iter().flatten();
        cells.any(|cell| cell.parse() != Ok(-1.0))
    }
}

/// A task, and what was guessed of it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Rows to learn from.
    pub train: DataFile,
    /// Rows to score on.
    pub dev: Option<DataFile>,
    /// Rows to predict.
    pub test: Option<DataFile>,
    /// Which columns are texts, label and identifier.
    pub columns: Chosen,
    /// The column of labels.
    pub label: String,
    /// What they are.
    pub labels: Labels,
}

impl Task {
    /// The files with their splits.
    pub fn files(&self) -> impl Iterator<Item = (Split, &DataFile)> {
        [
            (Split::Train, Some(&self.train)),
            (Split::Dev, self.dev.as_ref()),
            (Split::Test, self.test.as_ref()),
        ]
        .into_iter()
        .filter_map(|(split, file)| Some((split, file?)))
    }
}

/// The files of a task.
struct Group {
    name: String,
    files: Vec<(Option<Split>, DataFile)>,
}

/// Reads files and makes tasks of them, in the order in which their first files come.
///
/// # Errors
/// Input that cannot be understood, with what to write by hand.
pub fn read(paths: &[PathBuf]) -> CliResult<Vec<Task>> {
    let mut groups: Vec<Group> = Vec::new();
    for (path, Named { task, split }) in paths.iter().zip(name_all(paths)) {
        let file = read_file(path, &task)?;
        match groups.iter_mut().find(|group| group.name == task) {
            Some(group) => group.files.push((split, file)),
            None => groups.push(Group {
                name: task,
                files: vec![(split, file)],
            }),
        }
    }
    groups.into_iter().map(task).collect()
}

fn read_file(path: &Path, task: &str) -> CliResult<DataFile> {
    let shown = path.display();
    if path.is_dir() {
        return Err(input(anyhow::anyhow!(
            "{shown} is a folder: name its data files, as in {}",
            path.join("*.csv").display()
        )));
    }
    let format = Format::of_ending(path).ok_or_else(|| {
        let endings = Format::ENDINGS.map(|(ending, _)| format!(".{ending}"));
        by_hand(
            task,
            path,
            &format!(
                "its ending says no format ({} do, and .gz after them): rename it",
                endings.join(", ")
            ),
        )
    })?;
    // The name of a task is made to be one.
    let id = TaskId::new(task).map_err(input)?;
    let content = |format| read_columns(path, format, id);
    let mut file = DataFile {
        path: path.to_owned(),
        format,
        content: content(format).map_err(|error| input(by_hand_error(task, path, error)))?,
    };
    if format == Format::Tsv
        && let Ok(quoted) = content(Format::TsvQuoted)
        && is_quoted(&file.content, &quoted)
    {
        file.format = Format::TsvQuoted;
        file.content = quoted;
    }
    // Of test rows there may be one column of texts, and that is all.
    if let [only] = &file.content.columns[..]
        && only.name.contains([',', ';', '\t', '|'])
    {
        return Err(by_hand(
            task,
            path,
            &format!(
                "has one column, {:?}: is it separated by something else than its ending says?",
                only.name
            ),
        ));
    }
    Ok(file)
}

/// Whether a table with tabs has its cells in quotes: rows that are whole only so, or quotes that are all of that kind.
fn is_quoted(plain: &FileColumns, quoted: &FileColumns) -> bool {
    if plain.bad.len() != quoted.bad.len() {
        return quoted.bad.len() < plain.bad.len();
    }
    let names = plain.columns.iter().map(|column| &column.name);
    let cells = plain.columns.iter().flat_map(|column| &column.cells);
    let mut with_quotes = names
        .chain(cells.flatten())
        .filter(|text| text.contains('"'))
        .peekable();
    with_quotes.peek().is_some() && with_quotes.all(|text| is_in_quotes(text))
}

/// Whether a cell is as a writer of CSV makes one: in quotes, with those within doubled.
fn is_in_quotes(cell: &str) -> bool {
    let within = cell
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    within.is_some_and(|within| !within.replace("\"\"", "").contains('"'))
}

/// Puts a task's files into their places, and guesses what it is.
fn task(group: Group) -> CliResult<Task> {
    let Group { name, files } = group;
    let (mut train, mut dev, mut test) = (None, None, None);
    let mut nameless = Vec::new();
    for (split, file) in files {
        match split {
            Some(Split::Train) => put(&name, "training", &mut train, file)?,
            Some(Split::Dev) => put(&name, "dev", &mut dev, file)?,
            Some(Split::Test) => put(&name, "test", &mut test, file)?,
            None => nameless.push(file),
        }
    }
    // A file whose name says nothing has training rows, if there are no others.
    if train.is_none() && !nameless.is_empty() {
        train = Some(nameless.remove(0));
    }
    let Some(train) = train else {
        let file = dev.as_ref().or(test.as_ref());
        let file = file.map_or(String::new(), |file| file.path.display().to_string());
        return Err(input(anyhow::anyhow!(
            "{file}: there is no file of training rows beside it: name one, as {name}-train.csv or {name}/train.csv"
        )));
    };
    let fault = |path: &Path, what: &str| by_hand(&name, path, what);
    let columns = choose(&train.content.columns).map_err(|open| fault(&train.path, &open))?;
    let label = columns.label.clone().ok_or_else(|| {
        fault(
            &train.path,
            "there is no column of labels, and without labels it can only be a test file, beside one of training rows",
        )
    })?;
    for file in nameless {
        if file.has_labels(&label) {
            put(&name, "training", &mut Some(train.clone()), file)?;
        } else {
            put(&name, "test", &mut test, file)?;
        }
    }
    if let Some(file) = dev.take_if(|file| !file.has_labels(&label)) {
        put(&name, "test", &mut test, file)?;
    }
    for file in dev.iter().chain(&test) {
        if let Some(lacking) = columns
            .texts
            .iter()
            .find(|text| file.column(text).is_none())
        {
            let what = format!(
                "there is no column {lacking:?}, which {} has",
                train.path.display()
            );
            return Err(fault(&file.path, &what));
        }
    }
    let mut other = Vec::new();
    for file in dev
        .iter()
        .chain(test.as_ref().filter(|test| test.has_labels(&label)))
    {
        other.extend_from_slice(file.cells(&label));
    }
    let labels = guess(&label, train.cells(&label), &other).map_err(|why| {
        fault(
            &train.path,
            &format!("the column of labels, {label:?}, {why}"),
        )
    })?;
    Ok(Task {
        name,
        train,
        dev,
        test,
        columns,
        label,
        labels,
    })
}

fn put(task: &str, what: &str, place: &mut Option<DataFile>, file: DataFile) -> CliResult {
    if let Some(first) = place {
        return Err(input(anyhow::anyhow!(
            "{} and {} would both be the {what} file of {task}: leave one out, or rename it",
            first.path.display(),
            file.path.display()
        )));
    }
    *place = Some(file);
    Ok(())
}

fn by_hand(task: &str, path: &Path, what: &str) -> crate::error::CliError {
    input(by_hand_error(
        task,
        path,
        anyhow::anyhow!("{}: {what}", path.display()),
    ))
}

/// An error with the section to write where a file cannot be understood.
fn by_hand_error(task: &str, path: &Path, error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!(
        "{error}\nOr write what the task is by hand:\n  \
         [tasks.{task}]\n  \
         inputs = \"single\"      # or \"pair\"\n  \
         labels = \"auto\"        # or binary = [\"NO\", \"YES\"], or score = [LOWEST, HIGHEST]; with multi = true a row may have several labels\n  \
         train = {}\n  \
         columns = {{ text = \"...\", label = \"...\" }}      # of pairs text-a and text-b",
        bertram_train::config::quoted(&path.to_string_lossy())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &[u8]) -> bool {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("x-train.tsv");
        std::fs::write(&path, text).expect("written");
        let file = read_file(&path, "x").unwrap_or_else(|error| panic!("{}", error.message()));
        file.format == Format::TsvQuoted
    }

    #[test]
    fn quoted_tables_are_told_from_texts_with_quotes() {
        assert!(columns(b"\"text\"\t\"label\"\n\"a\"\t\"1\"\n"));
        assert!(columns(b"text\tlabel\n\"he said \"\"no\"\"\"\t1\nb\t0\n"));
        assert!(columns(b"text\tlabel\n\"over two\nlines\"\t1\nb\t0\n"));
        assert!(!columns(b"text\tlabel\nhe said \"no\"\t1\n\"b\"\t0\n"));
        assert!(!columns(b"text\tlabel\n\"no\" is \"what\" he said\t1\n"));
        assert!(!columns(b"text\tlabel\n\" opens\t1\nb\t0\n"));
        assert!(!columns(b"text\tlabel\nplain\t1\n"));
    }
}
