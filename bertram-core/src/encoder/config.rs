//! The encoder's shape: `config.json` of a Hugging Face BERT checkpoint.

use bertram_kernels::Precision;
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::memory;
use super::{Bert, BertEmbeddings, BertLayer, BertPooler, HiddenAct};

/// Shape and hyper-parameters of a [`Bert`], in the naming and with the defaults of Hugging Face's `BertConfig`
/// (the defaults are bert-base-uncased).
///
/// Keys of `config.json` that bertram has no use for are kept in [`extra`](Self::extra) and written back on export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BertConfig {
    /// Number of rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward sub-layer.
    pub intermediate_size: usize,
    /// Activation of the feed-forward sub-layer.
    pub hidden_act: HiddenAct,
    /// Dropout probability after the embeddings and on both sub-layer outputs.
    pub hidden_dropout_prob: f64,
    /// Dropout probability on the attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Longest sequence, in tokens, that the position table covers.
    pub max_position_embeddings: usize,
    /// Number of token types (segments).
    pub type_vocab_size: usize,
    /// Epsilon of every LayerNorm.
    pub layer_norm_eps: f64,
    /// Standard deviation of the normal distribution that weights are drawn from.
    pub initializer_range: f64,
    /// Id of the padding token, whose embedding row starts at zero.
    pub pad_token_id: usize,
    /// Keys of `config.json` that are not used here.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: HiddenAct::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            initializer_range: 0.02,
            pad_token_id: 0,
            extra: serde_json::Map::new(),
        }
    }
}

/// Everything that is wrong with a [`BertConfig`], one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("the encoder's configuration cannot be used:\n  - {}", problems.join("\n  - "))]
pub struct BertConfigError {
    /// One sentence per problem, each naming its key.
    pub problems: Vec<String>,
}

