//! The encoder as a sentence-transformers model: `modules.json` and what it names, written and read.
//!
//! The files are those of sentence-transformers 2.2, which all later versions read without a warning (tried: 6.2).

use std::path::{Component, Path, PathBuf};

use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::{EncodeSettings, ModelExport, ModelFolderError, heads, make_folder, write_json};
use crate::encoder::Pooling;
use crate::encoder::weights::{WEIGHTS_FILE, save_dense_pooler};
use crate::fs::{READ_LIMIT, WriteError, read_text};
use crate::tokenizer::Preprocess;

const MODULES: &str = "modules.json";
const MODEL_CONFIG: &str = "config_sentence_transformers.json";
/// Settings of the `Transformer` module; the name's middle is the architecture's in folders of version 0.
const TRANSFORMER_CONFIGS: [&str; 2] =
    ["sentence_bert_config.json", "sentence_roberta_config.json"];
const POOLING_FOLDER: &str = "1_Pooling";
const DENSE_FOLDER: &str = "2_Dense";
const MODULE_CONFIG: &str = "config.json";
const TANH: &str = "torch.nn.modules.activation.Tanh";
/// Poolings that sentence-transformers' `Pooling` has too, in the order in which it puts their vectors side by side.
const IN_ORDER: [(Pooling, &str); 3] = [
    (Pooling::Cls, "cls"),
    (Pooling::Max, "max"),
    (Pooling::Mean, "mean"),
];
/// Keys of `1_Pooling/config.json` and the modes they switch on.
const POOLING_MODES: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The modes of sentence-transformers' `Pooling` that make a pooling's vectors, which it puts side by side in this order;
/// `None` where it has no such pooling. ([`Pooling::Pooler`] alone is `[CLS]`, with a `Dense` module after it.)
fn modes_of(pooling: Pooling) -> Option<Vec<&'static str>> {
    if pooling == Pooling::Pooler {
        return Some(vec!["cls"]);
    }
    let mode = |part| IN_ORDER.iter().find(|(own, _)| *own == part);
    let all = pooling.parts().all(|part| mode(part).is_some());
    let in_order = IN_ORDER.iter().filter(|(own, _)| pooling.has(*own));
    all.then(|| in_order.map(|(_, mode)| *mode).collect())
}

impl EncodeSettings {
    /// Whether sentence-transformers makes the same sentence vectors, but for the order of several poolings' parts
    /// ([`parts_change_places`](Self::parts_change_places)): then a folder is one of its models, too.
    pub fn is_sentence_transformer(&self) -> bool {
        !self.is_learnt() && modes_of(self.pooling).is_some()
    }

    /// Whether the parts of a vector lie in another order in sentence-transformers, which knows one only: `[CLS]`, maximum,
    /// mean. Lengths and cosines are the same.
    pub fn parts_change_places(&self) -> bool {
        let place = |part| IN_ORDER.iter().position(|(own, _)| *own == part);
        !self.pooling.parts().map(place).is_sorted()
    }
}

