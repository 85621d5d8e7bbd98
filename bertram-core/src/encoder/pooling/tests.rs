use super::*;
use burn::backend::ndarray::NdArrayDevice;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::Param;
use burn::tensor::{DType, TensorData};
use proptest::prelude::*;

fn vec<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn padding_is_left_out() {
    let device = Default::default();
    let hidden = Tensor::<Flex, 3>::from_floats(
        [
            [[1., -2.], [3., -4.], [100., 100.]],
            [[5., 6.], [7., 8.], [9., 10.]],
        ],
        &device,
    );
    let mask = Tensor::<Flex, 2>::from_floats([[1., 1., 0.], [0., 0., 0.]], &device);
    assert_eq!(vec(masked_mean(hidden.clone(), &mask)), [2., -3., 0., 0.]);
    assert_eq!(vec(first_token(hidden.clone())), [1., -2., 5., 6.]);
    let max = vec(masked_max(hidden.clone(), &mask));
    assert_eq!(max[..2], [3., -2.]);
    assert!(max[2..].iter().all(|it| it.is_finite()));
    // Scores that are all alike give the mean; great ones one token.
    let mut pooler = AttentionPooler::<Flex>::new(2, &device);
    let mean = vec(pooler.forward(hidden.clone(), &mask));
    assert_eq!(mean[..2], [2., -3.]);
    assert!(mean[2..].iter().all(|it| it.is_finite()));
    pooler.query = Param::from_tensor(Tensor::from_floats([100., 0.], &device));
    assert_eq!(vec(pooler.forward(hidden, &mask))[..2], [3., -4.]);
}

#[test]
fn names_are_those_of_configs() {
    let names = serde_json::to_string(&Pooling::SINGLE).unwrap();
    assert_eq!(names, r#"["cls","mean","max","pooler","attention"]"#);
    let read = |name: &str| serde_json::from_value::<Pooling>(name.into());
    let both = read("mean+ cls").unwrap();
    assert_eq!(both.to_string(), "mean+cls", "in the order named");
    assert_ne!(both, read("cls+mean").unwrap());
    assert_eq!(format!("{both:?}"), "Several([Mean, Cls])");
    let text = read("cls+mean+cls").unwrap_err().to_string();
    assert!(text.starts_with("cls is there twice"), "{text}");
    for wrong in ["", "maximum", "cls+", "+", "Cls", "cls,mean"] {
        let text = read(wrong).unwrap_err().to_string();
        assert!(text.contains("is no pooling: there are cls"), "{text}");
    }
    assert_eq!(Pooling::side_by_side([both]), Ok(both));
    assert!(Pooling::side_by_side([both, Pooling::Mean]).is_err());
    assert!(Pooling::side_by_side([]).is_err());
}

#[test]
fn what_is_read() {
    let queries = |name: &str| name.parse::<Pooling>().unwrap().queries();
    for first in ["cls", "pooler", "pooler+cls"] {
        assert_eq!(queries(first), Queries::First, "{first}");
    }
    for all in ["mean", "max", "attention", "cls+mean", "pooler+cls+max"] {
        assert_eq!(queries(all), Queries::All, "{all}");
    }
}

proptest! {
    #[test]
    fn every_list_is_its_name(places in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(), count in 1..=5usize) {
        let parts: Vec<Pooling> = places[..count].iter().map(|it| Pooling::SINGLE[*it]).collect();
        let pooling = Pooling::side_by_side(parts.iter().copied()).unwrap();
        prop_assert_eq!(pooling.parts().collect::<Vec<_>>(), parts);
        prop_assert_eq!(pooling.width(7), 7 * count);
        prop_assert_eq!(pooling.to_string().parse(), Ok(pooling));
    }

    /// Rows of tokens beside padded sequences, for any lengths.
    #[test]
    fn rows_of_tokens_are_pooled_as_padded_ones(
        lengths in prop::collection::vec(1..6usize, 1..5),
        more in 0..3usize,
        numbers in prop::collection::vec(-2.0..2.0f32, 5 * 8 * 3 + 3),
    ) {
        let device = Default::default();
        let (batch, padded, width) = (lengths.len(), lengths.iter().max().unwrap() + more, 3);
        let query = Tensor::from_data(TensorData::new(numbers[..3].to_vec(), [3]), &device);
        let attention = AttentionPooler::<Flex> { query: Param::from_tensor(query) };
        let hidden = numbers[3..][..batch * padded * width].to_vec();
        let hidden = Tensor::<Flex, 1>::from_data(TensorData::new(hidden, [batch * padded * width]), &device);
        let mask: Vec<f32> = lengths.iter().flat_map(|length| (0..padded).map(move |at| f32::from(u8::from(at < *length)))).collect();
        let mask = Tensor::<Flex, 2>::from_data(TensorData::new(mask, [batch, padded]), &device);
        let rows = TokenRows::new(&lengths, padded);
        let packed = pick_rows(hidden.clone().reshape([batch * padded, width]), &rows.in_padded());
        let packed = States::Packed(packed, &rows);
        let padded = States::Padded(hidden.reshape([batch, padded, width]), &mask);
        let pairs = [
            (packed.first(), padded.first()),
            (packed.mean(), padded.mean()),
            (packed.max(), padded.max()),
            (packed.attention(&attention), padded.attention(&attention)),
        ];
        for (number, (one, other)) in pairs.into_iter().enumerate() {
            for (a, b) in vec(one).iter().zip(vec(other)) {
                prop_assert!((a - b).abs() < 1e-5, "{}: {} is not {}", number, a, b);
            }
        }
    }
}

type F64 = Autodiff<NdArray<f64, i64>>;

fn double<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<F64, D> {
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&NdArrayDevice::Cpu, DType::F64))
}

