//! Settings from the command line, which go over those of a config file.

use toml_edit::Value;

/// One setting from the command line.
#[derive(Clone, Debug)]
pub struct Override {
    /// As it was typed: `--set train.seed=1`, `--data DIR`.
    pub(super) shown: String,
    /// Key and value; `None` where there is no `=`.
    pub(super) setting: Option<(String, Value)>,
}

impl Override {
    /// `--set key.path=value`. A value that is not TOML is taken as a string.
    pub fn set(argument: &str) -> Self {
        let parts = argument.split_once('=');
        let parts = parts.map(|(key, value)| (key.trim(), value.trim()));
        let setting = parts.filter(|(key, _)| !key.is_empty()).map(|(key, text)| {
            let value = text.parse().unwrap_or_else(|_| Value::from(text));
            (key.to_owned(), value)
        });
        Self {
            shown: format!("--set {argument}"),
            setting,
        }
    }

    /// The same setting, named otherwise in messages: for a flag whose value is written as `--set` would.
    pub fn shown_as(mut self, shown: &str) -> Self {
        self.shown = shown.to_owned();
        self
    }

    /// Whether it sets a whole section at once.
    pub fn is_section(&self) -> bool {
        (self.setting.as_ref()).is_some_and(|(_, value)| value.is_inline_table())
    }

    /// The key that it sets, where it is well formed.
    pub fn key(&self) -> Option<&str> {
        Some(self.setting.as_ref()?.0.as_str())
    }

    /// A flag that stands for a key, such as `--data DIR` for `data.dir`. The value is taken as it is, whatever it looks
    /// like.
    pub fn flag(name: &str, key: &str, value: String) -> Self {
        Self {
            shown: format!("{name} {value}"),
            setting: Some((key.to_owned(), value.into())),
        }
    }
}
