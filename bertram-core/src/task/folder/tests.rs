use super::*;
use crate::data::{Preprocess, sequence_batch};
use crate::encoder::{Pooling, load_encoder, save_tensors};
use crate::head::{HeadKind, Threshold};
use crate::loss::{LossKind, LossOptions};
use crate::task::{TaskId, TaskSpec};
use burn::backend::Flex;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;
use serde_json::{Value, json};

const TEXTS: [&str; 3] = ["the film was good", "a dog", "the cat runs on"];

fn config() -> BertConfig {
    BertConfig {
        vocab_size: 80,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 32,
        max_position_embeddings: 24,
        initializer_range: 0.3,
        ..BertConfig::default()
    }
}

fn task(task: TaskId, head: HeadKind, loss: LossKind, pooling: Pooling) -> TaskConfig {
    TaskConfig {
        task,
        spec: TaskSpec::preset(task).expect("a preset"),
        head,
        loss,
        pooling,
        layer_mix: false,
        head_dropout: 0.1,
        threshold: Threshold::Calibrated,
        margin: 0.0,
        loss_options: LossOptions::default(),
    }
}

fn encode(pooling: Pooling) -> EncodeSettings {
    EncodeSettings {
        preprocess: Preprocess::Cs224n,
        max_length: 20,
        pooling,
        normalize: false,
        layer_mix: false,
    }
}

fn tokenizer() -> BertTokenizer {
    BertTokenizer::train_word_piece(TEXTS.into_iter().cycle().take(9), 80).expect("a tokenizer")
}

fn model(tasks: Vec<TaskConfig>) -> MultitaskModel<Flex> {
    let device = Default::default();
    let heads = tasks
        .into_iter()
        .map(|task| TaskHead::of_encoder(task, &config(), &device))
        .collect();
    MultitaskModel::new(config().init(&device), heads)
}

fn save(dir: &Path, model: &MultitaskModel<Flex>, encode: EncodeSettings) {
    let export = ModelExport {
        config: &config(),
        tokenizer: &tokenizer(),
        model,
        encode,
        card: "# A card\n",
    };
    save_model_folder(dir, &export).expect("saved");
}

fn three_tasks(pooling: Pooling) -> Vec<TaskConfig> {
    vec![
        task(
            TaskId::SST,
            HeadKind::Linear,
            LossKind::CrossEntropy,
            pooling,
        ),
        task(TaskId::PARA, HeadKind::Concat, LossKind::Bce, pooling),
        task(TaskId::STS, HeadKind::Cosine, LossKind::Bce, pooling),
    ]
}

fn values<M: Module<Flex>>(module: &M) -> std::collections::BTreeMap<String, TensorData> {
    crate::encoder::weights::parameter_values(module)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON")
}

fn fault(dir: &Path) -> String {
    let error = load_model_folder::<Flex>(dir, &Default::default())
        .err()
        .expect("refused");
    assert!(error.is_input(), "{error}");
    error.to_string()
}

#[test]
fn a_folder_says_how_it_was_trained_and_names_heads_by_task() {
    let dir = tempfile::tempdir().expect("temp dir");
    let model = model(three_tasks(Pooling::Cls));
    save(dir.path(), &model, encode(Pooling::Cls));
    let names = crate::encoder::weights::tensor_names(&dir.path().join("heads.safetensors"));
    assert_eq!(
        names.expect("names"),
        [
            "para.hidden.bias",
            "para.hidden.weight",
            "para.output.bias",
            "para.output.weight",
            "sst.linear.bias",
            "sst.linear.weight",
            "sts.bias",
            "sts.scale"
        ]
    );
    let heads = json_of(&dir.path().join("heads.json"));
    assert_eq!(heads["version"], 2);
    assert_eq!(heads["max-length"], 20);
    assert_eq!(heads["tasks"][2]["label"]["max"], 5.0);
    let read = load_model_folder::<Flex>(dir.path(), &Default::default()).expect("read");
    assert_eq!(read.encode, Some(encode(Pooling::Cls)));
    assert_eq!(values(&read.model.heads), values(&model.heads));
    assert_eq!(
        read.model.heads[1].config(),
        &three_tasks(Pooling::Cls)[1],
        "in the order of the tasks"
    );
}

