//! What an optimiser step needs to know.

use burn::tensor::{Tensor, backend::Backend};

/// The numbers of one AdamW step of one parameter.
///
/// ```text
/// m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
/// x <- (x - rate m / (sqrt(v) + eps)) shrink
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Learning rate, bias correction included.
    pub rate: f64,
    /// What weight decay leaves of the parameter: 1 for none.
    pub shrink: f64,
}

/// Running means of a parameter's gradient and of its square, in the parameter's shape.
#[derive(Clone, Debug)]
pub struct Moments<B: Backend, const D: usize> {
    /// Of the gradient.
    pub first: Tensor<B, D>,
    /// Of the square.
    pub second: Tensor<B, D>,
}

/// One parameter's part in a step of all, whatever its rank. `T` is the backend's float tensor.
#[derive(Clone, Debug)]
pub struct AdamWUpdate<T> {
    /// The parameter after the step.
    pub parameter: T,
    /// Its gradient, of the same shape.
    pub gradient: T,
    /// Its first and second moment; none at its first step.
    pub moments: Option<[T; 2]>,
    /// Its numbers.
    pub step: AdamWStep,
}

/// What a step leaves of a parameter.
#[derive(Clone, Debug)]
pub struct AdamWUpdated<T> {
    /// The parameter after the step.
    pub parameter: T,
    /// Its first and second moment.
    pub moments: [T; 2],
}
