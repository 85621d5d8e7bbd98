//! A Slurm job array: every run an independent task on a shared folder.

use std::fmt::Write as _;
use std::path::Path;

use bertram_core::fs::atomic_write;

use super::plan::PlannedRun;
use crate::args::{ExperimentsRunArgs, RunsArgs, SearchArgs};
use crate::error::{CliResult, work};
use crate::out;

/// Writes `experiments.sbatch` into the runs' folder. Its tasks work in the folder that this command was called in.
pub fn emit(args: &ExperimentsRunArgs, runs: &[PlannedRun]) -> CliResult {
    let words = |word: &dyn Fn(&PlannedRun) -> String| {
        let words: Vec<String> = runs.iter().map(word).collect();
        words.join(" ")
    };
    let arrays = [
        format!("experiments=({})", words(&|run| run.name.clone())),
        format!("seeds=({})", words(&|run| run.seed.to_string())),
    ];
    let command = format!(
        "{} experiments run --only \"${{experiments[$SLURM_ARRAY_TASK_ID]}}\" --seed \"${{seeds[$SLURM_ARRAY_TASK_ID]}}\" --configs {}{}",
        program()?,
        path(&args.configs),
        shared(&args.common)
    );
    let last = runs.len().max(1) - 1;
    let file = write(
        &args.common,
        "experiments.sbatch",
        (0, last),
        &arrays,
        &command,
    )?;
    out::line(&format!("sbatch {}", file.display()))?;
    report(&args.common)
}

/// Writes `search.sbatch` into the trials' folder: a task a trial.
pub fn emit_search(args: &SearchArgs) -> CliResult {
    let search = format!(
        "{} experiments search --config {} --space {} --trials {}",
        program()?,
        path(&args.config),
        path(&args.space),
        args.trials
    );
    let mut shared = shared(&args.common);
    if let Some(seed) = args.common.seed {
        let _ = write!(shared, " --seed {seed}");
    }
    let command = format!("{search} --only \"$SLURM_ARRAY_TASK_ID\"{shared}");
    let file = write(
        &args.common,
        "search.sbatch",
        (1, args.trials),
        &[],
        &command,
    )?;
    out::line(&format!("sbatch {}", file.display()))?;
    out::line(
        "then, to gather the scores in trials.csv: the same command without --emit; it makes nothing anew that is done",
    )?;
    report(&args.common)
}

fn report(args: &RunsArgs) -> CliResult {
    out::line(&format!(
        "then: bertram-cli report {} --out report.html",
        args.out.display()
    ))
}

/// Writes a script whose array has tasks of the numbers `from` to `to`.
fn write(
    args: &RunsArgs,
    name: &str,
    (from, to): (usize, usize),
    arrays: &[String],
    command: &str,
) -> CliResult<std::path::PathBuf> {
    std::fs::create_dir_all(&args.out).map_err(work)?;
    let file = args.out.join(name);
    let folder = std::env::current_dir().map_err(work)?;
    let lines = [
        "#!/bin/bash".to_owned(),
        "#SBATCH --job-name=bertram".to_owned(),
        format!("#SBATCH --array={from}-{to}"),
        format!("#SBATCH --chdir={}", folder.display()),
        format!("#SBATCH --output={}/slurm-%A_%a.log", args.out.display()),
        "# Add what your cluster wants: --partition, --gres=gpu:1, --time, --mem, --cpus-per-task."
            .to_owned(),
        "set -euo pipefail".to_owned(),
    ];
    let mut script = lines.join("\n");
    for line in arrays.iter().map(String::as_str).chain([command]) {
        script.push('\n');
        script.push_str(line);
    }
    script.push('\n');
    atomic_write(&file, script.as_bytes()).map_err(work)?;
    Ok(file)
}

/// The flags that all runs share, but for their seeds.
fn shared(args: &RunsArgs) -> String {
    let mut flags = String::new();
    let mut flag = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = write!(flags, " {name} {value}");
    };
    flag("--out", path(&args.out));
    if let Some(kind) = args.backend.backend {
        flag("--backend", kind.name().into());
    }
    if let Some(data) = &args.data {
        flag("--data", path(data));
    }
    if let Some(model) = &args.model {
        flag("--model", quote(model));
    }
    if let Some(scale) = args.rows_scale {
        flag("--rows-scale", scale.to_string());
    }
    if let Some(rows) = args.dev_rows {
        flag("--dev-rows", rows.to_string());
    }
    if let Some(epochs) = args.epochs {
        flag("--epochs", epochs.to_string());
    }
    if let Some(scale) = args.epochs_scale {
        flag("--epochs-scale", scale.to_string());
    }
    for set in &args.set {
        flag("--set", quote(set));
    }
    flags
}

fn program() -> CliResult<String> {
    Ok(path(&std::env::current_exe().map_err(work)?))
}

fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A word as a shell reads it.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