/// Numbers in [-1, 1] without a pattern.
fn numbers(count: usize, seed: usize) -> Vec<f64> {
    let angle = |index: usize| 12.9898 * (index as f64 + 1.0) + 78.233 * (seed as f64 + 1.0);
    (0..count).map(|index| angle(index).sin()).collect()
}

/// Checks the gradients of `compute`, a sum of whose results with weights is taken, for every number of its inputs.
fn check_gradients<const N: usize>(
    what: &str,
    inputs: [Vec<f64>; N],
    compute: impl Fn([Tensor<F64, 1>; N]) -> Tensor<F64, 2>,
) {
    let value = |inputs: &[Tensor<F64, 1>; N]| {
        let result = compute(inputs.clone());
        let shape = result.dims();
        (result * double(&numbers(shape[0] * shape[1], 9), shape)).sum()
    };
    let tensors = |inputs: &[Vec<f64>; N]| -> [Tensor<F64, 1>; N] {
        std::array::from_fn(|at| double(&inputs[at], [inputs[at].len()]).require_grad())
    };
    let leaves = tensors(&inputs);
    let gradients = value(&leaves).backward();
    for (input, leaf) in leaves.iter().enumerate() {
        let gradient = leaf.grad(&gradients).expect("a gradient").into_data();
        for (at, gradient) in gradient.iter::<f64>().enumerate() {
            let shifted = |by: f64| -> f64 {
                let mut inputs = inputs.clone();
                inputs[input][at] += by;
                value(&tensors(&inputs)).into_scalar()
            };
            let step = 1e-5;
            let slope = (shifted(step) - shifted(-step)) / (2.0 * step);
            assert!(
                (gradient - slope).abs() < 1e-8,
                "{what}: input {input}, number {at}: {gradient} is not {slope}"
            );
        }
    }
}

#[test]
fn gradients_are_the_slopes() {
    let (batch, sequence, width) = (2, 4, 3);
    let mask = double(&[1., 1., 1., 0., 1., 1., 1., 1.], [batch, sequence]);
    let rows = TokenRows::new(&[3, 4], sequence);
    let hidden = numbers(batch * sequence * width, 1);
    let shape = [batch, sequence, width];
    let states = |hidden: Tensor<F64, 1>| hidden.reshape(shape);
    check_gradients("max", [hidden.clone()], |[hidden]| {
        masked_max(states(hidden), &mask)
    });
    check_gradients("max of rows", [numbers(7 * width, 1)], |[hidden]| {
        max::max_of_rows(hidden.reshape([7, width]), &rows)
    });
    check_gradients("mean", [hidden.clone()], |[hidden]| {
        masked_mean(states(hidden), &mask)
    });
    let pooler = |query: Tensor<F64, 1>| AttentionPooler {
        query: Param::initialized(burn::module::ParamId::new(), query),
    };
    check_gradients(
        "attention",
        [hidden, numbers(width, 2)],
        |[hidden, query]| pooler(query).forward(states(hidden), &mask),
    );
    let states: [Vec<f64>; 3] = std::array::from_fn(|layer| numbers(4 * width, 20 + layer));
    let [zero, one, two] = states;
    check_gradients(
        "layer mix",
        [zero, one, two, numbers(3, 5), vec![0.7]],
        |[zero, one, two, weights, scale]| {
            let id = burn::module::ParamId::new;
            let mix = LayerMix {
                weights: Param::initialized(id(), weights),
                scale: Param::initialized(id(), scale),
            };
            let mut mixing = Mixing::new(Some(&mix));
            for layer in [zero, one, two] {
                mixing.add(|| layer.reshape([4, width]));
            }
            mixing.or_last(double(&[0.0], [1, 1]))
        },
    );
}

#[test]
fn a_mix_of_one_layer_is_that_layer() {
    let device = Default::default();
    let layers = [[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let mixed = |weights: [f32; 3], scale: f32| {
        let mix = LayerMix::<Flex> {
            weights: Param::from_tensor(Tensor::from_floats(weights, &device)),
            scale: Param::from_tensor(Tensor::from_floats([scale], &device)),
        };
        let mut mixing = Mixing::new(Some(&mix));
        for layer in layers {
            mixing.add(|| Tensor::from_floats([layer], &device));
        }
        vec(mixing.or_last(Tensor::zeros([1, 2], &device)))
    };
    assert_eq!(mixed([-200.0, 0.0, -200.0], 1.0), [3.0, 4.0]);
    assert_eq!(mixed([0.0, -200.0, -200.0], 2.0), [2.0, 4.0]);
    let begin = LayerMix::<Flex>::new(2, &device);
    assert_eq!(vec(begin.weights.val()), [0.0; 3]);
    let mean = mixed([0.0; 3], 1.0);
    assert!((mean[0] - 3.0).abs() < 1e-6 && (mean[1] - 4.0).abs() < 1e-6);
    // Without a mix nothing is asked for.
    let mut none = Mixing::<Flex>::new(None);
    none.add(|| unreachable!("states of a layer that is not read"));
    assert_eq!(vec(none.or_last(Tensor::ones([1, 2], &device))), [1.0; 2]);
}
