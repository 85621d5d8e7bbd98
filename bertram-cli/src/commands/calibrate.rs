//! `bertram-cli calibrate`: temperatures of a finished run's probabilities.

use bertram_kernels::TrainBackend;
use bertram_train::calibration::Calibration;
use bertram_train::phase::Phase;
use bertram_train::pipeline::{PipelineError, calibrate};
use bertram_train::run_folder::RunFolder;
use comfy_table::{Table, presets};

use super::bench::right_align;
use super::train::{check_exported, options_of_run};
use crate::args::CalibrateArgs;
use crate::backend::{BackendJob, dispatch_with};
use crate::error::{CliResult, input, pipeline_error, work};
use crate::out;
use crate::progress::PhaseDisplay;

/// Runs the command.
pub fn run(args: &CalibrateArgs) -> CliResult {
    let run = RunFolder::open(&args.run).map_err(PipelineError::from);
    let run = run.map_err(pipeline_error)?;
    check_exported(&run)?;
    let options = options_of_run(&args.run, args.backend.device);
    let job = Calibrate {
        args: args.clone(),
        run,
    };
    dispatch_with(args.backend.kind()?, options, job)?
}

struct Calibrate {
    args: CalibrateArgs,
    run: RunFolder,
}

impl BackendJob for Calibrate {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let clock = PhaseDisplay::clock();
        clock.enter_part(Phase::Predicting, "dev");
        let seed = self.args.seed;
        let found = calibrate::<B::InnerBackend>(&self.run, seed, &device, |done, rows| {
            clock.progress(done, rows);
        })
        .map_err(pipeline_error)?;
        clock.end();
        if found.tasks.is_empty() {
            return Err(input(anyhow::anyhow!(
                "{}: no task has classes or yes and no, and two labelled dev rows or more: there is nothing to calibrate",
                self.run.path().display()
            )));
        }
        if self.args.json {
            return out::line(&serde_json::to_string_pretty(&found).map_err(work)?);
        }
        out::line(&table(&found).to_string())?;
        out::line("after: fitted on one half of dev and scored on the other, both ways")?;
        let path = Calibration::path(&self.run.model());
        out::line(&format!("temperatures: {}", path.display()))
    }
}

fn table(found: &Calibration) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "task",
        "temperature",
        "NLL before",
        "after",
        "ECE before",
        "after",
        "rows",
    ]);
    for (task, it) in &found.tasks {
        table.add_row([
            task.name().to_owned(),
            format!("{:.3}", it.temperature),
            format!("{:.4}", it.before.nll),
            format!("{:.4}", it.after.nll),
            format!("{:.4}", it.before.ece),
            format!("{:.4}", it.after.ece),
            it.rows.to_string(),
        ]);
    }
    right_align(&mut table, &[1, 2, 3, 4, 5, 6]);
    table
}
