//! Tests of the whole encoder that need no reference values (`tests/golden/encoder` has those).

use std::panic::AssertUnwindSafe;
use std::path::Path;

use bertram_kernels::{Kernels, TrainBackend};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::*;

fn tiny() -> BertConfig {
    BertConfig {
        vocab_size: 50,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 24,
        max_position_embeddings: 12,
        ..BertConfig::default()
    }
}

/// Rows of ids, padded on the right with 0; the segment changes after the second token.
fn tokens<B: Backend>(rows: &[&[i32]], width: usize, device: &B::Device) -> TokenBatch<B> {
    let cell = |row: &[i32], at: usize| row.get(at).copied();
    let grid = |value: &dyn Fn(&[i32], usize) -> i32| {
        let values: Vec<i32> = rows
            .iter()
            .flat_map(|row| (0..width).map(|at| value(row, at)))
            .collect();
        TensorData::new(values, [rows.len(), width])
    };
    let ids = grid(&|row, at| cell(row, at).unwrap_or(0));
    let types = grid(&|row, at| i32::from(at > 1 && cell(row, at).is_some()));
    let mask = grid(&|row, at| i32::from(cell(row, at).is_some())).convert::<f32>();
    TokenBatch {
        input_ids: Tensor::from_data(ids, device),
        token_type_ids: Tensor::from_data(types, device),
        attention_mask: Tensor::from_data(mask, device),
    }
}

fn vec<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().to_vec().unwrap()
}

fn padding_changes_nothing<B: Kernels>() {
    let device = Default::default();
    let model = tiny().init::<B>(&device);
    let row: &[i32] = &[2, 7, 9, 3];
    let alone = model.forward(&tokens(&[row], 4, &device));
    // Beside a longer row and one of padding only, which must stay finite.
    let long: &[i32] = &[2, 5, 6, 7, 8, 9, 10, 3];
    let batch = tokens(&[long, row, &[]], 10, &device);
    let padded = model.forward(&batch);
    assert!(vec(padded.clone()).iter().all(|value| value.is_finite()));
    let same = padded.clone().slice([1..2, 0..4, 0..16]);
    for (a, b) in vec(alone.clone()).iter().zip(vec(same)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    let mask = tokens::<B>(&[row], 4, &device).attention_mask;
    for pooling in Pooling::SINGLE {
        let one = vec(model.pool(alone.clone(), &mask, pooling));
        let of_batch = vec(model.pool(padded.clone(), &batch.attention_mask, pooling));
        for (a, b) in one.iter().zip(&of_batch[16..32]) {
            assert!((a - b).abs() < 1e-5, "{pooling:?}: {a} {b}");
        }
    }
}

#[test]
fn padding() {
    padding_changes_nothing::<NdArray>();
    padding_changes_nothing::<Flex>();
}

#[test]
fn initialisation_is_berts() {
    let device = Default::default();
    let config = BertConfig {
        vocab_size: 2000,
        hidden_size: 64,
        pad_token_id: 3,
        ..tiny()
    };
    let model = config.init::<Flex>(&device);
    let words = vec(model.embeddings.word.weight.val());
    assert!(words[3 * 64..4 * 64].iter().all(|value| *value == 0.0));
    let n = words.len() as f64;
    let variance = words.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / n;
    assert!((variance.sqrt() - 0.02).abs() < 0.001, "{variance}");
    let layer = &model.layers[1];
    assert!(
        vec(layer.output.bias.as_ref().unwrap().val())
            .iter()
            .all(|value| *value == 0.0)
    );
    assert!(
        vec(layer.output_norm.gamma.val())
            .iter()
            .all(|value| *value == 1.0)
    );
    // A clone is the same model, not another draw.
    let clone = model.clone();
    assert_eq!(
        vec(clone.layers[0].attention.query.weight.val()),
        vec(model.layers[0].attention.query.weight.val())
    );
}

#[test]
fn all_parameters_get_gradients_and_dropout_is_for_training_only() {
    type AB = Autodiff<NdArray>;
    let device = Default::default();
    let model = tiny().init::<AB>(&device);
    let batch = tokens::<AB>(&[&[2, 7, 9, 3], &[2, 4, 3]], 5, &device);
    let (first, second) = (model.forward(&batch), model.forward(&batch));
    assert_ne!(vec(first), vec(second), "dropout should be active");
    let still = model.clone().with_dropout(0.0, 0.0);
    assert_eq!(vec(still.forward(&batch)), vec(still.forward(&batch)));

    let hidden = still.forward(&batch);
    let pooled = still.pool(hidden, &batch.attention_mask, Pooling::Pooler);
    let grads = pooled.powf_scalar(2.0).sum().backward();
    let leaf = still.embeddings.word.weight.val().grad(&grads);
    assert!(leaf.is_some(), "the word table must be a leaf of the graph");
    let query = still.layers[0].attention.query.weight.val().grad(&grads);
    assert!(vec(query.unwrap()).iter().any(|value| *value != 0.0));
    // The key bias shifts all scores of a query alike: its gradient is zero but there.
    let key = still.layers[0].attention.key.bias.as_ref().unwrap();
    assert!(key.val().grad(&grads).is_some());
}

#[test]
fn fused_and_composed_kernels_agree() {
    type AB = Autodiff<Flex>;
    let device = Default::default();
    let fused = tiny().init::<AB>(&device).with_dropout(0.0, 0.0);
    let composed = fused.clone().with_kernels(KernelKind::Composed);
    let batch = tokens::<AB>(&[&[2, 7, 9, 3], &[2, 4, 3], &[]], 6, &device);
    let gradients = |model: &Bert<AB>| {
        let hidden = model.forward(&batch);
        let grads = hidden.clone().powi_scalar(3).sum().backward();
        let layer = &model.layers[0];
        let bias = layer.attention.value.bias.as_ref().unwrap();
        let word = model.embeddings.word.weight.val().grad(&grads);
        let gamma = layer.attention_norm.gamma.val().grad(&grads);
        [
            vec(hidden),
            vec(word.unwrap()),
            vec(gamma.unwrap()),
            vec(bias.val().grad(&grads).unwrap()),
        ]
    };
    let parts = gradients(&fused).into_iter().zip(gradients(&composed));
    for (fused, composed) in parts {
        let largest = composed.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for (fused, composed) in fused.iter().zip(composed) {
            assert!(
                (fused - composed).abs() < 1e-5 * largest,
                "{fused} {composed}"
            );
        }
    }
}

#[test]
fn too_long_a_sequence_says_so() {
    let device = Default::default();
    let model = tiny().init::<Flex>(&device);
    assert_eq!(model.max_positions(), 12);
    assert_eq!((model.hidden_size(), model.vocab_size()), (16, 50));
    let batch = tokens::<Flex>(&[&[2; 13]], 13, &device);
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| model.forward(&batch))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("12 positions"), "{message}");
}

