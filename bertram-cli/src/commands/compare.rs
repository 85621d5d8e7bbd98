//! `bertram-cli compare`: whether one run is better than another, or chance.

use std::path::{Path, PathBuf};

use bertram_report::comparison::{CompareError, ComparedRun, Difference, Test, Verdict};
use bertram_report::statistics::Resampling;
use bertram_report::{Comparison, Statistic};
use comfy_table::{Table, presets};

use super::bench::right_align;
use crate::args::CompareArgs;
use crate::error::{CliError, CliResult, input, work};
use crate::out;

/// Runs the command.
pub fn run(args: &CompareArgs) -> CliResult {
    let (a, b) = (folders(&args.a), folders(&args.b));
    let split = args.split.into();
    let found = Comparison::new(&a, &b, &args.tasks, split, &Resampling::default())
        .map_err(compare_error)?;
    for warning in &found.warnings {
        tracing::warn!("{warning}");
    }
    if args.json {
        return out::line(&serde_json::to_string_pretty(&found).map_err(work)?);
    }
    if found.split != "dev" {
        out::line(&format!("on the {} rows", found.split))?;
    }
    out::line(&side("A", &found.a))?;
    out::line(&side("B", &found.b))?;
    out::line(&table(&found).to_string())?;
    found.all().try_for_each(|row| out::line(&said(row)))?;
    out::line(&legend(&found))
}

/// The folders that a side names: one, though its name has a comma, or several with commas between them.
fn folders(side: &str) -> Vec<PathBuf> {
    match Path::new(side).exists() {
        true => vec![side.into()],
        false => side
            .split(',')
            .filter(|part| !part.is_empty())
            .flat_map(|part| matching(Path::new(part)))
            .collect(),
    }
}

/// The folders that a path means whose last name has a `*` in it, for any text: `runs/e04-*`. The path itself where it has
/// none, or where there is no such folder, which is then the one that is missed.
fn matching(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str());
    let parts = name.and_then(|name| name.split_once('*'));
    let Some((before, after)) = parts.filter(|_| !path.exists()) else {
        return vec![path.to_owned()];
    };
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(before));
            rest.is_some_and(|rest| rest.ends_with(after)) && entry.path().is_dir()
        })
        .map(|entry| path.with_file_name(entry.file_name()))
        .collect();
    found.sort();
    match found.is_empty() {
        true => vec![path.to_owned()],
        false => found,
    }
}

fn compare_error(error: CompareError) -> CliError {
    if error.is_input() {
        input(error)
    } else {
        work(error)
    }
}

/// A line that names the runs of a side.
fn side(name: &str, runs: &[ComparedRun]) -> String {
    let run = |run: &ComparedRun| {
        let epoch = match run.best_epoch {
            0 => String::new(),
            epoch => format!(", epoch {epoch}"),
        };
        format!("{} (seed {}{epoch})", run.run.display(), run.seed)
    };
    let runs: Vec<String> = runs.iter().map(run).collect();
    format!("{name}: {}", runs.join(", "))
}

fn table(found: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let confidence = percent(found.confidence);
    table.set_header([
        "task",
        "",
        "A",
        "B",
        "B - A",
        &format!("{confidence} interval"),
        "p",
        "p (Holm)",
    ]);
    for row in found.all() {
        let p = |p: Option<f64>| p.map_or_else(String::new, p_value);
        table.add_row([
            row.name.clone(),
            row.metric
                .map_or("", bertram_core::task::Metric::name)
                .to_owned(),
            score(&row.a),
            score(&row.b),
            difference(row.difference),
            format!(
                "{} to {}",
                difference(row.interval.low),
                difference(row.interval.high)
            ),
            p(row.p_value),
            p(row.p_holm),
        ]);
    }
    right_align(&mut table, &[2, 3, 4, 5, 6, 7]);
    table
}

