//! A JSON object a line, with named fields.

use std::path::Path;

use serde_json::{Map, Value};

use super::DataError;
use super::dataset::{LabelColumn, RawFields, RawFile, RawRow, ReadOptions};
use super::error::MissingColumns;
use super::lines::LineCounter;
use super::table;
use crate::spec::{Inputs, LabelKind};

/// Names of the fields that are read: of each list the first that an object has.
struct Names {
    id: Vec<String>,
    text_a: Vec<String>,
    text_b: Option<Vec<String>>,
    label: Vec<String>,
}

/// Fields `sentence1`, `sentence2` and `label` (`sentence` and `label` for one sentence), and `id` where there is one;
/// `tasks.X.columns` names others. `bytes` are without a byte order mark.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    let columns = options.columns;
    let standard = table::Names::of(options);
    let named = |own: &Option<String>, standard: &[&str]| -> Vec<String> {
        let names = table::candidates(own, standard, options);
        names.into_iter().map(str::to_owned).collect()
    };
    let names = Names {
        id: named(&columns.id, &standard.id),
        text_a: named(&columns.text_a, &standard.text_a),
        text_b: (options.spec.inputs == Inputs::Pair)
            .then(|| named(&columns.text_b, &standard.text_b)),
        label: named(&columns.label, &standard.label),
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
    if let Some(error) = not_json_lines(path, bytes, &rows, found.is_empty(), options) {
        return Err(error);
    }
    let asks_for_id = columns.id.is_some() && options.labels != LabelColumn::Ignored;
    let missing: Vec<(&'static str, String)> = [
        // An id that the config does not ask for may be missing: the line number stands in.
        ("id", Some(&names.id).filter(|_| asks_for_id)),
        (table::text_key(options.spec), Some(&names.text_a)),
        ("text-b", names.text_b.as_ref()),
        ("label", Some(&names.label).filter(|_| options.labelled())),
    ]
    .into_iter()
    .filter_map(|(key, names)| Some((key, names?)))
    .filter(|(_, names)| !names.iter().any(|name| found.contains(name)))
    .map(|(key, names)| (key, names.first().cloned().unwrap_or_default()))
    .collect();
    if !missing.is_empty() && !found.is_empty() {
        return Err(DataError::MissingColumns(Box::new(MissingColumns {
            path: path.to_owned(),
            task: options.task,
            line: None,
            missing,
            found,
            hint: table::advice_to_predict(options),
        })));
    }
    // The id of a line that is no object is not known, unless no line has one.
    let has_ids = names.id.iter().any(|name| found.contains(name));
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

/// The first of some fields that is there.
fn field<'a>(object: &'a Map<String, Value>, names: &'a [String]) -> Option<(&'a str, &'a Value)> {
    names
        .iter()
        .find_map(|name| Some((name.as_str(), object.get(name)?)))
}

/// A field as text: numbers keep their JSON spelling.
fn text(object: &Map<String, Value>, names: &[String]) -> Option<String> {
    match field(object, names)?.1 {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn fields(
    object: &Map<String, Value>,
    names: &Names,
    options: &ReadOptions<'_>,
) -> Result<RawFields, String> {
    let plain = |names: &[String], what: &str| match field(object, names) {
        Some((name, Value::Array(_))) => Err(format!("field {name:?} is a list and not {what}")),
        Some((name, Value::Object(_))) => {
            Err(format!("field {name:?} is an object and not {what}"))
        }
        _ => Ok(text(object, names)),
    };
    let sentence = |names: &Vec<String>| plain(names, "a text");
    let label = match options.labels {
        LabelColumn::Ignored => None,
        LabelColumn::Required | LabelColumn::Optional => plain(&names.label, "a label")?,
    };
    if let Some((_, truth @ Value::Bool(_))) = field(object, &names.label)
        && label.is_some()
        && options.spec.label != LabelKind::Binary
        && !options.spec.has_text_labels()
    {
        return Err(format!(
            "label {truth} is a JSON boolean, and this task's labels are numbers"
        ));
    }
    Ok(RawFields {
        text_a: sentence(&names.text_a)?,
        text_b: names.text_b.as_ref().map(sentence).transpose()?.flatten(),
        label,
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
