//! From tokenised sentences to padded batches, first on the host, then on a device.

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::order::batches_by_length;
use super::tokenize::TokenizedDataset;
use crate::batch::{Packing, TaskBatch, TokenBatch};
use crate::spec::TaskId;
use crate::tokenizer::SpecialTokens;

/// Makes batches of a tokenised data set.
#[derive(Clone, Copy, Debug)]
pub struct Batcher {
    /// How sentences become sequences.
    pub packing: Packing,
    /// Most tokens of a sequence, special tokens counted; at least 3.
    pub max_length: usize,
    /// Batches are padded to a multiple of this, though not beyond `max_length`; 1 pads to the longest sequence. A GPU
    /// then meets few lengths, and compiles kernels for few.
    pub pad_to_multiple_of: usize,
    /// Special tokens of the vocabulary.
    pub special: SpecialTokens,
}

/// A padded batch on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBatch {
    /// Name of the task that this is of.
    pub task: TaskId,
    /// Number of examples.
    pub examples: usize,
    /// Number of sequences: twice the examples for a bi-encoder.
    pub sequences: usize,
    /// Tokens of the longest sequence, or more ([`Batcher::pad_to_multiple_of`]).
    pub seq_len: usize,
    /// Token ids, `[sequences * seq_len]`, padded with `[PAD]`.
    pub input_ids: Vec<i32>,
    /// Segments, `[sequences * seq_len]`.
    pub token_type_ids: Vec<i32>,
    /// 1 for a token and 0 for padding, `[sequences * seq_len]`.
    pub attention_mask: Vec<f32>,
    /// Tokens of each sequence.
    pub lengths: Vec<usize>,
    /// Numbers of the examples' labels, one example after the other; empty where the split has none.
    pub labels: Vec<f32>,
    /// Tokens without padding.
    pub tokens: usize,
    /// The data set's row that each example is.
    pub rows: Vec<usize>,
    /// Whether the sentences of each example have changed places; empty where none have.
    pub swapped: Vec<bool>,
    /// Weight of each example in the batch's loss; empty where they weigh the same.
    pub weights: Vec<f32>,
}

/// One sequence: token ids, and where its second segment starts.
struct Sequence {
    ids: Vec<u32>,
    second_segment: usize,
}

impl Sequence {
    fn single(tokens: &[u32], special: SpecialTokens, max_length: usize) -> Self {
        let kept = &tokens[..tokens.len().min(max_length.saturating_sub(2))];
        let mut ids = Vec::with_capacity(kept.len() + 2);
        ids.push(special.cls);
        ids.extend_from_slice(kept);
        ids.push(special.sep);
        Self {
            second_segment: ids.len(),
            ids,
        }
    }

    fn pair(a: &[u32], b: &[u32], special: SpecialTokens, max_length: usize) -> Self {
        let (keep_a, keep_b) = longest_first(a.len(), b.len(), max_length.saturating_sub(3));
        let mut ids = Vec::with_capacity(keep_a + keep_b + 3);
        ids.push(special.cls);
        ids.extend_from_slice(&a[..keep_a]);
        ids.push(special.sep);
        let second_segment = ids.len();
        ids.extend_from_slice(&b[..keep_b]);
        ids.push(special.sep);
        Self {
            ids,
            second_segment,
        }
    }
}

/// How many tokens of each sentence stay of `room`: what `truncation="longest_first"` keeps in fast tokenizers.
///
/// Only the longer sentence is cut where the shorter one has no more than half of the room; otherwise both get half, and
/// the odd token goes to the longer one, of two equals to the second. (`transformers`' slow tokenizers gave it to the
/// first; a test holds this to the `tokenizers` crate.)
fn longest_first(a: usize, b: usize, room: usize) -> (usize, usize) {
    if a + b <= room {
        return (a, b);
    }
    let shorter = a.min(b).min(room / 2);
    let longer = room - shorter;
    if a > b {
        (longer, shorter)
    } else {
        (shorter, longer)
    }
}

impl Batcher {
    /// Tokens of each sequence before it is cut to `max_length`, special tokens counted: one a row, or of a bi-encoder two.
    pub fn whole_lengths(&self, data: &TokenizedDataset) -> Vec<usize> {
        let single = |tokens: &Vec<u32>| tokens.len() + 2;
        match self.packing {
            Packing::Single => data.a.iter().map(single).collect(),
            Packing::BiEncoder => data.a.iter().chain(&data.b).map(single).collect(),
            Packing::CrossEncoder => {
                let pairs = data.a.iter().zip(&data.b);
                pairs.map(|(a, b)| a.len() + b.len() + 3).collect()
            }
        }
    }