/// What may be said of a difference, in a sentence.
fn said(row: &Difference) -> String {
    let Difference {
        name,
        rows,
        half_width,
        ..
    } = row;
    let verdict = match row.verdict {
        Verdict::A => format!("A is better by {:.3}", row.difference.abs()),
        Verdict::B => format!("B is better by {:.3}", row.difference.abs()),
        Verdict::NotShown if row.test.is_none() => "not tested".to_owned(),
        Verdict::NotShown => "no difference shown".to_owned(),
    };
    // Runs that say the same of every row are apart by nothing, on any rows.
    match *half_width > 0.0 {
        true => {
            format!("{name}: {verdict}; at {rows} rows a difference under {half_width:.3} is noise")
        }
        false => format!("{name}: {verdict} at {rows} rows"),
    }
}

/// What the numbers are.
fn legend(found: &Comparison) -> String {
    let tests: Vec<&str> = [
        (Test::Mcnemar, "exact McNemar (accuracy)"),
        (Test::Randomisation, "approximate randomisation"),
        (Test::PairedT, "paired t over seeds"),
        (Test::Welch, "Welch's t over seeds"),
    ]
    .into_iter()
    .filter(|(test, _)| found.all().any(|row| row.test == Some(*test)))
    .map(|(_, name)| name)
    .collect();
    let over = match found.a.len() + found.b.len() {
        2 => "rows",
        _ => "seeds and rows",
    };
    let p = match tests.is_empty() {
        true => String::new(),
        false => format!("p: {}; ", tests.join(", ")),
    };
    format!(
        "{p}interval: bootstrap over {over}, {} draws, seed {}",
        found.resamples, found.seed
    )
}

/// Of one run its score; of several the mean, and the spread over seeds.
fn score(scores: &[f64]) -> String {
    match Statistic::new(scores) {
        None => String::new(),
        Some(Statistic { mean, sd: None, .. }) => format!("{mean:.3}"),
        Some(Statistic {
            mean, sd: Some(sd), ..
        }) => format!("{mean:.3} ± {sd:.3}"),
    }
}

/// With its sign; what rounds to zero has none.
fn difference(number: f64) -> String {
    match format!("{number:+.3}").as_str() {
        "+0.000" | "-0.000" => "0.000".to_owned(),
        text => text.to_owned(),
    }
}

fn p_value(p: f64) -> String {
    match p < 0.001 {
        true => "<0.001".to_owned(),
        false => format!("{p:.3}"),
    }
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(percent(0.95), "95 %");
        assert_eq!(
            (p_value(0.0004), p_value(0.25)),
            ("<0.001".into(), "0.250".into())
        );
        assert_eq!(
            (difference(-1e-9), difference(0.0204)),
            ("0.000".into(), "+0.020".into())
        );
        assert_eq!(
            (score(&[0.5]), score(&[0.4, 0.5])),
            ("0.500".into(), "0.450 ± 0.071".into())
        );
    }

    #[test]
    fn a_folder_may_have_a_comma_in_its_name() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("a,b");
        std::fs::create_dir(&path).expect("folder");
        assert_eq!(folders(&path.display().to_string()), [path]);
        assert_eq!(folders("a,b,"), [PathBuf::from("a"), PathBuf::from("b")]);
    }

    #[test]
    fn a_star_is_any_text() {
        let dir = tempfile::tempdir().expect("temp dir");
        for name in ["e04-seed2", "e04-seed1", "e11-seed1"] {
            std::fs::create_dir(dir.path().join(name)).expect("folder");
        }
        std::fs::write(dir.path().join("e04-notes"), "").expect("file");
        let found = |name: &str| folders(&dir.path().join(name).display().to_string());
        let names = ["e04-seed1", "e04-seed2"].map(|name| dir.path().join(name));
        assert_eq!(found("e04-*"), names);
        assert_eq!(found("e04*1"), names[..1]);
        assert_eq!(found("e05-*"), [dir.path().join("e05-*")]);
    }
}
