//! Attention over rows of tokens alone, beside the composed form over padded batches: outputs and every gradient.

use burn::tensor::{Tensor, TensorData};

use super::super::dropout::Mask;
use super::super::packed;
use super::{AB, Matrix, assert_close, results, values, vector};
use crate::conformance::{PACKED_SIZES, packed_shapes, projections};
use crate::token_rows::STRIDE;
use crate::{AttentionOptions, Kernels, Projections, Queries, TokenRows, composed};

#[test]
fn packed_attention_with_dropout_is_that_of_padded_batches() {
    for size in PACKED_SIZES {
        let (lengths, padded, heads, ..) = size;
        let rows = TokenRows::new(lengths, padded);
        for queries in [Queries::All, Queries::First] {
            let mask = Some(Mask::new(0.3, 7));
            let dense = dense(mask, &rows, heads);
            let packed = results(&packed_shapes(size), |x| {
                let hidden = x[0].clone() * 0.1;
                packed::with_mask(hidden, projections(x), &rows, queries, heads, mask)
            });
            let padded = results(&packed_shapes(size), |x| {
                let (hidden, projections) = (x[0].clone() * 0.1, projections(x));
                let drop = |it| it * dense.clone();
                composed::packed_attention_with(hidden, projections, &rows, queries, heads, drop)
            });
            for (part, (packed, padded)) in packed.iter().zip(&padded).enumerate() {
                // The gradient of the keys' bias is 0, made of rounding errors.
                let what = format!("{size:?}, {queries:?}: {part}");
                assert_close(&what, packed, padded, 3e-5);
            }
        }
    }
}

/// A mask as a tensor `[batch, heads, padded, padded]`.
fn dense(mask: Option<Mask>, rows: &TokenRows, heads: usize) -> Tensor<AB, 4> {
    let (batch, padded) = (rows.batch(), rows.padded());
    let factors: Vec<f32> = (0..batch * heads)
        .flat_map(|head| (0..padded).map(move |query| (head, query)))
        .flat_map(|(head, query)| (0..padded).map(move |key| (head * STRIDE + query, key)))
        .map(|(row, key)| mask.map_or(1.0, |mask| mask.row(row).factor(key)))
        .collect();
    let data = TensorData::new(factors, [batch, heads, padded, padded]);
    Tensor::from_data(data, &Default::default())
}

/// Padding and neighbours change nothing, bit for bit.
#[test]
fn a_sequence_does_not_see_the_others() {
    let (lengths, heads) = ([5, 9, 2], 2);
    let all = TokenRows::new(&lengths, 9);
    let wide = TokenRows::new(&lengths, 64);
    let mask = Some(Mask::new(0.2, 3));
    let size = (&[5, 9, 2][..], 9, heads, 8, 12);
    let of = |rows: &TokenRows, from: usize, tokens: usize| {
        results(&packed_shapes(size), |x| {
            let hidden = x[0].clone().narrow(0, from, tokens);
            packed::with_mask(hidden, projections(x), rows, Queries::All, heads, mask)
        })
    };
    let whole = of(&all, 0, 16);
    assert_eq!(whole, of(&wide, 0, 16), "padding");
    // The first sequence alone has the keys that it had among others.
    let alone = of(&TokenRows::new(&[5], 5), 0, 5);
    for (one, other) in alone[0].iter().zip(&whole[0]) {
        assert!((one - other).abs() < 1e-6, "{one} is not {other}");
    }
}

#[test]
fn without_a_graph_the_numbers_are_the_same() {
    for size in PACKED_SIZES {
        let (lengths, padded, heads, ..) = size;
        let rows = TokenRows::new(lengths, padded);
        for queries in [Queries::All, Queries::First] {
            let found = results(&packed_shapes(size), |x| {
                let options = AttentionOptions {
                    heads,
                    dropout: 0.0,
                };
                let plain = Projections {
                    weights: projections(x).weights.map(Tensor::inner),
                    biases: projections(x).biases.map(Tensor::inner),
                };
                let hidden = x[0].clone().inner();
                let plain =
                    burn::backend::Flex::packed_attention(hidden, plain, &rows, queries, options);
                let on_graph =
                    AB::packed_attention(x[0].clone(), projections(x), &rows, queries, options);
                assert_eq!(values(Matrix::from_inner(plain)), values(on_graph.clone()));
                on_graph
            });
            assert!(found.iter().flatten().all(|it| it.is_finite()));
        }
    }
}

#[test]
fn constants_get_no_gradient() {
    let rows = TokenRows::new(&[2, 3], 3);
    let hidden = super::matrix(1, [5, 4]).require_grad();
    let frozen = [2, 3, 4].map(|seed| super::matrix(seed, [4, 4]));
    let projections = Projections {
        weights: frozen.clone(),
        biases: [5, 6, 7].map(|seed| vector(&super::matrix(seed, [1, 4]))),
    };
    let options = AttentionOptions {
        heads: 2,
        dropout: 0.0,
    };
    let output = AB::packed_attention(hidden.clone(), projections, &rows, Queries::First, options);
    let gradients = output.sum().backward();
    assert!(hidden.grad(&gradients).is_some());
    assert!(
        frozen
            .iter()
            .all(|weight| weight.grad(&gradients).is_none())
    );
}
