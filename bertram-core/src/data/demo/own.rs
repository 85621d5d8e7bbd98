//! Generated tasks that are no presets, each in another format, with a config that trains them together: what a person with
//! data of their own would have.

use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::lexicon::{STATEMENTS, UNSAID};
use super::{DemoConfig, Meaning, NOISE, pick, sentiment, similarity};
use crate::data::Split;
use crate::fs::{WriteError, atomic_write};

/// Name of the config.
pub const OWN_TASKS_CONFIG: &str = "own-tasks.toml";

const CONFIG: &str = include_str!("own-tasks.toml");

const INFERENCES: [&str; 3] = ["entailment", "neutral", "contradiction"];

/// Writes `own-tasks.toml` and the files of its tasks into a folder: `nli` (comma-separated, labels by name), `reviews` (JSON
/// lines, two labels) and `similarity` (Parquet, scores from 0 to 1; tab-separated in a build without Parquet). Of each the number of rows that the config has
/// for similarity. Gives the files written.
///
/// # Errors
/// [`WriteError`] names the file.
pub fn write_own_tasks(dir: &Path, config: &DemoConfig) -> Result<Vec<PathBuf>, WriteError> {
    type File = fn(&mut ChaCha8Rng, usize) -> std::io::Result<Vec<u8>>;
    let tasks: [(&str, &str, File); 3] = [
        ("nli", "csv", |rng, rows| Ok(nli(rng, rows).into_bytes())),
        ("reviews", "jsonl", |rng, rows| {
            Ok(reviews(rng, rows).into_bytes())
        }),
        ("similarity", SIMILARITY_ENDING, |rng, rows| {
            similarity_file(similarities(rng, rows))
        }),
    ];
    let mut written = Vec::new();
    let mut write = |path: PathBuf, bytes: &[u8]| {
        atomic_write(&path, bytes)?;
        written.push(path);
        Ok::<(), WriteError>(())
    };
    for (number, (task, ending, file)) in tasks.into_iter().enumerate() {
        let folder = dir.join(task);
        std::fs::create_dir_all(&folder).map_err(|source| WriteError {
            path: folder.clone(),
            source,
        })?;
        let splits = [
            (Split::Train, config.sts),
            (Split::Dev, config.dev),
            (Split::Test, config.test),
        ];
        for (split_number, (split, rows)) in splits.into_iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            // The streams after those of the corpus.
            rng.set_stream((100 + number * 3 + split_number) as u64);
            let path = folder.join(format!("{}.{ending}", split.name()));
            let bytes = file(&mut rng, rows).map_err(|source| WriteError {
                path: path.clone(),
                source,
            })?;
            write(path, &bytes)?;
        }
    }
    let config = CONFIG.replace(".parquet\"", &format!(".{SIMILARITY_ENDING}\""));
    write(dir.join(OWN_TASKS_CONFIG), config.as_bytes())?;
    Ok(written)
}

/// What follows from a sentence, goes beyond it, or speaks against it.
fn nli(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text = "premise,hypothesis,gold\n".to_owned();
    for _ in 0..rows {
        let meaning = Meaning::draw(rng);
        let premise = meaning.say(pick(STATEMENTS, rng), 1, rng);
        let class = rng.random_range(0..INFERENCES.len());
        let statement = |meaning: Meaning, rng: &mut ChaCha8Rng| {
            let said = meaning.say(pick(STATEMENTS, rng), 1, rng);
            said.trim_end_matches([' ', '.']).to_owned()
        };
        let hypothesis = match class {
            0 => statement(meaning, rng),
            1 => format!("{}, {}", statement(meaning, rng), pick(UNSAID, rng)),
            _ if rng.random_bool(0.7) => {
                format!("it is not true that {}", statement(meaning, rng))
            }
            _ => statement(meaning.change([false, true, false, true], rng), rng),
        };
        let class = if rng.random_bool(NOISE) {
            rng.random_range(0..INFERENCES.len())
        } else {
            class
        };
        // A hypothesis may have a comma, and then it needs quotes.
        text.push_str(&format!(
            "{premise},\"{hypothesis}\",{}\n",
            INFERENCES[class]
        ));
    }
    text
}

/// Reviews that are good or bad.
fn reviews(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text = String::new();
    let mut count = 0;
    while count < rows {
        let example = sentiment(rng);
        let verdict = match example.number() {
            Some(class) if class < 2.0 => "bad",
            Some(class) if class > 2.0 => "good",
            _ => continue,
        };
        let row = json!({ "review": example.text_a, "verdict": verdict });
        text.push_str(&format!("{row}\n"));
        count += 1;
    }
    text
}

/// Columns of pairs with a score from 0 to 1.
struct Similarities {
    left: Vec<String>,
    right: Vec<String>,
    likeness: Vec<f64>,
}

fn similarities(rng: &mut ChaCha8Rng, rows: usize) -> Similarities {
    let mut columns = Similarities {
        left: Vec::new(),
        right: Vec::new(),
        likeness: Vec::new(),
    };
    for _ in 0..rows {
        let example = similarity(rng);
        let score = f64::from(example.number().unwrap_or_default()) / 5.0;
        columns.left.push(example.text_a);
        columns.right.push(example.text_b.unwrap_or_default());
        columns.likeness.push((score * 100.0).round() / 100.0);
    }
    columns
}

#[cfg(feature = "parquet")]
const SIMILARITY_ENDING: &str = "parquet";

#[cfg(feature = "parquet")]
fn similarity_file(columns: Similarities) -> std::io::Result<Vec<u8>> {
    use crate::data::parquet::{Column, write};

    write(&[
        ("left", Column::Text(columns.left)),
        ("right", Column::Text(columns.right)),
        ("likeness", Column::Number(columns.likeness)),
    ])
    .map_err(std::io::Error::other)
}

#[cfg(not(feature = "parquet"))]
const SIMILARITY_ENDING: &str = "tsv";

#[cfg(not(feature = "parquet"))]
fn similarity_file(columns: Similarities) -> std::io::Result<Vec<u8>> {
    let mut text = "left\tright\tlikeness\n".to_owned();
    for ((left, right), likeness) in columns
        .left
        .iter()
        .zip(&columns.right)
        .zip(&columns.likeness)
    {
        text.push_str(&format!("{left}\t{right}\t{likeness}\n"));
    }
    Ok(text.into_bytes())
}
