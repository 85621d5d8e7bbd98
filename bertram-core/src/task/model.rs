//! One encoder, a head a task.

use std::sync::Arc;

use bertram_kernels::Kernels;
use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::Serialize;

use super::{LabelKind, TaskId, TaskSpec};
use crate::batch::{Packing, TaskBatch};
use crate::encoder::{AttentionPooler, Bert, BertConfig, LayerMix, Pooling, Readout};
use crate::head::{Head, HeadConfig, HeadKind, Threshold};
use crate::loss::{
    LossKind, LossOptions, OutputKind, binary_cross_entropy_losses,
    binary_cross_entropy_with_logits, binary_focal_losses, cosine_embedding_losses, cross_entropy,
    cross_entropy_losses, focal_losses, ordinal_losses, squared_errors, weighted_angle,
    weighted_cosent, weighted_cross_entropy,
};

/// How a task is modelled. Saved beside the weights: with it a head can be rebuilt and its logits be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskConfig {
    /// Name of the task that this is of.
    pub task: TaskId,
    /// What the task is.
    #[serde(skip)]
    pub spec: Arc<TaskSpec>,
    /// Kind of head.
    pub head: HeadKind,
    /// Loss.
    pub loss: LossKind,
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// Whether they are a learnt mix of all layers' ([`LayerMix`]), and not the last one's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub layer_mix: bool,
    /// Dropout in the head.
    pub head_dropout: f64,
    /// How a cosine becomes a decision.
    pub threshold: Threshold,
    /// Margin of the cosine embedding loss.
    pub margin: f64,
    /// What else the loss is told.
    #[serde(flatten)]
    pub loss_options: LossOptions,
}

impl TaskConfig {
    /// How this task's sentences are laid out.
    pub fn packing(&self) -> Packing {
        self.head.packing()
    }

    /// Whether the cosine head learns a scale and a bias: where its output is read as a logit, unless the
    /// published form is asked for.
    pub fn affine(&self) -> bool {
        self.output() == OutputKind::Bernoulli && self.threshold == Threshold::Calibrated
    }

    /// How the logits are read.
    pub fn output(&self) -> OutputKind {
        self.loss.output(self.spec.label)
    }

    /// Whether something is learnt between hidden states and the head: an attention pooler, or a mix of layers. Where it is,
    /// the vectors of an encoder that does not change change all the same.
    pub fn learns_vectors(&self) -> bool {
        self.layer_mix || self.pooling.has(Pooling::Attention)
    }

    fn outputs(&self) -> usize {
        match self.spec.label {
            LabelKind::Classes { classes } | LabelKind::MultiLabel { classes } => classes,
            LabelKind::Binary | LabelKind::Score { .. } => 1,
        }
    }

    /// The task's label on the scale the losses use: class index, 0/1, or `[0, 1]` for scores.
    fn unit_labels<B: Backend>(&self, labels: Tensor<B, 1>) -> Tensor<B, 1> {
        match self.spec.label {
            LabelKind::Score { min, max } => (labels - min) / (max - min),
            LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } | LabelKind::Binary => labels,
        }
    }
}

/// A head with what is needed to read its logits, and what it learns of how hidden states become vectors.
#[derive(Module, Debug)]
pub struct TaskHead<B: Backend> {
    head: Head<B>,
    attention: Option<AttentionPooler<B>>,
    layer_mix: Option<LayerMix<B>>,
    #[module(skip)]
    config: TaskConfig,
}

impl<B: Backend> TaskHead<B> {
    /// A head with fresh weights for this encoder.
    pub fn of_encoder(config: TaskConfig, encoder: &BertConfig, device: &B::Device) -> Self {
        let layers = encoder.num_hidden_layers;
        let layer_mix = (config.layer_mix).then(|| LayerMix::new(layers, device));
        let (hidden, range) = (encoder.hidden_size, encoder.initializer_range);
        Self {
            layer_mix,
            ..Self::new(config, hidden, range, device)
        }
    }

    /// A head with fresh weights over hidden states of `hidden_size`. It mixes no layers, whatever its settings say: how many
    /// there are says [`of_encoder`](Self::of_encoder).
    pub fn new(
        config: TaskConfig,
        hidden_size: usize,
        initializer_range: f64,
        device: &B::Device,
    ) -> Self {
        let head = HeadConfig {
            kind: config.head,
            hidden_size: config.pooling.width(hidden_size),
            outputs: config.outputs(),
            dropout: config.head_dropout,
            affine: config.affine(),
            complex: config.loss == LossKind::Angle,
            initializer_range,
        }
        .init(device);
        let attention = (config.pooling.has(Pooling::Attention))
            .then(|| AttentionPooler::new(hidden_size, device));
        Self {
            head,
            attention,
            layer_mix: None,
            config,
        }
    }