    /// A batch of the rows named.
    pub fn batch(&self, data: &TokenizedDataset, rows: &[usize]) -> HostBatch {
        self.swapped_batch(data, rows, Vec::new())
    }

    /// As [`batch`](Self::batch) of pairs. `swapped` says of each of the rows whether its second sentence comes first; it is
    /// empty where none does. Of a packed pair segment 0 is then the second sentence's.
    pub fn swapped_batch(
        &self,
        data: &TokenizedDataset,
        rows: &[usize],
        swapped: Vec<bool>,
    ) -> HostBatch {
        let pair = |index: usize| {
            let (a, b) = (&data.a[rows[index]], &data.b[rows[index]]);
            match swapped.get(index) {
                Some(true) => [b, a],
                Some(false) | None => [a, b],
            }
        };
        let single = |tokens: &[u32]| Sequence::single(tokens, self.special, self.max_length);
        let sequences: Vec<Sequence> = match self.packing {
            Packing::Single => rows.iter().map(|&row| single(&data.a[row])).collect(),
            Packing::BiEncoder => [0, 1]
                .into_iter()
                .flat_map(|side| (0..rows.len()).map(move |index| (side, index)))
                .map(|(side, index)| single(pair(index)[side]))
                .collect(),
            Packing::CrossEncoder => (0..rows.len())
                .map(|index| {
                    let [first, second] = pair(index);
                    Sequence::pair(first, second, self.special, self.max_length)
                })
                .collect(),
        };
        let padded = Padded::new(
            &sequences,
            self.special,
            self.max_length,
            self.pad_to_multiple_of,
        );
        HostBatch {
            task: data.task,
            examples: rows.len(),
            sequences: sequences.len(),
            seq_len: padded.seq_len,
            input_ids: padded.input_ids,
            token_type_ids: padded.token_type_ids,
            attention_mask: padded.attention_mask,
            tokens: padded.lengths.iter().sum(),
            lengths: padded.lengths,
            labels: data.labels_of(rows),
            rows: rows.to_vec(),
            swapped,
            weights: data.weights_of(rows),
        }
    }

    /// The rows cut into batches for a pass over all of them, as [`batches_by_length`] has it. Of a bi-encoder the tokens
    /// of both sequences count. Where batches are padded to a multiple of tokens, they keep to `batch_size` rows, too: the
    /// device is one that should meet few shapes.
    pub fn batches_by_length(&self, data: &TokenizedDataset, batch_size: usize) -> Vec<Vec<usize>> {
        let rows: Vec<usize> = (0..data.len()).collect();
        self.batches_of_rows(data, &rows, batch_size)
    }

    /// The same of some rows.
    pub fn batches_of_rows(
        &self,
        data: &TokenizedDataset,
        rows: &[usize],
        batch_size: usize,
    ) -> Vec<Vec<usize>> {
        let sequences = self.packing.sequences();
        let lengths: Vec<usize> = rows
            .iter()
            .map(|&row| sequences * self.length(data, row))
            .collect();
        let batches = batches_by_length(&lengths, batch_size, self.pad_to_multiple_of > 1);
        let named = |batch: Vec<usize>| batch.into_iter().map(|place| rows[place]).collect();
        batches.into_iter().map(named).collect()
    }

    /// Tokens of a row's longest sequence, after truncation and with special tokens.
    pub fn length(&self, data: &TokenizedDataset, row: usize) -> usize {
        let a = data.a[row].len();
        let b = data.b.get(row).map_or(0, Vec::len);
        let wanted = match self.packing {
            Packing::Single => a + 2,
            Packing::BiEncoder => a.max(b) + 2,
            Packing::CrossEncoder => a + b + 3,
        };
        wanted.min(self.max_length)
    }

    /// Tokens that go through the encoder for a row: those of its sequence or of both, after truncation and with special
    /// tokens.
    pub fn tokens(&self, data: &TokenizedDataset, row: usize) -> usize {
        let single = |tokens: usize| (tokens + 2).min(self.max_length);
        match self.packing {
            Packing::Single | Packing::CrossEncoder => self.length(data, row),
            Packing::BiEncoder => single(data.a[row].len()) + single(data.b[row].len()),
        }
    }
}

struct Padded {
    seq_len: usize,
    input_ids: Vec<i32>,
    token_type_ids: Vec<i32>,
    attention_mask: Vec<f32>,
    lengths: Vec<usize>,
}