/// Writes `modules.json` and the modules: transformer, pooling, and for [`Pooling::Pooler`] the pooler as a dense layer.
/// Where sentence-transformers has no such pooling there is no `modules.json`, so that it does not take the folder for a model
/// with another.
pub(super) fn write<B: Backend>(
    dir: &Path,
    export: &ModelExport<'_, B>,
) -> Result<(), ModelFolderError> {
    let encode = &export.encode;
    let hidden = export.config.hidden_size;
    let modes = modes_of(encode.pooling).filter(|_| encode.is_sentence_transformer());
    let Some(modes) = modes else {
        return remove(&dir.join(MODULES));
    };
    let mut modules = vec![("", "Transformer"), (POOLING_FOLDER, "Pooling")];
    write_json(
        &dir.join(TRANSFORMER_CONFIGS[0]),
        &json!({
            "max_seq_length": encode.max_length,
            "do_lower_case": encode.preprocess == Preprocess::Cs224n,
        }),
    )?;
    let mut pooling = Map::from_iter([("word_embedding_dimension".to_owned(), json!(hidden))]);
    pooling.extend(
        POOLING_MODES.map(|(key, its_mode)| (key.to_owned(), json!(modes.contains(&its_mode)))),
    );
    pooling.insert("include_prompt".to_owned(), json!(true));
    make_folder(&dir.join(POOLING_FOLDER))?;
    write_json(
        &dir.join(POOLING_FOLDER).join(MODULE_CONFIG),
        &Value::Object(pooling),
    )?;
    if encode.pooling == Pooling::Pooler {
        let dense = dir.join(DENSE_FOLDER);
        make_folder(&dense)?;
        write_json(
            &dense.join(MODULE_CONFIG),
            &json!({
                "in_features": hidden, "out_features": hidden, "bias": true, "activation_function": TANH,
            }),
        )?;
        save_dense_pooler(&dense, &export.model.encoder)?;
        modules.push((DENSE_FOLDER, "Dense"));
    }
    if encode.normalize {
        modules.push(("3_Normalize", "Normalize"));
    }
    let modules: Vec<Value> = modules
        .into_iter()
        .enumerate()
        .map(|(idx, (path, kind))| {
            json!({
                "idx": idx, "name": idx.to_string(), "path": path,
                "type": format!("sentence_transformers.models.{kind}"),
            })
        })
        .collect();
    write_json(
        &dir.join(MODEL_CONFIG),
        &json!({ "prompts": {}, "default_prompt_name": null, "similarity_fn_name": "cosine" }),
    )?;
    write_json(&dir.join(MODULES), &Value::Array(modules))?;
    Ok(())
}

/// Removes a file that an export before this one may have left.
fn remove(path: &Path) -> Result<(), ModelFolderError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            let path = path.to_owned();
            Err(ModelFolderError::Write(WriteError { path, source }))
        }
        _ => Ok(()),
    }
}

/// What a folder says of how its encoder makes sentence vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// The folder of `config.json`, weights and tokenizer: the folder itself, or one in it.
    pub weights: PathBuf,
    /// How hidden states become a vector; `None` where the folder does not say, or says what bertram lacks.
    pub pooling: Option<Pooling>,
    /// What the folder asks for and bertram lacks, as a clause for a message. Vectors by another pooling can still be had.
    pub lacking: Option<String>,
    /// Most tokens of a sequence, special tokens counted; `None` for as many as there are positions.
    pub max_length: Option<usize>,
    /// What is done to texts, which are single sentences here.
    pub preprocess: Preprocess,
    /// What is put before every text.
    pub prompt: String,
    /// Whether vectors are scaled to length 1.
    pub normalize: bool,
    /// Weights of a dense layer with tanh that takes the pooler's place.
    pub pooler: Option<PathBuf>,
    /// Whether hidden states are a mix of all layers' that a task's head has learnt.
    pub layer_mix: bool,
    /// Which files said so.
    pub source: EncodingSource,
}

/// Where an [`Encoding`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingSource {
    /// `heads.json` of a bertram model.
    Heads,
    /// `heads.json` of bertram 0.1.0 or before, which says the tasks' pooling and nothing else; the rest is in the run's config.
    OldHeads,
    /// `modules.json` of a sentence-transformers model.
    Modules,
    /// No file: a plain encoder.
    Nothing,
}

impl EncodingSource {
    /// The name of the file that says it.
    pub fn file(self) -> Option<&'static str> {
        match self {
            Self::Heads | Self::OldHeads => Some(heads::FILE),
            Self::Modules => Some(MODULES),
            Self::Nothing => None,
        }
    }
}

/// Reads what a model folder says of itself: `heads.json` of bertram, else `modules.json` of sentence-transformers with the
/// files of its modules. A plain folder says nothing.
///
/// # Errors
/// [`ModelFolderError::File`] for a file that cannot be read or understood. What is understood but cannot be done is
/// [`Encoding::lacking`].
pub fn encoding_of(dir: &Path) -> Result<Encoding, ModelFolderError> {
    let mut encoding = Encoding {
        weights: dir.to_owned(),
        pooling: None,
        lacking: None,
        max_length: None,
        preprocess: Preprocess::None,
        prompt: String::new(),
        normalize: false,
        pooler: None,
        layer_mix: false,
        source: EncodingSource::Nothing,
    };
    if dir.join(heads::FILE).is_file() {
        let stated = heads::read(dir)?;
        match stated.encode {
            Some(encode) => {
                encoding.pooling = Some(encode.pooling);
                encoding.max_length = Some(encode.max_length);
                encoding.preprocess = encode.preprocess;
                encoding.normalize = encode.normalize;
                encoding.layer_mix = encode.layer_mix;
                encoding.source = EncodingSource::Heads;
            }
            None => {
                let mut poolings = stated.tasks.iter().map(|task| task.pooling);
                let first = poolings.next();
                encoding.pooling = first.filter(|first| poolings.all(|other| other == *first));
                encoding.preprocess = Preprocess::Cs224n;
                encoding.source = EncodingSource::OldHeads;
            }
        }
    } else if dir.join(MODULES).is_file() {
        encoding.source = EncodingSource::Modules;
        modules(dir, &mut encoding)?;
    }
    Ok(encoding)
}

