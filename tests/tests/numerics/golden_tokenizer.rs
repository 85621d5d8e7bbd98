//! The tokenizer against `transformers.AutoTokenizer` (`golden/tokenizer/export.py`): folders that say how to tokenise in
//! many ways, read, written and read again.
//!
//! With `BERTRAM_TOKENIZER_EXPORTS=DIR` what is written stays in `DIR`, for `tests/roundtrip/tokenizer.py`;
//! `BERTRAM_TOKENIZER_MATRIX=FILE` takes another matrix.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bertram_core::data::BertTokenizer;
use serde_json::{Map, Value, json};

struct Matrix {
    golden: Value,
    texts: Vec<String>,
}

struct Combination<'a> {
    name: &'a str,
    files: Map<String, Value>,
    special: &'a Value,
    ids: Vec<Vec<u32>>,
}

impl Matrix {
    fn read() -> Self {
        let golden = match std::env::var_os("BERTRAM_TOKENIZER_MATRIX") {
            Some(path) => std::fs::read_to_string(path).expect("matrix"),
            None => include_str!("../../golden/tokenizer/matrix.json").to_owned(),
        };
        let golden: Value = serde_json::from_str(&golden).expect("JSON");
        let texts = serde_json::from_value(golden["texts"].clone()).expect("texts");
        Self { golden, texts }
    }

    fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }

    fn shared(&self, index: &Value) -> &Value {
        let index = index.as_u64().expect("an index");
        &self.golden["shared"][index as usize]
    }

    fn combinations(&self) -> impl Iterator<Item = Combination<'_>> {
        let all = self.golden["combinations"].as_array().expect("a list");
        all.iter().map(|combination| Combination {
            name: combination["name"].as_str().expect("a name"),
            files: combination["files"]
                .as_object()
                .expect("files")
                .iter()
                .map(|(name, index)| (name.clone(), self.shared(index).clone()))
                .collect(),
            special: self.shared(&combination["special"]),
            ids: combination["ids"]
                .as_array()
                .expect("ids")
                .iter()
                .map(|index| serde_json::from_value(self.shared(index).clone()).expect("ids"))
                .collect(),
        })
    }

    /// Tokens and their ids; the later of two tokens counts.
    fn vocabulary(&self, name: &Value) -> &Value {
        &self.golden["vocabularies"][name.as_str().expect("a name")]
    }

    fn write(&self, dir: &Path, files: &Map<String, Value>) {
        std::fs::create_dir_all(dir).expect("folder");
        let write = |name: &str, text: String| std::fs::write(dir.join(name), text).expect(name);
        write("config.json", json!({ "model_type": "bert" }).to_string());
        for (name, value) in files {
            let mut value = value.clone();
            if name == "vocab.txt" {
                let tokens = self.vocabulary(&value).as_array().expect("a list");
                let lines = tokens.iter().map(|token| token.as_str().expect("a token"));
                write(name, lines.map(|token| format!("{token}\n")).collect());
                continue;
            }
            if name == "tokenizer.json" {
                let vocab = &mut value["model"]["vocab"];
                *vocab = match self.vocabulary(vocab) {
                    Value::Array(tokens) => {
                        let ids = tokens.iter().enumerate();
                        ids.map(|(id, token)| (token.as_str().expect("a token").into(), id.into()))
                            .collect::<Map<String, Value>>()
                            .into()
                    }
                    object => object.clone(),
                };
            }
            write(name, value.to_string());
        }
    }
}

/// Ids of each text with special tokens, as `transformers` gives them.
fn ids(tokenizer: &BertTokenizer, texts: &[&str]) -> Vec<Vec<u32>> {
    let special = tokenizer.special();
    let encoded = tokenizer.encode_all(texts).expect("encode");
    let framed = encoded
        .into_iter()
        .map(|ids| [&[special.cls], ids.as_slice(), &[special.sep]].concat());
    framed.collect()
}

/// What differs, for people.
fn differences(
    what: &str,
    texts: &[&str],
    found: &[Vec<u32>],
    expected: &[Vec<u32>],
) -> Vec<String> {
    assert_eq!(found.len(), expected.len());
    let rows = texts.iter().zip(found.iter().zip(expected));
    rows.filter(|(_, (found, expected))| found != expected)
        .map(|(text, (found, expected))| {
            format!("{what}, {text:?}:\n  {found:?}, not\n  {expected:?}")
        })
        .collect()
}

