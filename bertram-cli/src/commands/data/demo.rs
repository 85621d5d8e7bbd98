//! `bertram-cli data demo`: make data.

use bertram_core::data::{DemoConfig, DemoCorpus, write_own_tasks};

use crate::args::DemoArgs;
use crate::error::{CliResult, input, work};
use crate::out;

/// Runs the command.
pub fn run(args: &DemoArgs) -> CliResult {
    let DemoArgs {
        out: corpus,
        own_tasks,
        seed,
        rows,
        dev_rows,
    } = args;
    // One of the two is there: the arguments ask for it.
    let Some(folder) = own_tasks.as_ref().or(corpus.as_ref()) else {
        return Ok(());
    };
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(input(anyhow::anyhow!(
            "{} is not empty: name a new folder",
            folder.display()
        )));
    }
    if *rows == 0 || *dev_rows == 0 {
        return Err(input(anyhow::anyhow!(
            "--rows and --dev-rows must be at least 1: without rows there is nothing to train on or to score"
        )));
    }
    let config = DemoConfig {
        seed: *seed,
        sst: *rows,
        para: *rows,
        sts: *rows,
        dev: *dev_rows,
        test: *dev_rows,
    };
    let files = match own_tasks {
        Some(_) => write_own_tasks(folder, &config),
        None => DemoCorpus::generate(&config).write(folder),
    };
    for file in files.map_err(work)? {
        out::line(&file.display().to_string())?;
    }
    Ok(())
}
