//! Losses against PyTorch's values, and their gradients against finite differences, in f64.

use burn::backend::ndarray::NdArrayDevice;
use burn::backend::{Autodiff, NdArray};
use burn::tensor::{DType, Tensor, TensorData};

use proptest::prelude::*;

use super::*;
use crate::head::{complex_quotient, cosine_similarity};

type B = Autodiff<NdArray<f64, i64>>;

// The type of a tensor is always named here: a device's default belongs to the whole process, and other tests use f32.

fn vector(values: &[f64]) -> Tensor<B, 1> {
    Tensor::from_data(TensorData::from(values), (&NdArrayDevice::Cpu, DType::F64))
}

fn matrix(values: &[f64], columns: usize) -> Tensor<B, 2> {
    let rows = values.len() / columns;
    Tensor::from_data(
        TensorData::new(values.to_vec(), [rows, columns]),
        (&NdArrayDevice::Cpu, DType::F64),
    )
}

fn close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-9, "{ours} is not {theirs}");
}

/// Compares `d loss / d x` with central differences.
fn check_gradient(x: &[f64], loss: impl Fn(Tensor<B, 1>) -> Tensor<B, 1>) {
    const STEP: f64 = 1e-6;
    let input = vector(x).require_grad();
    let gradients = loss(input.clone()).backward();
    let gradient: Vec<f64> = input
        .grad(&gradients)
        .expect("the loss depends on its input")
        .into_data()
        .iter()
        .collect();
    for (index, ours) in gradient.into_iter().enumerate() {
        let at = |shift: f64| -> f64 {
            let mut moved = x.to_vec();
            moved[index] += shift;
            loss(vector(&moved)).into_scalar()
        };
        let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!(
            (ours - expected).abs() < 1e-6,
            "{index}: {ours} is not {expected}"
        );
    }
}

// The expected values of this file are PyTorch 2's, in f64: `F.cross_entropy`, `F.binary_cross_entropy_with_logits`,
// `F.cosine_similarity` and `F.cosine_embedding_loss(margin=0.1)` on the same numbers.

const LOGITS: [f64; 6] = [1.0, -2.0, 0.5, 0.3, 0.1, -0.7];
const U: [f64; 9] = [1.0, 2.0, -1.0, 0.5, 0.5, 0.0, 3.0, 0.0, 1.0];
const V: [f64; 9] = [2.0, 1.0, 0.5, -1.0, 1.0, 0.3, 1.0, 0.2, -2.0];

#[test]
fn cross_entropy_as_pytorch() {
    let targets = || vector(&[2.0, 0.0]).int();
    let loss = cross_entropy(matrix(&LOGITS, 3), targets());
    close(loss.into_scalar(), 0.8934746952480558);
    check_gradient(&LOGITS, |x| cross_entropy(x.reshape([2, 3]), targets()));
}

#[test]
fn binary_cross_entropy_as_pytorch_and_stable() {
    let logits = [2.0, -1.5, 0.0, 30.0];
    let targets = || vector(&[1.0, 0.2, 0.64, 0.0]);
    let loss = binary_cross_entropy_with_logits(vector(&logits), targets());
    close(loss.into_scalar(), 7.830372117396441);
    // Not at 0, where the absolute value has no derivative.
    check_gradient(&[2.0, -1.5, 0.3, 5.0], |x| {
        binary_cross_entropy_with_logits(x, targets())
    });
    let far = binary_cross_entropy_with_logits(vector(&[1e4, -1e4]), vector(&[1.0, 0.0]));
    close(far.into_scalar(), 0.0);
}

#[test]
fn mean_squared_error_by_hand() {
    let targets = || vector(&[0.0, 1.0]);
    close(
        mean_squared_error(vector(&[0.5, 3.0]), targets()).into_scalar(),
        2.125,
    );
    check_gradient(&[0.5, 3.0], |x| mean_squared_error(x, targets()));
}

#[test]
fn cosine_and_its_loss_as_pytorch() {
    let cosines = cosine_similarity(matrix(&U, 3), matrix(&V, 3)).squeeze_dim(1);
    let values: Vec<f64> = Tensor::<B, 1>::into_data(cosines.clone()).iter().collect();
    for (ours, theirs) in values
        .iter()
        .zip([0.6236095644623236, 0.0, 0.14085904245475273])
    {
        close(*ours, theirs);
    }
    let alike = || vector(&[1.0, 0.0, 0.0]);
    close(
        cosine_embedding(cosines, alike(), 0.1).into_scalar(),
        0.1390831593308398,
    );
    check_gradient(&U, |u| {
        let cosines = cosine_similarity(u.reshape([3, 3]), matrix(&V, 3));
        cosine_embedding(cosines.squeeze_dim(1), alike(), 0.05)
    });
}

