//! What an encoder that does not change makes of rows: computed once and kept.
//!
//! Without dropout a frozen encoder gives the same vector for a row in every epoch. So training is that of the heads alone.
//! (Not where a head learns how vectors are made, by an attention pooler or a mix of layers.)

use std::collections::HashMap;

use bertram_core::data::Packing;
use bertram_core::task::{MultitaskModel, TaskId, TaskMap};
use bertram_kernels::Kernels;
use bertram_kernels::composed::pick_rows;
use burn::tensor::{Tensor, backend::Backend};

use crate::evaluate::{EvaluationSet, rows_on_host};

/// Vectors of rows of a data set, on the device.
#[derive(Clone, Debug)]
struct Vectors<B: Backend> {
    /// `[vectors, width]` ([`Pooling::width`](bertram_core::encoder::Pooling::width)); `None` of no rows.
    matrix: Option<Tensor<B, 2>>,
    /// Where a row's vectors are: its only one, or those of its first and its second sentence. A packed pair whose sentences
    /// have changed places is another sequence.
    places: HashMap<(usize, bool), Vec<usize>>,
}

impl<B: Backend> Default for Vectors<B> {
    fn default() -> Self {
        Self {
            matrix: None,
            places: HashMap::new(),
        }
    }
}

impl<B: Kernels> Vectors<B> {
    /// Sends those of the rows through the encoder that were not sent yet; each comes with whether its sentences change places.
    /// `go_on` gets the number of them that are done, and that of all, and says whether to go on.
    fn add(
        &mut self,
        model: &MultitaskModel<B>,
        set: EvaluationSet<'_>,
        rows: impl IntoIterator<Item = (usize, bool)>,
        batch_size: usize,
        device: &B::Device,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) {
        let Some(head) = model.head(set.config.task) else {
            return;
        };
        let is_packed = set.batcher.packing == Packing::CrossEncoder;
        let missing = rows
            .into_iter()
            .map(|(row, swapped)| (row, swapped && is_packed))
            .filter(|key| !self.places.contains_key(key));
        // An epoch has a row once, in one order.
        let swapped: HashMap<usize, bool> = missing.collect();
        let mut missing: Vec<usize> = swapped.keys().copied().collect();
        missing.sort_unstable();
        let mut parts: Vec<Tensor<B, 2>> = self.matrix.take().into_iter().collect();
        let mut place = parts.first().map_or(0, |matrix| matrix.dims()[0]);
        let sequences = set.batcher.packing.sequences();
        let mut done = 0;
        for rows in (set.batcher).batches_of_rows(set.data, &missing, batch_size) {
            let orders: Vec<bool> = rows.iter().map(|row| swapped[row]).collect();
            let batch = (set.batcher).swapped_batch(set.data, &rows, orders.clone());
            let batch = batch.to_device::<B>(device);
            parts.push(model.pooled(head, &batch));
            for (index, key) in rows.iter().copied().zip(orders).enumerate() {
                // All first sentences, then all second ones.
                let own = (0..sequences).map(|side| place + side * rows.len() + index);
                self.places.insert(key, own.collect());
            }
            place += sequences * rows.len();
            done += rows.len();
            if !go_on(done, missing.len()) {
                break;
            }
        }
        self.matrix = (!parts.is_empty()).then(|| Tensor::cat(parts, 0));
    }

