//! Soft ordinal labels: cross-entropy with targets that fall off with the distance from the label.

use bertram_kernels::at_least_f32;
use burn::tensor::{Int, Tensor, activation, backend::Backend};

use super::ExampleLosses;
use super::class_weights::of_classes;

/// `-sum_c t_c log softmax(logits)_c` with `t = softmax(-|c - y|)` over the classes `c`, whose order is that of their
/// numbers: SORD with the absolute difference as its metric (Díaz & Marathe 2019, equation 1,
/// <https://openaccess.thecvf.com/content_CVPR_2019/html/Diaz_Soft_Labels_for_Ordinal_Regression_CVPR_2019_paper.html>).
/// A miss by two classes costs more than one by one. Logits are read as those of
/// [`cross_entropy`](super::cross_entropy) are: the likeliest class is the answer.
///
/// # Shapes
///
/// - `logits`: `[examples, classes]`
/// - `targets`: `[examples]`, class indices
/// - `weights`: `[classes]`, or empty for 1 each; an example has the weight of its label
/// - output: `[1]`
pub fn ordinal<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    weights: &[f64],
) -> Tensor<B, 1> {
    ordinal_losses(logits, targets, weights).mean()
}

/// What [`ordinal`] is the mean of, with its shapes.
pub fn ordinal_losses<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    weights: &[f64],
) -> ExampleLosses<B> {
    let log_probabilities = activation::log_softmax(at_least_f32(logits), 1);
    let [_, classes] = log_probabilities.dims();
    let (device, dtype) = (log_probabilities.device(), log_probabilities.dtype());
    let numbers = Tensor::<B, 1, Int>::arange(0..classes as i64, (&device, targets.dtype()));
    let distances = numbers.float().cast(dtype).unsqueeze_dim::<2>(0)
        - targets.clone().float().cast(dtype).unsqueeze_dim::<2>(1);
    let soft = activation::softmax(distances.abs().neg(), 1);
    let losses = (soft * log_probabilities).sum_dim(1).neg().squeeze_dim(1);
    of_classes(losses, targets, weights)
}
