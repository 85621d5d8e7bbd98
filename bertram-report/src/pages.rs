//! A folder of pages: an index of runs, one page of all of them side by side, and one of each.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::document::{Block, Document, Section, Table};
use crate::group::Group;
use crate::number;
use crate::read::RunRecord;
use crate::{Report, ReportError, html, section};

/// The page that a folder of pages begins with.
pub const INDEX: &str = "index.html";
/// All runs side by side.
const ALL: &str = "report.html";

/// File names and their texts. The index is the last: where there is one, all that it leads to is there.
pub(super) fn pages(report: &Report, made: &str) -> Result<Vec<(String, String)>, ReportError> {
    let mut names = Names::default();
    let mut pages = vec![(ALL.to_owned(), report.html(made)?)];
    let mut finished = Vec::new();
    for group in &report.groups {
        for run in group.runs.iter().chain(&group.repeats) {
            let name = names.of(&run.name);
            pages.push((name.clone(), of_one(run, report.with_texts).html(made)?));
            finished.push((name, group, run));
        }
    }
    pages.push((
        INDEX.to_owned(),
        html::page(&index(report, &finished), made)?,
    ));
    Ok(pages)
}

/// Names of files, each once, of characters that need no care in an address.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn of(&mut self, run: &str) -> String {
        let plain: String = run
            .chars()
            .map(|it| match it {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => it,
                _ => '-',
            })
            .collect();
        // A folder may be called as our own pages are, or as another but for such characters.
        let plain = plain.trim_start_matches('.');
        let mut name = format!("run-{plain}.html");
        let mut number = 1;
        // Some systems take upper and lower case for one.
        while !self.0.insert(name.to_lowercase()) {
            number += 1;
            name = format!("run-{plain}-{number}.html");
        }
        name
    }
}

/// The report of one run.
fn of_one(run: &RunRecord, with_texts: bool) -> Report {
    Report {
        groups: vec![Group {
            label: run.name.clone(),
            runs: vec![run.clone()],
            repeats: Vec::new(),
        }],
        baseline: 0,
        baseline_chosen: false,
        unfinished: Vec::new(),
        unreadable: Vec::new(),
        searches: Vec::new(),
        with_texts,
        found: OnceLock::new(),
    }
}

fn index(report: &Report, finished: &[(String, &Group, &RunRecord)]) -> Document {
    let measures = report.measures();
    let columns = ["Run", "Setting", "#Seed"].map(str::to_owned).into_iter();
    let columns = columns.chain(
        measures
            .iter()
            .map(|it| format!("#{}", section::heading(report, *it))),
    );
    let columns = columns.chain(["#Wall time", "Began (UTC)"].map(str::to_owned));
    let mut table = Table::new(
        "Finished runs, with the scores of their exported models on dev. A name leads to the run's page.",
        columns,
    );
    for (name, group, run) in finished {
        let scores = measures
            .iter()
            .map(|it| number::optional(it.of(&run.summary.dev)));
        let start = [
            run.name.clone(),
            group.label.clone(),
            run.settings.train.seed.to_string(),
        ];
        let seconds = match run.summary.wall_seconds > 0.0 {
            true => run.summary.wall_seconds,
            // Of versions that did not count it.
            false => run.summary.seconds,
        };
        let end = [number::seconds(seconds), section::began(run)];
        table.linked(name.clone(), start.into_iter().chain(scores).chain(end));
    }
    let mut all = Table::new("", ["Page", "What it has"]);
    all.linked(
        ALL.to_owned(),
        [
            "All runs side by side".to_owned(),
            format!(
                "{}, by seeds where they differ in nothing else",
                number::of(report.groups.len(), "setting")
            ),
        ],
    );
    let sections = [
        Some(Section {
            id: "runs",
            heading: "Runs".into(),
            blocks: vec![Block::table(table)],
        }),
        Some(Section {
            id: "compared",
            heading: "Compared".into(),
            blocks: vec![Block::table(all)],
        }),
        section::unfinished(report),
        section::unreadable(report),
    ];
    Document {
        title: match finished.len() {
            1 => "1 run".into(),
            count => format!("{count} runs"),
        },
        summary: section::summary(report),
        sections: sections.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_file_of_its_own() {
        let mut names = Names::default();
        assert_eq!(names.of("e04/seed=1"), "run-e04-seed-1.html");
        assert_eq!(names.of("e04/seed 1"), "run-e04-seed-1-2.html");
        assert_eq!(names.of("E04-seed-1"), "run-E04-seed-1-3.html");
        assert_eq!(names.of("..größe"), "run-gr--e.html");
    }
}