    /// The vectors of rows as a batch of them has them, `[sequences, hidden_size]`; `None` where one is not kept. `swapped` says
    /// of each whether its sentences have changed places; it is empty where none have.
    fn of(&self, rows: &[usize], swapped: &[bool]) -> Option<Tensor<B, 2>> {
        let matrix = self.matrix.as_ref()?;
        let rows = rows.iter().enumerate();
        let places: Option<Vec<Vec<usize>>> = rows
            .map(|(index, row)| {
                let swapped = swapped.get(index).copied().unwrap_or(false);
                if let Some(packed) = self.places.get(&(*row, swapped)) {
                    return Some(packed.clone());
                }
                // Of sentences that are encoded apart it is the other's vector that comes first.
                let own = self
                    .places
                    .get(&(*row, false))
                    .filter(|own| own.len() == 2)?;
                Some(vec![own[1], own[0]])
            })
            .collect();
        let places = places?;
        let sequences = places.first()?.len();
        let by_side = (0..sequences).flat_map(|side| places.iter().map(move |own| own[side]));
        Some(pick_rows(matrix.clone(), &by_side.collect::<Vec<_>>()))
    }
}

/// Which rows of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rows {
    /// Those it learns from.
    Train,
    /// Those of them that say which task comes last.
    Score,
    /// Those it is scored on.
    Dev,
}

/// The vectors of a run's rows. They take `4 width` bytes for each sequence, of one pooling `4 hidden_size`.
///
/// A vector's last bits may hang on the rows that go through the encoder beside its own. So a run that goes on has to send
/// its rows epoch by epoch as they came the first time.
#[derive(Clone, Debug)]
pub(crate) struct FrozenVectors<B: Backend> {
    /// Epochs whose training rows are kept.
    pub(crate) epochs: usize,
    /// Of each task whose vectors are kept, those of its rows.
    tasks: TaskMap<[Vectors<B>; 3]>,
    batch_size: usize,
    device: B::Device,
}

impl<B: Kernels> FrozenVectors<B> {
    /// Nothing kept yet, of these tasks. `batch_size` rows, and more, go through the encoder at once.
    pub(crate) fn new(
        tasks: impl IntoIterator<Item = TaskId>,
        batch_size: usize,
        device: B::Device,
    ) -> Self {
        let empty = || [(); 3].map(|()| Vectors::default());
        Self {
            epochs: 0,
            tasks: tasks.into_iter().map(|task| (task, empty())).collect(),
            batch_size,
            device,
        }
    }

    /// Whether vectors of a task are kept.
    pub(crate) fn keeps(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some()
    }

    /// Computes what is not kept yet of the rows, each with whether its sentences change places. `go_on` gets the number of those
    /// that are done, and that of all, and says whether to go on.
    pub(crate) fn add(
        &mut self,
        model: &MultitaskModel<B>,
        set: EvaluationSet<'_>,
        which: Rows,
        rows: impl IntoIterator<Item = (usize, bool)>,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) {
        if let Some(vectors) = self.tasks.get_mut(&set.config.task) {
            let vectors = &mut vectors[which as usize];
            vectors.add(model, set, rows, self.batch_size, &self.device, go_on);
        }
    }

    /// The vectors of a batch of rows, `[sequences, hidden_size]`; `swapped` is empty, or says of each row whether its sentences
    /// have changed places.
    pub(crate) fn of(
        &self,
        task: TaskId,
        which: Rows,
        rows: &[usize],
        swapped: &[bool],
    ) -> Option<Tensor<B, 2>> {
        self.tasks.get(&task)?[which as usize].of(rows, swapped)
    }

    /// Logits of all rows of a set, of vectors that are kept from then on; `None` for a task that has none.
    pub(crate) fn logits(
        &mut self,
        model: &MultitaskModel<B>,
        set: EvaluationSet<'_>,
        which: Rows,
        progress: &mut dyn FnMut(usize),
    ) -> Option<Vec<Vec<f32>>> {
        let rows: Vec<usize> = (0..set.data.len()).collect();
        let task = set.config.task;
        let head = model.head(task).filter(|_| self.keeps(task))?;
        let in_order = rows.iter().map(|row| (*row, false));
        self.add(model, set, which, in_order, &mut |done, _| {
            progress(done);
            true
        });
        let Some(pooled) = self.of(task, which, &rows, &[]) else {
            return Some(Vec::new());
        };
        progress(rows.len());
        Some(rows_on_host(head.forward(pooled)))
    }
}
