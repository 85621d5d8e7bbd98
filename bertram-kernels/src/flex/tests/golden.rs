//! Both forms beside PyTorch; `tests/golden/export.py` writes the values, masks included.

use burn::backend::Flex;
use burn::tensor::{Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::super::dropout::{Mask, RowMasks};
use super::super::{adamw, attention, combine, layer_norm};
use super::{AB, as_matrix, assert_close, values, vector};
use crate::{AdamWStep, Kernels, Norm, composed};

const FILE: &[u8] = include_bytes!("../../../tests/golden/kernels.safetensors");

struct Golden {
    tensors: SafeTensors<'static>,
    numbers: Value,
}

impl Golden {
    fn read() -> Self {
        let (_, metadata) = SafeTensors::read_metadata(FILE).expect("a safetensors file");
        let numbers = metadata.metadata().as_ref().expect("it has metadata")["numbers"].as_str();
        Self {
            tensors: SafeTensors::deserialize(FILE).expect("a safetensors file"),
            numbers: serde_json::from_str(numbers).expect("JSON"),
        }
    }

    /// A case by its name.
    fn case(&self, name: &str) -> Case<'_> {
        Case {
            golden: self,
            name: name.to_owned(),
        }
    }

    /// Those whose names begin so.
    fn cases(&self, prefix: &str) -> Vec<Case<'_>> {
        let names = self.numbers.as_object().expect("cases by name").keys();
        let cases: Vec<_> = (names.filter(|name| name.starts_with(prefix)))
            .map(|name| self.case(name))
            .collect();
        assert!(!cases.is_empty(), "{prefix}");
        cases
    }
}

struct Case<'a> {
    golden: &'a Golden,
    name: String,
}

impl Case<'_> {
    fn data(&self, key: &str) -> TensorData {
        let name = format!("{}/{key}", self.name);
        let view = self.golden.tensors.tensor(&name).expect(&name);
        let shape = view.shape().to_vec();
        match view.dtype() {
            Dtype::I64 => {
                let ids = view.data().as_chunks().0.iter();
                TensorData::new(ids.map(|bytes| i64::from_le_bytes(*bytes)).collect(), shape)
            }
            _ => {
                let numbers = view.data().as_chunks().0.iter();
                let numbers: Vec<f32> = numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect();
                TensorData::new(numbers, shape)
            }
        }
    }

    fn constant<const D: usize>(&self, key: &str) -> Tensor<Flex, D> {
        Tensor::from_data(self.data(key), &Default::default())
    }

    fn number(&self, key: &str) -> f64 {
        let number = &self.golden.numbers[&self.name][key];
        number.as_f64().expect("a number")
    }

    fn mask(&self) -> Option<Mask> {
        let seed = self.golden.numbers[&self.name]["seed"].as_u64();
        let prob = self.number("prob");
        (prob > 0.0).then(|| Mask::new(prob, seed.expect("a seed")))
    }

    /// Compares output and gradients of `op`, whose inputs are the case's `keys` as matrices (a vector is one row).
    fn check(&self, form: &str, keys: &[&str], op: impl Fn(&[Tensor<AB, 2>]) -> Tensor<AB, 2>) {
        let leaves: Vec<Tensor<AB, 2>> = (keys.iter())
            .map(|key| {
                let mut data = self.data(key);
                if data.shape.rank() == 1 {
                    data = TensorData {
                        shape: [1, data.num_elements()].into(),
                        ..data
                    };
                }
                Tensor::from_data(data, &Default::default()).require_grad()
            })
            .collect();
        let output = op(&leaves);
        let along: Tensor<AB, 2> = Tensor::from_inner(self.constant("d_output"));
        let gradients = (output.clone() * along).sum().backward();
        let check = |key: &str, found: Vec<f32>| {
            let expected: Vec<f32> = self.data(key).to_vec().expect("f32");
            let what = format!("{} of {}, {form}", key, self.name);
            assert_close(&what, &found, &expected, 3e-6);
        };
        check("output", values(output));
        for (key, leaf) in keys.iter().zip(&leaves) {
            let gradient = leaf.grad(&gradients).expect("every leaf has a gradient");
            check(
                &format!("d_{key}"),
                gradient.into_data().to_vec().expect("f32"),
            );
        }
    }
}

