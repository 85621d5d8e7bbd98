//! Losses against PyTorch's values, and their gradients against finite differences, in f64.

use burn::backend::ndarray::NdArrayDevice;
use burn::backend::{Autodiff, NdArray};
use burn::tensor::{DType, Tensor, TensorData};

use super::*;
use crate::head::cosine_similarity;

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
