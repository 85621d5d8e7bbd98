//! `bertram-cli report`: finished runs, side by side.

use std::path::Path;

use anyhow::anyhow;
use bertram_core::fs::atomic_write;
use bertram_report::{Report, ReportError};

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
    if let Some(path) = &args.out {
        check_out(path)?;
    }
    let report = Report::read(&args.runs, args.baseline.as_deref()).map_err(report_error)?;
    for run in &report.unreadable {
        tracing::warn!("left out of the report: {}", run.reason);
    }
    let text = match format {
        ReportFormat::Html => report.html(&made()),
        ReportFormat::Markdown => report.markdown(),
        ReportFormat::Csv => report.csv(),
    }
    .map_err(report_error)?;
    match &args.out {
        None => out::line(text.trim_end()),
        Some(path) => {
            atomic_write(path, text.as_bytes()).map_err(work)?;
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
            out::line(&done)
        }
    }
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
            "{} is a folder: name a file with --out",
            path.display()
        )));
    }
    Ok(())
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
