//! Watching for numbers that are not finite, without waiting for the device at every update.

use std::fmt;

use bertram_core::batch::TaskBatch;
use bertram_core::task::{MultitaskModel, TaskId};
use bertram_kernels::TrainBackend;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

use crate::objective::without_graph;
use crate::read::{read_bool, read_scalar};

/// Updates after which a guard should be read even if nobody shows anything: it keeps a few numbers of each.
const READ_AFTER: usize = 512;

/// Notes on the device whether an update's losses and gradients were finite.
///
/// From the first update that was not, [`left_out`](Self::watch) stays true, and every step that obeys it changes nothing:
/// the weights stay those from before that update. [`check`](Self::check) reads one number, and only if that is bad
/// the numbers that say which update and which task it was.
#[derive(Debug)]
pub struct FiniteGuard<B: Backend> {
    left_out: Option<Tensor<B, 1, Bool>>,
    watched: Vec<Watched<B>>,
}

/// What is kept of an update until it is looked at. Tensors of shape `[1]`.
#[derive(Debug)]
struct Watched<B: Backend> {
    update: usize,
    losses: Vec<(TaskId, Tensor<B, 1>)>,
    gradient_norm: Option<Tensor<B, 1>>,
}

/// The first update whose numbers were not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFinite {
    /// The update, counted from 1.
    pub update: usize,
    /// What was not finite.
    pub what: NotFiniteValue,
}

impl NotFinite {
    /// Whether it came before any update had changed the model: then no learning rate is at fault.
    pub fn before_any_step(&self) -> bool {
        let of_pass = matches!(
            self.what,
            NotFiniteValue::Loss(_) | NotFiniteValue::Gradient(_)
        );
        self.update == 1 && of_pass
    }
}

/// What was not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFiniteValue {
    /// A task's loss.
    Loss(TaskId),
    /// The gradient of these tasks' losses, which were finite themselves.
    Gradient(Vec<TaskId>),
    /// A tensor of the model, by its path: the update was finite, and what it made of the weights is not.
    Weights(String),
    /// What the model says of a task's rows.
    Predictions(TaskId),
}

impl fmt::Display for NotFiniteValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFiniteValue::Loss(task) => write!(f, "the loss of {task} is not finite"),
            NotFiniteValue::Gradient(tasks) => {
                let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
                write!(f, "the gradient of {} is not finite", names.join(" + "))
            }
            NotFiniteValue::Weights(name) => {
                write!(f, "the model's weights are not finite ({name})")
            }
            NotFiniteValue::Predictions(task) => {
                write!(f, "what the model says of {task} is not finite")
            }
        }
    }
}

impl<B: Backend> Default for FiniteGuard<B> {
    fn default() -> Self {
        Self {
            left_out: None,
            watched: Vec::new(),
        }
    }
}

impl<B: Backend> FiniteGuard<B> {
    /// Takes up an update's losses and the norm of its gradients, where it has one. Gives whether this update is to be
    /// left out; `None` where there is nothing to say.
    ///
    /// # Shapes
    ///
    /// - losses, `gradient_norm`, output: `[1]`
    pub fn watch(
        &mut self,
        update: usize,
        losses: &[(TaskId, Tensor<B, 1>)],
        gradient_norm: Option<&Tensor<B, 1>>,
    ) -> Option<Tensor<B, 1, Bool>> {
        let bad = losses
            .iter()
            .map(|(_, loss)| loss)
            .chain(gradient_norm)
            .map(|value| value.clone().is_finite().bool_not());
        self.left_out = self
            .left_out
            .take()
            .into_iter()
            .chain(bad)
            .reduce(|a, b| a.bool_or(b));
        self.watched.push(Watched {
            update,
            losses: losses.to_vec(),
            gradient_norm: gradient_norm.cloned(),
        });
        self.left_out.clone()
    }

    /// Whether so much was kept that it is time for a [`check`](Self::check).
    pub fn is_full(&self) -> bool {
        self.watched.len() >= READ_AFTER
    }

