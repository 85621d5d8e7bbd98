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
    let names = match options.spec.preset {
        Some(preset) => Names {
            id: "id",
            text_a: preset.course.text_a,
            text_b: preset.course.text_b,
            label: preset.course.label,
        },
        None => Names::standard(options.spec.inputs),
    };
    table::rows(path, bytes, options, names)
}
