//! `bertram-cli data`: make data.

use bertram_core::data::{DemoConfig, DemoCorpus};

use crate::args::{DataArgs, DataCommand};
use crate::error::{CliResult, input, work};
use crate::out;

/// Runs the command.
pub fn run(args: &DataArgs) -> CliResult {
    let DataCommand::Demo {
        out: folder,
        seed,
        rows,
        dev_rows,
    } = &args.command;
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(input(anyhow::anyhow!(
            "{} is not empty: name a new folder",
            folder.display()
        )));
    }
    let corpus = DemoCorpus::generate(&DemoConfig {
        seed: *seed,
        sst: *rows,
        para: *rows,
        sts: *rows,
        dev: *dev_rows,
        test: *dev_rows,
    });
    for file in corpus.write(folder).map_err(work)? {
        out::line(&file.display().to_string())?;
    }
    Ok(())
}
