//! What a model says of a row does not hang on the rows beside it: a pass over a split in batches of any size, sorted by
//! length, gives the numbers of a pass row by row, in the order of the rows.

use bertram_core::data::{Batcher, SpecialTokens, TokenizedDataset};
use bertram_core::task::TaskId;
use bertram_train::evaluate::{EvaluationSet, split_logits};
use burn::backend::Flex;

use crate::tiny;

/// Rows of 0 to 9 tokens, in no order.
fn rows(task: TaskId, count: usize) -> TokenizedDataset {
    let sentences = |stream: usize| -> Vec<Vec<u32>> {
        let lengths = tiny::numbers(count, stream);
        let lengths = lengths.iter().map(|number| (number.abs() * 9.0) as usize);
        let sentence = |(row, length): (usize, usize)| {
            let ids = tiny::numbers(length, stream + 7 * row);
            ids.iter().map(|id| 5 + (id.abs() * 24.0) as u32).collect()
        };
        lengths.enumerate().map(sentence).collect()
    };
    TokenizedDataset {
        task,
        ids: (0..count).map(|row| row.to_string()).collect(),
        a: sentences(3),
        b: match task {
            TaskId::SST => Vec::new(),
            _ => sentences(1000),
        },
        labels: None,
        weights: None,
    }
}

#[test]
fn batches_say_what_single_rows_say() {
    let device = Default::default();
    let model = tiny::model::<Flex>(&device, 0.1);
    for task in TaskId::PAPER {
        let data = rows(task, 61);
        let config = model.head(task).expect("a head").config();
        let logits = |data: &TokenizedDataset, batch_size, pad_to_multiple_of| {
            let batcher = Batcher {
                packing: config.packing(),
                max_length: 10,
                pad_to_multiple_of,
                special: SpecialTokens {
                    pad: 0,
                    unk: 1,
                    cls: 2,
                    sep: 3,
                    mask: 4,
                },
            };
            let set = EvaluationSet {
                config,
                batcher: &batcher,
                data,
                overall_weight: 1.0,
            };
            let mut told = Vec::new();
            let logits = split_logits(&model, set, batch_size, &device, |done| told.push(done));
            assert!(told.is_sorted());
            assert_eq!(told.last(), Some(&data.len()));
            (logits, told.len())
        };
        let single: Vec<Vec<f32>> = (0..data.len())
            .flat_map(|row| logits(&data.select(&[row]), 1, 1).0)
            .collect();
        assert!(single[0] != single[1]);
        // Never more batches than of as many rows each; on a device that compiles kernels for shapes, eight rows each.
        for (batch_size, multiple, most) in [(1, 1, 61), (8, 1, 8), (8, 4, 8), (64, 1, 1)] {
            let (batched, batches) = logits(&data, batch_size, multiple);
            assert!(batches <= most, "{task}: {batches} batches of {batch_size}");
            for (row, (batched, single)) in batched.iter().zip(&single).enumerate() {
                let pairs = batched.iter().zip(single);
                let far = pairs
                    .map(|(one, other)| (one - other).abs())
                    .fold(0.0, f32::max);
                assert!(
                    far < 1e-6,
                    "{task}, row {row}, batches of {batch_size}: {far}"
                );
            }
        }
    }
}
