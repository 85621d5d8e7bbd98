//! The course's files: tab-separated, CSV quoting, columns addressed by their header.

use std::path::Path;

use super::DataError;
use super::dataset::{RawFile, ReadOptions};
use super::table::{self, Names};

pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    let spec = options.task.spec();
    let names = Names {
        id: "id",
        text_a: spec.course_text_a,
        text_b: spec.course_text_b,
        label: spec.course_label,
    };
    table::rows(path, bytes, options, names)
}
