//! What each change of an ablation was worth: main effects and two-way interactions, with intervals over seeds.
//!
//! # Estimates
//! Let the mean of a cell be over its seeds. Then
//!
//! - the *main effect* of a level `l` of a factor is the mean over all cells at `l` minus that over all cells at the
//!   baseline, every combination of the other factors counting the same;
//! - the *interaction* of level `l` of one factor and `m` of another is half the difference of differences,
//!   `(y[l,m] - y[l,base] - y[base,m] + y[base,base]) / 2`, averaged over the other factors likewise. It is how far the
//!   effect of one change at the other's `m` is above the mean of its effects at `m` and at the baseline: with two
//!   levels, one change is worth `main + interaction` with the other on and `main - interaction` with it off. (Yates'
//!   convention, Box, Hunter and Hunter 2005, chapter 5; twice the coefficient of effects coding.)
//!
//! Cells are unweighted means, so that a cell with fewer seeds does not count less (the same as least squares with
//! effects coding and all interactions). The same seed is used in all cells and runs that share one are correlated
//! (initialisation, data order): a seed is a *block*. Where some runs are missing, cell means are those of least squares
//! with a shift of each seed, so that a lucky seed does not favour the cells it was run in. With every seed in every cell
//! that is the plain mean.
//!
//! # Intervals
//! `low` and `high` are a t interval: the effect is computed within each seed, and they are the mean plus or minus
//! `t[n-1] sd / sqrt(n)` over the `n` seeds ([`IntervalMethod::PairedT`]). Pairing takes out what is common to a seed's
//! runs and makes no assumption on how runs within a seed are correlated; over normal effects it is exact for every
//! `n >= 2`, and wide for small ones, as it must be (t is 4.3 at three seeds, 12.7 at two).
//!
//! `bootstrap` is the percentile interval when whole seeds are drawn with replacement. It is given beside the other and
//! not instead of it, because at the usual three seeds it is too short: the drawn means stay between the smallest and
//! the largest seed's effect, and a symmetric effect's truth lies outside that range one time in four, so that "95 %"
//! covers at most 75 %. BCa does not help: its limits stay in the same range. Over normal effects it is still about a
//! fifth shorter than the t interval at ten seeds, and a tenth at twenty.
//!
//! With runs missing, the standard error is the delete-one-seed jackknife's about the estimate, with the same `n - 1`
//! degrees of freedom ([`IntervalMethod::JackknifeT`]; CV3 of J. G. MacKinnon, M. Ø. Nielsen and M. D. Webb, *Fast and
//! Reliable Jackknife and Bootstrap Methods for Cluster-Robust Inference*, 2023, <https://arxiv.org/abs/2301.04527>, who
//! find it more reliable than the usual ones with few clusters). On complete data it *is* the paired t interval. It
//! needs every effect to be estimable without any one seed, so at least two runs in each cell; where one is not,
//! or there is one seed, there is no interval, rather than one that takes a single run for the truth.
//!
//! The p value is that of the t test which goes with the interval. A sign-flip permutation test of three seeds can reach
//! no less than 1/4. [`Effect::p_holm`] is corrected for how many effects on a response are looked at ([`holm`]); intervals are
//! not.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use thiserror::Error;

use super::blocks::Blocks;
use super::contrast::{Contrast, contrasts};
use super::grid::{Cell, Design, Factor, GridError};
use super::resample::{bootstrap, jackknife};
use crate::statistics::{Interval, holm};

/// What one run scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The level of every factor.
    pub levels: Cell,
    /// The run's seed; runs of one seed are one block.
    pub seed: u64,
    /// Scores by response: `sst`, `para`, `sts`, `overall`. All observations have the same responses.
    pub values: BTreeMap<String, f64>,
}

/// How effects are estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectOptions {
    /// The factors in the order of the report, each with its baseline first.
    pub factors: Vec<Factor>,
    /// Which cells were run.
    pub design: Design,
    /// Probability that an interval covers the truth, between 0 and 1.
    pub confidence: f64,
    /// Draws of the bootstrap; 0 for none.
    pub resamples: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
}

impl EffectOptions {
    /// 95 % intervals, 10,000 bootstrap draws, seed 0.
    pub fn new(factors: Vec<Factor>, design: Design) -> Self {
        Self {
            factors,
            design,
            confidence: 0.95,
            resamples: 10_000,
            seed: 0,
        }
    }
}

/// How [`Effect::low`] and [`Effect::high`] came about; see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntervalMethod {
    /// t over the effects within each seed: every seed has every cell.
    PairedT,
    /// t with the standard error of leaving out each seed in turn: some runs are missing.
    JackknifeT,
}

