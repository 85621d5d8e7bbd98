//! The Gram matrix of task gradients.

use nalgebra::{DMatrix, DVector};

/// `gram[i, j] = <g_i, g_j>`, symmetric and positive semi-definite up to rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    matrix: DMatrix<f64>,
}

impl Gram {
    /// From the rows of a square matrix, one a task; made symmetric.
    pub fn from_rows(rows: &[Vec<f64>]) -> Self {
        let tasks = rows.len();
        let matrix = DMatrix::from_fn(tasks, tasks, |i, j| 0.5 * (rows[i][j] + rows[j][i]));
        Self { matrix }
    }

    /// Whether every inner product is finite.
    pub fn is_finite(&self) -> bool {
        self.matrix.iter().all(|value| value.is_finite())
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.matrix.nrows()
    }

    /// `<g_i, g_j>`.
    pub fn dot(&self, i: usize, j: usize) -> f64 {
        self.matrix[(i, j)]
    }

    /// Length of `g_i`.
    pub fn norm(&self, i: usize) -> f64 {
        self.matrix[(i, i)].max(0.0).sqrt()
    }

    /// Cosine between `g_i` and `g_j`; 0 where one of them is zero.
    pub fn cosine(&self, i: usize, j: usize) -> f64 {
        let norms = self.norm(i) * self.norm(j);
        if norms > 0.0 {
            (self.dot(i, j) / norms).clamp(-1.0, 1.0)
        } else {
            0.0
        }
    }

    /// Share of pairs of tasks whose gradients point against each other; 0 for a single task.
    pub fn conflict_share(&self) -> f64 {
        let tasks = self.tasks();
        let pairs = tasks * tasks.saturating_sub(1) / 2;
        if pairs == 0 {
            return 0.0;
        }
        let conflicts = (0..tasks)
            .flat_map(|i| (i + 1..tasks).map(move |j| (i, j)))
            .filter(|&(i, j)| self.dot(i, j) < 0.0)
            .count();
        conflicts as f64 / pairs as f64
    }

    /// `<sum_k a_k g_k, g_j>`.
    pub(super) fn dot_with(&self, coefficients: &[f64], j: usize) -> f64 {
        coefficients
            .iter()
            .enumerate()
            .map(|(k, coefficient)| coefficient * self.dot(k, j))
            .sum()
    }

    /// Length of `sum_k a_k g_k`.
    pub(super) fn norm_of(&self, coefficients: &[f64]) -> f64 {
        let a = DVector::from_column_slice(coefficients);
        a.dot(&(&self.matrix * &a)).max(0.0).sqrt()
    }

    pub(super) fn matrix(&self) -> &DMatrix<f64> {
        &self.matrix
    }

    /// The sum of squared lengths, by which methods that need a scale divide; 0 only where every gradient is zero.
    pub(super) fn scale(&self) -> f64 {
        self.matrix.trace()
    }
}
