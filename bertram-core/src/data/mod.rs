//! Data: readers, tokenisation, batches, the demo corpus, prediction files.

mod batch;
mod columns;
mod dataset;
mod demo;
mod error;
mod fields;
mod json_lines;
mod label_numbers;
mod label_sets;
mod labels;
mod lines;
mod order;
#[cfg(feature = "parquet")]
mod parquet;
mod predictions;
mod quotes;
mod repeats;
mod table;
mod tokenize;

pub use batch::{Batcher, HostBatch, sequence_batch};
pub use columns::{Column, FileColumns, read_columns};
pub use dataset::{
    BadRows, Columns, Dataset, Example, Format, FoundLabels, Label, LabelColumn, ReadOptions,
    Split, file_sha256, label_numbers, layout_file, read_dataset, read_dataset_noting, read_texts,
    written_labels,
};
pub use demo::{DemoConfig, DemoCorpus, OWN_TASKS_CONFIG, write_own_tasks};
pub use error::{BadRow, DataError, Mend, MissingColumns};
pub use label_numbers::LabelNumbers;
pub use lines::{TextError, text_lines};
pub use order::{epoch_batches, sample_rows};
pub use predictions::{
    PredictionRow, neutral_prediction, with_bad_rows, write_glue_predictions,
    write_prediction_table, write_predictions,
};
pub use repeats::{SeenRows, repeated_rows};
pub use tokenize::TokenizedDataset;

pub use crate::batch::{Packing, TaskBatch, TokenBatch};
pub use crate::tokenizer::{BertTokenizer, Preprocess, SpecialTokens, TokenizerError};

#[cfg(test)]
mod tests;