#[test]
fn a_zero_vector_has_cosine_zero_and_a_finite_gradient() {
    let u = matrix(&[0.0; 3], 3).require_grad();
    let cosine = cosine_similarity(u.clone(), matrix(&V[..3], 3));
    let gradients = cosine.clone().sum().backward();
    close(cosine.into_scalar(), 0.0);
    let gradient = u.grad(&gradients).expect("there is a gradient");
    assert!(gradient.into_data().iter::<f64>().all(f64::is_finite));
}

#[test]
fn symmetric_kl_by_its_definition() {
    let other = [0.2, -1.0, 1.5, 0.3, 0.4, -0.2];
    let softmax = |z: &[f64]| {
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        z.iter().map(|z| z.exp() / sum).collect::<Vec<_>>()
    };
    let kl = |p: &[f64], q: &[f64]| -> f64 { p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum() };
    let ours = divergence(
        OutputKind::Categorical,
        matrix(&LOGITS, 3),
        matrix(&other, 3),
    );
    let ours: Vec<f64> = ours.into_data().iter().collect();
    for (row, ours) in ours.into_iter().enumerate() {
        let (p, q) = (
            softmax(&LOGITS[row * 3..][..3]),
            softmax(&other[row * 3..][..3]),
        );
        close(ours, kl(&p, &q) + kl(&q, &p));
    }
    let sigmoid = |z: f64| vec![1.0 / (1.0 + (-z).exp()), 1.0 / (1.0 + z.exp())];
    let (p, q) = (sigmoid(0.7), sigmoid(-0.4));
    let ours = divergence(OutputKind::Bernoulli, matrix(&[0.7], 1), matrix(&[-0.4], 1));
    close(ours.into_scalar(), kl(&p, &q) + kl(&q, &p));
    let ours = divergence(OutputKind::Real, matrix(&[0.7], 1), matrix(&[-0.4], 1));
    close(ours.into_scalar(), 1.21);
}

#[test]
fn divergence_has_the_right_gradient_and_is_zero_of_itself() {
    for kind in [
        OutputKind::Categorical,
        OutputKind::Bernoulli,
        OutputKind::Real,
    ] {
        let other = || matrix(&[0.2, -1.0, 1.5, 0.3, 0.4, -0.2], 3);
        check_gradient(&LOGITS, |x| {
            divergence(kind, x.reshape([2, 3]), other()).mean()
        });
        let same = divergence(kind, matrix(&LOGITS, 3), matrix(&LOGITS, 3));
        assert!(same.into_data().iter::<f64>().all(|value| value == 0.0));
    }
}

// Golden values of what follows are in `tests/golden/losses/`.

const WEIGHTS: [f64; 3] = [0.5, 2.0, 3.5];

#[test]
fn options_that_change_nothing_change_nothing() {
    let targets = || vector(&[2.0, 0.0]).int();
    let plain = cross_entropy(matrix(&LOGITS, 3), targets()).into_scalar();
    for weights in [&[][..], &[1.0; 3], &[7.0; 3]] {
        let ours = weighted_cross_entropy(matrix(&LOGITS, 3), targets(), weights, 0.0);
        close(ours.into_scalar(), plain);
        let ours = focal(matrix(&LOGITS, 3), targets(), 0.0, weights);
        close(ours.into_scalar(), plain);
    }
    let (logits, targets) = (vector(&[2.0, -1.5, 0.3]), vector(&[1.0, 1.0, 0.0]));
    let plain = binary_cross_entropy_with_logits(logits.clone(), targets.clone()).into_scalar();
    for weights in [&[][..], &[1.0; 2], &[7.0; 2]] {
        let (logits, targets) = (logits.clone(), targets.clone());
        let ours = weighted_binary_cross_entropy_with_logits(
            logits.clone(),
            targets.clone(),
            weights,
            0.0,
        );
        close(ours.into_scalar(), plain);
        close(
            binary_focal(logits, targets, 0.0, weights).into_scalar(),
            plain,
        );
    }
}