impl Padded {
    fn new(
        sequences: &[Sequence],
        special: SpecialTokens,
        max_length: usize,
        multiple: usize,
    ) -> Self {
        let lengths: Vec<usize> = sequences
            .iter()
            .map(|sequence| sequence.ids.len())
            .collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let seq_len = longest
            .next_multiple_of(multiple.max(1))
            .min(longest.max(max_length));
        let size = sequences.len() * seq_len;
        let mut input_ids = vec![special.pad as i32; size];
        let mut token_type_ids = vec![0; size];
        let mut attention_mask = vec![0.0; size];
        for (index, sequence) in sequences.iter().enumerate() {
            let start = index * seq_len;
            let end = start + sequence.ids.len();
            for (slot, &id) in input_ids[start..end].iter_mut().zip(&sequence.ids) {
                *slot = id as i32;
            }
            token_type_ids[start + sequence.second_segment..end].fill(1);
            attention_mask[start..end].fill(1.0);
        }
        Self {
            seq_len,
            input_ids,
            token_type_ids,
            attention_mask,
            lengths,
        }
    }

    fn upload<B: Backend>(self, sequences: usize, device: &B::Device) -> TokenBatch<B> {
        token_batch(
            self.input_ids,
            self.token_type_ids,
            self.attention_mask,
            [sequences, self.seq_len],
            device,
        )
    }
}

fn token_batch<B: Backend>(
    input_ids: Vec<i32>,
    token_type_ids: Vec<i32>,
    attention_mask: Vec<f32>,
    shape: [usize; 2],
    device: &B::Device,
) -> TokenBatch<B> {
    TokenBatch {
        input_ids: Tensor::from_data(TensorData::new(input_ids, shape), device),
        token_type_ids: Tensor::from_data(TensorData::new(token_type_ids, shape), device),
        attention_mask: Tensor::from_data(TensorData::new(attention_mask, shape), device),
    }
}

impl HostBatch {
    /// The batch on a device.
    pub fn to_device<B: Backend>(self, device: &B::Device) -> TaskBatch<B> {
        let shape = [self.sequences, self.seq_len];
        let numbers = self.labels.len();
        let labels = (numbers > 0)
            .then(|| Tensor::from_data(TensorData::new(self.labels, [numbers]), device));
        let weights = (!self.weights.is_empty())
            .then(|| Tensor::from_data(TensorData::new(self.weights, [self.examples]), device));
        TaskBatch {
            task: self.task,
            tokens: token_batch(
                self.input_ids,
                self.token_type_ids,
                self.attention_mask,
                shape,
                device,
            ),
            labels,
            weights,
            examples: self.examples,
            token_count: self.tokens,
            pooled: None,
        }
    }
}

