//! Learning rates of the parts of a model.

use std::collections::HashMap;

use bertram_core::task::{MultitaskModel, TaskId};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What the parts of a model have of their own beside the rates of encoder and heads.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleRates {
    /// The rate of each layer of the encoder as a share of the rate of the layer above it; the uppermost has the encoder's.
    /// The embeddings count as the layer below the first. 1 gives all the same.
    ///
    /// Howard & Ruder 2018, <https://arxiv.org/abs/1801.06146>, section 3.2 ("discriminative fine-tuning", where the share is
    /// 1 / 2.6).
    pub layer_decay: f64,
    /// Peak rate of the embeddings, in place of what the decay leaves them; 0 keeps them as they are.
    pub embeddings: Option<f64>,
    /// Peak rates of single tasks' heads.
    pub heads: HashMap<TaskId, f64>,
}

impl Default for ModuleRates {
    fn default() -> Self {
        Self {
            layer_decay: 1.0,
            embeddings: None,
            heads: HashMap::new(),
        }
    }
}

impl ModuleRates {
    /// The peak rate of each parameter of a model whose encoder has the rate `encoder`, and heads `head`.
    pub fn of<B: Backend>(
        &self,
        model: &MultitaskModel<B>,
        encoder: f64,
        head: f64,
    ) -> HashMap<ParamId, f64> {
        let mut rates = Rates {
            rates: HashMap::new(),
            rate: encoder,
        };
        // Whatever is neither a layer nor an embedding, such as the pooler, lies above the layers.
        model.encoder.visit(&mut rates);
        for layer in model.encoder.layers.iter().rev() {
            layer.visit(&mut rates);
            rates.rate *= self.layer_decay;
        }
        rates.rate = self.embeddings.unwrap_or(rates.rate);
        model.encoder.embeddings.visit(&mut rates);
        for module in &model.heads {
            rates.rate = *self.heads.get(&module.config().task).unwrap_or(&head);
            module.visit(&mut rates);
        }
        rates.rates
    }
}

/// Gives every parameter it meets one rate, in place of an earlier one.
struct Rates {
    rates: HashMap<ParamId, f64>,
    rate: f64,
}

impl<B: Backend> ModuleVisitor<B> for Rates {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.rates.insert(param.id, self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bertram_core::encoder::BertConfig;
    use bertram_core::task::TaskHead;
    use burn::backend::NdArray;

    use crate::config::Settings;

    #[test]
    fn rates_fall_from_layer_to_layer() {
        let device = Default::default();
        let config = BertConfig {
            vocab_size: 4,
            hidden_size: 2,
            num_hidden_layers: 3,
            num_attention_heads: 1,
            intermediate_size: 2,
            max_position_embeddings: 2,
            ..BertConfig::default()
        };
        let settings = Settings::from_text(
            "x.toml",
            "[tasks.sst]\n[tasks.para]\nhead = \"concat\"\n",
            &[],
        );
        let settings = settings.expect("settings");
        let heads = settings.tasks.iter();
        let heads = heads.map(|task| TaskHead::new(task.model_config(), 2, 0.02, &device));
        let model = MultitaskModel::<NdArray>::new(config.init(&device), heads.collect());
        let of = |rates: &ModuleRates| {
            let found = rates.of(&model, 0.8, 0.1);
            let all = burn::module::list_param_ids(&model);
            assert_eq!(found.len(), all.len(), "every parameter has a rate");
            move |id: ParamId| found[&id]
        };
        let encoder = &model.encoder;
        let key = |layer: usize| encoder.layers[layer].attention.key.weight.id;
        let (word, pooler) = (
            encoder.embeddings.word.weight.id,
            encoder.pooler.dense.weight.id,
        );
        let head = |index: usize| burn::module::list_param_ids(&model.heads[index])[0];

        let plain = of(&ModuleRates::default());
        assert!(
            [key(0), key(2), word, pooler]
                .map(&plain)
                .iter()
                .all(|rate| *rate == 0.8)
        );
        assert_eq!(plain(head(0)), 0.1);

        let mut rates = ModuleRates {
            layer_decay: 0.5,
            ..ModuleRates::default()
        };
        rates.heads.insert(settings.tasks[0].task, 0.3);
        let decayed = of(&rates);
        assert_eq!(
            [pooler, key(2), key(1), key(0), word].map(&decayed),
            [0.8, 0.8, 0.4, 0.2, 0.1]
        );
        assert_eq!([head(0), head(1)].map(&decayed), [0.3, 0.1]);
        rates.embeddings = Some(0.0);
        assert_eq!(of(&rates)(word), 0.0);
    }
}
