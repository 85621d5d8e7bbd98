//! Attention with dropout.

use burn::tensor::Tensor;

use super::super::attention;
use super::super::dropout::{Mask, factors};
use super::super::tensor::{primitive, tensor};
use super::{AB, Gpu, device};
use crate::conformance::{assert_close, bias, projections, results, shapes};
use crate::{AttentionOptions, composed};

#[test]
fn dropout_keeps_to_its_mask_on_the_way_back() {
    let Some(device) = device() else { return };
    for size in [[2, 7, 3, 5], [2, 36, 2, 8]] {
        let [batch, sequence, heads, _] = size;
        let like = primitive(Tensor::<Gpu, 1>::zeros([1], &device));
        let mask = Mask::draw(0.3, &like).expect("something is dropped");
        let dense: Tensor<Gpu, 2> = tensor(factors(&mask, [batch * heads, sequence, sequence]));
        let dense = Tensor::<AB, 2>::from_inner(dense);
        let dense = dense.reshape([batch, heads, sequence, sequence]);
        let options = AttentionOptions {
            heads,
            dropout: 0.3,
        };
        let shapes = shapes(size, 12);
        let fused = || {
            results::<AB>(&shapes, &device, |x| {
                let bias = bias([batch, sequence], &device);
                let (projections, mask) = (projections(x), Some(mask.clone()));
                attention::projected_with_mask(x[0].clone(), projections, bias, options, mask)
            })
        };
        let first = fused();
        assert_eq!(first, fused(), "{size:?}: not the same twice");
        let composed = results::<AB>(&shapes, &device, |x| {
            let bias = bias([batch, sequence], &device);
            let drop = |probabilities| probabilities * dense.clone();
            composed::projected_attention_with(x[0].clone(), projections(x), bias, heads, drop)
        });
        assert_close(
            &format!("attention with dropout {size:?}"),
            &first,
            &composed,
            3e-5,
        );
    }
}
