//! Which runs there are to make.

use std::path::{Path, PathBuf};

use bertram_core::task::{LabelKind, Legal, names};
use bertram_report::experiment::{Cell, Factor, full_factorial, half_fraction};
use bertram_train::config::{Settings, TaskSettings, quoted};
use bertram_train::schedule::ScheduleKind;

use super::run_folder_name;
use crate::args::{AblateArgs, EXPERIMENTS, ExperimentsRunArgs, RunsArgs};
use crate::error::{CliResult, input};
use crate::recipe::{Recipe, toml_files};

/// One run to make.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// What it is called: `e04`, or `smart=on,order=fixed`.
    pub name: String,
    /// Its config.
    pub config: Recipe,
    /// Its seed.
    pub seed: u64,
    /// What is set over the config.
    pub sets: Vec<String>,
    /// Its folder.
    pub folder: PathBuf,
}

/// The experiments of a folder, in the order of their names; those that are built in where the usual folder is not there.
/// What others extend is none.
pub fn experiment_recipes(folder: &Path) -> CliResult<Vec<Recipe>> {
    let recipes = if folder == Path::new(EXPERIMENTS) && !folder.exists() {
        Recipe::built_in_below("experiments")
    } else {
        let files = toml_files(folder).map_err(|error| {
            input(anyhow::anyhow!(
                "{}: {error}; name the folder of experiment configs with --configs",
                folder.display()
            ))
        })?;
        files.into_iter().map(Recipe::File).collect()
    };
    let is_experiment = |recipe: &Recipe| recipe.name() != "base";
    Ok(recipes.into_iter().filter(is_experiment).collect())
}

/// The runs of `experiments run`.
pub fn experiments(args: &ExperimentsRunArgs) -> CliResult<Vec<PlannedRun>> {
    let recipes = experiment_recipes(&args.configs)?;
    for wanted in &args.only {
        if !recipes.iter().any(|recipe| recipe.name() == *wanted) {
            let known: Vec<_> = recipes.iter().map(Recipe::name).collect();
            return Err(input(anyhow::anyhow!(
                "--only {wanted}: {} has {}",
                args.configs.display(),
                known.join(", ")
            )));
        }
    }
    let wanted = |recipe: &Recipe| {
        args.only.is_empty() || args.only.iter().any(|wanted| *wanted == recipe.name())
    };
    let mut runs = Vec::new();
    // Seeds outermost: a stopped grid has whole replicates.
    let mut checked = Vec::new();
    for recipe in recipes.into_iter().filter(wanted) {
        // All configs are checked before the first one costs an hour.
        let (sets, settings) = load(&recipe, &args.common)?;
        checked.push((recipe, sets, seeds(&args.common, &settings)));
    }
    for replicate in 0..args.common.replicates() {
        for (recipe, sets, seeds) in &checked {
            let seed = seeds[replicate];
            let name = recipe.name().into_owned();
            runs.push(PlannedRun {
                folder: args.common.out.join(run_folder_name(&name, seed)),
                name,
                config: recipe.clone(),
                seed,
                sets: sets.clone(),
            });
        }
    }
    Ok(runs)
}