/// A main effect (one factor) or a two-way interaction (two factors) on one response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Names of the factors.
    pub factors: Vec<String>,
    /// Which score.
    pub response: String,
    /// The levels compared: `on vs off`; of an interaction `on vs off × upgrad vs sum`, in the order of `factors`.
    pub contrast: String,
    /// The effect, in units of the response.
    pub estimate: f64,
    /// Lower end of the t interval; none with one seed, or too few runs.
    pub low: Option<f64>,
    /// Upper end of the t interval.
    pub high: Option<f64>,
    /// How the interval came about; none where there is none.
    pub method: Option<IntervalMethod>,
    /// Percentile interval of the bootstrap over seeds, for comparison: too short when there are few. None with one
    /// seed, or when more than half of the draws leave a cell without a run.
    pub bootstrap: Option<Interval>,
    /// Two-sided p value of the t test that the effect is zero, not corrected for the number of effects; none where
    /// there is no interval, or no difference between seeds beyond rounding.
    pub p_value: Option<f64>,
    /// The same, corrected for the number of effects on this response by Holm's method.
    #[serde(default)]
    pub p_holm: Option<f64>,
    /// How many seeds there were.
    pub seeds: usize,
    /// Effects that the design cannot tell from this one, each by its factors: see
    /// [`half_fraction`](super::half_fraction).
    pub aliased_with: Vec<Vec<String>>,
}

/// Why there are no effects.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EffectsError {
    /// The factors make no design.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A confidence that is no probability.
    #[error("confidence is {0}: give a number between 0 and 1, such as 0.95")]
    Confidence(f64),
    /// No observation has a response.
    #[error("no scores to compare: give observations with at least one response")]
    NoResponses,
    /// An observation that belongs to no cell.
    #[error(
        "the run {run} is not in the design: its factors, levels or their combination are not among the {cells} cells"
    )]
    NotInDesign {
        /// Levels and seed.
        run: String,
        /// How many cells the design has.
        cells: usize,
    },
    /// Two observations of one cell and seed.
    #[error("the run {run} is there twice: keep one")]
    Repeated {
        /// Levels and seed.
        run: String,
    },
    /// Cells of the design without an observation.
    #[error("no run of {}: run them, or leave a factor out", .cells.join("; "))]
    MissingCells {
        /// The cells by their levels.
        cells: Vec<String>,
    },
    /// An observation that lacks a response which others have.
    #[error(
        "the run {run} has no `{response}`, which other runs have: score it, or leave that response out of all"
    )]
    MissingResponse {
        /// Levels and seed.
        run: String,
        /// Name of the measure that answers.
        response: String,
    },
    /// A score that is not a number.
    #[error("`{response}` of the run {run} is {value}: leave the run out and look at why")]
    NotFinite {
        /// Levels and seed.
        run: String,
        /// Name of the measure that answers.
        response: String,
        /// Its value.
        value: f64,
    },
    /// Cells that no chain of shared seeds connects, so that a seed's luck cannot be told from a cell's effect.
    #[error("some cells share no seed with the others: run the same seeds in every cell")]
    SeedsNotShared,
}

