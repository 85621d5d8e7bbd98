//! A learnt mix of the hidden states of all layers.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation, backend::Backend, s};

/// ELMo's scalar mix (Peters et al. 2018, <https://arxiv.org/abs/1802.05365>, equation 1): of each token
///
/// ```text
/// h = scale * sum_j softmax(weights)_j h_j
/// ```
///
/// with `h_0` the embedding module's output and `h_1` to `h_L` those of the layers. Weights begin at 0 (all layers count
/// alike) and the scale at 1. It belongs to a task's head, as in the paper: tasks read different layers.
#[derive(Module, Debug)]
pub struct LayerMix<B: Backend> {
    /// A number for the embedding module and one for each layer, `[layers + 1]`.
    pub weights: Param<Tensor<B, 1>>,
    /// The factor of the whole (`gamma` in the paper), `[1]`.
    pub scale: Param<Tensor<B, 1>>,
}

impl<B: Backend> LayerMix<B> {
    /// The mean of the embedding module's output and that of `layers` layers.
    pub fn new(layers: usize, device: &B::Device) -> Self {
        Self {
            weights: Param::from_tensor(Tensor::zeros([layers + 1], device)),
            scale: Param::from_tensor(Tensor::ones([1], device)),
        }
    }
}

/// Hidden states as they are computed, layer by layer: the last one's, or the mix of all.
pub(in crate::encoder) struct Mixing<B: Backend> {
    /// `scale * softmax(weights)`, where there is a mix.
    shares: Option<Tensor<B, 1>>,
    layer: usize,
    sum: Option<Tensor<B, 2>>,
}

impl<B: Backend> Mixing<B> {
    pub(in crate::encoder) fn new(mix: Option<&LayerMix<B>>) -> Self {
        let shares = mix.map(|mix| activation::softmax(mix.weights.val(), 0) * mix.scale.val());
        Self {
            shares,
            layer: 0,
            sum: None,
        }
    }

    /// Adds the states that are read of the next layer, the embedding module's first. Where nothing is mixed they are not
    /// asked for.
    ///
    /// # Shapes
    /// - states: `[rows, hidden]`
    pub(in crate::encoder) fn add(&mut self, states: impl FnOnce() -> Tensor<B, 2>) {
        let Some(shares) = &self.shares else {
            return;
        };
        let share = shares.clone().slice(s![self.layer..self.layer + 1]);
        let part = states().cast(share.dtype()) * share.reshape([1, 1]);
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + part,
            None => part,
        });
        self.layer += 1;
    }

    /// The mix; where nothing is mixed, the last layer's states.
    pub(in crate::encoder) fn or_last(self, last: Tensor<B, 2>) -> Tensor<B, 2> {
        self.sum.unwrap_or(last)
    }
}
