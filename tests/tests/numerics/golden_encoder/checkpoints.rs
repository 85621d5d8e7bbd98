//! The tiny random BERT in every form a checkpoint comes in, and its way back to disk.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bertram_core::encoder::{Pooling, WeightsError, load_encoder, save_encoder};
use burn::backend::{Autodiff, Flex, NdArray};
use safetensors::{SafeTensors, tensor::Dtype, tensor::TensorView};

use super::tiny::Tiny;
use super::{TOLERANCE, golden, json, vec};

/// A checkpoint in memory: name -> (type, shape, bytes).
type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn stored(path: &Path) -> Stored {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let value = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            (name, value)
        })
        .collect()
}

fn store(path: &Path, tensors: &Stored) {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None::<HashMap<String, String>>, path).unwrap();
}

/// A folder with the tiny model's `config.json` and nothing else.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(golden("tiny/config.json"), dir.path().join("config.json")).unwrap();
    dir
}

fn original() -> Stored {
    stored(&golden("tiny/model.safetensors"))
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    let number = |chunk: &[u8]| f32::from_le_bytes(chunk.try_into().unwrap());
    bytes.chunks(4).map(number).collect()
}

#[test]
fn prefix_legacy_names_heads_and_buffers() {
    let dir = folder();
    let mut tensors: Stored = original()
        .into_iter()
        .map(|(name, value)| {
            let name = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            (format!("bert.{name}"), value)
        })
        .collect();
    let extra = [
        ("bert.embeddings.position_ids", Dtype::I64, vec![1, 24]),
        ("cls.predictions.bias", Dtype::F32, vec![120]),
        ("cls.seq_relationship.weight", Dtype::F32, vec![2, 32]),
    ];
    for (name, dtype, shape) in extra.clone() {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        tensors.insert(name.to_owned(), (dtype, shape, vec![0; bytes]));
    }
    store(&dir.path().join("model.safetensors"), &tensors);
    let device = Default::default();
    let (_, model, imported) = load_encoder::<Flex>(dir.path(), &device).unwrap();
    assert_eq!(imported.ignored, extra.map(|(name, _, _)| name));
    Tiny::new().check(&model, &device, TOLERANCE);
}

#[test]
fn half_precision_files_are_read_exactly() {
    type Halve = fn(f32) -> ([u8; 2], f32);
    let halves: [(Dtype, Halve); 2] = [
        (Dtype::F16, |x| {
            let half = half::f16::from_f32(x);
            (half.to_le_bytes(), half.to_f32())
        }),
        (Dtype::BF16, |x| {
            let half = half::bf16::from_f32(x);
            (half.to_le_bytes(), half.to_f32())
        }),
    ];
    for (dtype, halve) in halves {
        let dir = folder();
        let mut rounded = BTreeMap::new();
        let mut tensors = Stored::new();
        for (name, (_, shape, bytes)) in original() {
            let values: Vec<_> = numbers(&bytes).into_iter().map(halve).collect();
            let bytes = values.iter().flat_map(|(bytes, _)| *bytes).collect();
            let floats: Vec<f32> = values.iter().map(|(_, value)| *value).collect();
            rounded.insert(name.clone(), floats);
            tensors.insert(name, (dtype, shape, bytes));
        }
        store(&dir.path().join("model.safetensors"), &tensors);
        let device = Default::default();
        let (config, model, _) = load_encoder::<NdArray>(dir.path(), &device).unwrap();
        Tiny::new().check(&model, &device, 0.1);

        let out = tempfile::tempdir().unwrap();
        save_encoder(out.path(), &config, &model).unwrap();
        let written = stored(&out.path().join("model.safetensors"));
        let written: BTreeMap<String, Vec<f32>> = written
            .into_iter()
            .map(|(name, (_, _, bytes))| (name, numbers(&bytes)))
            .collect();
        assert_eq!(written, rounded);
    }
}

#[test]
fn shards_and_a_missing_pooler() {
    let dir = folder();
    let mut weight_map = serde_json::Map::new();
    let mut shards = [Stored::new(), Stored::new()];
    let without_pooler = original()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("pooler"));
    for (at, (name, value)) in without_pooler.enumerate() {
        let shard = at % 2;
        let file = format!("model-{:05}-of-00002.safetensors", shard + 1);
        weight_map.insert(name.clone(), file.into());
        shards[shard].insert(name, value);
    }
    for (shard, tensors) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-00002.safetensors", shard + 1);
        store(&dir.path().join(file), tensors);
    }
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": weight_map});
    let path = dir.path().join("model.safetensors.index.json");
    std::fs::write(path, index.to_string()).unwrap();

    let device = Default::default();
    let (_, model, imported) = load_encoder::<Flex>(dir.path(), &device).unwrap();
    assert!(imported.missing_pooler);
    let (_, whole, _) = load_encoder::<Flex>(&golden("tiny"), &device).unwrap();
    let tokens = Tiny::new().tokens::<Flex>(&device);
    assert_eq!(vec(model.forward(&tokens)), vec(whole.forward(&tokens)));
    let pooled = model.pool(
        whole.forward(&tokens),
        &tokens.attention_mask,
        Pooling::Pooler,
    );
    assert!(vec(pooled).iter().all(|value| value.is_finite()));
}

