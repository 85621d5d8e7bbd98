//! Rows of a table, with a gradient that costs little more than the rows.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Int, Tensor, TensorMetadata};

use super::graph::register;
use super::tensor::{all_f32, contiguous, from_values, matrix_dims, primitive, tensor, values};
use super::touched::Touched;
use crate::composed;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State {
    ids: Vec<usize>,
    /// Rows of the table.
    entries: usize,
}

#[derive(Debug)]
struct Embedding;

impl Backward<Flex, 1> for Embedding {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [to_table] = ops.parents.map(|node| node.map(|node| node.id));
        let State { ids, entries } = ops.state;
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let [_, width] = matrix_dims(&gradient);
        // Fresh zeros cost nothing until they are touched: most rows are not, here or in the optimiser.
        let mut of_table = vec![0.0; entries * width];
        for (&id, row) in ids.iter().zip(values(&gradient).chunks_exact(width)) {
            let sum = &mut of_table[id * width..][..width];
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += value;
            }
        }
        let of_table = from_values(of_table, [entries, width].into());
        Touched::new(ids, width).note(&of_table);
        register(gradients, to_table, Some(of_table));
    }
}

/// [`Kernels::embedding_rows_on_graph`](crate::Kernels::embedding_rows_on_graph).
pub(super) fn on_graph<C: CheckpointStrategy>(
    table: Tensor<Autodiff<Flex, C>, 2>,
    ids: Tensor<Autodiff<Flex, C>, 1, Int>,
) -> Tensor<Autodiff<Flex, C>, 2> {
    if !all_f32(&[table.dtype()]) {
        return composed::embedding_rows(table, ids);
    }
    let ids: Vec<usize> = ids
        .into_data()
        .iter::<i64>()
        .map(|id| id as usize)
        .collect();
    let table = primitive(table);
    let node = table.node;
    let table = contiguous(table.primitive);
    let [entries, width] = table.shape().dims();
    let mut rows = Vec::with_capacity(ids.len() * width);
    for id in &ids {
        rows.extend_from_slice(&values(&table)[id * width..][..width]);
    }
    let rows = from_values(rows, [ids.len(), width].into());
    tensor(
        match Embedding.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(State { ids, entries }, rows),
            OpsKind::UnTracked(prepared) => prepared.finish(rows),
        },
    )
}
