//! What works on whole parameters: AdamW, inner products, sums and averages.

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};

use super::super::tensor::{from_values, primitive, tensor};
use super::super::touched::Touched;
use super::super::{adamw, combine};
use super::{SIZES, assert_close, matrix};
use crate::{AdamWStep, Moments, composed};

/// Weight decay and a large eps, so that a wrong place of either shows; a rate that changes from step to step.
#[test]
fn adamw_steps() {
    let shape = [70, 1001];
    let mut parameters = [matrix(1, shape).inner(), matrix(1, shape).inner()];
    let mut moments: [Option<Moments<Flex, 2>>; 2] = [None, None];
    for t in 1..=4 {
        let step = AdamWStep {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-2,
            rate: 0.1 / f64::from(t),
            shrink: 0.99,
        };
        let gradient = matrix(t as usize + 1, shape).inner();
        let shared = (parameters[0].clone(), gradient.clone());
        let kept: [Vec<f32>; 2] =
            [&shared.0, &shared.1].map(|it| it.to_data().to_vec().expect("f32"));
        let [fused, plain] = parameters;
        // In some steps somebody else holds the parameter, in others it is changed in place.
        let held = (t % 2 == 0).then(|| fused.clone());
        if held.is_none() {
            drop(shared.0);
        } else {
            assert_eq!(kept[0], shared.0.to_data().to_vec::<f32>().expect("f32"));
        }
        let [of_fused, of_plain] = moments;
        let (fused, of_fused) = adamw::step(fused, gradient.clone(), None, of_fused, &step);
        let (plain, of_plain) = composed::adamw(plain, gradient.clone(), None, of_plain, &step);
        if let Some(held) = held {
            assert_eq!(kept[0], held.into_data().to_vec::<f32>().expect("f32"));
        }
        assert_eq!(kept[1], gradient.into_data().to_vec::<f32>().expect("f32"));
        for (what, fused, plain) in [
            ("parameter", &fused, &plain),
            ("first moment", &of_fused.first, &of_plain.first),
            ("second moment", &of_fused.second, &of_plain.second),
        ] {
            let [fused, plain]: [Vec<f32>; 2] =
                [fused, plain].map(|it| it.to_data().to_vec().expect("f32"));
            assert_close(&format!("{what} after step {t}"), &fused, &plain, 1e-6);
        }
        parameters = [fused, plain];
        moments = [Some(of_fused), Some(of_plain)];
    }
}

#[test]
fn adamw_skips_rows_that_have_seen_nothing_and_no_others() {
    let step = AdamWStep {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        rate: 1e-2,
        shrink: 1.0,
    };
    // The row seen moves from step to step; its last element alone differs from 0.
    let (rows, width) = (40, 19);
    let gradient = |seen: usize| {
        let mut values = vec![0.0; rows * width];
        values[seen * width + width - 1] = 1.0;
        Tensor::<Flex, 2>::from_data(TensorData::new(values, [rows, width]), &Default::default())
    };
    for shrink in [1.0, 0.9] {
        let step = AdamWStep { shrink, ..step };
        let mut parameters = [
            matrix(0, [rows, width]).inner(),
            matrix(0, [rows, width]).inner(),
        ];
        let mut moments = [None, None];
        for seen in [3, 17, 3, 39] {
            let ([fused, plain], [of_fused, of_plain]) = (parameters, moments);
            let (fused, of_fused) = adamw::step(fused, gradient(seen), None, of_fused, &step);
            let (plain, of_plain) = composed::adamw(plain, gradient(seen), None, of_plain, &step);
            assert_close(
                "parameter",
                &host(fused.clone()),
                &host(plain.clone()),
                1e-6,
            );
            parameters = [fused, plain];
            moments = [Some(of_fused), Some(of_plain)];
        }
    }
}