/// The runs of `experiments ablate`.
pub fn ablation(args: &AblateArgs) -> CliResult<Vec<PlannedRun>> {
    let recipe = Recipe::named(&args.config);
    let (common, base) = load(&recipe, &args.common)?;
    let combined = base.train.schedule == ScheduleKind::Combined;
    let factors: Vec<Factor> = args
        .factors
        .iter()
        .map(String::as_str)
        .map(factor)
        .collect::<CliResult<_>>()?;
    let cells = if args.half {
        half_fraction(&factors).map_err(input)?
    } else {
        full_factorial(&factors)
    };
    for factor in &factors {
        say_kept(factor, &base.tasks);
    }
    let mut checked = Vec::new();
    for cell in cells {
        let name: Vec<String> = factors
            .iter()
            .filter_map(|factor| Some(format!("{}={}", factor.name, cell.get(&factor.name)?)))
            .collect();
        let name = name.join(",");
        let mut sets = common.clone();
        // What the config says of itself, the paper's scores among it, is said of none of the cells.
        sets.push("experiment={}".to_owned());
        let combined = cell
            .get("schedule")
            .map_or(combined, |level| level == "combined");
        for (factor, level) in &cell {
            let changes = level_sets(factor, level, combined, &base.tasks)?;
            if changes.is_empty() {
                return Err(input(anyhow::anyhow!(
                    "--factors {factor}={level}: no task of the config takes this {factor}"
                )));
            }
            sets.extend(changes);
            sets.push(format!("experiment.levels.{factor}={level:?}"));
        }
        sets.push(format!("experiment.id={:?}", changes(&factors, &cell)));
        sets.push(format!("experiment.title={name:?}"));
        let settings = recipe.settings(&sets).map_err(input)?;
        checked.push((name, sets, seeds(&args.common, &settings)));
    }
    let mut runs = Vec::new();
    for replicate in 0..args.common.replicates() {
        for (name, sets, seeds) in &checked {
            let seed = seeds[replicate];
            runs.push(PlannedRun {
                name: name.clone(),
                config: recipe.clone(),
                seed,
                sets: sets.clone(),
                folder: args.common.out.join(run_folder_name(name, seed)),
            });
        }
    }
    Ok(runs)
}

/// A cell's short name, by its levels that are not the first of their factors: `smart+rotating`.
fn changes(factors: &[Factor], cell: &Cell) -> String {
    let changed: Vec<&str> = factors
        .iter()
        .filter_map(|factor| {
            let level = cell.get(&factor.name)?;
            let name = if level == "on" { &factor.name } else { level };
            (Some(level) != factor.levels.first()).then_some(name.as_str())
        })
        .collect();
    if changed.is_empty() {
        "no change".into()
    } else {
        changed.join("+")
    }
}

fn seeds(args: &RunsArgs, settings: &Settings) -> Vec<u64> {
    match args.seed {
        Some(seed) => vec![seed],
        None => (0..args.seeds as u64)
            .map(|replicate| settings.train.seed + replicate)
            .collect(),
    }
}

/// A config with what all runs share set over it, and what that is.
pub fn load(config: &Recipe, args: &RunsArgs) -> CliResult<(Vec<String>, Settings)> {
    let mut sets = common_sets(args);
    let settings = config.settings(&sets).map_err(input)?;
    let Some(scale) = args.epochs_scale else {
        return Ok((sets, settings));
    };
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(input(anyhow::anyhow!(
            "--epochs-scale {scale}: a number above 0"
        )));
    }
    if settings.train.epochs > 0 {
        let epochs = (settings.train.epochs as f64 * scale).round().max(1.0);
        sets.push(format!("train.epochs={epochs}"));
    }
    let settings = config.settings(&sets).map_err(input)?;
    Ok((sets, settings))
}

fn common_sets(args: &RunsArgs) -> Vec<String> {
    let mut sets = Vec::new();
    if let Some(data) = &args.data {
        sets.push(format!("data.dir={}", quoted(&data.to_string_lossy())));
    }
    if let Some(model) = &args.model {
        sets.push(format!("model.path={}", quoted(model)));
    }
    if let Some(scale) = args.rows_scale {
        sets.push(format!("data.rows-scale={scale}"));
    }
    if let Some(rows) = args.dev_rows {
        sets.push(format!("data.dev-limit={rows}"));
    }
    if let Some(epochs) = args.epochs {
        sets.push(format!("train.epochs={epochs}"));
    }
    sets.extend(args.set.iter().cloned());
    sets
}

/// A factor `smart`, or `order=fixed+rotating` with levels named.
fn factor(text: &str) -> CliResult<Factor> {
    let (name, levels) = match text.split_once('=') {
        Some((name, levels)) => (name, levels.split('+').map(str::to_owned).collect()),
        None => (text, default_levels(text)?),
    };
    if levels.len() < 2 {
        return Err(input(anyhow::anyhow!(
            "--factors {text}: a factor has two levels at least: {name}=ONE+OTHER"
        )));
    }
    for level in &levels {
        level_sets(name, level, false, &[])?;
    }
    Ok(Factor {
        name: name.to_owned(),
        levels,
    })
}