/// As bertram 0.1.0 wrote it: a list, and heads by number.
fn make_old(dir: &Path, model: &MultitaskModel<Flex>) {
    let tasks: Vec<&TaskConfig> = model.heads.iter().map(TaskHead::config).collect();
    let text = serde_json::to_string_pretty(&tasks).expect("JSON");
    std::fs::write(dir.join("heads.json"), text).expect("written");
    save_tensors(&dir.join("heads.safetensors"), &model.heads).expect("written");
}

#[test]
fn a_folder_of_the_first_version_still_loads() {
    let dir = tempfile::tempdir().expect("temp dir");
    let model = model(three_tasks(Pooling::Mean));
    save(dir.path(), &model, encode(Pooling::Mean));
    make_old(dir.path(), &model);
    let read = load_model_folder::<Flex>(dir.path(), &Default::default()).expect("read");
    assert_eq!(read.encode, None);
    assert_eq!(values(&read.model.heads), values(&model.heads));
    let encoding = encoding_of(dir.path()).expect("read");
    assert_eq!(encoding.source, EncodingSource::OldHeads);
    assert_eq!(encoding.pooling, Some(Pooling::Mean));
}

#[test]
fn what_heads_json_may_not_say() {
    let dir = tempfile::tempdir().expect("temp dir");
    save(
        dir.path(),
        &model(three_tasks(Pooling::Mean)),
        encode(Pooling::Mean),
    );
    let path = dir.path().join("heads.json");
    let good = json_of(&path);
    let cases: &[(&str, Value, &str)] = &[
        ("/version", json!(6), "newer bertram"),
        ("/version", json!(1), "`version` is not 2"),
        (
            "/max-length",
            json!(2),
            "`max-length` is 2; it must be at least 3",
        ),
        (
            "/max-length",
            json!(25),
            "from 3 to the model's 24 positions",
        ),
        ("/max-length", json!(-1), "max-length"),
        (
            "/pooling",
            json!("most"),
            "`pooling`: \"most\" is no pooling",
        ),
        ("/preprocess", json!(7), "preprocess"),
        ("/tasks", json!({}), "`tasks` is not a list"),
        (
            "/tasks/0/head-dropout",
            json!(-1),
            "task sst: `head-dropout` is -1; it must be in [0, 1)",
        ),
        ("/tasks/0/head-dropout", json!(1), "it must be in [0, 1)"),
        (
            "/tasks/1/margin",
            json!(1),
            "task para: `margin` is 1; it must be in [-1, 1)",
        ),
        (
            "/tasks/0/head",
            json!("cosine"),
            "task sst: `head` is cosine; sst takes linear",
        ),
        (
            "/tasks/1/head",
            json!("linear"),
            "para takes cosine, concat, cross-encoder",
        ),
        ("/tasks/0/loss", json!("bce"), "`loss` is bce"),
        ("/tasks/1/task", json!("sst"), "task sst"),
        ("/tasks/1/task", json!("quora"), "is no preset"),
        ("/tasks/0/label/classes", json!(3), "`label` is"),
        ("/tasks/2/label/max", json!(1.0), "`label` is"),
    ];
    for (key, value, part) in cases {
        let mut bad = good.clone();
        *bad.pointer_mut(key).expect("there") = value.clone();
        std::fs::write(&path, bad.to_string()).expect("written");
        let text = fault(dir.path());
        assert!(text.contains(part), "{key} = {value}: {text}");
        assert!(text.contains("heads.json"), "{text}");
    }
    std::fs::write(&path, "{").expect("written");
    assert!(fault(dir.path()).contains("line 1 column 1"));
    std::fs::write(&path, "[]").expect("written");
    assert!(fault(dir.path()).contains("unexpected: `para.hidden.bias`"));
}

#[test]
fn an_old_list_is_checked_as_well() {
    let dir = tempfile::tempdir().expect("temp dir");
    let model = model(three_tasks(Pooling::Mean));
    save(dir.path(), &model, encode(Pooling::Mean));
    make_old(dir.path(), &model);
    let path = dir.path().join("heads.json");
    let mut list = json_of(&path);
    list[0]["head-dropout"] = json!(-1);
    std::fs::write(&path, list.to_string()).expect("written");
    let text = fault(dir.path());
    assert!(text.contains("`head-dropout` is -1"), "{text}");
}

