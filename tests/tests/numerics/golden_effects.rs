//! Ablation effects against least squares with effects coding by numpy and scipy (`golden/effects/export.py`).

use bertram_report::experiment::{Design, Effect, EffectOptions, Factor, Observation, effects};
use serde_json::Value;

#[track_caller]
fn close(what: &str, found: Option<f64>, expected: Option<f64>) {
    let same = match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-10,
        (found, expected) => found == expected,
    };
    assert!(same, "{what}: {found:?} is not {expected:?}");
}

#[test]
fn golden_effects() {
    let golden: Value =
        serde_json::from_str(include_str!("../../golden/effects/effects.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let part = |key: &str| case[key].clone();
        let factors: Vec<Factor> = serde_json::from_value(part("factors")).unwrap();
        let design: Design = serde_json::from_value(part("design")).unwrap();
        let runs: Vec<Observation> = serde_json::from_value(part("observations")).unwrap();
        let expected: Vec<Effect> = serde_json::from_value(part("effects")).unwrap();
        let mut options = EffectOptions::new(factors, design);
        options.confidence = case["confidence"].as_f64().unwrap();

        let found = effects(&runs, &options).unwrap();
        assert_eq!(found.len(), expected.len(), "{}", case["name"]);
        for (found, expected) in found.iter().zip(&expected) {
            let what = format!(
                "{}, {} of {:?}",
                case["name"], expected.contrast, expected.factors
            );
            assert_eq!(found.factors, expected.factors, "{what}");
            assert_eq!(found.contrast, expected.contrast, "{what}");
            assert_eq!(found.response, expected.response, "{what}");
            assert_eq!(found.method, expected.method, "{what}");
            assert_eq!(found.seeds, expected.seeds, "{what}");
            assert_eq!(found.aliased_with, expected.aliased_with, "{what}");
            close(&what, Some(found.estimate), Some(expected.estimate));
            close(&what, found.low, expected.low);
            close(&what, found.high, expected.high);
            close(&what, found.p_value, expected.p_value);
            // Only three seeds have few enough draws to list them all.
            assert!(found.bootstrap.is_some());
            if let (Some(found), Some(expected)) = (found.bootstrap, expected.bootstrap) {
                close(&what, Some(found.low), Some(expected.low));
                close(&what, Some(found.high), Some(expected.high));
            }
        }
    }
}
