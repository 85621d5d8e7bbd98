//! `bertram-cli config list` and `show`: the recipes.

use std::path::Path;

use crate::error::{CliResult, input};
use crate::out;
use crate::recipe::Recipe;

/// A line for each recipe: its name, what it is, and its file where it is not the one that is built in.
pub fn list() -> CliResult {
    let recipes = Recipe::all();
    let names: Vec<String> = recipes.iter().map(|it| it.name().into_owned()).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default();
    for (recipe, name) in recipes.iter().zip(names) {
        let about = recipe.text().map(|text| about(&text)).unwrap_or_default();
        let file = match recipe {
            Recipe::BuiltIn(_) => String::new(),
            Recipe::File(path) => format!("({})", path.display()),
        };
        let line = format!("{name:width$}  {about} {file}");
        out::line(line.trim_end())?;
    }
    Ok(())
}

/// A recipe's text.
pub fn show(name: &Path) -> CliResult {
    let text = Recipe::named(name).text().map_err(input)?;
    out::line(text.trim_end())
}

/// What a recipe is, in a few words: its experiment's title, or the beginning of what its head says after the first line,
/// which is the command that runs it.
fn about(text: &str) -> String {
    // A file that is no config has no title, and is said to be none by whoever loads it.
    let title = text.lines().skip_while(|line| *line != "[experiment]");
    let title = title.skip(1).find_map(|line| {
        let title = line.strip_prefix("title = \"")?;
        title.strip_suffix('"')
    });
    if let Some(title) = title {
        return title.to_owned();
    }
    let head: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .skip(1)
        .map(str::trim)
        .collect();
    let head = head.join(" ");
    let end = [". ", ": ", "; "].iter().filter_map(|end| head.find(end));
    let head = end.min().map_or(head.as_str(), |end| &head[..end]);
    head.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_told_by_its_title_or_its_head() {
        assert_eq!(
            about("# x\n[experiment]\ntitle = \"one, two\"\n"),
            "one, two"
        );
        assert_eq!(
            about("# run me\n#\n# Three tasks: all\n# small.\n\n[model]\n"),
            "Three tasks"
        );
        assert_eq!(
            about("# run me\n#\n# Over two\n# lines.\n[data]\n# no\n"),
            "Over two lines"
        );
        assert_eq!(about("[model]\n"), "");
    }
}
