//! Which heads and losses a task may take.

use crate::head::HeadKind;
use crate::loss::LossKind;
use crate::spec::{Inputs, LabelKind, TaskId, TaskSpec};

/// What a task may take; the first of each is its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legal {
    /// Heads.
    pub heads: &'static [HeadKind],
    /// Losses.
    pub losses: &'static [LossKind],
}

impl Legal {
    /// The row of the table for a task.
    ///
    /// | inputs | label | heads | losses |
    /// |---|---|---|---|
    /// | single | classes | linear | cross-entropy, focal, ordinal |
    /// | single | several labels | linear | bce, focal |
    /// | single | binary | linear | bce, focal |
    /// | single | score | linear | mse, bce |
    /// | pair | classes | cross-encoder, concat | cross-entropy, focal, ordinal |
    /// | pair | several labels | cross-encoder, concat | bce, focal |
    /// | pair | binary | cosine, concat, cross-encoder | bce, cosine-embedding, focal |
    /// | pair | score | cosine, concat, cross-encoder | mse, bce, cosine-embedding, cosent, angle |
    ///
    /// `cosine-embedding`, `cosent` and `angle` are losses on cosines and need `cosine` besides ([`Legal::problem`]).
    pub fn of(spec: &TaskSpec) -> Self {
        use HeadKind::{Concat, Cosine, CrossEncoder, Linear};
        use LossKind::{Angle, Bce, Cosent, CosineEmbedding, CrossEntropy, Focal, Mse, Ordinal};
        let (heads, losses): (&[HeadKind], &[LossKind]) = match (spec.inputs, spec.label) {
            (Inputs::Single, LabelKind::Classes { .. }) => {
                (&[Linear], &[CrossEntropy, Focal, Ordinal])
            }
            (Inputs::Single, LabelKind::MultiLabel { .. } | LabelKind::Binary) => {
                (&[Linear], &[Bce, Focal])
            }
            (Inputs::Single, LabelKind::Score { .. }) => (&[Linear], &[Mse, Bce]),
            (Inputs::Pair, LabelKind::Classes { .. }) => {
                (&[CrossEncoder, Concat], &[CrossEntropy, Focal, Ordinal])
            }
            (Inputs::Pair, LabelKind::MultiLabel { .. }) => {
                (&[CrossEncoder, Concat], &[Bce, Focal])
            }
            (Inputs::Pair, LabelKind::Binary) => (
                &[Cosine, Concat, CrossEncoder],
                &[Bce, CosineEmbedding, Focal],
            ),
            (Inputs::Pair, LabelKind::Score { .. }) => (
                &[Cosine, Concat, CrossEncoder],
                &[Mse, Bce, CosineEmbedding, Cosent, Angle],
            ),
        };
        Self { heads, losses }
    }

    /// The key of the first of head and loss that the task may not take, and what it may take; `None` where both are fine.
    pub fn problem(
        self,
        task: TaskId,
        head: HeadKind,
        loss: LossKind,
    ) -> Option<(&'static str, String)> {
        if !self.heads.contains(&head) {
            return Some(("head", format!("{task} takes {}", names(self.heads))));
        }
        if !self.losses.contains(&loss) {
            return Some(("loss", format!("{task} takes {}", names(self.losses))));
        }
        if loss.is_on_cosines() && head != HeadKind::Cosine {
            let loss = names(&[loss]);
            let text = format!("{loss} is a loss on cosines: it needs head = \"cosine\"");
            return Some(("loss", text));
        }
        None
    }
}

