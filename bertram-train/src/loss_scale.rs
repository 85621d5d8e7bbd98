//! Dynamic loss scaling (Micikevicius et al. 2018, section 3.2, <https://arxiv.org/abs/1710.03740>), with the constants of
//! `torch.amp.GradScaler`.

use bertram_kernels::{KernelKind, TrainBackend};
use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::measure::{MeasureKind, Measured};
use crate::optim::{global_norm, scale_gradients};

/// The scale of a task's losses.
pub const LOSS_SCALE: MeasureKind = MeasureKind::mean("loss_scale");
/// Updates in which a task's gradients overflowed.
pub const OVERFLOWS: MeasureKind = MeasureKind::count("gradient_overflows");

/// What a person should know of overflows: no scale helps where there is none left to take away.
pub fn warning(measured: &Measured<'_>) -> Option<String> {
    let overflows = measured.get(OVERFLOWS).filter(|count| *count > 0.0)?;
    (measured.get(LOSS_SCALE) == Some(1.0)).then(|| {
        format!(
            "gradients leave the range of f16 even without a loss scale, and {overflows} updates up to update {} were left out; use train.precision = \"bf16\", or a lower learning rate",
            measured.update
        )
    })
}

/// What a loss is multiplied by before its backward pass, so that gradients do not vanish in f16; they are divided by it
/// after.
///
/// Whether they overflowed instead must be known before they are used: one number is read from the device for each update.
/// An update whose gradients overflowed is left out, and the scale is halved. It stays between 1 and 2^24.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    scale: f64,
    /// Updates since it last changed.
    updates: u32,
}

/// Updates without an overflow after which the scale is doubled.
const GROW_AFTER: u32 = 2000;
/// The largest scale that it grows to.
const LARGEST: f64 = 16_777_216.0;

impl Default for LossScale {
    fn default() -> Self {
        Self::new(65_536.0)
    }
}

impl LossScale {
    /// A scale to start with.
    pub fn new(scale: f64) -> Self {
        Self { scale, updates: 0 }
    }

    /// What the loss is multiplied by.
    pub fn factor(&self) -> f64 {
        self.scale
    }

    /// Divides gradients of a scaled loss by the scale. Gives 1 if one of them is not finite and 0 otherwise, on the device;
    /// `None` where there is no gradient.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    pub fn unscale<B: TrainBackend, M: AutodiffModule<B>>(
        &self,
        module: &M,
        gradients: &mut GradientsParams,
        kernels: KernelKind,
        device: &B::Device,
    ) -> Option<Tensor<B::InnerBackend, 1>> {
        let factor = Tensor::full([1], 1.0 / self.scale, device);
        scale_gradients::<B, _>(module, gradients, factor);
        // The norm of finite gradients may itself overflow: that of the divided ones says more.
        let norm = global_norm::<B, _>(module, gradients, kernels)?;
        Some(norm.is_finite().bool_not().float())
    }

    /// Takes up how an update went.
    pub fn update(&mut self, finite: bool) {
        self.updates += 1;
        if !finite {
            *self = Self::new((self.scale / 2.0).max(1.0));
        } else if self.updates >= GROW_AFTER {
            *self = Self::new((self.scale * 2.0).min(LARGEST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::module::{Module, Param};
    use burn::tensor::{Tensor, backend::Backend};

    type B = Autodiff<Flex>;

    #[derive(Module, Debug)]
    struct One<B: Backend> {
        weight: Param<Tensor<B, 1>>,
    }

    #[test]
    fn gradients_come_back_as_they_were_or_are_found_out() {
        let device = Default::default();
        let module = One::<B> {
            weight: Param::from_tensor(Tensor::from_floats([3.0, 4.0], &device)),
        };
        for (factor, finite) in [(1.0, true), (f64::from(f32::MAX), false)] {
            let scale = LossScale::new(1024.0);
            let loss = (module.weight.val().square() * factor).sum() * scale.factor();
            let mut gradients = GradientsParams::from_grads(loss.backward(), &module);
            let overflow = scale
                .unscale::<B, _>(&module, &mut gradients, KernelKind::Fused, &device)
                .expect("there is a gradient");
            assert_eq!(overflow.into_scalar() == 0.0, finite);
            if finite {
                let gradient = gradients.get::<Flex, 1>(module.weight.id);
                let gradient: Vec<f32> = gradient
                    .expect("it has one")
                    .into_data()
                    .to_vec()
                    .expect("f32");
                assert_eq!(gradient, [6.0, 8.0]);
            }
        }
    }

    #[test]
    fn halves_at_an_overflow_and_doubles_after_a_while() {
        let mut scale = LossScale::default();
        scale.update(false);
        assert_eq!(scale.factor(), 32_768.0);
        for _ in 1..GROW_AFTER {
            scale.update(true);
            assert_eq!(scale.factor(), 32_768.0);
        }
        scale.update(true);
        assert_eq!(scale.factor(), 65_536.0);
        let mut least = LossScale::new(1.0);
        least.update(false);
        assert_eq!(least.factor(), 1.0);
        let mut most = LossScale::new(LARGEST);
        (0..GROW_AFTER).for_each(|_| most.update(true));
        assert_eq!(most.factor(), LARGEST);
    }
}
