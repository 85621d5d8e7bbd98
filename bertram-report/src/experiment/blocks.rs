//! Cell means with the seeds as blocks, by least squares.

use nalgebra::{DMatrix, DVector};

/// What the runs scored, by cell and seed.
pub(super) struct Blocks {
    cells: Vec<Vec<Run>>,
    seeds: usize,
    responses: usize,
}

/// One run of a cell.
struct Run {
    seed: usize,
    values: Vec<f64>,
}

impl Blocks {
    /// No runs yet.
    pub(super) fn new(cells: usize, seeds: usize, responses: usize) -> Self {
        Self {
            cells: (0..cells).map(|_| Vec::new()).collect(),
            seeds,
            responses,
        }
    }

    /// Adds a run, `values` one a response; false when the cell already has one with this seed.
    pub(super) fn insert(&mut self, cell: usize, seed: usize, values: Vec<f64>) -> bool {
        let runs = &mut self.cells[cell];
        // Ordered by seed, so that sums do not depend on the order of observations, not even in the last bit.
        match runs.binary_search_by_key(&seed, |run| run.seed) {
            Ok(_) => false,
            Err(place) => {
                runs.insert(place, Run { seed, values });
                true
            }
        }
    }

    /// Cells without a run.
    pub(super) fn empty_cells(&self) -> impl Iterator<Item = usize> {
        let cells = self.cells.iter().enumerate();
        cells.filter_map(|(cell, runs)| runs.is_empty().then_some(cell))
    }

    /// Whether every seed has every cell.
    pub(super) fn is_complete(&self) -> bool {
        self.cells.iter().all(|runs| runs.len() == self.seeds)
    }

    /// How many seeds there are.
    pub(super) fn seeds(&self) -> usize {
        self.seeds
    }

    /// Weighted least squares of `value = mean of the cell + shift of the seed`, seed `s` counting `weights[s]` times.
    ///
    /// Returns the cell means, one list a response. They share an arbitrary constant (it could be moved into the shifts):
    /// only contrasts of them mean something. None when the seeds that count leave a cell without a run, or leave two
    /// cells that share no seed, directly or through others.
    pub(super) fn cell_means(&self, weights: &[f64]) -> Option<Vec<Vec<f64>>> {
        let in_use = |cell: &[Run]| -> Vec<usize> {
            let runs = cell.iter().enumerate();
            runs.filter_map(|(i, run)| (weights[run.seed] > 0.0).then_some(i))
                .collect()
        };
        let used: Vec<Vec<usize>> = self.cells.iter().map(|cell| in_use(cell)).collect();
        if !self.connected(&used) {
            return None;
        }
        let total = |cell: usize| -> f64 {
            let runs = used[cell].iter();
            runs.map(|&i| weights[self.cells[cell][i].seed]).sum()
        };
        let mean = |cell: usize, value: &dyn Fn(&Run) -> f64| -> f64 {
            let runs = used[cell].iter().map(|&i| &self.cells[cell][i]);
            runs.map(|run| weights[run.seed] * value(run)).sum::<f64>() / total(cell)
        };

        // The normal equations with the cell means eliminated: a weighted graph Laplacian over the seeds. Its null space
        // is the constant; a seed that does not count, and the first that does, are held at zero.
        let first = weights.iter().position(|&w| w > 0.0)?;
        let mut laplacian = DMatrix::<f64>::zeros(self.seeds, self.seeds);
        for (cell, runs) in self.cells.iter().enumerate() {
            let total = total(cell);
            for &i in &used[cell] {
                let (s, w) = (runs[i].seed, weights[runs[i].seed]);
                laplacian[(s, s)] += w;
                for &j in &used[cell] {
                    laplacian[(s, runs[j].seed)] -= w * weights[runs[j].seed] / total;
                }
            }
        }
        let free = |s: usize| s != first && weights[s] > 0.0;
        for s in (0..self.seeds).filter(|&s| !free(s)) {
            laplacian.row_mut(s).fill(0.0);
            laplacian.column_mut(s).fill(0.0);
            laplacian[(s, s)] = 1.0;
        }
        let factorised = laplacian.cholesky()?;

        let solve = |response: usize| {
            let mut right = DVector::<f64>::zeros(self.seeds);
            for (cell, runs) in self.cells.iter().enumerate() {
                let mean = mean(cell, &|run| run.values[response]);
                for run in used[cell].iter().map(|&i| &runs[i]) {
                    if free(run.seed) {
                        right[run.seed] += weights[run.seed] * (run.values[response] - mean);
                    }
                }
            }
            let shifts = factorised.solve(&right);
            (0..self.cells.len())
                .map(|cell| mean(cell, &|run| run.values[response] - shifts[run.seed]))
                .collect()
        };
        Some((0..self.responses).map(solve).collect())
    }

    /// Whether the graph of cells and seeds, an edge a run in use, has every cell in one component.
    fn connected(&self, used: &[Vec<usize>]) -> bool {
        let mut reached_seeds = vec![false; self.seeds];
        let mut reached_cells = vec![false; self.cells.len()];
        let mut queue = vec![0];
        while let Some(cell) = queue.pop() {
            if std::mem::replace(&mut reached_cells[cell], true) {
                continue;
            }
            for &i in &used[cell] {
                reached_seeds[self.cells[cell][i].seed] = true;
            }
            let near = |other: &usize| {
                let mut runs = used[*other].iter().map(|&i| self.cells[*other][i].seed);
                !reached_cells[*other] && runs.any(|seed| reached_seeds[seed])
            };
            queue.extend((0..self.cells.len()).filter(near));
        }
        reached_cells
            .iter()
            .zip(used)
            .all(|(&cell, runs)| cell && !runs.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_a_seed_shifts_in_cells_it_was_not_run_in() {
        // Means 1, 2, 4; shifts 0, 10, 100; seed 2 without cell 0, seed 0 without cell 2.
        let mut blocks = Blocks::new(3, 3, 1);
        for (cell, seed, value) in [
            (2, 1, 14.0),
            (0, 0, 1.0),
            (0, 1, 11.0),
            (1, 0, 2.0),
            (1, 1, 12.0),
            (1, 2, 102.0),
            (2, 2, 104.0),
        ] {
            assert!(blocks.insert(cell, seed, vec![value]));
        }
        assert!(!blocks.insert(2, 2, vec![0.0]));
        assert!(!blocks.is_complete());
        for weights in [[1.0, 1.0, 1.0], [2.0, 1.0, 0.0], [0.0, 1.0, 3.0]] {
            let means = &blocks.cell_means(&weights).unwrap()[0];
            assert!((means[1] - means[0] - 1.0).abs() < 1e-12);
            assert!((means[2] - means[0] - 3.0).abs() < 1e-12);
        }
        assert!(blocks.cell_means(&[3.0, 0.0, 0.0]).is_none());
    }

    #[test]
    fn cells_that_share_no_seed_cannot_be_compared() {
        let mut blocks = Blocks::new(2, 2, 1);
        blocks.insert(0, 0, vec![1.0]);
        assert_eq!(blocks.empty_cells().collect::<Vec<_>>(), [1]);
        blocks.insert(1, 1, vec![2.0]);
        assert!(blocks.cell_means(&[1.0, 1.0]).is_none());
    }
}
