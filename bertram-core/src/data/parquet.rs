//! Parquet files: the columns of a task, by their names, in rows.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Once};

use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use super::DataError;
use super::dataset::{RawFile, RawRow};
use super::fields::Names;
use super::label_numbers::LabelNumbers;
use super::labels::UNLABELLED;
use super::options::ReadOptions;
use super::unpack::most_unpacked;

/// Rows of the columns `sentence1`, `sentence2` and `label` (`sentence` and `label` for one sentence), and `id` where there is
/// one; `tasks.X.columns` names others. The other columns are not decoded. A row's line is its number, from 1.
///
/// Files that `datasets` wrote say the names of numbered classes themselves (`ClassLabel`): where the task has labels by
/// name, and `label-numbers` says nothing else, a number is read as the name that the file has for it.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    options: &ReadOptions<'_>,
) -> Result<RawFile, DataError> {
    caught(|| read(path, bytes, options)).unwrap_or_else(|| {
        Err(DataError::Parquet {
            path: path.to_owned(),
            message:
                "a Parquet file that cannot be read: what it says of itself contradicts itself"
                    .to_owned(),
        })
    })
}

/// What a reader gives; `None` where it panics, and nothing is printed. The crate `parquet` returns an error for most broken
/// files, and panics over some.
fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    thread_local! {
        static READING: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !READING.get() {
                others(panic);
            }
        }));
    });
    READING.set(true);
    // What the reader leaves half done is its own and dropped.
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    READING.set(false);
    result.ok()
}

fn read(path: &Path, bytes: &[u8], options: &ReadOptions<'_>) -> Result<RawFile, DataError> {
    let broken = |error: ParquetError| DataError::Parquet {
        path: path.to_owned(),
        message: format!("a Parquet file that cannot be read: {error}"),
    };
    let most = most_unpacked(bytes.len());
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(broken)?;
    let names = Names::of(options);
    let schema = reader.metadata().file_metadata().schema();
    let found: Vec<String> = schema
        .get_fields()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    names.require(path, &found, options)?;
    let columns: Vec<Arc<Type>> = schema
        .get_fields()
        .iter()
        .filter(|column| names.all().any(|name| name == column.name()))
        .cloned()
        .collect();
    if unpacked_size(&reader, &columns) > most {
        return Err(DataError::Parquet {
            path: path.to_owned(),
            message: format!(
                "its columns of this task hold more than {} MiB, 200 times the size of the file; \
                 write it again without compression if it is right",
                most >> 20
            ),
        });
    }
    let classes = class_names(&reader, &names, options);
    let wanted = Type::group_type_builder(schema.name())
        .with_fields(columns)
        .build()
        .map_err(broken)?;
    let mut rows = Vec::new();
    let mut size = 0;
    for (row, line) in RowIter::from_file(Some(wanted), &reader)
        .map_err(broken)?
        .zip(1..)
    {
        let mut fields = Map::new();
        for (name, field) in row.map_err(broken)?.into_columns() {
            fields.insert(name, value(field));
        }
        name_class(&mut fields, &names, &classes);
        // One text may stand for many rows in the file, and no size is said of all together.
        size += fields.values().map(text_size).sum::<u64>();
        if size > most {
            return Err(DataError::Parquet {
                path: path.to_owned(),
                message: format!(
                    "its first {line} rows hold more than {} MiB of text, 200 times the size of the file",
                    most >> 20
                ),
            });
        }
        rows.push(RawRow {
            line,
            id: Some(names.id_of(&fields).unwrap_or_else(|| line.to_string())),
            fields: names.fields(&fields, options),
        });
    }
    Ok(RawFile {
        rows,
        notes: Vec::new(),
    })
}

/// Bytes of some columns before they were packed, by what the file says.
fn unpacked_size(reader: &SerializedFileReader<Bytes>, columns: &[Arc<Type>]) -> u64 {
    let chunks = reader
        .metadata()
        .row_groups()
        .iter()
        .flat_map(|group| group.columns());
    chunks
        .filter(|chunk| {
            let root = chunk.column_path().parts().first();
            root.is_some_and(|root| columns.iter().any(|column| column.name() == root))
        })
        .map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX))
        .fold(0, u64::saturating_add)
}

