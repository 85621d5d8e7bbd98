//! `bertram-cli report`: finished runs, side by side.

use std::path::Path;

use anyhow::anyhow;
use bertram_core::fs::atomic_write;
use bertram_report::{INDEX, Report, ReportError};

use crate::args::{ReportArgs, ReportFormat};
use crate::error::{CliError, CliResult, input, work};
use crate::out;

/// Runs the command.
pub fn run(args: &ReportArgs) -> CliResult {
    out::check_folder_of(args.out.as_deref())?;
    let format = args.format.unwrap_or_else(|| by_name(args.out.as_deref()));
    if format == ReportFormat::Html && args.out.is_none() {
        return Err(input(anyhow!(
            "a page is not for the terminal: name its file with --out report.html, or take --format markdown or csv"
        )));
    }
    if format == ReportFormat::Pages {
        return pages(args);
    }
    if let Some(path) = &args.out {
        check_out(path)?;
    }
    let report = read(args)?;
    let text = match format {
        ReportFormat::Markdown => report.markdown(),
        ReportFormat::Csv => report.csv(),
        ReportFormat::Html | ReportFormat::Pages => report.html(&made()),
    }
    .map_err(report_error)?;
    match &args.out {
        None => out::line(text.trim_end()),
        Some(path) => {
            atomic_write(path, text.as_bytes()).map_err(work)?;
            out::line(&done(path, &report))
        }
    }
}

/// Writes a folder of pages.
fn pages(args: &ReportArgs) -> CliResult {
    let Some(folder) = &args.out else {
        return Err(input(anyhow!(
            "pages are not for the terminal: name their folder with --out pages"
        )));
    };
    check_pages(folder)?;
    let report = read(args)?;
    let pages = report.pages(&made()).map_err(report_error)?;
    std::fs::create_dir_all(folder)
        .map_err(|error| work(anyhow!("{}: {error}", folder.display())))?;
    for (name, text) in &pages {
        atomic_write(&folder.join(name), text.as_bytes()).map_err(work)?;
    }
    out::line(&done(&folder.join(INDEX), &report))
}

fn read(args: &ReportArgs) -> CliResult<Report> {
    let mut report = Report::read(&args.runs, args.baseline.as_deref()).map_err(report_error)?;
    report.with_texts = !args.no_texts;
    for run in &report.unreadable {
        tracing::warn!("left out of the report: {}", run.reason);
    }
    Ok(report)
}

/// What was written, and of what.
fn done(path: &Path, report: &Report) -> String {
    let runs: usize = report.groups.iter().map(|group| group.runs.len()).sum();
    let mut done = format!(
        "{}: {}, {}",
        path.display(),
        counted(runs, "run"),
        counted(report.groups.len(), "setting")
    );
    if !report.unfinished.is_empty() {
        done.push_str(&format!("; {} not finished", report.unfinished.len()));
    }
    if !report.unreadable.is_empty() {
        done.push_str(&format!("; {} not readable", report.unreadable.len()));
    }
    done
}

fn by_name(out: Option<&Path>) -> ReportFormat {
    match out.and_then(Path::extension).and_then(|it| it.to_str()) {
        Some("md" | "markdown") => ReportFormat::Markdown,
        Some("csv") => ReportFormat::Csv,
        _ => ReportFormat::Html,
    }
}

/// What can be said of `--out` before the runs are read.
fn check_out(path: &Path) -> CliResult {
    if path.is_dir() {
        return Err(input(anyhow!(
            "{} is a folder: name a file with --out, or take --format pages",
            path.display()
        )));
    }
    Ok(())
}

/// Refuses to put pages among other files: into a folder that is there go new pages in the place of old ones only.
fn check_pages(path: &Path) -> CliResult {
    let problem = match std::fs::read_dir(path) {
        Ok(mut entries) => {
            let is_other = entries.next().is_some() && !path.join(INDEX).is_file();
            is_other.then_some("has other files in it")
        }
        Err(_) => path.exists().then_some("is no folder"),
    };
    match problem {
        Some(problem) => Err(input(anyhow!(
            "{} {problem}: name a new folder with --out, or one of earlier pages",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// The foot of a page.
fn made() -> String {
    format!(
        "Made by bertram-cli {} report on {} (UTC).",
        env!("CARGO_PKG_VERSION"),
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M")
    )
}

fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

fn report_error(error: ReportError) -> CliError {
    if error.is_input() {
        input(error)
    } else {
        work(error)
    }
}
