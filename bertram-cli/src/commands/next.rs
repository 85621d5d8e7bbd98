//! What there is to do with a finished run, as commands that can be typed.

use std::path::Path;

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
pub fn quoted(path: &Path) -> String {
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
