//! Activations of the feed-forward sub-layer.

use bertram_kernels::composed;
use burn::tensor::{Tensor, activation, backend::Backend};
use serde::{Deserialize, Serialize};

/// Activation of the feed-forward sub-layer, by its Hugging Face name (`hidden_act`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// `gelu`: the exact one, `x * Phi(x)` with the error function (Hendrycks & Gimpel 2016).
    #[default]
    Gelu,
    /// `gelu_new`: the tanh approximation, `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`.
    GeluNew,
    /// `relu`.
    Relu,
}

impl HiddenAct {
    /// Applies the activation element by element; the shape stays.
    pub fn forward<B: Backend, const D: usize>(self, input: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            HiddenAct::Gelu => composed::gelu(input),
            HiddenAct::GeluNew => gelu_new(input),
            HiddenAct::Relu => activation::relu(input),
        }
    }
}

/// Written with products: a power of a negative number is NaN on some GPUs.
fn gelu_new<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    let cube = x.clone() * x.clone() * x.clone();
    let inner = (x.clone() + cube * 0.044715) * scale;
    x * (inner.tanh() + 1.0) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex, NdArray};

    /// Values of `torch.nn.functional.gelu(x)` and `gelu(x, approximate="tanh")` at -3, -1, -0.1, 0, 0.5, 2.
    const X: [f32; 6] = [-3.0, -1.0, -0.1, 0.0, 0.5, 2.0];
    const EXACT: [f32; 6] = [
        -0.004_049_69,
        -0.158_655_26,
        -0.046_017_22,
        0.0,
        0.345_731_23,
        1.954_499_7,
    ];
    const TANH: [f32; 6] = [
        -0.003_637_39,
        -0.158_808,
        -0.046_017_06,
        0.0,
        0.345_714,
        1.954_597_7,
    ];

    fn check<B: Backend>(act: HiddenAct, expected: &[f32]) {
        let x = Tensor::<B, 1>::from_floats(X, &Default::default());
        let y = act.forward(x).into_data().to_vec::<f32>().unwrap();
        for (got, want) in y.iter().zip(expected) {
            assert!((got - want).abs() < 2e-6, "{act:?}: {got} is not {want}");
        }
    }

    #[test]
    fn matches_torch() {
        let relu: Vec<f32> = X.iter().map(|x| x.max(0.0)).collect();
        check::<NdArray>(HiddenAct::Gelu, &EXACT);
        check::<Flex>(HiddenAct::Gelu, &EXACT);
        check::<NdArray>(HiddenAct::GeluNew, &TANH);
        check::<Flex>(HiddenAct::GeluNew, &TANH);
        check::<NdArray>(HiddenAct::Relu, &relu);
        check::<Flex>(HiddenAct::Relu, &relu);
        check::<Autodiff<NdArray>>(HiddenAct::Gelu, &EXACT);
        check::<Autodiff<Flex>>(HiddenAct::Gelu, &EXACT);
    }

    #[test]
    fn gelu_has_its_exact_derivative() {
        type AB = Autodiff<Flex>;
        let x = Tensor::<AB, 1>::from_floats(X, &Default::default()).require_grad();
        let grads = HiddenAct::Gelu.forward(x.clone()).sum().backward();
        let got: Vec<f32> = x.grad(&grads).unwrap().into_data().to_vec().unwrap();
        for ((x, value), got) in X.iter().zip(EXACT).zip(got) {
            // Phi(x) + x * density(x), with Phi(x) = gelu(x) / x.
            let phi = if *x == 0.0 { 0.5 } else { value / x };
            let want = phi + x * (-x * x / 2.0).exp() / (2.0 * std::f32::consts::PI).sqrt();
            assert!((got - want).abs() < 2e-6, "at {x}: {got} is not {want}");
        }
    }
}