/// Reads `modules.json` and what it names.
fn modules(dir: &Path, encoding: &mut Encoding) -> Result<(), ModelFolderError> {
    let path = dir.join(MODULES);
    let list = read_json(&path)?;
    let fault = |message: &str| ModelFolderError::file(&path, message);
    let list = list.as_array().ok_or_else(|| fault("is not a list"))?;
    let mut read = Vec::new();
    for module in list {
        let text = |key: &str| module.get(key).and_then(Value::as_str);
        let kind = text("type").ok_or_else(|| fault("a module has no `type`"))?;
        let folder = Path::new(text("path").unwrap_or_default());
        // A file of somebody else's must not reach out of its folder.
        if !folder
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(fault("a module's `path` leads out of the folder"));
        }
        read.push((kind.rsplit('.').next().unwrap_or(kind), dir.join(folder)));
    }
    let mut rest = read.into_iter();
    match rest.next() {
        Some(("Transformer", folder)) => transformer(folder, encoding)?,
        Some((other, _)) => {
            return Err(fault(&format!(
                "its first module is {other}; bertram takes a Transformer that is a BERT"
            )));
        }
        None => return Err(fault("has no module")),
    }
    prompt(&dir.join(MODEL_CONFIG), encoding)?;
    let mut pooled = false;
    for (kind, folder) in rest {
        match kind {
            "Pooling" if !pooled => {
                pooled = true;
                pooling(&folder.join(MODULE_CONFIG), encoding)?;
            }
            "Normalize" => encoding.normalize = true,
            "Dense" if encoding.pooling == Some(Pooling::Cls) && encoding.pooler.is_none() => {
                dense(&folder, encoding)?;
            }
            other => lack(encoding, format!("a {other} module after the pooling")),
        }
    }
    if !pooled {
        lack(encoding, "no Pooling module".to_owned());
    }
    if encoding.lacking.is_some() {
        encoding.pooling = None;
        encoding.pooler = None;
    }
    Ok(())
}

fn transformer(folder: PathBuf, encoding: &mut Encoding) -> Result<(), ModelFolderError> {
    let config = TRANSFORMER_CONFIGS
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file());
    if let Some(path) = config {
        let config = read_json(&path)?;
        encoding.max_length = length(&path, &config, "max_seq_length")?;
        if config.get("do_lower_case").and_then(Value::as_bool) == Some(true) {
            encoding.preprocess = Preprocess::Cs224n;
        }
    }
    // Without a length of its own, the tokenizer's counts.
    let path = folder.join("tokenizer_config.json");
    if encoding.max_length.is_none() && path.is_file() {
        let config = read_json(&path)?;
        let length = config.get("model_max_length").and_then(Value::as_u64);
        encoding.max_length = length.and_then(|length| usize::try_from(length).ok());
    }
    encoding.weights = folder;
    Ok(())
}

/// A length that is there and not `null`.
fn length(path: &Path, config: &Value, key: &str) -> Result<Option<usize>, ModelFolderError> {
    let Some(value) = config.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    value
        .as_u64()
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length >= heads::SHORTEST)
        .map(Some)
        .ok_or_else(|| {
            ModelFolderError::file(
                path,
                format!(
                    "`{key}` is {value}; it must be a whole number of at least {}",
                    heads::SHORTEST
                ),
            )
        })
}

