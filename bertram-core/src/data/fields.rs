//! Rows of named fields: what JSON lines and Parquet have in common.

use std::path::Path;

use serde_json::{Map, Value};

use super::DataError;
use super::dataset::RawFields;
use super::error::MissingColumns;
use super::options::{LabelColumn, ReadOptions};
use super::table;
use crate::spec::{Inputs, LabelKind};

/// Names of the fields that are read: of each list the first that a row has.
pub(super) struct Names {
    id: Vec<String>,
    text_a: Vec<String>,
    text_b: Option<Vec<String>>,
    label: Vec<String>,
    /// Empty where rows have no weights.
    weight: Vec<String>,
}

impl Names {
    /// `sentence1`, `sentence2` and `label` (`sentence` and `label` for one sentence), and `id` where there is one;
    /// `tasks.X.columns` names others.
    pub fn of(options: &ReadOptions<'_>) -> Self {
        let columns = options.columns;
        let standard = table::Names::of(options);
        let named = |own: &Option<String>, standard: &[&str]| -> Vec<String> {
            let names = table::candidates(own, standard, options);
            names.into_iter().map(str::to_owned).collect()
        };
        Self {
            id: named(&columns.id, &standard.id),
            text_a: named(&columns.text_a, &standard.text_a),
            text_b: (options.spec.inputs == Inputs::Pair)
                .then(|| named(&columns.text_b, &standard.text_b)),
            label: named(&columns.label, &standard.label),
            weight: options
                .weight_column()
                .map(str::to_owned)
                .into_iter()
                .collect(),
        }
    }

    /// Every name that may be read.
    #[cfg(feature = "parquet")]
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.id, &self.text_a, &self.label, &self.weight]
            .into_iter()
            .chain(&self.text_b)
            .flatten()
            .map(String::as_str)
    }

    /// The names under which the label may be.
    #[cfg(feature = "parquet")]
    pub fn label(&self) -> &[String] {
        &self.label
    }

    /// Whether one of the fields `found` is an identifier.
    pub fn has_ids(&self, found: &[String]) -> bool {
        self.id.iter().any(|name| found.contains(name))
    }

    /// The identifier that a row has.
    pub fn id_of(&self, row: &Map<String, Value>) -> Option<String> {
        text(row, &self.id).filter(|id| !id.is_empty())
    }

    /// Refuses a file whose fields `found` lack what the task needs.
    ///
    /// # Errors
    /// [`DataError::MissingColumns`] names all that is missing.
    pub fn require(
        &self,
        path: &Path,
        found: &[String],
        options: &ReadOptions<'_>,
    ) -> Result<(), DataError> {
        let asks_for_id = options.columns.id.is_some() && options.labels != LabelColumn::Ignored;
        let missing: Vec<(&'static str, String)> = [
            // An id that the config does not ask for may be missing: the row's number stands in.
            ("id", Some(&self.id).filter(|_| asks_for_id)),
            (table::text_key(options.spec), Some(&self.text_a)),
            ("text-b", self.text_b.as_ref()),
            ("label", Some(&self.label).filter(|_| options.labelled())),
            (
                "weight",
                Some(&self.weight).filter(|names| !names.is_empty()),
            ),
        ]
        .into_iter()
        .filter_map(|(key, names)| Some((key, names?)))
        .filter(|(_, names)| !names.iter().any(|name| found.contains(name)))
        .map(|(key, names)| (key, names.first().cloned().unwrap_or_default()))
        .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(DataError::MissingColumns(Box::new(MissingColumns {
            path: path.to_owned(),
            task: options.task,
            line: None,
            missing,
            found: found.to_vec(),
            hint: table::advice_to_predict(options),
        })))
    }

    /// The texts and the label of a row.
    ///
    /// # Errors
    /// Says which field is no text or label.
    pub fn fields(
        &self,
        row: &Map<String, Value>,
        options: &ReadOptions<'_>,
    ) -> Result<RawFields, String> {
        let plain = |names: &[String], what: &str| match field(row, names) {
            Some((name, Value::Array(_))) => {
                Err(format!("field {name:?} is a list and not {what}"))
            }
            Some((name, Value::Object(_))) => {
                Err(format!("field {name:?} is an object and not {what}"))
            }
            _ => Ok(text(row, names)),
        };
        let sentence = |names: &Vec<String>| plain(names, "a text");
        let label = match (options.labels, field(row, &self.label)) {
            (LabelColumn::Ignored, _) => None,
            (_, Some((_, list @ Value::Array(_))))
                if matches!(options.spec.label, LabelKind::MultiLabel { .. }) =>
            {
                Some(list.to_string())
            }
            (LabelColumn::Required | LabelColumn::Optional, _) => plain(&self.label, "a label")?,
        };
        if let Some((_, truth @ Value::Bool(_))) = field(row, &self.label)
            && label.is_some()
            && options.spec.label != LabelKind::Binary
            && !options.spec.has_text_labels()
        {
            return Err(format!(
                "label {truth} is a boolean, and this task's labels are numbers"
            ));
        }
        Ok(RawFields {
            text_a: sentence(&self.text_a)?,
            text_b: self.text_b.as_ref().map(sentence).transpose()?.flatten(),
            label,
            weight: plain(&self.weight, "a weight")?,
        })
    }
}

/// The first of some fields that is there.
fn field<'a>(row: &'a Map<String, Value>, names: &'a [String]) -> Option<(&'a str, &'a Value)> {
    names
        .iter()
        .find_map(|name| Some((name.as_str(), row.get(name)?)))
}

/// A field as text: numbers keep their spelling.
fn text(row: &Map<String, Value>, names: &[String]) -> Option<String> {
    match field(row, names)?.1 {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
