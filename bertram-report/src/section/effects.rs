//! Ablation: what each change was worth.

use std::collections::BTreeMap;

use crate::chart::{Interval, Intervals};
use crate::document::{Block, Figure, Section, Table};
use crate::experiment::{Design, Effect, EffectOptions, EffectsError, Factor, Observation};
use crate::group::Group;
use crate::number;
use crate::{Report, ReportError};

/// Effects of the factors whose levels vary; `None` where none does.
pub(super) fn effects(report: &Report) -> Result<Option<Section>, ReportError> {
    let factors = factors(report);
    if factors.is_empty() {
        return Ok(None);
    }
    let heading = "Ablation".to_owned();
    let id = "ablation";
    let blocks = match estimate(report, &factors) {
        Ok((effects, design)) => blocks(report, &effects, &factors, design)?,
        Err(error) => {
            let names: Vec<&str> = factors.iter().map(|factor| factor.name.as_str()).collect();
            let why = match &error {
                EffectsError::MissingCells { cells } if cells.len() > 4 => format!(
                    "the runs fill neither a grid of these factors nor half of one ({} combinations have no run)",
                    cells.len()
                ),
                error => error.to_string(),
            };
            vec![Block::text(format!(
                "The levels of {} vary, and there are no effects to show: {why}.",
                names.join(", ")
            ))]
        }
    };
    Ok(Some(Section {
        id,
        heading,
        blocks,
    }))
}

/// Effects, for those who want them as numbers; none where no level varies or a design is not complete.
pub(crate) fn numbers(report: &Report) -> Vec<Effect> {
    estimate(report, &factors(report)).map_or_else(|_| Vec::new(), |(effects, _)| effects)
}

fn levels(group: &Group) -> Option<&BTreeMap<String, String>> {
    Some(&group.experiment()?.levels).filter(|levels| !levels.is_empty())
}

/// Factors with more than one level, the baseline's first: `off` where there is one, else that of the baseline.
fn factors(report: &Report) -> Vec<Factor> {
    let mut factors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (factor, level) in report.groups.iter().filter_map(levels).flatten() {
        let levels = factors.entry(factor).or_default();
        if !levels.contains(&level.as_str()) {
            levels.push(level);
        }
    }
    factors
        .into_iter()
        .filter(|(_, levels)| levels.len() > 1)
        .map(|(name, mut all)| {
            let baseline = levels(report.baseline()).and_then(|it| it.get(name));
            let first = all.iter().position(|level| *level == "off").or_else(|| {
                all.iter()
                    .position(|level| Some(*level) == baseline.map(String::as_str))
            });
            if let Some(first) = first {
                all[..=first].rotate_right(1);
            }
            Factor::new(name, all)
        })
        .collect()
}

fn estimate(report: &Report, factors: &[Factor]) -> Result<(Vec<Effect>, Design), EffectsError> {
    let measures = report.measures();
    let mut observations: Vec<Observation> = Vec::new();
    for group in &report.groups {
        let Some(levels) = levels(group) else {
            continue;
        };
        let cell: Option<BTreeMap<String, String>> = factors
            .iter()
            .map(|factor| Some((factor.name.clone(), levels.get(&factor.name)?.clone())))
            .collect();
        let Some(cell) = cell else { continue };
        observations.extend(group.runs.iter().map(|run| {
            Observation {
                levels: cell.clone(),
                seed: run.settings.train.seed,
                values: measures
                    .iter()
                    .filter_map(|it| Some((it.name().to_owned(), it.of(&run.summary.dev)?)))
                    .collect(),
            }
        }));
    }
    let of = |design| {
        crate::experiment::effects(&observations, &EffectOptions::new(factors.to_vec(), design))
            .map(|effects| (effects, design))
    };
    // Half of a grid is a design too; what is wrong with neither is told of the whole grid.
    of(Design::Full).or_else(|error| of(Design::Half).map_err(|_| error))
}

fn blocks(
    report: &Report,
    effects: &[Effect],
    factors: &[Factor],
    design: Design,
) -> Result<Vec<Block>, ReportError> {
    // With two levels each, the factors alone say which change it is.
    let two_levels = factors.iter().all(|factor| factor.levels.len() == 2);
    let name = |effect: &Effect| {
        let factors = effect.factors.join(" × ");
        if two_levels {
            factors
        } else {
            format!("{factors}: {}", effect.contrast)
        }
    };
    let mut figures = Vec::new();
    for measure in report.measures() {
        let rows: Vec<Interval> = effects
            .iter()
            .filter(|effect| effect.response == measure.name())
            .map(|effect| Interval {
                label: name(effect),
                colour: 0,
                value: effect.estimate,
                ends: effect.low.zip(effect.high),
                ring: None,
            })
            .collect();
        let chart = Intervals {
            title: format!("Effects on {}", report.title(measure)),
            x_name: "change of the score",
            lines: vec![0.0],
            rows,
        };
        figures.push(Figure {
            title: report.title(measure).into(),
            note: String::new(),
            svg: chart.svg()?,
        });
    }
    let mut table = Table::new(
        "Effects on dev, with 95 % intervals and p values of a t test over seeds; p (Holm) is corrected for the number of effects on a score.",
        [
            "Effect",
            "Score",
            "#Estimate",
            "#Low",
            "#High",
            "#p",
            "#p (Holm)",
            "#Bootstrap",
            "#Seeds",
            "Contrast",
        ],
    );
    // Effects come with their responses in alphabetical order; tables have tasks in the paper's.
    let measures = report.measures();
    let place = |effect: &Effect| {
        measures
            .iter()
            .position(|measure| measure.name() == effect.response)
    };
    let mut effects: Vec<&Effect> = effects.iter().collect();
    for same in effects
        .chunk_by_mut(|one, other| one.factors == other.factors && one.contrast == other.contrast)
    {
        same.sort_by_key(|effect| place(effect));
    }
    for effect in effects {
        let end = |end: Option<f64>| end.map_or_else(|| number::NONE.into(), number::difference);
        table.row([
            name(effect),
            effect.response.clone(),
            number::difference(effect.estimate),
            end(effect.low),
            end(effect.high),
            number::optional(effect.p_value),
            number::optional(effect.p_holm),
            effect
                .bootstrap
                .map_or_else(|| number::NONE.into(), number::interval),
            effect.seeds.to_string(),
            effect.contrast.clone(),
        ]);
    }
    let described: Vec<String> = factors
        .iter()
        .map(|factor| format!("{} ({})", factor.name, factor.levels.join(", ")))
        .collect();
    let mut text = format!(
        "Factors, with the level that the others are compared with first: {}. A main effect is the mean change of a \
         score over all levels of the other factors; an interaction (×) is half of how much one change is worth more \
         with the other than without it. Low and high are the ends of a t interval over seeds; the bootstrap over seeds \
         (percentiles) is shown beside it, and is too short where seeds are few.",
        described.join("; ")
    );
    if design == Design::Half {
        text.push_str(
            " Half of the grid was run: each effect stands for itself and the interaction of all the other factors.",
        );
    }
    Ok(vec![
        Block::text(text),
        Block::Figures {
            note: String::new(),
            legend: Vec::new(),
            figures,
            tables: Vec::new(),
        },
        Block::table(table),
    ])
}