#[test]
fn a_weight_counts_an_example_as_often() {
    // Weight 2 of class 2 is its example twice.
    let logits = [&LOGITS[..3], &LOGITS[..3], &LOGITS[3..]].concat();
    let twice = cross_entropy(matrix(&logits, 3), vector(&[2.0, 2.0, 0.0]).int());
    let weighted = weighted_cross_entropy(
        matrix(&LOGITS, 3),
        vector(&[2.0, 0.0]).int(),
        &[1.0, 1.0, 2.0],
        0.0,
    );
    close(weighted.into_scalar(), twice.into_scalar());
}

#[test]
fn weighted_and_smoothed_gradients() {
    let targets = || vector(&[2.0, 0.0]).int();
    check_gradient(&LOGITS, |x| {
        weighted_cross_entropy(x.reshape([2, 3]), targets(), &WEIGHTS, 0.2)
    });
    check_gradient(&LOGITS, |x| ordinal(x.reshape([2, 3]), targets(), &WEIGHTS));
    for gamma in [0.5, 1.0, 2.0] {
        check_gradient(&LOGITS, |x| {
            focal(x.reshape([2, 3]), targets(), gamma, &WEIGHTS)
        });
        let targets = || vector(&[1.0, 0.0, 0.0]);
        check_gradient(&[2.0, -1.5, 0.3], |x| {
            binary_focal(x, targets(), gamma, &[0.5, 2.0])
        });
    }
    check_gradient(&[2.0, -1.5, 0.3], |x| {
        weighted_binary_cross_entropy_with_logits(x, vector(&[1.0, 0.0, 0.0]), &[0.5, 2.0], 0.2)
    });
}

#[test]
fn focal_by_hand_and_far_from_undecided() {
    // p = 1/4 of four equal logits: (3/4)^2 log 4.
    let even = focal(matrix(&[0.0; 4], 4), vector(&[1.0]).int(), 2.0, &[]);
    close(even.into_scalar(), 0.5625 * 4f64.ln());
    let even = binary_focal(vector(&[0.0]), vector(&[1.0]), 2.0, &[]);
    close(even.into_scalar(), 0.25 * 2f64.ln());
    // 1 - p has no digits left, and its power below 1 no derivative.
    for gamma in [0.3, 2.0] {
        let logits = matrix(&[200.0, 0.0, 0.0, -200.0, 0.0, 0.0], 3).require_grad();
        let loss = focal(logits.clone(), vector(&[0.0, 0.0]).int(), gamma, &[]);
        let gradient = logits
            .grad(&loss.backward())
            .expect("a gradient")
            .into_data();
        assert!(gradient.iter::<f64>().all(f64::is_finite), "{gradient:?}");
        close(loss.into_scalar(), 0.5 * (200.0 + 2f64.ln()));
        let logits = vector(&[1e4, -1e4]).require_grad();
        let loss = binary_focal(logits.clone(), vector(&[1.0, 1.0]), gamma, &[]);
        let gradient = logits
            .grad(&loss.backward())
            .expect("a gradient")
            .into_data();
        assert!(gradient.iter::<f64>().all(f64::is_finite), "{gradient:?}");
        close(loss.into_scalar(), 0.5e4);
    }
}

#[test]
fn ordinal_costs_more_the_farther_the_answer_is() {
    let at = |class: usize| -> f64 {
        let mut logits = [0.0; 5];
        logits[class] = 4.0;
        ordinal(matrix(&logits, 5), vector(&[1.0]).int(), &[]).into_scalar()
    };
    assert!(at(1) < at(2) && at(2) < at(3) && at(3) < at(4));
    close(at(0), at(2));
    // The least it can be is the entropy of the soft label, at the soft label itself.
    let distances = [-1.0, 0.0, -1.0, -2.0, -3.0];
    let sum: f64 = distances.iter().map(|d: &f64| d.exp()).sum();
    let entropy: f64 = distances
        .iter()
        .map(|d| -(d.exp() / sum) * (d - sum.ln()))
        .sum();
    let least = ordinal(matrix(&distances, 5), vector(&[1.0]).int(), &[]);
    close(least.into_scalar(), entropy);
}

#[test]
fn cosent_by_hand() {
    let labels = || vector(&[1.0, 3.0, 3.0]);
    // Two pairs of examples have an order: (0, 1) and (0, 2).
    let loss = cosent(vector(&[0.5, 0.25, 0.75]), labels(), 4.0);
    let expected = (1.0 + 1f64.exp() + (-1f64).exp()).ln();
    close(loss.into_scalar(), expected);
    check_gradient(&[0.5, 0.25, 0.75], |x| cosent(x, labels(), 4.0));
    let far = cosent(vector(&[1.0, -1.0, 1.0]), labels(), 1e4);
    close(far.into_scalar(), 2e4);
    // Nothing to order.
    for labels in [vec![2.0], vec![2.0; 3]] {
        let similarities = vector(&[0.5, 0.25, 0.75][..labels.len()]).require_grad();
        let loss = cosent(similarities.clone(), vector(&labels), 20.0);
        let gradients = loss.backward();
        let gradient = similarities.grad(&gradients).expect("a gradient");
        close(loss.into_scalar(), 0.0);
        assert!(gradient.into_data().iter::<f64>().all(|value| value == 0.0));
    }
}

