//! A JSON object a line, with named fields.

use serde_json::{Map, Value};

use super::dataset::{RawFields, RawRow, ReadOptions};
use crate::task::Inputs;

/// Fields `sentence1`, `sentence2` and `label` (`sentence` and `label` for one sentence), and `id` where there is one;
/// `tasks.X.columns` names others.
pub(super) fn rows(bytes: &[u8], options: &ReadOptions<'_>) -> Vec<RawRow> {
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| RawRow {
            line: index as u64 + 1,
            fields: fields(line, options),
        })
        .collect()
}

fn fields(line: &[u8], options: &ReadOptions<'_>) -> Result<RawFields, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("broken UTF-8 at byte {}", error.valid_up_to()))?;
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
    let columns = options.columns;
    let first = match options.task.spec().inputs {
        Inputs::Single => "sentence",
        Inputs::Pair => "sentence1",
    };
    let field = |own: &Option<String>, name: &str| {
        match object.get(own.as_deref().unwrap_or(name)) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            // Numbers and booleans keep their JSON spelling.
            Some(other) => Some(other.to_string()),
        }
    };
    Ok(RawFields {
        id: field(&columns.id, "id"),
        text_a: field(&columns.text_a, first),
        text_b: field(&columns.text_b, "sentence2"),
        label: field(&columns.label, "label"),
    })
}
