//! A tiny model and batches that are the same on every backend.

use std::collections::HashMap;

use bertram_core::data::{TaskBatch, TokenBatch};
use bertram_core::encoder::{BertConfig, Pooling};
use bertram_core::head::{HeadKind, Threshold};
use bertram_core::loss::{LossKind, LossOptions};
use bertram_core::task::{MultitaskModel, TaskConfig, TaskHead, TaskId, TaskSpec};
use bertram_train::aggregator::{AggregatorConfig, AggregatorKind};
use bertram_train::regulariser::RegulariserSettings;
use bertram_train::step::{TaskPart, UpdateSettings};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Width of the encoder.
pub const HIDDEN: usize = 16;

/// Numbers in [-1, 1] without a pattern: backends draw different random numbers, and these are the same on all.
pub fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|index| (12.9898 * (index as f64 + 1.0) + 78.233 * (seed as f64 + 1.0)).sin() as f32)
        .collect()
}

/// Gives every parameter such numbers.
struct Fill(usize);

impl<B: Backend> ModuleMapper<B> for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        self.0 += 1;
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let fill = numbers(shape.num_elements(), self.0);
        let fill = Tensor::<B, 1>::from_data(
            TensorData::new(fill, [shape.num_elements()]),
            &tensor.device(),
        );
        let fill = fill.reshape(shape);
        // Vectors are norms and biases: they stay near what they are. Of matrices nothing stays: their random numbers, however
        // small, would turn a gradient that is almost 0 to the other side, which SMART's linf ascent makes a whole step.
        let value = match D {
            1 => tensor.detach() + fill * 0.02,
            _ => fill * 0.3,
        };
        let value = value.detach();
        Param::from_mapped_value(id, value.set_require_grad(true), mapper)
    }
}

/// Updates with PCGrad and clipping, at one rate.
pub fn pcgrad(rate: f64, updates: usize, regularisers: RegulariserSettings) -> UpdateSettings {
    UpdateSettings {
        learning_rate: rate,
        head_learning_rate: rate,
        module_rates: Default::default(),
        max_grad_norm: 1.0,
        weights: HashMap::new(),
        aggregator: AggregatorConfig {
            kind: AggregatorKind::Pcgrad,
            ..AggregatorConfig::default()
        },
        regularisers,
        updates,
    }
}

/// One layer; weights without a pattern.
pub fn model<B: Backend>(device: &B::Device, dropout: f64) -> MultitaskModel<B> {
    model_with(device, dropout, |_| ())
}

/// The same with tasks that are changed.
pub fn model_with<B: Backend>(
    device: &B::Device,
    dropout: f64,
    change: impl Fn(&mut TaskConfig),
) -> MultitaskModel<B> {
    let config = BertConfig {
        vocab_size: 30,
        hidden_size: HIDDEN,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 32,
        max_position_embeddings: 12,
        hidden_dropout_prob: dropout,
        attention_probs_dropout_prob: dropout,
        // Almost nothing, so that what `Fill` adds is what counts.
        initializer_range: 1e-9,
        ..BertConfig::default()
    };
    let heads = [
        (TaskId::SST, HeadKind::Linear, LossKind::CrossEntropy),
        (TaskId::PARA, HeadKind::Concat, LossKind::Bce),
        (TaskId::STS, HeadKind::Cosine, LossKind::Mse),
    ]
    .map(|(task, head, loss)| {
        let mut task = TaskConfig {
            task,
            spec: TaskSpec::preset(task).expect("a preset"),
            head,
            loss,
            pooling: Pooling::Mean,
            layer_mix: false,
            head_dropout: 0.0,
            threshold: Threshold::Calibrated,
            margin: 0.0,
            loss_options: LossOptions::default(),
        };
        change(&mut task);
        TaskHead::of_encoder(task, &config, device)
    });
    MultitaskModel::new(config.init::<B>(device), heads.into()).map(&mut Fill(0))
}

/// Three examples of a task, with padding.
pub fn part<B: Backend>(task: TaskId, update: usize, device: &B::Device) -> TaskPart<B> {
    let (examples, length) = (3, 5);
    let sentences = if task == TaskId::SST { 1 } else { 2 };
    let sequences = examples * sentences;
    let ids: Vec<i32> = numbers(
        sequences * length,
        100 + update * 10 + task.stream() as usize,
    )
    .iter()
    .map(|number| 1 + (number.abs() * 28.0) as i32)
    .collect();
    let mask: Vec<f32> = (0..sequences * length)
        .map(|index| f32::from(u8::from(index % length < 3 + index / length % 3)))
        .collect();
    let labels: Vec<f32> = match task.name() {
        "sst" => vec![0.0, 4.0, 2.0],
        "para" => vec![1.0, 0.0, 1.0],
        _ => vec![0.5, 4.0, 2.5],
    };
    let shape = [sequences, length];
    TaskPart {
        task,
        batches: vec![TaskBatch {
            task,
            tokens: TokenBatch {
                input_ids: Tensor::from_data(TensorData::new(ids, shape), device),
                token_type_ids: Tensor::zeros(shape, device),
                attention_mask: Tensor::from_data(TensorData::new(mask, shape), device),
            },
            labels: Some(Tensor::from_data(
                TensorData::new(labels, [examples]),
                device,
            )),
            weights: None,
            examples,
            token_count: 1,
            pooled: None,
        }],
    }
}