#[test]
fn angle_of_complex_vectors_by_hand() {
    // (1 + 2i) / (3 - i): 1·3 + 2·(-1) = 1 and 2·3 - 1·(-1) = 7, over sqrt(5 · 10).
    let parts = complex_quotient(matrix(&[1.0, 2.0], 2), matrix(&[3.0, -1.0], 2));
    let parts: Vec<f64> = Tensor::<B, 2>::into_data(parts).iter().collect();
    close(parts[0], 1.0 / 50f64.sqrt());
    close(parts[1], 7.0 / 50f64.sqrt());
    // The first is the cosine, of odd lengths, too.
    let parts = complex_quotient(matrix(&U, 3), matrix(&V, 3));
    let cosines: Vec<f64> = cosine_similarity(matrix(&U, 3), matrix(&V, 3))
        .into_data()
        .iter()
        .collect();
    let parts: Vec<f64> = Tensor::<B, 2>::into_data(parts).iter().collect();
    for (part, cosine) in parts.iter().step_by(2).zip(cosines) {
        close(*part, cosine);
    }
    check_gradient(&U, |u| {
        let parts = complex_quotient(u.reshape([3, 3]), matrix(&V, 3));
        angle(parts, vector(&[0.0, 2.0, 1.0]), 5.0)
    });
    let zero = matrix(&[0.0; 3], 3).require_grad();
    let parts = complex_quotient(zero.clone(), matrix(&V[..3], 3));
    let gradient = zero.grad(&parts.sum().backward()).expect("a gradient");
    assert!(gradient.into_data().iter::<f64>().all(f64::is_finite));
}

/// Three logits, a class and a number of rows.
type Row = (f64, f64, f64, usize, usize);
/// What a test takes of a row.
type Of<'a> = &'a dyn Fn(&Row) -> Vec<f64>;