    /// How the task is modelled.
    pub fn config(&self) -> &TaskConfig {
        &self.config
    }

    /// How the hidden states of its sentences become vectors.
    pub fn readout(&self) -> Readout<'_, B> {
        Readout {
            pooling: self.config.pooling,
            attention: self.attention.as_ref(),
            layer_mix: self.layer_mix.as_ref(),
        }
    }

    /// Logits from vectors.
    ///
    /// # Shapes
    ///
    /// - `pooled`: `[sequences, width]` ([`Pooling::width`]), of pairs that are encoded apart all first sentences and then all
    ///   second ones
    /// - output: `[examples, outputs]`
    pub fn forward(&self, pooled: Tensor<B, 2>) -> Tensor<B, 2> {
        self.head.forward(pooled)
    }

    /// How the logits are read.
    pub fn output(&self) -> OutputKind {
        self.config.output()
    }

    /// Logits of vectors, and the loss that is trained: the mean of those under `dropout-samples` masks of the head's dropout
    /// (multi-sample dropout, Inoue 2019, <https://arxiv.org/abs/1905.09788>, section 3). The encoder computes once, and the
    /// head is the same each time. The logits are those under the first mask.
    ///
    /// # Shapes
    ///
    /// - `pooled`: as of [`forward`](Self::forward)
    /// - `labels`, `rows`: as of [`weighted_loss`](Self::weighted_loss)
    /// - output: `[examples, outputs]` and `[1]`
    pub fn logits_and_loss(
        &self,
        pooled: Tensor<B, 2>,
        labels: Tensor<B, 1>,
        rows: Option<Tensor<B, 1>>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        // Without dropout all masks are alike.
        let samples = match self.config.head_dropout > 0.0 {
            true => self.config.loss_options.dropout_samples,
            false => 1,
        };
        let logits = self.forward(pooled.clone());
        let mut loss = self.weighted_loss(logits.clone(), labels.clone(), rows.clone());
        if samples > 1 {
            for _ in 1..samples {
                let logits = self.forward(pooled.clone());
                loss = loss + self.weighted_loss(logits, labels.clone(), rows.clone());
            }
            loss = loss / samples as f64;
        }
        (logits, loss)
    }

    /// Mean loss of a batch.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[examples, outputs]`; with `angle` the head's `[examples, 2]`
    /// - `labels`: `[examples]`, as in the data (class index, 0/1, or score); of several labels at once
    ///   `[examples * outputs]`, 0 or 1 for each class
    /// - output: `[1]`
    pub fn loss(&self, logits: Tensor<B, 2>, labels: Tensor<B, 1>) -> Tensor<B, 1> {
        self.weighted_loss(logits, labels, None)
    }

    /// As [`loss`](Self::loss), of examples that count by weights `w` of their own: `sum_i w_i loss_i / sum_i w_i`, or of pairs
    /// of examples as [`weighted_cosent`] has it. Class weights come on top.
    ///
    /// # Shapes
    ///
    /// - `logits`, `labels`, output: as in [`loss`](Self::loss)
    /// - `rows`: `[examples]`, above 0; `None` for 1 each
    pub fn weighted_loss(
        &self,
        logits: Tensor<B, 2>,
        labels: Tensor<B, 1>,
        rows: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 1> {
        let unit = self.config.unit_labels(labels);
        let LossOptions {
            label_smoothing: smoothing,
            class_weights: weights,
            focal_gamma: gamma,
            scale,
            // It is `logits_and_loss` that takes several masks.
            dropout_samples: _,
        } = &self.config.loss_options;
        let is_plain = *smoothing == 0.0 && weights.is_empty();
        let [examples, outputs] = logits.dims();
        let numbers = examples * outputs;
        // Of several labels at once the mean goes over examples and classes, as in `BCEWithLogitsLoss`: each class counts as an
        // example of the row's weight.
        let of_numbers = |rows: Option<Tensor<B, 1>>| {
            rows.map(|rows| {
                let each = rows.unsqueeze_dim::<2>(1).expand([examples, outputs]);
                each.reshape([numbers])
            })
        };
        match self.config.loss {
            LossKind::CrossEntropy if rows.is_some() => {
                cross_entropy_losses(logits, unit.int(), weights, *smoothing).mean_by(rows)
            }
            LossKind::CrossEntropy if is_plain => cross_entropy(logits, unit.int()),
            LossKind::CrossEntropy => {
                weighted_cross_entropy(logits, unit.int(), weights, *smoothing)
            }
            LossKind::Bce if is_plain && rows.is_none() => {
                binary_cross_entropy_with_logits(logits.reshape([numbers]), unit)
            }
            LossKind::Bce => {
                let logits = logits.reshape([numbers]);
                binary_cross_entropy_losses(logits, unit, weights, *smoothing)
                    .mean_by(of_numbers(rows))
            }
            LossKind::Focal => match self.output() {
                OutputKind::Categorical => {
                    focal_losses(logits, unit.int(), *gamma, weights).mean_by(rows)
                }
                OutputKind::Bernoulli | OutputKind::Real => {
                    let logits = logits.reshape([numbers]);
                    binary_focal_losses(logits, unit, *gamma, weights).mean_by(of_numbers(rows))
                }
            },
            LossKind::Ordinal => ordinal_losses(logits, unit.int(), weights).mean_by(rows),
            LossKind::Cosent => weighted_cosent(logits.squeeze_dim(1), unit, *scale, rows),
            LossKind::Angle => weighted_angle(logits, unit, *scale, rows),
            LossKind::Mse => squared_errors(logits.squeeze_dim(1), unit).mean_by(rows),
            LossKind::CosineEmbedding => {
                let cosines: Tensor<B, 1> = logits.squeeze_dim(1);
                // What truth values become is the whole process's affair, not the logits'.
                let alike = unit.greater_equal_elem(0.5).float().cast(cosines.dtype());
                cosine_embedding_losses(cosines, alike, self.config.margin).mean_by(rows)
            }
        }
    }
}