#[test]
fn every_misfit_is_listed() {
    let dir = folder();
    let mut tensors = original();
    tensors.remove("pooler.dense.bias").unwrap();
    tensors
        .remove("encoder.layer.1.output.dense.weight")
        .unwrap();
    let (_, shape, _) = tensors
        .get_mut("encoder.layer.0.intermediate.dense.weight")
        .unwrap();
    shape.reverse();
    let bias = tensors["encoder.layer.0.output.dense.bias"].clone();
    tensors.insert(
        "bert.encoder.layer.0.output.dense.bias".into(),
        bias.clone(),
    );
    tensors.insert("encoder.layer.2.output.dense.bias".into(), bias.clone());
    tensors.insert("adapter.weight".into(), bias);
    let (dtype, _, bytes) = tensors.get_mut("embeddings.LayerNorm.bias").unwrap();
    *dtype = Dtype::I32;
    bytes.truncate(4 * 32);
    store(&dir.path().join("model.safetensors"), &tensors);

    let error = load_encoder::<Flex>(dir.path(), &Default::default()).unwrap_err();
    let text = error.to_string();
    let WeightsError::Tensors { problems, .. } = error else {
        panic!("{text}");
    };
    assert_eq!(problems.len(), 7, "{text}");
    for part in [
        "missing: `pooler.dense.bias`, expected [32]",
        "missing: `encoder.layer.1.output.dense.weight`, expected [32, 64]",
        "shape: `encoder.layer.0.intermediate.dense.weight`, expected [64, 32], found [32, 64]",
        "unexpected: `encoder.layer.2.output.dense.bias`, found [32]",
        "unexpected: `adapter.weight`, found [32]",
        "`encoder.layer.0.output.dense.bias` and `bert.encoder.layer.0.output.dense.bias` are",
        "type: `embeddings.LayerNorm.bias`, expected F32, F16, BF16 or F64, found I32",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn export_equals_the_original_bit_for_bit() {
    let device = Default::default();
    let (config, model, _) = load_encoder::<Autodiff<Flex>>(&golden("tiny"), &device).unwrap();
    let dir = tempfile::tempdir().unwrap();
    save_encoder(dir.path(), &config, &model).unwrap();
    let written = stored(&dir.path().join("model.safetensors"));
    assert!(written == original(), "other names, shapes or bits");
    let (again, _, _) = load_encoder::<Flex>(dir.path(), &device).unwrap();
    assert_eq!(again, config);
    let before = json(&golden("tiny/config.json"));
    let after = json(&dir.path().join("config.json"));
    for (key, value) in before.as_object().unwrap() {
        assert_eq!(&after[key], value, "{key}");
    }
}

/// The tiny model with other names.
fn renamed(rename: impl Fn(&str) -> String) -> tempfile::TempDir {
    let dir = folder();
    let tensors: Stored = original()
        .into_iter()
        .map(|(name, value)| (rename(&name), value))
        .collect();
    store(&dir.path().join("model.safetensors"), &tensors);
    dir
}

#[test]
fn prefixes_of_wrappers_are_taken_off() {
    let device = Default::default();
    for (before, prefix) in [
        ("", ""),
        ("bert.", ""),
        ("model.", "model."),
        ("module.", "module."),
        ("_orig_mod.", "_orig_mod."),
        ("0.auto_model.", "0.auto_model."),
        ("module.bert.", "module."),
        ("_orig_mod.bert.", "_orig_mod."),
        ("_orig_mod.module.model.bert.", "_orig_mod.module.model."),
    ] {
        let dir = renamed(|name| format!("{before}{name}"));
        let (_, model, imported) = load_encoder::<Flex>(dir.path(), &device).unwrap();
        assert_eq!(imported.prefix, prefix);
        Tiny::new().check(&model, &device, TOLERANCE);
    }
    for (dir, part) in [
        (
            renamed(|name| format!("encoder_model.{name}")),
            "unexpected: `encoder_model.embeddings.LayerNorm.bias`",
        ),
        // Two wrappers in one file are two models.
        (
            renamed(|name| match name.starts_with("pooler") {
                true => format!("model.{name}"),
                false => format!("module.{name}"),
            }),
            "unexpected: `module.embeddings.LayerNorm.bias`",
        ),
    ] {
        let error = load_encoder::<Flex>(dir.path(), &device).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn tied_output_embeddings_stand_for_the_word_embeddings() {
    const WORDS: &str = "embeddings.word_embeddings.weight";
    let device = Default::default();
    for before in ["", "module."] {
        let dir = renamed(|name| match name {
            WORDS => format!("{before}cls.predictions.decoder.weight"),
            _ => format!("{before}bert.{name}"),
        });
        let (_, model, imported) = load_encoder::<Flex>(dir.path(), &device).unwrap();
        assert!(imported.tied_decoder && imported.ignored.is_empty());
        Tiny::new().check(&model, &device, TOLERANCE);

        let path = dir.path().join("config.json");
        let mut config = json(&path);
        config["tie_word_embeddings"] = false.into();
        std::fs::write(&path, config.to_string()).unwrap();
        let error = load_encoder::<Flex>(dir.path(), &device).unwrap_err();
        let missing = format!("missing: `{before}{WORDS}`");
        assert!(error.to_string().contains(&missing), "{error}");
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let dir = folder();
    let mut tensors = original();
    let bad = ["encoder.layer.1.output.dense.weight", "pooler.dense.bias"];
    for (name, value) in bad.into_iter().zip([f32::NAN, f32::NEG_INFINITY]) {
        let bytes = &mut tensors.get_mut(name).unwrap().2;
        bytes[8..12].copy_from_slice(&value.to_le_bytes());
    }
    store(&dir.path().join("model.safetensors"), &tensors);
    let error = load_encoder::<Flex>(dir.path(), &Default::default()).unwrap_err();
    assert!(error.is_input());
    let text = error.to_string();
    assert!(text.contains("in 2 tensor(s)"), "{text}");
    let first = format!(
        "`{}` (1 of 2048 values), `{}` (1 of 32 values)",
        bad[0], bad[1]
    );
    assert!(text.contains(&first), "{text}");
}
