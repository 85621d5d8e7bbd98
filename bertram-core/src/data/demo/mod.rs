//! The demo corpus: three small tasks, generated, so that everything can be tried without any data.
//!
//! The tasks are learnable by a small BERT from scratch, and noisy enough that none is trivial: some labels are moved on
//! purpose. Paraphrase and similarity share their vocabulary, so that one may help the other.

mod lexicon;
mod own;

pub use own::{OWN_TASKS_CONFIG, write_own_tasks};

use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use self::lexicon::{
    ACTIONS, AGENTS, ENDINGS, GRADED, OBJECTS, OPENINGS, PLACES, QUESTIONS, STATEMENTS, SUBJECTS,
};
use super::dataset::{Dataset, Split};
use super::{Example, Format, layout_file};
use crate::fs::{WriteError, atomic_write};
use crate::spec::{Inputs, Preset, TaskId};

/// Share of labels that are moved.
const NOISE: f64 = 0.06;
/// Share of question pairs that ask the same.
const PARAPHRASES: f64 = 0.4;

/// Size and seed of a demo corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// Seed.
    pub seed: u64,
    /// Training rows of sentiment.
    pub sst: usize,
    /// Training rows of paraphrase.
    pub para: usize,
    /// Training rows of similarity.
    pub sts: usize,
    /// Dev rows of each task.
    pub dev: usize,
    /// Test rows of each task.
    pub test: usize,
}

/// Draws a row of a task.
type Draw = fn(&mut ChaCha8Rng) -> Example;

/// A generated corpus.
#[derive(Clone, Debug)]
pub struct DemoCorpus {
    datasets: Vec<(Split, Dataset)>,
}

impl DemoCorpus {
    /// The same config gives the same corpus, and a split does not depend on the size of another.
    pub fn generate(config: &DemoConfig) -> Self {
        let mut datasets = Vec::new();
        let tasks: [(TaskId, usize, Draw); 3] = [
            (TaskId::SST, config.sst, sentiment),
            (TaskId::PARA, config.para, paraphrase),
            (TaskId::STS, config.sts, similarity),
        ];
        for (task_number, (task, train, draw)) in tasks.into_iter().enumerate() {
            let splits = [
                (Split::Train, train),
                (Split::Dev, config.dev),
                (Split::Test, config.test),
            ];
            for (split_number, (split, rows)) in splits.into_iter().enumerate() {
                let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
                rng.set_stream((task_number * 3 + split_number) as u64);
                let examples: Vec<Example> = (0..rows)
                    .map(|_| {
                        let mut example = draw(&mut rng);
                        if split == Split::Test {
                            example.label = None;
                        }
                        example
                    })
                    .collect();
                let text = course_file(task, &examples);
                datasets.push((
                    split,
                    Dataset {
                        task,
                        path: PathBuf::from("demo"),
                        sha256: format!("{:x}", Sha256::digest(text.as_bytes())),
                        examples,
                        skipped: Vec::new(),
                    },
                ));
            }
        }
        Self { datasets }
    }

    /// A split of a task. Test splits have no labels.
    pub fn dataset(&self, task: TaskId, split: Split) -> Dataset {
        self.datasets
            .iter()
            .find(|(of, dataset)| *of == split && dataset.task == task)
            .map(|(_, dataset)| dataset.clone())
            .unwrap_or_else(|| Dataset {
                task,
                path: PathBuf::from("demo"),
                sha256: String::new(),
                examples: Vec::new(),
                skipped: Vec::new(),
            })
    }

    /// Writes the corpus in the course's layout; gives the files written.
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>, WriteError> {
        std::fs::create_dir_all(dir).map_err(|source| WriteError {
            path: dir.to_owned(),
            source,
        })?;
        self.datasets
            .iter()
            .map(|(split, dataset)| {
                let path = layout_file(dir, Format::Cs224n, dataset.task, *split);
                let text = course_file(dataset.task, &dataset.examples);
                atomic_write(&path, text.as_bytes()).map(|()| path)
            })
            .collect()
    }
}

