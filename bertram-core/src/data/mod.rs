//! Data: readers, tokenisation, batches, the demo corpus, prediction files.

mod batch;
mod columns;
mod dataset;
mod demo;
mod error;
mod example;
mod fields;
mod format;
mod halves;
mod json_lines;
mod label_numbers;
mod label_sets;
mod labels;
mod lines;
mod options;
mod order;
#[cfg(feature = "parquet")]
mod parquet;
mod predictions;
mod quotes;
mod repeats;
mod table;
mod tokenize;
mod unpack;

pub use batch::{Batcher, HostBatch, sequence_batch};
pub use columns::{Column, FileColumns, read_columns};
pub use dataset::{
    Dataset, FoundLabels, Split, file_sha256, label_numbers, read_dataset, read_dataset_noting,
    read_texts, written_labels,
};
pub use demo::{DemoConfig, DemoCorpus, OWN_TASKS_CONFIG, write_own_tasks};
pub use error::{BadRow, DataError, Mend, MissingColumns};
pub use example::{Example, Label};
pub use format::{Format, layout_file};
pub use halves::{PARTS_SEED, halves, two_parts};
pub use label_numbers::LabelNumbers;
pub use label_sets::split_labels;
pub use lines::{TextError, TextLines, TextLinesError};
pub use options::{BadRows, Columns, LabelColumn, ReadOptions};
pub use order::{
    batches_by_length, epoch_batches, epoch_token_batches, in_order_of_rows, sample_rows,
};
pub use predictions::{
    PredictionRow, PredictionTableError, WrittenPrediction, neutral_prediction,
    read_prediction_table, with_bad_rows, write_glue_predictions, write_prediction_table,
    write_predictions,
};
pub use repeats::{SeenRows, repeated_rows};
pub use tokenize::TokenizedDataset;

pub use crate::batch::{Packing, TaskBatch, TokenBatch};
pub use crate::tokenizer::{BertTokenizer, Preprocess, SpecialTokens, TokenizerError};

#[cfg(test)]
mod tests;