impl BertConfig {
    /// Reads the text of a `config.json`. A key that is there and `null` (as `transformers` writes what it has no value
    /// for) takes its default, like one that is missing.
    ///
    /// # Errors
    /// What is not JSON, or of another type than the key's, with line and column.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut keys: serde_json::Value = serde_json::from_slice(text)?;
        let nulls = match &mut keys {
            serde_json::Value::Object(keys) => {
                let before = keys.len();
                keys.retain(|key, value| !(value.is_null() && Self::USED.contains(&key.as_str())));
                before - keys.len()
            }
            _ => 0,
        };
        match nulls {
            // Messages have the line of the file as it is.
            0 => serde_json::from_slice(text),
            _ => serde_json::from_value(keys),
        }
    }

    /// Keys of `config.json` that are used here.
    const USED: &[&str] = &[
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "max_position_embeddings",
        "type_vocab_size",
        "layer_norm_eps",
        "initializer_range",
        "pad_token_id",
    ];

    /// Whether a language model's output embeddings are its word embeddings (`tie_word_embeddings`; `transformers` ties
    /// them unless told otherwise).
    pub fn ties_word_embeddings(&self) -> bool {
        let key = self.extra.get("tie_word_embeddings");
        key.and_then(serde_json::Value::as_bool) != Some(false)
    }

    /// Most layers, rows of a table, and width of anything that a model may have: far beyond any there is, and little
    /// enough that their products are numbers.
    pub const MOST_LAYERS: usize = 1024;
    /// Most rows of the tables of words and of positions.
    pub const MOST_ROWS: usize = 1 << 28;
    /// Widest hidden states and feed-forward layers.
    pub const MOST_WIDTH: usize = 1 << 20;
    /// Most token types.
    pub const MOST_TYPES: usize = 1 << 16;

    /// The sizes by their keys, and the most that each may be.
    fn sizes(&self) -> [(&'static str, usize, usize); 7] {
        [
            ("vocab_size", self.vocab_size, Self::MOST_ROWS),
            ("hidden_size", self.hidden_size, Self::MOST_WIDTH),
            (
                "num_hidden_layers",
                self.num_hidden_layers,
                Self::MOST_LAYERS,
            ),
            (
                "num_attention_heads",
                self.num_attention_heads,
                Self::MOST_WIDTH,
            ),
            (
                "intermediate_size",
                self.intermediate_size,
                Self::MOST_WIDTH,
            ),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                Self::MOST_ROWS,
            ),
            ("type_vocab_size", self.type_vocab_size, Self::MOST_TYPES),
        ]
    }

    /// Number of parameters; `None` where it is no number.
    pub fn parameters(&self) -> Option<u64> {
        let parts = self.parameters_by_key()?;
        parts
            .into_iter()
            .try_fold(0u64, |total, (_, count)| total.checked_add(count))
    }

    /// The parameters, by the key that there are most of them for.
    fn parameters_by_key(&self) -> Option<[(&'static str, u64); 5]> {
        let of = |size: usize| u64::try_from(size).ok();
        let (hidden, inner) = (of(self.hidden_size)?, of(self.intermediate_size)?);
        let rows = |rows: usize| of(rows)?.checked_mul(hidden);
        // Query, key, value and output, the pooler is like one of them; biases, scales and shifts are those of the table.
        let matrix = hidden.checked_mul(hidden)?.checked_add(hidden)?;
        let attention = matrix.checked_mul(4)?.checked_add(hidden.checked_mul(4)?)?;
        let feed_forward = hidden.checked_mul(inner)?.checked_mul(2)?;
        let feed_forward = feed_forward.checked_add(inner)?.checked_add(hidden)?;
        let layers = attention
            .checked_add(feed_forward)?
            .checked_mul(of(self.num_hidden_layers)?)?;
        Some([
            ("vocab_size", rows(self.vocab_size)?),
            (
                "max_position_embeddings",
                rows(self.max_position_embeddings)?,
            ),
            ("type_vocab_size", rows(self.type_vocab_size)?),
            ("num_hidden_layers", layers),
            ("hidden_size", matrix.checked_add(hidden.checked_mul(2)?)?),
        ])
    }

    /// Sizes outside their ranges, and a model that does not fit into so many bytes.
    fn check_sizes(&self, memory: u64, problems: &mut Vec<String>) {
        let before = problems.len();
        for (key, value, most) in self.sizes() {
            if value == 0 {
                problems.push(format!("`{key}` is 0; it must be at least 1"));
            } else if value > most {
                problems.push(format!("`{key}` is {value}; it may be at most {most}"));
            }
        }
        // What follows from a size that is none is no news.
        if problems.len() > before {
            return;
        }
        let bytes = self.parameters().and_then(|count| count.checked_mul(4));
        if bytes.is_some_and(|bytes| bytes <= memory) {
            return;
        }
        let parts = self.parameters_by_key().into_iter().flatten();
        let largest = parts.max_by_key(|(_, count)| *count);
        let (key, value, _) = self
            .sizes()
            .into_iter()
            .find(|(key, ..)| largest.is_some_and(|(largest, _)| largest == *key))
            .unwrap_or(("hidden_size", self.hidden_size, 0));
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let wanted = bytes.map_or("more memory than there can be".to_owned(), |bytes| {
            format!("{:.1} GiB", gib(bytes))
        });
        problems.push(format!(
            "its weights take {wanted}, most of them for `{key}` {value}, and this machine has {:.1} GiB of memory",
            gib(memory)
        ));
    }

    /// Width of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Checks that a BERT of this shape can be built.
    ///
    /// # Errors
    /// [`BertConfigError`] lists every problem: a size of zero or beyond any model, weights that this machine's memory
    /// does not hold, heads that do not divide the hidden size, a probability
    /// outside `[0, 1)`, a non-positive epsilon, and variants that compute something else than BERT (relative
    /// positions, a decoder, another `model_type`).
    pub fn validate(&self) -> Result<(), BertConfigError> {
        let mut problems = Vec::new();
        self.check_sizes(memory::total(), &mut problems);
        if self.num_attention_heads > 0
            && !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            problems.push(format!(
                "`hidden_size` {} is not a multiple of `num_attention_heads` {}",
                self.hidden_size, self.num_attention_heads
            ));
        }
        for (key, value) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            (
                "attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
        ] {
            if !(0.0..1.0).contains(&value) {
                problems.push(format!("`{key}` is {value}; it must be in [0, 1)"));
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps.is_finite()) {
            problems.push(format!(
                "`layer_norm_eps` is {}; it must be positive",
                self.layer_norm_eps
            ));
        }
        if !(self.initializer_range >= 0.0 && self.initializer_range.is_finite()) {
            problems.push(format!(
                "`initializer_range` is {}; it must not be negative",
                self.initializer_range
            ));
        }
        if self.vocab_size > 0 && self.pad_token_id >= self.vocab_size {
            problems.push(format!(
                "`pad_token_id` {} is outside the vocabulary of {}",
                self.pad_token_id, self.vocab_size
            ));
        }
        self.check_variant(&mut problems);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(BertConfigError { problems })
        }
    }

    /// Keys whose value would make the same weights compute something else.
    fn check_variant(&self, problems: &mut Vec<String>) {
        let text = |key: &str| self.extra.get(key).and_then(serde_json::Value::as_str);
        if let Some(other) = text("model_type").filter(|kind| *kind != "bert") {
            problems.push(format!(
                "`model_type` is \"{other}\"; only \"bert\" is supported"
            ));
        }
        if let Some(other) = text("position_embedding_type").filter(|kind| *kind != "absolute") {
            problems.push(format!(
                "`position_embedding_type` is \"{other}\"; only \"absolute\" is supported"
            ));
        }
        for key in ["is_decoder", "add_cross_attention"] {
            if self.extra.get(key).and_then(serde_json::Value::as_bool) == Some(true) {
                problems.push(format!("`{key}` is true; only encoders are supported"));
            }
        }
    }

    /// A BERT of this shape with random weights, as in the original: weights from `N(0, initializer_range)`, biases
    /// 0, LayerNorm scale 1 and shift 0, the padding token's embedding 0.
    ///
    /// The weights are drawn here and now from the backend's random generator (`B::seed` makes them repeatable), so
    /// that clones of the model are equal.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) fails; call it first on a configuration from outside.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Bert<B> {
        let model = self.init_lazy(device);
        model.visit(&mut Materialise);
        model
    }

    /// Like [`init`](Self::init), but a parameter is drawn only when it is first read: loading a checkpoint then
    /// draws nothing.
    pub(crate) fn init_lazy<B: Backend>(&self, device: &B::Device) -> Bert<B> {
        assert!(
            self.num_attention_heads > 0
                && self.hidden_size.is_multiple_of(self.num_attention_heads),
            "hidden_size {} must be a multiple of num_attention_heads {}",
            self.hidden_size,
            self.num_attention_heads
        );
        Bert {
            embeddings: BertEmbeddings::new(self, device),
            layers: (0..self.num_hidden_layers)
                .map(|_| BertLayer::new(self, device))
                .collect(),
            pooler: BertPooler::new(self, device),
            precision: Precision::default(),
        }
    }

    /// Initialiser of every weight matrix.
    pub(super) fn initializer(&self) -> Initializer {
        Initializer::Normal {
            mean: 0.0,
            std: self.initializer_range,
        }
    }

    /// A linear layer with weights `[d_input, d_output]` from [`initializer`](Self::initializer) and bias 0.
    pub(super) fn linear<B: Backend>(
        &self,
        d_input: usize,
        d_output: usize,
        device: &B::Device,
    ) -> Linear<B> {
        // Burn draws the bias from the same distribution as the weight; BERT starts it at zero.
        let mut linear = LinearConfig::new(d_input, d_output)
            .with_bias(false)
            .with_initializer(self.initializer())
            .init(device);
        linear.bias = Some(Initializer::Zeros.init([d_output], device));
        linear
    }
}

