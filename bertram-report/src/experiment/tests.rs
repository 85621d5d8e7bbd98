use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::statistics::holm;

fn factors(k: usize) -> Vec<Factor> {
    ["a", "b", "c", "d", "e"][..k]
        .iter()
        .map(|&name| Factor::new(name, ["off", "on"]))
        .collect()
}

/// A complete set of runs whose score is `score(levels as 0/1/2.., seed)`.
fn runs(
    options: &EffectOptions,
    seeds: u64,
    mut score: impl FnMut(&[usize], u64) -> f64,
) -> Vec<Observation> {
    let mut observations = Vec::new();
    for cell in options.design.cells(&options.factors).unwrap() {
        let levels: Vec<usize> = options
            .factors
            .iter()
            .map(|factor| {
                let mut levels = factor.levels.iter();
                levels
                    .position(|level| *level == cell[&factor.name])
                    .unwrap()
            })
            .collect();
        for seed in 0..seeds {
            observations.push(Observation {
                levels: cell.clone(),
                seed,
                values: BTreeMap::from([("overall".to_owned(), score(&levels, seed))]),
            });
        }
    }
    observations
}

fn full(k: usize) -> EffectOptions {
    EffectOptions::new(factors(k), Design::Full)
}

fn half(k: usize) -> EffectOptions {
    EffectOptions::new(factors(k), Design::Half)
}

fn find<'a>(effects: &'a [Effect], factors: &[&str]) -> &'a Effect {
    effects
        .iter()
        .find(|effect| effect.factors == factors)
        .unwrap()
}

fn near(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-10, "{left} is not {right}");
}

#[test]
fn two_by_two_by_hand() {
    // Seed:            0     1     2
    // off off         10    11    12
    // on  off         13    15    14
    // off on          11    13    12
    // on  on          18    19    20
    let scores = [
        [10., 11., 12.],
        [11., 13., 12.],
        [13., 15., 14.],
        [18., 19., 20.],
    ];
    let options = full(2);
    let observations = runs(&options, 3, |levels, seed| {
        scores[2 * levels[0] + levels[1]][seed as usize]
    });
    let effects = effects(&observations, &options).unwrap();
    assert_eq!(effects.len(), 3);

    // Within the seeds a is worth ((13-10) + (18-11)) / 2 = 5, ((15-11) + (19-13)) / 2 = 5, ((14-12) + (20-12)) / 2 = 5.
    let a = find(&effects, &["a"]);
    near(a.estimate, 5.0);
    near(a.low.unwrap(), 5.0);
    assert_eq!(a.p_value, None);
    assert_eq!(
        (a.contrast.as_str(), a.response.as_str(), a.seeds),
        ("on vs off", "overall", 3)
    );
    assert_eq!(a.method, Some(IntervalMethod::PairedT));

    // b: ((11-10) + (18-13)) / 2 = 3, ((13-11) + (19-15)) / 2 = 3, ((12-12) + (20-14)) / 2 = 3.
    near(find(&effects, &["b"]).estimate, 3.0);

    // ab: ((18-13) - (11-10)) / 2 = 2, (4 - 2) / 2 = 1, (6 - 0) / 2 = 3: mean 2, sd 1, t[2, 97.5 %] = 0.95 sqrt(2 / 0.0975).
    let ab = find(&effects, &["a", "b"]);
    let margin = 0.95 * (2.0f64 / 0.0975).sqrt() / 3f64.sqrt();
    near(ab.estimate, 2.0);
    near(ab.low.unwrap(), 2.0 - margin);
    near(ab.high.unwrap(), 2.0 + margin);
    assert_eq!(ab.contrast, "on vs off × on vs off");
    // t = 2 sqrt(3) at two degrees of freedom: p = 1 - t / sqrt(2 + t^2).
    near(ab.p_value.unwrap(), 1.0 - (12f64 / 14.0).sqrt());
    // Of 27 draws of three seeds one is all-smallest: 3.7 %, more than the tail.
    let bootstrap = ab.bootstrap.unwrap();
    near(bootstrap.low, 1.0);
    near(bootstrap.high, 3.0);
    // What a is worth with b on and off.
    near(a.estimate + ab.estimate, (7.0 + 6.0 + 8.0) / 3.0);
    near(a.estimate - ab.estimate, (3.0 + 4.0 + 2.0) / 3.0);
}

