//! GLUE's files: tab-separated, no quoting.

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
            id: preset.glue.id,
            text_a: preset.glue.text_a,
            text_b: preset.glue.text_b,
            label: preset.glue.label,
        },
        None => Names::standard(options.spec.inputs),
    };
    table::rows(path, bytes, options, names)
}
