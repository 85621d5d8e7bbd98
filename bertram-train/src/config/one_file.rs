//! A config and all that it extends as one text, which works wherever it is put.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::extends::{self, BuiltIn, File, Origin};
use super::{ConfigError, read_config};

/// The text of a config file with what it extends written into it. Comments stay, but for those at the head of what it
/// extends.
///
/// # Errors
/// [`ConfigError`] of files that cannot be read, are not TOML, or extend what is not there. Keys are not checked.
pub fn file_in_one_file(path: &Path) -> Result<String, ConfigError> {
    let (name, text) = read_config(path)?;
    Ok(in_one_file(extends::chain(&name, &text, Origin::File)?))
}

/// As [`file_in_one_file`], of one of the configs of a program, which may extend others of `all`.
///
/// # Errors
/// Those of [`file_in_one_file`].
pub fn built_in_in_one_file(config: &BuiltIn, all: &[BuiltIn]) -> Result<String, ConfigError> {
    let origin = Origin::BuiltIn { this: config, all };
    let files = extends::chain(&config.shown(), config.text, origin)?;
    Ok(in_one_file(files))
}

/// `files` are a config and what it extends, itself first.
fn in_one_file(files: Vec<File>) -> String {
    let Some(first) = files.first() else {
        return String::new();
    };
    if files.len() == 1 {
        return first.text.clone();
    }
    let (head, _) = split_head(&first.text);
    let head = head.trim_end().to_owned();
    let mut whole = DocumentMut::new();
    for (number, file) in files.iter().enumerate().rev() {
        let (_, body) = split_head(&file.text);
        // The text is TOML with its head, and so it is without these lines of comments.
        let body: DocumentMut = body.parse().unwrap_or_default();
        for (key, item) in body.iter() {
            if key != extends::KEY && (number == 0 || extends::is_inherited(key, item)) {
                put(whole.as_table_mut(), body.as_table(), key, item);
            }
        }
    }
    let mut next = 0;
    place(whole.as_table_mut(), &mut next);
    let body = whole.to_string();
    let body = body.trim();
    match head.is_empty() {
        true => format!("{body}\n"),
        false => format!("{head}\n\n{body}\n"),
    }
}

/// The comments at the start of a text, and what comes after them.
fn split_head(text: &str) -> (&str, &str) {
    let is_head = |line: &&str| line.starts_with('#');
    let length = text.split_inclusive('\n').take_while(is_head);
    text.split_at(length.map(str::len).sum())
}

/// Puts an item of a table over what is there under its key: tables key by key, anything else as it is, with the comments above
/// its key.
fn put(into: &mut dyn TableLike, from: &dyn TableLike, key: &str, item: &Item) {
    let there = into.get_mut(key).and_then(Item::as_table_like_mut);
    if let (Some(from), Some(there)) = (item.as_table_like(), there) {
        for (key, item) in from.iter() {
            put(there, from, key, item);
        }
        return;
    }
    into.insert(key, item.clone());
    if let (Some(said), Some(mut put)) = (from.key(key), into.key_mut(key)) {
        *put.leaf_decor_mut() = said.leaf_decor().clone();
    }
}

/// Numbers tables in the order in which they were put, so that they are written in it: each came with its place in its own
/// text.
fn place(table: &mut Table, next: &mut isize) {
    table.set_position(*next);
    *next += 1;
    for (_, item) in table.iter_mut() {
        if let Item::Table(table) = item {
            place(table, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    const ALL: [BuiltIn; 3] = [
        BuiltIn {
            path: "base.toml",
            text: "# the base\n\n# what all share\n[train]\nepochs = 7   # a week\nseed = 1\n\n[tasks.sst]\n\n[tasks.sts]\nloss = \"mse\"\n\n[experiment]\nid = \"base\"\n",
        },
        BuiltIn {
            path: "more/second.toml",
            text: "extends = \"../base.toml\"\n",
        },
        BuiltIn {
            path: "third.toml",
            text: "# the third\n#\n# of three\n\nextends = \"base.toml\"\n\n[train]\nseed = 3\n# faster\nbatch-size = 16\n\n[tasks.sts]\nhead = \"concat\"\n\n[experiment]\nid = \"third\"\n",
        },
    ];

    #[test]
    fn what_is_extended_is_written_in_with_its_comments() {
        let whole = built_in_in_one_file(&ALL[2], &ALL).expect("whole");
        assert_eq!(
            whole,
            "# the third\n#\n# of three\n\n# what all share\n[train]\nepochs = 7   # a week\nseed = 3\n# faster\nbatch-size = 16\n\n[tasks.sst]\n\n[tasks.sts]\nloss = \"mse\"\nhead = \"concat\"\n\n[experiment]\nid = \"third\"\n"
        );
        let extended = Settings::load_built_in(&ALL[2], &ALL, &[]).expect("settings");
        let alone = Settings::from_text("whole", &whole, &[]).expect("settings");
        assert_eq!(extended.settings, alone);
        assert_eq!(alone.train.epochs, 7);
    }

    #[test]
    fn a_config_that_extends_nothing_is_as_it_was() {
        assert_eq!(
            built_in_in_one_file(&ALL[0], &ALL).expect("whole"),
            ALL[0].text
        );
    }

    #[test]
    fn files_are_put_together_as_built_in_ones_are() {
        let dir = tempfile::tempdir().expect("temp dir");
        for config in &ALL {
            let path = dir.path().join(config.path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(path, config.text).expect("written");
        }
        for config in &ALL {
            assert_eq!(
                file_in_one_file(&dir.path().join(config.path)).expect("whole"),
                built_in_in_one_file(config, &ALL).expect("whole")
            );
        }
    }

    #[test]
    fn what_is_not_built_in_is_named_with_its_line() {
        let error = built_in_in_one_file(&ALL[1], &ALL[1..]).expect_err("not there");
        assert_eq!(
            error.to_string(),
            "second (built in):1: extends: base.toml is not built in"
        );
        let itself = [BuiltIn {
            path: "one.toml",
            text: "extends = \"one.toml\"\n",
        }];
        let error = Settings::load_built_in(&itself[0], &itself, &[]).expect_err("a circle");
        assert!(error.to_string().contains("extends itself"), "{error}");
    }
}
