//! `bertram-cli experiments`: the experiments of Table 1, ablations and searches, as many runs as they take.

mod execute;
mod list;
mod plan;
mod search;
mod slurm;

use comfy_table::{CellAlignment, Table, presets};

use crate::args::{
    AblateArgs, ExperimentsArgs, ExperimentsCommand, ExperimentsListArgs, ExperimentsRunArgs,
};
use crate::error::{CliResult, input};
use crate::out;
use crate::recipe::Recipe;

/// Runs the command.
pub fn run(args: &ExperimentsArgs) -> CliResult {
    match &args.command {
        ExperimentsCommand::List(args) => show(args),
        ExperimentsCommand::Run(args) => run_all(args),
        ExperimentsCommand::Ablate(args) => ablate(args),
        ExperimentsCommand::Search(args) => search::run(args),
        ExperimentsCommand::Report(args) => super::report::run(args),
    }
}

fn show(args: &ExperimentsListArgs) -> CliResult {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "what", "sst", "para", "sts", "overall", "file"]);
    let score = |score: Option<f64>| score.map_or("-".to_owned(), |score| format!("{score:.3}"));
    for recipe in plan::experiment_recipes(&args.configs)? {
        let settings = recipe.settings(&[]).map_err(input)?;
        let experiment = settings.experiment.unwrap_or_default();
        let paper = experiment.paper.unwrap_or_default();
        table.add_row([
            recipe.name().into_owned(),
            experiment.title.unwrap_or_default(),
            score(paper.sst),
            score(paper.para),
            score(paper.sts),
            score(paper.overall),
            match recipe {
                Recipe::BuiltIn(_) => "built in".to_owned(),
                Recipe::File(path) => path.display().to_string(),
            },
        ]);
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    out::line(&table.to_string())?;
    out::line("scores: the paper's (Table 1)")
}

fn run_all(args: &ExperimentsRunArgs) -> CliResult {
    let runs = plan::experiments(args)?;
    if args.emit.is_some() {
        return slurm::emit(args, &runs);
    }
    list::make(&runs, &args.common)
}

fn ablate(args: &AblateArgs) -> CliResult {
    let runs = plan::ablation(args)?;
    list::make(&runs, &args.common)
}

/// The name of a run's folder.
fn run_folder_name(name: &str, seed: u64) -> String {
    format!("{name}-seed{seed}")
}
