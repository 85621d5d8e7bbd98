//! Keys of configs, and those in which two of them differ.

use std::collections::BTreeMap;

use bertram_train::config::Settings;

/// Dotted keys and values of a config, without the seed and without what only names it.
pub(super) fn keys(settings: &Settings) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Ok(table) = toml::from_str::<toml::Table>(&settings.to_toml()) {
        flatten("", &toml::Value::Table(table), &mut all);
    }
    all.retain(|key, _| key != "train.seed" && !key.starts_with("experiment."));
    all
}

fn flatten(path: &str, value: &toml::Value, keys: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                flatten(&path, value, keys);
            }
        }
        toml::Value::String(text) => {
            keys.insert(path.to_owned(), text.clone());
        }
        value => {
            keys.insert(path.to_owned(), value.to_string());
        }
    }
}

/// A key, and what two configs say of it.
pub(super) type Difference = (String, Option<String>, Option<String>);

/// Keys in which two configs differ, with the values of each: none where a config lacks the key.
pub(super) fn difference(
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let mut all: Vec<&String> = from.keys().chain(to.keys()).collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .filter(|key| from.get(*key) != to.get(*key))
        .map(|key| (key.clone(), from.get(key).cloned(), to.get(key).cloned()))
        .collect()
}
