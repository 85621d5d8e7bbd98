//! Small quadratic programs, solved exactly by trying every active set. With `m` tasks there are `2^m`, and `m` is small.

use nalgebra::{DMatrix, DVector};

/// The point of the simplex (`w >= 0`, `sum w = 1`) that makes `w' G w` least.
pub(super) fn least_norm_on_simplex(gram: &DMatrix<f64>) -> Vec<f64> {
    let tasks = gram.nrows();
    let mut best = (f64::INFINITY, vec![1.0 / tasks as f64; tasks]);
    for support in supports(tasks) {
        let size = support.len();
        // Stationarity and the constraint: [G 1; 1' 0] [w; -nu] = [0; 1].
        let mut system = DMatrix::zeros(size + 1, size + 1);
        for (row, &i) in support.iter().enumerate() {
            for (column, &j) in support.iter().enumerate() {
                system[(row, column)] = gram[(i, j)];
            }
            system[(row, size)] = 1.0;
            system[(size, row)] = 1.0;
        }
        let mut right = DVector::zeros(size + 1);
        right[size] = 1.0;
        let Some(solution) = pseudo_solve(&system, &right) else {
            continue;
        };
        let mut weights = vec![0.0; tasks];
        for (row, &i) in support.iter().enumerate() {
            weights[i] = solution[row];
        }
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|weight| *weight < -1e-12) || (sum - 1.0).abs() > 1e-6 {
            continue;
        }
        let value = quadratic(gram, &weights);
        if value < best.0 - 1e-15 * gram.trace().abs() {
            best = (value, weights);
        }
    }
    best.1
}

/// The `v >= lower` that makes `v' G v` least.
pub(super) fn least_norm_above(gram: &DMatrix<f64>, lower: &[f64]) -> Vec<f64> {
    let tasks = gram.nrows();
    let mut best = (quadratic(gram, lower), lower.to_vec());
    let pull = gram * DVector::from_column_slice(lower);
    for support in supports(tasks) {
        let size = support.len();
        let system = DMatrix::from_fn(size, size, |a, b| gram[(support[a], support[b])]);
        let right = DVector::from_fn(size, |a, _| -pull[support[a]]);
        let Some(solution) = pseudo_solve(&system, &right) else {
            continue;
        };
        if solution.iter().any(|step| *step < -1e-12) {
            continue;
        }
        let mut candidate = lower.to_vec();
        for (row, &i) in support.iter().enumerate() {
            candidate[i] += solution[row].max(0.0);
        }
        let value = quadratic(gram, &candidate);
        if value < best.0 - 1e-15 * gram.trace().abs() {
            best = (value, candidate);
        }
    }
    best.1
}

fn supports(tasks: usize) -> impl Iterator<Item = Vec<usize>> {
    (1u32..1 << tasks).map(move |bits| (0..tasks).filter(|i| bits >> i & 1 == 1).collect())
}

fn quadratic(gram: &DMatrix<f64>, weights: &[f64]) -> f64 {
    let w = DVector::from_column_slice(weights);
    w.dot(&(gram * &w))
}

/// The least-norm solution of a symmetric system, where singular values below `1e-12` of the largest count as none.
pub(super) fn pseudo_solve(system: &DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
    let decomposition = system.clone().svd(true, true);
    let largest = decomposition.singular_values.max();
    decomposition.solve(right, largest * 1e-12).ok()
}
