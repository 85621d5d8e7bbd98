//! `bertram-cli completions`: completion scripts for shells.

use clap::CommandFactory;

use super::texts::Output;
use crate::args::Cli;
use crate::error::CliResult;

/// Runs the command.
pub fn run(shell: clap_complete::Shell) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bertram-cli", &mut script);
    Output::new(None).write(&String::from_utf8_lossy(&script))?;
    Ok(())
}