proptest! {
    /// Losses are numbers and never negative; CoSENT goes by the order of labels alone, and by no place of similarities.
    #[test]
    fn losses_of_any_logits(
        logits in prop::collection::vec(-60.0..60.0f64, 12),
        classes in prop::collection::vec(0..3usize, 4),
        gamma in 0.0..6.0f64,
        smoothing in 0.0..0.9f64,
        weights in prop::collection::vec(0.01..100.0f64, 3),
        shift in -5.0..5.0f64,
    ) {
        let targets: Vec<f64> = classes.iter().map(|class| *class as f64).collect();
        let of_classes = || (matrix(&logits, 3), vector(&targets).int());
        let (z, y) = of_classes();
        let plain: f64 = weighted_cross_entropy(z, y, &weights, 0.0).into_scalar();
        let (z, y) = of_classes();
        let focused: f64 = focal(z, y, gamma, &weights).into_scalar();
        prop_assert!((0.0..=plain + 1e-9).contains(&focused), "{} {}", focused, plain);
        let (z, y) = of_classes();
        let smoothed: f64 = weighted_cross_entropy(z, y, &weights, smoothing).into_scalar();
        prop_assert!(smoothed >= 0.0 && smoothed.is_finite());
        let (z, y) = of_classes();
        let graded: f64 = ordinal(z, y, &weights).into_scalar();
        prop_assert!(graded > 0.0 && graded.is_finite());

        let order = |similarities: &[f64], labels: &[f64]| -> f64 {
            cosent(vector(similarities), vector(labels), 2.0).into_scalar()
        };
        let first = order(&logits[..4], &targets);
        prop_assert!(first >= 0.0 && first.is_finite());
        let moved: Vec<f64> = logits[..4].iter().map(|s| s + shift).collect();
        let spread: Vec<f64> = targets.iter().map(|label| label * label + 3.0).collect();
        prop_assert!((order(&moved, &spread) - first).abs() < 1e-9);
    }

    /// An example of weight `k` is as good as `k` of it, in the value and in the gradient.
    #[test]
    fn a_weight_is_a_number_of_rows(
        rows in prop::collection::vec((-6.0..6.0f64, -6.0..6.0f64, -6.0..6.0f64, 0..3usize, 1..5usize), 1..6),
        class_weights in prop::collection::vec(0.01..100.0f64, 3),
        smoothing in 0.0..0.9f64,
        plain: bool,
    ) {
        let repeated = |each: Of<'_>| -> Vec<f64> {
            rows.iter().flat_map(|row| each(row).repeat(row.4)).collect()
        };
        let once = |each: Of<'_>| -> Vec<f64> {
            rows.iter().flat_map(each).collect()
        };
        let of_weights = vector(&rows.iter().map(|row| row.4 as f64).collect::<Vec<_>>());
        let logits = |row: &Row| vec![row.0, row.1, row.2];
        let class = |row: &Row| vec![row.3 as f64];
        let yes = |row: &Row| vec![f64::from(u8::from(row.3 == 1))];
        let first = |row: &Row| vec![row.0];
        let three = if plain { &[][..] } else { &class_weights };
        let two = if plain { &[][..] } else { &class_weights[..2] };
        let of_classes = |kind: usize, z: Tensor<B, 1>, y: Vec<f64>| {
            let (z, y) = (z.reshape([-1, 3]), vector(&y).int());
            match kind {
                0 => cross_entropy_losses(z, y, three, smoothing),
                1 => focal_losses(z, y, 2.0, three),
                _ => ordinal_losses(z, y, three),
            }
        };
        let of_numbers = |kind: usize, z: Tensor<B, 1>, y: Vec<f64>| {
            let y = vector(&y);
            match kind {
                0 => binary_cross_entropy_losses(z, y, two, smoothing),
                1 => binary_focal_losses(z, y, 2.0, two),
                2 => squared_errors(z, y),
                _ => cosine_embedding_losses(z, y, 0.1),
            }
        };
        let mut pairs: Vec<(f64, f64)> = Vec::new();
        for kind in 0..3 {
            let weighted = of_classes(kind, vector(&once(&logits)), once(&class));
            let many = of_classes(kind, vector(&repeated(&logits)), repeated(&class));
            pairs.push((weighted.weighted_mean(of_weights.clone()).into_scalar(), many.mean().into_scalar()));
        }
        for kind in 0..4 {
            let weighted = of_numbers(kind, vector(&once(&first)), once(&yes));
            let many = of_numbers(kind, vector(&repeated(&first)), repeated(&yes));
            pairs.push((weighted.weighted_mean(of_weights.clone()).into_scalar(), many.mean().into_scalar()));
        }
        let parts = |row: &Row| vec![row.0, row.1];
        let (one, all) = (matrix(&once(&parts), 2), matrix(&repeated(&parts), 2));
        let (y, of_all) = (vector(&once(&class)), vector(&repeated(&class)));
        pairs.push((
            weighted_angle(one, y.clone(), 2.0, Some(of_weights.clone())).into_scalar(),
            angle(all, of_all.clone(), 2.0).into_scalar(),
        ));
        let (one, all) = (vector(&once(&first)), vector(&repeated(&first)));
        pairs.push((
            weighted_cosent(one, y, 2.0, Some(of_weights.clone())).into_scalar(),
            cosent(all, of_all, 2.0).into_scalar(),
        ));
        for (number, (weighted, many)) in pairs.into_iter().enumerate() {
            prop_assert!((weighted - many).abs() < 1e-9 * (1.0 + many.abs()), "{}: {} {}", number, weighted, many);
        }
        // Where all weigh 1 nothing is weighed.
        let ones = vector(&vec![1.0; rows.len()]);
        for kind in 0..3 {
            let losses = of_classes(kind, vector(&once(&logits)), once(&class));
            let mean: f64 = losses.clone().mean().into_scalar();
            prop_assert!((losses.weighted_mean(ones.clone()).into_scalar() - mean).abs() < 1e-12 * (1.0 + mean));
        }
    }
}

#[test]
fn gradients_of_weighted_rows() {
    let weights = || vector(&[0.5, 3.0]);
    check_gradient(&LOGITS, |x| {
        let targets = vector(&[2.0, 0.0]).int();
        cross_entropy_losses(x.reshape([2, 3]), targets, &WEIGHTS, 0.2).weighted_mean(weights())
    });
    check_gradient(&[0.5, 0.25, 0.75], |x| {
        let weights = vector(&[0.5, 3.0, 1.5]);
        weighted_cosent(x, vector(&[1.0, 3.0, 2.0]), 4.0, Some(weights))
    });
}
