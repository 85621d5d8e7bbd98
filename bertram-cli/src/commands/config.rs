//! `bertram-cli config`: check config files.

use bertram_train::config::Settings;

use crate::args::{ConfigArgs, ConfigCommand};
use crate::error::{CliError, CliResult};
use crate::out;

/// Runs the command. Every file is checked, whatever the others say.
pub fn run(args: &ConfigArgs) -> CliResult {
    let ConfigCommand::Validate { files } = &args.command;
    let mut bad = 0;
    for file in files {
        match Settings::load(file, &[]) {
            Ok(_) => out::line(&format!("{}: ok", file.display()))?,
            Err(error) => {
                bad += 1;
                out::note(&format!("error: {error}"));
            }
        }
    }
    if bad > 0 {
        return Err(CliError::Status(2));
    }
    Ok(())
}
