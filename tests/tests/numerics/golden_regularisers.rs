//! SMART and R-Drop against PyTorch's autograd (`golden/regularisers/export.py`), on a toy model that a regulariser
//! sees as "embed, then classify": perturbation, penalty, and the penalty's gradient in every weight.
//!
//! In f64 (1e-9) at the sizes that people use (sigma and epsilon 1e-5) and at large ones; in f32 (1e-5) at the large
//! ones: where a perturbation changes the logits in their fifth digit, f32 has not five digits of the change. All
//! relative to the largest value of a tensor.
//!
//! The tensors here are too small for burn-ndarray's approximate reciprocal to show; `golden_updates` meets it.

use bertram_core::loss::OutputKind;
use bertram_train::regulariser::{
    Classifier, ForwardPass, Perturbation, PerturbationNorm, RDrop, RDropConfig, Regulariser,
    Smart, SmartConfig, SmartVariant,
};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Int, Tensor, TensorData};
use safetensors::SafeTensors;

const GOLDEN: &[u8] = include_bytes!("../../golden/regularisers/regularisers.safetensors");
const WEIGHTS: [&str; 5] = ["table", "w1", "b1", "w2", "b2"];
const KINDS: [&str; 4] = ["categorical", "real", "bernoulli-pair", "real-pair"];

