//! What the operations share of Burn's graph, and of the backends.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::backend::Backend;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};

/// A backend whose tensors lie with a CubeCL runtime: one name for the four parameters of [`CubeBackend`].
pub(super) trait CubeKernels:
    Backend<
        FloatTensorPrimitive = CubeTensor<<Self as CubeKernels>::Runtime>,
        IntTensorPrimitive = CubeTensor<<Self as CubeKernels>::Runtime>,
    >
{
    /// What compiles and launches its kernels.
    type Runtime: CubeRuntime;
}

impl<R, F, I, T> CubeKernels for CubeBackend<R, F, I, T>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    T: BoolElement,
{
    type Runtime = R;
}

/// Adds to the gradient of a parent, if it is tracked.
pub(super) fn register<B: CubeKernels>(
    gradients: &mut Gradients,
    parent: Option<NodeId>,
    gradient: Option<CubeTensor<B::Runtime>>,
) {
    if let (Some(parent), Some(gradient)) = (parent, gradient) {
        gradients.register::<B>(parent, gradient);
    }
}
