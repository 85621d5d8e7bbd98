//! Which differences between the settings of a report are more than chance on the dev rows that they share.

use bertram_core::data::Split;

use crate::comparison::{Comparison, Difference, Verdict, correct};
use crate::group::{Group, Measure};
use crate::statistics::{Interval, Resampling};

/// Draws behind an interval: a fifth of those of `compare`, as a report has many.
pub(crate) const RESAMPLES: usize = 2000;
/// Comparisons that are made. Who has more settings looks for a few of them, and has `compare` for these.
const MOST: usize = 60;
/// Families of tests are held against it.
const LEVEL: f64 = 0.05;

/// Settings beside others, row by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paired {
    /// Each setting less the baseline.
    pub to_baseline: Family,
    /// Each less the one before it: where all have an experiment's id, they are steps.
    pub steps: Family,
}

/// Comparisons that are read together: a p-value is corrected for how many of them there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    cells: Vec<Cell>,
    /// Settings that cannot be compared row by row, each with the reason.
    pub refused: Vec<(usize, String)>,
}

/// What a setting's score is apart from another's.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    setting: usize,
    difference: Difference,
}

impl Cell {
    /// The setting's score less the other's.
    pub fn difference(&self) -> f64 {
        self.difference.difference
    }

    /// Whether it is more than chance: zero is not in the interval, and the corrected p-value is below the level.
    pub fn is_shown(&self) -> bool {
        self.difference.verdict != Verdict::NotShown
    }

    /// Whether there is a test of it: one seed beside several does not tell how far seeds differ.
    pub fn is_tested(&self) -> bool {
        self.difference.p_value.is_some()
    }

    /// Where the difference may lie, with 95 % probability.
    pub fn interval(&self) -> Interval {
        self.difference.interval
    }
}

impl Paired {
    /// Of settings in their order; `baseline` is one of them.
    pub fn of(groups: &[Group], baseline: usize) -> Self {
        let others = (0..groups.len()).filter(|setting| *setting != baseline);
        let to_baseline: Vec<_> = others.map(|setting| (baseline, setting)).collect();
        let are_steps = groups.len() > 2 && groups.iter().all(|group| group.id().is_some());
        let steps = match are_steps {
            true => (1..groups.len())
                .map(|setting| (setting - 1, setting))
                .collect(),
            false => Vec::new(),
        };
        if to_baseline.len() + steps.len() > MOST {
            return Self::default();
        }
        Self {
            to_baseline: Family::of(groups, &to_baseline),
            steps: Family::of(groups, &steps),
        }
    }
}

impl Family {
    fn of(groups: &[Group], pairs: &[(usize, usize)]) -> Self {
        let resampling = Resampling {
            resamples: RESAMPLES,
            confidence: 1.0 - LEVEL,
            ..Resampling::default()
        };
        let mut family = Self::default();
        for &(other, setting) in pairs {
            let (a, b) = (groups[other].runs.clone(), groups[setting].runs.clone());
            match Comparison::of_runs(a, b, &[], Split::Dev, &resampling) {
                Ok(found) => family.cells.extend(found.all().map(|difference| Cell {
                    setting,
                    difference: difference.clone(),
                })),
                Err(error) => family.refused.push((setting, error.to_string())),
            }
        }
        // The overall scores are no tests of their own beside those of the tasks: two families.
        for overall in [false, true] {
            let all = family.cells.iter_mut().map(|cell| &mut cell.difference);
            correct(all.filter(|difference| difference.metric.is_none() == overall));
        }
        for cell in &mut family.cells {
            cell.difference.judge(LEVEL);
        }
        family
    }

    /// Whether anything could be compared.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// What a setting's score is apart from the other's.
    pub fn cell(&self, setting: usize, measure: Measure) -> Option<&Cell> {
        let mut cells = self.cells.iter();
        cells.find(|cell| cell.setting == setting && is_of(cell, measure))
    }

    /// The median over settings of half an interval's width: on these rows a smaller difference cannot be told from none.
    pub fn noise(&self, measure: Measure) -> Option<f64> {
        let cells = self.cells.iter().filter(|cell| is_of(cell, measure));
        let mut widths: Vec<f64> = cells.map(|cell| cell.difference.half_width).collect();
        widths.sort_by(f64::total_cmp);
        widths.get(widths.len() / 2).copied()
    }
}

fn is_of(cell: &Cell, measure: Measure) -> bool {
    match measure {
        Measure::Overall => cell.difference.metric.is_none(),
        Measure::Task(task) => {
            cell.difference.metric.is_some() && cell.difference.name == task.name()
        }
    }
}