/// A factor scales the gradient; a negative one leaves the step out to the last bit, whatever the gradient holds.
#[test]
fn a_gradient_factor_scales_or_leaves_out() {
    let step = AdamWStep {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        rate: 1e-2,
        shrink: 0.9,
    };
    let device = Default::default();
    let shape = [40, 19];
    let factor = |value: f32| Tensor::<Flex, 1>::from_floats([value], &device);
    type Adamw = fn(
        Tensor<Flex, 2>,
        Tensor<Flex, 2>,
        Option<&Tensor<Flex, 1>>,
        Option<Moments<Flex, 2>>,
        &AdamWStep,
    ) -> (Tensor<Flex, 2>, Moments<Flex, 2>);
    for (name, adamw) in [
        ("fused", adamw::step as Adamw),
        ("composed", composed::adamw),
    ] {
        let parameter = || matrix(1, shape).inner();
        let gradient = || matrix(2, shape).inner();
        let (scaled, of_scaled) = adamw(parameter(), gradient(), Some(&factor(0.25)), None, &step);
        let (plain, of_plain) = adamw(parameter(), gradient() * 0.25, None, None, &step);
        assert_eq!(host(scaled.clone()), host(plain), "{name}");
        assert_eq!(
            host(of_scaled.second.clone()),
            host(of_plain.second),
            "{name}"
        );

        let before = [&scaled, &of_scaled.first, &of_scaled.second].map(|it| host(it.clone()));
        for bad in [f32::NAN, f32::INFINITY] {
            let (parameter, moments) = (scaled.clone(), of_scaled.clone());
            let gradient = gradient() * bad;
            let (kept, moments) = adamw(
                parameter,
                gradient,
                Some(&factor(-1.0)),
                Some(moments),
                &step,
            );
            assert_eq!(
                before,
                [kept, moments.first, moments.second].map(host),
                "{name}"
            );
        }
        let (kept, moments) = adamw(parameter(), gradient(), Some(&factor(-1.0)), None, &step);
        assert_eq!(host(kept), host(parameter()), "{name}");
        assert!(host(moments.first).iter().all(|it| *it == 0.0), "{name}");
    }
}

#[test]
fn moments_never_become_denormal() {
    let step = AdamWStep {
        beta1: 0.5,
        beta2: 0.5,
        eps: 1e-6,
        rate: 1e-3,
        shrink: 1.0,
    };
    let tiny = Tensor::<Flex, 1>::full([100], 1e-30, &Default::default());
    let (mut parameter, mut moments) = adamw::step(tiny.clone(), tiny, None, None, &step);
    for _ in 0..100 {
        let zero = parameter.zeros_like();
        let (next, changed) = adamw::step(parameter, zero, None, Some(moments), &step);
        for moment in [&changed.first, &changed.second] {
            let values: Vec<f32> = moment.to_data().to_vec().expect("f32");
            assert!(values.iter().all(|x| *x == 0.0 || x.is_normal()));
        }
        (parameter, moments) = (next, changed);
    }
}

fn host<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("f32")
}

#[test]
fn inner_products_and_weighted_sums() {
    for shape in SIZES {
        let terms: Vec<Tensor<Flex, 2>> = (0..3).map(|seed| matrix(seed, shape).inner()).collect();
        for count in 0..=3 {
            let terms = &terms[..count];
            let fused = combine::inner_products(terms);
            let composed = composed::inner_products(terms);
            assert_eq!(fused.len(), count * (count + 1) / 2);
            for (pair, (fused, composed)) in fused.into_iter().zip(composed).enumerate() {
                let what = format!("inner product {pair} of {shape:?}");
                assert_close(&what, &host(fused), &host(composed), 1e-5);
            }
            for weights in [[1.0, 1.0, 1.0], [0.5, -2.0, 1.0], [0.0, 3.0, 1e-3]] {
                let weighted = || terms.iter().cloned().zip(weights).collect();
                let fused = combine::weighted_sum(weighted()).map(host);
                let composed = composed::weighted_sum(weighted()).map(host);
                assert_eq!(fused.is_some(), count > 0);
                if let (Some(fused), Some(composed)) = (fused, composed) {
                    assert_close(
                        &format!("sum of {count}, {shape:?}"),
                        &fused,
                        &composed,
                        1e-6,
                    );
                }
            }
        }
        // The terms were shared all along: nothing was changed in place.
        for (seed, term) in terms.into_iter().enumerate() {
            assert_eq!(host(term), host(matrix(seed, shape).inner()));
        }
    }
}

