//! Gradients of the composed operations, which the fused ones are compared with, against finite differences in f64.

use bertram_kernels::{Norm, composed};
use burn::backend::{Autodiff, NdArray};
use burn::tensor::{DType, Tensor, TensorData};

type B = Autodiff<NdArray<f64>>;
type Matrix = Tensor<B, 2>;

fn matrix(numbers: &[f64], shape: [usize; 2]) -> Matrix {
    let data = TensorData::new(numbers.to_vec(), shape);
    Tensor::from_data(data, (&Default::default(), DType::F64))
}

fn numbers(seed: usize, count: usize) -> Vec<f64> {
    let number = |i: usize| ((seed * 31 + i * 17 + 3) as f64 * 0.61).sin() * 1.5;
    (0..count).map(number).collect()
}

fn vector(row: &Matrix) -> Tensor<B, 1> {
    row.clone().reshape([row.dims()[1]])
}

fn check(what: &str, shapes: &[[usize; 2]], op: impl Fn(&[Matrix]) -> Matrix) {
    const STEP: f64 = 1e-5;
    let points: Vec<Vec<f64>> = (shapes.iter().enumerate())
        .map(|(seed, shape)| numbers(seed, shape[0] * shape[1]))
        .collect();
    let loss = |leaves: &[Matrix]| {
        let output = op(leaves);
        let [rows, width] = output.dims();
        (output * matrix(&numbers(50, rows * width), [rows, width])).sum()
    };
    let leaves = |points: &[Vec<f64>]| -> Vec<Matrix> {
        let pairs = points.iter().zip(shapes);
        pairs
            .map(|(point, shape)| matrix(point, *shape).require_grad())
            .collect()
    };
    let at = leaves(&points);
    let gradients = loss(&at).backward();
    for (index, leaf) in at.iter().enumerate() {
        let gradient = leaf.grad(&gradients).expect("every leaf has a gradient");
        let gradient: Vec<f64> = gradient.into_data().to_vec().expect("f64");
        for (element, gradient) in gradient.into_iter().enumerate() {
            let moved = |by: f64| -> f64 {
                let mut points = points.clone();
                points[index][element] += by;
                loss(&leaves(&points)).into_scalar()
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!(
                (gradient - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{what}: leaf {index}, element {element}: {gradient} is not {difference}"
            );
        }
    }
}

#[test]
fn linear_layer() {
    check("linear layer", &[[4, 3], [3, 5], [1, 5]], |x| {
        composed::linear_layer(x[0].clone(), x[1].clone(), vector(&x[2]))
    });
}

#[test]
fn bias_gelu() {
    check("GELU", &[[4, 5], [1, 5]], |x| {
        composed::bias_gelu(x[0].clone() * 2.0, vector(&x[1]))
    });
}

#[test]
fn residual_layer_norm() {
    let shapes = [[3, 6], [1, 6], [3, 6], [1, 6], [1, 6]];
    let kept = matrix(&[2.0, 0.0, 2.0, 2.0, 0.0, 2.0].repeat(3), [3, 6]);
    check("residual LayerNorm", &shapes, |x| {
        let norm = Norm {
            gamma: vector(&x[3]),
            beta: vector(&x[4]),
            eps: 1e-3,
        };
        let drop = |it| it * kept.clone();
        let (input, bias, residual) = (x[0].clone(), vector(&x[1]), x[2].clone());
        composed::residual_layer_norm_with(input, bias, residual, norm, drop)
    });
}

#[test]
fn layer_norm() {
    check("LayerNorm", &[[3, 6], [1, 6], [1, 6]], |x| {
        let norm = Norm {
            gamma: vector(&x[1]),
            beta: vector(&x[2]),
            eps: 1e-3,
        };
        composed::layer_norm(x[0].clone(), norm)
    });
}

#[test]
fn self_attention() {
    let (batch, sequence, heads, hidden) = (2, 3, 2, 4);
    let masked = [0.0, 0.0, 0.0, 0.0, 0.0, -30_000.0];
    let bias = matrix(&masked, [batch, sequence]).reshape([batch, 1, 1, sequence]);
    let mask: Vec<f64> = (0..batch * heads * sequence * sequence)
        .map(|i| if i % 4 == 1 { 0.0 } else { 1.25 })
        .collect();
    let mask = matrix(&mask, [batch * heads, sequence * sequence]);
    let mask = mask.reshape([batch, heads, sequence, sequence]);
    check("attention", &[[batch * sequence, hidden]; 3], |x| {
        let [query, key, value] = [0, 1, 2].map(|i| x[i].clone());
        composed::self_attention_with(query, key, value, bias.clone(), heads, |it| {
            it * mask.clone()
        })
    });
}