/// The prompt that sentence-transformers puts before every text without being asked to.
fn prompt(path: &Path, encoding: &mut Encoding) -> Result<(), ModelFolderError> {
    if !path.is_file() {
        return Ok(());
    }
    let config = read_json(path)?;
    if let Some(width) = config.get("truncate_dim").filter(|it| !it.is_null()) {
        return Err(ModelFolderError::file(
            path,
            format!(
                "`truncate_dim` is {width}, and bertram does not shorten vectors: set it to null to have them whole"
            ),
        ));
    }
    if let Some(name) = config.get("default_prompt_name").and_then(Value::as_str) {
        let prompt = config.get("prompts").and_then(|prompts| prompts.get(name));
        encoding.prompt = prompt
            .and_then(Value::as_str)
            .ok_or_else(|| {
                ModelFolderError::file(
                    path,
                    format!("`default_prompt_name` is \"{name}\", which is not in `prompts`"),
                )
            })?
            .to_owned();
    }
    Ok(())
}

fn pooling(path: &Path, encoding: &mut Encoding) -> Result<(), ModelFolderError> {
    // Folders without the file are about; the module's defaults are meant.
    let config = if path.is_file() {
        read_json(path)?
    } else {
        json!({})
    };
    let on = |key: &str| config.get(key).and_then(Value::as_bool) == Some(true);
    let mut modes: Vec<String> = match config.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode.clone()],
        Some(Value::Array(modes)) => modes
            .iter()
            .filter_map(|mode| mode.as_str().map(str::to_owned))
            .collect(),
        _ => POOLING_MODES
            .iter()
            .filter(|(key, _)| on(key))
            .map(|(_, mode)| (*mode).to_owned())
            .collect(),
    };
    if modes.is_empty() {
        modes.push("mean".to_owned());
    }
    let place = |mode: &String| IN_ORDER.iter().position(|(_, own)| own == mode);
    let places: Option<Vec<usize>> = modes.iter().map(place).collect();
    // A list in another order than the module's own would be in doubt.
    let parts = (places.filter(|places| places.is_sorted()))
        .map(|places| places.into_iter().map(|place| IN_ORDER[place].0));
    match parts.map(Pooling::side_by_side) {
        Some(Ok(pooling)) => encoding.pooling = Some(pooling),
        Some(Err(_)) | None => lack(encoding, format!("pooling by {}", modes.join(" and "))),
    }
    let without_prompt = config.get("include_prompt").and_then(Value::as_bool) == Some(false);
    if without_prompt && !encoding.prompt.is_empty() {
        lack(encoding, "pooling that leaves a prompt out".to_owned());
    }
    Ok(())
}

/// A square dense layer with tanh after `[CLS]` pooling is a pooler.
fn dense(folder: &Path, encoding: &mut Encoding) -> Result<(), ModelFolderError> {
    let config = read_json(&folder.join(MODULE_CONFIG))?;
    let flag = |key: &str, default: bool| {
        let value = config.get(key).and_then(Value::as_bool);
        value.unwrap_or(default)
    };
    let text = |key: &str, default: &'static str| {
        let value = config.get(key).and_then(Value::as_str);
        value.unwrap_or(default).to_owned()
    };
    let square = config.get("in_features") == config.get("out_features");
    let tanh = text("activation_function", TANH).rsplit('.').next() == Some("Tanh");
    let plain = flag("bias", true)
        && !flag("use_residual", false)
        && text("module_input_name", "sentence_embedding") == "sentence_embedding"
        && text("module_output_name", "sentence_embedding") == "sentence_embedding";
    let weights = folder.join(WEIGHTS_FILE);
    if !(square && tanh && plain) {
        lack(encoding, "a Dense module that is not a BERT pooler".into());
    } else if !weights.is_file() {
        lack(encoding, "a Dense module without model.safetensors".into());
    } else {
        encoding.pooling = Some(Pooling::Pooler);
        encoding.pooler = Some(weights);
    }
    Ok(())
}

/// Notes the first thing that bertram lacks.
fn lack(encoding: &mut Encoding, what: String) {
    encoding.lacking.get_or_insert(what);
}

fn read_json(path: &Path) -> Result<Value, ModelFolderError> {
    let text = read_text(path, READ_LIMIT).map_err(|error| ModelFolderError::file(path, error))?;
    serde_json::from_str(&text).map_err(|error| ModelFolderError::file(path, error))
}
