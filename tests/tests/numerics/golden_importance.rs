//! Shares of variance against scipy (`golden/importance/export.py`).

use bertram_report::statistics::{correlation_ratio, squared_rank_correlation};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn importance_is_that_of_scipy() {
    let golden: Value =
        serde_json::from_str(include_str!("../../golden/importance/importance.json")).unwrap();
    for case in golden["groups"].as_array().unwrap() {
        let groups = case["groups"].as_array().unwrap().iter();
        let groups: Vec<Vec<f64>> = groups.map(numbers).collect();
        let found = correlation_ratio(&groups).unwrap();
        assert!((found - case["eta_squared"].as_f64().unwrap()).abs() < 1e-12);
    }
    for case in golden["pairs"].as_array().unwrap() {
        let found = squared_rank_correlation(&numbers(&case["x"]), &numbers(&case["y"])).unwrap();
        assert!((found - case["rho_squared"].as_f64().unwrap()).abs() < 1e-12);
    }
}
