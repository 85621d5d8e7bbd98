//! `bertram-cli config`: recipes, configs for data files, and checks.

mod init;
mod recipes;
mod validate;

use crate::args::{ConfigArgs, ConfigCommand};
use crate::error::CliResult;

/// Runs the command.
pub fn run(args: &ConfigArgs) -> CliResult {
    match &args.command {
        ConfigCommand::List => recipes::list(),
        ConfigCommand::Show { name } => recipes::show(name),
        ConfigCommand::Init(args) => init::run(args),
        ConfigCommand::Validate(args) => validate::run(args),
    }
}
