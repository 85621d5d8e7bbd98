//! Both sentence vectors, their distance and their product, through a small perceptron.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Tensor, activation, backend::Backend};

use super::{HeadConfig, linear::linear, split_pairs};

/// `W2 · dropout(gelu(W1 · dropout([u; v; |u-v|; u*v])))`, the matching of InferSent (Conneau et al. 2017) with BERT's
/// activation.
#[derive(Module, Debug)]
pub struct ConcatHead<B: Backend> {
    dropout: Dropout,
    hidden: Linear<B>,
    output: Linear<B>,
}

impl<B: Backend> ConcatHead<B> {
    /// Normal weights, zero biases; the hidden layer is as wide as a sentence vector.
    pub fn new(config: &HeadConfig, device: &B::Device) -> Self {
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            hidden: linear(4 * config.hidden_size, config.hidden_size, config, device),
            output: linear(config.hidden_size, config.outputs, config, device),
        }
    }

    /// # Shapes
    ///
    /// - `pooled`: `[2 * examples, hidden_size]`, first sentences first
    /// - output: `[examples, outputs]`
    pub fn forward(&self, pooled: Tensor<B, 2>) -> Tensor<B, 2> {
        let (u, v) = split_pairs(pooled);
        let distance = (u.clone() - v.clone()).abs();
        let product = u.clone() * v.clone();
        let features = Tensor::cat(vec![u, v, distance, product], 1);
        let hidden = activation::gelu(self.hidden.forward(self.dropout.forward(features)));
        self.output.forward(self.dropout.forward(hidden))
    }
}
