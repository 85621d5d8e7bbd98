//! Averages of weights against `torch.optim.swa_utils.AveragedModel` (`golden/averages/export.py`).

use bertram_core::encoder::BertConfig;
use bertram_core::task::MultitaskModel;
use bertram_kernels::KernelKind;
use bertram_train::average::{Average, AverageConfig, AverageKind};
use burn::backend::{Autodiff, NdArray};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use serde_json::Value;

type B = Autodiff<NdArray<f64, i64>>;

fn floats(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|it| it.as_f64().expect("a number"))
        .collect()
}

/// Gives every vector of three numbers these.
struct Fill(Vec<f64>);

impl<B: Backend> ModuleMapper<B> for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        if shape.num_elements() != self.0.len() {
            return Param::from_mapped_value(id, tensor, mapper);
        }
        let data = TensorData::new(self.0.clone(), shape);
        let value = Tensor::from_data(data, (&tensor.device(), DType::F64));
        Param::from_mapped_value(id, value.require_grad(), mapper)
    }
}

#[test]
fn averages_are_those_of_torch() {
    let text = include_str!("../../golden/averages/averages.json");
    let cases: Value = serde_json::from_str(text).expect("JSON");
    let device = super::ndarray_for_f64();
    let config = BertConfig {
        vocab_size: 4,
        hidden_size: 3,
        num_hidden_layers: 0,
        num_attention_heads: 1,
        intermediate_size: 2,
        max_position_embeddings: 2,
        ..BertConfig::default()
    };
    for (name, kind, kernels) in [
        ("ema", AverageKind::Ema, KernelKind::Composed),
        ("ema-late", AverageKind::Ema, KernelKind::Fused),
        ("swa", AverageKind::Swa, KernelKind::Fused),
    ] {
        let case = &cases[name];
        let weights = case["weights"].as_array().expect("a list");
        let total = weights.len();
        let mut average = Average::new(AverageConfig {
            kind,
            decay: case["decay"].as_f64().unwrap_or(AverageConfig::DECAY),
            start: case["start"].as_f64().expect("a number") / total as f64,
        });
        let mut model = MultitaskModel::<B>::new(config.init(&device), Vec::new());
        for (number, weights) in weights.iter().enumerate() {
            model = model.map(&mut Fill(floats(weights)));
            average.add(&model, number, total, kernels);
            let expected = &case["averages"][number];
            let found = average.model().map(|model| {
                let gain = model.encoder.embeddings.norm.gamma.val();
                gain.into_data().to_vec::<f64>().expect("f64")
            });
            assert_eq!(
                found.is_some(),
                !expected.is_null(),
                "{name}, update {number}"
            );
            if let Some(found) = found {
                for (found, expected) in found.iter().zip(floats(expected)) {
                    assert!((found - expected).abs() < 1e-12, "{name}, update {number}");
                }
            }
        }
    }
}
