//! What every backend has to show, and what only this one has.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::libtorch::LibTorchDevice;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::attention::{self, Way};
use super::dropout::Mask;
use super::layer_norm;
use super::tensor::{Torch, fresh, primitive, tensor};
use crate::conformance::{
    PACKED_SIZES, assert_close, bias, conformance_tests, matrix, norm, packed_shapes, projections,
    results, values, vector,
};
use crate::{AdamWStep, AttentionOptions, KernelKind, Kernels, Queries, TokenRows, composed};

type AB = Autodiff<Torch>;
const CPU: LibTorchDevice = LibTorchDevice::Cpu;

conformance_tests!(Torch, Some(CPU));

/// A test's turn at LibTorch's random generator: it is global, and a test that seeds it must draw alone.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mask of a seed for matrices of a shape, and as a matrix of factors.
fn mask(prob: f64, shape: &[i64], seed: i64) -> (Mask, Vec<f32>) {
    tch::manual_seed(seed);
    let like = tch::Tensor::empty(shape, (tch::Kind::Float, tch::Device::Cpu));
    let mask = Mask::draw(prob, &like).expect("something is dropped");
    let factors = fresh(mask.apply(&like.ones_like()).reshape([-1]));
    let factors = values::<Torch, 1>(tensor(factors));
    (mask, factors)
}

#[test]
fn dropout_keeps_to_its_mask_on_the_way_back() {
    let _turn = turn();
    for [rows, width] in [[7, 33], [257, 64]] {
        let (all, one) = ([rows, width], [1, width]);
        let (mask, factors) = mask(0.3, &[rows as i64, width as i64], 5);
        let dense = Tensor::<AB, 2>::from_data(TensorData::new(factors, all), &CPU);
        let fused = results::<AB>(&[all, one, all, one, one], &CPU, |x| {
            let norm = norm(&x[3], &x[4], 1e-12);
            let mask = Some(mask.clone());
            layer_norm::residual_with_mask(x[0].clone(), vector(&x[1]), x[2].clone(), norm, |_| {
                mask
            })
        });
        let composed = results::<AB>(&[all, one, all, one, one], &CPU, |x| {
            let norm = norm(&x[3], &x[4], 1e-12);
            let drop = |input| input * dense.clone();
            composed::residual_layer_norm_with(
                x[0].clone(),
                vector(&x[1]),
                x[2].clone(),
                norm,
                drop,
            )
        });
        assert_close("before", &fused, &composed, 1e-5);
        let fused = results::<AB>(&[all, one, one], &CPU, |x| {
            let mask = Some(mask.clone());
            layer_norm::dropout_with_mask(x[0].clone(), norm(&x[1], &x[2], 1e-12), |_| mask)
        });
        let composed = results::<AB>(&[all, one, one], &CPU, |x| {
            composed::layer_norm(x[0].clone(), norm(&x[1], &x[2], 1e-12)) * dense.clone()
        });
        assert_close("behind", &fused, &composed, 1e-5);
    }
}

/// Batch, sequence, heads, width of a head.
const SIZES: [[usize; 4]; 4] = [[1, 1, 1, 1], [2, 7, 3, 5], [3, 33, 2, 32], [2, 129, 1, 31]];

#[test]
fn attention_drops_the_same_probabilities_on_the_way_back() {
    let _turn = turn();
    for [batch, sequence, heads, width] in SIZES {
        let shape = [batch * sequence, heads * width];
        let pairs = [(batch * heads) as i64, sequence as i64, sequence as i64];
        let (_, factors) = mask(0.3, &pairs, 11);
        let data = TensorData::new(factors, [batch, heads, sequence, sequence]);
        let dense = Tensor::<AB, 4>::from_data(data, &CPU);
        let fused = results::<AB>(&[shape; 3], &CPU, |x| {
            let bias = bias([batch, sequence], &CPU);
            let options = AttentionOptions {
                heads,
                dropout: 0.3,
            };
            tch::manual_seed(11);
            AB::self_attention(x[0].clone(), x[1].clone(), x[2].clone(), bias, options)
        });
        let composed = results::<AB>(&[shape; 3], &CPU, |x| {
            let bias = bias([batch, sequence], &CPU);
            let drop = |probabilities| probabilities * dense.clone();
            let [query, key, value] = [0, 1, 2].map(|leaf| x[leaf].clone());
            composed::self_attention_with(query, key, value, bias, heads, drop)
        });
        assert_close("attention with dropout", &fused, &composed, 1e-5);
    }
}

