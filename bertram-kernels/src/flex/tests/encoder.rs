//! The encoder's operations: outputs and every gradient.

use burn::backend::Flex;
use burn::tensor::{Distribution, Int, Tensor, TensorData};

use super::super::dropout::{Mask, RowMasks};
use super::super::{attention, layer_norm};
use super::{
    AB, MASKS, Matrix, SIZES, as_matrix, assert_close, compare, matrix, norm, results, values,
    vector,
};
use crate::{AttentionOptions, Kernels, Norm, composed};

#[test]
fn embedding_rows() {
    for (entries, width, ids) in [
        (1, 1, vec![0]),
        (5, 3, vec![4, 0, 4, 4]),
        (700, 33, (0..300).map(|i| i * i % 700).collect()),
    ] {
        let ids = Tensor::<AB, 1, Int>::from_data(
            TensorData::new(ids.clone(), [ids.len()]),
            &Default::default(),
        );
        compare(
            &format!("embedding {entries} {width}"),
            &[[entries, width]],
            |x| AB::embedding_rows(x[0].clone(), ids.clone()),
            |x| composed::embedding_rows(x[0].clone(), ids.clone()),
        );
    }
}

#[test]
fn linear_layer() {
    for (rows, input, output) in [(1, 1, 1), (1, 5, 3), (33, 17, 70), (300, 64, 129)] {
        compare(
            &format!("linear layer {rows} {input} {output}"),
            &[[rows, input], [input, output], [1, output]],
            |x| AB::linear_layer(x[0].clone(), x[1].clone(), vector(&x[2])),
            |x| composed::linear_layer(x[0].clone(), x[1].clone(), vector(&x[2])),
        );
    }
}

#[test]
fn bias_gelu() {
    for [rows, width] in SIZES {
        compare(
            &format!("GELU {rows} {width}"),
            &[[rows, width], [1, width]],
            |x| AB::bias_gelu(x[0].clone() * 4.0, vector(&x[1])),
            |x| composed::bias_gelu(x[0].clone() * 4.0, vector(&x[1])),
        );
    }
}

#[test]
fn residual_layer_norm() {
    for [rows, width] in SIZES {
        for mask in MASKS {
            // A row of one number has variance 0, which the smallest eps makes a difference of rounding errors.
            let eps = if width == 1 { 0.1 } else { 1e-12 };
            let mask = mask.map(|(prob, seed)| Mask::new(prob, seed));
            let factors = as_matrix(mask, [rows, width]);
            let norm = |x: &[Matrix]| Norm {
                eps,
                ..norm(&x[3], &x[4])
            };
            compare(
                &format!("residual LayerNorm {rows} {width} {mask:?}"),
                &[
                    [rows, width],
                    [1, width],
                    [rows, width],
                    [1, width],
                    [1, width],
                ],
                |x| {
                    let (input, residual) = (x[0].clone() * 2.0, x[2].clone());
                    layer_norm::residual_with_mask(
                        input,
                        vector(&x[1]),
                        residual,
                        norm(x),
                        mask.map(RowMasks::from),
                    )
                },
                |x| {
                    let (input, residual) = (x[0].clone() * 2.0, x[2].clone());
                    let drop = |input| input * factors.clone();
                    composed::residual_layer_norm_with(
                        input,
                        vector(&x[1]),
                        residual,
                        norm(x),
                        drop,
                    )
                },
            );
        }
    }
}

#[test]
fn layer_norm_dropout() {
    for [rows, width] in SIZES.into_iter().filter(|[_, width]| *width > 1) {
        for mask in MASKS {
            let mask = mask.map(|(prob, seed)| Mask::new(prob, seed));
            let factors = as_matrix(mask, [rows, width]);
            compare(
                &format!("LayerNorm and dropout {rows} {width} {mask:?}"),
                &[[rows, width], [1, width], [1, width]],
                |x| {
                    layer_norm::dropout_with_mask(
                        x[0].clone() * 2.0,
                        norm(&x[1], &x[2]),
                        mask.map(RowMasks::from),
                    )
                },
                |x| composed::layer_norm(x[0].clone() * 2.0, norm(&x[1], &x[2])) * factors.clone(),
            );
        }
    }
}

/// Batch, sequence, heads, width of a head.
const ATTENTION: [[usize; 4]; 6] = [
    [1, 1, 1, 1],
    [3, 1, 2, 8],
    [2, 7, 3, 5],
    [1, 33, 2, 32],
    [4, 65, 1, 16],
    [1, 512, 2, 32],
];

