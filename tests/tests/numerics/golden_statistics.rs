//! Tests and intervals of differences against scipy (`golden/statistics/export.py`).

use bertram_core::metric::{accuracy, macro_f1, pearson, spearman};
use bertram_report::statistics::{Resampling, Units, holm, mcnemar, paired_t, welch};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../golden/statistics/statistics.json")).unwrap()
}

fn cases<'a>(golden: &'a Value, name: &str) -> &'a [Value] {
    golden[name].as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64, what: &Value) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} is not {expected}: {what:.200}"
    );
}

/// A score of rows, by its name in the golden file.
fn score(name: &Value, said: &[f64], gold: &[f64]) -> f64 {
    let classes =
        |numbers: &[f64]| -> Vec<usize> { numbers.iter().map(|number| *number as usize).collect() };
    match name.as_str().unwrap() {
        "accuracy" => accuracy(&classes(said), &classes(gold)),
        "macro_f1" => macro_f1(&classes(said), &classes(gold)),
        "pearson" => pearson(said, gold),
        "spearman" => spearman(said, gold),
        other => panic!("{other}"),
    }
}

#[test]
fn golden_p_values() {
    let golden = golden();
    for case in cases(&golden, "mcnemar") {
        let count = |name: &str| case[name].as_u64().unwrap();
        let (found, expected) = (mcnemar(count("first"), count("second")), number(&case["p"]));
        close(found, expected, 1e-9 * expected, case);
    }
    for case in cases(&golden, "holm") {
        let found = holm(&numbers(&case["p"]));
        for (found, expected) in found.iter().zip(numbers(&case["corrected"])) {
            close(*found, expected, 1e-12, case);
        }
    }
    for case in cases(&golden, "t_tests") {
        let (first, second) = (numbers(&case["first"]), numbers(&case["second"]));
        close(
            welch(&first, &second).unwrap(),
            number(&case["welch"]),
            1e-9,
            case,
        );
        match case["paired"].as_f64() {
            Some(expected) => close(paired_t(&first, &second).unwrap(), expected, 1e-9, case),
            None => assert_eq!(paired_t(&first, &second), None),
        }
    }
}

#[test]
fn golden_randomisation() {
    let golden = golden();
    for case in cases(&golden, "randomisation") {
        let [gold, first, second] = ["gold", "first", "second"].map(|it| numbers(&case[it]));
        let difference = |exchanged: &[bool]| {
            let pick = |one: &[f64], other: &[f64]| -> Vec<f64> {
                let rows = one.iter().zip(other).zip(exchanged);
                rows.map(|((one, other), exchanged)| if *exchanged { *other } else { *one })
                    .collect()
            };
            let of = |said: Vec<f64>| score(&case["score"], &said, &gold);
            of(pick(&second, &first)) - of(pick(&first, &second))
        };
        let observed = difference(&vec![false; gold.len()]);
        close(observed, number(&case["difference"]), 1e-12, case);
        let units = [Units {
            count: gold.len(),
            stream: 0,
        }];
        let found = Resampling::default()
            .randomisation(&units, &[observed], |drawn| vec![difference(&drawn[0])]);
        // Four standard errors of 10,000 draws at the most.
        close(found[0], number(&case["p"]), 0.02, case);
    }
}

#[test]
fn golden_bootstrap() {
    let golden = golden();
    for case in cases(&golden, "bootstrap") {
        let gold = numbers(&case["gold"]);
        let side = |name: &str| -> Vec<Vec<f64>> {
            let runs = case[name].as_array().unwrap();
            runs.iter().map(numbers).collect()
        };
        let (first, second) = (side("first"), side("second"));
        let paired = case["paired"].as_bool().unwrap();
        let of = |count: usize, stream: u64| Units { count, stream };
        let units = [of(gold.len(), 0), of(first.len(), 1), of(second.len(), 2)];
        let found = Resampling::default().bootstrap(&units, |drawn| {
            let take = |numbers: &[f64]| -> Vec<f64> {
                drawn[0].iter().map(|row| numbers[*row]).collect()
            };
            let mean = |runs: &[Vec<f64>], seeds: &[usize]| {
                let scores = seeds
                    .iter()
                    .map(|seed| score(&case["score"], &take(&runs[*seed]), &take(&gold)));
                scores.sum::<f64>() / seeds.len() as f64
            };
            let seeds = if paired { &drawn[1] } else { &drawn[2] };
            vec![mean(&second, seeds) - mean(&first, &drawn[1])]
        });
        // Both limits are of random draws: of 10,000 here, of 20,000 there.
        let (low, high) = (number(&case["low"]), number(&case["high"]));
        let tolerance = 0.08 * (high - low) / 2.0;
        close(found[0].low, low, tolerance, case);
        close(found[0].high, high, tolerance, case);
    }
}
