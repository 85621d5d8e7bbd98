//! Products of matrices that may lie within larger ones: of small ones on one thread each, of others on all.

#![allow(
    unsafe_code,
    reason = "`gemm` takes pointers, and heads are interleaved columns that slices cannot split"
)]

use std::marker::PhantomData;

use burn::backend::flex::FlexTensor;

use super::tensor::{matrix_dims, values};

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that begins a slice, its rows `stride` apart.
    ///
    /// # Panics
    /// If the slice is too short.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        check(values.len(), rows, columns, stride);
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// A [`contiguous`](super::tensor::contiguous) matrix.
    pub(super) fn of(tensor: &'a FlexTensor) -> Self {
        let [rows, columns] = matrix_dims(tensor);
        Self::new(values(tensor), rows, columns, columns)
    }

    pub(super) fn rows(self) -> usize {
        self.rows
    }

    pub(super) fn columns(self) -> usize {
        self.columns
    }

    /// Its transpose.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix within memory that is borrowed for it alone.
pub(super) struct MatrixMut<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]` to each of its rows, which may go to another thread.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// As [`Matrix::new`].
    ///
    /// # Panics
    /// If the slice is too short.
    pub(super) fn new(values: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        check(values.len(), rows, columns, stride);
        Self {
            start: values.as_mut_ptr(),
            rows,
            columns,
            stride,
            borrow: PhantomData,
        }
    }

    /// `self <- factor left right`, on this thread.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(super) fn set_product(&mut self, factor: f32, left: Matrix<'_>, right: Matrix<'_>) {
        self.multiply(None, factor, left, right, gemm::Parallelism::None);
    }

    /// `self <- left right`, on all threads if there is enough to do.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(super) fn set_product_on_all_threads(&mut self, left: Matrix<'_>, right: Matrix<'_>) {
        let threads = threads(left, right);
        self.multiply(None, 1.0, left, right, threads);
    }

    /// `self <- self + left right`, on all threads if there is enough to do.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(super) fn add_product_on_all_threads(&mut self, left: Matrix<'_>, right: Matrix<'_>) {
        let threads = threads(left, right);
        self.multiply(Some(1.0), 1.0, left, right, threads);
    }

    /// `self <- before self + factor left right`; without `before`, what is there is not read.
    fn multiply(
        &mut self,
        before: Option<f32>,
        factor: f32,
        left: Matrix<'_>,
        right: Matrix<'_>,
        threads: gemm::Parallelism,
    ) {
        assert_eq!(
            (left.rows, right.columns, left.columns),
            (self.rows, self.columns, right.rows),
            "shapes of a matrix product"
        );
        // SAFETY: the constructors have checked that all elements of the three matrices lie within their slices. The
        // result is borrowed for itself alone, so it overlaps neither factor. It is read only if `before` is there, and
        // then it was initialised, as every slice is.
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                left.columns,
                self.start,
                1,
                self.stride.cast_signed(),
                before.is_some(),
                left.values.as_ptr(),
                left.column_stride.cast_signed(),
                left.row_stride.cast_signed(),
                right.values.as_ptr(),
                right.column_stride.cast_signed(),
                right.row_stride.cast_signed(),
                before.unwrap_or(0.0),
                factor,
                false,
                false,
                false,
                threads,
            );
        }
    }
}

/// `left right`, row by row, on all threads if there is enough to do.
///
/// # Panics
/// If the shapes do not fit.
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    products_side_by_side([(left, right)])
}

/// Products of as many rows and columns each, side by side, on all threads if there is enough to do.
///
/// # Panics
/// If the shapes do not fit.
pub(super) fn products_side_by_side<const N: usize>(
    factors: [(Matrix<'_>, Matrix<'_>); N],
) -> Vec<f32> {
    let Some((left, right)) = factors.first() else {
        return Vec::new();
    };
    let (rows, columns, stride) = (left.rows, right.columns, N * right.columns);
    if factors.iter().any(|(left, _)| left.columns == 0) {
        // Nobody says what `gemm` does then.
        assert!(factors.iter().all(|(left, _)| left.columns == 0));
        return vec![0.0; rows * stride];
    }
    let mut values: Vec<f32> = Vec::with_capacity(rows * stride);
    for (index, (left, right)) in factors.into_iter().enumerate() {
        let mut product = MatrixMut {
            // SAFETY: rows and columns of this product lie within the capacity, beside those of the others.
            start: unsafe {
                values
                    .as_mut_ptr()
                    .add((index * columns).min(rows * stride))
            },
            rows,
            columns,
            stride,
            borrow: PhantomData,
        };
        product.set_product_on_all_threads(left, right);
    }
    // SAFETY: what a product is set to is written and not read, all of it: an inner dimension of 0 has left above. The
    // products fill all rows and columns.
    unsafe { values.set_len(rows * stride) };
    values
}

/// All threads for a product of as many operations as burn-flex takes them for.
fn threads(left: Matrix<'_>, right: Matrix<'_>) -> gemm::Parallelism {
    match left.rows * left.columns * right.columns < 192 * 192 * 192 {
        true => gemm::Parallelism::None,
        // As many as the pool has.
        false => gemm::Parallelism::Rayon(0),
    }
}

/// Matrices within a matrix whose rows are `stride` apart, to be written by as many threads: of each, where it begins, its
/// rows and its columns.
///
/// # Panics
/// If one reaches beyond the slice, or two share an element.
pub(super) fn disjoint(
    values: &mut [f32],
    stride: usize,
    places: impl Iterator<Item = (usize, usize, usize)>,
) -> Vec<MatrixMut<'_>> {
    let (start, length) = (values.as_mut_ptr(), values.len());
    let mut last_row_of = vec![0; stride];
    let matrix = |(begin, rows, columns): (usize, usize, usize)| {
        let (row, column) = (begin / stride, begin % stride);
        assert!(
            column + columns <= stride,
            "a matrix leaves the rows it is in"
        );
        check(length - begin, rows, columns, stride);
        // Each column of the whole goes to matrices one below the other.
        for last in &mut last_row_of[column..column + columns] {
            assert!(*last <= row, "two matrices share an element");
            *last = row + rows;
        }
        MatrixMut {
            // SAFETY: it begins within the slice, and was checked to end there. No two matrices share an element.
            start: unsafe { start.add(begin) },
            rows,
            columns,
            stride,
            borrow: PhantomData,
        }
    };
    places.map(matrix).collect()
}

fn check(length: usize, rows: usize, columns: usize, stride: usize) {
    assert!(columns <= stride, "rows overlap");
    let needed = match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * stride + columns,
    };
    assert!(needed <= length, "a matrix reaches beyond its slice");
}

/// How hidden states `[batch * sequence, heads * width]` are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) batch: usize,
    pub(super) sequence: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
}

impl Heads {
    fn hidden(self) -> usize {
        self.heads * self.width
    }

    /// Elements of the hidden states.
    pub(super) fn len(self) -> usize {
        self.batch * self.sequence * self.hidden()
    }

    fn offset(self, index: usize) -> usize {
        let (sequence, head) = (index / self.heads, index % self.heads);
        sequence * self.sequence * self.hidden() + head * self.width
    }

    /// Head `index % heads` of sequence `index / heads`: `[sequence, width]`.
    pub(super) fn get(self, values: &[f32], index: usize) -> Matrix<'_> {
        let values = &values[self.offset(index)..];
        Matrix::new(values, self.sequence, self.width, self.hidden())
    }

    /// All heads of all sequences, to be written by as many threads.
    ///
    /// # Panics
    /// If `values` are not the hidden states.
    pub(super) fn split(self, values: &mut [f32]) -> Vec<MatrixMut<'_>> {
        assert_eq!(values.len(), self.len(), "elements of the hidden states");
        let start = values.as_mut_ptr();
        (0..self.batch * self.heads)
            .map(|index| MatrixMut {
                // SAFETY: the offset of an existing head's first element is within the slice.
                start: unsafe { start.add(self.offset(index)) },
                rows: self.sequence,
                columns: self.width,
                // Heads are disjoint sets of elements: rows of a sequence, columns of a head.
                stride: self.hidden(),
                borrow: PhantomData,
            })
            .collect()
    }
}
