//! `bertram-cli config`: recipes and checks.

mod recipes;
mod validate;

use crate::args::{ConfigArgs, ConfigCommand};
use crate::error::CliResult;

/// Runs the command.
pub fn run(args: &ConfigArgs) -> CliResult {
    match &args.command {
        ConfigCommand::List => recipes::list(),
        ConfigCommand::Show { name } => recipes::show(name),
        ConfigCommand::Validate(args) => validate::run(args),
    }
}