/// A batch of single sentences, tokenised without special tokens, for plain encoding, padded as
/// [`Batcher::pad_to_multiple_of`] says.
///
/// # Shapes
///
/// - output: `[sentences.len(), longest]`, or wider by the padding
pub fn sequence_batch<B: Backend>(
    sentences: &[&[u32]],
    special: SpecialTokens,
    max_length: usize,
    pad_to_multiple_of: usize,
    device: &B::Device,
) -> TokenBatch<B> {
    let sequences: Vec<Sequence> = sentences
        .iter()
        .map(|tokens| Sequence::single(tokens, special, max_length))
        .collect();
    Padded::new(&sequences, special, max_length, pad_to_multiple_of).upload(sequences.len(), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPECIAL: SpecialTokens = SpecialTokens {
        pad: 0,
        unk: 1,
        cls: 2,
        sep: 3,
        mask: 4,
    };

    fn data(a: Vec<Vec<u32>>, b: Vec<Vec<u32>>) -> TokenizedDataset {
        TokenizedDataset {
            task: TaskId::PARA,
            ids: (0..a.len()).map(|row| row.to_string()).collect(),
            labels: Some(vec![1.0; a.len()]),
            weights: None,
            a,
            b,
        }
    }

    #[test]
    fn a_packed_pair_has_real_segments() {
        let data = data(vec![vec![10, 11], vec![12]], vec![vec![20], vec![21]]);
        let batcher = Batcher {
            packing: Packing::CrossEncoder,
            max_length: 16,
            pad_to_multiple_of: 1,
            special: SPECIAL,
        };
        let batch = batcher.batch(&data, &[0, 1]);
        assert_eq!(batch.input_ids, [2, 10, 11, 3, 20, 3, 2, 12, 3, 21, 3, 0]);
        assert_eq!(batch.token_type_ids, [0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0]);
        assert_eq!(batch.tokens, 11);
    }

    #[test]
    fn a_bi_encoder_batch_has_first_sentences_first() {
        let data = data(vec![vec![10], vec![11]], vec![vec![20], vec![]]);
        let batcher = Batcher {
            packing: Packing::BiEncoder,
            max_length: 16,
            pad_to_multiple_of: 4,
            special: SPECIAL,
        };
        let batch = batcher.batch(&data, &[1, 0]);
        assert_eq!((batch.examples, batch.sequences), (2, 4));
        assert_eq!(
            batch.input_ids,
            [2, 11, 3, 0, 2, 10, 3, 0, 2, 3, 0, 0, 2, 20, 3, 0],
            "an empty sentence is [CLS] [SEP], and all are padded to 4 tokens"
        );
    }

    #[test]
    fn whole_lengths_are_those_of_batches_that_cut_nothing() {
        let data = data(vec![vec![10; 4], vec![11]], vec![vec![20; 2], vec![21; 9]]);
        for (packing, lengths) in [
            (Packing::Single, vec![6, 3]),
            (Packing::BiEncoder, vec![6, 3, 4, 11]),
            (Packing::CrossEncoder, vec![9, 13]),
        ] {
            let batcher = Batcher {
                packing,
                max_length: 64,
                pad_to_multiple_of: 1,
                special: SPECIAL,
            };
            assert_eq!(batcher.batch(&data, &[0, 1]).lengths, lengths);
            assert_eq!(batcher.whole_lengths(&data), lengths);
            let short = Batcher {
                max_length: 4,
                ..batcher
            };
            assert_eq!(short.whole_lengths(&data), lengths);
        }
    }

    #[test]
    fn the_longer_sentence_gives() {
        assert_eq!(longest_first(10, 3, 8), (5, 3));
        assert_eq!(longest_first(3, 10, 8), (3, 5));
        assert_eq!(longest_first(10, 10, 9), (4, 5));
        assert_eq!(longest_first(11, 10, 9), (5, 4));
        assert_eq!(longest_first(2, 2, 9), (2, 2));
    }

    /// What the `tokenizers` crate keeps of two encodings of these lengths.
    fn kept_by_tokenizers(a: usize, b: usize, room: usize) -> (usize, usize) {
        use tokenizers::utils::truncation::{TruncationParams, truncate_encodings};
        let encoding = |length| {
            let tokens = (0..length).map(|_| tokenizers::Token::new(7, "x".into(), (0, 1)));
            tokenizers::Encoding::from_tokens(tokens.collect(), 0)
        };
        let params = TruncationParams {
            max_length: room,
            ..TruncationParams::default()
        };
        let (a, b) = truncate_encodings(encoding(a), Some(encoding(b)), &params).expect("cuts");
        (a.len(), b.map_or(0, |b| b.len()))
    }

    proptest! {
        #[test]
        fn pairs_are_cut_as_fast_tokenizers_cut_them(a in 0usize..30, b in 0usize..30, room in 1usize..40) {
            prop_assert_eq!(longest_first(a, b, room), kept_by_tokenizers(a, b, room));
        }

        #[test]
        fn lengths_masks_and_rows_agree(
            pairs in prop::collection::vec((prop::collection::vec(5u32..50, 0..20), prop::collection::vec(5u32..50, 0..20)), 1..9),
            max_length in 3usize..24,
            kind in 0usize..3,
            multiple in 1usize..9,
        ) {
            let packing = [Packing::Single, Packing::BiEncoder, Packing::CrossEncoder][kind];
            let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let rows: Vec<usize> = (0..a.len()).rev().collect();
            let data = data(a, b);
            let batcher = Batcher { packing, max_length, pad_to_multiple_of: multiple, special: SPECIAL };
            let batch = batcher.batch(&data, &rows);
            prop_assert!(batch.seq_len <= max_length);
            prop_assert_eq!(batch.input_ids.len(), batch.sequences * batch.seq_len);
            prop_assert_eq!(batch.attention_mask.iter().sum::<f32>() as usize, batch.tokens);
            let longest = rows.iter().map(|&row| batcher.length(&data, row)).max();
            let padded = longest.map(|longest| longest.next_multiple_of(multiple).min(max_length));
            prop_assert_eq!(padded, Some(batch.seq_len));
            for (index, &length) in batch.lengths.iter().enumerate() {
                let row = &batch.input_ids[index * batch.seq_len..][..batch.seq_len];
                prop_assert_eq!(row[0], 2);
                prop_assert_eq!(row[length - 1], 3);
                prop_assert!(row[length..].iter().all(|&id| id == 0));
            }
        }
    }
}