struct Golden(SafeTensors<'static>);

impl Golden {
    fn new() -> Self {
        Self(SafeTensors::deserialize(GOLDEN).expect("safetensors"))
    }

    fn shape<const D: usize>(&self, name: &str) -> [usize; D] {
        let view = self.0.tensor(name).expect(name);
        view.shape().try_into().expect(name)
    }

    fn bytes(&self, name: &str) -> impl Iterator<Item = [u8; 8]> {
        let view = self.0.tensor(name).expect(name);
        let words = view.data().chunks_exact(8);
        words.map(|word| word.try_into().expect("8 bytes"))
    }

    fn floats(&self, name: &str) -> Vec<f64> {
        self.bytes(name).map(f64::from_le_bytes).collect()
    }

    /// The tensor in the type that is asked for: a device's default is the whole process's, so the type is named.
    fn tensor<B: Backend, const D: usize>(&self, name: &str, dtype: DType) -> Tensor<B, D> {
        let data = TensorData::new(self.floats(name), self.shape::<D>(name));
        Tensor::from_data(data, (&B::Device::default(), dtype))
    }
}

/// `mean over tokens of tanh(e W1 + b1)`, then `W2, b2`; a pair's output is the scaled cosine of two such vectors.
struct Toy<B: AutodiffBackend> {
    ids: Tensor<B, 1, Int>,
    shape: [usize; 2],
    mask: Tensor<B, 2>,
    /// 1 / number of tokens, `[sequences, 1]`.
    share: Tensor<B, 2>,
    table: Tensor<B, 2>,
    w1: Tensor<B, 2>,
    b1: Tensor<B, 1>,
    w2: Tensor<B, 2>,
    b2: Tensor<B, 1>,
    kind: &'static str,
    /// What a second embedding adds, where it stands for dropout.
    offset: Option<Tensor<B, 3>>,
    /// In an ascent nobody may ask for a pass with weights that are tracked.
    in_ascent: bool,
}

impl<B: AutodiffBackend> Toy<B> {
    fn new(golden: &Golden, kind: &'static str, dtype: DType) -> Self {
        let name = |part: &str| format!("{kind}/{part}");
        let shape: [usize; 2] = golden.shape(&name("ids"));
        let ids: Vec<i64> = golden.bytes(&name("ids")).map(i64::from_le_bytes).collect();
        let share: Vec<f64> = golden
            .floats(&name("mask"))
            .chunks(shape[1])
            .map(|row| 1.0 / row.iter().sum::<f64>())
            .collect();
        let device = B::Device::default();
        let share = TensorData::new(share, [shape[0], 1]);
        Self {
            ids: Tensor::from_data(TensorData::new(ids, [shape[0] * shape[1]]), &device),
            shape,
            mask: golden.tensor(&name("mask"), dtype),
            share: Tensor::from_data(share, (&device, dtype)),
            table: golden.tensor(&name("table"), dtype).require_grad(),
            w1: golden.tensor(&name("w1"), dtype).require_grad(),
            b1: golden.tensor(&name("b1"), dtype).require_grad(),
            w2: golden.tensor(&name("w2"), dtype).require_grad(),
            b2: golden.tensor(&name("b2"), dtype).require_grad(),
            kind,
            offset: None,
            in_ascent: false,
        }
    }

    fn forward(&self, embedded: Tensor<B, 3>, frozen: bool) -> Tensor<B, 2> {
        fn weight<B: AutodiffBackend, const D: usize>(
            tensor: &Tensor<B, D>,
            frozen: bool,
        ) -> Tensor<B, D> {
            if frozen {
                Tensor::from_inner(tensor.clone().inner())
            } else {
                tensor.clone()
            }
        }
        let hidden = embedded.matmul(weight(&self.w1, frozen).unsqueeze())
            + weight(&self.b1, frozen).unsqueeze();
        let hidden = hidden.tanh() * self.mask.clone().unsqueeze_dim::<3>(2);
        let pooled: Tensor<B, 2> = hidden.sum_dim(1).squeeze_dim(1);
        let pooled = pooled * self.share.clone();
        let out = pooled.matmul(weight(&self.w2, frozen)) + weight(&self.b2, frozen).unsqueeze();
        let scale = match self.kind {
            "bernoulli-pair" => 4.0,
            "real-pair" => 1.0,
            _ => return out,
        };
        let half = self.shape[0] / 2;
        let [u, v] = [0, half].map(|from| out.clone().narrow(0, from, half));
        let norms = u.clone().square().sum_dim(1) * v.clone().square().sum_dim(1);
        (u * v).sum_dim(1) / norms.sqrt() * scale
    }

    fn training_pass(&self) -> ForwardPass<B> {
        let embedded = self.lookup();
        ForwardPass {
            logits: self.forward(embedded.clone(), false),
            embedded,
        }
    }

    fn lookup(&self) -> Tensor<B, 3> {
        let [sequences, length] = self.shape;
        self.table.clone().select(0, self.ids.clone()).reshape([
            sequences as i64,
            length as i64,
            -1,
        ])
    }

    /// Gradients in the weights, in the order of [`WEIGHTS`]; zeros where there is none.
    fn gradients(&self, gradients: &B::Gradients) -> [Vec<f64>; 5] {
        fn of<B: AutodiffBackend, const D: usize>(
            tensor: &Tensor<B, D>,
            gradients: &B::Gradients,
        ) -> Vec<f64> {
            match tensor.grad(gradients) {
                Some(gradient) => floats(gradient),
                None => vec![0.0; tensor.shape().num_elements()],
            }
        }
        [
            of(&self.table, gradients),
            of(&self.w1, gradients),
            of(&self.b1, gradients),
            of(&self.w2, gradients),
            of(&self.b2, gradients),
        ]
    }
}

impl<B: AutodiffBackend> Classifier<B> for Toy<B> {
    fn embed(&self) -> Tensor<B, 3> {
        match &self.offset {
            Some(offset) => self.lookup() + offset.clone(),
            None => self.lookup(),
        }
    }

    fn classify(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2> {
        assert!(!self.in_ascent, "an ascent needs no gradient of weights");
        self.forward(embedded, false)
    }

    fn classify_frozen(&self, embedded: Tensor<B, 3>) -> Tensor<B, 2> {
        self.forward(embedded, true)
    }

    fn mask(&self) -> Tensor<B::InnerBackend, 2> {
        self.mask.clone().inner()
    }

    fn output(&self) -> OutputKind {
        match self.kind {
            "categorical" => OutputKind::Categorical,
            "bernoulli-pair" => OutputKind::Bernoulli,
            _ => OutputKind::Real,
        }
    }
}

fn floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

fn largest(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0, |largest, value| value.abs().max(largest))
}

/// Compares with what is expected, relative to its largest value or to `scale`, where that is larger.
fn check(what: &str, ours: &[f64], expected: &[f64], scale: f64, tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let scale = largest(expected).max(scale).max(f64::MIN_POSITIVE);
    let gaps: Vec<f64> = ours.iter().zip(expected).map(|(a, b)| a - b).collect();
    let error = largest(&gaps) / scale;
    assert!(
        ours.iter().all(|value| value.is_finite()) && error < tolerance,
        "{what}: {error:.1e} from what is expected"
    );
}

/// Checks the gradients of a penalty. Where a weight hardly matters (a penalty on differences does not see a bias), its
/// gradient is measured by those of the others.
fn check_gradients(golden: &Golden, place: &str, what: &str, ours: &[Vec<f64>; 5], tolerance: f64) {
    let expected = WEIGHTS.map(|name| golden.floats(&format!("{place}/{name}")));
    let scale = expected
        .iter()
        .map(|values| largest(values))
        .fold(0.0, f64::max)
        * 1e-2;
    for ((name, ours), expected) in WEIGHTS.iter().zip(ours).zip(&expected) {
        check(
            &format!("{what}, gradient of {name}"),
            ours,
            expected,
            scale,
            tolerance,
        );
    }
}

fn smart_matches<B: AutodiffBackend>(backend: &str, dtype: DType, sizes: &[&str], tolerance: f64) {
    let golden = Golden::new();
    for kind in KINDS {
        for size in sizes {
            let settings = golden.floats(&format!("{size}/settings"));
            let [sigma, epsilon, eta] = settings.try_into().expect("three settings");
            for (variant, variant_name) in [
                (SmartVariant::Paper, "paper"),
                (SmartVariant::MtDnn, "mt-dnn"),
            ] {
                for (norm, norm_name) in [
                    (PerturbationNorm::Linf, "linf"),
                    (PerturbationNorm::L2, "l2"),
                ] {
                    for steps in [1, 2] {
                        let smart = Smart::new(SmartConfig {
                            variant,
                            norm,
                            steps,
                            epsilon: (variant == SmartVariant::Paper).then_some(epsilon),
                            sigma,
                            eta,
                            ..SmartConfig::default()
                        });
                        let place = format!("{kind}/{size}/{variant_name}/{norm_name}/{steps}");
                        let start = golden.tensor(&format!("{kind}/{size}/start"), dtype);
                        let toy = Toy::<B>::new(&golden, kind, dtype);
                        smart_case(&golden, &smart, toy, start, &place, backend, tolerance);
                    }
                }
            }
        }
    }
}

fn smart_case<B: AutodiffBackend>(
    golden: &Golden,
    smart: &Smart,
    mut toy: Toy<B>,
    start: Tensor<B::InnerBackend, 3>,
    place: &str,
    backend: &str,
    tolerance: f64,
) {
    let what = |part: &str| format!("{backend}, {place}, {part}");
    let forward = toy.training_pass();
    toy.in_ascent = true;
    let found: Perturbation<_> = smart.perturbation(&toy, &forward, start);
    toy.in_ascent = false;
    let skipped = found.skipped.clone().int().into_data();
    assert!(skipped.iter::<i64>().all(|count| count == 0), "{place}");

    let delta = floats(found.delta.clone());
    let mask = floats(toy.mask.clone());
    let hidden = delta.len() / mask.len();
    for (token, mask) in delta.chunks(hidden).zip(&mask) {
        assert!(
            *mask == 1.0 || largest(token) == 0.0,
            "{place}: padding is perturbed"
        );
    }
    let expected = golden.floats(&format!("{place}/perturbation"));
    check(&what("perturbation"), &delta, &expected, 0.0, tolerance);

    let penalty = smart.penalty_at(&toy, &forward, &found);
    let expected = golden.floats(&format!("{place}/penalty"));
    check(
        &what("penalty"),
        &floats(penalty.clone()),
        &expected,
        0.0,
        tolerance,
    );
    let gradients = toy.gradients(&penalty.backward());
    check_gradients(golden, place, &what("penalty"), &gradients, tolerance);
}

#[test]
fn smart_in_f64() {
    let sizes = ["real-size", "large"];
    super::ndarray_for_f64();
    smart_matches::<Autodiff<NdArray<f64>>>("ndarray f64", DType::F64, &sizes, 1e-9);
}

#[test]
fn smart_in_f32() {
    smart_matches::<Autodiff<Flex>>("flex", DType::F32, &["large"], 1e-5);
    smart_matches::<Autodiff<NdArray>>("ndarray", DType::F32, &["large"], 1e-5);
    #[cfg(feature = "libtorch")]
    smart_matches::<Autodiff<burn::backend::LibTorch>>("libtorch", DType::F32, &["large"], 1e-5);
}

fn r_drop_matches<B: AutodiffBackend>(backend: &str, dtype: DType, tolerance: f64) {
    let golden = Golden::new();
    let r_drop = RDrop::new(RDropConfig::default());
    for kind in KINDS {
        let mut toy = Toy::<B>::new(&golden, kind, dtype);
        let forward = toy.training_pass();
        let what = format!("{backend}, {kind}, R-Drop");
        let logits = golden.floats(&format!("{kind}/logits"));
        check(
            &what,
            &floats(forward.logits.clone()),
            &logits,
            0.0,
            tolerance,
        );

        let nothing = r_drop.penalty(&toy, &forward).value;
        assert_eq!(floats(nothing), [0.0], "{what}: two equal passes agree");

        toy.offset = Some(golden.tensor(&format!("{kind}/offset"), dtype));
        let penalty = r_drop.penalty(&toy, &forward).value;
        let place = format!("{kind}/r-drop");
        let expected = golden.floats(&format!("{place}/penalty"));
        check(&what, &floats(penalty.clone()), &expected, 0.0, tolerance);
        let gradients = toy.gradients(&penalty.backward());
        check_gradients(&golden, &place, &what, &gradients, tolerance);
    }
}

#[test]
fn r_drop() {
    super::ndarray_for_f64();
    r_drop_matches::<Autodiff<NdArray<f64>>>("ndarray f64", DType::F64, 1e-9);
    r_drop_matches::<Autodiff<Flex>>("flex", DType::F32, 1e-5);
    r_drop_matches::<Autodiff<NdArray>>("ndarray", DType::F32, 1e-5);
    #[cfg(feature = "libtorch")]
    r_drop_matches::<Autodiff<burn::backend::LibTorch>>("libtorch", DType::F32, 1e-5);
}
