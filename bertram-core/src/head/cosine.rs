//! The paper's head for pairs: the cosine of two sentence vectors.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Tensor, backend::Backend};

use super::{HeadConfig, split_pairs};

/// Initial scale: cosines of fine-tuned encoders spread over a few tenths, and a logit should spread over a few units.
const INITIAL_SCALE: f32 = 10.0;
/// Initial bias: with the initial scale, a cosine of 0.7 is undecided.
const INITIAL_BIAS: f32 = -7.0;

/// `cos(u, v)`, or `scale * cos(u, v) + bias` with two learned numbers.
///
/// The learned form is the default wherever the cosine is read as a logit; the bare form is what BERTram
/// published, whose sigmoid stays within `[0.27, 0.73]`. With `complex` the imaginary part of [`complex_quotient`] stands
/// beside the cosine.
#[derive(Module, Debug)]
pub struct CosineHead<B: Backend> {
    dropout: Dropout,
    scale: Option<Param<Tensor<B, 1>>>,
    bias: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    complex: bool,
}

impl<B: Backend> CosineHead<B> {
    /// `scale` and `bias` exist only where `config.affine` asks for them.
    pub fn new(config: &HeadConfig, device: &B::Device) -> Self {
        let number = |value: f32| Param::from_tensor(Tensor::from_floats([value], device));
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            scale: config.affine.then(|| number(INITIAL_SCALE)),
            bias: config.affine.then(|| number(INITIAL_BIAS)),
            complex: config.complex,
        }
    }

    /// # Shapes
    ///
    /// - `pooled`: `[2 * examples, hidden_size]`, first sentences first
    /// - output: `[examples, 1]`; with `complex` `[examples, 2]`
    pub fn forward(&self, pooled: Tensor<B, 2>) -> Tensor<B, 2> {
        let (u, v) = split_pairs(self.dropout.forward(pooled));
        if self.complex {
            return complex_quotient(u, v);
        }
        let mut logits = cosine_similarity(u, v);
        if let Some(scale) = &self.scale {
            logits = logits * scale.val().unsqueeze();
        }
        if let Some(bias) = &self.bias {
            logits = logits + bias.val().unsqueeze();
        }
        logits
    }
}

/// Cosine of each row of `u` with the same row of `v`.
///
/// A zero row gives 0, with zero gradient: the product of squared norms is kept above `1e-16`, as
/// `torch.nn.functional.cosine_similarity` does.
///
/// # Shapes
///
/// - `u`, `v`: `[examples, hidden_size]`
/// - output: `[examples, 1]`
pub fn cosine_similarity<B: Backend>(u: Tensor<B, 2>, v: Tensor<B, 2>) -> Tensor<B, 2> {
    let dot = (u.clone() * v.clone()).sum_dim(1);
    dot / norms(u, v)
}

/// Both parts of the quotient of two vectors that are read as complex ones, the first half of a row as real parts `a` and `c`,
/// the second as imaginary parts `b` and `d`, each over the vectors' lengths (Li & Li 2023, section 3.4,
/// <https://arxiv.org/abs/2309.12871>):
///
/// ```text
/// re = (a·c + b·d) / (|u| |v|) = cos(u, v)        im = (b·c - a·d) / (|u| |v|)
/// ```
///
/// The last number of a row of odd length has no partner, and is real. A zero row gives 0 and 0.
///
/// # Shapes
///
/// - `u`, `v`: `[examples, hidden_size]`
/// - output: `[examples, 2]`, `re` and `im`
pub fn complex_quotient<B: Backend>(u: Tensor<B, 2>, v: Tensor<B, 2>) -> Tensor<B, 2> {
    let [examples, width] = u.dims();
    let half = width / 2;
    let halves = |x: &Tensor<B, 2>| {
        [0..half, half..2 * half].map(|columns| x.clone().slice([0..examples, columns]))
    };
    let ([a, b], [c, d]) = (halves(&u), halves(&v));
    let re = (u.clone() * v.clone()).sum_dim(1);
    let im = (b * c - a * d).sum_dim(1);
    Tensor::cat(vec![re, im], 1) / norms(u, v)
}

/// The product of the lengths of two rows. Shapes: `[examples, hidden_size]` to `[examples, 1]`.
fn norms<B: Backend>(u: Tensor<B, 2>, v: Tensor<B, 2>) -> Tensor<B, 2> {
    let squares = (u.clone() * u).sum_dim(1) * (v.clone() * v).sum_dim(1);
    squares.clamp_min(1e-16).sqrt()
}
