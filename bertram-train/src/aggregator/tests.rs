//! Properties that every aggregator has, and some that single ones have.

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

fn rng() -> StepRng {
    StepRng::seed_from_u64(1)
}

fn config(kind: AggregatorKind) -> AggregatorConfig {
    AggregatorConfig {
        kind,
        ..AggregatorConfig::default()
    }
}

fn gram(gradients: &[Vec<f64>]) -> Gram {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let rows: Vec<Vec<f64>> = gradients
        .iter()
        .map(|a| gradients.iter().map(|b| dot(a, b)).collect())
        .collect();
    Gram::from_rows(&rows)
}

fn merged(gradients: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    (0..gradients[0].len())
        .map(|column| {
            gradients
                .iter()
                .zip(weights)
                .map(|(row, weight)| weight * row[column])
                .sum()
        })
        .collect()
}

fn weights(kind: AggregatorKind, gradients: &[Vec<f64>]) -> Vec<f64> {
    config(kind).build().weights(&gram(gradients), &mut rng())
}

fn gradients(tasks: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec(-2.0f64..2.0, 5), tasks)
}

proptest! {
    #[test]
    fn finite_for_anything(mut rows in gradients(1..=4), zero in 0usize..4, copy in 0usize..4, oppose: bool) {
        let tasks = rows.len();
        rows[zero % tasks] = vec![0.0; 5];
        if tasks > 2 {
            let sign = if oppose { -1.0 } else { 1.0 };
            rows[tasks - 1] = rows[copy % tasks].iter().map(|value| sign * value).collect();
        }
        for kind in AggregatorKind::ALL {
            let weights = weights(kind, &rows);
            prop_assert_eq!(weights.len(), tasks);
            prop_assert!(weights.iter().all(|weight| weight.is_finite()), "{:?}: {:?}", kind, weights);
        }
    }

    #[test]
    fn one_task_keeps_its_gradient(rows in gradients(1..=1)) {
        prop_assume!(rows[0].iter().any(|value| value.abs() > 1e-3));
        for kind in AggregatorKind::ALL {
            let weights = weights(kind, &rows);
            prop_assert!((weights[0] - 1.0).abs() < 1e-6, "{:?}: {:?}", kind, weights);
        }
    }

    #[test]
    fn permuting_tasks_permutes_the_result(rows in gradients(3..=3)) {
        // PCGrad and GradVac draw an order for each task: equal draws belong to other tasks after a permutation,
        // and the next test gives each task its own.
        let drawn = [AggregatorKind::Pcgrad, AggregatorKind::Gradvac];
        for kind in AggregatorKind::ALL.into_iter().filter(|kind| !drawn.contains(kind)) {
            let before = merged(&rows, &weights(kind, &rows));
            let turned = [rows[2].clone(), rows[0].clone(), rows[1].clone()];
            let after = merged(&turned, &weights(kind, &turned));
            for (one, other) in before.iter().zip(&after) {
                prop_assert!((one - other).abs() < 1e-4 * (1.0 + one.abs()), "{:?}: {:?} {:?}", kind, before, after);
            }
        }
    }

    #[test]
    fn permuting_tasks_and_orders_permutes_what_is_projected(
        rows in gradients(3..=3),
        seed: u64,
        with_itself: bool,
    ) {
        // Task 2 comes first, then 0, then 1; each keeps the order that was drawn for it.
        const TO: [usize; 3] = [1, 2, 0];
        let orders = pcgrad::random_orders(3, with_itself, &mut StepRng::seed_from_u64(seed));
        let mut turned = vec![Vec::new(); 3];
        let mut turned_orders = vec![Vec::new(); 3];
        for task in 0..3 {
            turned[TO[task]] = rows[task].clone();
            turned_orders[TO[task]] = orders[task].iter().map(|&other| TO[other]).collect();
        }
        let mut one = GradVac::new(0.01);
        let mut other = GradVac::new(0.01);
        let both = |one: Vec<f64>, other: Vec<f64>| (merged(&rows, &one), merged(&turned, &other));
        for (before, after) in [
            both(
                PcGrad::weights_in_order(&gram(&rows), &orders),
                PcGrad::weights_in_order(&gram(&turned), &turned_orders),
            ),
            both(
                one.weights_in_order(&gram(&rows), &orders),
                other.weights_in_order(&gram(&turned), &turned_orders),
            ),
        ] {
            for (before, after) in before.iter().zip(&after) {
                prop_assert!((before - after).abs() < 1e-9 * (1.0 + before.abs()));
            }
        }
    }

    #[test]
    fn pcgrad_without_conflict_is_the_sum(rows in prop::collection::vec(prop::collection::vec(0.0f64..2.0, 5), 2..=4)) {
        prop_assert_eq!(weights(AggregatorKind::Pcgrad, &rows), vec![1.0; rows.len()]);
    }

    #[test]
    fn two_projected_gradients_do_not_conflict_with_the_other_task(rows in gradients(2..=2)) {
        let gram = gram(&rows);
        prop_assume!(gram.dot(0, 1) < 0.0);
        let projected = pcgrad::project(&gram, 0, &[1]);
        prop_assert!(gram.dot_with(&projected, 1).abs() < 1e-9);
    }

    #[test]
    fn mgda_and_upgrad_conflict_with_no_task(rows in gradients(2..=4)) {
        let gram = gram(&rows);
        for kind in [AggregatorKind::Mgda, AggregatorKind::Upgrad] {
            let weights = weights(kind, &rows);
            for task in 0..rows.len() {
                let inner = gram.dot_with(&weights, task);
                prop_assert!(inner > -1e-5 * gram.scale(), "{:?}: {}", kind, inner);
            }
        }
    }

    #[test]
    fn imtl_g_projects_evenly(rows in gradients(3..=3)) {
        let gram = gram(&rows);
        prop_assume!(gram.matrix().clone().symmetric_eigenvalues().min() > 0.05);
        let weights = weights(AggregatorKind::ImtlG, &rows);
        prop_assume!(weights.iter().all(|weight| weight.abs() < 50.0));
        let projection = |task: usize| gram.dot_with(&weights, task) / gram.norm(task);
        prop_assert!((projection(0) - projection(1)).abs() < 1e-6);
        prop_assert!((projection(0) - projection(2)).abs() < 1e-6);
    }

    #[test]
    fn nash_mtl_solves_its_equation(rows in gradients(2..=4)) {
        let gram = gram(&rows);
        prop_assume!(gram.matrix().clone().symmetric_eigenvalues().min() > 0.01);
        let weights = weights(AggregatorKind::NashMtl, &rows);
        for task in 0..rows.len() {
            let inner = gram.dot_with(&weights, task);
            prop_assert!((inner * weights[task] - 1.0).abs() < 1e-5);
        }
    }
}