fn parameters<B: Backend, M: Module<B>>(module: &M) -> Vec<(String, Vec<u32>)> {
    weights::parameter_values(module)
        .into_iter()
        .map(|(name, data)| {
            let bits = data.iter::<f32>().map(f32::to_bits).collect();
            (name, bits)
        })
        .collect()
}

fn saved(dir: &Path) -> (BertConfig, Bert<Flex>) {
    let mut config = tiny();
    config.extra.insert("use_cache".into(), true.into());
    config.extra.insert("torch_dtype".into(), "float16".into());
    let model = config.init::<Flex>(&Default::default());
    save_encoder(dir, &config, &model).unwrap();
    (config, model)
}

#[test]
fn checkpoint_round_trip_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new/folder");
    let (_, model) = saved(&dir);
    let (config, loaded, imported) = load_encoder::<NdArray>(&dir, &Default::default()).unwrap();
    assert_eq!(parameters(&loaded), parameters(&model));
    assert_eq!(imported, Imported::default());
    assert_eq!(config.extra["use_cache"], true);
    assert_eq!(config.extra["torch_dtype"], "float32");
    assert_eq!(config.extra["architectures"][0], "BertModel");
    // Nothing temporary stays behind, and the files are as readable as any other.
    let mut names: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors"]);
}

#[test]
fn loading_without_autodiff_gives_a_model_that_can_be_trained() {
    type AB = Autodiff<Flex>;
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path());
    let (_, plain, _) = load_encoder::<Flex>(folder.path(), &Default::default()).unwrap();
    let model = plain.train::<AB>();
    assert!(model.layers[0].intermediate.weight.is_require_grad());
    let (_, direct, _) = load_encoder::<AB>(folder.path(), &Default::default()).unwrap();
    assert!(direct.layers[0].intermediate.weight.is_require_grad());
    assert_eq!(parameters(&direct.valid()), parameters(&model));
}

#[test]
fn any_module_round_trip_is_exact_and_keeps_freezing() {
    type AB = Autodiff<NdArray>;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/model.safetensors");
    let device = Default::default();
    let mut model = tiny().init::<AB>(&device);
    // Values that only a bitwise copy keeps.
    let odd = [f32::MIN_POSITIVE / 3.0, -0.0, f32::MAX, 1.0 / 3.0];
    let bias = Tensor::from_floats([odd; 4].as_flattened(), &device);
    model.pooler.dense.bias = Some(burn::module::Param::from_tensor(bias));
    save_tensors::<AB, _>(&path, &model).unwrap();

    let mut other = tiny().init::<AB>(&device);
    other.embeddings = other.embeddings.no_grad();
    let id = other.pooler.dense.weight.id;
    let loaded = load_tensors::<AB, _>(&path, other, &device).unwrap();
    assert_eq!(parameters(&loaded), parameters(&model));
    assert_eq!(loaded.pooler.dense.weight.id, id);
    assert!(!loaded.embeddings.word.weight.is_require_grad());
    assert!(loaded.pooler.dense.weight.is_require_grad());
    // A validation copy saves the same file.
    let second = folder.path().join("valid.safetensors");
    save_tensors(&second, &model.valid()).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(second).unwrap()
    );
}

