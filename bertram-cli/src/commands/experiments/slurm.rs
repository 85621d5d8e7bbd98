//! A Slurm job array: every run an independent task on a shared folder.

use std::fmt::Write as _;

use bertram_core::fs::atomic_write;

use super::plan::PlannedRun;
use crate::args::ExperimentsRunArgs;
use crate::error::{CliResult, work};
use crate::out;

/// Writes `experiments.sbatch` into the runs' folder. Its tasks work in the folder that this command was called in.
pub fn emit(args: &ExperimentsRunArgs, runs: &[PlannedRun]) -> CliResult {
    std::fs::create_dir_all(&args.common.out).map_err(work)?;
    let path = args.common.out.join("experiments.sbatch");
    let program = std::env::current_exe().map_err(work)?;
    let mut script = String::from("#!/bin/bash\n#SBATCH --job-name=bertram\n");
    let text = |value: &std::path::Path| quote(&value.to_string_lossy());
    let mut line = |text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(script, "{text}");
    };
    line(format!("#SBATCH --array=0-{}", runs.len().max(1) - 1));
    let folder = std::env::current_dir().map_err(work)?;
    line(format!("#SBATCH --chdir={}", folder.display()));
    line(format!(
        "#SBATCH --output={}/slurm-%A_%a.log",
        args.common.out.display()
    ));
    line(
        "# Add what your cluster wants: --partition, --gres=gpu:1, --time, --mem, --cpus-per-task."
            .into(),
    );
    line("set -euo pipefail".into());
    line(format!(
        "experiments=({})",
        runs.iter()
            .map(|run| run.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    ));
    line(format!(
        "seeds=({})",
        runs.iter()
            .map(|run| run.seed.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    ));
    let mut command = format!(
        "{} experiments run --only \"${{experiments[$SLURM_ARRAY_TASK_ID]}}\" --seed \"${{seeds[$SLURM_ARRAY_TASK_ID]}}\"",
        text(&program)
    );
    let mut flag = |name: &str, value: String| {
        let _ = write!(command, " {name} {value}");
    };
    flag("--configs", text(&args.configs));
    flag("--out", text(&args.common.out));
    if let Some(kind) = args.common.backend.backend {
        flag("--backend", kind.name().into());
    }
    if let Some(data) = &args.common.data {
        flag("--data", text(data));
    }
    if let Some(model) = &args.common.model {
        flag("--model", quote(model));
    }
    if let Some(scale) = args.common.rows_scale {
        flag("--rows-scale", scale.to_string());
    }
    if let Some(rows) = args.common.dev_rows {
        flag("--dev-rows", rows.to_string());
    }
    if let Some(epochs) = args.common.epochs {
        flag("--epochs", epochs.to_string());
    }
    if let Some(scale) = args.common.epochs_scale {
        flag("--epochs-scale", scale.to_string());
    }
    for set in &args.common.set {
        flag("--set", quote(set));
    }
    let _ = writeln!(script, "{command}");
    atomic_write(&path, script.as_bytes()).map_err(work)?;
    out::line(&format!("sbatch {}", path.display()))?;
    out::line(&format!(
        "then: bertram-cli report {} --out report.html",
        args.common.out.display()
    ))
}

/// A word as a shell reads it.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
