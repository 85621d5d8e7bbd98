//! How far two predictions are apart: `l_s` of SMART (Jiang et al. 2020, section 2.1, <https://arxiv.org/abs/1911.03437>).

use bertram_kernels::at_least_f32;
use burn::tensor::{Tensor, activation, backend::Backend};

/// How logits are read as a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// `softmax(logits)` is a distribution over classes.
    Categorical,
    /// `sigmoid(logit)` is a probability.
    Bernoulli,
    /// The output is the prediction.
    Real,
}

/// `l_s` of each example: symmetric KL divergence `KL(P||Q) + KL(Q||P)` between distributions, squared error between
/// real outputs. Never negative, and 0 where both are equal.
///
/// Both divergences of a pair share one sum, `sum_c (p_c - q_c) (log p_c - log q_c)`, in which nothing cancels that is not
/// small itself: in f32 it stays exact to a few digits for the tiny perturbations that SMART makes, where the sum of two
/// separate KL terms is all rounding error.
///
/// In half precision it is computed in f32, and the result is f32.
///
/// # Shapes
///
/// - `logits`, `other`: `[examples, outputs]`
/// - output: `[examples]`
pub fn divergence<B: Backend>(
    kind: OutputKind,
    logits: Tensor<B, 2>,
    other: Tensor<B, 2>,
) -> Tensor<B, 1> {
    let (logits, other) = (at_least_f32(logits), at_least_f32(other));
    let terms = match kind {
        OutputKind::Categorical => {
            let (log_p, log_q) = (
                activation::log_softmax(logits, 1),
                activation::log_softmax(other, 1),
            );
            (log_p.clone().exp() - log_q.clone().exp()) * (log_p - log_q)
        }
        // The log-odds differ by the difference of the logits: (p - q) (z - z') is the whole of it.
        OutputKind::Bernoulli => {
            // sigmoid(z) = (1 + tanh(z / 2)) / 2; Burn's own sigmoid goes through f32, whatever comes in.
            let gap = (logits.clone() * 0.5).tanh() - (other.clone() * 0.5).tanh();
            gap * 0.5 * (logits - other)
        }
        OutputKind::Real => {
            let gap = logits - other;
            gap.clone() * gap
        }
    };
    terms.sum_dim(1).squeeze_dim(1)
}