fn flags(dir: &Path) -> Value {
    let text = std::fs::read(dir.join("tokenizer_config.json")).expect("config");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn ids_are_those_of_transformers_before_and_after_export() {
    let matrix = Matrix::read();
    let texts = matrix.texts();
    let temporary = tempfile::tempdir().expect("temp dir");
    let exports = std::env::var_os("BERTRAM_TOKENIZER_EXPORTS").map(PathBuf::from);
    let exports = exports.unwrap_or_else(|| temporary.path().join("exports"));
    let mut wrong = Vec::new();
    let mut combinations = 0;
    for combination in matrix.combinations() {
        combinations += 1;
        let name = combination.name;
        let from = temporary.path().join("in").join(name);
        matrix.write(&from, &combination.files);
        let tokenizer = match BertTokenizer::from_folder(&from) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        wrong.extend(differences(
            name,
            &texts,
            &ids(&tokenizer, &texts),
            &combination.ids,
        ));
        let special = tokenizer.special();
        for (key, id) in [
            ("pad_token", special.pad),
            ("unk_token", special.unk),
            ("cls_token", special.cls),
            ("sep_token", special.sep),
            ("mask_token", special.mask),
        ] {
            // A tokenizer.json as it stands need not say what its special tokens are called.
            let expected = &combination.special[key];
            if !expected.is_null() && *expected != id {
                wrong.push(format!("{name}: {key} is {id}, not {expected}"));
            }
        }

        let to = exports.join(name);
        std::fs::create_dir_all(&to).expect("folder");
        std::fs::write(to.join("config.json"), r#"{"model_type": "bert"}"#).expect("config");
        if let Err(error) = tokenizer.save(&to, 48) {
            wrong.push(format!("{name}, export: {error}"));
            continue;
        }
        let again = BertTokenizer::from_folder(&to).expect("read again");
        let what = format!("{name}, read again");
        wrong.extend(differences(
            &what,
            &texts,
            &ids(&again, &texts),
            &combination.ids,
        ));
        assert_eq!(again.model_max_length(), Some(48));
        assert_eq!(again.largest_id(), tokenizer.largest_id());
        if flags(&to)["tokenizer_class"] == "BertTokenizer" {
            let lines = temporary.path().join("vocab").join(name);
            std::fs::create_dir_all(&lines).expect("folder");
            for file in ["vocab.txt", "tokenizer_config.json"] {
                std::fs::copy(to.join(file), lines.join(file)).expect(file);
            }
            let again = BertTokenizer::from_folder(&lines).expect("read vocab.txt");
            let what = format!("{name}, vocab.txt");
            wrong.extend(differences(
                &what,
                &texts,
                &ids(&again, &texts),
                &combination.ids,
            ));
        }
    }
    assert!(combinations > 200, "{combinations} combinations");
    assert!(
        wrong.is_empty(),
        "{} differences in {combinations} combinations of {} texts:\n{}",
        wrong.len(),
        texts.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
}

/// The flags in `tokenizer_config.json` are those in effect.
#[test]
fn exported_flags_are_those_in_effect() {
    let matrix = Matrix::read();
    let dir = tempfile::tempdir().expect("temp dir");
    let classes: HashMap<&str, &str> = HashMap::from([
        ("json", "BertTokenizer"),
        ("json-agreeing", "BertTokenizer"),
        ("json-contradicting", "BertTokenizer"),
        ("vocab-config", "BertTokenizer"),
        ("nested", "BertTokenizer"),
        ("fast-nested", "PreTrainedTokenizerFast"),
    ]);
    let mut checked = 0;
    for combination in matrix.combinations() {
        let Some((layout, label)) = combination.name.split_once('/') else {
            continue;
        };
        let Some(class) = classes.get(layout) else {
            continue;
        };
        let from = dir.path().join("in").join(combination.name);
        matrix.write(&from, &combination.files);
        let to = dir.path().join("out").join(combination.name);
        std::fs::create_dir_all(&to).expect("folder");
        let tokenizer = BertTokenizer::from_folder(&from).expect("read");
        tokenizer.save(&to, 48).expect("save");
        let flag = |letter: char| match letter {
            'y' => json!(true),
            'n' => json!(false),
            _ => Value::Null,
        };
        let mut letters = label.chars().map(flag);
        // Without a tokenizer_config.json BertTokenizer has its defaults, whatever tokenizer.json says.
        let (lower, strip, chinese) = match layout {
            "json" => (json!(true), Value::Null, json!(true)),
            _ => (
                letters.next().expect("case"),
                letters.next().expect("accents"),
                letters.next().expect("Chinese"),
            ),
        };
        let written = flags(&to);
        let found = [
            "tokenizer_class",
            "do_lower_case",
            "strip_accents",
            "tokenize_chinese_chars",
        ]
        .map(|key| written[key].clone());
        assert_eq!(
            found,
            [json!(class), lower, strip, chinese],
            "{}",
            combination.name
        );
        checked += 1;
    }
    assert_eq!(checked, 12 * classes.len());
}
