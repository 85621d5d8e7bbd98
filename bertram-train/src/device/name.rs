//! Which device of a backend.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device of a backend, by its number, or by its kind where a backend has several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub enum DeviceName {
    /// By number, counted from 0.
    Number(usize),
    /// The processor: `cpu`.
    Cpu,
    /// An NVIDIA GPU, by its number: `cuda:0`.
    Cuda(usize),
    /// Apple's GPU, through Metal Performance Shaders: `mps`.
    Mps,
}

impl Default for DeviceName {
    /// The first.
    fn default() -> Self {
        DeviceName::Number(0)
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Number(number) => write!(f, "{number}"),
            DeviceName::Cpu => f.write_str("cpu"),
            DeviceName::Cuda(number) => write!(f, "cuda:{number}"),
            DeviceName::Mps => f.write_str("mps"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is no device: a number, cpu, cuda:0 or mps");
        let number = |text: &str| text.parse().map_err(|_| unknown());
        match text.split_once(':') {
            None if text == "cpu" => Ok(DeviceName::Cpu),
            None if text == "cuda" => Ok(DeviceName::Cuda(0)),
            None if text == "mps" => Ok(DeviceName::Mps),
            None => number(text).map(DeviceName::Number),
            Some(("cuda", text)) => number(text).map(DeviceName::Cuda),
            Some(_) => Err(unknown()),
        }
    }
}

/// As files have it: a number is one, as it was before devices had names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(usize),
    Name(String),
}

impl From<DeviceName> for Written {
    fn from(name: DeviceName) -> Self {
        match name {
            DeviceName::Number(number) => Written::Number(number),
            name => Written::Name(name.to_string()),
        }
    }
}

impl TryFrom<Written> for DeviceName {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(number) => Ok(DeviceName::Number(number)),
            Written::Name(name) => name.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let names = [
            (DeviceName::Number(3), "3", "3"),
            (DeviceName::Cpu, "cpu", "\"cpu\""),
            (DeviceName::Cuda(1), "cuda:1", "\"cuda:1\""),
            (DeviceName::Mps, "mps", "\"mps\""),
        ];
        for (name, text, json) in names {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
            assert_eq!(serde_json::to_string(&name).ok().as_deref(), Some(json));
            assert_eq!(serde_json::from_str::<DeviceName>(json).ok(), Some(name));
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        for text in ["", "-1", "gpu", "cuda:", "cuda:x", "mps:0", "CPU"] {
            let error = text.parse::<DeviceName>().expect_err(text);
            assert!(error.ends_with("a number, cpu, cuda:0 or mps"), "{error}");
        }
    }
}
