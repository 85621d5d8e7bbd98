//! Between Burn's tensors and LibTorch's.

use burn::backend::LibTorch;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive, backend::Backend};
use burn_tch::TchTensor;
use tch::Kind;

/// A float tensor's primitive.
pub(super) fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// The tensor of a primitive.
pub(super) fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// A tensor of LibTorch's that shares its memory with none.
pub(super) fn fresh(tensor: tch::Tensor) -> TchTensor {
    TchTensor::new(tensor)
}

/// A tensor that LibTorch made of another, and that may share its memory: then neither is changed in place while both live.
pub(super) fn made_of(tensor: tch::Tensor, other: &TchTensor) -> TchTensor {
    TchTensor::from_existing(tensor, other.storage.clone())
}

/// The same numbers in another type; not copied if they are of it.
pub(super) fn cast(tensor: TchTensor, kind: Kind) -> TchTensor {
    if tensor.tensor.kind() == kind {
        return tensor;
    }
    fresh(tensor.tensor.to_kind(kind))
}

/// In f32: as they are where they are, and where they are wider.
pub(super) fn at_least_f32(tensor: TchTensor) -> TchTensor {
    match tensor.tensor.kind() {
        Kind::Half | Kind::BFloat16 => cast(tensor, Kind::Float),
        _ => tensor,
    }
}

/// Whether all are tensors of 32-bit floats.
pub(super) fn all_f32<'a>(tensors: impl IntoIterator<Item = &'a TchTensor>) -> bool {
    let mut tensors = tensors.into_iter();
    tensors.all(|tensor| tensor.tensor.kind() == Kind::Float)
}

/// The same numbers in row-major order; not copied if they are.
pub(super) fn contiguous(tensor: TchTensor) -> TchTensor {
    if tensor.tensor.is_contiguous() {
        return tensor;
    }
    fresh(tensor.tensor.contiguous())
}

/// The same numbers in row-major order, in memory that nothing else holds: in place if that is so, else in a copy.
pub(super) fn owned(tensor: TchTensor) -> TchTensor {
    let tensor = contiguous(tensor);
    match tensor.can_mut() {
        true => tensor,
        false => fresh(tensor.tensor.copy()),
    }
}

/// A backend of one name for what burn-tch is generic over.
pub(super) type Torch = LibTorch<f32>;
