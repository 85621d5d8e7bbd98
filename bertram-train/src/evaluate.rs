//! Whole-split evaluation.

use bertram_core::data::{Batcher, TokenizedDataset, in_order_of_rows};
use bertram_core::metric::SplitScores;
use bertram_core::task::{MultitaskModel, TaskConfig, TaskId, TaskMap, score};
use bertram_kernels::Kernels;
use burn::tensor::{Tensor, backend::Backend};

/// One task's rows of a split, ready to be batched.
#[derive(Clone, Copy)]
pub struct EvaluationSet<'a> {
    /// How the task is modelled.
    pub config: &'a TaskConfig,
    /// How its rows become batches.
    pub batcher: &'a Batcher,
    /// The rows that go through the model.
    pub data: &'a TokenizedDataset,
    /// Weight of its score in the overall one.
    pub overall_weight: f64,
}

/// Logits of every row, in the order of the rows. A task without a head, or without rows, gives none.
///
/// Rows go through the model sorted by length, `batch_size` and more of them at once
/// ([`Batcher::batches_by_length`]), and the device is read once. `progress` is called after each batch with the number of rows done.
pub fn split_logits<B: Kernels>(
    model: &MultitaskModel<B>,
    set: EvaluationSet<'_>,
    batch_size: usize,
    device: &B::Device,
    mut progress: impl FnMut(usize),
) -> Vec<Vec<f32>> {
    let Some(head) = model.head(set.config.task) else {
        return Vec::new();
    };
    if set.data.is_empty() {
        return Vec::new();
    }
    let batches = set.batcher.batches_by_length(set.data, batch_size);
    let mut chunks: Vec<Tensor<B, 2>> = Vec::new();
    let mut done = 0;
    for rows in &batches {
        let batch = set.batcher.batch(set.data, rows).to_device::<B>(device);
        chunks.push(model.forward(head, &batch));
        done += rows.len();
        progress(done);
    }
    in_order_of_rows(&batches, rows_on_host(Tensor::cat(chunks, 0)))
}

/// The rows of a matrix.
pub(crate) fn rows_on_host<B: Backend>(matrix: Tensor<B, 2>) -> Vec<Vec<f32>> {
    let columns = matrix.dims()[1].max(1);
    let values: Vec<f32> = matrix.into_data().iter::<f32>().collect();
    values.chunks(columns).map(<[f32]>::to_vec).collect()
}

/// Scores of every set that has labels, and the logits of all. `progress` is called after each batch with the number of rows
/// done, of all sets, and that of all their rows.
pub fn evaluate<B: Kernels>(
    model: &MultitaskModel<B>,
    sets: &[EvaluationSet<'_>],
    batch_size: usize,
    device: &B::Device,
    progress: impl FnMut(usize, usize),
) -> (SplitScores, TaskMap<Vec<Vec<f32>>>) {
    let logits = |set: EvaluationSet<'_>, progress: &mut dyn FnMut(usize)| {
        split_logits(model, set, batch_size, device, progress)
    };
    evaluate_by(sets, logits, progress)
}

/// [`evaluate`] with logits from elsewhere: `logits` says how many of a set's rows are done.
pub(crate) fn evaluate_by(
    sets: &[EvaluationSet<'_>],
    mut logits: impl FnMut(EvaluationSet<'_>, &mut dyn FnMut(usize)) -> Vec<Vec<f32>>,
    mut progress: impl FnMut(usize, usize),
) -> (SplitScores, TaskMap<Vec<Vec<f32>>>) {
    let mut scores = TaskMap::new();
    let mut all = TaskMap::new();
    let total = sets.iter().map(|set| set.data.len()).sum();
    let mut before = 0;
    for &set in sets {
        let task = set.config.task;
        let logits = logits(set, &mut |done| progress(before + done, total));
        before += logits.len();
        if let (Some(labels), false) = (&set.data.labels, logits.is_empty()) {
            scores.insert(task, score(set.config, &logits, labels));
        }
        all.insert(task, logits);
    }
    let weight = |task| {
        let set = sets.iter().find(|set| set.config.task == task);
        set.map_or(1.0, |set| set.overall_weight)
    };
    (SplitScores::weighted(scores, weight), all)
}

/// The first task of which a logit is not finite. An accuracy hides that: the largest of no numbers is class 0.
pub fn task_without_finite_logits(logits: &TaskMap<Vec<Vec<f32>>>) -> Option<TaskId> {
    let finite = |rows: &Vec<Vec<f32>>| rows.iter().flatten().all(|logit| logit.is_finite());
    logits
        .iter()
        .find_map(|(task, rows)| (!finite(rows)).then_some(*task))
}