/// Names of variants, as in configs.
pub fn names<T: serde::Serialize>(items: &[T]) -> String {
    items
        .iter()
        .filter_map(|item| Some(serde_json::to_value(item).ok()?.as_str()?.to_owned()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::BertConfig;
    use crate::head::Threshold;
    use crate::loss::LossOptions;
    use crate::spec::Metric;
    use crate::task::{MultitaskModel, TaskConfig, TaskHead};
    use burn::backend::Flex;

    /// Every combination that the table allows is built, computed and read, with vectors of one and of several poolings.
    #[test]
    fn whatever_is_legal_works() {
        let device = Default::default();
        let kinds = [
            LabelKind::Classes { classes: 3 },
            LabelKind::MultiLabel { classes: 3 },
            LabelKind::Binary,
            LabelKind::Score { min: 1.0, max: 7.0 },
        ];
        let config = BertConfig {
            vocab_size: 20,
            hidden_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 16,
            max_position_embeddings: 12,
            ..BertConfig::default()
        };
        for inputs in [Inputs::Single, Inputs::Pair] {
            for label in kinds {
                let spec = TaskSpec {
                    title: "x".into(),
                    inputs,
                    label,
                    labels: ["a", "b", "c"].map(str::to_owned).into(),
                    metric: Metric::of(label)[0],
                    preset: None,
                };
                let legal = Legal::of(&spec);
                for (&head, &loss) in legal
                    .heads
                    .iter()
                    .flat_map(|head| legal.losses.iter().map(move |loss| (head, loss)))
                    .filter(|(head, loss)| legal.problem(TaskId::SST, **head, **loss).is_none())
                {
                    for pooling in ["mean", "cls+max", "attention+pooler"] {
                        let task = TaskConfig {
                            task: TaskId::new("x").expect("a name"),
                            spec: spec.clone().into(),
                            head,
                            loss,
                            pooling: pooling.parse().expect("a pooling"),
                            layer_mix: false,
                            head_dropout: 0.0,
                            threshold: Threshold::Calibrated,
                            margin: 0.0,
                            loss_options: LossOptions::default(),
                        };
                        let model = MultitaskModel::<Flex>::new(
                            config.init(&device),
                            vec![TaskHead::new(task.clone(), 8, 0.1, &device)],
                        );
                        let data = crate::data::TokenizedDataset {
                            task: task.task,
                            ids: vec!["1".into(), "2".into()],
                            a: vec![vec![7, 8], vec![9]],
                            b: vec![vec![10], vec![11, 12]],
                            labels: Some(vec![1.0; 2 * label.width()]),
                            weights: None,
                        };
                        let batcher = crate::data::Batcher {
                            packing: task.packing(),
                            max_length: 12,
                            pad_to_multiple_of: 1,
                            special: crate::tokenizer::SpecialTokens {
                                pad: 0,
                                unk: 1,
                                cls: 2,
                                sep: 3,
                                mask: 4,
                            },
                        };
                        let batch = batcher.batch(&data, &[0, 1]).to_device::<Flex>(&device);
                        let head = &model.heads[0];
                        let logits = model.forward(head, &batch);
                        let labels = batch.labels.clone().expect("labels");
                        let loss: f32 = head.loss(logits.clone(), labels).into_scalar();
                        assert!(loss.is_finite(), "{task:?}");
                        let outputs = logits.dims()[1];
                        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
                        let prediction = task.predict(&values[..outputs]);
                        match label {
                            LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } => {
                                assert_eq!(prediction.probabilities.len(), 3);
                            }
                            LabelKind::Binary => assert_eq!(prediction.probabilities.len(), 2),
                            LabelKind::Score { .. } => {
                                assert!((1.0..=7.0).contains(&prediction.value));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_legal_is_named() {
        let spec = TaskSpec::preset(TaskId::SST).expect("a preset");
        let legal = Legal::of(&spec);
        assert_eq!(
            legal.problem(TaskId::SST, HeadKind::Cosine, LossKind::Bce),
            Some(("head", "sst takes linear".to_owned()))
        );
        assert_eq!(
            legal.problem(TaskId::SST, HeadKind::Linear, LossKind::Bce),
            Some(("loss", "sst takes cross-entropy, focal, ordinal".to_owned()))
        );
        let spec = TaskSpec::preset(TaskId::STS).expect("a preset");
        let (key, text) = Legal::of(&spec)
            .problem(TaskId::STS, HeadKind::Concat, LossKind::CosineEmbedding)
            .expect("not legal");
        assert!(key == "loss" && text.contains("needs head"), "{text}");
    }
}