/// Reads every parameter once, which draws the lazy ones.
pub(super) struct Materialise;

impl<B: Backend> ModuleVisitor<B> for Materialise {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let _ = param.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hugging_face_json_and_keeps_unknown_keys() {
        let text = r#"{"hidden_size": 64, "num_attention_heads": 4, "hidden_act": "relu", "use_cache": true}"#;
        let config: BertConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.hidden_size, 64);
        assert_eq!(config.hidden_act, HiddenAct::Relu);
        assert_eq!(config.vocab_size, 30522);
        assert_eq!(config.extra["use_cache"], true);
        config.validate().unwrap();
        let again: BertConfig =
            serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn null_is_the_default() {
        let default = serde_json::to_value(BertConfig::default()).unwrap();
        let keys: Vec<&str> = default
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, BertConfig::USED, "one list of the keys");
        for key in BertConfig::USED {
            let text = format!(r#"{{"{key}": null, "classifier_dropout": null}}"#);
            let config = BertConfig::from_json(text.as_bytes()).unwrap();
            assert!(config.extra["classifier_dropout"].is_null());
            let read = serde_json::to_value(&config).unwrap();
            assert_eq!(read[key], default[key]);
        }
        let error = BertConfig::from_json(b"{\n\"hidden_size\": \"x\"}").unwrap_err();
        assert_eq!(error.line(), 2, "{error}");
        BertConfig::from_json(b"[]").unwrap_err();
    }