/// The bias of sequences of which each is padded by one token more than the one before it; the last is padding only if
/// `empty`.
fn padded(batch: usize, sequence: usize, empty: bool) -> Tensor<AB, 4> {
    let bias: Vec<f32> = (0..batch * sequence)
        .map(|i| {
            let (row, at) = (i / sequence, i % sequence);
            let length = sequence.saturating_sub(row).max(1);
            let masked = at >= length || (empty && row + 1 == batch);
            if masked { -30_000.0 } else { 0.0 }
        })
        .collect();
    let data = TensorData::new(bias, [batch, 1, 1, sequence]);
    Tensor::from_data(data, &Default::default())
}

#[test]
fn self_attention() {
    for [batch, sequence, heads, width] in ATTENTION {
        for mask in MASKS {
            let mask = mask.map(|(prob, seed)| Mask::new(prob, seed));
            let bias = padded(batch, sequence, false);
            let factors = as_matrix(mask, [batch * heads * sequence, sequence]);
            let factors = factors.reshape([batch, heads, sequence, sequence]);
            let shape = [batch * sequence, heads * width];
            compare(
                &format!("attention {batch} {sequence} {heads} {width} {mask:?}"),
                &[shape; 3],
                |x| {
                    let [query, key, value] = [0, 1, 2].map(|i| x[i].clone());
                    attention::with_mask(query, key, value, bias.clone(), heads, mask)
                },
                |x| {
                    let [query, key, value] = [0, 1, 2].map(|i| x[i].clone());
                    composed::self_attention_with(query, key, value, bias.clone(), heads, |p| {
                        p * factors.clone()
                    })
                },
            );
        }
    }
}

#[test]
fn masked_keys_count_for_exactly_nothing() {
    let (batch, sequence, heads, width) = (4, 9, 2, 8);
    for mask in [None, Some(Mask::new(0.3, 1))] {
        let bias = padded(batch, sequence, true);
        let masked: Vec<bool> = values(bias.clone())
            .iter()
            .map(|bias| *bias < 0.0)
            .collect();
        let found = results(&[[batch * sequence, heads * width]; 3], |x| {
            let [query, key, value] = [0, 1, 2].map(|i| x[i].clone());
            attention::with_mask(query * 9.0, key, value, bias.clone(), heads, mask)
        });
        for part in &found {
            assert!(part.iter().all(|x| *x == 0.0 || x.is_normal()), "{part:?}");
        }
        // The last sequence is padding only: its keys are all there is, and must merely be finite.
        for token in (0..(batch - 1) * sequence).filter(|token| masked[*token]) {
            for of_key_or_value in &found[2..] {
                let row = &of_key_or_value[token * heads * width..][..heads * width];
                assert!(row.iter().all(|x| *x == 0.0), "token {token}: {row:?}");
            }
        }
    }
}

#[test]
fn without_a_graph_the_output_is_the_same() {
    let (batch, sequence, heads, hidden) = (2, 5, 2, 12);
    let rows = batch * sequence;
    let [query, key, value] = [1, 2, 3].map(|seed| matrix(seed, [rows, hidden]));
    let [bias, gamma, beta] = [4, 5, 6].map(|seed| matrix(seed, [1, hidden]));
    let padding = padded(batch, sequence, false);
    let options = AttentionOptions {
        heads,
        dropout: 0.5,
    };
    let inner = Norm {
        gamma: vector(&gamma).inner(),
        beta: vector(&beta).inner(),
        eps: 1e-12,
    };
    let [q, k, v] = [&query, &key, &value].map(|it| it.clone().inner());
    let pairs = [
        (
            Flex::self_attention(
                q.clone(),
                k.clone(),
                v.clone(),
                padding.clone().inner(),
                options,
            ),
            attention::with_mask(
                query.clone(),
                key.clone(),
                value.clone(),
                padding,
                heads,
                None,
            ),
        ),
        (
            Flex::bias_gelu(q.clone(), vector(&bias).inner()),
            AB::bias_gelu(query.clone(), vector(&bias)),
        ),
        (
            Flex::residual_layer_norm(q, vector(&bias).inner(), k, inner, 0.5.into()),
            layer_norm::residual_with_mask(query, vector(&bias), key, norm(&gamma, &beta), None),
        ),
    ];
    for (plain, on_graph) in pairs {
        let plain: Vec<f32> = plain.into_data().to_vec().expect("f32");
        assert_eq!(plain, values(on_graph));
    }
}