    /// Reads whether all updates so far were finite.
    ///
    /// # Errors
    /// The first that was not.
    pub fn check(&mut self) -> Result<(), NotFinite> {
        let all_fine = match &self.left_out {
            Some(left_out) => !read_bool(left_out.clone()),
            None => true,
        };
        if all_fine {
            self.watched.clear();
            return Ok(());
        }
        let finite = |value: &Tensor<B, 1>| read_scalar(value.clone()).is_finite();
        let first = self.watched.iter().find_map(|watched| {
            let bad_loss = watched.losses.iter().find(|(_, loss)| !finite(loss));
            let what = match (bad_loss, &watched.gradient_norm) {
                (Some((task, _)), _) => NotFiniteValue::Loss(*task),
                (None, Some(norm)) if !finite(norm) => {
                    NotFiniteValue::Gradient(watched.losses.iter().map(|(task, _)| *task).collect())
                }
                _ => return None,
            };
            Some(NotFinite {
                update: watched.update,
                what,
            })
        });
        first.map_or(Ok(()), Err)
    }
}

/// The first task of which a batch's logits are not finite: what a model is worth as a place to go on from, shown on rows
/// that are at hand. Batches of tasks that the model has no head for are passed over.
pub fn task_without_finite_output<'a, B: TrainBackend>(
    model: &MultitaskModel<B::InnerBackend>,
    batches: impl IntoIterator<Item = &'a TaskBatch<B>>,
) -> Option<TaskId> {
    let finite = |batch: &TaskBatch<B>| {
        model.head(batch.task).is_none_or(|head| {
            let logits = model.forward(head, &without_graph(batch));
            read_bool(logits.is_finite().all())
        })
    };
    batches
        .into_iter()
        .find(|batch| !finite(batch))
        .map(|batch| batch.task)
}

/// The path of the first parameter that holds a number which is not finite. Reads every parameter: for checkpoints, which
/// do so anyway.
pub fn non_finite_parameter<B: Backend, M: Module<B>>(module: &M) -> Option<String> {
    let mut visitor = FirstNonFinite {
        path: Vec::new(),
        found: None,
    };
    module.visit(&mut visitor);
    visitor.found
}

struct FirstNonFinite {
    path: Vec<String>,
    found: Option<String>,
}

impl<B: Backend> ModuleVisitor<B> for FirstNonFinite {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if self.found.is_none() && !read_bool(param.val().is_finite().all()) {
            self.found = Some(self.path.join("."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    fn scalar(value: f32) -> Tensor<Flex, 1> {
        Tensor::from_floats([value], &Default::default())
    }

    fn left_out(flag: Option<Tensor<Flex, 1, Bool>>) -> bool {
        flag.is_some_and(|flag| flag.into_scalar())
    }

    #[test]
    fn the_first_bad_update_is_remembered_and_all_after_it_are_left_out() {
        let nan = f32::NAN;
        for (sst, para, norm, what) in [
            (nan, 1.0, nan, NotFiniteValue::Loss(TaskId::SST)),
            (1.0, f32::INFINITY, 1.0, NotFiniteValue::Loss(TaskId::PARA)),
            (
                1.0,
                1.0,
                f32::INFINITY,
                NotFiniteValue::Gradient(vec![TaskId::SST, TaskId::PARA]),
            ),
        ] {
            let mut guard = FiniteGuard::<Flex>::default();
            let losses = |sst, para| [(TaskId::SST, scalar(sst)), (TaskId::PARA, scalar(para))];
            assert!(!left_out(guard.watch(
                1,
                &losses(1.0, 2.0),
                Some(&scalar(3.0))
            )));
            assert_eq!(guard.check(), Ok(()));
            assert!(!left_out(guard.watch(2, &losses(1.0, 2.0), None)));
            assert!(left_out(guard.watch(
                3,
                &losses(sst, para),
                Some(&scalar(norm))
            )));
            assert!(left_out(guard.watch(
                4,
                &losses(1.0, 2.0),
                Some(&scalar(3.0))
            )));
            assert_eq!(guard.check(), Err(NotFinite { update: 3, what }));
        }
    }
}
