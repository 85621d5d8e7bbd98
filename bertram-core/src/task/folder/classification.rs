//! A task as a model that `transformers.AutoModelForSequenceClassification` reads, where its architecture is that of
//! `BertForSequenceClassification`.

use std::path::Path;

use burn::tensor::{TensorData, backend::Backend};
use serde_json::{Map, Value, json};

use super::{ModelExport, ModelFolderError, make_folder};
use crate::encoder::Pooling;
use crate::encoder::weights::{Classifier, parameter_values, save_classifier};
use crate::head::HeadKind;
use crate::loss::{LossKind, OutputKind};
use crate::task::{LabelKind, TaskConfig, TaskHead};

/// `BertForSequenceClassification` always has a tanh pooler. Near 0 tanh is the identity: a pooler of this times the
/// identity, and a classifier divided by it, is a linear layer on `[CLS]`. A power of two, so that both are exact; small
/// enough that `tanh(x) / x` is 1 within 1e-6 for hidden states of up to 14.
const NEARLY_LINEAR: f32 = 1.0 / 8192.0;

/// Whether `BertForSequenceClassification` computes what the task's head does: one linear layer on one sequence's `[CLS]`
/// or pooler of the last layer, whose output is read by a softmax or by a sigmoid for each label, or is the score.
pub fn is_sequence_classifier(task: &TaskConfig) -> bool {
    let head = matches!(task.head, HeadKind::Linear | HeadKind::CrossEncoder);
    let pooling = matches!(task.pooling, Pooling::Cls | Pooling::Pooler) && !task.layer_mix;
    let output = match task.spec.label {
        LabelKind::Classes { .. } => task.output() == OutputKind::Categorical,
        LabelKind::MultiLabel { .. } | LabelKind::Binary => task.output() == OutputKind::Bernoulli,
        LabelKind::Score { .. } => task.loss == LossKind::Mse,
    };
    head && pooling && output
}

/// Writes `dir/TASK` for a head that [`is_sequence_classifier`]; nothing for others.
pub(super) fn write<B: Backend>(
    dir: &Path,
    export: &ModelExport<'_, B>,
    head: &TaskHead<B>,
) -> Result<(), ModelFolderError> {
    let task = head.config();
    if !is_sequence_classifier(task) {
        return Ok(());
    }
    let dir = dir.join(task.task.name());
    make_folder(&dir)?;
    (export.tokenizer).save(&dir, export.encode.max_length)?;
    let (weight, bias) = layer(head);
    let classifier = classifier(task, &weight, &bias);
    save_classifier(
        &dir,
        export.config,
        &export.model.encoder,
        classifier,
        keys(task),
    )?;
    Ok(())
}

/// The head's one layer: weights `[hidden, outputs]` and bias `[outputs]`.
fn layer<B: Backend>(head: &TaskHead<B>) -> (TensorData, TensorData) {
    let mut layer = (
        TensorData::new(Vec::<f32>::new(), [0, 0]),
        TensorData::new(Vec::<f32>::new(), [0]),
    );
    for (path, data) in parameter_values(head) {
        if path.ends_with(".weight") {
            layer.0 = data.convert::<f32>();
        } else if path.ends_with(".bias") {
            layer.1 = data.convert::<f32>();
        }
    }
    layer
}

/// The layer in PyTorch's orientation, its output read as `transformers` reads it: a row of zeros in front of a lone logit,
/// so that the softmax of both is the logit's sigmoid; a score on the label's own scale.
fn classifier(task: &TaskConfig, weight: &TensorData, bias: &TensorData) -> Classifier {
    let hidden = weight.shape.as_slice()[0];
    let outputs = bias.shape.as_slice()[0];
    let values: Vec<f32> = weight.iter::<f32>().collect();
    let mut rows: Vec<Vec<f32>> = (0..outputs)
        .map(|output| {
            let column = values.iter().skip(output).step_by(outputs);
            column.copied().collect()
        })
        .collect();
    let mut biases: Vec<f32> = bias.iter::<f32>().collect();
    match task.spec.label {
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } => {}
        LabelKind::Binary => {
            rows.insert(0, vec![0.0; hidden]);
            biases.insert(0, 0.0);
        }
        LabelKind::Score { min, max } => {
            for value in rows.iter_mut().flatten() {
                *value *= max - min;
            }
            for value in &mut biases {
                *value = *value * (max - min) + min;
            }
        }
    }
    let pooler = (task.pooling == Pooling::Cls).then_some(NEARLY_LINEAR);
    if let Some(scale) = pooler {
        for value in rows.iter_mut().flatten() {
            *value /= scale;
        }
    }
    Classifier {
        pooler,
        weight: TensorData::new(rows.concat(), [biases.len(), hidden]),
        bias: TensorData::new(biases.clone(), [biases.len()]),
    }
}

/// Keys of `config.json` beside the encoder's.
fn keys(task: &TaskConfig) -> Map<String, Value> {
    let names = &task.spec.labels;
    let by_number: Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (number.to_string(), json!(name)))
        .collect();
    let by_name: Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (name.clone(), json!(number)))
        .collect();
    let problem = match task.spec.label {
        LabelKind::Score { .. } => "regression",
        LabelKind::MultiLabel { .. } => "multi_label_classification",
        LabelKind::Classes { .. } | LabelKind::Binary => "single_label_classification",
    };
    Map::from_iter([
        ("id2label".to_owned(), Value::Object(by_number)),
        ("label2id".to_owned(), Value::Object(by_name)),
        ("problem_type".to_owned(), json!(problem)),
        ("classifier_dropout".to_owned(), json!(task.head_dropout)),
    ])
}