#[test]
fn rows_products_and_gelu() {
    let golden = Golden::read();
    let case = golden.case("embedding");
    let ids = Tensor::<AB, 1, Int>::from_data(case.data("ids"), &Default::default());
    case.check("fused", &["table"], |x| {
        AB::embedding_rows(x[0].clone(), ids.clone())
    });
    case.check("composed", &["table"], |x| {
        composed::embedding_rows(x[0].clone(), ids.clone())
    });
    let (case, keys) = (golden.case("linear"), ["input", "weight", "bias"]);
    case.check("fused", &keys, |x| {
        AB::linear_layer(x[0].clone(), x[1].clone(), vector(&x[2]))
    });
    case.check("composed", &keys, |x| {
        composed::linear_layer(x[0].clone(), x[1].clone(), vector(&x[2]))
    });
    let (case, keys) = (golden.case("gelu"), ["input", "bias"]);
    case.check("fused", &keys, |x| {
        AB::bias_gelu(x[0].clone(), vector(&x[1]))
    });
    case.check("composed", &keys, |x| {
        composed::bias_gelu(x[0].clone(), vector(&x[1]))
    });
}

#[test]
fn layer_norms() {
    let golden = Golden::read();
    for case in golden.cases("residual") {
        let mask = case.mask();
        let eps = case.number("eps");
        let norm = |x: &[Tensor<AB, 2>]| Norm {
            gamma: vector(&x[3]),
            beta: vector(&x[4]),
            eps,
        };
        let keys = ["input", "bias", "residual", "gamma", "beta"];
        case.check("fused", &keys, |x| {
            let (input, residual) = (x[0].clone(), x[2].clone());
            layer_norm::residual_with_mask(
                input,
                vector(&x[1]),
                residual,
                norm(x),
                mask.map(RowMasks::from),
            )
        });
        case.check("composed", &keys, |x| {
            let (input, residual) = (x[0].clone(), x[2].clone());
            let factors = as_matrix(mask, input.dims());
            composed::residual_layer_norm_with(input, vector(&x[1]), residual, norm(x), |input| {
                input * factors
            })
        });
    }
    for case in golden.cases("norm") {
        let mask = case.mask();
        let eps = case.number("eps");
        let norm = |x: &[Tensor<AB, 2>]| Norm {
            gamma: vector(&x[1]),
            beta: vector(&x[2]),
            eps,
        };
        let keys = ["input", "gamma", "beta"];
        case.check("fused", &keys, |x| {
            layer_norm::dropout_with_mask(x[0].clone(), norm(x), mask.map(RowMasks::from))
        });
        case.check("composed", &keys, |x| {
            composed::layer_norm(x[0].clone(), norm(x)) * as_matrix(mask, x[0].dims())
        });
    }
}

#[test]
fn attention() {
    let golden = Golden::read();
    for case in golden.cases("attention") {
        let mask = case.mask();
        let heads = case.number("heads") as usize;
        let bias: Tensor<AB, 4> = Tensor::from_inner(case.constant("bias"));
        let [batch, _, _, sequence] = bias.dims();
        let factors = as_matrix(mask, [batch * heads * sequence, sequence]);
        let factors = factors.reshape([batch, heads, sequence, sequence]);
        let keys = ["query", "key", "value"];
        case.check("fused", &keys, |x| {
            let [query, key, value] = [0, 1, 2].map(|i| x[i].clone());
            attention::with_mask(query, key, value, bias.clone(), heads, mask)
        });
        case.check("composed", &keys, |x| {
            let [query, key, value] = [0, 1, 2].map(|i| x[i].clone());
            composed::self_attention_with(query, key, value, bias.clone(), heads, |p| {
                p * factors.clone()
            })
        });
    }
}

#[test]
fn adamw_steps_and_moving_averages() {
    let golden = Golden::read();
    let (steps, averages) = (golden.case("adamw"), golden.case("average"));
    let learning_rate = steps.number("learning_rate");
    for fused in [true, false] {
        let mut parameter: Tensor<Flex, 2> = steps.constant("start");
        let mut average: Tensor<Flex, 2> = averages.constant("start");
        let mut moments = None;
        for t in 1..=3 {
            let step = AdamWStep {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-6,
                rate: learning_rate * (1.0 - 0.999f64.powi(t)).sqrt() / (1.0 - 0.9f64.powi(t)),
                shrink: 1.0 - learning_rate * steps.number("weight_decay"),
            };
            let gradient = steps.constant(&format!("gradient_{t}"));
            let decay = averages.number("decay");
            let (next, changed) = if fused {
                adamw::step(parameter, gradient, None, moments, &step)
            } else {
                composed::adamw(parameter, gradient, None, moments, &step)
            };
            (parameter, moments) = (next, Some(changed));
            average = if fused {
                combine::moving_average(average, parameter.clone(), decay)
            } else {
                composed::moving_average(average, parameter.clone(), decay)
            };
            for (case, key, found) in [
                (&steps, format!("parameter_{t}"), &parameter),
                (&averages, t.to_string(), &average),
            ] {
                let found: Vec<f32> = found.to_data().to_vec().expect("f32");
                let expected: Vec<f32> = case.data(&key).to_vec().expect("f32");
                assert_close(&format!("{key}, fused: {fused}"), &found, &expected, 1e-6);
            }
        }
    }
}