/// Names of the numbers in the label's column, where the file has them and they are to be taken.
fn class_names(
    reader: &SerializedFileReader<Bytes>,
    names: &Names,
    options: &ReadOptions<'_>,
) -> Vec<String> {
    let by_config = matches!(
        options.label_numbers,
        Some(LabelNumbers::From0 | LabelNumbers::From1)
    );
    if by_config || !options.spec.has_text_labels() {
        return Vec::new();
    }
    let noted = reader.metadata().file_metadata().key_value_metadata();
    let features = noted
        .into_iter()
        .flatten()
        .find(|entry| entry.key == "huggingface")
        .and_then(|entry| serde_json::from_str::<Value>(entry.value.as_deref()?).ok());
    let features = features
        .as_ref()
        .and_then(|noted| noted.pointer("/info/features"));
    let label = names
        .label()
        .iter()
        .find_map(|name| features?.get(name))
        // Of a list, its items.
        .map(|feature| feature.get("feature").unwrap_or(feature))
        .filter(|feature| {
            feature
                .get("_type")
                .is_some_and(|kind| kind == "ClassLabel")
        });
    label
        .and_then(|feature| feature.get("names")?.as_array())
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// Puts the name of a class in the place of its number.
fn name_class(fields: &mut Map<String, Value>, names: &Names, classes: &[String]) {
    let Some(label) = names.label().iter().find(|name| fields.contains_key(*name)) else {
        return;
    };
    match fields.get_mut(label) {
        Some(Value::Array(items)) => items.iter_mut().for_each(|item| name_number(item, classes)),
        Some(item) => name_number(item, classes),
        None => {}
    }
}

fn name_number(item: &mut Value, classes: &[String]) {
    let Value::Number(number) = item else {
        return;
    };
    let class = number
        .as_u64()
        .and_then(|number| classes.get(usize::try_from(number).ok()?));
    if let Some(class) = class {
        *item = Value::String(class.clone());
    } else if !classes.is_empty() && number.as_f64() == Some(f64::from(UNLABELLED)) {
        *item = Value::Null;
    }
}

fn text_size(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(text_size).sum(),
        _ => 8,
    }
}

/// A field as JSON has it. What JSON has not (dates, decimals, bytes that are no text) is its text.
fn value(field: Field) -> Value {
    let float = |value: f64, text: String| {
        Number::from_f64(value).map_or(Value::String(text), Value::Number)
    };
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        // By its own digits: 0.1 of 32 bits is not 0.10000000149.
        Field::Float(value) => float(
            value.to_string().parse().unwrap_or(f64::from(value)),
            value.to_string(),
        ),
        Field::Float16(value) => float(f64::from(value), value.to_string()),
        Field::Double(value) => float(value, value.to_string()),
        Field::Str(text) => text.into(),
        // Writers that say of no column that it is text.
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => text.into(),
            Err(_) => Value::String(format!("{} bytes that are no text", bytes.len())),
        },
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::Group(row) => Value::Object(
            row.into_columns()
                .into_iter()
                .map(|(name, field)| (name, value(field)))
                .collect(),
        ),
        other => Value::String(other.to_string()),
    }
}

/// What a column that is written holds.
pub(super) enum Column {
    /// Texts.
    Text(Vec<String>),
    /// Numbers.
    Number(Vec<f64>),
}

/// A file of columns, each with its name and one value for each row.
pub(super) fn write(columns: &[(&str, Column)]) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(|(name, column)| {
        let field = match column {
            Column::Text(_) => Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String)),
            Column::Number(_) => Type::primitive_type_builder(name, PhysicalType::DOUBLE),
        };
        field
            .with_repetition(Repetition::REQUIRED)
            .build()
            .map(Arc::new)
    });
    let schema = Type::group_type_builder("schema")
        .with_fields(fields.collect::<Result<_, _>>()?)
        .build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, column) in columns {
        let Some(mut out) = group.next_column()? else {
            break;
        };
        match column {
            Column::Text(texts) => {
                let texts: Vec<ByteArray> = texts.iter().map(|text| text.as_str().into()).collect();
                out.typed::<ByteArrayType>()
                    .write_batch(&texts, None, None)?;
            }
            Column::Number(numbers) => {
                out.typed::<DoubleType>().write_batch(numbers, None, None)?;
            }
        }
        out.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}
