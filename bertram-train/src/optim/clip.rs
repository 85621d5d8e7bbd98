//! Clipping by the norm of all gradients together (Burn's own clips each tensor by itself).

use bertram_kernels::{KernelKind, TrainBackend};
use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Bool, Tensor};

/// L2 norm over all gradients of a module, on the device; `None` where there is no gradient.
///
/// # Shapes
///
/// - output: `[1]`
pub fn global_norm<B: TrainBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &GradientsParams,
    kernels: KernelKind,
) -> Option<Tensor<B::InnerBackend, 1>> {
    let mut visitor = Groups::<B> {
        gradients,
        groups: Vec::new(),
    };
    module.visit(&mut visitor);
    // The inner product with itself: one pass over the gradients, and no squares in memory.
    let squares = kernels.inner_products_all::<B::InnerBackend>(visitor.groups);
    squares.map(Tensor::sqrt)
}

/// What an optimiser multiplies gradients of this norm by: `min(1, bound / (norm + 1e-6))`, as
/// `torch.nn.utils.clip_grad_norm_` does, so that small gradients stay as they are; 1 without a bound; -1, which means no
/// step at all, where the update is left out. It stays on the device.
///
/// # Shapes
///
/// - `norm`, `left_out`, output: `[1]`
pub fn gradient_factor<B: Backend>(
    norm: &Tensor<B, 1>,
    bound: f64,
    left_out: Option<Tensor<B, 1, Bool>>,
) -> Tensor<B, 1> {
    let factor = if bound > 0.0 {
        ((norm.clone() + 1e-6).recip() * bound).clamp_max(1.0)
    } else {
        norm.ones_like()
    };
    match left_out {
        Some(left_out) => factor.mask_fill(left_out, -1.0),
        None => factor,
    }
}

/// Multiplies every gradient of a module by a number that stays on the device.
///
/// # Shapes
///
/// - `factor`: `[1]`
pub fn scale_gradients<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    factor: Tensor<B::InnerBackend, 1>,
) {
    module.visit(&mut Scale::<B> { gradients, factor });
}

struct Groups<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    /// A parameter's gradient each.
    groups: Vec<Vec<FloatTensor<B::InnerBackend>>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Groups<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            self.groups.push(vec![gradient.into_primitive().tensor()]);
        }
    }
}

struct Scale<'a, B: AutodiffBackend> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<B::InnerBackend, 1>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
            let scaled = gradient * self.factor.clone().unsqueeze();
            self.gradients.register(param.id, scaled);
        }
    }
}
