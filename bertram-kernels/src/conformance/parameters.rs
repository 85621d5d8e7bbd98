//! What the optimiser and the aggregators do with parameters and gradients.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use super::{assert_close, matrix, values};
use crate::{AdamWStep, AdamWUpdate, KernelKind, Kernels};

type Matrix<G> = Tensor<G, 2>;
/// A parameter, and its moments after a first step.
type State<G> = (Matrix<G>, Option<[Matrix<G>; 2]>);

/// One number, odd ones, more than fit a launch, more than a cube takes at once.
const SHAPES: [[usize; 2]; 14] = [
    [1, 1],
    [3, 31],
    [33, 4],
    [1, 768],
    [700, 129],
    [1, 768],
    [1, 768],
    [2, 768],
    [1, 33],
    [1, 4],
    [5, 8],
    [600, 512],
    [1, 768],
    [1, 4],
];

/// Steps of all parameters with these factors; parameters and moments, each after the other.
fn steps<G: Kernels>(
    kind: KernelKind,
    factors: &[Option<f32>],
    shared: bool,
    device: &G::Device,
) -> Vec<Vec<f32>> {
    let mut state: Vec<State<G>> = (SHAPES.iter())
        .enumerate()
        .map(|(seed, shape)| (matrix::<G>(seed, *shape, device), None))
        .collect();
    let before: Vec<Matrix<G>> = state
        .iter()
        .map(|(parameter, _)| parameter.clone())
        .collect();
    let before = shared.then_some(before);
    for (number, factor) in factors.iter().enumerate() {
        let factor = factor.map(|factor| Tensor::<G, 1>::from_floats([factor], device));
        let updates = (state.drain(..).zip(SHAPES).enumerate())
            .map(|(seed, ((parameter, moments), shape))| AdamWUpdate {
                parameter: primitive(parameter),
                gradient: primitive(matrix::<G>(100 * number + seed, shape, device)),
                moments: moments.map(|moments| moments.map(primitive)),
                step: AdamWStep {
                    beta1: 0.9,
                    beta2: 0.999,
                    eps: 1e-6,
                    rate: 1e-2 * (1 + seed) as f64,
                    shrink: if seed % 2 == 0 { 1.0 } else { 0.999 },
                },
            })
            .collect();
        state = (kind.adamw_all::<G>(updates, factor.as_ref()).into_iter())
            .map(|updated| (tensor(updated.parameter), Some(updated.moments.map(tensor))))
            .collect();
    }
    if let Some(before) = before {
        for (seed, (parameter, shape)) in before.into_iter().zip(SHAPES).enumerate() {
            let kept = values(matrix::<G>(seed, shape, device));
            assert_eq!(values(parameter), kept, "what is shared is not changed");
        }
    }
    (state.into_iter())
        .flat_map(|(parameter, moments)| {
            let moments = moments.into_iter().flatten();
            std::iter::once(parameter).chain(moments)
        })
        .map(values)
        .collect()
}

pub(crate) fn adamw_of_all_parameters<G: Kernels>(device: &G::Device) {
    let clipped = [None, Some(0.3), Some(1.0)];
    let left_out = [Some(-1.0), Some(0.5), Some(-1.0)];
    for (what, factors) in [("clipped", clipped), ("left out", left_out)] {
        let fused = steps::<G>(KernelKind::Fused, &factors, false, device);
        assert_eq!(fused, steps::<G>(KernelKind::Fused, &factors, true, device));
        let composed = steps::<G>(KernelKind::Composed, &factors, false, device);
        assert_close(&format!("AdamW {what}"), &fused, &composed, 1e-6);
    }
}

pub(crate) fn a_step_that_is_left_out_may_have_any_gradient<G: Kernels>(device: &G::Device) {
    let parameter = matrix::<G>(1, [3, 5], device);
    let gradient = parameter.clone() * f32::INFINITY;
    let factor = Tensor::<G, 1>::from_floats([-1.0], device);
    let step = AdamWStep {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        rate: 0.1,
        shrink: 0.9,
    };
    let (after, moments) =
        KernelKind::Fused.adamw(parameter.clone(), gradient, Some(&factor), None, &step);
    assert_eq!(values(after), values(parameter));
    for moment in [moments.first, moments.second] {
        assert_eq!(values(moment), vec![0.0; 15]);
    }
}

pub(crate) fn inner_products<G: Kernels>(device: &G::Device) {
    for count in [1, 3] {
        let groups: Vec<Vec<Matrix<G>>> = (SHAPES.iter().enumerate())
            .map(|(group, shape)| {
                let seeds = (0..count).map(|tensor| 10 * group + tensor);
                seeds
                    .map(|seed| matrix::<G>(seed, *shape, device))
                    .collect()
            })
            .collect();
        let all = |kind: KernelKind| {
            let groups = groups.iter().map(|group| {
                let tensors = group.iter().cloned();
                tensors.map(primitive).collect()
            });
            let products = kind.inner_products_all::<G>(groups.collect());
            vec![values(products.expect("there are groups"))]
        };
        let fused = all(KernelKind::Fused);
        assert_eq!(fused[0].len(), count * (count + 1) / 2);
        assert_eq!(fused, all(KernelKind::Fused), "not the same twice");
        let what = format!("inner products of {count}");
        assert_close(&what, &fused, &all(KernelKind::Composed), 1e-5);
        for group in &groups[..5] {
            let [fused, composed] = [KernelKind::Fused, KernelKind::Composed].map(|kind| {
                let products = kind.inner_products(group);
                products.into_iter().map(values).collect::<Vec<_>>()
            });
            assert_close(&what, &fused, &composed, 1e-5);
        }
    }
    assert!(
        KernelKind::Fused
            .inner_products_all::<G>(Vec::new())
            .is_none()
    );
    assert!(KernelKind::Fused.inner_products::<G, 2>(&[]).is_empty());
}

pub(crate) fn sums_and_averages<G: Kernels>(device: &G::Device) {
    for shape in SHAPES {
        let tensors = [1, 2, 3].map(|seed| matrix::<G>(seed, shape, device));
        let [fused, composed] = [KernelKind::Fused, KernelKind::Composed].map(|kind| {
            let terms = |count: usize| {
                let weights = [0.5, 1.0, -0.25];
                tensors.iter().cloned().zip(weights).take(count).collect()
            };
            let sums = [1, 2, 3].map(|count| kind.weighted_sum(terms(count)));
            let average = kind.moving_average(tensors[0].clone(), tensors[1].clone(), 0.9);
            let all = sums.into_iter().flatten().chain([average]);
            all.map(values).collect::<Vec<_>>()
        });
        assert_eq!(fused.len(), 4);
        assert_close(&format!("sums {shape:?}"), &fused, &composed, 1e-6);
        let kept = values(matrix::<G>(1, shape, device));
        assert_eq!(
            values(tensors[0].clone()),
            kept,
            "what is shared is not changed"
        );
    }
}

fn primitive<G: Kernels>(tensor: Matrix<G>) -> FloatTensor<G> {
    tensor.into_primitive().tensor()
}

fn tensor<G: Kernels>(primitive: FloatTensor<G>) -> Matrix<G> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
