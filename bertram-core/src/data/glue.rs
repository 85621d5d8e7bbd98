//! GLUE's files: tab-separated, no quoting.

use std::path::Path;

use super::DataError;
use super::dataset::{RawFile, ReadOptions};
use super::table::{self, Names};
use crate::task::TaskId;

/// Folder of a task in a GLUE data folder. SST-5 is not a GLUE task (SST-2 is, with other labels): its folder is ours.
pub(super) fn folder(task: TaskId) -> &'static str {
    match task {
        TaskId::Sst => "SST-5",
        TaskId::Para => "QQP",
        TaskId::Sts => "STS-B",
    }
}

pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    let names = match options.task {
        TaskId::Sst => Names {
            id: "index",
            text_a: "sentence",
            text_b: "",
            label: "label",
        },
        TaskId::Para => Names {
            id: "id",
            text_a: "question1",
            text_b: "question2",
            label: "is_duplicate",
        },
        TaskId::Sts => Names {
            id: "index",
            text_a: "sentence1",
            text_b: "sentence2",
            label: "score",
        },
    };
    table::rows(path, bytes, options, names)
}