/// Main effects and two-way interactions of every response, by the methods of the [module](self).
///
/// A factor with more than two levels has an effect for each level but the baseline, an interaction one for each pair of
/// such levels. Main effects come first, in the order of the factors and levels, then interactions; the responses of
/// each in alphabetical order. The order of `observations` does not matter.
///
/// # Errors
/// Factors that make no design, a run outside it or there twice, cells without a run (named), a run that lacks a
/// response, scores that are not finite, cells that cannot be compared since they share no seed.
pub fn effects(
    observations: &[Observation],
    options: &EffectOptions,
) -> Result<Vec<Effect>, EffectsError> {
    if !(options.confidence > 0.0 && options.confidence < 1.0) {
        return Err(EffectsError::Confidence(options.confidence));
    }
    let cells = options.design.cells(&options.factors)?;
    let responses: BTreeSet<&str> = observations
        .iter()
        .flat_map(|observation| observation.values.keys().map(String::as_str))
        .collect();
    if responses.is_empty() {
        return Err(EffectsError::NoResponses);
    }
    let blocks = gather(observations, &cells, &responses, options)?;
    let contrasts = contrasts(&cells, &options.factors);

    // All effects on all responses at once: the responses of the first contrast, those of the second, and so on.
    let estimate = |weights: &[f64]| -> Option<Vec<f64>> {
        let means = blocks.cell_means(weights)?;
        let dot = |contrast: &Contrast, means: &[f64]| -> f64 {
            let terms = contrast.coefficients.iter().zip(means);
            terms.map(|(c, m)| c * m).sum()
        };
        let all = contrasts
            .iter()
            .flat_map(|contrast| means.iter().map(move |means| dot(contrast, means)));
        Some(all.collect())
    };
    let n = blocks.seeds();
    let estimates = estimate(&vec![1.0; n]).ok_or(EffectsError::SeedsNotShared)?;
    let errors = jackknife(n, &estimates, estimate);
    let bootstrap = bootstrap(n, estimates.len(), options, estimate);
    let largest = observations
        .iter()
        .flat_map(|observation| observation.values.values())
        .fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let t = (n > 1)
        .then(|| StudentsT::new(0.0, 1.0, (n - 1) as f64).ok())
        .flatten();
    let method = if blocks.is_complete() {
        IntervalMethod::PairedT
    } else {
        IntervalMethod::JackknifeT
    };

    let labels = contrasts
        .iter()
        .flat_map(|contrast| responses.iter().map(move |response| (contrast, response)));
    let effect = |(i, (contrast, response)): (usize, (&Contrast, &&str))| {
        let estimate = estimates[i];
        let error = errors.as_ref().map(|errors| errors[i]);
        let half = error
            .zip(t)
            .map(|(error, t)| error * t.inverse_cdf(0.5 + options.confidence / 2.0));
        let p_value = error
            .zip(t)
            // Differences of rounding alone test nothing.
            .filter(|(error, _)| *error > 1e-12 * largest)
            .map(|(error, t)| 2.0 * t.sf((estimate / error).abs()));
        Effect {
            factors: contrast.factors.clone(),
            response: response.to_string(),
            contrast: contrast.label.clone(),
            estimate,
            low: half.map(|half| estimate - half),
            high: half.map(|half| estimate + half),
            method: half.map(|_| method),
            bootstrap: bootstrap.as_ref().map(|intervals| intervals[i]),
            p_value,
            p_holm: None,
            seeds: n,
            aliased_with: options.design.aliases(&options.factors, &contrast.factors),
        }
    };
    let mut effects: Vec<Effect> = labels.enumerate().map(effect).collect();
    for response in &responses {
        let of_response = |effect: &Effect| effect.response == *response;
        let all = effects.iter().filter(|effect| of_response(effect));
        let p_values: Vec<f64> = all.filter_map(|effect| effect.p_value).collect();
        let tested = effects.iter_mut();
        let tested = tested.filter(|effect| of_response(effect) && effect.p_value.is_some());
        for (effect, corrected) in tested.zip(holm(&p_values)) {
            effect.p_holm = Some(corrected);
        }
    }
    Ok(effects)
}

/// Sorts observations into cells and seeds.
fn gather(
    observations: &[Observation],
    cells: &[Cell],
    responses: &BTreeSet<&str>,
    options: &EffectOptions,
) -> Result<Blocks, EffectsError> {
    let index: BTreeMap<&Cell, usize> = cells.iter().zip(0..).collect();
    let seeds: BTreeSet<u64> = observations.iter().map(|run| run.seed).collect();
    let seeds: BTreeMap<u64, usize> = seeds.into_iter().zip(0..).collect();
    let mut blocks = Blocks::new(cells.len(), seeds.len(), responses.len());
    for observation in observations {
        let run = || {
            let levels = observation.levels.iter();
            let levels: Vec<String> = levels
                .map(|(name, level)| format!("{name}={level}"))
                .collect();
            format!("{}, seed {}", levels.join(" "), observation.seed)
        };
        let value = |&response: &&str| match observation.values.get(response) {
            Some(&value) if value.is_finite() => Ok(value),
            Some(&value) => Err(EffectsError::NotFinite {
                run: run(),
                response: response.to_string(),
                value,
            }),
            None => Err(EffectsError::MissingResponse {
                run: run(),
                response: response.to_string(),
            }),
        };
        let Some(&cell) = index.get(&observation.levels) else {
            return Err(EffectsError::NotInDesign {
                run: run(),
                cells: cells.len(),
            });
        };
        let values = responses.iter().map(value).collect::<Result<_, _>>()?;
        if !blocks.insert(cell, seeds[&observation.seed], values) {
            return Err(EffectsError::Repeated { run: run() });
        }
    }
    let name = |cell: usize| {
        let levels = options.factors.iter().map(|factor| &factor.name);
        let levels: Vec<String> = levels
            .map(|name| format!("{name}={}", cells[cell][name]))
            .collect();
        levels.join(" ")
    };
    let missing: Vec<String> = blocks.empty_cells().map(name).collect();
    if missing.is_empty() {
        Ok(blocks)
    } else {
        Err(EffectsError::MissingCells { cells: missing })
    }
}
