//! Dropout and one linear layer: BERT's classifier.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Tensor, backend::Backend};

use super::HeadConfig;

/// `W · dropout(u) + b` (Devlin et al. 2019, section 4.1).
#[derive(Module, Debug)]
pub struct LinearHead<B: Backend> {
    dropout: Dropout,
    linear: Linear<B>,
}

impl<B: Backend> LinearHead<B> {
    /// Normal weights, zero bias.
    pub fn new(config: &HeadConfig, device: &B::Device) -> Self {
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            linear: linear(config.hidden_size, config.outputs, config, device),
        }
    }

    /// # Shapes
    ///
    /// - `pooled`: `[examples, hidden_size]`
    /// - output: `[examples, outputs]`
    pub fn forward(&self, pooled: Tensor<B, 2>) -> Tensor<B, 2> {
        self.linear.forward(self.dropout.forward(pooled))
    }
}

/// A linear layer with BERT's initialisation: normal weights, zero bias.
pub(super) fn linear<B: Backend>(
    inputs: usize,
    outputs: usize,
    config: &HeadConfig,
    device: &B::Device,
) -> Linear<B> {
    let mut layer = LinearConfig::new(inputs, outputs)
        .with_initializer(Initializer::Normal {
            mean: 0.0,
            std: config.initializer_range,
        })
        .init(device);
    layer.bias = Some(Initializer::Zeros.init([outputs], device));
    layer
}
