//! Which rows of a padded batch are tokens.

use std::ops::Range;
use std::sync::Arc;

/// How far apart the keys of two sequences are, and the rows of two heads' masks: more than a sequence has tokens.
pub(crate) const STRIDE: usize = 1 << 16;

/// The tokens of a batch, sequence after sequence without padding: the rows of a packed matrix.
///
/// # Example
/// ```
/// use bertram_kernels::TokenRows;
///
/// // Two sequences, of three tokens and of one, padded to four.
/// let rows = TokenRows::new(&[3, 1], 4);
/// assert_eq!(rows.tokens(), 4);
/// assert_eq!(rows.in_padded(), [0, 1, 2, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRows {
    /// Where each sequence begins in the packed matrix, and where the last one ends.
    offsets: Arc<[usize]>,
    padded: usize,
    keys: Arc<[u32]>,
    first_keys: Arc<[u32]>,
}

impl TokenRows {
    /// Sequences of these lengths, padded on the right to `padded` tokens each.
    ///
    /// # Panics
    /// If a sequence has no token, or more than `padded`.
    pub fn new(lengths: &[usize], padded: usize) -> Self {
        let mut end = 0;
        let mut offsets = vec![0];
        for length in lengths {
            assert!(
                (1..=padded).contains(length),
                "a sequence of {length} tokens, padded to {padded}"
            );
            end += length;
            offsets.push(end);
        }
        let sequences = || lengths.iter().enumerate();
        Self {
            offsets: offsets.into(),
            padded,
            keys: sequences()
                .flat_map(|(sequence, length)| (0..*length).map(move |at| key(sequence, at)))
                .collect(),
            first_keys: sequences().map(|(sequence, _)| key(sequence, 0)).collect(),
        }
    }

    /// The rows of an attention mask `[batch, padded]`, 1 for tokens and 0 for padding; `None` where tokens come after
    /// padding, or a sequence has none.
    pub fn of_mask(mask: &[f32], padded: usize) -> Option<Self> {
        let lengths: Option<Vec<usize>> = mask
            .chunks(padded.max(1))
            .map(|mask| {
                let length = mask.iter().take_while(|it| **it == 1.0).count();
                let is_padded = mask[length..].iter().all(|it| *it == 0.0);
                (length > 0 && is_padded).then_some(length)
            })
            .collect();
        Some(Self::new(&lengths?, padded))
    }

    /// Number of sequences.
    pub fn batch(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of tokens: rows of the packed matrix.
    pub fn tokens(&self) -> usize {
        self.offsets[self.batch()]
    }

    /// What sequences are padded to in the padded matrix.
    pub fn padded(&self) -> usize {
        self.padded
    }

    /// The rows of a sequence.
    pub fn of(&self, sequence: usize) -> Range<usize> {
        self.offsets[sequence]..self.offsets[sequence + 1]
    }

    /// The first row of each sequence.
    pub fn first(&self) -> &[usize] {
        &self.offsets[..self.batch()]
    }

    /// The row in the padded matrix `[batch * padded]` of each row.
    pub fn in_padded(&self) -> Vec<usize> {
        let sequences = (0..self.batch()).flat_map(|sequence| {
            let begin = sequence * self.padded;
            begin..begin + self.of(sequence).len()
        });
        sequences.collect()
    }

    /// A row for each of the padded matrix: of padding the sequence's last token.
    pub fn for_padded(&self) -> Vec<usize> {
        let rows = (0..self.batch()).flat_map(|sequence| {
            let of = self.of(sequence);
            (0..self.padded).map(move |position| of.start + position.min(of.len() - 1))
        });
        rows.collect()
    }

    /// Of each row, what its dropout follows: its sequence and its position in it, whatever the padding.
    pub fn keys(&self) -> &Arc<[u32]> {
        &self.keys
    }

    /// The [`keys`](Self::keys) of the first rows.
    pub fn first_keys(&self) -> &Arc<[u32]> {
        &self.first_keys
    }
}

/// What dropout follows in each row of a padded matrix `[batch * padded]`: the [`keys`](TokenRows::keys) of its tokens.
pub fn padded_keys(batch: usize, padded: usize) -> Arc<[u32]> {
    let keys = (0..batch).flat_map(|sequence| (0..padded).map(move |at| key(sequence, at)));
    keys.collect()
}

fn key(sequence: usize, position: usize) -> u32 {
    // Of more than 65,536 sequences two may share a key, and then a mask.
    (sequence * STRIDE + position) as u32
}

/// For which tokens attention is computed. All are attended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// For all: a row a token.
    All,
    /// For the first of each sequence: a row a sequence.
    First,
}

#[cfg_attr(
    not(feature = "flex"),
    allow(dead_code, reason = "flex computes rows of tokens")
)]
impl Queries {
    /// The rows that a sequence has in the result.
    pub(crate) fn of(self, rows: &TokenRows, sequence: usize) -> Range<usize> {
        match self {
            Queries::All => rows.of(sequence),
            Queries::First => sequence..sequence + 1,
        }
    }

    /// Rows of the result.
    pub(crate) fn count(self, rows: &TokenRows) -> usize {
        match self {
            Queries::All => rows.tokens(),
            Queries::First => rows.batch(),
        }
    }
}

/// Dropout of the rows of a matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowDropout {
    /// The share that is dropped, in `[0, 1)`.
    pub prob: f64,
    /// What the mask of each row follows; where there are none, its number. A backend may leave them aside: then masks
    /// follow the rows' numbers, and change with the padding.
    pub keys: Option<Arc<[u32]>>,
}

impl From<f64> for RowDropout {
    fn from(prob: f64) -> Self {
        Self { prob, keys: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_hand() {
        let rows = TokenRows::new(&[2, 1, 3], 4);
        assert_eq!((rows.batch(), rows.tokens(), rows.padded()), (3, 6, 4));
        assert_eq!([0, 1, 2].map(|it| rows.of(it)), [0..2, 2..3, 3..6]);
        assert_eq!(rows.first(), [0, 2, 3]);
        assert_eq!(rows.in_padded(), [0, 1, 4, 8, 9, 10]);
        assert_eq!(rows.for_padded(), [0, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 5]);
        let stride = STRIDE as u32;
        let keys = [0, 1, stride, 2 * stride, 2 * stride + 1, 2 * stride + 2];
        assert_eq!(**rows.keys(), keys);
        assert_eq!(**rows.first_keys(), [0, stride, 2 * stride]);
        assert_eq!(*padded_keys(2, 2), [0, 1, stride, stride + 1]);
        assert_eq!(Queries::All.of(&rows, 2), 3..6);
        assert_eq!(Queries::First.of(&rows, 2), 2..3);
        assert_eq!(Queries::All.count(&rows), 6);
        assert_eq!(Queries::First.count(&rows), 3);
        let none = TokenRows::new(&[], 0);
        assert_eq!((none.batch(), none.tokens()), (0, 0));
    }

    #[test]
    fn a_mask_is_read_where_padding_is_on_the_right() {
        let mask = [1., 1., 0., 1., 0., 0., 1., 1., 1.];
        assert_eq!(
            TokenRows::of_mask(&mask, 3),
            Some(TokenRows::new(&[2, 1, 3], 3))
        );
        assert_eq!(TokenRows::of_mask(&[1., 0., 1.], 3), None);
        assert_eq!(TokenRows::of_mask(&[0.5, 0.], 2), None);
        assert_eq!(TokenRows::of_mask(&[1., 0., 0., 0.], 2), None);
        assert_eq!(TokenRows::of_mask(&[], 0), Some(TokenRows::new(&[], 0)));
    }
}