#[test]
fn heads_that_are_not_finite_are_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut model = model(three_tasks(Pooling::Mean));
    model.heads = model
        .heads
        .into_iter()
        .map(|head| head.map(&mut Spoil))
        .collect();
    save(dir.path(), &model, encode(Pooling::Mean));
    let text = fault(dir.path());
    assert!(
        text.contains("`para.hidden.bias` (16 of 16 values)"),
        "{text}"
    );
}

/// Makes every number of a module NaN.
struct Spoil;

impl burn::module::ModuleMapper<Flex> for Spoil {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<Flex, D>>,
    ) -> burn::module::Param<Tensor<Flex, D>> {
        param.map(|tensor| tensor * f32::NAN)
    }
}

#[test]
fn our_own_folder_reads_the_same_as_sentence_transformers() {
    let both = ["cls+mean", "max+mean", "cls+max+mean"].map(|it| it.parse().expect("a pooling"));
    for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Pooler, Pooling::Max]
        .into_iter()
        .chain(both)
    {
        let dir = tempfile::tempdir().expect("temp dir");
        let model = model(three_tasks(pooling));
        save(dir.path(), &model, encode(pooling));
        let ours = encoding_of(dir.path()).expect("read");
        assert_eq!(ours.source, EncodingSource::Heads);
        std::fs::remove_file(dir.path().join("heads.json")).expect("removed");
        let theirs = encoding_of(dir.path()).expect("read");
        assert_eq!(theirs.source, EncodingSource::Modules);
        assert_eq!(theirs.pooling, Some(pooling));
        let pooler = theirs.pooler.clone();
        assert_eq!(pooler.is_some(), pooling == Pooling::Pooler);
        let same = Encoding {
            source: EncodingSource::Heads,
            pooler: None,
            weights: dir.path().to_owned(),
            ..theirs
        };
        assert_eq!(same, ours);
        if let Some(path) = pooler {
            let device = Default::default();
            let other = config().init::<Flex>(&device);
            let read = crate::encoder::load_dense_pooler(&path, other, &device).expect("read");
            assert_eq!(values(&read.pooler), values(&model.encoder.pooler));
        }
    }
}

/// Writes a sentence-transformers folder without weights.
fn sentence_folder(dir: &Path, modules: &[(&str, &str)], files: &[(&str, Value)]) {
    let modules: Vec<Value> = modules
        .iter()
        .enumerate()
        .map(|(idx, (path, kind))| {
            json!({ "idx": idx, "name": idx.to_string(), "path": path, "type": format!("sentence_transformers.models.{kind}") })
        })
        .collect();
    let write = |path: &str, value: &Value| {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, value.to_string()).expect("written");
    };
    write("modules.json", &Value::Array(modules));
    for (path, value) in files {
        write(path, value);
    }
}

