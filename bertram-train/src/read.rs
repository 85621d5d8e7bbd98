//! Numbers that come back from the device. Each read waits until the device has done all that it was given, and a GPU then
//! idles until the host has given it more: an update is to make none, but where a method needs one (tests count them).

use std::cell::Cell;

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
}

/// Reads that this thread has made by way of this module.
pub fn reads() -> usize {
    READS.get()
}

fn count() {
    READS.set(READS.get() + 1);
}

/// The numbers of a tensor, in one read.
pub fn read_all<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    count();
    tensor.into_data().iter::<f64>().collect()
}

/// Numbers that lie in several tensors of shape `[n]`, one tensor after the other, in one read for all.
pub fn read_scalars<B: Backend>(tensors: Vec<Tensor<B, 1>>) -> Vec<f64> {
    match tensors.len() {
        0 => Vec::new(),
        _ => read_all(Tensor::cat(tensors, 0)),
    }
}

/// A number, of shape `[1]`.
pub fn read_scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    read_all(tensor).first().copied().unwrap_or(f64::NAN)
}

/// Whether something holds; shape `[1]`.
pub fn read_bool<B: Backend>(tensor: Tensor<B, 1, Bool>) -> bool {
    count();
    tensor.into_data().iter::<bool>().any(|it| it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn many_numbers_are_one_read() {
        let before = reads();
        let scalar = |value: f32| Tensor::<Flex, 1>::from_floats([value], &Default::default());
        assert_eq!(read_scalars(vec![scalar(1.0), scalar(2.5)]), [1.0, 2.5]);
        assert_eq!(reads(), before + 1);
        assert_eq!(read_scalars::<Flex>(Vec::new()), [0.0; 0]);
        assert_eq!(reads(), before + 1);
    }
}