/// A file of the course's format. The corpus has no tabs, quotes or line ends, so that nothing needs quoting.
fn course_file(task: TaskId, examples: &[Example]) -> String {
    let labelled = examples.iter().all(|row| row.label.is_some());
    let mut columns = vec!["", "id"];
    // The tasks of the corpus are presets.
    if let Some(Preset {
        inputs,
        course: Some(course),
        ..
    }) = Preset::of(task)
    {
        columns.push(course.text_a);
        if *inputs == Inputs::Pair {
            columns.push(course.text_b);
        }
        if labelled {
            columns.push(course.label);
        }
    }
    let mut text = columns.join("\t") + "\n";
    for (index, row) in examples.iter().enumerate() {
        let mut fields = vec![index.to_string(), row.id.clone(), row.text_a.clone()];
        fields.extend(row.text_b.clone());
        if let Some(label) = row.number() {
            fields.push(if task == TaskId::SST {
                format!("{label:.0}")
            } else {
                format!("{label:.1}")
            });
        }
        text.push_str(&fields.join("\t"));
        text.push('\n');
    }
    text
}

fn pick<T: Copy>(items: &[T], rng: &mut ChaCha8Rng) -> T {
    items[rng.random_range(0..items.len())]
}

fn id(rng: &mut ChaCha8Rng) -> String {
    format!("{:016x}", rng.random::<u64>())
}

/// A clause about a subject, and its class.
fn clause(rng: &mut ChaCha8Rng) -> (String, usize) {
    let class = rng.random_range(0..5);
    let adjective = pick(GRADED[class], rng);
    let opening = pick(OPENINGS, rng).replace("{}", pick(SUBJECTS, rng));
    match rng.random_range(0..10) {
        // A negated extreme is a mild contrary.
        0 | 1 if class != 2 => (
            format!("{opening} not {adjective}"),
            if class > 2 { 1 } else { 3 },
        ),
        // An intensified mild word is an extreme.
        2 | 3 if class != 2 => (
            format!("{opening} very {adjective}"),
            if class > 2 { 4 } else { 0 },
        ),
        _ => (format!("{opening} {adjective}"), class),
    }
}

fn sentiment(rng: &mut ChaCha8Rng) -> Example {
    let (mut text, mut class) = clause(rng);
    if rng.random_bool(0.15) {
        let (second, other) = clause(rng);
        text = format!("{text} , but {second}");
        class = (class + other).div_ceil(2);
    }
    if rng.random_bool(NOISE) {
        class = rng.random_range(0..5);
    }
    Example {
        id: id(rng),
        text_a: format!("{text} {}", pick(ENDINGS, rng)),
        text_b: None,
        label: Some((class as f32).into()),
        weight: 1.0,
    }
}

/// What a sentence is about: indices of concepts.
#[derive(Clone, Copy, PartialEq)]
struct Meaning {
    agent: usize,
    action: usize,
    object: usize,
    place: usize,
}

impl Meaning {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            agent: rng.random_range(0..AGENTS.len()),
            action: rng.random_range(0..ACTIONS.len()),
            object: rng.random_range(0..OBJECTS.len()),
            place: rng.random_range(0..PLACES.len()),
        }
    }

    /// The same with another concept wherever `keep` is false.
    fn change(self, keep: [bool; 4], rng: &mut ChaCha8Rng) -> Self {
        let mut other = |keep: bool, now: usize, count: usize| {
            if keep {
                now
            } else {
                (now + rng.random_range(1..count)) % count
            }
        };
        Self {
            agent: other(keep[0], self.agent, AGENTS.len()),
            action: other(keep[1], self.action, ACTIONS.len()),
            object: other(keep[2], self.object, OBJECTS.len()),
            place: other(keep[3], self.place, PLACES.len()),
        }
    }

    /// The meaning in words drawn from its concepts; form 0 of an action is its base, 1 its third person.
    fn say(self, template: &str, form: usize, rng: &mut ChaCha8Rng) -> String {
        template
            .replace("{w}", pick(AGENTS[self.agent], rng))
            .replace("{a}", pick(ACTIONS[self.action], rng)[form])
            .replace("{o}", pick(OBJECTS[self.object], rng))
            .replace("{p}", pick(PLACES[self.place], rng))
    }
}

