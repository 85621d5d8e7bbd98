//! Nash-MTL: multi-task learning as a bargaining game (Navon et al. 2022, <https://arxiv.org/abs/2202.01017>).

use nalgebra::{DMatrix, DVector};

use super::{GradientAggregator, Gram, StepRng};

/// The weights `a > 0` with `G a = 1 / a` (claim 3.1 of the paper). They shrink as gradients grow: the merged gradient has a
/// length of its own.
///
/// They make the convex function `a' G a / 2 - sum log a` least; it is solved by damped Newton steps, not by the
/// paper's sequence of approximations.
#[derive(Clone, Copy, Debug)]
pub struct NashMtl;

/// Keeps the problem bounded where gradients cancel: relative to a matrix of norm 1.
const RIDGE: f64 = 1e-13;

impl GradientAggregator for NashMtl {
    fn weights(&mut self, gram: &Gram, _rng: &mut StepRng) -> Vec<f64> {
        let tasks = gram.tasks();
        if tasks == 1 {
            return vec![1.0];
        }
        let norm = gram.matrix().norm();
        if norm <= 0.0 {
            return vec![1.0; tasks];
        }
        let matrix = gram.matrix() / norm + DMatrix::identity(tasks, tasks) * RIDGE;
        // Solved for a matrix of norm 1: the solution scales with the root of the norm.
        solve(&matrix)
            .into_iter()
            .map(|weight| weight / norm.sqrt())
            .collect()
    }
}

fn solve(matrix: &DMatrix<f64>) -> Vec<f64> {
    let tasks = matrix.nrows();
    let value = |a: &DVector<f64>| {
        0.5 * a.dot(&(matrix * a)) - a.iter().map(|weight| weight.ln()).sum::<f64>()
    };
    let mut a = DVector::from_element(tasks, 1.0);
    for _ in 0..200 {
        let gradient = matrix * &a - a.map(|weight| 1.0 / weight);
        let hessian = matrix + DMatrix::from_diagonal(&a.map(|weight| 1.0 / (weight * weight)));
        let Some(direction) = hessian.lu().solve(&gradient) else {
            break;
        };
        let decrease = gradient.dot(&direction);
        if decrease < 1e-22 {
            break;
        }
        let now = value(&a);
        let mut step = 1.0;
        loop {
            let next = &a - &direction * step;
            if next.iter().all(|weight| *weight > 0.0)
                && value(&next) <= now - 0.25 * step * decrease
            {
                a = next;
                break;
            }
            step *= 0.5;
            if step < 1e-12 {
                return a.iter().copied().collect();
            }
        }
    }
    a.iter().copied().collect()
}