#[test]
fn moving_averages() {
    for shape in SIZES {
        let average = || matrix(1, shape).inner();
        // A stretch that is the same on both sides, and stays as it is to the last bit.
        let [rows, width] = shape;
        let value = matrix(2, shape).inner();
        let value = value.slice_assign([0..1, 0..width], average().slice([0..1, 0..width]));
        for decay in [0.0, 0.9, 0.999, 1.0] {
            let fused = host(combine::moving_average(average(), value.clone(), decay));
            let composed = composed::moving_average(average(), value.clone(), decay);
            assert_close(
                &format!("average {rows} {width}"),
                &fused,
                &host(composed),
                1e-6,
            );
            assert_eq!(fused[..width], host(average())[..width]);
        }
    }
    let shared = matrix(1, [3, 200]).inner();
    combine::moving_average(shared.clone(), matrix(2, [3, 200]).inner(), 0.5);
    assert_eq!(host(shared), host(matrix(1, [3, 200]).inner()));
}

/// A gradient of a table, with the rows it has touched noted and not.
fn table_gradient(seed: usize, rows: &[usize], shape: [usize; 2]) -> [Tensor<Flex, 2>; 2] {
    let numbers: Vec<f32> = matrix(seed, shape)
        .inner()
        .into_data()
        .to_vec()
        .expect("f32");
    let mut values = vec![0.0; shape[0] * shape[1]];
    for &row in rows {
        let own = row * shape[1]..(row + 1) * shape[1];
        values[own.clone()].copy_from_slice(&numbers[own]);
    }
    let dense = from_values(values, shape.into());
    let noted = from_values(super::super::tensor::values(&dense).to_vec(), shape.into());
    Touched::new(rows.to_vec(), shape[1]).note(&noted);
    [noted, dense].map(tensor)
}

fn bits<const D: usize>(tensor: &Tensor<Flex, D>) -> Vec<u32> {
    let values: Vec<f32> = tensor.to_data().to_vec().expect("f32");
    values.into_iter().map(f32::to_bits).collect()
}

/// Blocks of sums and of the optimiser have more rows than these tables, or less: both are tried.
#[test]
fn noted_rows_change_no_bit() {
    for shape in [[900, 40], [37, 19], [2000, 33]] {
        let last = shape[0] - 1;
        let ones = table_gradient(1, &[0, 3, 4, last / 2], shape);
        let others = table_gradient(2, &[3, last], shape);
        let [noted, dense] = [0, 1].map(|way| {
            let pair = [ones[way].clone(), others[way].clone()];
            combine::inner_products(&pair)
                .iter()
                .map(bits)
                .collect::<Vec<_>>()
        });
        assert_eq!(noted, dense, "products of {shape:?}");
        let [noted, dense] = [0, 1].map(|way| {
            let terms = vec![(ones[way].clone(), 0.5), (others[way].clone(), 2.0)];
            combine::weighted_sum(terms).expect("terms")
        });
        assert_eq!(bits(&noted), bits(&dense), "sum of {shape:?}");
        // Of the sum, too, it is known what was touched.
        assert!(Touched::of(&primitive(noted.clone())).is_some());
        let norms = [&noted, &dense]
            .map(|sum| bits(&combine::inner_products(std::slice::from_ref(sum))[0]));
        assert_eq!(norms[0], norms[1]);

        for shrink in [1.0, 0.9] {
            let step = AdamWStep {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-6,
                rate: 1e-2,
                shrink,
            };
            let after = [0, 1].map(|way| {
                let (mut parameter, mut moments) = (matrix(5, shape).inner(), None);
                // The second step finds moments in rows that it does not touch.
                for gradient in [&ones[way], &others[way]] {
                    let (next, its_moments) =
                        adamw::step(parameter, gradient.clone(), None, moments, &step);
                    (parameter, moments) = (next, Some(its_moments));
                }
                let moments = moments.expect("moments");
                [parameter, moments.first, moments.second].map(|it| bits(&it))
            });
            assert_eq!(after[0], after[1], "AdamW of {shape:?}");
        }
    }
}