fn paraphrase(rng: &mut ChaCha8Rng) -> Example {
    let meaning = Meaning::draw(rng);
    let same = rng.random_bool(PARAPHRASES);
    let other = if same {
        meaning
    } else {
        // Near misses share one or two of the three parts of a question; few share none.
        let mut keep = [
            true,
            rng.random_bool(0.35),
            rng.random_bool(0.35),
            rng.random_bool(0.35),
        ];
        if keep == [true; 4] {
            keep[rng.random_range(1..4)] = false;
        }
        meaning.change(keep, rng)
    };
    let label = same != rng.random_bool(NOISE / 2.0);
    Example {
        id: id(rng),
        text_a: meaning.say(pick(QUESTIONS, rng), 0, rng),
        text_b: Some(other.say(pick(QUESTIONS, rng), 0, rng)),
        label: Some(f32::from(u8::from(label)).into()),
        weight: 1.0,
    }
}

fn similarity(rng: &mut ChaCha8Rng) -> Example {
    let meaning = Meaning::draw(rng);
    // As many kept parts as any other number: scores spread over the whole range.
    let kept = rng.random_range(0..=4);
    let mut keep = [false; 4];
    for slot in rand::seq::index::sample(rng, 4, kept) {
        keep[slot] = true;
    }
    let other = meaning.change(keep, rng);
    let noise = rng.random_range(-0.6..0.6);
    let score = (1.25 * kept as f64 + noise).clamp(0.0, 5.0);
    Example {
        id: id(rng),
        text_a: meaning.say(pick(STATEMENTS, rng), 1, rng),
        text_b: Some(other.say(pick(STATEMENTS, rng), 1, rng)),
        label: Some((((score * 10.0).round() / 10.0) as f32).into()),
        weight: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BadRows, Columns, LabelColumn, Preprocess, ReadOptions, read_dataset};
    use crate::spec::TaskSpec;

    const CONFIG: DemoConfig = DemoConfig {
        seed: 7,
        sst: 300,
        para: 300,
        sts: 300,
        dev: 50,
        test: 40,
    };

    #[test]
    fn written_files_read_back_to_the_same_rows_and_hash() {
        let dir = tempfile::tempdir().expect("temp dir");
        let corpus = DemoCorpus::generate(&CONFIG);
        corpus.write(dir.path()).expect("write");
        for task in TaskId::PAPER {
            for split in [Split::Train, Split::Dev, Split::Test] {
                let generated = corpus.dataset(task, split);
                let read = read_dataset(
                    &layout_file(dir.path(), Format::Cs224n, task, split),
                    &ReadOptions {
                        task,
                        spec: &TaskSpec::preset(task).expect("a preset"),
                        format: Format::Cs224n,
                        columns: &Columns::default(),
                        bad_rows: BadRows::Error,
                        preprocess: Preprocess::Cs224n,
                        labels: LabelColumn::of(split),
                        weights: false,
                        label_numbers: None,
                    },
                )
                .expect("reads back");
                assert_eq!(read.examples, generated.examples);
                assert_eq!(read.sha256, generated.sha256);
            }
        }
    }

    #[test]
    fn labels_are_spread_and_sizes_as_asked() {
        let corpus = DemoCorpus::generate(&CONFIG);
        let labels = |task| -> Vec<f32> {
            corpus
                .dataset(task, Split::Train)
                .examples
                .iter()
                .filter_map(|row| row.number())
                .collect()
        };
        for class in 0..5 {
            let share = labels(TaskId::SST)
                .iter()
                .filter(|label| **label == class as f32)
                .count();
            assert!((30..130).contains(&share), "class {class}: {share} of 300");
        }
        let yes = labels(TaskId::PARA).iter().sum::<f32>() / 300.0;
        assert!((0.3..0.5).contains(&yes), "{yes}");
        assert_eq!(corpus.dataset(TaskId::STS, Split::Dev).examples.len(), 50);
        let dev = DemoCorpus::generate(&DemoConfig { sst: 10, ..CONFIG });
        assert_eq!(
            dev.dataset(TaskId::SST, Split::Dev),
            corpus.dataset(TaskId::SST, Split::Dev),
            "dev does not depend on the size of train"
        );
    }
}