#[test]
fn p_values_are_corrected_within_a_response() {
    let options = full(2);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut observations = runs(&options, 4, |levels, _| {
        levels[0] as f64 + rng.random_range(0.0..0.5)
    });
    for run in &mut observations {
        let other = rng.random_range(0.0..1.0);
        run.values.insert("sst".to_owned(), other);
    }
    let effects = effects(&observations, &options).unwrap();
    for response in ["overall", "sst"] {
        let of_response: Vec<&Effect> = effects
            .iter()
            .filter(|effect| effect.response == response)
            .collect();
        let plain = of_response.iter().map(|effect| effect.p_value.unwrap());
        let expected = holm(&plain.collect::<Vec<f64>>());
        assert_eq!(expected.len(), 3);
        for (effect, expected) in of_response.iter().zip(expected) {
            assert_eq!(effect.p_holm, Some(expected));
        }
    }
}

/// `60 + 4 a - 2 b + c + 3 ab / 2 - 5 abc` with the levels at -1 and +1, so that effects are twice these.
fn cube(levels: &[usize]) -> f64 {
    let x: Vec<f64> = levels
        .iter()
        .map(|&level| 2.0 * level as f64 - 1.0)
        .collect();
    60.0 + 4.0 * x[0] - 2.0 * x[1] + x[2] + 1.5 * x[0] * x[1] - 5.0 * x[0] * x[1] * x[2]
}