/// Two tasks with the same rows have the same gradient but for rounding: of f32, in which Gram matrices are made. No
/// aggregator's update may vanish between them, as one that trusts the tiny second eigenvalue would.
#[test]
fn two_tasks_with_the_same_rows_are_one_direction() {
    let gradient: Vec<f64> = (0..64).map(|i| (f64::from(i) * 0.37).sin()).collect();
    let norm = gradient.iter().map(|value| value * value).sum::<f64>();
    for noise in [0.0, 1e-8, 1e-7, 3e-7] {
        let (one, other) = (norm as f32, (norm * (1.0 + noise)) as f32);
        let across = ((f64::from(one) + f64::from(other)) / 2.0) as f32;
        for shift in [-1.0, 0.0, 1.0] {
            let across = f64::from(across) * (1.0 + shift * f64::from(f32::EPSILON));
            let gram =
                Gram::from_rows(&[vec![f64::from(one), across], vec![across, f64::from(other)]]);
            for kind in AggregatorKind::ALL {
                let weights = config(kind).build().weights(&gram, &mut rng());
                let along: f64 = weights.iter().sum();
                // Sums are twice one gradient, means one; Nash-MTL's and GradVac's scales are their own.
                assert!(
                    (0.4..=2.1).contains(&along)
                        || (kind == AggregatorKind::NashMtl && along > 0.0),
                    "{kind:?} at {noise:e}, {shift}: {weights:?}"
                );
            }
        }
    }
}

#[test]
fn gradvac_remembers_its_targets() {
    let rows = vec![vec![1.0, 0.5, 0.0], vec![-1.0, 0.2, 0.3]];
    let mut one = GradVac::new(0.5);
    one.weights(&gram(&rows), &mut rng());
    let mut other = GradVac::new(0.5);
    other.restore(&one.state());
    assert_eq!(
        one.weights(&gram(&rows), &mut rng()),
        other.weights(&gram(&rows), &mut rng())
    );
    assert_ne!(
        GradVac::new(0.5).weights(&gram(&rows), &mut rng()),
        other.weights(&gram(&rows), &mut rng())
    );
}