#[test]
fn packed_attention_drops_the_same_probabilities_on_the_way_back() {
    let _turn = turn();
    for size in PACKED_SIZES {
        let (lengths, padded, heads, ..) = size;
        let (rows, batch) = (TokenRows::new(lengths, padded), lengths.len());
        for (queries, count) in [(Queries::All, padded), (Queries::First, 1)] {
            let drawn = [batch * heads, count, padded].map(|it| it as i64);
            let (_, factors) = mask(0.3, &drawn, 11);
            // Composed attention has contexts of all queries; those that are not read may drop anything.
            let data = TensorData::new(factors, [batch, heads, count, padded]);
            let dense =
                Tensor::<AB, 4>::from_data(data, &CPU).expand([batch, heads, padded, padded]);
            let fused = results::<AB>(&packed_shapes(size), &CPU, |x| {
                let (hidden, projections) = (x[0].clone() * 0.1, projections(x));
                let options = AttentionOptions {
                    heads,
                    dropout: 0.3,
                };
                tch::manual_seed(11);
                AB::packed_attention(hidden, projections, &rows, queries, options)
            });
            let composed = results::<AB>(&packed_shapes(size), &CPU, |x| {
                let (hidden, projections) = (x[0].clone() * 0.1, projections(x));
                let drop = |it| it * dense.clone();
                composed::packed_attention_with(hidden, projections, &rows, queries, heads, drop)
            });
            assert_close(&format!("{size:?}, {queries:?}"), &fused, &composed, 3e-5);
        }
    }
}

#[test]
fn packed_attention_without_a_graph_is_the_same() {
    for size in PACKED_SIZES {
        let (lengths, padded, heads, ..) = size;
        let rows = TokenRows::new(lengths, padded);
        for queries in [Queries::All, Queries::First] {
            let of = |kind: KernelKind| {
                let x: Vec<_> = (packed_shapes(size).iter().enumerate())
                    .map(|(seed, shape)| matrix::<Torch>(seed, *shape, &CPU))
                    .collect();
                let options = AttentionOptions {
                    heads,
                    dropout: 0.3,
                };
                let hidden = x[0].clone() * 0.3;
                let context =
                    kind.packed_attention(hidden, projections(&x), &rows, queries, options);
                vec![values(context)]
            };
            let what = format!("{size:?}, {queries:?}");
            assert_close(
                &what,
                &of(KernelKind::Fused),
                &of(KernelKind::Composed),
                1e-5,
            );
        }
    }
}

#[test]
fn rows_of_tokens_are_read_from_the_mask() {
    let mask = Tensor::<Torch, 2>::from_floats([[1., 1., 0.], [1., 0., 0.]], &CPU);
    assert_eq!(Torch::token_rows(&mask), Some(TokenRows::new(&[2, 1], 3)));
    // A transposed mask lies otherwise in memory.
    let mask = Tensor::<Torch, 2>::from_floats([[1., 1.], [1., 0.], [0., 0.]], &CPU).transpose();
    assert_eq!(Torch::token_rows(&mask), Some(TokenRows::new(&[2, 1], 3)));
}

/// What other devices take gives the same on the CPU, where it can be tried.
#[test]
fn attention_as_pytorch_chooses_it_is_the_same() {
    let _turn = turn();
    for [batch, sequence, heads, width] in SIZES {
        let shape = [batch * sequence, heads * width];
        let [ours, theirs] = [Way::Products, Way::Recorded].map(|way| {
            results::<AB>(&[shape; 3], &CPU, |x| {
                let bias = primitive(bias::<AB>([batch, sequence], &CPU)).primitive;
                let inputs = [0, 1, 2].map(|leaf| primitive(x[leaf].clone()));
                tensor(attention::by::<NoCheckpointing>(
                    way, inputs, bias, heads, 0.0,
                ))
            })
        });
        assert_close("attention of PyTorch's", &ours, &theirs, 1e-5);
    }
    let [batch, sequence, heads, width] = SIZES[2];
    let drop = |seed| {
        results::<AB>(&[[batch * sequence, heads * width]; 3], &CPU, |x| {
            let bias = primitive(bias::<AB>([batch, sequence], &CPU)).primitive;
            let inputs = [0, 1, 2].map(|leaf| primitive(x[leaf].clone()));
            tch::manual_seed(seed);
            tensor(attention::by::<NoCheckpointing>(
                Way::Recorded,
                inputs,
                bias,
                heads,
                0.3,
            ))
        })
    };
    assert!(drop(3) == drop(3) && drop(3) != drop(4));
}

