//! The type of the numbers.

use burn::tensor::{DType, Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

/// What hidden states and matrix products are computed in.
///
/// In a half precision a model keeps its parameters in f32 ("master weights"), and so do gradients and the optimiser
/// (Micikevicius et al. 2018, section 3.1, <https://arxiv.org/abs/1710.03740>): weights are cast on their way into a
/// product, and a cast's backward pass casts the gradient back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// The parameters' own type: 32-bit floats.
    #[default]
    F32,
    /// 16 bits with the range of f32 and 8 significant bits.
    Bf16,
    /// 16 bits with 11 significant bits, up to 65,504. Gradients need a loss scale.
    F16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];

    /// Its name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }

    /// The precision of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == name)
    }

    /// The type that hidden states are cast to; `None` where they stay what they are.
    pub fn half(self) -> Option<DType> {
        match self {
            Precision::F32 => None,
            Precision::Bf16 => Some(DType::BF16),
            Precision::F16 => Some(DType::F16),
        }
    }

    /// Distance of 1 to the next larger number: what is smaller beside 1 is lost in a sum.
    pub fn resolution(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::EPSILON),
            Precision::Bf16 => 2f64.powi(-7),
            Precision::F16 => 2f64.powi(-10),
        }
    }

    /// Whether a device computes with it.
    pub fn is_supported<B: Backend>(self, device: &B::Device) -> bool {
        (self.half()).is_none_or(|dtype| B::supports_dtype(device, dtype))
    }
}

/// The tensor, in f32 where it is in less.
pub fn at_least_f32<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 | DType::Flex32 => tensor.cast(DType::F32),
        _ => tensor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Flex, NdArray};
    use burn::tensor::TensorData;

    #[test]
    fn resolution_is_what_a_cast_keeps() {
        for precision in [Precision::Bf16, Precision::F16] {
            let step = precision.resolution() as f32;
            let numbers = TensorData::from([1.0 + step, 1.0 + step / 4.0]);
            let tensor = Tensor::<Flex, 1>::from_data(numbers, &Default::default());
            let half = tensor.cast(precision.half().expect("not f32"));
            let back: Vec<f32> = at_least_f32(half).into_data().to_vec().expect("f32");
            assert_eq!(back, [1.0 + step, 1.0]);
        }
    }

    #[test]
    fn names_and_devices() {
        for precision in Precision::ALL {
            assert_eq!(Precision::from_name(precision.name()), Some(precision));
            assert!(precision.is_supported::<Flex>(&Default::default()));
            let of_ndarray = precision.is_supported::<NdArray>(&Default::default());
            assert_eq!(of_ndarray, precision == Precision::F32);
        }
    }
}
