//! A JSON object a line, with named fields.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::DataError;
use super::dataset::{RawFields, RawFile, RawRow, ReadOptions};
use super::error::MissingColumns;
use super::lines::LineCounter;
use super::table;
use crate::spec::{Inputs, LabelKind};

/// Names of the fields that are read.
struct Names {
    id: String,
    text_a: String,
    text_b: Option<String>,
    label: String,
}

/// The fields of the first object: of two standard names, the one that is there is read.
fn keys(bytes: &[u8]) -> HashSet<String> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.find_map(|line| object(line).ok());
    first.map_or_else(HashSet::new, |object| object.keys().cloned().collect())
}

/// Fields `sentence1`, `sentence2` and `label` (`sentence` and `label` for one sentence), and `id` where there is one;
/// `tasks.X.columns` names others. `bytes` are without a byte order mark.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    let columns = options.columns;
    let known = keys(bytes);
    let standard = table::Names::standard(options.spec);
    let name = |own: &'_ Option<String>, standard: &[&str]| match own {
        Some(own) => own.clone(),
        None => {
            let there = standard.iter().find(|name| known.contains(**name));
            let name = there.or(standard.first()).copied();
            name.unwrap_or_default().to_owned()
        }
    };
    let names = Names {
        id: name(&columns.id, standard.id),
        text_a: name(&columns.text_a, standard.text_a),
        text_b: (options.spec.inputs == Inputs::Pair)
            .then(|| name(&columns.text_b, standard.text_b)),
        label: name(&columns.label, standard.label),
    };

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
        let id = object.as_ref().ok().and_then(|it| text(it, &names.id));
        rows.push(RawRow {
            line: lines.line_of(offset),
            id: id.filter(|id| !id.is_empty()),
            fields: object.and_then(|object| fields(&object, &names, options)),
        });
    }
    if let Some(error) = not_json_lines(path, bytes, &rows, found.is_empty()) {
        return Err(error);
    }
    let missing: Vec<(&'static str, String)> = [
        // An id that the config does not ask for may be missing: the line number stands in.
        ("id", columns.id.as_deref()),
        (table::text_key(options.spec), Some(names.text_a.as_str())),
        ("text-b", names.text_b.as_deref()),
        (
            "label",
            Some(names.label.as_str()).filter(|_| options.labelled),
        ),
    ]
    .into_iter()
    .filter_map(|(key, name)| Some((key, name?)))
    .filter(|(_, name)| !found.iter().any(|known| known == name))
    .map(|(key, name)| (key, name.to_owned()))
    .collect();
    if !missing.is_empty() && !found.is_empty() {
        return Err(DataError::MissingColumns(Box::new(MissingColumns {
            path: path.to_owned(),
            task: options.task,
            line: None,
            missing,
            found,
            hint: None,
        })));
    }
    // The id of a line that is no object is not known, unless no line has one.
    let has_ids = found.contains(&names.id);
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

/// A field as text: numbers keep their JSON spelling.
fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    match object.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    }
}

fn fields(
    object: &Map<String, Value>,
    names: &Names,
    options: &ReadOptions<'_>,
) -> Result<RawFields, String> {
    let sentence = |name: &str| match object.get(name) {
        Some(Value::Array(_)) => Err(format!("field {name:?} is a list and not a text")),
        Some(Value::Object(_)) => Err(format!("field {name:?} is an object and not a text")),
        _ => Ok(text(object, name)),
    };
    if let Some(truth @ Value::Bool(_)) = object.get(&names.label)
        && options.spec.label != LabelKind::Binary
        && !options.spec.has_text_labels()
    {
        return Err(format!(
            "label {truth} is a JSON boolean, and this task's labels are numbers"
        ));
    }
    Ok(RawFields {
        text_a: sentence(&names.text_a)?,
        text_b: names.text_b.as_deref().map(sentence).transpose()?.flatten(),
        label: text(object, &names.label),
    })
}

/// The error of a file of which no line is an object.
fn not_json_lines(
    path: &Path,
    bytes: &[u8],
    rows: &[RawRow],
    no_fields: bool,
) -> Option<DataError> {
    let (line, reason) = rows
        .iter()
        .find_map(|row| Some((row.line, row.fields.as_ref().err()?.clone())))?;
    let array = bytes.trim_ascii_start().starts_with(b"[");
    if !array && (!no_fields || rows.iter().any(|row| row.fields.is_ok())) {
        return None;
    }
    let first = bytes.trim_ascii_start().split(|&byte| byte == b'\n').next();
    let hint = if array {
        Some("The file looks like one JSON array: write an object a line (jq -c '.[]' OLD > NEW)")
    } else if first.is_some_and(|line| line.starts_with(b"{") && !line.trim_ascii().ends_with(b"}"))
    {
        Some("An object must be on one line (jq -c . OLD > NEW)")
    } else if first.is_some_and(|line| line.contains(&b'\t')) {
        Some("The file looks tab-separated: set data.format = \"cs224n\" or \"glue\"")
    } else {
        None
    };
    Some(DataError::NotJsonLines {
        path: path.to_owned(),
        line,
        reason,
        hint: hint.map(str::to_owned),
    })
}
