//! Formats of data files: their names in configs, the endings that say them, and where a data folder has its files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dataset::Split;
use crate::spec::{Preset, TaskId};

/// File formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The CS224N course's tab-separated files with CSV quoting.
    Cs224n,
    /// GLUE's tab-separated files without quoting.
    Glue,
    /// A JSON object a line.
    JsonLines,
    /// A table with commas, semicolons or tabs, whichever its header has, and CSV quoting.
    Csv,
    /// A table with tabs, without quoting.
    Tsv,
    /// A table with tabs, and CSV quoting.
    TsvQuoted,
    /// Columns of a Parquet file.
    Parquet,
}

impl Format {
    /// Endings of files' names, each with the format that it says.
    pub const ENDINGS: [(&str, Format); 7] = [
        ("csv", Format::Csv),
        ("tsv", Format::Tsv),
        ("tab", Format::Tsv),
        ("jsonl", Format::JsonLines),
        ("ndjson", Format::JsonLines),
        ("json", Format::JsonLines),
        ("parquet", Format::Parquet),
    ];

    /// Whether it is a table of text with a header.
    pub fn is_table(self) -> bool {
        !matches!(self, Format::JsonLines | Format::Parquet)
    }

    /// What the numbers of rows count ([`BadRow::line`](super::BadRow::line)): `line`, or `row`.
    pub fn place(self) -> &'static str {
        match self {
            Format::Parquet => "row",
            _ => "line",
        }
    }

    /// The format that the ending of a file's name says; `.gz` after it says nothing of the format.
    pub fn of_ending(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let ending = Path::new(name).extension()?.to_str()?.to_owned();
        let known = Self::ENDINGS
            .into_iter()
            .find(|(known, _)| *known == ending);
        known.map(|(_, format)| format)
    }
}

/// Where a data folder of a format keeps a split of a task.
///
/// - `cs224n`: `ids-sst-train.csv`, `quora-dev.csv`, `sts-test-student.csv` and so on
/// - `glue`: `SST-5/train.tsv`, `QQP/dev.tsv`, `STS-B/test.tsv` and so on
/// - `json-lines`: `sst-train.jsonl`, `para-dev.jsonl`, `sts-test.jsonl` and so on
/// - `csv`, `tsv`, `tsv-quoted`, `parquet`: `sst-train.csv`, `sst-train.tsv`, `sst-train.parquet` and so on
///
/// Tasks that are no presets go by their names: `nli-train.csv`, `nli/train.tsv`.
pub fn layout_file(dir: &Path, format: Format, task: TaskId, split: Split) -> PathBuf {
    let preset = Preset::of(task);
    match format {
        Format::Cs224n => {
            let suffix = if split == Split::Test { "-student" } else { "" };
            dir.join(format!(
                "{}-{}{suffix}.csv",
                preset
                    .and_then(|preset| preset.course.as_ref())
                    .map_or(task.name(), |course| course.stem),
                split.name()
            ))
        }
        Format::Glue => {
            let files = preset.map(|preset| &preset.glue);
            let stem = match (files, split) {
                (Some(files), Split::Dev) => files.dev,
                (Some(files), Split::Test) => files.test,
                _ => split.name(),
            };
            dir.join(files.map_or(task.name(), |files| files.folder))
                .join(format!("{stem}.tsv"))
        }
        Format::JsonLines => dir.join(format!("{task}-{}.jsonl", split.name())),
        Format::Csv => dir.join(format!("{task}-{}.csv", split.name())),
        Format::Parquet => dir.join(format!("{task}-{}.parquet", split.name())),
        Format::Tsv | Format::TsvQuoted => dir.join(format!("{task}-{}.tsv", split.name())),
    }
}
