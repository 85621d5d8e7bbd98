//! A task's name, and that is all its identity.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A task, by its name: the key of its section in configs, of its scores and of its weights.
///
/// Names are kept once in the process, so that a name can be copied and compared like a number. Names have no order:
/// tasks come in that of the config.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(&'static str);

/// Why a text is no name of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskNameError {
    /// Other characters than those of a name.
    #[error("{0:?} is no name of a task: a small letter, then small letters, digits and _")]
    Form(String),
    /// A name that means something else in scores.
    #[error("{0:?} cannot be the name of a task: it means something else in the files of a run")]
    Reserved(String),
}

/// Names that are keys of their own beside those of tasks, in `summary.json` or `metrics.jsonl`.
const RESERVED: [&str; 10] = [
    "all", "epoch", "epochs", "kind", "mean", "overall", "rows", "seconds", "split", "update",
];

static KNOWN: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

impl TaskId {
    /// SST-5 sentiment.
    pub const SST: TaskId = TaskId("sst");
    /// Quora paraphrase detection.
    pub const PARA: TaskId = TaskId("para");
    /// STS-B semantic similarity.
    pub const STS: TaskId = TaskId("sts");
    /// The tasks of the paper, in its order.
    pub const PAPER: [TaskId; 3] = [TaskId::SST, TaskId::PARA, TaskId::STS];

    /// A name of a preset.
    pub(super) const fn known(name: &'static str) -> Self {
        Self(name)
    }

    /// The task of this name.
    ///
    /// # Errors
    /// [`TaskNameError`] for what is no name: it must be `[a-z][a-z0-9_]*`, and none that files of a run use otherwise.
    pub fn new(name: &str) -> Result<Self, TaskNameError> {
        let mut characters = name.chars();
        let starts = characters.next().is_some_and(|it| it.is_ascii_lowercase());
        let goes_on = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
        if !starts || !characters.all(goes_on) {
            return Err(TaskNameError::Form(name.to_owned()));
        }
        if RESERVED.contains(&name) {
            return Err(TaskNameError::Reserved(name.to_owned()));
        }
        if let Some(known) = Self::PAPER.into_iter().find(|task| task.0 == name) {
            return Ok(known);
        }
        // A panic while the lock is held leaves the set as it was.
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(name) {
            return Ok(Self(name));
        }
        // Configs have a handful of names, and a process reads a handful of configs.
        let name: &'static str = name.to_owned().leak();
        known.insert(name);
        Ok(Self(name))
    }

    /// The name as configs and files have it.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Puts tasks into the order in which they are trained and reported: the paper's where all of them are the paper's,
    /// else as they come.
    pub fn in_order(mut tasks: Vec<TaskId>) -> Vec<TaskId> {
        let place = |task: &TaskId| Self::PAPER.iter().position(|other| other == task);
        if tasks.iter().all(|task| place(task).is_some()) {
            tasks.sort_by_key(place);
        }
        tasks
    }

    /// The number under which a task's random streams are kept apart from those of other tasks: the place among the
    /// paper's tasks, or a hash of the name.
    pub fn stream(self) -> u64 {
        match Self::PAPER.iter().position(|task| *task == self) {
            Some(place) => place as u64,
            // FNV-1a; the first bit keeps it away from small numbers.
            None => {
                let hash = self
                    .0
                    .bytes()
                    .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
                    });
                hash | 1 << 63
            }
        }
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::fmt::Debug for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["nli", "sst", "a", "stsb2", "my_task"] {
            assert_eq!(TaskId::new(good).expect("a name").name(), good);
        }
        for bad in ["", "NLI", "2nd", "a-b", "a b", "_a", "überall", "a.b"] {
            assert_eq!(TaskId::new(bad), Err(TaskNameError::Form(bad.to_owned())));
        }
        assert_eq!(
            TaskId::new("overall"),
            Err(TaskNameError::Reserved("overall".to_owned()))
        );
        assert_eq!(TaskId::new("sts"), Ok(TaskId::STS));
        assert_eq!(TaskId::new("nli"), TaskId::new("nli"));
    }

    #[test]
    fn the_papers_tasks_have_its_order_and_others_keep_theirs() {
        let nli = TaskId::new("nli").expect("a name");
        assert_eq!(
            TaskId::in_order(vec![TaskId::STS, TaskId::SST]),
            [TaskId::SST, TaskId::STS]
        );
        assert_eq!(
            TaskId::in_order(vec![TaskId::STS, nli, TaskId::SST]),
            [TaskId::STS, nli, TaskId::SST]
        );
    }

    #[test]
    fn streams_differ() {
        assert_eq!(TaskId::PAPER.map(TaskId::stream), [0, 1, 2]);
        let (one, other) = (TaskId::new("nli"), TaskId::new("nlj"));
        assert_ne!(one.expect("name").stream(), other.expect("name").stream());
    }
}
