//! The quick start and the experiments of Table 1, on a small demo corpus, held to what an earlier version gave.
//!
//! Plans (which rows make which batches, and which batches make which updates) and the seeds they follow from must be
//! the same to the bit; weights, as the norm of each tensor, and scores may differ by 1e-5, since processors choose
//! other kernels. `tests/compare/old-new.sh` compares two programs on one machine, where weights are equal bit for bit.
//!
//! `BERTRAM_STORE=1 cargo test --test stored` stores what the code gives now. That is right only after a change that is
//! meant to change numbers, such as another order of sums.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bertram_core::seed::mix;
use bertram_train::config::Settings;
use bertram_train::epoch::Epoch;
use bertram_train::pipeline::prepare;
use common::{bertram, stderr};
use serde::{Deserialize, Serialize};

/// A model and a corpus of a second.
const TINY: [&str; 14] = [
    "model.random.hidden-size=16",
    "model.random.layers=1",
    "model.random.heads=2",
    "model.random.intermediate-size=32",
    "model.random.vocab-size=200",
    "data.demo.sst=24",
    "data.demo.para=24",
    "data.demo.sts=16",
    "data.demo.dev=24",
    "data.limit=20",
    "train.batch-size=8",
    "train.score-rows=12",
    // At the published rates a few updates change nothing that can be seen.
    "train.learning-rate=1e-3",
    "train.log-every=1",
];

/// What a run gives.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// A hash of every batch of every update, and of the seeds of the tasks.
    plan: String,
    /// Norm of each tensor.
    weights: BTreeMap<String, f64>,
    /// Every number of `summary.json` on dev.
    scores: BTreeMap<String, f64>,
}

fn configs() -> Vec<(String, PathBuf, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let quick_start = ("quickstart".to_owned(), folder.join("quickstart.toml"));
    let experiments = (1..=14).map(|number| {
        let name = format!("e{number:02}");
        let path = folder.join("experiments").join(format!("{name}.toml"));
        (name, path)
    });
    std::iter::once(quick_start)
        .chain(experiments)
        .map(|(name, path)| {
            let mut sets: Vec<String> = TINY.map(str::to_owned).to_vec();
            if name != "e01" {
                sets.push("train.epochs=2".to_owned());
            }
            // Of so small a model the first token's vector is the same for all sentences. Then a correlation with cosines is
            // one with a processor's rounding errors, and so is the gradient of a cosine, which AdamW makes as large as any.
            if name != "quickstart" {
                sets.push("model.pooling=mean".to_owned());
            }
            (name, path, sets)
        })
        .collect()
}

/// FNV-1a: any change of the bytes changes it.
struct Hash(u64);

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

fn plan(path: &Path, sets: &[String]) -> String {
    let settings = Settings::load(path, sets).expect("a config");
    let prepared = prepare(&settings, None).expect("data");
    let mut hash = Hash(0xCBF2_9CE4_8422_2325);
    for index in 0..prepared.tasks.len() {
        hash.add(&mix(settings.train.seed, index as u64).to_le_bytes());
    }
    for epoch in 1..=settings.train.epochs {
        let epoch = Epoch::plan(&settings, &prepared.tasks, epoch, &Default::default());
        for update in &epoch.updates {
            hash.add(format!("{:?} {:?}", update.merge, update.optimizer).as_bytes());
            for part in epoch.parts(update, &prepared.tasks) {
                hash.add(part.task.name().as_bytes());
                for batch in part.batches {
                    hash.add(
                        format!(
                            "{:?} {:?} {:?} {:?}",
                            batch.rows, batch.input_ids, batch.token_type_ids, batch.labels
                        )
                        .as_bytes(),
                    );
                }
            }
        }
    }
    format!("{:016x}", hash.0)
}

fn norms(path: &Path, into: &mut BTreeMap<String, f64>) {
    let bytes = std::fs::read(path).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    for (name, tensor) in tensors.tensors() {
        let squares = tensor
            .data()
            .chunks_exact(4)
            .map(|bytes| f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
            .map(|value| value * value);
        into.insert(name, rounded(squares.sum::<f64>().sqrt()));
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e8).round() / 1e8
}

fn numbers(path: &str, value: &serde_json::Value, into: &mut BTreeMap<String, f64>) {
    if let Some(number) = value.as_f64() {
        into.insert(path.to_owned(), rounded(number));
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        numbers(format!("{path}.{key}").trim_start_matches('.'), value, into);
    }
}

fn made(path: &Path, sets: &[String], out: &Path) -> Stored {
    let mut command = bertram();
    command
        .args(["train", "--dashboard", "none", "--backend", "flex"])
        .arg("--config")
        .arg(path)
        .arg("--out")
        .arg(out);
    for set in sets {
        command.arg("--set").arg(set);
    }
    let output = command.output().expect("bertram-cli starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let mut stored = Stored {
        plan: plan(path, sets),
        ..Stored::default()
    };
    for file in ["model.safetensors", "heads.safetensors"] {
        let file = out.join("model").join(file);
        // A baseline has no model.
        if file.is_file() {
            norms(&file, &mut stored.weights);
        }
    }
    let summary = std::fs::read_to_string(out.join("summary.json")).expect("summary");
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
    numbers("", &summary["dev"], &mut stored.scores);
    stored
}

fn same(what: &str, old: &BTreeMap<String, f64>, new: &BTreeMap<String, f64>) {
    for (key, old) in old {
        let new = new.get(key).unwrap_or_else(|| panic!("{what} lacks {key}"));
        assert!(
            (old - new).abs() <= 1e-5 * old.abs().max(1.0),
            "{what}: {key} was {old} and is {new}"
        );
    }
}

#[test]
fn what_the_old_configs_gave() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/old-configs.json");
    let dir = tempfile::tempdir().expect("temp dir");
    let made: BTreeMap<String, Stored> = configs()
        .iter()
        .map(|(name, path, sets)| (name.clone(), made(path, sets, &dir.path().join(name))))
        .collect();
    if std::env::var_os("BERTRAM_STORE").is_some() {
        // A line a config.
        let lines: Vec<String> = made
            .iter()
            .map(|(name, stored)| {
                format!("{name:?}: {}", serde_json::to_string(stored).expect("JSON"))
            })
            .collect();
        std::fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).expect("writes");
        return;
    }
    let text = std::fs::read_to_string(&path).expect("what was stored");
    let stored: BTreeMap<String, Stored> = serde_json::from_str(&text).expect("JSON");
    for (name, old) in &stored {
        let new = &made[name];
        assert_eq!(old.plan, new.plan, "the plan of {name}");
        same(name, &old.weights, &new.weights);
        same(name, &old.scores, &new.scores);
        assert_eq!(
            old.weights.len(),
            new.weights.len(),
            "the tensors of {name}"
        );
    }
}
