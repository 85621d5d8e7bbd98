//! Task gradients in, one gradient out: the Gram matrix on the device, an aggregator's weights, and their combination.

use std::collections::{BTreeMap, HashSet};

use bertram_core::task::TaskId;
use bertram_kernels::{KernelKind, TrainBackend};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::FloatTensor;

use crate::aggregator::{Gram, Reduction};
use crate::read::read_scalars;

/// The gradients of one task.
pub struct TaskGradients {
    /// Whose loss they belong to.
    pub task: TaskId,
    /// Its gradients.
    pub gradients: GradientsParams,
}

/// Inner products of the tasks' gradients over the parameters in `scope` (all where `None`). One read from the device.
pub fn gram<B: TrainBackend, M: AutodiffModule<B>>(
    module: &M,
    tasks: &[TaskGradients],
    scope: Option<&HashSet<ParamId>>,
    kernels: KernelKind,
) -> Gram {
    let mut visitor = Groups::<B> {
        tasks,
        scope,
        groups: BTreeMap::new(),
    };
    module.visit(&mut visitor);
    // No parameter that a task leaves alone adds to its inner products.
    let mut places = Vec::new();
    let mut products = Vec::new();
    for (touching, groups) in visitor.groups {
        if let Some(sums) = kernels.inner_products_all::<B::InnerBackend>(groups) {
            let pairs = upper_triangle(touching.len());
            places.extend(pairs.map(|(i, j)| (touching[i], touching[j])));
            products.push(sums);
        }
    }
    let values = read_scalars(products);
    let count = tasks.len();
    let mut rows = vec![vec![0.0; count]; count];
    for ((i, j), value) in places.into_iter().zip(values) {
        rows[i][j] += value;
        if i != j {
            rows[j][i] += value;
        }
    }
    Gram::from_rows(&rows)
}

/// Row and column of each place on or above the diagonal, row by row.
fn upper_triangle(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (i..count).map(move |j| (i, j)))
}

/// Gradients of one parameter, by task.
type Gradients<B> = Vec<FloatTensor<<B as AutodiffBackend>::InnerBackend>>;

struct Groups<'a, B: AutodiffBackend> {
    tasks: &'a [TaskGradients],
    scope: Option<&'a HashSet<ParamId>>,
    /// Of each set of tasks, the gradients of the parameters that they touch, and no other task does.
    groups: BTreeMap<Vec<usize>, Vec<Gradients<B>>>,
}

impl<B: TrainBackend> ModuleVisitor<B> for Groups<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if self.scope.is_some_and(|scope| !scope.contains(&param.id)) {
            return;
        }
        let (touching, gradients): (Vec<usize>, Vec<FloatTensor<B::InnerBackend>>) =
            (self.tasks.iter().enumerate())
                .filter_map(|(index, task)| {
                    let gradient = task.gradients.get::<B::InnerBackend, D>(param.id)?;
                    Some((index, gradient.into_primitive().tensor()))
                })
                .unzip();
        if !touching.is_empty() {
            self.groups.entry(touching).or_default().push(gradients);
        }
    }
}

/// `sum_k weights[k] g_k` on the parameters in `scope`, and the plain sum on the others. Each parameter's task gradients
/// are let go as soon as they are merged.
pub fn combine<B: TrainBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: Vec<GradientsParams>,
    weights: &[f64],
    scope: Option<&HashSet<ParamId>>,
    reduction: Reduction,
    kernels: KernelKind,
) -> GradientsParams {
    let mut visitor = Combine {
        gradients,
        weights,
        scope,
        reduction,
        kernels,
        merged: GradientsParams::new(),
    };
    Module::<B>::visit(module, &mut visitor);
    visitor.merged
}

/// The sum of two gradients.
pub fn add<B: TrainBackend, M: AutodiffModule<B>>(
    module: &M,
    one: GradientsParams,
    other: GradientsParams,
    kernels: KernelKind,
) -> GradientsParams {
    let weights = [1.0, 1.0];
    combine::<B, _>(
        module,
        vec![one, other],
        &weights,
        None,
        Reduction::Sum,
        kernels,
    )
}

struct Combine<'a> {
    gradients: Vec<GradientsParams>,
    weights: &'a [f64],
    scope: Option<&'a HashSet<ParamId>>,
    reduction: Reduction,
    kernels: KernelKind,
    merged: GradientsParams,
}

impl<B: TrainBackend> ModuleVisitor<B> for Combine<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let weighted = self.scope.is_none_or(|scope| scope.contains(&param.id));
        let mut terms: Vec<(Tensor<B::InnerBackend, D>, f64)> = (self.gradients.iter_mut())
            .zip(self.weights)
            .filter_map(|(gradients, weight)| {
                let gradient = gradients.remove::<B::InnerBackend, D>(param.id)?;
                Some((gradient, if weighted { *weight } else { 1.0 }))
            })
            .collect();
        if weighted && self.reduction == Reduction::Mean && terms.len() == self.weights.len() {
            let share = 1.0 / terms.len() as f64;
            terms.iter_mut().for_each(|(_, weight)| *weight *= share);
        }
        if let Some(sum) = self.kernels.weighted_sum(terms) {
            self.merged.register(param.id, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, NdArray};
    use burn::tensor::backend::Backend;

    type B = Autodiff<NdArray>;

    const KERNELS: KernelKind = KernelKind::Fused;

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
                task(&module, TaskId::SST, [[1.0, 2.0]], Some(5.0)),
                task(&module, TaskId::PARA, [[-3.0, 1.0]], None),
            ]
        };
        let gradients = || tasks().into_iter().map(|task| task.gradients).collect();
        let shared: HashSet<ParamId> = [module.shared.id].into();
        let over_shared = gram::<B, _>(&module, &tasks(), Some(&shared), KERNELS);
        assert_eq!(over_shared.dot(0, 1), -1.0);
        assert_eq!(over_shared.dot(0, 0), 5.0);
        let over_all = gram::<B, _>(&module, &tasks(), None, KERNELS);
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
        let merged = combine::<B, _>(
            &module,
            gradients(),
            &weights,
            Some(&shared),
            Reduction::Sum,
            KERNELS,
        );
        assert_eq!(values(&merged), (vec![-10.0, 8.0], 5.0));
        let merged = combine::<B, _>(
            &module,
            gradients(),
            &weights,
            None,
            Reduction::Mean,
            KERNELS,
        );
        assert_eq!(values(&merged), (vec![-5.0, 4.0], 10.0));
    }
}