#[test]
fn sentence_transformers_folders_say_what_they_are() {
    let pooling = |key: &str| json!({ "word_embedding_dimension": 16, key: true });
    let cls = ("1_Pooling/config.json", pooling("pooling_mode_cls_token"));
    let mean = ("1_Pooling/config.json", pooling("pooling_mode_mean_tokens"));
    let base = [("", "Transformer"), ("1_Pooling", "Pooling")];

    let read = |modules: &[(&str, &str)], files: &[(&str, Value)]| {
        let dir = tempfile::tempdir().expect("temp dir");
        sentence_folder(dir.path(), modules, files);
        let encoding = encoding_of(dir.path()).expect("read");
        let inside = encoding
            .weights
            .strip_prefix(dir.path())
            .expect("inside")
            .to_owned();
        (encoding, inside)
    };
    let (plain, inside) = read(&base, std::slice::from_ref(&mean));
    assert_eq!(
        (plain.pooling, plain.max_length),
        (Some(Pooling::Mean), None)
    );
    assert_eq!(inside, Path::new(""));

    let (bare, _) = read(&base, &[]);
    assert_eq!(bare.pooling, Some(Pooling::Mean), "the module's default");

    let (old, inside) = read(
        &[
            ("0_Transformer", "Transformer"),
            ("1_Pooling", "Pooling"),
            ("2_Normalize", "Normalize"),
        ],
        &[
            cls.clone(),
            (
                "0_Transformer/sentence_bert_config.json",
                json!({ "max_seq_length": 8, "do_lower_case": true }),
            ),
        ],
    );
    assert_eq!(inside, Path::new("0_Transformer"));
    assert_eq!((old.pooling, old.max_length), (Some(Pooling::Cls), Some(8)));
    assert!(old.normalize && old.preprocess == Preprocess::Cs224n);

    let (new, _) = read(
        &[
            ("", "modules.transformer.Transformer"),
            ("1_Pooling", "modules.pooling.Pooling"),
        ],
        &[
            (
                "1_Pooling/config.json",
                json!({ "embedding_dimension": 16, "pooling_mode": "mean" }),
            ),
            (
                "sentence_bert_config.json",
                json!({ "max_seq_length": null }),
            ),
            ("tokenizer_config.json", json!({ "model_max_length": 12 })),
            (
                "config_sentence_transformers.json",
                json!({ "prompts": { "query": "query: " }, "default_prompt_name": "query" }),
            ),
        ],
    );
    assert_eq!(
        (new.pooling, new.max_length),
        (Some(Pooling::Mean), Some(12))
    );
    assert_eq!(new.prompt, "query: ");

    let dense = |activation: &str, out: usize| json!({ "in_features": 16, "out_features": out, "bias": true, "activation_function": activation });
    let with = |module: (&'static str, &'static str)| [base[0], base[1], module];
    for (modules, files, lacking) in [
        (
            base.to_vec(),
            vec![(
                "1_Pooling/config.json",
                pooling("pooling_mode_weightedmean_tokens"),
            )],
            "pooling by weightedmean",
        ),
        (
            base.to_vec(),
            vec![(
                "1_Pooling/config.json",
                json!({ "pooling_mode": ["mean", "cls"] }),
            )],
            "pooling by mean and cls",
        ),
        (
            base.to_vec(),
            vec![(
                "1_Pooling/config.json",
                json!({ "pooling_mode": "lasttoken" }),
            )],
            "pooling by lasttoken",
        ),
        (vec![base[0]], vec![], "no Pooling module"),
        (
            with(("2_CNN", "CNN")).to_vec(),
            vec![mean.clone()],
            "a CNN module",
        ),
        (
            with(("2_Dense", "Dense")).to_vec(),
            vec![
                mean.clone(),
                (
                    "2_Dense/config.json",
                    dense("torch.nn.modules.activation.Tanh", 16),
                ),
            ],
            "a Dense module after the pooling",
        ),
        (
            with(("2_Dense", "Dense")).to_vec(),
            vec![
                cls.clone(),
                (
                    "2_Dense/config.json",
                    dense("torch.nn.modules.linear.Identity", 16),
                ),
            ],
            "not a BERT pooler",
        ),
        (
            with(("2_Dense", "Dense")).to_vec(),
            vec![
                cls.clone(),
                (
                    "2_Dense/config.json",
                    dense("torch.nn.modules.activation.Tanh", 8),
                ),
            ],
            "not a BERT pooler",
        ),
        (
            with(("2_Dense", "Dense")).to_vec(),
            vec![
                cls.clone(),
                (
                    "2_Dense/config.json",
                    dense("torch.nn.modules.activation.Tanh", 16),
                ),
            ],
            "without model.safetensors",
        ),
    ] {
        let (encoding, _) = read(&modules, &files);
        let said = encoding.lacking.expect("lacking");
        assert!(said.contains(lacking), "{said} for {lacking}");
        assert_eq!(encoding.pooling, None);
    }

    for (modules, files, part) in [
        (vec![("../..", "Transformer")], vec![], "leads out"),
        (vec![("", "CLIPModel")], vec![], "first module is CLIPModel"),
        (vec![], vec![], "no module"),
        (
            base.to_vec(),
            vec![
                mean.clone(),
                ("sentence_bert_config.json", json!({ "max_seq_length": -1 })),
            ],
            "`max_seq_length` is -1",
        ),
        (
            base.to_vec(),
            vec![
                mean.clone(),
                (
                    "config_sentence_transformers.json",
                    json!({ "default_prompt_name": "x" }),
                ),
            ],
            "not in `prompts`",
        ),
    ] {
        let dir = tempfile::tempdir().expect("temp dir");
        sentence_folder(dir.path(), &modules, &files);
        let error = encoding_of(dir.path()).expect_err("refused");
        assert!(error.to_string().contains(part), "{error}");
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let nothing = encoding_of(dir.path()).expect("read");
    assert_eq!(nothing.source, EncodingSource::Nothing);
    std::fs::write(dir.path().join("modules.json"), "[{").expect("written");
    let error = encoding_of(dir.path()).expect_err("refused").to_string();
    assert!(error.contains("modules.json"), "{error}");
}

/// What `BertForSequenceClassification` makes of `[CLS]`-headed sequences, from the files of a task's folder.
fn classified(dir: &Path, texts: &[&str]) -> (Vec<Vec<f64>>, Value) {
    let device = Default::default();
    let (_, encoder, imported) = load_encoder::<Flex>(dir, &device).expect("an encoder");
    assert_eq!(imported.ignored, ["classifier.bias", "classifier.weight"]);
    let bytes = std::fs::read(dir.join("model.safetensors")).expect("there");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("whole");
    let numbers = |name: &str| -> (Vec<usize>, Vec<f32>) {
        let view = file.tensor(name).expect("there");
        let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four"));
        let values = view.data().chunks(4).map(number).collect();
        (view.shape().to_vec(), values)
    };
    let (shape, weight) = numbers("classifier.weight");
    let (_, bias) = numbers("classifier.bias");
    let tokenizer = BertTokenizer::from_folder(dir).expect("a tokenizer");
    let ids = tokenizer.encode_all(texts).expect("ids");
    let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let batch = sequence_batch::<Flex>(&ids, tokenizer.special(), 20, 1, &device);
    let hidden = encoder.forward(&batch);
    let pooled = encoder.pool(hidden, &batch.attention_mask, Pooling::Pooler);
    let pooled: Vec<f32> = pooled.into_data().to_vec().expect("floats");
    let logits = pooled
        .chunks(shape[1])
        .map(|vector| {
            weight
                .chunks(shape[1])
                .zip(&bias)
                .map(|(row, bias)| {
                    let products = row.iter().zip(vector).map(|(w, x)| f64::from(w * x));
                    products.sum::<f64>() + f64::from(*bias)
                })
                .collect()
        })
        .collect();
    (logits, json_of(&dir.join("config.json")))
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

/// The heads' own logits; a packed pair is stood for by one sentence, since only the head differs.
fn own_logits(
    model: &MultitaskModel<Flex>,
    head: &TaskHead<Flex>,
    texts: &[&str],
) -> Vec<Vec<f32>> {
    let device = Default::default();
    let tokenizer = tokenizer();
    let ids = tokenizer.encode_all(texts).expect("ids");
    let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let tokens = sequence_batch::<Flex>(&ids, tokenizer.special(), 20, 1, &device);
    let batch = crate::data::TaskBatch {
        task: head.config().task,
        tokens,
        labels: None,
        weights: None,
        examples: texts.len(),
        token_count: 0,
        pooled: None,
    };
    let logits = model.forward(head, &batch);
    let width = logits.dims()[1];
    let logits: Vec<f32> = logits.into_data().to_vec().expect("floats");
    logits.chunks(width).map(<[f32]>::to_vec).collect()
}

#[test]
fn a_task_folder_computes_what_the_head_does() {
    use HeadKind::{CrossEncoder, Linear};
    for pooling in [Pooling::Cls, Pooling::Pooler] {
        let dir = tempfile::tempdir().expect("temp dir");
        let model = model(vec![
            task(TaskId::SST, Linear, LossKind::CrossEntropy, pooling),
            task(TaskId::PARA, CrossEncoder, LossKind::Bce, pooling),
            task(TaskId::STS, CrossEncoder, LossKind::Mse, pooling),
        ]);
        save(dir.path(), &model, encode(pooling));
        for head in &model.heads {
            let task = head.config();
            let (logits, config) = classified(&dir.path().join(task.task.name()), &TEXTS);
            let own = own_logits(&model, head, &TEXTS);
            for (logits, own) in logits.iter().zip(&own) {
                let expected = task.predict(own);
                match task.task {
                    TaskId::STS => {
                        let score = logits[0].clamp(0.0, 5.0);
                        assert!(
                            (score - expected.value).abs() < 1e-5,
                            "{score} {expected:?}"
                        );
                    }
                    _ => {
                        for (one, other) in softmax(logits).iter().zip(&expected.probabilities) {
                            assert!((one - other).abs() < 1e-5, "{pooling:?} {one} {other}");
                        }
                    }
                }
            }
            let labels = if task.task == TaskId::STS {
                1
            } else {
                task.predict(&own[0]).probabilities.len()
            };
            assert_eq!(
                config["id2label"].as_object().expect("labels").len(),
                labels
            );
            assert_eq!(config["architectures"][0], "BertForSequenceClassification");
        }
    }
}

#[test]
fn what_is_no_sequence_classifier_gets_no_folder() {
    let dir = tempfile::tempdir().expect("temp dir");
    let tasks = vec![
        task(
            TaskId::SST,
            HeadKind::Linear,
            LossKind::CrossEntropy,
            Pooling::Mean,
        ),
        task(TaskId::PARA, HeadKind::Concat, LossKind::Bce, Pooling::Cls),
        task(
            TaskId::STS,
            HeadKind::CrossEncoder,
            LossKind::Bce,
            Pooling::Cls,
        ),
    ];
    assert!(!tasks.iter().any(is_sequence_classifier));
    save(dir.path(), &model(tasks), encode(Pooling::Mean));
    for task in TaskId::PAPER {
        assert!(!dir.path().join(task.name()).exists(), "{task}");
    }
    assert!(dir.path().join("README.md").is_file());
}

#[test]
fn a_task_of_ones_own_says_what_it_is() {
    let dir = tempfile::tempdir().expect("temp dir");
    let nli = TaskConfig {
        task: TaskId::new("nli").expect("a name"),
        spec: TaskSpec {
            title: "inference".into(),
            inputs: crate::spec::Inputs::Pair,
            label: crate::spec::LabelKind::Classes { classes: 3 },
            labels: ["entailment", "neutral", "contradiction"]
                .map(str::to_owned)
                .into(),
            metric: crate::spec::Metric::MacroF1,
            preset: None,
        }
        .into(),
        ..task(
            TaskId::SST,
            HeadKind::CrossEncoder,
            LossKind::CrossEntropy,
            Pooling::Cls,
        )
    };
    let sst = task(
        TaskId::SST,
        HeadKind::Linear,
        LossKind::CrossEntropy,
        Pooling::Cls,
    );
    let tasks = vec![nli.clone(), sst.clone()];
    save(dir.path(), &model(tasks.clone()), encode(Pooling::Cls));
    let folder = load_model_folder::<Flex>(dir.path(), &Default::default()).expect("reads back");
    let read: Vec<TaskConfig> = (folder.model.heads.iter())
        .map(|head| head.config().clone())
        .collect();
    assert_eq!(read, tasks);
    let value = |path: &str| -> Value {
        let text = std::fs::read_to_string(dir.path().join(path)).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(value("heads.json")["version"], 3);
    assert_eq!(value("nli/config.json")["id2label"]["2"], "contradiction");
    // Where every task is a preset, older programs read the file.
    save(dir.path(), &model(vec![sst]), encode(Pooling::Cls));
    assert_eq!(value("heads.json")["version"], 2);
}

#[test]
fn what_a_loss_was_told_is_kept_and_need_not_be_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("heads.json");
    let with = |loss, loss_options| TaskConfig {
        loss_options,
        ..task(TaskId::SST, HeadKind::Linear, loss, Pooling::Cls)
    };
    let read = || -> Vec<TaskConfig> {
        let folder = load_model_folder::<Flex>(dir.path(), &Default::default());
        let heads = folder.expect("reads back").model.heads;
        heads.iter().map(|head| head.config().clone()).collect()
    };
    let told = LossOptions {
        label_smoothing: 0.1,
        class_weights: vec![1.0, 2.0, 0.5, 1.0, 1.0],
        ..LossOptions::default()
    };
    let smoothed = with(LossKind::CrossEntropy, told);
    save(
        dir.path(),
        &model(vec![smoothed.clone()]),
        encode(Pooling::Cls),
    );
    assert_eq!(read(), [smoothed]);
    // Older programs pass over the new keys, and know the loss.
    let good = json_of(&path);
    assert_eq!(good["version"], 2);
    assert_eq!(good["tasks"][0]["label-smoothing"], 0.1);
    assert_eq!(good["tasks"][0].get("focal-gamma"), None);
    for (key, value, part) in [
        (
            "label-smoothing",
            json!(1),
            "`label-smoothing`: it must be in [0, 1)",
        ),
        (
            "class-weights",
            json!([1, 2]),
            "`class-weights`: it must have 5 numbers above 0",
        ),
        ("class-weights", json!([1, 1, 1, 1, 0]), "5 numbers above 0"),
        (
            "focal-gamma",
            json!(-1),
            "`focal-gamma`: it must be at least 0",
        ),
        ("scale", json!("x"), "`scale`: invalid type"),
        ("scale", json!(0), "`scale`: it must be above 0"),
    ] {
        let mut bad = good.clone();
        bad["tasks"][0][key] = value;
        std::fs::write(&path, bad.to_string()).expect("written");
        let text = fault(dir.path());
        assert!(text.contains(part), "{key}: {text}");
    }
    // What says nothing of it is as files were before.
    let plain = with(LossKind::CrossEntropy, LossOptions::default());
    save(dir.path(), &model(vec![plain]), encode(Pooling::Cls));
    let entry = json_of(&path)["tasks"][0].clone();
    for key in ["label-smoothing", "class-weights", "focal-gamma", "scale"] {
        assert_eq!(entry.get(key), None);
    }
    // A loss that older programs do not know has a version that they name.
    for loss in [LossKind::Focal, LossKind::Ordinal] {
        let task = with(loss, LossOptions::default());
        save(dir.path(), &model(vec![task.clone()]), encode(Pooling::Cls));
        assert_eq!(json_of(&path)["version"], 4);
        assert_eq!(read(), [task]);
    }
}

/// Logits of a few texts, of each task.
fn logits(model: &MultitaskModel<Flex>) -> Vec<Vec<f32>> {
    let device = Default::default();
    let tokens = tokenizer().encode_all(&TEXTS).expect("encoded");
    let rows: Vec<&[u32]> = tokens
        .iter()
        .chain(&tokens[..1])
        .map(Vec::as_slice)
        .collect();
    let batch = sequence_batch::<Flex>(&rows, tokenizer().special(), 20, 1, &device);
    let of_head = |head: &TaskHead<Flex>| {
        let embedded = model.encoder.embed(&batch);
        let pooled = (model.encoder).encode_pooled(embedded, &batch.attention_mask, head.readout());
        let logits = head.forward(pooled).into_data();
        logits.iter::<f32>().collect()
    };
    model.heads.iter().map(of_head).collect()
}

#[test]
fn what_heads_learn_of_vectors_is_kept() {
    let device = Default::default();
    let parse = |name: &str| -> Pooling { name.parse().expect("a pooling") };
    let cases = [
        ("cls+mean", false, true),
        ("mean+max", false, true),
        ("max", false, true),
        ("pooler+mean", false, false),
        ("attention", false, false),
        ("cls", true, false),
        ("attention+cls", true, false),
    ];
    for (name, layer_mix, is_sentence_transformer) in cases {
        let dir = tempfile::tempdir().expect("temp dir");
        // What an export before this one left there is not taken for this one's.
        save(
            dir.path(),
            &model(three_tasks(Pooling::Mean)),
            encode(Pooling::Mean),
        );
        let mut tasks = three_tasks(parse(name));
        for task in &mut tasks {
            task.layer_mix = layer_mix;
        }
        let fresh = logits(&model(tasks.clone()));
        assert!(fresh.iter().flatten().all(|it| it.is_finite()));
        let model = model(tasks.clone());
        // Parameters that begin at 0 would be no proof.
        let model = model.map(&mut Stir(0));
        let settings = EncodeSettings {
            layer_mix,
            ..encode(parse(name))
        };
        assert_eq!(settings.is_sentence_transformer(), is_sentence_transformer);
        save(dir.path(), &model, settings);
        let heads = json_of(&dir.path().join("heads.json"));
        assert_eq!(heads["version"], 5, "{name}");
        assert_eq!(heads["tasks"][1]["pooling"], name);
        let read = load_model_folder::<Flex>(dir.path(), &device).expect("read");
        assert_eq!(read.encode, Some(settings));
        let configs: Vec<&TaskConfig> = read.model.heads.iter().map(TaskHead::config).collect();
        assert_eq!(configs, tasks.iter().collect::<Vec<_>>());
        assert_eq!(values(&read.model.heads), values(&model.heads));
        assert_eq!(logits(&read.model), logits(&model), "{name}");
        let names = crate::encoder::weights::tensor_names(&dir.path().join("heads.safetensors"));
        let names = names.expect("names");
        let has = |name: &str| names.iter().any(|it| it == name);
        assert_eq!(has("sst.attention.query"), name.contains("attention"));
        assert_eq!(has("para.layer_mix.weights"), layer_mix);
        assert_eq!(has("sts.layer_mix.scale"), layer_mix);
        assert!(has("sst.linear.weight"));
        let modules = dir.path().join("modules.json");
        assert_eq!(modules.is_file(), is_sentence_transformer, "{name}");
        // No `BertForSequenceClassification` reads these, but for plain vectors of `[CLS]`.
        assert!(!dir.path().join("sst").exists(), "{name}");
        let encoding = encoding_of(dir.path()).expect("read");
        assert_eq!(encoding.pooling, Some(parse(name)));
        assert_eq!(encoding.layer_mix, layer_mix);
    }
}

/// Adds numbers to every parameter, others to each.
struct Stir(usize);

impl burn::module::ModuleMapper<Flex> for Stir {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<Flex, D>>,
    ) -> burn::module::Param<Tensor<Flex, D>> {
        self.0 += 1;
        let seed = self.0;
        param.map(|tensor| {
            let shape = tensor.shape();
            let count = shape.num_elements();
            let numbers: Vec<f32> = (0..count)
                .map(|at| 0.3 * (at as f32 + 7.0 * seed as f32).sin())
                .collect();
            let device = tensor.device();
            tensor + Tensor::<Flex, 1>::from_floats(numbers.as_slice(), &device).reshape(shape)
        })
    }
}

#[test]
fn parts_in_another_order_than_sentence_transformers_are_said() {
    let change = |name: &str| encode(name.parse().expect("a pooling")).parts_change_places();
    assert!(!change("cls+mean") && !change("max+mean") && !change("mean"));
    assert!(change("mean+max") && change("mean+cls"));
}

/// What a disk or a hand does to a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Flip(u8),
    Insert(Vec<u8>),
    Repeat(usize),
}

