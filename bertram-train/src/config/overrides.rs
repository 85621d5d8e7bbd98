//! Settings from the command line, which go over those of a config file.

use toml_edit::Value;

/// Text as a TOML string, for the value of a `--set`: whatever is in it, it is read as it was.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn quoted_text_is_read_as_it_was(text in ".*") {
            let setting = Override::set(&format!("data.dir={}", quoted(&text))).setting;
            let (key, value) = setting.expect("a setting");
            proptest::prop_assert_eq!(key, "data.dir");
            proptest::prop_assert_eq!(value.as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn accents_invisible_and_control_characters_are_quoted_as_toml_has_them() {
        for text in [
            "cafe\u{301}",
            "zero\u{200b}width",
            "a\u{7}b\u{1b}c",
            "\u{7f}",
            "'\"\n",
        ] {
            let setting = Override::set(&format!("model.path={}", quoted(text))).setting;
            assert_eq!(setting.expect("a setting").1.as_str(), Some(text));
        }
    }
}