    #[test]
    fn unknown_activation_is_named() {
        let error = serde_json::from_str::<BertConfig>(r#"{"hidden_act": "silu"}"#).unwrap_err();
        assert!(error.to_string().contains("silu"), "{error}");
        assert!(error.to_string().contains("gelu_new"), "{error}");
    }

    #[test]
    fn the_parameters_are_counted() {
        let config = BertConfig {
            vocab_size: 11,
            hidden_size: 4,
            num_hidden_layers: 3,
            num_attention_heads: 2,
            intermediate_size: 6,
            max_position_embeddings: 5,
            ..BertConfig::default()
        };
        let model = config.init::<burn::backend::Flex>(&Default::default());
        assert_eq!(config.parameters(), Some(model.num_params() as u64));
        assert_eq!(BertConfig::default().parameters(), Some(109_482_240));
    }

    #[test]
    fn a_model_that_cannot_be_is_refused_by_its_sizes() {
        type Change = fn(&mut BertConfig);
        let changes: [(&str, Change); 8] = [
            ("num_hidden_layers", |it| {
                it.num_hidden_layers = 2_147_483_647
            }),
            ("num_hidden_layers", |it| it.num_hidden_layers = 100_000),
            ("type_vocab_size", |it| it.type_vocab_size = 1 << 63),
            ("vocab_size", |it| it.vocab_size = usize::MAX),
            ("max_position_embeddings", |it| {
                it.max_position_embeddings = 1 << 62
            }),
            ("intermediate_size", |it| it.intermediate_size = 1 << 62),
            ("hidden_size", |it| it.hidden_size = 12 << 58),
            ("num_attention_heads", |it| {
                it.num_attention_heads = usize::MAX
            }),
        ];
        for (key, change) in changes {
            let mut config = BertConfig::default();
            change(&mut config);
            let text = config.validate().expect_err(key).to_string();
            assert!(text.contains(&format!("`{key}` is")), "{text}");
        }
        // Within the ranges, and too large for a machine.
        let mut config = BertConfig {
            vocab_size: 1 << 28,
            ..BertConfig::default()
        };
        let mut problems = Vec::new();
        config.check_sizes(16 << 30, &mut problems);
        let said = "its weights take 768.3 GiB, most of them for `vocab_size` 268435456, and this machine has 16.0 GiB of memory";
        assert_eq!(problems, [said]);
        problems.clear();
        config.hidden_size = 1 << 20;
        config.intermediate_size = 1 << 20;
        config.num_hidden_layers = 1024;
        config.check_sizes(1 << 40, &mut problems);
        assert!(
            problems[0].contains("`num_hidden_layers` 1024"),
            "{problems:?}"
        );
        problems.clear();
        BertConfig::default().check_sizes(1 << 30, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn validate_lists_every_problem() {
        let mut config = BertConfig {
            hidden_size: 10,
            num_attention_heads: 3,
            intermediate_size: 0,
            hidden_dropout_prob: 1.5,
            layer_norm_eps: f64::NAN,
            pad_token_id: 40_000,
            ..BertConfig::default()
        };
        config.extra.insert("model_type".into(), "roberta".into());
        config
            .extra
            .insert("position_embedding_type".into(), "relative_key".into());
        config.extra.insert("is_decoder".into(), true.into());
        let problems = config.validate().unwrap_err().problems;
        assert_eq!(problems.len(), 8, "{problems:#?}");
    }
}