/// Operations may write into their inputs' memory only where nobody else holds it.
#[test]
fn shared_inputs_stay_as_they_are() {
    let shapes = [[6, 40], [1, 40], [1, 40], [1, 40]];
    compare(
        "an input that is its own residual and is used again",
        &shapes,
        |x| {
            let hidden = x[0].clone() * 3.0;
            let (input, residual) = (hidden.clone(), hidden.clone());
            let norm = norm(&x[2], &x[3]);
            let output = layer_norm::residual_with_mask(input, vector(&x[1]), residual, norm, None);
            output * hidden
        },
        |x| {
            let hidden = x[0].clone() * 3.0;
            let (input, residual) = (hidden.clone(), hidden.clone());
            let norm = norm(&x[2], &x[3]);
            let output =
                composed::residual_layer_norm_with(input, vector(&x[1]), residual, norm, |it| it);
            output * hidden
        },
    );
    compare(
        "GELU, used twice",
        &[[6, 40], [1, 40]],
        |x| {
            let once = AB::bias_gelu(x[0].clone(), vector(&x[1]));
            once.clone() * once
        },
        |x| {
            let once = composed::bias_gelu(x[0].clone(), vector(&x[1]));
            once.clone() * once
        },
    );
}

#[test]
fn transposed_and_sliced_inputs() {
    compare(
        "a transposed input and a sliced bias",
        &[[40, 6], [2, 40]],
        |x| {
            AB::bias_gelu(
                x[0].clone().transpose(),
                vector(&x[1].clone().slice([1..2, 0..40])),
            )
        },
        |x| {
            composed::bias_gelu(
                x[0].clone().transpose(),
                vector(&x[1].clone().slice([1..2, 0..40])),
            )
        },
    );
}

#[test]
fn constants_get_no_gradient() {
    let (rows, hidden) = (6, 8);
    let input = matrix(1, [rows, hidden]).require_grad();
    let [bias, gamma, beta] = [2, 3, 4].map(|seed| matrix(seed, [1, hidden]));
    let weight = matrix(5, [hidden, hidden]);
    let frozen = |kind: crate::KernelKind| {
        let hidden = kind.linear_layer(input.clone(), weight.clone(), vector(&bias));
        let hidden = kind.bias_gelu(hidden, vector(&bias));
        let norm = norm(&gamma, &beta);
        let output = kind.residual_layer_norm(hidden, vector(&bias), input.clone(), norm, 0.0);
        let gradients = (output * matrix(6, [rows, 8])).sum().backward();
        for constant in [&bias, &gamma, &beta, &weight] {
            assert!(constant.grad(&gradients).is_none());
        }
        let gradient = input.grad(&gradients).expect("the input is a leaf");
        gradient.into_data().to_vec::<f32>().expect("f32")
    };
    let (fused, composed) = (
        frozen(crate::KernelKind::Fused),
        frozen(crate::KernelKind::Composed),
    );
    assert_close("gradient of the input", &fused, &composed, 3e-6);
}

#[test]
fn dropout_follows_the_backends_seed_and_is_for_training_only() {
    let shape = [40, 50];
    let norm = || norm(&matrix(1, [1, 50]), &matrix(2, [1, 50]));
    let (a, b) = (
        AB::layer_norm_dropout(matrix(3, shape), norm(), 0.5.into()),
        AB::layer_norm_dropout(matrix(3, shape), norm(), 0.5.into()),
    );
    let zeros = |x: &[f32]| x.iter().filter(|x| **x == 0.0).count();
    let (a, b) = (values(a), values(b));
    assert_ne!(a, b);
    assert!((800..1200).contains(&zeros(&a)), "{}", zeros(&a));
    let plain = Flex::layer_norm_dropout(
        matrix(3, shape).inner(),
        Norm {
            gamma: norm().gamma.inner(),
            beta: norm().beta.inner(),
            eps: 1e-12,
        },
        0.5.into(),
    );
    let plain: Vec<f32> = plain.into_data().to_vec().expect("f32");
    assert_eq!(zeros(&plain), 0);
}

#[test]
fn half_precision_takes_the_composed_way() {
    use burn::tensor::DType;
    let random = Distribution::Normal(0.0, 1.0);
    let half = |shape: [usize; 2]| {
        Tensor::<AB, 2>::random(shape, random, &Default::default()).cast(DType::F16)
    };
    let output = AB::bias_gelu(half([3, 4]), half([1, 4]).reshape([4]));
    assert_eq!(output.dtype(), DType::F16);
}
