//! `bertram-cli`: train, evaluate, predict and encode with one multitask BERT.

mod allocator;
mod args;
mod backend;
mod backend_kind;
mod bench;
mod commands;
mod error;
mod gpu;
mod hub;
mod interrupt;
#[cfg(feature = "libtorch")]
mod libtorch;
mod logging;
mod out;
mod pretrained;
mod progress;
mod recipe;
mod table;
mod threads;
mod version;

use std::process::ExitCode;

use bertram_train::data_source::add_data_source;
use bertram_train::learner::leave_terminal;
use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    allocator::keep_memory();
    let cli = Cli::parse();
    out::set_quiet(cli.quiet);
    // A result ends what was shown of the way to it.
    out::before_results(gpu::settled);
    logging::start(cli.verbose, cli.quiet, gpu::log::listener());
    report_panics();
    add_data_source(hub::HubDatasets);
    let result = std::panic::catch_unwind(|| run(&cli.command));
    gpu::finish();
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let message = error.message();
            if !message.is_empty() {
                out::note(&message);
            }
            error.code()
        }
        // The hook has said what there is to say.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(command: &Command) -> error::CliResult {
    match command {
        Command::Train(args) => commands::train::run(args),
        Command::Evaluate(args) => commands::evaluate::run(args),
        Command::Predict(args) => commands::predict::run(args),
        Command::Encode(args) => commands::encode::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Ensemble(args) => commands::ensemble::run(args),
        Command::Average(args) => commands::average::run(args),
        Command::Calibrate(args) => commands::calibrate::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Runs(args) => commands::runs::run(args),
        Command::Backends => commands::backends::run(),
        Command::Config(args) => commands::config::run(args),
        Command::Experiments(args) => commands::experiments::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Tune(args) => commands::tune::run(args),
        Command::Data(args) => commands::data::run(args),
        Command::Completions { shell } => commands::completions::run(*shell),
    }
}

/// A panic is a bug of ours; say so in one line instead of a backtrace.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".into(), ToString::to_string);
        let line = format!(
            "error: internal error at {place}: {message}; this is a bug in bertram or in a library it uses, please report it with this line"
        );
        logging::note_in_run_log(&line);
        leave_terminal();
        out::note(&line);
    }));
}
