//! Task gradients in, one gradient out: the Gram matrix on the device, an aggregator's weights, and their combination.

use std::collections::HashSet;

use bertram_core::task::TaskId;
use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};

use crate::aggregator::Gram;

/// Which parameters an aggregator's weights apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The encoder's: each head keeps its own task's gradient.
    Shared,
    /// All: a task has a gradient of zero for the heads of the others.
    All,
}

/// What becomes of the weighted gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their sum, divided by the number of tasks on parameters that every task touches.
    Mean,
}

/// The gradients of one task.
pub struct TaskGradients {
    /// The task.
    pub task: TaskId,
    /// Its gradients.
    pub gradients: GradientsParams,
}

/// Inner products of the tasks' gradients over the parameters in `scope` (all where `None`). One read from the device.
pub fn gram<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    tasks: &[TaskGradients],
    scope: Option<&HashSet<ParamId>>,
) -> Gram {
    let count = tasks.len();
    let mut visitor = InnerProducts::<B> {
        tasks,
        scope,
        products: vec![None; count * (count + 1) / 2],
    };
    module.visit(&mut visitor);
    let present: Vec<Tensor<B::InnerBackend, 1>> =
        visitor.products.iter().flatten().cloned().collect();
    let mut values = if present.is_empty() {
        Vec::new()
    } else {
        Tensor::cat(present, 0).into_data().iter::<f64>().collect()
    }
    .into_iter();
    let mut rows = vec![vec![0.0; count]; count];
    let pairs = (0..count).flat_map(|i| (i..count).map(move |j| (i, j)));
    for ((i, j), product) in pairs.zip(&visitor.products) {
        // No parameter is touched by both: their inner product stays 0.
        if product.is_some() {
            let value = values.next().unwrap_or(0.0);
            rows[i][j] = value;
            rows[j][i] = value;
        }
    }
    Gram::from_rows(&rows)
}

struct InnerProducts<'a, B: AutodiffBackend> {
    tasks: &'a [TaskGradients],
    scope: Option<&'a HashSet<ParamId>>,
    /// Sums of the upper triangle, row by row.
    products: Vec<Option<Tensor<B::InnerBackend, 1>>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for InnerProducts<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if self.scope.is_some_and(|scope| !scope.contains(&param.id)) {
            return;
        }
        let gradients: Vec<Option<Tensor<B::InnerBackend, D>>> = self
            .tasks
            .iter()
            .map(|task| task.gradients.get(param.id))
            .collect();
        let mut index = 0;
        for i in 0..gradients.len() {
            for j in i..gradients.len() {
                if let (Some(one), Some(other)) = (&gradients[i], &gradients[j]) {
                    let product = (one.clone() * other.clone()).sum();
                    let sum = self.products[index].take();
                    self.products[index] = Some(match sum {
                        Some(sum) => sum + product,
                        None => product,
                    });
                }
                index += 1;
            }
        }
    }
}

/// `sum_k weights[k] g_k` on the parameters in `scope`, and the plain sum on the others. Each parameter's task gradients
/// are let go as soon as they are merged.
pub fn combine<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    tasks: Vec<TaskGradients>,
    weights: &[f64],
    scope: Option<&HashSet<ParamId>>,
    reduction: Reduction,
) -> GradientsParams {
    let mut visitor = Combine {
        tasks,
        weights,
        scope,
        reduction,
        merged: GradientsParams::new(),
    };
    module.visit::<Combine<'_>>(&mut visitor);
    visitor.merged
}

struct Combine<'a> {
    tasks: Vec<TaskGradients>,
    weights: &'a [f64],
    scope: Option<&'a HashSet<ParamId>>,
    reduction: Reduction,
    merged: GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Combine<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let weighted = self.scope.is_none_or(|scope| scope.contains(&param.id));
        let mut sum: Option<Tensor<B::InnerBackend, D>> = None;
        let mut touching = 0;
        for (task, &weight) in self.tasks.iter_mut().zip(self.weights) {
            let Some(gradient) = task.gradients.remove::<B::InnerBackend, D>(param.id) else {
                continue;
            };
            touching += 1;
            let gradient = if weighted && weight != 1.0 {
                gradient * weight
            } else {
                gradient
            };
            sum = Some(match sum {
                Some(sum) => sum + gradient,
                None => gradient,
            });
        }
        if let Some(mut sum) = sum {
            if weighted && self.reduction == Reduction::Mean && touching == self.weights.len() {
                sum = sum / touching as f64;
            }
            self.merged.register(param.id, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, NdArray};
    use burn::module::Module;
    use burn::tensor::backend::Backend;

    type B = Autodiff<NdArray>;

    #[derive(Module, Debug)]
    struct Toy<B: Backend> {
        shared: Param<Tensor<B, 2>>,
        head: Param<Tensor<B, 1>>,
    }

    /// Gradients `scale * ones` for `shared`, and for `head` where asked.
    fn task(
        module: &Toy<B>,
        task: TaskId,
        direction: [[f32; 2]; 1],
        head: Option<f32>,
    ) -> TaskGradients {
        let device = Default::default();
        let mut gradients = GradientsParams::new();
        gradients.register(
            module.shared.id,
            Tensor::<NdArray, 2>::from_floats(direction, &device),
        );
        if let Some(head) = head {
            gradients.register(
                module.head.id,
                Tensor::<NdArray, 1>::from_floats([head], &device),
            );
        }
        TaskGradients { task, gradients }
    }

    fn toy() -> Toy<B> {
        let device = Default::default();
        Toy {
            shared: Param::from_tensor(Tensor::zeros([1, 2], &device)),
            head: Param::from_tensor(Tensor::zeros([1], &device)),
        }
    }

    #[test]
    fn inner_products_and_combination_keep_to_their_scope() {
        let module = toy();
        let tasks = || {
            vec![
                task(&module, TaskId::Sst, [[1.0, 2.0]], Some(5.0)),
                task(&module, TaskId::Para, [[-3.0, 1.0]], None),
            ]
        };
        let shared: HashSet<ParamId> = [module.shared.id].into();
        let over_shared = gram::<B, _>(&module, &tasks(), Some(&shared));
        assert_eq!(over_shared.dot(0, 1), -1.0);
        assert_eq!(over_shared.dot(0, 0), 5.0);
        let over_all = gram::<B, _>(&module, &tasks(), None);
        assert_eq!(over_all.dot(0, 0), 30.0);
        assert_eq!(
            over_all.dot(0, 1),
            -1.0,
            "a head nobody else touches adds nothing"
        );

        let values = |merged: &GradientsParams| -> (Vec<f32>, f32) {
            let shared = merged.get::<NdArray, 2>(module.shared.id).expect("shared");
            let head = merged.get::<NdArray, 1>(module.head.id).expect("head");
            (shared.into_data().iter().collect(), head.into_scalar())
        };
        let weights = [2.0, 4.0];
        let merged = combine::<B, _>(&module, tasks(), &weights, Some(&shared), Reduction::Sum);
        assert_eq!(values(&merged), (vec![-10.0, 8.0], 5.0));
        let merged = combine::<B, _>(&module, tasks(), &weights, None, Reduction::Mean);
        assert_eq!(values(&merged), (vec![-5.0, 4.0], 10.0));
    }
}