/// With one head the matrix itself is kept for the way back, and not a copy.
#[test]
fn what_attention_keeps_is_not_changed_by_others() {
    let _turn = turn();
    for way in [Way::Products, Way::Recorded] {
        let gradient = |change: bool| {
            let [query, key, value] = [1, 2, 3].map(|seed| matrix::<AB>(seed, [5, 4], &CPU));
            let query = query.require_grad();
            let inputs = [&query, &key, &value].map(|it| primitive(it.clone()));
            let bias = primitive(bias::<AB>([1, 5], &CPU)).primitive;
            let context: Tensor<AB, 2> =
                tensor(attention::by::<NoCheckpointing>(way, inputs, bias, 1, 0.0));
            // Burn computes these in place where nothing else is known to hold the memory.
            let changed = change.then(|| [key, value].map(|it| it * 7.0));
            let gradients = context.sum().backward();
            drop(changed);
            values(query.grad(&gradients).expect("a leaf"))
        };
        assert!(gradient(true) == gradient(false), "{way:?}");
    }
}

#[test]
fn masks_drop_the_right_share_and_repeat_with_the_seed() {
    let _turn = turn();
    for (prob, shape) in [(0.1, [400, 500]), (0.5, [399, 501])] {
        let (_, factors) = mask(prob, &shape, 7);
        let scale = (1.0 / (1.0 - prob)) as f32;
        assert!(factors.iter().all(|factor| [0.0, scale].contains(factor)));
        let dropped = factors.iter().filter(|factor| **factor == 0.0).count() as f64;
        let count = factors.len() as f64;
        let deviations = (dropped - prob * count) / (prob * (1.0 - prob) * count).sqrt();
        assert!(deviations.abs() < 4.5, "{prob}: {deviations}");
        assert!(factors == mask(prob, &shape, 7).1 && factors != mask(prob, &shape, 8).1);
    }
    let nothing = tch::Tensor::zeros([3], (tch::Kind::Float, tch::Device::Cpu));
    assert!(Mask::draw(0.0, &nothing).is_none());
}

#[test]
fn the_backends_seed_decides() {
    let _turn = turn();
    let drawn = |seed| {
        Torch::seed(&CPU, seed);
        let input = matrix::<AB>(1, [40, 50], &CPU);
        let [gamma, beta] = [2, 3].map(|seed| matrix::<AB>(seed, [1, 50], &CPU));
        values(AB::layer_norm_dropout(
            input,
            norm(&gamma, &beta, 1e-12),
            0.5.into(),
        ))
    };
    assert!(drawn(1) == drawn(1) && drawn(1) != drawn(2));
}

/// Parameters may lie in memory column by column, as a checkpoint's weights do.
#[test]
fn a_parameter_that_lies_by_columns_is_stepped_in_its_order() {
    let step = AdamWStep {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        rate: 0.1,
        shrink: 0.9,
    };
    let after = |kind: KernelKind| {
        let parameter = matrix::<Torch>(1, [5, 3], &CPU).transpose();
        let gradient = matrix::<Torch>(2, [5, 3], &CPU).transpose();
        let (after, moments) = kind.adamw(parameter, gradient, None, None, &step);
        vec![values(after), values(moments.first), values(moments.second)]
    };
    assert_close(
        "by columns",
        &after(KernelKind::Fused),
        &after(KernelKind::Composed),
        1e-6,
    );
}

#[test]
fn a_failure_inside_libtorch_is_a_panic_with_its_words() {
    let of = |shape: [i64; 2]| tch::Tensor::zeros(shape, (tch::Kind::Float, tch::Device::Cpu));
    let (one, other) = (of([2, 3]), of([4, 5]));
    let panicked = std::panic::catch_unwind(|| super::aten::addcmul(&one, &one, &other, 1.0));
    let payload = panicked.expect_err("the shapes differ");
    let said = payload.downcast_ref::<String>().expect("a message");
    assert!(said.starts_with("LibTorch: The size of tensor"), "{said}");
}
