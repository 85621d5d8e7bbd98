//! A JSON object a line, with named fields.

use std::path::Path;

use serde_json::{Map, Value};

use super::DataError;
use super::dataset::{RawFile, RawRow};
use super::fields::Names;
use super::lines::LineCounter;
use super::options::ReadOptions;

/// Fields `sentence1`, `sentence2` and `label` (`sentence` and `label` for one sentence), and `id` where there is one;
/// `tasks.X.columns` names others. `bytes` are without a byte order mark.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    let names = Names::of(options);
    let mut lines = LineCounter::new(bytes);
    let mut rows = Vec::new();
    let mut found: Vec<String> = Vec::new();
    let mut start = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        // White space before the object may have line ends of its own, of a lone `\r`.
        let offset = start + (line.len() - line.trim_ascii_start().len());
        start += line.len() + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object = object(line);
        if let Ok(object) = &object {
            let new: Vec<&String> = object.keys().filter(|key| !found.contains(key)).collect();
            found.extend(new.into_iter().cloned().collect::<Vec<_>>());
        }
        let id = object.as_ref().ok().and_then(|it| names.id_of(it));
        rows.push(RawRow {
            line: lines.line_of(offset),
            id,
            fields: object.and_then(|object| names.fields(&object, options)),
        });
    }
    if let Some(error) = not_json_lines(path, bytes, &rows, found.is_empty(), options) {
        return Err(error);
    }
    if !found.is_empty() {
        names.require(path, &found, options)?;
    }
    // The id of a line that is no object is not known, unless no line has one.
    let has_ids = names.has_ids(&found);
    for row in &mut rows {
        if row.id.is_none() && (row.fields.is_ok() || !has_ids) {
            row.id = Some(row.line.to_string());
        }
    }
    Ok(RawFile {
        rows,
        notes: Vec::new(),
    })
}

fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("broken UTF-8 at byte {}", error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| {
        // The parser sees this line only and calls it 1.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        match message.strip_suffix(&place) {
            // Of a value that is no object there is no column to say.
            Some(message) if error.column() == 0 => format!("not a JSON object: {message}"),
            Some(message) => format!("not a JSON object: {message} at column {}", error.column()),
            None => format!("not a JSON object: {message}"),
        }
    })
}

/// The error of a file of which no line is an object.
fn not_json_lines(
    path: &Path,
    bytes: &[u8],
    rows: &[RawRow],
    no_fields: bool,
    options: &ReadOptions<'_>,
) -> Option<DataError> {
    let (line, reason) = rows
        .iter()
        .find_map(|row| Some((row.line, row.fields.as_ref().err()?.clone())))?;
    let array = bytes.trim_ascii_start().starts_with(b"[");
    if !array && (!no_fields || rows.iter().any(|row| row.fields.is_ok())) {
        return None;
    }
    Some(DataError::NotJsonLines {
        path: path.to_owned(),
        line,
        reason,
        hint: other_kind(bytes, options),
    })
}

/// What a file seems to be of which no line is an object, and what to do.
fn other_kind(bytes: &[u8], options: &ReadOptions<'_>) -> Option<String> {
    let first = bytes
        .trim_ascii_start()
        .split(|&byte| byte == b'\n')
        .next()?;
    if first.starts_with(b"[") {
        return Some(
            "The file looks like one JSON array: write an object a line (jq -c '.[]' OLD > NEW)"
                .into(),
        );
    }
    if first.starts_with(b"{") {
        let cut = !first.trim_ascii().ends_with(b"}");
        return cut.then(|| "An object must be on one line (jq -c . OLD > NEW)".into());
    }
    if first.contains(&b'\t') {
        let tables: &[&str] = match options.spec.preset {
            Some(preset) if preset.course.is_some() => &["cs224n", "glue"],
            Some(_) => &["glue"],
            None => &["tsv", "tsv-quoted"],
        };
        return Some(format!(
            "The file looks tab-separated: {}",
            options.say_format(tables)
        ));
    }
    (first.contains(&b',') || first.contains(&b';')).then(|| {
        format!(
            "The file looks like a table with commas or semicolons: {}",
            options.say_format(&["csv"])
        )
    })
}
