//! Which rows of a table's gradient a batch has touched.
//!
//! The gradient of an embedding table is dense, and of its 30,000 rows a batch has touched some hundred. The others are zeros
//! that nobody wrote; who reads them pays for a page of memory each. So the touched rows are noted beside the gradient, and
//! what reads gradients whole (inner products, sums, the optimiser) reads these alone. Results are the same to the last bit.
//!
//! A note holds nothing of the gradient alive. It is found by where the numbers are and ends with them, or when they are
//! changed in place: `Arc::make_mut`, through which Flex changes them, moves what a `Weak` points to.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::backend::flex::FlexTensor;
use burn::tensor::Bytes;

/// The touched rows of a table of some width.
#[derive(Clone, Debug)]
pub(super) struct Touched {
    /// In ascending order, each once.
    rows: Arc<[usize]>,
    width: usize,
}

struct Note {
    numbers: Weak<Bytes>,
    touched: Touched,
}

/// A handful at any time: one for each gradient of a table that is alive.
static NOTES: Mutex<Vec<Note>> = Mutex::new(Vec::new());

impl Touched {
    /// Rows in any order, any number of times.
    pub(super) fn new(mut rows: Vec<usize>, width: usize) -> Self {
        rows.sort_unstable();
        rows.dedup();
        Self {
            rows: rows.into(),
            width,
        }
    }

    /// Notes that all other rows of a contiguous tensor are 0.
    pub(super) fn note(self, tensor: &FlexTensor) {
        let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        notes.retain(|note| note.numbers.strong_count() > 0);
        notes.push(Note {
            numbers: Arc::downgrade(&tensor.data_arc()),
            touched: self,
        });
    }

    /// What is noted of a contiguous tensor.
    pub(super) fn of(tensor: &FlexTensor) -> Option<Self> {
        let numbers = Arc::as_ptr(&tensor.data_arc());
        let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        let note = notes
            .iter()
            .find(|note| note.numbers.strong_count() > 0 && note.numbers.as_ptr() == numbers)?;
        Some(note.touched.clone())
    }

    /// What is noted of several tensors: the rows that any has touched; `None` where one has no note.
    pub(super) fn of_all(tensors: &[FlexTensor]) -> Option<Self> {
        let all: Option<Vec<Self>> = tensors.iter().map(Self::of).collect();
        let all = all?;
        let width = all.first()?.width;
        let rows = all.iter().flat_map(|touched| touched.rows.iter().copied());
        Some(Self::new(rows.collect(), width))
    }

    /// Elements of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The blocks of so many elements that hold an element of a touched row, in ascending order.
    pub(super) fn blocks(&self, block: usize) -> Vec<usize> {
        let mut blocks: Vec<usize> = Vec::new();
        for row in self.rows.iter() {
            let (first, last) = (row * self.width, (row + 1) * self.width - 1);
            let next = blocks.last().map_or(0, |last| last + 1);
            blocks.extend((first / block).max(next)..=last / block);
        }
        blocks
    }

    /// The touched rows from `first` on, up to and without `end`.
    pub(super) fn between(&self, first: usize, end: usize) -> &[usize] {
        let from = self.rows.partition_point(|row| *row < first);
        let to = self.rows.partition_point(|row| *row < end);
        &self.rows[from..to]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor::{from_values, values_mut};
    use super::*;
    use proptest::prelude::*;

    fn table() -> FlexTensor {
        from_values(vec![0.0; 12], [4, 3].into())
    }

    #[test]
    fn a_note_ends_with_the_numbers_and_with_a_change_of_them() {
        let mut tensor = table();
        assert!(Touched::of(&tensor).is_none());
        Touched::new(vec![2, 0, 2], 3).note(&tensor);
        let clone = tensor.clone();
        for tensor in [&tensor, &clone] {
            let touched = Touched::of(tensor).expect("noted");
            assert_eq!(*touched.rows, [0, 2]);
        }
        // A change makes a copy: what is noted of the others stays true.
        values_mut(&mut tensor)[4] = 1.0;
        assert!(Touched::of(&tensor).is_none());
        assert!(Touched::of(&clone).is_some());
        let mut only = clone;
        // Now in place.
        values_mut(&mut only)[4] = 1.0;
        assert!(Touched::of(&only).is_none());
        // What takes the place of a tensor in memory is not taken for it.
        drop(only);
        assert!((0..50).all(|_| Touched::of(&table()).is_none()));
    }

    proptest! {
        #[test]
        fn blocks_hold_every_element_of_the_rows(
            rows in proptest::collection::vec(0_usize..40, 0..12),
            width in 1_usize..9,
            block in 1_usize..20,
        ) {
            let touched = Touched::new(rows.clone(), width);
            let elements = rows.iter().flat_map(|row| row * width..(row + 1) * width);
            let mut expected: Vec<usize> = elements.map(|element| element / block).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(touched.blocks(block), expected);
            prop_assert_eq!(touched.between(0, 40), &*touched.rows);
        }
    }
}
