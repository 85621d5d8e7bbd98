//! `bertram-cli average`: one model of the mean of several runs' weights.

use bertram_kernels::TrainBackend;
use bertram_train::ensemble::{Member, Origin};
use bertram_train::pipeline::PipelineError;
use bertram_train::soup::average;

use super::ensemble::{NewFolder, members, mixture_error, report};
use super::finished;
use super::train::{command_line, options_of_run};
use crate::args::AverageArgs;
use crate::backend::{BackendJob, device_of, dispatch_with};
use crate::error::{CliResult, pipeline_error};
use crate::progress::PhaseDisplay;
use crate::version::commit;

/// Runs the command.
pub fn run(args: &AverageArgs) -> CliResult {
    let members = members(&args.runs)?;
    let kind = args.backend.kind()?;
    let options = options_of_run(members[0].run.path(), args.backend.device);
    let origin = Origin {
        command: command_line(),
        commit: commit(),
        backend: kind.name().to_owned(),
        device: device_of(kind, args.backend.device)?,
    };
    let folder = NewFolder::create(&args.out)?;
    let job = Average {
        args: args.clone(),
        members,
        origin,
        folder: &folder,
    };
    dispatch_with(kind, options, job)
        .and_then(|done| done)
        .inspect_err(|_| folder.remove())
}

struct Average<'a> {
    args: AverageArgs,
    members: Vec<Member>,
    origin: Origin,
    folder: &'a NewFolder,
}

impl BackendJob for Average<'_> {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let run = &self.folder.run;
        let lock = run.lock().map_err(PipelineError::from);
        let _lock = lock.map_err(pipeline_error)?;
        let clock = PhaseDisplay::clock();
        let summary = average::<B::InnerBackend>(
            &self.members,
            self.args.method.into(),
            self.args.seed,
            run,
            &self.origin,
            &device,
            &clock,
        )
        .map_err(mixture_error)?;
        report(&summary, run)?;
        finished::next_steps(&summary, run)
    }
}
