//! What users of gradient surgery look for: how the tasks' gradients lay to each other since the last logged step.

use std::collections::BTreeMap;

use crate::run_folder::SurgeryState;
use crate::step::Merged;

/// Sums over the updates whose Gram matrix was computed: every one under gradient surgery, the logged one under plain
/// sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Surgery {
    updates: usize,
    cosines: BTreeMap<String, f64>,
    norms: BTreeMap<String, f64>,
    conflicts: f64,
}

impl Surgery {
    /// Goes on where a checkpoint kept it.
    pub(super) fn resumed(state: &SurgeryState) -> Self {
        // JSON has no numbers that are not finite.
        let read = |number: Option<f64>| number.unwrap_or(f64::NAN);
        let all = |sums: &BTreeMap<String, Option<f64>>| {
            let sums = sums.iter().map(|(key, sum)| (key.clone(), read(*sum)));
            sums.collect()
        };
        Self {
            updates: state.updates,
            cosines: all(&state.cosines),
            norms: all(&state.norms),
            conflicts: read(state.conflicts),
        }
    }

    /// What a checkpoint keeps of it.
    pub(super) fn state(&self) -> SurgeryState {
        let write = |number: f64| Some(number).filter(|number| number.is_finite());
        let all = |sums: &BTreeMap<String, f64>| {
            let sums = sums.iter().map(|(key, sum)| (key.clone(), write(*sum)));
            sums.collect()
        };
        SurgeryState {
            updates: self.updates,
            cosines: all(&self.cosines),
            norms: all(&self.norms),
            conflicts: write(self.conflicts),
        }
    }

    pub(super) fn add(&mut self, merged: &Merged) {
        self.updates += 1;
        self.conflicts += merged.gram.conflict_share();
        for (i, one) in merged.tasks.iter().enumerate() {
            *self.norms.entry(one.to_string()).or_default() += merged.gram.norm(i);
            for (j, other) in merged.tasks.iter().enumerate().skip(i + 1) {
                *self.cosines.entry(format!("{one}-{other}")).or_default() +=
                    merged.gram.cosine(i, j);
            }
        }
    }

    /// Mean cosine of each pair of tasks, over the shared parameters or over all, as the aggregator sees them.
    pub(super) fn cosines(&self) -> Option<BTreeMap<String, f64>> {
        (self.updates > 0).then(|| self.mean(&self.cosines))
    }

    /// Mean length of each task's gradient.
    pub(super) fn norms(&self) -> BTreeMap<String, f64> {
        self.mean(&self.norms)
    }

    /// Mean share of pairs that point against each other.
    pub(super) fn conflict_share(&self) -> Option<f64> {
        (self.updates > 0).then(|| self.conflicts / self.updates as f64)
    }

    fn mean(&self, sums: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
        sums.iter()
            .map(|(key, sum)| (key.clone(), sum / self.updates.max(1) as f64))
            .collect()
    }
}
