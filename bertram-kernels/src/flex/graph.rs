//! What the operations share of Burn's graph.

use burn::backend::Flex;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::flex::FlexTensor;

/// Adds to the gradient of a parent, if it is tracked.
pub(super) fn register(
    gradients: &mut Gradients,
    parent: Option<NodeId>,
    gradient: Option<FlexTensor>,
) {
    if let (Some(parent), Some(gradient)) = (parent, gradient) {
        gradients.register::<Flex>(parent, gradient);
    }
}
