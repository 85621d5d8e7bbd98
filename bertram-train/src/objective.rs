//! What a task's gradient is the gradient of: its loss and the terms of its regularisers, on one batch.

use std::cell::OnceCell;

use bertram_core::data::{TaskBatch, TokenBatch};
use bertram_core::loss::{OutputKind, divergence};
use bertram_core::task::{MultitaskModel, TaskHead};
use bertram_kernels::TrainBackend;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::measure::{Measure, MeasureKind};
use crate::regulariser::{BREGMAN, Classifier, ForwardPass, Penalty, Regulariser, Teacher};

/// A task's objective on one batch, on the graph.
pub struct Objective<B: AutodiffBackend> {
    /// The bare loss. Shape `[1]`.
    pub loss: Tensor<B, 1>,
    /// The loss and all weighted terms. Shape `[1]`.
    pub total: Tensor<B, 1>,
    /// Each term without its weight, and what else there is to log.
    pub measures: Vec<Measure<B::InnerBackend>>,
}

/// The objective of a batch; `None` where it has no labels or the model has no head for its task.
///
/// `bregman` is the teacher and the weight `mu` of the divergence from it; `loss_scale` is for the backward passes that
/// regularisers make of their own.
pub fn objective<B: TrainBackend>(
    model: &MultitaskModel<B>,
    batch: &TaskBatch<B>,
    regularisers: &[Box<dyn Regulariser<B>>],
    bregman: Option<(&Teacher<B, MultitaskModel<B>>, f64)>,
    loss_scale: f64,
) -> Option<Objective<B>> {
    let head = model.head(batch.task)?;
    let labels = batch.labels.clone()?;
    let pass = TaskPass {
        model,
        head,
        batch,
        loss_scale,
        frozen: OnceCell::new(),
    };
    // Only regularisers look at embeddings, which a batch that was encoded before does not have.
    let embedded = (!regularisers.is_empty()).then(|| pass.embed());
    let pooled = match &embedded {
        Some(embedded) => model.pool(head, embedded.clone(), batch),
        None => model.pooled(head, batch),
    };
    let (logits, loss) = head.logits_and_loss(pooled, labels, batch.weights.clone());
    let forward = embedded.map(|embedded| ForwardPass {
        logits: logits.clone(),
        embedded,
    });
    let mut total = loss.clone();
    let mut measures = Vec::new();
    let mut add = |kind: MeasureKind, weight: f64, penalty: Penalty<B>| {
        let term = (penalty.value.clone() * weight).cast(loss.dtype());
        total = total.clone() + term;
        measures.push(kind.of(penalty.value.inner()));
        measures.extend(penalty.measures);
    };
    if let Some(forward) = &forward {
        for regulariser in regularisers {
            let penalty = regulariser.penalty(&pass, forward);
            let kind = MeasureKind::mean(regulariser.name());
            add(kind, regulariser.weight(), penalty);
        }
    }
    if let Some((teacher, mu)) = bregman
        && let Some(of_teacher) = teacher_logits(teacher, batch)
    {
        let value = divergence(pass.output(), logits, Tensor::from_inner(of_teacher)).mean();
        let penalty = Penalty {
            value,
            measures: Vec::new(),
        };
        add(BREGMAN, mu, penalty);
    }
    Some(Objective {
        loss,
        total,
        measures,
    })
}

/// What the teacher makes of a batch, without dropout and without a graph. Shape `[examples, outputs]`.
fn teacher_logits<B: TrainBackend>(
    teacher: &Teacher<B, MultitaskModel<B>>,
    batch: &TaskBatch<B>,
) -> Option<Tensor<B::InnerBackend, 2>> {
    let module = teacher.module();
    Some(module.forward(module.head(batch.task)?, &without_graph(batch)))
}

/// A batch for a model without a graph; its labels stay behind.
pub(crate) fn without_graph<B: AutodiffBackend>(
    batch: &TaskBatch<B>,
) -> TaskBatch<B::InnerBackend> {
    TaskBatch {
        task: batch.task,
        tokens: TokenBatch {
            input_ids: batch.tokens.input_ids.clone().inner(),
            token_type_ids: batch.tokens.token_type_ids.clone().inner(),
            attention_mask: batch.tokens.attention_mask.clone().inner(),
        },
        labels: None,
        weights: None,
        examples: batch.examples,
        token_count: batch.token_count,
        pooled: batch.pooled.clone().map(Tensor::inner),
    }
}

/// The multitask model on one batch, as a regulariser sees it.
struct TaskPass<'a, B: AutodiffBackend> {
    model: &'a MultitaskModel<B>,
    head: &'a TaskHead<B>,
    batch: &'a TaskBatch<B>,
    loss_scale: f64,
    /// The model with constant weights, made when it is first asked for. It shares their memory.
    frozen: OnceCell<MultitaskModel<B>>,
}

impl<B: TrainBackend> Classifier<B> for TaskPass<'_, B> {
    fn embed(&self) -> Tensor<B, 3> {
        self.model.embed(self.batch)
    }

    fn classify(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2> {
        self.model.classify(self.head, embedded, self.batch)
    }

    fn classify_frozen(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2> {
        let frozen = self.frozen.get_or_init(|| self.model.clone().no_grad());
        let head = frozen
            .head(self.batch.task)
            .expect("a clone has the heads of its original");
        frozen.classify(head, embedded, self.batch)
    }

    fn mask(&self) -> Tensor<B::InnerBackend, 2> {
        self.batch.tokens.attention_mask.clone().inner()
    }

    fn output(&self) -> OutputKind {
        self.head.output()
    }

    fn loss_scale(&self) -> f64 {
        self.loss_scale
    }
}