/// One BERT shared by the heads of every task.
#[derive(Module, Debug)]
pub struct MultitaskModel<B: Backend> {
    /// The shared encoder.
    pub encoder: Bert<B>,
    /// The heads, in the order of their tasks.
    pub heads: Vec<TaskHead<B>>,
}

impl<B: Backend> MultitaskModel<B> {
    /// Puts an encoder and heads together.
    pub fn new(encoder: Bert<B>, heads: Vec<TaskHead<B>>) -> Self {
        Self { encoder, heads }
    }

    /// The head of a task, where the model has one.
    pub fn head(&self, task: TaskId) -> Option<&TaskHead<B>> {
        self.heads.iter().find(|head| head.config.task == task)
    }

    /// The tasks the model has heads for.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.heads.iter().map(|head| head.config.task)
    }
}

impl<B: Kernels> MultitaskModel<B> {
    /// What the embedding module makes of a batch: the space in which SMART perturbs.
    ///
    /// # Shapes
    ///
    /// - output: `[sequences, seq_len, hidden_size]`
    pub fn embed(&self, batch: &TaskBatch<B>) -> Tensor<B, 3> {
        self.encoder.embed(&batch.tokens)
    }

    /// Logits from embeddings.
    ///
    /// # Shapes
    ///
    /// - `embedded`: `[sequences, seq_len, hidden_size]`
    /// - output: `[examples, outputs]`
    pub fn classify(
        &self,
        head: &TaskHead<B>,
        embedded: Tensor<B, 3>,
        batch: &TaskBatch<B>,
    ) -> Tensor<B, 2> {
        head.forward(self.pool(head, embedded, batch))
    }

    /// A vector for each sequence, from embeddings, as a task's head takes it.
    ///
    /// # Shapes
    ///
    /// - `embedded`: `[sequences, seq_len, hidden_size]`
    /// - output: `[sequences, width]` ([`Pooling::width`])
    pub fn pool(
        &self,
        head: &TaskHead<B>,
        embedded: Tensor<B, 3>,
        batch: &TaskBatch<B>,
    ) -> Tensor<B, 2> {
        let mask = &batch.tokens.attention_mask;
        self.encoder.encode_pooled(embedded, mask, head.readout())
    }

    /// A vector for each sequence of a batch, which a task's head makes logits of; those of [`TaskBatch::pooled`] where
    /// there are.
    ///
    /// # Shapes
    ///
    /// - output: `[sequences, width]` ([`Pooling::width`])
    pub fn pooled(&self, head: &TaskHead<B>, batch: &TaskBatch<B>) -> Tensor<B, 2> {
        match &batch.pooled {
            Some(pooled) => pooled.clone(),
            None => self.pool(head, self.embed(batch), batch),
        }
    }

    /// Logits of a batch.
    ///
    /// # Shapes
    ///
    /// - output: `[examples, outputs]`
    pub fn forward(&self, head: &TaskHead<B>, batch: &TaskBatch<B>) -> Tensor<B, 2> {
        head.forward(self.pooled(head, batch))
    }
}