#[test]
fn load_tensors_lists_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Default::default();
    save_tensors(&path, &tiny().init::<Flex>(&device)).unwrap();
    let other = BertConfig {
        num_hidden_layers: 1,
        max_position_embeddings: 20,
        ..tiny()
    };
    let error = load_tensors(&path, other.init::<Flex>(&device), &device).unwrap_err();
    let WeightsError::Tensors { problems, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(problems.len(), 1 + 16, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("shape: `embeddings.position.weight`, expected [20, 16], found [12, 16]"),
        "{text}"
    );
    assert!(text.contains("unexpected: `layers.1.output.bias`, found [16]"));
}

#[test]
fn bad_folders_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let load = |dir: &Path| {
        load_encoder::<Flex>(dir, &Default::default())
            .unwrap_err()
            .to_string()
    };
    assert!(load(&dir.join("absent")).contains("no folder"));
    assert!(load(dir).contains("no config.json"));
    std::fs::write(dir.join("config.json"), "{").unwrap();
    assert!(load(dir).contains("cannot understand"));
    std::fs::write(dir.join("config.json"), r#"{"num_attention_heads": 7}"#).unwrap();
    assert!(load(dir).contains("not a multiple"));
    saved(dir);
    let weights = dir.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();

    std::fs::remove_file(&weights).unwrap();
    assert!(load(dir).contains("neither model.safetensors nor"));
    std::fs::write(dir.join("pytorch_model.bin"), "x").unwrap();
    assert!(load(dir).contains("convert it to safetensors"));
    let index = dir.join("model.safetensors.index.json");
    std::fs::write(&index, r#"{"weight_map": {"a": "../b.safetensors"}}"#).unwrap();
    assert!(load(dir).contains("download the missing file"));
    std::fs::write(&index, "[]").unwrap();
    assert!(load(dir).contains("index.json"));

    for broken in [
        &bytes[..0],
        &bytes[..5],
        &bytes[..100],
        &bytes[..bytes.len() - 1],
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    ] {
        std::fs::write(&weights, broken).unwrap();
        assert!(load(dir).contains("not a whole safetensors file"));
    }
    std::fs::write(&weights, &bytes).unwrap();
    std::fs::write(
        dir.join("config.json"),
        serde_json::to_string(&BertConfig {
            num_hidden_layers: 3,
            vocab_size: 51,
            ..tiny()
        })
        .unwrap(),
    )
    .unwrap();
    let text = load(dir);
    assert!(text.contains("17 problem(s)"), "{text}");
    assert!(
        text.contains("missing: `encoder.layer.2.intermediate.dense.weight`, expected [24, 16]")
    );
    assert!(
        text.contains(
            "shape: `embeddings.word_embeddings.weight`, expected [51, 16], found [50, 16]"
        ),
        "{text}"
    );
}

/// Vectors of sequences, and every gradient of the encoder.
fn pooled<B: TrainBackend>(
    model: &Bert<B>,
    batch: &TokenBatch<B>,
    pooling: Pooling,
    encode: impl Fn(&Bert<B>, Tensor<B, 3>, &Tensor<B, 2>, Pooling) -> Tensor<B, 2>,
) -> Vec<Vec<f32>> {
    let embedded = model.embed(batch);
    let vectors = encode(model, embedded, &batch.attention_mask, pooling);
    let [sequences, width] = vectors.dims();
    let weights: Vec<f32> = (0..sequences * width).map(|at| (at as f32).sin()).collect();
    let weights = Tensor::from_data(
        TensorData::new(weights, [sequences, width]),
        &vectors.device(),
    );
    let gradients = (vectors.clone() * weights).sum().backward();
    let mut found = vec![vec(vectors)];
    struct Read<'a, B: AutodiffBackend>(&'a B::Gradients, &'a mut Vec<Vec<f32>>);
    impl<B: AutodiffBackend> ModuleVisitor<B> for Read<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let gradient = param.val().grad(self.0);
            self.1.push(gradient.map(vec).unwrap_or_default());
        }
    }
    model.visit(&mut Read(&gradients, &mut found));
    found
}

