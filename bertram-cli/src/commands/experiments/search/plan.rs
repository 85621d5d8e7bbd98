//! Which trials there are, and what each of them is.

use bertram_train::config::{
    BestMetric, ConfigError, DrawnValue, Override, Problem, SearchMethod, SearchSpace, Settings,
    quoted,
};
use bertram_train::search::rungs;

use super::super::plan::{PlannedRun, load};
use crate::args::SearchArgs;
use crate::error::{CliResult, input};
use crate::recipe::Recipe;

/// A search, all of whose configs are checked.
pub struct Plan {
    /// What is drawn, and how.
    pub space: SearchSpace,
    /// What trials are compared by.
    pub metric: BestMetric,
    /// The epochs of each rung, the last of them the whole training; none in random search.
    pub rungs: Vec<usize>,
    /// The trials, in their order.
    pub trials: Vec<PlannedTrial>,
}

/// A trial.
pub struct PlannedTrial {
    /// Its run.
    pub run: PlannedRun,
    /// What it drew, a value for each key.
    pub values: Vec<DrawnValue>,
}

impl Plan {
    /// Of so many trials at a rung one goes on; none in random search.
    pub fn reduction_factor(&self) -> Option<usize> {
        (!self.rungs.is_empty()).then_some(self.space.reduction_factor)
    }

    /// Draws the trials, and checks the config of each.
    pub fn new(args: &SearchArgs) -> CliResult<Self> {
        if args.common.seeds != 1 {
            return Err(input(anyhow::anyhow!(
                "--seeds {}: a trial is one run; --seed sets its seed. To see how good the best one is, train it from other seeds afterwards",
                args.common.seeds
            )));
        }
        let space = SearchSpace::load(&args.space).map_err(input)?;
        let recipe = Recipe::named(&args.config);
        let (common, base) = load(&recipe, &args.common)?;
        check_base(&space, &base)?;
        check_sets(&space, &args.common.set)?;
        let rungs = match space.method {
            SearchMethod::Random => Vec::new(),
            SearchMethod::Asha => halved(&space, base.train.epochs)?,
        };
        let drawn = space.trials(args.trials);
        let drawn = drawn.map_err(|error| input(anyhow::anyhow!(error)))?;
        let seed = args.common.seed.unwrap_or(base.train.seed);
        let mut problems: Vec<Problem> = Vec::new();
        let mut metric = base.train.best_metric;
        let mut trials = Vec::new();
        for (index, values) in drawn.into_iter().enumerate() {
            let name = trial_name(index);
            let mut sets = common.clone();
            // What the config says of itself is said of none of the trials.
            sets.push("experiment={}".to_owned());
            sets.push(format!("experiment.id={name:?}"));
            sets.push(format!(
                "experiment.title={}",
                quoted(&title(&space, &values))
            ));
            let mut overrides: Vec<Override> = sets.iter().map(|it| Override::set(it)).collect();
            let mut set = |key: &str, value: &str, place: &str| {
                let set = format!("{key}={value}");
                overrides.push(Override::set(&set).shown_as(place));
                sets.push(set);
            };
            if let Some((metric, place)) = &space.metric {
                set("train.best-metric", &quoted(metric), place);
            }
            for (key, value) in space.keys.iter().zip(&values) {
                set(&key.key, &value.text, &key.place);
            }
            match recipe.load(&overrides) {
                Ok(loaded) => metric = loaded.settings.train.best_metric,
                Err(ConfigError::Invalid { problems: new, .. }) => {
                    add(&mut problems, new, &name, &space, &values);
                }
                Err(other) => return Err(input(other)),
            }
            trials.push(PlannedTrial {
                run: PlannedRun {
                    folder: args.common.out.join(&name),
                    name,
                    config: recipe.clone(),
                    seed,
                    sets,
                },
                values,
            });
        }
        if !problems.is_empty() {
            let name = space.name.clone();
            return Err(input(ConfigError::Invalid { name, problems }));
        }
        Ok(Self {
            space,
            metric,
            rungs,
            trials,
        })
    }
}

/// The name of a trial and of its folder; trials count from 1.
fn trial_name(index: usize) -> String {
    format!("trial-{:03}", index + 1)
}

/// `learning-rate=0.0003, batch-size=16`.
fn title(space: &SearchSpace, values: &[DrawnValue]) -> String {
    let keys = space.keys.iter().zip(values);
    let parts = keys.map(|(key, value)| {
        let last = key.key.rsplit('.').next().unwrap_or(&key.key);
        format!("{last}={}", value.text.trim_matches('"'))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Adds the problems of a trial's config, those that no other has; and says which trial it was.
fn add(
    problems: &mut Vec<Problem>,
    new: Vec<Problem>,
    trial: &str,
    space: &SearchSpace,
    values: &[DrawnValue],
) {
    for mut problem in new {
        let is_known = problems.iter().any(|known| {
            known.place == problem.place
                && known.key == problem.key
                && known.message.starts_with(&problem.message)
        });
        if is_known {
            continue;
        }
        let keys = space.keys.iter().zip(values);
        let drawn = keys.map(|(key, value)| format!("{} = {}", key.key, value.text));
        let drawn = drawn.collect::<Vec<_>>().join(", ");
        problem.message.push_str(&format!(" ({trial}: {drawn})"));
        problems.push(problem);
    }
}

/// Refuses a config in which there is nothing to search for.
fn check_base(space: &SearchSpace, base: &Settings) -> CliResult {
    let draws_epochs = space.keys.iter().any(|key| key.key == "train.epochs");
    let why = if base.baseline.is_some() {
        "its answers are those of [baseline]"
    } else if base.train.epochs == 0 && !draws_epochs {
        "train.epochs is 0"
    } else {
        return Ok(());
    };
    Err(input(anyhow::anyhow!(
        "the config trains nothing, and there is nothing to search for: {why}"
    )))
}

/// Refuses keys that are both drawn and set.
fn check_sets(space: &SearchSpace, sets: &[String]) -> CliResult {
    for set in sets {
        let name = set
            .split_once('=')
            .map_or(set.as_str(), |(key, _)| key.trim());
        if let Some(key) = space.keys.iter().find(|key| key.key == name) {
            return Err(input(anyhow::anyhow!(
                "--set {set}: {} is drawn ({}): take it out of the space, or do not set it",
                key.key,
                key.place
            )));
        }
    }
    Ok(())
}

/// The rungs of a search that halves.
fn halved(space: &SearchSpace, epochs: usize) -> CliResult<Vec<usize>> {
    let (least, factor) = (space.min_epochs, space.reduction_factor);
    let rungs = rungs(least, epochs, factor);
    if rungs.len() < 2 {
        return Err(input(anyhow::anyhow!(
            "{}: method = \"asha\" has nothing to choose by: train.epochs = {epochs} is less than reduction-factor = {factor} times min-epochs = {least}; train for more epochs, lower the two, or take method = \"random\"",
            space.name
        )));
    }
    Ok(rungs)
}