/// What can be switched, and how.
const FACTORS: &str = "smart, r-drop, bregman, pcgrad (off, on); order (fixed, rotating, lowest-last); \
schedule (sequential, combined, ...); loss (of scores, sts among them: bce, mse, cosine-embedding, cosent, angle); head (of pairs, para and sts among them: cosine, concat, cross-encoder); \
pooling (cls, mean, pooler)";

fn default_levels(name: &str) -> CliResult<Vec<String>> {
    let levels: &[&str] = match name {
        "smart" | "r-drop" | "bregman" | "pcgrad" => &["off", "on"],
        "order" => &["fixed", "rotating"],
        "schedule" => &["sequential", "combined"],
        "loss" => &["bce", "mse"],
        "head" => &["cosine", "concat"],
        "pooling" => &["cls", "mean"],
        _ => {
            return Err(input(anyhow::anyhow!(
                "--factors {name}: unknown; there are {FACTORS}"
            )));
        }
    };
    Ok(levels.iter().map(|level| (*level).to_owned()).collect())
}

/// The levels of a factor that a task may take, where it has a choice: heads of pairs, and losses of scores.
fn choice(task: &TaskSettings, factor: &str) -> Vec<String> {
    let legal = Legal::of(&task.spec);
    let allowed = match factor {
        "head" => names(legal.heads),
        // Of yes-or-no labels the losses are of other heads.
        "loss" if matches!(task.spec.label, LabelKind::Score { .. }) => names(legal.losses),
        _ => return Vec::new(),
    };
    let levels: Vec<String> = allowed.split(", ").map(str::to_owned).collect();
    Some(levels)
        .filter(|levels| levels.len() > 1)
        .unwrap_or_default()
}

/// Whether a factor's level is one that a task may take, and has a choice of.
fn has_level(task: &TaskSettings, factor: &str, level: &str) -> bool {
    choice(task, factor).iter().any(|allowed| allowed == level)
}

/// Says which tasks keep what the config gives them, since they cannot take a level.
fn say_kept(factor: &Factor, tasks: &[TaskSettings]) {
    for level in &factor.levels {
        for task in tasks {
            let allowed = choice(task, &factor.name);
            if !allowed.is_empty() && !allowed.contains(level) {
                tracing::warn!(
                    "--factors {}={level}: {} keeps its own, since it takes {} only",
                    factor.name,
                    task.task,
                    allowed.join(", ")
                );
            }
        }
    }
}

/// What a level sets, in a cell whose schedule is combined or not.
fn level_sets(
    factor: &str,
    level: &str,
    combined: bool,
    tasks: &[TaskSettings],
) -> CliResult<Vec<String>> {
    let on = match level {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    let weight = |key: &str, on: bool| vec![format!("{key}={}", u8::from(on))];
    Ok(match (factor, on) {
        ("smart", Some(on)) => weight("regulariser.smart.lambda", on),
        ("r-drop", Some(on)) => weight("regulariser.r-drop.alpha", on),
        ("bregman", Some(on)) => weight("regulariser.bregman.mu", on),
        ("pcgrad", Some(on)) => {
            let mut sets = vec![format!(
                "aggregator.kind={:?}",
                if on { "pcgrad" } else { "sum" }
            )];
            // Where updates have one task each, surgery comes at the end of an epoch, as in the paper.
            if !combined {
                sets.push(format!("train.epoch-end-surgery={on}"));
            }
            sets
        }
        ("order" | "schedule", None) => vec![format!("train.{factor}={level:?}")],
        ("loss" | "head", None) => tasks
            .iter()
            .filter(|task| has_level(task, factor, level))
            .map(|task| format!("tasks.{}.{factor}={level:?}", task.task))
            .collect(),
        ("pooling", None) => vec![format!("model.pooling={level:?}")],
        _ => {
            return Err(input(anyhow::anyhow!(
                "--factors {factor}={level}: there are {FACTORS}"
            )));
        }
    })
}