fn close(what: &str, one: &[Vec<f32>], other: &[Vec<f32>], tolerance: f32) {
    assert_eq!(one.len(), other.len());
    for (part, (one, other)) in one.iter().zip(other).enumerate() {
        let largest = other.iter().fold(1e-2f32, |most, it| most.max(it.abs()));
        assert_eq!(one.len(), other.len(), "{what}, {part}");
        for (a, b) in one.iter().zip(other) {
            assert!(
                (a - b).abs() <= tolerance * largest,
                "{what}, {part}: {a} is not {b}"
            );
        }
    }
}

const RAGGED: [&[i32]; 4] = [
    &[2, 5, 6, 7, 8, 9, 10, 3],
    &[2, 3],
    &[2, 11, 12, 3],
    &[2, 7, 9, 13, 14, 15, 3],
];

/// Each pooling by itself, and several.
fn poolings() -> Vec<Pooling> {
    let several = ["cls+mean", "mean+max", "pooler+attention+cls", "pooler+cls"];
    let several = several.map(|name| name.parse().unwrap());
    Pooling::SINGLE.into_iter().chain(several).collect()
}

/// A learnt vector and a mix of the two layers, with numbers that are not those they begin with.
fn learnt<B: Backend>(device: &B::Device) -> (AttentionPooler<B>, LayerMix<B>) {
    let query: Vec<f32> = (0..16).map(|at| (at as f32).cos()).collect();
    let attention = AttentionPooler {
        query: Param::from_tensor(Tensor::from_floats(query.as_slice(), device)),
    };
    let mix = LayerMix {
        weights: Param::from_tensor(Tensor::from_floats([0.3, -0.2, 0.5], device)),
        scale: Param::from_tensor(Tensor::from_floats([1.5], device)),
    };
    (attention, mix)
}

/// Rows of tokens alone, and of the last layer what is read: the same vectors and gradients as of whole padded batches.
#[test]
fn what_is_not_computed_changes_nothing() {
    type AB = Autodiff<Flex>;
    let device = Default::default();
    let model = tiny().init::<AB>(&device).with_dropout(0.0, 0.0);
    let (attention, mix) = learnt::<AB>(&device);
    let mixes = [None, Some(&mix)];
    for (pooling, layer_mix) in (poolings().into_iter()).flat_map(|it| mixes.map(|mix| (it, mix))) {
        let readout = || Readout {
            pooling,
            attention: Some(&attention),
            layer_mix,
        };
        for width in [8, 10] {
            let batch = tokens::<AB>(&RAGGED, width, &device);
            assert!(Flex::token_rows(&batch.attention_mask.clone().inner()).is_some());
            let packed = pooled(&model, &batch, pooling, |model, embedded, mask, _| {
                model.encode_pooled(embedded, mask, readout())
            });
            // A mask that is not exactly 1 is not taken for one of lengths: whole padded batches.
            let almost_one = 1.0 - f32::EPSILON / 2.0;
            let padded = pooled(&model, &batch, pooling, |model, embedded, mask, _| {
                model.encode_pooled(embedded, &(mask.clone() * almost_one), readout())
            });
            let what = format!("{pooling:?}, {width}, {}", layer_mix.is_some());
            close(&what, &packed, &padded, 1e-6);
            if layer_mix.is_none() && !pooling.has(Pooling::Attention) {
                let padded = pooled(&model, &batch, pooling, |model, embedded, mask, pooling| {
                    model.pool(model.encode(embedded, mask), mask, pooling)
                });
                close(&what, &packed, &padded, 1e-6);
            }
        }
    }
    // A sequence without a token goes the padded way.
    let batch = tokens::<AB>(&[RAGGED[0], &[]], 8, &device);
    let mean = model.encode_pooled(model.embed(&batch), &batch.attention_mask, Pooling::Mean);
    assert!(vec(mean)[16..].iter().all(|it| *it == 0.0));
}

/// Dropout follows the tokens: padding changes no number, bit for bit.
#[test]
fn dropout_does_not_depend_on_the_padding() {
    type AB = Autodiff<Flex>;
    let device = Default::default();
    let model = tiny().init::<AB>(&device).with_dropout(0.2, 0.2);
    for pooling in poolings() {
        let of = |width: usize| {
            let batch = tokens::<AB>(&RAGGED, width, &device);
            // Other tests draw beside this one: the first try that met no other counts.
            (0..50).map(move |_| batch.clone()).map(|batch| {
                Flex::seed(&device, 5);
                pooled(&model, &batch, pooling, |model, embedded, mask, pooling| {
                    model.encode_pooled(embedded, mask, pooling)
                })
            })
        };
        let alike = of(8).zip(of(12)).any(|(one, other)| {
            one[0] == other[0]
                && one[1..].iter().flatten().count() == other[1..].iter().flatten().count()
        });
        assert!(alike, "{pooling:?}");
    }
}
