//! Data: readers, tokenisation, batches, the demo corpus, prediction files.

mod batch;
mod cs224n;
mod dataset;
mod demo;
mod glue;
mod json_lines;
mod order;
mod predictions;
mod preprocess;
mod tokenize;

pub use batch::{Batcher, HostBatch, Packing, TaskBatch, TokenBatch, sequence_batch};
pub use dataset::{
    BadRow, BadRows, Columns, DataError, Dataset, Example, Format, ReadOptions, Split, layout_file,
    read_dataset,
};
pub use demo::{DemoConfig, DemoCorpus};
pub use order::{epoch_batches, sample_rows};
pub use predictions::write_predictions;
pub use preprocess::Preprocess;
pub use tokenize::TokenizedDataset;

pub use crate::tokenizer::{BertTokenizer, SpecialTokens, TokenizerError};

#[cfg(test)]
mod tests;