#[test]
fn two_to_the_three_by_hand() {
    let options = full(3);
    let observations = runs(&options, 1, |levels, _| cube(levels));
    let effects = effects(&observations, &options).unwrap();
    let estimates: Vec<(String, f64)> = effects
        .iter()
        .map(|effect| (effect.factors.concat(), effect.estimate))
        .collect();
    let expected = [
        ("a", 8.0),
        ("b", -4.0),
        ("c", 2.0),
        ("ab", 3.0),
        ("ac", 0.0),
        ("bc", 0.0),
    ];
    assert_eq!(
        estimates,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
    // One seed says nothing about the spread, and JSON has no NaN.
    assert!(effects.iter().all(|effect| {
        effect.low.or(effect.high).or(effect.p_value).is_none()
            && effect.bootstrap.is_none()
            && effect.method.is_none()
            && effect.aliased_with.is_empty()
    }));
}

#[test]
fn half_of_three_confuses_a_main_effect_with_the_interaction_of_the_others() {
    let options = half(3);
    let observations = runs(&options, 1, |levels, _| cube(levels));
    assert_eq!(observations.len(), 4);
    let effects = effects(&observations, &options).unwrap();
    let a = find(&effects, &["a"]);
    near(a.estimate, 8.0 - 0.0);
    assert_eq!(a.aliased_with, [["b", "c"]]);
    let c = find(&effects, &["c"]);
    near(c.estimate, 2.0 - 3.0);
    assert_eq!(c.aliased_with, [["a", "b"]]);
    near(find(&effects, &["a", "b"]).estimate, 3.0 - 2.0);
}

#[test]
fn half_of_four_confuses_interactions_in_pairs() {
    let options = half(4);
    let observations = runs(&options, 1, |levels, _| {
        let x: Vec<f64> = levels
            .iter()
            .map(|&level| 2.0 * level as f64 - 1.0)
            .collect();
        3.0 * x[0] + 0.5 * x[0] * x[1] + 2.0 * x[2] * x[3] + 4.0 * x[1] * x[2] * x[3]
    });
    let effects = effects(&observations, &options).unwrap();
    near(find(&effects, &["a"]).estimate, 6.0 + 8.0);
    assert_eq!(find(&effects, &["a"]).aliased_with, [["b", "c", "d"]]);
    near(find(&effects, &["a", "b"]).estimate, 1.0 + 4.0);
    near(find(&effects, &["c", "d"]).estimate, 1.0 + 4.0);
    assert_eq!(find(&effects, &["a", "b"]).aliased_with, [["c", "d"]]);
}

#[test]
fn a_factor_of_three_levels_has_two_effects() {
    let mut options = full(2);
    options.factors[0] = Factor::new("order", ["fixed", "random", "curriculum"]);
    let scores = [[1.0, 3.0], [2.0, 8.0], [7.0, 7.0]];
    let observations = runs(&options, 1, |levels, _| scores[levels[0]][levels[1]]);
    let effects = effects(&observations, &options).unwrap();
    let found: Vec<(&str, f64)> = effects
        .iter()
        .map(|effect| (effect.contrast.as_str(), effect.estimate))
        .collect();
    let expected = [
        ("random vs fixed", 3.0),
        ("curriculum vs fixed", 5.0),
        ("on vs off", 8.0 / 3.0),
        ("random vs fixed × on vs off", 2.0),
        ("curriculum vs fixed × on vs off", -1.0),
    ];
    for ((label, value), (expected_label, expected)) in found.iter().zip(expected) {
        assert_eq!(*label, expected_label);
        near(*value, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn a_missing_run_does_not_make_the_other_seeds_luck_an_effect() {
    let options = full(2);
    let mut observations = runs(&options, 3, |levels, seed| {
        levels[0] as f64 + 10.0 * (seed * seed) as f64
    });
    // The lucky seed lacks a run with a on: plain means of the cells would make a harmful.
    observations
        .retain(|run| run.seed != 2 || run.levels["a"] == "off" || run.levels["b"] == "off");
    assert_eq!(observations.len(), 11);
    let found = effects(&observations, &options).unwrap();
    let a = find(&found, &["a"]);
    near(a.estimate, 1.0);
    near(a.low.unwrap(), 1.0);
    assert_eq!(a.method, Some(IntervalMethod::JackknifeT));
    assert!(a.bootstrap.is_some());
    near(find(&found, &["b"]).estimate, 0.0);

    // A cell with a single run has an effect and no interval.
    observations
        .retain(|run| run.seed == 0 || run.levels["a"] == "off" || run.levels["b"] == "off");
    let found = effects(&observations, &options).unwrap();
    let a = find(&found, &["a"]);
    near(a.estimate, 1.0);
    assert_eq!(
        (a.low, a.high, a.method, a.p_value),
        (None, None, None, None)
    );
}

#[test]
fn says_what_is_wrong() {
    let options = full(2);
    let good = runs(&options, 2, |levels, seed| {
        (levels[0] + levels[1]) as f64 + seed as f64
    });
    let message =
        |observations: &[Observation]| effects(observations, &options).unwrap_err().to_string();

    let mut runs = good.clone();
    runs.retain(|run| run.levels["a"] == "off" || run.levels["b"] == "on");
    assert_eq!(
        message(&runs),
        "no run of a=on b=off: run them, or leave a factor out"
    );

    let mut runs = good.clone();
    runs[3].values.insert("sst".into(), 0.5);
    assert!(message(&runs).contains("a=off b=off, seed 0 has no `sst`"));
    runs[3].values = BTreeMap::from([("overall".into(), f64::NAN)]);
    assert!(message(&runs).contains("`overall` of the run a=off b=on, seed 1 is NaN"));
    runs[3] = runs[2].clone();
    assert!(message(&runs).contains("a=off b=on, seed 0 is there twice"));
    runs[3].levels.insert("a".into(), "maybe".into());
    assert!(message(&runs).contains("a=maybe b=on, seed 0 is not in the design"));

    let mut runs = good.clone();
    for (seed, run) in runs.iter_mut().enumerate() {
        run.seed = seed as u64;
    }
    assert_eq!(effects(&runs, &options), Err(EffectsError::SeedsNotShared));
    assert_eq!(effects(&[], &options), Err(EffectsError::NoResponses));

    let mut wrong = options.clone();
    wrong.confidence = 95.0;
    assert_eq!(effects(&good, &wrong), Err(EffectsError::Confidence(95.0)));
    wrong.confidence = 0.95;
    wrong.factors[0].levels.pop();
    assert!(
        effects(&good, &wrong)
            .unwrap_err()
            .to_string()
            .contains("`a` has 1 level")
    );
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[test]
fn t_intervals_of_three_seeds_cover_and_bootstrap_ones_do_not() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut options = full(2);
    options.resamples = 1_000;
    let (mut t, mut jackknife, mut bootstrap, mut all) = (0, 0, 0, 0);
    for _ in 0..600 {
        // A seed's luck is common to its runs, and changes the effect of a.
        let luck: Vec<[f64; 2]> = (0..3)
            .map(|_| [normal(&mut rng), normal(&mut rng)])
            .collect();
        let mut observations = runs(&options, 3, |levels, seed| {
            let [shift, slope] = luck[seed as usize];
            let a = levels[0] as f64;
            3.0 * shift + a * (2.0 + slope) - levels[1] as f64 + 0.5 * normal(&mut rng)
        });
        let truth = [2.0, -1.0, 0.0];
        let within = |low: f64, high: f64, truth: f64| usize::from(low <= truth && truth <= high);
        for (effect, truth) in effects(&observations, &options).unwrap().iter().zip(truth) {
            let interval = effect.bootstrap.unwrap();
            all += 1;
            t += within(effect.low.unwrap(), effect.high.unwrap(), truth);
            bootstrap += within(interval.low, interval.high, truth);
        }
        observations.pop();
        options.resamples = 0;
        for (effect, truth) in effects(&observations, &options).unwrap().iter().zip(truth) {
            jackknife += within(effect.low.unwrap(), effect.high.unwrap(), truth);
        }
        options.resamples = 1_000;
    }
    let share = |covered: usize| covered as f64 / all as f64;
    let shares = [share(t), share(jackknife), share(bootstrap)];
    assert!((0.93..0.97).contains(&shares[0]), "{shares:?}");
    assert!((0.92..1.0).contains(&shares[1]), "{shares:?}");
    assert!((0.70..0.80).contains(&shares[2]), "{shares:?}");
}

/// A design, and scores for up to three seeds of it.
fn design() -> impl Strategy<Value = (EffectOptions, Vec<Observation>)> {
    (
        prop_oneof![Just(full(2)), Just(full(3)), Just(half(3)), Just(half(4))],
        2..4u64,
    )
        .prop_flat_map(|(mut options, seeds)| {
            options.resamples = 50;
            let cells = options.design.cells(&options.factors).unwrap().len();
            prop::collection::vec(-1.0..1.0, cells * seeds as usize).prop_map(move |scores| {
                let mut scores = scores.into_iter();
                let observations = runs(&options, seeds, |_, _| scores.next().unwrap());
                (options.clone(), observations)
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn additive_scores_give_their_effects_and_no_interactions(
        worth in prop::collection::vec(-1.0..1.0, 4),
        luck in prop::collection::vec(-1.0..1.0, 3),
        gap in 0..24usize,
    ) {
        let mut options = full(3);
        options.factors[2].levels.push("more".into());
        let mut observations = runs(&options, 3, |levels, seed| {
            let c = [0.0, worth[2], worth[3]][levels[2]];
            levels[0] as f64 * worth[0] + levels[1] as f64 * worth[1] + c + luck[seed as usize]
        });
        for complete in [true, false] {
            if !complete {
                observations.remove(gap);
            }
            let effects = effects(&observations, &options).unwrap();
            for (i, effect) in effects.iter().enumerate() {
                let truth = worth.get(i).copied().unwrap_or(0.0);
                prop_assert!((effect.estimate - truth).abs() < 1e-12);
                prop_assert!((effect.high.unwrap() - truth).abs() < 1e-12);
                prop_assert_eq!(effect.p_value, None);
            }
            prop_assert_eq!(effects.len(), 4 + 5);
        }
    }

    #[test]
    fn the_order_of_observations_does_not_matter(
        ((options, observations), shuffled) in design().prop_flat_map(|(options, observations)| {
            let shuffled = Just(observations.clone()).prop_shuffle();
            (Just((options, observations)), shuffled)
        })
    ) {
        prop_assert_eq!(effects(&observations, &options), effects(&shuffled, &options));
    }

    #[test]
    fn a_constant_changes_nothing((options, mut observations) in design(), constant in -5.0..5.0) {
        let before = effects(&observations, &options).unwrap();
        for value in observations.iter_mut().flat_map(|run| run.values.values_mut()) {
            *value += constant;
        }
        let after = effects(&observations, &options).unwrap();
        for (before, after) in before.iter().zip(&after) {
            prop_assert!((before.estimate - after.estimate).abs() < 1e-12);
            prop_assert!((before.low.unwrap() - after.low.unwrap()).abs() < 1e-11);
            prop_assert!((before.high.unwrap() - after.high.unwrap()).abs() < 1e-11);
            let (before, after) = (before.bootstrap.unwrap(), after.bootstrap.unwrap());
            prop_assert!((before.low - after.low).abs() < 1e-12);
            prop_assert!((before.high - after.high).abs() < 1e-12);
        }
    }

    #[test]
    fn complete_runs_have_the_textbook_interval((options, observations) in design()) {
        let found = effects(&observations, &options).unwrap();
        let seeds = found[0].seeds;
        let mut within = vec![Vec::new(); found.len()];
        for seed in 0..seeds as u64 {
            let of_seed: Vec<Observation> =
                observations.iter().filter(|run| run.seed == seed).cloned().collect();
            for (list, effect) in within.iter_mut().zip(effects(&of_seed, &options).unwrap()) {
                list.push(effect.estimate);
            }
        }
        // The quantiles of one and two degrees of freedom in closed form.
        let t = [(0.475 * std::f64::consts::PI).tan(), 0.95 * (2.0f64 / 0.0975).sqrt()][seeds - 2];
        for (effect, within) in found.iter().zip(within) {
            let n = seeds as f64;
            let mean = within.iter().sum::<f64>() / n;
            let sd = (within.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            prop_assert!((effect.estimate - mean).abs() < 1e-12);
            prop_assert!((effect.low.unwrap() - (mean - t * sd / n.sqrt())).abs() < 1e-10);
        }
    }
}
