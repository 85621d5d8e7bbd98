//! Which task and split a file is of, by its name.

use std::path::Path;

use bertram_core::data::{Format, Split};
use bertram_core::task::TaskId;

/// Words that name a split.
const WORDS: [(&str, Split); 9] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("dev", Split::Dev),
    ("devel", Split::Dev),
    ("development", Split::Dev),
    ("val", Split::Dev),
    ("valid", Split::Dev),
    ("validation", Split::Dev),
    ("test", Split::Test),
];

/// What a file's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The task, as a name of a config's section.
    pub task: String,
    /// The split, where the name says one.
    pub split: Option<Split>,
}

/// The task and the split that each file's name says: `nli-train.csv`, `nli.dev.tsv.gz`, `train_nli.jsonl`, or by its folder
/// `nli/train.csv`.
pub fn name_all(files: &[impl AsRef<Path>]) -> Vec<Named> {
    let stems: Vec<String> = files.iter().map(|file| stem(file.as_ref())).collect();
    let parts: Vec<Parts<'_>> = stems.iter().map(|stem| parts(stem)).collect();
    let folder = |at: usize| files[at].as_ref().parent().unwrap_or(Path::new(""));
    (0..files.len())
        .map(|at| {
            let Parts {
                before,
                split,
                after,
            } = parts[at];
            // Beside a bare `train.tsv`, `dev_matched.tsv` is of the same task.
            let is_bare = |other: usize| {
                folder(other) == folder(at)
                    && parts[other].split.is_some()
                    && parts[other].before.is_empty()
                    && parts[other].after.is_empty()
            };
            let of_folder = before.is_empty() && (0..files.len()).any(is_bare);
            let task = match (before, after) {
                _ if of_folder => name_of(folder(at)),
                ("", "") => name_of(folder(at)),
                ("", after) => after.to_owned(),
                (before, _) => before.to_owned(),
            };
            Named {
                task: task_name(&task),
                split,
            }
        })
        .collect()
}

/// A file's name without its ending, and without `.gz`.
fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let lower = name.to_lowercase();
    let name = match lower.strip_suffix(".gz") {
        Some(rest) => &name[..rest.len().min(name.len())],
        None => &name,
    };
    match Format::of_ending(Path::new(name)) {
        Some(_) => Path::new(name)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        None => name.to_owned(),
    }
}

/// What stands before and after the word of a name that says a split.
#[derive(Clone, Copy)]
struct Parts<'a> {
    before: &'a str,
    split: Option<Split>,
    after: &'a str,
}

fn is_separator(character: char) -> bool {
    !character.is_alphanumeric()
}

fn parts(stem: &str) -> Parts<'_> {
    let mut start = 0;
    for word in stem.split(is_separator) {
        let known = WORDS
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known));
        if let Some((_, split)) = known {
            return Parts {
                before: stem[..start].trim_matches(is_separator),
                split: Some(*split),
                after: stem[start + word.len()..].trim_matches(is_separator),
            };
        }
        start += word.len();
        start += stem[start..].chars().next().map_or(0, char::len_utf8);
    }
    Parts {
        before: stem,
        split: None,
        after: "",
    }
}

/// The name of a folder; of the working directory the one that it has above.
fn name_of(folder: &Path) -> String {
    let named = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    named
        .or_else(|| {
            let whole = std::path::absolute(folder).ok()?;
            Some(whole.file_name()?.to_string_lossy().into_owned())
        })
        .unwrap_or_default()
}

/// A text as the name of a task: small letters, digits and `_`.
fn task_name(text: &str) -> String {
    let mut name = String::new();
    for character in text.to_lowercase().chars() {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            // One for any number of them.
            _ if !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let name = name.trim_matches('_');
    match TaskId::new(name) {
        Ok(_) => name.to_owned(),
        // A digit first, a name that means something else, or nothing.
        Err(_) => format!("task_{name}").trim_end_matches('_').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(files: &[&str]) -> Vec<(String, &'static str)> {
        let all = name_all(files);
        let names = all
            .into_iter()
            .map(|it| (it.task, it.split.map_or("", Split::name)));
        names.collect()
    }

    #[test]
    fn a_name_says_task_and_split() {
        for (file, task, split) in [
            ("nli-train.csv", "nli", "train"),
            ("data/nli.dev.tsv.gz", "nli", "dev"),
            ("nli_Validation.JSONL", "nli", "dev"),
            ("ids-sst-test-student.csv", "ids_sst", "test"),
            ("train-nli.csv", "nli", "train"),
            ("nli/train.csv", "nli", "train"),
            ("My Data/test.tsv.GZ", "my_data", "test"),
            ("reviews.csv", "reviews", ""),
            ("trainer.csv", "trainer", ""),
            ("2024-reviews-val.json", "task_2024_reviews", "dev"),
            ("overall-train.csv", "task_overall", "train"),
            ("größe--train.csv", "gr_e", "train"),
            ("数据-train.csv", "task", "train"),
        ] {
            assert_eq!(named(&[file]), [(task.to_owned(), split)], "{file}");
        }
    }

    #[test]
    fn beside_a_bare_name_a_folder_names_the_task() {
        assert_eq!(
            named(&[
                "MNLI/train.tsv",
                "MNLI/dev_matched.tsv",
                "x/dev_matched.tsv"
            ]),
            [
                ("mnli".to_owned(), "train"),
                ("mnli".to_owned(), "dev"),
                ("matched".to_owned(), "dev")
            ]
        );
    }
}
