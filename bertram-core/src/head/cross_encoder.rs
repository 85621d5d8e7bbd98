//! Both sentences in one sequence, and BERT's classifier on it.

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};

use super::{HeadConfig, LinearHead};

/// A [`LinearHead`] over the packed pair `[CLS] a [SEP] b [SEP]`: attention runs across the two sentences
/// (Devlin et al. 2019, figure 4a).
#[derive(Module, Debug)]
pub struct CrossEncoderHead<B: Backend> {
    classifier: LinearHead<B>,
}

impl<B: Backend> CrossEncoderHead<B> {
    /// Normal weights, zero bias.
    pub fn new(config: &HeadConfig, device: &B::Device) -> Self {
        Self {
            classifier: LinearHead::new(config, device),
        }
    }

    /// # Shapes
    ///
    /// - `pooled`: `[examples, hidden_size]`
    /// - output: `[examples, outputs]`
    pub fn forward(&self, pooled: Tensor<B, 2>) -> Tensor<B, 2> {
        self.classifier.forward(pooled)
    }
}