fn damage() -> impl Strategy<Value = (f64, Damage)> {
    let tokens = [
        "-1",
        "0",
        "1e309",
        "null",
        "[]",
        "{}",
        "\"",
        "18446744073709551615",
    ];
    let kind = prop_oneof![
        Just(Damage::Cut),
        any::<u8>().prop_map(Damage::Flip),
        prop::sample::select(tokens.to_vec()).prop_map(|it| Damage::Insert(it.into())),
        prop::collection::vec(any::<u8>(), 1..9).prop_map(Damage::Insert),
        (1usize..64).prop_map(Damage::Repeat),
    ];
    (0.0..1.0f64, kind)
}

fn damaged(mut bytes: Vec<u8>, damages: &[(f64, Damage)]) -> Vec<u8> {
    for (place, damage) in damages {
        let at = (bytes.len() as f64 * place) as usize;
        match damage {
            Damage::Cut => bytes.truncate(at),
            Damage::Flip(mask) => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Damage::Insert(more) => {
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Repeat(count) => {
                let end = (at + count).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// A folder that is written once.
fn whole_folder() -> &'static Path {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let dir = tempfile::tempdir().expect("temp dir");
        let model = model(three_tasks(Pooling::Cls));
        save(dir.path(), &model, encode(Pooling::Cls));
        dir
    });
    folder.path()
}

/// The files that a model is read from.
const READ: [&str; 8] = [
    "config.json",
    "model.safetensors",
    "heads.json",
    "heads.safetensors",
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_damage_to_a_file_makes_the_reader_panic(
        file in prop::sample::select(READ.to_vec()),
        damages in prop::collection::vec(damage(), 1..4),
        is_gone in prop::bool::weighted(0.05),
    ) {
        let dir = tempfile::tempdir().expect("temp dir");
        for name in READ {
            let bytes = std::fs::read(whole_folder().join(name)).expect("a file");
            let bytes = match name == file {
                true if is_gone => continue,
                true => damaged(bytes, &damages),
                false => bytes,
            };
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        // A model, or an error with a message that the user can do something about.
        if let Err(error) = load_model_folder::<Flex>(dir.path(), &Default::default()) {
            prop_assert!(error.is_input() && !error.to_string().is_empty(), "{}", error);
        }
    }
}
