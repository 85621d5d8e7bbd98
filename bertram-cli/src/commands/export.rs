//! `bertram-cli export`: a run's model as a folder for other tools.

use bertram_kernels::TrainBackend;
use bertram_train::pipeline::export_run;
use bertram_train::run_folder::RunFolder;

use super::train::check_exported;
use crate::args::ExportArgs;
use crate::backend::{BackendJob, BackendKind, dispatch};
use crate::error::{CliResult, input, pipeline_error};
use crate::out;

/// Runs the command.
pub fn run(args: &ExportArgs) -> CliResult {
    // Weights are read and written, and nothing is computed: any backend will do.
    dispatch(
        BackendKind::default_of_build()?,
        None,
        Export { args: args.clone() },
    )?
}

struct Export {
    args: ExportArgs,
}

impl BackendJob for Export {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let (run, to) = (&self.args.run, &self.args.to);
        let run = RunFolder::open(run).map_err(|error| pipeline_error(error.into()))?;
        check_exported(&run)?;
        let occupied = match std::fs::read_dir(to) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(input(anyhow::anyhow!("{}: {error}", to.display()))),
        };
        if occupied {
            return Err(input(anyhow::anyhow!(
                "{} is not empty: name a new folder with --to",
                to.display()
            )));
        }
        export_run::<B::InnerBackend>(&run, to, &device).map_err(pipeline_error)?;
        let to = to.display();
        out::line(&format!("model: {to}"))?;
        out::line(&format!(
            "look through {to}/README.md, then upload it with Hugging Face's own tool: hf upload USER/NAME {to}"
        ))
    }
}
