//! `bertram-cli data`: make data, and say what is in it.

mod demo;
mod describe;

use crate::args::{DataArgs, DataCommand};
use crate::error::CliResult;

/// Runs the command.
pub fn run(args: &DataArgs) -> CliResult {
    match &args.command {
        DataCommand::Demo(args) => demo::run(args),
        DataCommand::Describe(args) => describe::run(args),
    }
}
