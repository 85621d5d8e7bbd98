//! Something for each task, in the order of the tasks.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TaskId;

/// A map from tasks that keeps the order in which they came: that of the config. A run has a handful, so that looking
/// through them is as fast as anything.
#[derive(Clone, PartialEq)]
pub struct TaskMap<V>(Vec<(TaskId, V)>);

impl<V> TaskMap<V> {
    /// Nothing for no task.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// What a task has.
    pub fn get(&self, task: &TaskId) -> Option<&V> {
        let found = self.0.iter().find(|(known, _)| known == task);
        found.map(|(_, value)| value)
    }

    /// Gives a task something; what it had before is given back. A new task comes last.
    pub fn insert(&mut self, task: TaskId, value: V) -> Option<V> {
        match self.0.iter_mut().find(|(known, _)| *known == task) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((task, value));
                None
            }
        }
    }

    /// What a task has, to change it.
    pub fn get_mut(&mut self, task: &TaskId) -> Option<&mut V> {
        let found = self.0.iter_mut().find(|(known, _)| known == task);
        found.map(|(_, value)| value)
    }

    /// Tasks and what they have.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&TaskId, &V)> {
        self.0.iter().map(|(task, value)| (task, value))
    }

    /// Names of the tasks, in their order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &TaskId> {
        self.0.iter().map(|(task, _)| task)
    }

    /// What they have.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for TaskMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: fmt::Debug> fmt::Debug for TaskMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V> FromIterator<(TaskId, V)> for TaskMap<V> {
    fn from_iter<I: IntoIterator<Item = (TaskId, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (task, value) in entries {
            map.insert(task, value);
        }
        map
    }
}

impl<V, const N: usize> From<[(TaskId, V); N]> for TaskMap<V> {
    fn from(entries: [(TaskId, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<V> IntoIterator for TaskMap<V> {
    type Item = (TaskId, V);
    type IntoIter = std::vec::IntoIter<(TaskId, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, V> IntoIterator for &'a TaskMap<V> {
    type Item = (&'a TaskId, &'a V);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (TaskId, V)>,
        fn(&'a (TaskId, V)) -> (&'a TaskId, &'a V),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(task, value)| (task, value))
    }
}

impl<V: Serialize> Serialize for TaskMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for TaskMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = TaskMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map by task")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<TaskMap<V>, A::Error> {
                let mut map = TaskMap::new();
                while let Some((task, value)) = access.next_entry()? {
                    map.insert(task, value);
                }
                Ok(map)
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_the_file() {
        let text = r#"{"sts":3,"nli":1,"sst":2}"#;
        let map: TaskMap<u32> = serde_json::from_str(text).expect("reads");
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [3, 1, 2]);
        assert_eq!(serde_json::to_string(&map).expect("writes"), text);
        assert_eq!(map.get(&TaskId::SST), Some(&2));
        assert_eq!(map.get(&TaskId::PARA), None);
    }

    #[test]
    fn a_task_has_one_place() {
        let mut map = TaskMap::from([(TaskId::STS, 1), (TaskId::SST, 2)]);
        assert_eq!(map.insert(TaskId::STS, 5), Some(1));
        *map.get_mut(&TaskId::SST).expect("there") += 1;
        assert_eq!(map.get_mut(&TaskId::PARA), None);
        assert_eq!(map, TaskMap::from([(TaskId::STS, 5), (TaskId::SST, 3)]));
    }
}
